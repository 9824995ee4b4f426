// SPDX-License-Identifier: Apache-2.0
// im2col: out[oh,ow,kh,kw,c] = image[ih,iw,c] with ih = oh*STRIDE_H + kh*DILATION_H - PAD_TOP and
// iw = ow*STRIDE_W + kw*DILATION_W - PAD_LEFT, and PAD_VALUE outside the image.
//
// Beats: SIMD channels, in order row, column, channel group in, and oh, ow, kh, kw, channel group out.
// A writer fills a ring of BUFFER_ROWS rows, and takes a beat whose row is less than BUFFER_ROWS rows ahead of the
// oldest one that the unfinished output rows need. A reader gives a beat as soon as its pixel is written; padding waits
// for the first beat of its frame. The two run side by side, across rows and frames.
// Depth 2 (RAM, padding multiplexer), one beat a cycle.
// A dense behind it makes a convolution, a maxpool max pooling.
`default_nettype none
module window #(
  parameter int IN_BITS = 4,
  parameter int IN_LANES = 1,
  parameter int IN_BEATS = 9,
  parameter int IN_SIGNED = 0,
  parameter int OUT_BITS = 4,
  parameter int OUT_LANES = 1,
  parameter int OUT_BEATS = 9,
  parameter int OUT_SIGNED = 0,
  parameter int SIMD = 1,
  parameter int HEIGHT = 3,
  parameter int WIDTH = 3,
  parameter int CHANNELS = 1,
  parameter int KERNEL_H = 3,
  parameter int KERNEL_W = 3,
  parameter int STRIDE_H = 1,
  parameter int STRIDE_W = 1,
  parameter int PAD_TOP = 0,
  parameter int PAD_LEFT = 0,
  parameter int PAD_BOTTOM = 0,
  parameter int PAD_RIGHT = 0,
  parameter int DILATION_H = 1,
  parameter int DILATION_W = 1,
  parameter int PAD_VALUE = 0,
  parameter int OUT_HEIGHT = 1,
  parameter int OUT_WIDTH = 1,
  parameter int BUFFER_ROWS = 3
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  [IN_BITS*IN_LANES-1:0] s_axis_tdata,
  input  wire  s_axis_tvalid,
  output logic s_axis_tready,
  input  wire  s_axis_tlast,
  output logic [OUT_BITS*OUT_LANES-1:0] m_axis_tdata,
  output logic m_axis_tvalid,
  input  wire  m_axis_tready,
  output logic m_axis_tlast
);
  localparam int GROUPS = CHANNELS / SIMD;
  localparam int ROW = WIDTH * GROUPS;  // beats
  localparam int FRAME = HEIGHT * ROW;
  localparam int RING = BUFFER_ROWS * ROW;
  localparam int SPAN_H = (KERNEL_H - 1) * DILATION_H + 1;
  localparam int SPAN_W = (KERNEL_W - 1) * DILATION_W + 1;
  localparam int X_BITS = IN_BITS + (IN_SIGNED != 0 ? 0 : 1);

  if (IN_LANES != SIMD || OUT_LANES != SIMD || CHANNELS % SIMD != 0) begin : g_bad_simd
    $fatal(1, "window %m: SIMD=%0d must equal IN_LANES=%0d and OUT_LANES=%0d and divide CHANNELS=%0d",
           SIMD, IN_LANES, OUT_LANES, CHANNELS);
  end
  if (OUT_HEIGHT != (HEIGHT + PAD_TOP + PAD_BOTTOM - SPAN_H) / STRIDE_H + 1 || OUT_HEIGHT < 1) begin : g_bad_height
    $fatal(1, "window %m: OUT_HEIGHT=%0d does not follow from %0d rows, padding %0d and %0d, span %0d, stride %0d",
           OUT_HEIGHT, HEIGHT, PAD_TOP, PAD_BOTTOM, SPAN_H, STRIDE_H);
  end
  if (OUT_WIDTH != (WIDTH + PAD_LEFT + PAD_RIGHT - SPAN_W) / STRIDE_W + 1 || OUT_WIDTH < 1) begin : g_bad_width
    $fatal(1, "window %m: OUT_WIDTH=%0d does not follow from %0d columns, padding %0d and %0d, span %0d, stride %0d",
           OUT_WIDTH, WIDTH, PAD_LEFT, PAD_RIGHT, SPAN_W, STRIDE_W);
  end
  if (IN_BEATS != FRAME || OUT_BEATS != OUT_HEIGHT * OUT_WIDTH * KERNEL_H * KERNEL_W * GROUPS) begin : g_bad_beats
    $fatal(1, "window %m: IN_BEATS=%0d and OUT_BEATS=%0d do not match the shapes", IN_BEATS, OUT_BEATS);
  end
  if (BUFFER_ROWS < SPAN_H) begin : g_bad_rows
    $fatal(1, "window %m: BUFFER_ROWS=%0d must hold the kernel's span of %0d rows", BUFFER_ROWS, SPAN_H);
  end
  if (PAD_TOP < 0 || PAD_LEFT < 0 || PAD_BOTTOM < 0 || PAD_RIGHT < 0) begin : g_bad_pad
    $fatal(1, "window %m: padding must not be negative");
  end
  if (OUT_BITS < (OUT_SIGNED != 0 ? X_BITS : IN_BITS) || (IN_SIGNED != 0 && OUT_SIGNED == 0)) begin : g_bad_bits
    $fatal(1, "window %m: OUT_BITS=%0d with OUT_SIGNED=%0d cannot hold IN_BITS=%0d with IN_SIGNED=%0d",
           OUT_BITS, OUT_SIGNED, IN_BITS, IN_SIGNED);
  end

  localparam int ADDR_BITS = RING > 1 ? $clog2(RING) : 1;
  localparam int PADDED_BEATS = (PAD_TOP + PAD_BOTTOM) * ROW + (PAD_LEFT + PAD_RIGHT) * GROUPS;
  localparam int BEAT_BITS = $clog2(FRAME + RING + PADDED_BEATS + 1) + 1;  // signed
  localparam int ROW_BITS = $clog2(HEIGHT + BUFFER_ROWS + PAD_TOP + PAD_BOTTOM + 3 * STRIDE_H + 1) + 1;  // signed
  localparam int COLUMN_BITS = $clog2(WIDTH + PAD_LEFT + PAD_RIGHT + 1) + 1;  // signed

  logic en, step, accept, row_end, frame_end;
  logic [2:0] level;

  pipeline #(.DEPTH(2), .BEATS(OUT_BEATS)) u_pipeline (
    .clk(clk), .rst_n(rst_n), .launch(step), .en(en),
    .m_tvalid(m_axis_tvalid), .m_tlast(m_axis_tlast), .m_tready(m_axis_tready)
  );
  frame_check #(.BEATS(IN_BEATS)) u_check (
    .clk(clk), .rst_n(rst_n), .tvalid(s_axis_tvalid), .tready(s_axis_tready), .tlast(s_axis_tlast)
  );

  // Reader: of the beat that the next step reads, how many beats behind the writer it is (0 or less: not written yet),
  // its ring address, row and column.
  logic signed [BEAT_BITS-1:0] behind;
  logic signed [ADDR_BITS+1:0] read_addr;
  logic is_pad, begun;
  wire unused_sign = &{1'b0, read_addr[ADDR_BITS+1:ADDR_BITS]};

  loop_nest #(.N0(GROUPS), .N1(KERNEL_W), .N2(KERNEL_H), .N3(OUT_WIDTH), .N4(OUT_HEIGHT)) u_loops (
    .clk(clk), .rst_n(rst_n), .step(step), .level(level)
  );
  loop_value #(
    .BITS(BEAT_BITS), .START(PAD_TOP * ROW + PAD_LEFT * GROUPS),
    .N0(GROUPS), .N1(KERNEL_W), .N2(KERNEL_H), .N3(OUT_WIDTH), .N4(OUT_HEIGHT), .S0(-1), .S1(-DILATION_W * GROUPS),
    .S2(-DILATION_H * ROW), .S3(-STRIDE_W * GROUPS), .S4(-STRIDE_H * ROW), .S5(-FRAME)
  ) u_behind (
    .clk(clk), .rst_n(rst_n), .step(step), .level(level), .up(accept), .value(behind)
  );
  loop_value #(
    .BITS(ADDR_BITS + 2), .MODULUS(RING), .START(-PAD_TOP * ROW - PAD_LEFT * GROUPS),
    .N0(GROUPS), .N1(KERNEL_W), .N2(KERNEL_H), .N3(OUT_WIDTH), .N4(OUT_HEIGHT), .S0(1), .S1(DILATION_W * GROUPS),
    .S2(DILATION_H * ROW), .S3(STRIDE_W * GROUPS), .S4(STRIDE_H * ROW), .S5(FRAME)
  ) u_read_addr (
    .clk(clk), .rst_n(rst_n), .step(step), .level(level), .up(1'b0), .value(read_addr)
  );

  if (PAD_TOP + PAD_LEFT + PAD_BOTTOM + PAD_RIGHT > 0) begin : g_padded
    logic signed [ROW_BITS-1:0] row;
    logic signed [COLUMN_BITS-1:0] column;
    // Frames of which the writer has begun and the reader has not ended.
    localparam int OPEN_BITS = $clog2(BUFFER_ROWS / HEIGHT + 3);
    logic [OPEN_BITS-1:0] open_q;
    logic between_q, opens;  // the next beat that is written is the first of a frame

    loop_value #(
      .BITS(ROW_BITS), .START(-PAD_TOP), .N2(KERNEL_H), .N4(OUT_HEIGHT), .S2(DILATION_H), .S4(STRIDE_H)
    ) u_row (
      .clk(clk), .rst_n(rst_n), .step(step), .level(level), .up(1'b0), .value(row)
    );
    loop_value #(
      .BITS(COLUMN_BITS), .START(-PAD_LEFT), .N1(KERNEL_W), .N3(OUT_WIDTH), .S1(DILATION_W), .S3(STRIDE_W)
    ) u_column (
      .clk(clk), .rst_n(rst_n), .step(step), .level(level), .up(1'b0), .value(column)
    );
    assign is_pad = row < 0 || row >= ROW_BITS'(HEIGHT) || column < 0 || column >= COLUMN_BITS'(WIDTH);

    assign opens = accept && between_q;
    assign begun = open_q != '0;
    always_ff @(posedge clk) begin
      if (!rst_n) begin
        open_q <= '0;
        between_q <= 1'b1;
      end else begin
        if (opens && !frame_end) open_q <= open_q + 1'b1;
        else if (frame_end && !opens) open_q <= open_q - 1'b1;
        if (accept) between_q <= s_axis_tlast;
      end
    end
  end else begin : g_unpadded
    assign is_pad = 1'b0;
    assign begun = 1'b1;
  end

  assign step = en && (is_pad ? begun : behind > 0);
  assign row_end = step && level >= 3'd4;
  assign frame_end = step && level == 3'd5;

  // Writer: rows from the oldest one that is still needed to the one being written.
  logic [ADDR_BITS-1:0] write_addr;
  logic [(ROW > 1 ? $clog2(ROW) : 1)-1:0] unused_column;
  logic unused_ring_last, row_written;
  logic signed [ROW_BITS-1:0] ahead_q, left_q, dropped_q, next_q, later_q, start_q, ahead_less;

  counter #(.COUNT(RING)) u_write_addr (
    .clk(clk), .rst_n(rst_n), .step(accept), .value(write_addr), .last(unused_ring_last)
  );
  counter #(.COUNT(ROW)) u_write_column (
    .clk(clk), .rst_n(rst_n), .step(accept), .value(unused_column), .last(row_written)
  );

  assign s_axis_tready = ahead_q < ROW_BITS'(BUFFER_ROWS);
  assign accept = s_axis_tvalid && s_axis_tready;

  // Rows that are needed no more when an output row ends, known before it does: dropped_q, or all that are left of the
  // frame behind its last one. start_q runs three output rows ahead; next_q and later_q are where, cut to the image,
  // the windows of the next row and of the one after it start.
  function automatic signed [ROW_BITS-1:0] in_image(input signed [ROW_BITS-1:0] start);
    if (start < 0) in_image = '0;
    else in_image = start > ROW_BITS'(HEIGHT) ? ROW_BITS'(HEIGHT) : start;
  endfunction

  localparam logic signed [ROW_BITS-1:0] FIRST = in_image(ROW_BITS'(STRIDE_H - PAD_TOP));
  localparam logic signed [ROW_BITS-1:0] SECOND = in_image(ROW_BITS'(2 * STRIDE_H - PAD_TOP));

  assign ahead_less = ahead_q - (level == 3'd5 ? left_q : dropped_q);

  always_ff @(posedge clk) begin
    if (!rst_n) ahead_q <= '0;
    else ahead_q <= (row_end ? ahead_less : ahead_q) + ROW_BITS'(accept && row_written);
  end
  always_ff @(posedge clk) begin
    if (!rst_n || frame_end) begin
      left_q <= ROW_BITS'(HEIGHT);
      dropped_q <= FIRST;
      next_q <= FIRST;
      later_q <= SECOND;
      start_q <= ROW_BITS'(3 * STRIDE_H - PAD_TOP);
    end else if (row_end) begin
      left_q <= left_q - dropped_q;
      dropped_q <= later_q - next_q;
      next_q <= later_q;
      later_q <= in_image(start_q);
      start_q <= start_q + ROW_BITS'(STRIDE_H);
    end
  end

  logic [IN_BITS*SIMD-1:0] word;
  logic is_pad_q;

  sdp_ram #(.WIDTH(IN_BITS * SIMD), .DEPTH(RING)) u_ring (
    .clk(clk), .write_en(accept), .write_addr(write_addr), .write_data(s_axis_tdata),
    .read_en(en), .read_addr(read_addr[ADDR_BITS-1:0]), .read_data(word)
  );
  always_ff @(posedge clk) if (en) is_pad_q <= is_pad;

  for (genvar p = 0; p < SIMD; p++) begin : g_lane
    logic [OUT_BITS-1:0] pixel;

    assign pixel = OUT_BITS'($signed(X_BITS'(word[p*IN_BITS+:IN_BITS])));
    always_ff @(posedge clk) begin
      if (en) m_axis_tdata[p*OUT_BITS+:OUT_BITS] <= is_pad_q ? OUT_BITS'(PAD_VALUE) : pixel;
    end
  end
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
// A small kernel of its own for tests of what surrounds a kernel: copies `frames` words of gmem0 to gmem1, inverted, in
// bursts of up to LENGTH words, one at a time. The register `mischief` makes it break one rule; reset does not clear it.
`default_nettype none
module copy_kernel #(
  parameter int WIDTH = 64,
  parameter int LENGTH = 16
) (
  input  wire ap_clk,
  input  wire ap_rst_n,
  output wire interrupt,
  input  wire [6:0] s_axi_control_awaddr,
  input  wire s_axi_control_awvalid,
  output wire s_axi_control_awready,
  input  wire [31:0] s_axi_control_wdata,
  input  wire [3:0] s_axi_control_wstrb,
  input  wire s_axi_control_wvalid,
  output wire s_axi_control_wready,
  output wire [1:0] s_axi_control_bresp,
  output wire s_axi_control_bvalid,
  input  wire s_axi_control_bready,
  input  wire [6:0] s_axi_control_araddr,
  input  wire s_axi_control_arvalid,
  output wire s_axi_control_arready,
  output wire [31:0] s_axi_control_rdata,
  output wire [1:0] s_axi_control_rresp,
  output wire s_axi_control_rvalid,
  input  wire s_axi_control_rready,
  output wire [63:0] m_axi_gmem0_araddr,
  output wire [7:0] m_axi_gmem0_arlen,
  output wire [2:0] m_axi_gmem0_arsize,
  output wire [1:0] m_axi_gmem0_arburst,
  output wire m_axi_gmem0_arvalid,
  input  wire m_axi_gmem0_arready,
  input  wire [WIDTH-1:0] m_axi_gmem0_rdata,
  input  wire [1:0] m_axi_gmem0_rresp,
  input  wire m_axi_gmem0_rlast,
  input  wire m_axi_gmem0_rvalid,
  output wire m_axi_gmem0_rready,
  output wire [63:0] m_axi_gmem1_awaddr,
  output wire [7:0] m_axi_gmem1_awlen,
  output wire [2:0] m_axi_gmem1_awsize,
  output wire [1:0] m_axi_gmem1_awburst,
  output wire m_axi_gmem1_awvalid,
  input  wire m_axi_gmem1_awready,
  output wire [WIDTH-1:0] m_axi_gmem1_wdata,
  output wire [WIDTH/8-1:0] m_axi_gmem1_wstrb,
  output wire m_axi_gmem1_wlast,
  output wire m_axi_gmem1_wvalid,
  input  wire m_axi_gmem1_wready,
  input  wire [1:0] m_axi_gmem1_bresp,
  input  wire m_axi_gmem1_bvalid,
  output wire m_axi_gmem1_bready
);
  localparam int BYTES = WIDTH / 8;
  localparam int
    CROSSES = 1, NARROW = 2, FIXED = 3, UNALIGNED = 4, AR_FALLS = 5, AR_CHANGES = 6, W_FALLS = 7, LAST_MISSING = 8,
    LAST_EARLY = 9, ORPHAN = 10, EARLY_DONE = 11, IN_RESET = 12, COMBINATIONAL = 13, B_FALLS = 14, R_UNASKED = 15,
    B_EARLY = 16, FATAL = 17, FINISH = 18, SLVERR = 19, MUTE = 20, STROBES = 21, SURPLUS = 22;

  // --- control ---
  reg [7:0] mischief;
  reg [63:0] from, to;
  reg [31:0] frames;
  reg start, done, busy, gie, ier, isr;
  reg [1:0] errors;  // of reads, of writes
  reg have_aw, have_w, bvalid, rvalid;
  reg [6:0] awaddr;
  reg [31:0] wdata, rdata;
  wire ran = busy & state == REST & left == 0;
  wire finished = ran | (busy & mischief == EARLY_DONE & left == 0);
  wire read_control = s_axi_control_arvalid & s_axi_control_arready & s_axi_control_araddr == 0;
  wire write = have_aw & have_w & !bvalid;
  assign s_axi_control_awready = !have_aw & !(mischief == MUTE);
  assign s_axi_control_wready = !have_w;
  assign s_axi_control_bvalid = bvalid | (mischief == B_EARLY & have_aw);
  assign s_axi_control_bresp = mischief == SLVERR ? 2'd2 : 2'd0;
  assign s_axi_control_arready = !rvalid;
  assign s_axi_control_rvalid = rvalid | mischief == R_UNASKED;
  assign s_axi_control_rdata = rdata;
  assign s_axi_control_rresp = mischief == SLVERR ? 2'd3 : 2'd0;
  assign interrupt = gie & ier & isr;

  always_ff @(posedge ap_clk) begin
    if (s_axi_control_awvalid & s_axi_control_awready) begin have_aw <= 1; awaddr <= s_axi_control_awaddr; end
    if (s_axi_control_wvalid & s_axi_control_wready) begin have_w <= 1; wdata <= s_axi_control_wdata; end
    if (bvalid & (s_axi_control_bready | mischief == B_FALLS)) bvalid <= 0;
    if (start) start <= 0;
    if (write) begin
      have_aw <= 0;
      have_w <= 0;
      bvalid <= 1;
      case (awaddr)
        7'h00: start <= wdata[0];
        7'h04: gie <= wdata[0];
        7'h08: ier <= wdata[0];
        7'h0c: if (wdata[0]) isr <= !isr;
        7'h10: from[31:0] <= wdata;
        7'h14: from[63:32] <= wdata;
        7'h1c: to[31:0] <= wdata;
        7'h20: to[63:32] <= wdata;
        7'h28: frames <= wdata;
        7'h40: mischief <= wdata[7:0];
        default: ;
      endcase
    end
    if (rvalid & s_axi_control_rready) rvalid <= 0;
    if (s_axi_control_arvalid & s_axi_control_arready) begin
      rvalid <= 1;
      case (s_axi_control_araddr)
        7'h00: rdata <= {29'd0, !busy & !start, done, start};
        7'h10: rdata <= from[31:0];
        7'h28: rdata <= frames;
        7'h2c: rdata <= {30'd0, errors};
        default: rdata <= 0;
      endcase
    end
    if (read_control) done <= 0;
    if (finished & !(mischief == EARLY_DONE & !busy)) begin done <= 1; isr <= 1; busy <= 0; end
    if (start) busy <= 1;
    if (!ap_rst_n) begin
      {start, done, busy, gie, ier, isr, have_aw, have_w, bvalid, rvalid} <= 0;
    end
  end

  // --- masters ---
  localparam int REST = 0, ASK = 1, TAKE = 2, GIVE = 3, ANSWER = 4, EXTRA = 5;
  reg [2:0] state;
  reg [63:0] source, sink;
  reg [31:0] left;
  reg [8:0] length, count;
  reg [WIDTH-1:0] buffer [0:255];
  reg arvalid, awvalid;
  reg [31:0] waited;

  function automatic [8:0] burst_length(input [63:0] address, input [31:0] words, input crosses);
    reg [31:0] room;
    begin
      room = (4096 - {20'd0, address[11:0]}) / BYTES;
      if (crosses) room = LENGTH;
      if (room > LENGTH) room = LENGTH;
      if (room > words) room = words;
      burst_length = room[8:0];
    end
  endfunction
  // A burst of both sides that crosses no page of either.
  wire [8:0] next_read = burst_length(source, left, mischief == CROSSES);
  wire [8:0] next_write = burst_length(sink, {23'd0, next_read}, mischief == CROSSES);

  assign m_axi_gmem0_araddr = source + (mischief == UNALIGNED ? 64'd1 : 64'd0)
    + (mischief == AR_CHANGES ? {48'd0, waited[12:0], 3'd0} : 64'd0);
  assign m_axi_gmem0_arlen = 8'(length - 9'd1);
  assign m_axi_gmem0_arsize = 3'($clog2(BYTES)) - (mischief == NARROW ? 3'd1 : 3'd0);
  assign m_axi_gmem0_arburst = mischief == FIXED ? 2'd0 : 2'd1;
  assign m_axi_gmem0_arvalid = (arvalid & !(mischief == AR_FALLS & waited == 1)
    & !(mischief == COMBINATIONAL & !m_axi_gmem0_arready)) | (mischief == IN_RESET & !ap_rst_n);
  assign m_axi_gmem0_rready = state == TAKE;
  assign m_axi_gmem1_awaddr = sink;
  assign m_axi_gmem1_awlen = 8'(length - 9'd1);
  assign m_axi_gmem1_awsize = 3'($clog2(BYTES));
  assign m_axi_gmem1_awburst = 2'd1;
  assign m_axi_gmem1_awvalid = awvalid;
  assign m_axi_gmem1_wdata = ~buffer[count[7:0]];
  assign m_axi_gmem1_wstrb = mischief == STROBES ? {BYTES / 4{4'b0101}} : {BYTES{1'b1}};
  assign m_axi_gmem1_wlast =
    (count == length - 1 & mischief != LAST_MISSING) | (mischief == LAST_EARLY & count == 1) | state == EXTRA;
  assign m_axi_gmem1_wvalid = (state == GIVE | state == EXTRA) & !(mischief == W_FALLS & waited == 1);
  assign m_axi_gmem1_bready = state == ANSWER;

  always_ff @(posedge ap_clk) begin
    waited <= (m_axi_gmem0_arvalid & !m_axi_gmem0_arready) | (m_axi_gmem1_wvalid & !m_axi_gmem1_wready) ? waited + 1 : 0;
    if (start) begin
      source <= from;
      sink <= to;
      left <= frames;
      errors <= 0;
    end
    if (m_axi_gmem0_arvalid & m_axi_gmem0_arready) arvalid <= 0;
    if (m_axi_gmem1_awvalid & m_axi_gmem1_awready) awvalid <= 0;
    case (state)
      REST: if (left != 0 & busy) begin
        length <= next_write;
        arvalid <= 1;
        state <= ASK;
      end
      ASK: if (m_axi_gmem0_arvalid & m_axi_gmem0_arready) begin
        count <= 0;
        state <= TAKE;
      end
      TAKE: if (m_axi_gmem0_rvalid) begin
        buffer[count[7:0]] <= m_axi_gmem0_rdata;
        count <= count + 1;
        if (m_axi_gmem0_rresp != 0) errors[0] <= 1;
        if (m_axi_gmem0_rlast) begin
          count <= 0;
          awvalid <= !(mischief == ORPHAN);
          state <= GIVE;
        end
      end
      GIVE: if (m_axi_gmem1_wvalid & m_axi_gmem1_wready) begin
        count <= count + 1;
        if (count == length - 1) begin
          count <= 0;
          source <= source + {52'd0, length, 3'd0} * BYTES / 8;
          sink <= sink + {52'd0, length, 3'd0} * BYTES / 8;
          left <= left - {23'd0, length};
          state <= mischief == SURPLUS ? EXTRA : ANSWER;
        end
      end
      ANSWER: if (m_axi_gmem1_bvalid) begin
        if (m_axi_gmem1_bresp != 0) errors[1] <= 1;
        state <= REST;
      end
      default: ;
    endcase
    if (mischief == FATAL & start) $fatal(1, "on purpose");
    if (mischief == FINISH & start) $finish;
    if (!ap_rst_n) begin
      state <= REST;
      {arvalid, awvalid} <= 0;
      left <= 0;
      waited <= 0;
    end
  end
endmodule
`default_nettype wire

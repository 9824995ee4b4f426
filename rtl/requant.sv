// SPDX-License-Identifier: Apache-2.0
// y = clip(round_half_even((x * mult[c] + add[c]) / 2**SHIFT), LO, HI).
//
// Beats: PE channels in and out, channel group 0..CHANNELS/PE-1 for every pixel. MULT and ADD ROM: word group holds PE
// signed elements. x * mult and the sum have SUM_BITS bits, exactly enough. Depth 4 (ROM, product, sum, round and
// clip), one beat a cycle. Use threshold for outputs of few bits, or where rounding must equal an arbitrary function.
`default_nettype none
module requant #(
  parameter int IN_BITS = 8,
  parameter int IN_LANES = 1,
  parameter int IN_BEATS = 1,
  parameter int IN_SIGNED = 1,
  parameter int OUT_BITS = 4,
  parameter int OUT_LANES = 1,
  parameter int OUT_BEATS = 1,
  parameter int OUT_SIGNED = 0,
  parameter int PE = 1,
  parameter int CHANNELS = 1,
  parameter int SHIFT = 4,
  parameter int LO = 0,
  parameter int HI = 15,
  parameter int SUM_BITS = 16,
  parameter int MULT_BITS = 8,
  parameter MULT_FILE = "",
  parameter int ADD_BITS = 8,
  parameter ADD_FILE = ""
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
  localparam int GROUPS = CHANNELS / PE;
  localparam int X_BITS = IN_BITS + (IN_SIGNED != 0 ? 0 : 1);
  localparam int WIDE_BITS = SUM_BITS > SHIFT ? SUM_BITS : SHIFT + 1;
  localparam int ROUND_BITS = WIDE_BITS - SHIFT + 1;
  localparam int CLIP_BITS = ROUND_BITS > OUT_BITS + 1 ? ROUND_BITS : OUT_BITS + 1;

  if (IN_LANES != PE || OUT_LANES != PE || CHANNELS % PE != 0) begin : g_bad_lanes
    $fatal(1, "requant %m: PE=%0d must equal IN_LANES=%0d and OUT_LANES=%0d and divide CHANNELS=%0d",
           PE, IN_LANES, OUT_LANES, CHANNELS);
  end
  if (IN_BEATS != OUT_BEATS || IN_BEATS % GROUPS != 0) begin : g_bad_beats
    $fatal(1, "requant %m: IN_BEATS=%0d must equal OUT_BEATS=%0d and be a multiple of CHANNELS/PE=%0d",
           IN_BEATS, OUT_BEATS, GROUPS);
  end
  if (SHIFT < 0 || SUM_BITS < 1) begin : g_bad_shift
    $fatal(1, "requant %m: SHIFT=%0d must be at least 0, and SUM_BITS=%0d at least 1", SHIFT, SUM_BITS);
  end
  if (LO > HI || (LO < 0 && OUT_SIGNED == 0)) begin : g_bad_range
    $fatal(1, "requant %m: LO=%0d must not exceed HI=%0d, and needs OUT_SIGNED=1 below 0, not %0d", LO, HI, OUT_SIGNED);
  end
  if (OUT_BITS < 32 && (HI >>> (OUT_BITS - OUT_SIGNED) > 0 || LO >>> (OUT_BITS - OUT_SIGNED) < -1)) begin : g_bad_out
    $fatal(1, "requant %m: OUT_BITS=%0d cannot hold LO=%0d to HI=%0d", OUT_BITS, LO, HI);
  end

  logic en, step, unused_last;
  logic [(GROUPS > 1 ? $clog2(GROUPS) : 1)-1:0] group;
  logic [IN_BITS*PE-1:0] x_q;
  logic [MULT_BITS*PE-1:0] mult;
  logic [ADD_BITS*PE-1:0] add, add_q;

  counter #(.COUNT(GROUPS)) u_group (
    .clk(clk), .rst_n(rst_n), .step(step), .value(group), .last(unused_last)
  );
  pipeline #(.DEPTH(4), .BEATS(OUT_BEATS)) u_pipeline (
    .clk(clk), .rst_n(rst_n), .launch(step), .en(en),
    .m_tvalid(m_axis_tvalid), .m_tlast(m_axis_tlast), .m_tready(m_axis_tready)
  );
  frame_check #(.BEATS(IN_BEATS)) u_check (
    .clk(clk), .rst_n(rst_n), .tvalid(s_axis_tvalid), .tready(s_axis_tready), .tlast(s_axis_tlast)
  );

  assign s_axis_tready = en;
  assign step = en && s_axis_tvalid;

  rom #(.WIDTH(MULT_BITS * PE), .DEPTH(GROUPS), .FILE(MULT_FILE)) u_mult (
    .clk(clk), .en(en), .addr(group), .data(mult)
  );
  rom #(.WIDTH(ADD_BITS * PE), .DEPTH(GROUPS), .FILE(ADD_FILE)) u_add (
    .clk(clk), .en(en), .addr(group), .data(add)
  );

  always_ff @(posedge clk) begin
    if (en) begin
      x_q <= s_axis_tdata;
      add_q <= add;
    end
  end

  for (genvar p = 0; p < PE; p++) begin : g_lane
    logic [SUM_BITS-1:0] product, sum_q;
    logic signed [WIDE_BITS-1:0] wide;
    logic signed [ROUND_BITS-1:0] rounded;
    logic signed [CLIP_BITS-1:0] unclipped;
    logic [OUT_BITS-1:0] clipped;

    multiplier #(.A_BITS(X_BITS), .B_BITS(MULT_BITS), .P_BITS(SUM_BITS), .DSP(1)) u_product (
      .clk(clk), .en(en), .a(X_BITS'(x_q[p*IN_BITS+:IN_BITS])), .b(mult[p*MULT_BITS+:MULT_BITS]), .p(product)
    );
    always_ff @(posedge clk) if (en) sum_q <= product + SUM_BITS'($signed(add_q[p*ADD_BITS+:ADD_BITS]));

    assign wide = WIDE_BITS'($signed(sum_q));
    if (SHIFT == 0) begin : g_exact
      assign rounded = ROUND_BITS'(wide);
    end else begin : g_round
      // Up above the half, and at the half when the floor is odd.
      logic signed [ROUND_BITS-1:0] floor;
      logic [SHIFT-1:0] below_half;
      logic up;

      assign floor = ROUND_BITS'(wide >>> SHIFT);
      assign below_half = wide[SHIFT-1:0] & ~(SHIFT'(1) << (SHIFT - 1));
      assign up = wide[SHIFT-1] && (below_half != '0 || floor[0]);
      assign rounded = floor + ROUND_BITS'(up);
    end

    assign unclipped = CLIP_BITS'(rounded);
    always_comb begin
      if (unclipped < CLIP_BITS'(LO)) clipped = OUT_BITS'(LO);
      else if (unclipped > CLIP_BITS'(HI)) clipped = OUT_BITS'(HI);
      else clipped = OUT_BITS'(unclipped);
    end
    always_ff @(posedge clk) if (en) m_axis_tdata[p*OUT_BITS+:OUT_BITS] <= clipped;
  end
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
// Joins two tensors along an axis: in every turn TURN0 beats of input 0, then TURN1 beats of input 1.
//
// Beats: PE elements in and out. Along the channels a turn is a pixel, along the rows of an image the whole frame.
// The inputs may differ in width and sign; each is extended to the output's. Depth 1, one beat a cycle.
`default_nettype none
module concat #(
  parameter int IN0_BITS = 4,
  parameter int IN0_LANES = 1,
  parameter int IN0_BEATS = 1,
  parameter int IN0_SIGNED = 0,
  parameter int IN1_BITS = 4,
  parameter int IN1_LANES = 1,
  parameter int IN1_BEATS = 1,
  parameter int IN1_SIGNED = 0,
  parameter int OUT_BITS = 4,
  parameter int OUT_LANES = 1,
  parameter int OUT_BEATS = 2,
  parameter int OUT_SIGNED = 0,
  parameter int PE = 1,
  parameter int AXIS = 0,
  parameter int TURN0 = 1,
  parameter int TURN1 = 1
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  [IN0_BITS*IN0_LANES-1:0] s0_axis_tdata,
  input  wire  s0_axis_tvalid,
  output logic s0_axis_tready,
  input  wire  s0_axis_tlast,
  input  wire  [IN1_BITS*IN1_LANES-1:0] s1_axis_tdata,
  input  wire  s1_axis_tvalid,
  output logic s1_axis_tready,
  input  wire  s1_axis_tlast,
  output logic [OUT_BITS*OUT_LANES-1:0] m_axis_tdata,
  output logic m_axis_tvalid,
  input  wire  m_axis_tready,
  output logic m_axis_tlast
);
  localparam int TURN = TURN0 + TURN1;
  localparam int BEAT_BITS = $clog2(TURN);
  localparam int A_BITS = IN0_BITS + (IN0_SIGNED != 0 ? 0 : 1);
  localparam int B_BITS = IN1_BITS + (IN1_SIGNED != 0 ? 0 : 1);
  localparam int Y_BITS = OUT_BITS + (OUT_SIGNED != 0 ? 0 : 1);

  if (IN0_LANES != PE || IN1_LANES != PE || OUT_LANES != PE) begin : g_bad_lanes
    $fatal(1, "concat %m: PE=%0d must equal IN0_LANES=%0d, IN1_LANES=%0d and OUT_LANES=%0d",
           PE, IN0_LANES, IN1_LANES, OUT_LANES);
  end
  if (IN0_BEATS * TURN != OUT_BEATS * TURN0 || IN1_BEATS * TURN != OUT_BEATS * TURN1 || OUT_BEATS % TURN != 0)
  begin : g_bad_beats
    $fatal(1, "concat %m: IN0_BEATS=%0d and IN1_BEATS=%0d do not fill OUT_BEATS=%0d in turns of %0d and %0d (AXIS=%0d)",
           IN0_BEATS, IN1_BEATS, OUT_BEATS, TURN0, TURN1, AXIS);
  end
  if (A_BITS > Y_BITS || B_BITS > Y_BITS || (OUT_SIGNED == 0 && (IN0_SIGNED != 0 || IN1_SIGNED != 0)))
  begin : g_bad_bits
    $fatal(1, "concat %m: OUT_BITS=%0d with OUT_SIGNED=%0d cannot hold both IN0_BITS=%0d and IN1_BITS=%0d",
           OUT_BITS, OUT_SIGNED, IN0_BITS, IN1_BITS);
  end

  logic en, step, second, unused_last;
  logic [BEAT_BITS-1:0] beat;

  pipeline #(.DEPTH(1), .BEATS(OUT_BEATS)) u_pipeline (
    .clk(clk), .rst_n(rst_n), .launch(step), .en(en),
    .m_tvalid(m_axis_tvalid), .m_tlast(m_axis_tlast), .m_tready(m_axis_tready)
  );
  counter #(.COUNT(TURN)) u_beat (
    .clk(clk), .rst_n(rst_n), .step(step), .value(beat), .last(unused_last)
  );
  frame_check #(.BEATS(IN0_BEATS)) u_check0 (
    .clk(clk), .rst_n(rst_n), .tvalid(s0_axis_tvalid), .tready(s0_axis_tready), .tlast(s0_axis_tlast)
  );
  frame_check #(.BEATS(IN1_BEATS)) u_check1 (
    .clk(clk), .rst_n(rst_n), .tvalid(s1_axis_tvalid), .tready(s1_axis_tready), .tlast(s1_axis_tlast)
  );

  assign second = beat >= BEAT_BITS'(TURN0);
  assign s0_axis_tready = en && !second;
  assign s1_axis_tready = en && second;
  assign step = en && (second ? s1_axis_tvalid : s0_axis_tvalid);

  for (genvar p = 0; p < PE; p++) begin : g_lane
    logic [OUT_BITS-1:0] a, b;

    assign a = OUT_BITS'($signed(A_BITS'(s0_axis_tdata[p*IN0_BITS+:IN0_BITS])));
    assign b = OUT_BITS'($signed(B_BITS'(s1_axis_tdata[p*IN1_BITS+:IN1_BITS])));
    always_ff @(posedge clk) if (en) m_axis_tdata[p*OUT_BITS+:OUT_BITS] <= second ? b : a;
  end
endmodule
`default_nettype wire

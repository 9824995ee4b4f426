// SPDX-License-Identifier: Apache-2.0
// y = a + b, element by element; the two inputs may differ in width and sign, and the sum is exact.
//
// Beats: PE elements of each input in, PE sums out; a step takes one beat of both. Depth 1, one beat a cycle.
// Both inputs have one scale; put a requant in front of the one that has not.
`default_nettype none
module add #(
  parameter int IN0_BITS = 4,
  parameter int IN0_LANES = 1,
  parameter int IN0_BEATS = 1,
  parameter int IN0_SIGNED = 0,
  parameter int IN1_BITS = 4,
  parameter int IN1_LANES = 1,
  parameter int IN1_BEATS = 1,
  parameter int IN1_SIGNED = 0,
  parameter int OUT_BITS = 5,
  parameter int OUT_LANES = 1,
  parameter int OUT_BEATS = 1,
  parameter int OUT_SIGNED = 0,
  parameter int PE = 1
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
  localparam int A_BITS = IN0_BITS + (IN0_SIGNED != 0 ? 0 : 1);
  localparam int B_BITS = IN1_BITS + (IN1_SIGNED != 0 ? 0 : 1);

  if (IN0_LANES != PE || IN1_LANES != PE || OUT_LANES != PE) begin : g_bad_lanes
    $fatal(1, "add %m: PE=%0d must equal IN0_LANES=%0d, IN1_LANES=%0d and OUT_LANES=%0d",
           PE, IN0_LANES, IN1_LANES, OUT_LANES);
  end
  if (IN0_BEATS != OUT_BEATS || IN1_BEATS != OUT_BEATS) begin : g_bad_beats
    $fatal(1, "add %m: IN0_BEATS=%0d and IN1_BEATS=%0d must equal OUT_BEATS=%0d", IN0_BEATS, IN1_BEATS, OUT_BEATS);
  end
  if (OUT_SIGNED == 0 && IN0_SIGNED != 0 && IN1_SIGNED != 0) begin : g_bad_sign
    $fatal(1, "add %m: the sum of two signed inputs needs OUT_SIGNED=1, not %0d", OUT_SIGNED);
  end

  logic en, step;

  pipeline #(.DEPTH(1), .BEATS(OUT_BEATS)) u_pipeline (
    .clk(clk), .rst_n(rst_n), .launch(step), .en(en),
    .m_tvalid(m_axis_tvalid), .m_tlast(m_axis_tlast), .m_tready(m_axis_tready)
  );
  frame_check #(.BEATS(IN0_BEATS)) u_check0 (
    .clk(clk), .rst_n(rst_n), .tvalid(s0_axis_tvalid), .tready(s0_axis_tready), .tlast(s0_axis_tlast)
  );
  frame_check #(.BEATS(IN1_BEATS)) u_check1 (
    .clk(clk), .rst_n(rst_n), .tvalid(s1_axis_tvalid), .tready(s1_axis_tready), .tlast(s1_axis_tlast)
  );

  assign step = en && s0_axis_tvalid && s1_axis_tvalid;
  assign s0_axis_tready = step;
  assign s1_axis_tready = step;

  // Modulo 2**OUT_BITS, which holds every sum, operands cut or sign-extended to OUT_BITS give the same sum.
  for (genvar p = 0; p < PE; p++) begin : g_lane
    logic [OUT_BITS-1:0] a, b;

    assign a = OUT_BITS'($signed(A_BITS'(s0_axis_tdata[p*IN0_BITS+:IN0_BITS])));
    assign b = OUT_BITS'($signed(B_BITS'(s1_axis_tdata[p*IN1_BITS+:IN1_BITS])));
    always_ff @(posedge clk) if (en) m_axis_tdata[p*OUT_BITS+:OUT_BITS] <= a + b;
  end
endmodule
`default_nettype wire

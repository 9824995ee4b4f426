// SPDX-License-Identifier: Apache-2.0
// A box of a tensor: of the beats whose numbers are FIRST + i0 * S0 + ... + i4 * S4, in five nested loops, the lanes
// LANE_FIRST, LANE_FIRST + LANE_STEP, ... are kept; all else is dropped.
//
// Beats: PE channels in, OUT_LANES of them out, in the order of arrival. Depth 1, one beat in a cycle. A crop or every
// n-th element of any axes; use reshape for another order, window for windows that overlap.
`default_nettype none
module slice #(
  parameter int IN_BITS = 4,
  parameter int IN_LANES = 1,
  parameter int IN_BEATS = 2,
  parameter int IN_SIGNED = 0,
  parameter int OUT_BITS = 4,
  parameter int OUT_LANES = 1,
  parameter int OUT_BEATS = 1,
  parameter int OUT_SIGNED = 0,
  parameter int PE = 1,
  parameter int FIRST = 0,
  parameter int N0 = 1,
  parameter int N1 = 1,
  parameter int N2 = 1,
  parameter int N3 = 1,
  parameter int N4 = 1,
  parameter int S0 = 0,
  parameter int S1 = 0,
  parameter int S2 = 0,
  parameter int S3 = 0,
  parameter int S4 = 0,
  parameter int LANE_FIRST = 0,
  parameter int LANE_STEP = 1
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
  localparam int BEAT_BITS = IN_BEATS > 1 ? $clog2(IN_BEATS) : 1;
  localparam int LAST = FIRST + (N0 - 1) * S0 + (N1 - 1) * S1 + (N2 - 1) * S2 + (N3 - 1) * S3 + (N4 - 1) * S4;

  if (IN_LANES != PE || LANE_STEP < 1 || LANE_FIRST + (OUT_LANES - 1) * LANE_STEP >= PE) begin : g_bad_lanes
    $fatal(1, "slice %m: PE=%0d must equal IN_LANES=%0d, and hold OUT_LANES=%0d from LANE_FIRST=%0d by LANE_STEP=%0d",
           PE, IN_LANES, OUT_LANES, LANE_FIRST, LANE_STEP);
  end
  if (N0 * N1 * N2 * N3 * N4 != OUT_BEATS) begin : g_bad_loops
    $fatal(1, "slice %m: the loops %0d*%0d*%0d*%0d*%0d do not make OUT_BEATS=%0d", N0, N1, N2, N3, N4, OUT_BEATS);
  end
  if (FIRST < 0 || LAST >= IN_BEATS) begin : g_bad_beats
    $fatal(1, "slice %m: beats FIRST=%0d to %0d do not lie in IN_BEATS=%0d", FIRST, LAST, IN_BEATS);
  end
  if (IN_BITS != OUT_BITS || IN_SIGNED != OUT_SIGNED) begin : g_bad_type
    $fatal(1, "slice %m: IN_BITS=%0d, IN_SIGNED=%0d must equal OUT_BITS=%0d, OUT_SIGNED=%0d",
           IN_BITS, IN_SIGNED, OUT_BITS, OUT_SIGNED);
  end

  logic en, step, keep, unused_last;
  logic [2:0] level;
  logic [BEAT_BITS-1:0] beat;
  logic signed [BEAT_BITS:0] next;
  wire unused_sign = &{1'b0, next[BEAT_BITS]};

  pipeline #(.DEPTH(1), .BEATS(OUT_BEATS)) u_pipeline (
    .clk(clk), .rst_n(rst_n), .launch(keep), .en(en),
    .m_tvalid(m_axis_tvalid), .m_tlast(m_axis_tlast), .m_tready(m_axis_tready)
  );
  frame_check #(.BEATS(IN_BEATS)) u_check (
    .clk(clk), .rst_n(rst_n), .tvalid(s_axis_tvalid), .tready(s_axis_tready), .tlast(s_axis_tlast)
  );
  counter #(.COUNT(IN_BEATS)) u_beat (
    .clk(clk), .rst_n(rst_n), .step(step), .value(beat), .last(unused_last)
  );
  loop_nest #(.N0(N0), .N1(N1), .N2(N2), .N3(N3), .N4(N4)) u_loops (
    .clk(clk), .rst_n(rst_n), .step(keep), .level(level)
  );
  loop_value #(
    .BITS(BEAT_BITS + 1), .START(FIRST), .N0(N0), .N1(N1), .N2(N2), .N3(N3), .N4(N4),
    .S0(S0), .S1(S1), .S2(S2), .S3(S3), .S4(S4)
  ) u_next (
    .clk(clk), .rst_n(rst_n), .step(keep), .level(level), .up(1'b0), .value(next)
  );

  assign s_axis_tready = en;
  assign step = en && s_axis_tvalid;
  assign keep = step && beat == next[BEAT_BITS-1:0];

  if (OUT_LANES < PE) begin : g_dropped
    wire unused_lanes = &{1'b0, s_axis_tdata};
  end
  for (genvar p = 0; p < OUT_LANES; p++) begin : g_lane
    always_ff @(posedge clk) begin
      if (en) m_axis_tdata[p*OUT_BITS+:OUT_BITS] <= s_axis_tdata[(LANE_FIRST+p*LANE_STEP)*IN_BITS+:IN_BITS];
    end
  end
endmodule
`default_nettype wire

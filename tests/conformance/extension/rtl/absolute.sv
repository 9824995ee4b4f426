// SPDX-License-Identifier: Apache-2.0
// y = |x|, lane by lane.
//
// Beats: PE channels in and out. Depth 1, one beat a cycle.
`default_nettype none
module absolute #(
  parameter int IN_BITS = 4,
  parameter int IN_LANES = 1,
  parameter int IN_BEATS = 1,
  parameter int IN_SIGNED = 1,
  parameter int OUT_BITS = 4,
  parameter int OUT_LANES = 1,
  parameter int OUT_BEATS = 1,
  parameter int OUT_SIGNED = 0,
  parameter int PE = 1
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
  if (IN_LANES != PE || OUT_LANES != PE || IN_BEATS != OUT_BEATS) begin : g_bad_shape
    $fatal(1, "absolute %m: PE=%0d must equal IN_LANES=%0d and OUT_LANES=%0d, and IN_BEATS=%0d OUT_BEATS=%0d",
           PE, IN_LANES, OUT_LANES, IN_BEATS, OUT_BEATS);
  end
  if (OUT_SIGNED != 0) begin : g_bad_sign
    $fatal(1, "absolute %m: OUT_SIGNED=%0d must be 0", OUT_SIGNED);
  end

  logic en;

  pipeline #(.DEPTH(1), .BEATS(OUT_BEATS)) u_pipeline (
    .clk(clk), .rst_n(rst_n), .launch(en && s_axis_tvalid), .en(en),
    .m_tvalid(m_axis_tvalid), .m_tlast(m_axis_tlast), .m_tready(m_axis_tready)
  );
  frame_check #(.BEATS(IN_BEATS)) u_check (
    .clk(clk), .rst_n(rst_n), .tvalid(s_axis_tvalid), .tready(s_axis_tready), .tlast(s_axis_tlast)
  );

  assign s_axis_tready = en;

  for (genvar p = 0; p < PE; p++) begin : g_lane
    logic [IN_BITS-1:0] x;
    logic negative;

    assign x = s_axis_tdata[p*IN_BITS+:IN_BITS];
    assign negative = IN_SIGNED != 0 && x[IN_BITS-1];
    always_ff @(posedge clk) if (en) m_axis_tdata[p*OUT_BITS+:OUT_BITS] <= OUT_BITS'(negative ? -x : x);
  end
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
// Valid bits and tlast of a kernel's pipeline of DEPTH registers, the last of which drives m_axis_tdata.
//
// A launch in cycle c is offered in cycle c + DEPTH, counting cycles with en only. The whole pipeline stands still
// (en low) while the output register holds a beat that is not taken; data registers use en as their clock enable.
// tlast marks every BEATS-th beat. launch may depend on en.
`default_nettype none
module pipeline #(
  parameter int DEPTH = 1,
  parameter int BEATS = 1
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  launch,
  output logic en,
  output logic m_tvalid,
  output logic m_tlast,
  input  wire  m_tready
);
  if (DEPTH < 1) begin : g_bad_depth
    $fatal(1, "pipeline %m: DEPTH=%0d must be at least 1", DEPTH);
  end

  logic [DEPTH-1:0] valid_q;
  logic [(BEATS > 1 ? $clog2(BEATS) : 1)-1:0] unused_beat;

  assign m_tvalid = valid_q[DEPTH-1];
  assign en = !m_tvalid || m_tready;

  always_ff @(posedge clk) begin
    if (!rst_n) valid_q <= '0;
    else if (en) valid_q <= DEPTH'({valid_q, launch});
  end

  counter #(.COUNT(BEATS)) u_beat (
    .clk(clk), .rst_n(rst_n), .step(m_tvalid && m_tready), .value(unused_beat), .last(m_tlast)
  );
endmodule
`default_nettype wire

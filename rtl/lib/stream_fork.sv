// SPDX-License-Identifier: Apache-2.0
// One stream to BRANCHES consumers: a word is taken only in a cycle in which every branch is ready, and then goes to
// all of them at once. Combinational, no register, no state.
//
// Valid of a branch depends on the ready of the others. That is legal where every branch is a fifo, whose ready
// does not depend on its valid; it would hang between two consumers that wait for valid before they are ready.
`default_nettype none
module stream_fork #(
  parameter int WIDTH = 1,
  parameter int BRANCHES = 2
) (
  input  wire  [WIDTH-1:0] s_tdata,
  input  wire  s_tvalid,
  output logic s_tready,
  output logic [WIDTH-1:0] m_tdata,
  output logic [BRANCHES-1:0] m_tvalid,
  input  wire  [BRANCHES-1:0] m_tready
);
  if (WIDTH < 1 || BRANCHES < 1) begin : g_bad_shape
    $fatal(1, "stream_fork %m: WIDTH=%0d and BRANCHES=%0d must be at least 1", WIDTH, BRANCHES);
  end

  assign s_tready = &m_tready;
  assign m_tdata = s_tdata;

  for (genvar i = 0; i < BRANCHES; i++) begin : g_branch
    localparam logic [BRANCHES-1:0] SELF = BRANCHES'(1) << i;
    assign m_tvalid[i] = s_tvalid && &(m_tready | SELF);
  end
endmodule
`default_nettype wire

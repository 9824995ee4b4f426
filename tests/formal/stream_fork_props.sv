// SPDX-License-Identifier: Apache-2.0
// Properties of stream_fork. A second fork, one of whose branches has another ready, shows what does not depend on it.
`default_nettype none
module stream_fork_props #(
  parameter int WIDTH = 4,
  parameter int BRANCHES = 3
) (
  input wire clk
);
  (* anyseq *) logic [WIDTH-1:0] s_tdata;
  (* anyseq *) logic s_tvalid;
  (* anyseq *) logic [BRANCHES-1:0] m_tready;
  (* anyseq *) logic [$clog2(BRANCHES+1)-1:0] branch;
  logic [WIDTH-1:0] m_tdata, other_tdata;
  logic s_tready, other_tready;
  logic [BRANCHES-1:0] m_tvalid, other_tvalid, one;

  assign one = BRANCHES'(1) << branch;
  stream_fork #(.WIDTH(WIDTH), .BRANCHES(BRANCHES)) dut (
    .s_tdata(s_tdata), .s_tvalid(s_tvalid), .s_tready(s_tready),
    .m_tdata(m_tdata), .m_tvalid(m_tvalid), .m_tready(m_tready)
  );
  stream_fork #(.WIDTH(WIDTH), .BRANCHES(BRANCHES)) other (
    .s_tdata(s_tdata), .s_tvalid(s_tvalid), .s_tready(other_tready),
    .m_tdata(other_tdata), .m_tvalid(other_tvalid), .m_tready(m_tready ^ one)
  );

  always @* begin
    // every branch gets a word in exactly the cycles in which one is taken
    all_or_none: assert ((m_tvalid & m_tready) == {BRANCHES{s_tvalid && s_tready}});
    // branches get the word that is offered
    same_word: assert (m_tdata == s_tdata);
    // a word is taken when all branches are ready
    takes: assert (s_tready == &m_tready);
    // valid of a branch does not wait for its own ready
    no_wait: assert (((m_tvalid ^ other_tvalid) & one) == 0);

    given: cover (s_tvalid && s_tready);
    waits: cover (s_tvalid && !s_tready && other_tready);
  end
endmodule
`default_nettype wire

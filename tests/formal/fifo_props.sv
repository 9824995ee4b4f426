// SPDX-License-Identifier: Apache-2.0
// Properties of fifo, of either kind. Whatever word the solver picks among those pushed is followed to its end.
`default_nettype none
module fifo_props #(
  parameter int WIDTH = 4,
  parameter int DEPTH = 3,
  parameter int BLOCK = 0
) (
  input wire clk
);
  localparam int BITS = $clog2(DEPTH + 1);

  (* anyseq *) logic [WIDTH-1:0] s_tdata;
  (* anyseq *) logic rst_n, s_tvalid, m_tready, pick;
  logic [WIDTH-1:0] m_tdata;
  logic s_tready, m_tvalid;

  always @* if ($initstate) assume (!rst_n);

  fifo #(.WIDTH(WIDTH), .DEPTH(DEPTH), .BLOCK(BLOCK)) dut (
    .clk(clk), .rst_n(rst_n), .s_tdata(s_tdata), .s_tvalid(s_tvalid), .s_tready(s_tready),
    .m_tdata(m_tdata), .m_tvalid(m_tvalid), .m_tready(m_tready)
  );

  logic push, pop, picked, stayed, after_reset, stuck;
  logic [BITS-1:0] held, ahead;
  logic [WIDTH-1:0] word, m_tdata_q;
  assign push = s_tvalid && s_tready;
  assign pop = m_tvalid && m_tready;
  always_ff @(posedge clk) begin
    held <= held + BITS'(push) - BITS'(pop);
    stayed <= held != BITS'(pop);
    stuck <= rst_n && m_tvalid && !m_tready;
    m_tdata_q <= m_tdata;
    if (!picked) begin
      picked <= pick && push;
      word <= s_tdata;
      ahead <= held - BITS'(pop);
    end else if (pop) begin
      picked <= ahead != 0;
      ahead <= ahead - 1'b1;
    end
    if (!rst_n) {held, stayed, picked} <= '0;
  end

  always @* begin
    if (rst_n && !$initstate) begin
      // a word leaves unchanged, behind all that came before it and before all that came after
      order: assert (!(m_tvalid && picked && ahead == 0) || m_tdata == word);
      // a word is offered only while one is held
      no_underflow: assert (!m_tvalid || held != 0);
      // a word is taken exactly while fewer than DEPTH are held, so none is overwritten
      no_overflow: assert (s_tready == (int'(held) < DEPTH));
      // what is held is offered: at once (BLOCK 0), or from the second cycle on (BLOCK 1)
      offered: assert (m_tvalid || (BLOCK != 0 ? !stayed : held == 0));
      // valid stays until ready
      valid_holds: assert (!stuck || m_tvalid);
      // data stay until ready
      data_holds: assert (!stuck || m_tdata == m_tdata_q);

      full: cover (int'(held) == DEPTH);
      follows_full: cover (picked && int'(ahead) == DEPTH - 1);
      leaves: cover (picked && ahead == 0 && pop && word != 0);
    end
  end
endmodule
`default_nettype wire

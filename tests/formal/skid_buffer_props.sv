// SPDX-License-Identifier: Apache-2.0
// Properties of skid_buffer. Whatever word the solver picks is followed to its end; a second buffer, which gets other
// inputs from some cycle on, shows what depends on them in that cycle.
`default_nettype none
module skid_buffer_props #(
  parameter int WIDTH = 4
) (
  input wire clk
);
  (* anyseq *) logic [WIDTH-1:0] s_tdata, other_tdata;
  (* anyseq *) logic rst_n, s_tvalid, m_tready, pick, apart, other_tvalid, other_tready;
  logic [WIDTH-1:0] m_tdata, other_m_tdata;
  logic s_tready, m_tvalid, other_s_tready, other_m_tvalid;

  always @* if ($initstate) assume (!rst_n);

  skid_buffer #(.WIDTH(WIDTH)) dut (
    .clk(clk), .rst_n(rst_n), .s_tdata(s_tdata), .s_tvalid(s_tvalid), .s_tready(s_tready),
    .m_tdata(m_tdata), .m_tvalid(m_tvalid), .m_tready(m_tready)
  );
  skid_buffer #(.WIDTH(WIDTH)) other (
    .clk(clk), .rst_n(rst_n), .s_tdata(apart ? other_tdata : s_tdata), .s_tvalid(apart ? other_tvalid : s_tvalid),
    .s_tready(other_s_tready), .m_tdata(other_m_tdata), .m_tvalid(other_m_tvalid),
    .m_tready(apart ? other_tready : m_tready)
  );

  logic push, pop, picked, stuck, differ;
  logic [1:0] held, ahead;
  logic [WIDTH-1:0] word, m_tdata_q;
  assign push = s_tvalid && s_tready;
  assign pop = m_tvalid && m_tready;
  always_ff @(posedge clk) begin
    held <= held + 2'(push) - 2'(pop);
    stuck <= rst_n && m_tvalid && !m_tready;
    m_tdata_q <= m_tdata;
    differ <= differ || apart;
    if (!picked) begin
      picked <= pick && push;
      word <= s_tdata;
      ahead <= held - 2'(pop);
    end else if (pop) begin
      picked <= ahead != 0;
      ahead <= ahead - 1'b1;
    end
    if (!rst_n) {held, picked, differ} <= '0;
  end

  always @* begin
    if (rst_n && !$initstate) begin
      // a word leaves unchanged, behind all that came before it and before all that came after
      order: assert (!(m_tvalid && picked && ahead == 0) || m_tdata == word);
      // a word is offered exactly while one is held
      offered: assert (m_tvalid == (held != 0));
      // at most two are held, and an empty buffer takes one: none is overwritten
      no_loss: assert (s_tready ? held < 2 : held != 0);
      // while the reader takes a word in every cycle, so does the buffer
      full_speed: assert (s_tready || stuck);
      // valid, ready and data on offer do not depend on an input of the same cycle
      registered: assert (differ || {s_tready, m_tvalid} == {other_s_tready, other_m_tvalid}
                          && (!m_tvalid || m_tdata == other_m_tdata));
      // valid stays until ready
      valid_holds: assert (!stuck || m_tvalid);
      // data stay until ready
      data_holds: assert (!stuck || m_tdata == m_tdata_q);

      full: cover (held == 2 && picked && ahead == 1);
      leaves: cover (picked && ahead == 0 && pop && push && word != 0);
      parts: cover (apart && !differ && m_tvalid);
    end
  end
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
// Properties of edge_monitor on a real fifo, whose words tell of the cycle before. Its counters start at any value, so
// their end is within reach; only the FIFO is assumed to be reset in the first cycle.
`default_nettype none
module edge_monitor_props #(
  parameter int DEPTH = 3,
  parameter int BLOCK = 0,
  parameter int STALLS = 1
) (
  input wire clk
);
  (* anyseq *) logic rst_n, path_rst_n, clear, count, s_tvalid, m_tready;
  logic s_tready, m_tvalid, unused_tdata;
  logic [3:0] probe;
  logic [127:0] words;

  always @* if ($initstate) assume (!path_rst_n);

  fifo #(.WIDTH(1), .DEPTH(DEPTH), .BLOCK(BLOCK)) edge_fifo (
    .clk(clk), .rst_n(path_rst_n), .s_tdata(1'b0), .s_tvalid(s_tvalid), .s_tready(s_tready),
    .m_tdata(unused_tdata), .m_tvalid(m_tvalid), .m_tready(m_tready)
  );
  assign probe = {s_tvalid, s_tready, m_tvalid, m_tready};
  edge_monitor #(.DEPTH(DEPTH), .STALLS(STALLS)) dut (
    .clk(clk), .rst_n(rst_n), .path_rst_n(path_rst_n), .clear(clear), .count(count), .probe(probe), .words(words)
  );

  logic [7:0] held, held_q;
  logic [3:0] probe_q;
  logic [127:0] words_q;
  logic cleared, count_q, counted, stalls, starves, passes, later;
  always_ff @(posedge clk) begin
    held <= path_rst_n ? held + 8'(s_tvalid && s_tready) - 8'(m_tvalid && m_tready) : '0;
    held_q <= path_rst_n ? held : '0;
    probe_q <= path_rst_n ? probe : '0;
    words_q <= words;
    cleared <= clear || !rst_n;
    count_q <= count;
    counted <= count_q;
    stalls <= probe_q[3] && !probe_q[2];
    starves <= probe_q[0] && !probe_q[1];
    passes <= probe_q[1] && probe_q[0];
    later <= !$initstate;
  end

  function automatic logic [31:0] after(input logic [31:0] before, input logic step);
    after = cleared ? '0 : counted && step && before != '1 ? before + 1'b1 : before;
  endfunction

  always @* begin
    if (!$initstate) begin
      // the fill is the number of words in the FIFO a cycle before; 0 in its reset
      fill: assert (words[23:0] == 24'(held_q));
      // the state of the FIFO's ports is that of the cycle before; 0 in its reset
      ports: assert (words[31:24] == {probe_q, 4'd0});
    end
    if (!$initstate && later) begin
      // cycles in which a word waited at the full FIFO are counted, up to the last count, since clear; 0 without STALLS
      stalled: assert (words[63:32] == (STALLS != 0 ? after(words_q[63:32], stalls) : '0));
      // so are cycles in which the reader waited at the empty one
      starved: assert (words[95:64] == (STALLS != 0 ? after(words_q[95:64], starves) : '0));
      // so are words that left
      passed: assert (words[127:96] == after(words_q[127:96], passes));

      full: cover (int'(words[23:0]) == DEPTH && stalls);
      last_count: cover (words_q[127:96] == '1 && words[127:96] == '1 && passes && counted);
      clears: cover (cleared && rst_n && words[127:96] == 0 && words_q[127:96] == 2);
    end
  end
endmodule
`default_nettype wire

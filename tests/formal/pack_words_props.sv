// SPDX-License-Identifier: Apache-2.0
// Properties of pack_words. The solver picks a bit of the frame and a frame that passes: the bit of the design's beat is
// what memory gets. It is assumed that s_axis_tlast marks the last beats, which pipeline is proven to see to.
`default_nettype none
module pack_words_props #(
  parameter int BUS_BITS = 8,
  parameter int WIDTH = 3,
  parameter int BEATS = 5
) (
  input wire clk
);
  localparam int FRAME = WIDTH * BEATS;
  localparam int WORDS = (FRAME - 1) / BUS_BITS + 1;
  localparam int AT_BITS = $clog2(WORDS * BUS_BITS + 1);

  (* anyconst *) logic [AT_BITS-1:0] at;
  (* anyseq *) logic rst_n, s_axis_tvalid, m_tready, pick;
  (* anyseq *) logic [WIDTH-1:0] s_axis_tdata;
  logic s_axis_tready, s_axis_tlast, m_tvalid, m_tlast;
  logic [BUS_BITS-1:0] m_tdata;

  // come, gone: bits of the frame that is coming, and of the one that is leaving; open: whole frames that have come and
  // have not left.
  logic push, pop, stuck, offered_q, picked, bit_q, m_tlast_q;
  logic [AT_BITS:0] come, gone;
  logic [1:0] open, behind;
  logic [BUS_BITS-1:0] m_tdata_q;
  assign s_axis_tlast = int'(come) + WIDTH == FRAME;
  assign push = s_axis_tvalid && s_axis_tready;
  assign pop = m_tvalid && m_tready;

  always @* begin
    if ($initstate) assume (!rst_n);
    assume (int'(at) < FRAME);
  end

  pack_words #(.BUS_BITS(BUS_BITS), .WIDTH(WIDTH), .BEATS(BEATS)) dut (
    .clk(clk), .rst_n(rst_n), .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid),
    .s_axis_tready(s_axis_tready), .s_axis_tlast(s_axis_tlast), .m_tdata(m_tdata), .m_tvalid(m_tvalid),
    .m_tready(m_tready), .m_tlast(m_tlast)
  );

  logic ends, here;
  assign ends = pop && int'(gone) + BUS_BITS == WORDS * BUS_BITS;
  assign here = picked && behind == 0 && at >= gone && int'(at) < int'(gone) + BUS_BITS;
  always_ff @(posedge clk) begin
    stuck <= rst_n && m_tvalid && !m_tready;
    offered_q <= rst_n && s_axis_tvalid;
    {m_tdata_q, m_tlast_q} <= {m_tdata, m_tlast};
    if (push) come <= s_axis_tlast ? '0 : come + (AT_BITS + 1)'(WIDTH);
    if (pop) gone <= ends ? '0 : gone + (AT_BITS + 1)'(BUS_BITS);
    open <= open + 2'(push && s_axis_tlast) - 2'(ends);
    if (!picked) begin
      picked <= pick && push && at >= come && int'(at) < int'(come) + WIDTH;
      bit_q <= s_axis_tdata >> (at - come);
      behind <= open - 2'(ends);
    end else begin
      if (ends) behind <= behind - 1'b1;
      if (pop && here) picked <= 1'b0;
    end
    if (!rst_n) {come, gone, open, picked} <= '0;
  end

  always @* begin
    if (rst_n && !$initstate) begin
      // every bit of a beat gets to the place in memory that has its number in the frame
      content: assert (!(m_tvalid && here) || 1'(m_tdata >> (at - gone)) == bit_q);
      // what a frame leaves free in its last word is zero
      padding: assert (!(m_tvalid && m_tlast && FRAME < WORDS * BUS_BITS) || m_tdata >> (FRAME - (WORDS - 1) * BUS_BITS) == 0);
      // a word is offered as soon as all its bits have come, or its whole frame has, and not before
      offered: assert (m_tvalid == (open != 0 || int'(come) >= int'(gone) + BUS_BITS));
      // at most one whole frame is held beside the one that comes
      no_overtaking: assert (open <= 2);
      // tlast marks a frame's last word
      last_marks: assert (!m_tvalid || m_tlast == (int'(gone) + BUS_BITS == WORDS * BUS_BITS));
      // words and beats follow back to back: max(BEATS, words) cycles a frame
      full_speed: assert (BUS_BITS >= WIDTH ? !m_tready || s_axis_tready : !offered_q || m_tvalid);
      // it never waits for both sides
      progress: assert (s_axis_tready || m_tvalid);
      // valid stays until ready
      valid_holds: assert (!stuck || m_tvalid);
      // data and tlast stay until ready
      data_holds: assert (!stuck || {m_tdata, m_tlast} == {m_tdata_q, m_tlast_q});

      two_frames: cover (open != 0 && push && pop);
      lasts: cover (pop && here && bit_q && m_tlast);
      waits: cover (stuck && s_axis_tvalid && !s_axis_tready);
    end
  end
endmodule
`default_nettype wire

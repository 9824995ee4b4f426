// SPDX-License-Identifier: Apache-2.0
// Properties of unpack_words. The solver picks a bit of the frame: its value in memory is what the design gets, in every
// frame that passes.
`default_nettype none
module unpack_words_props #(
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
  (* anyseq *) logic rst_n, s_tvalid, m_axis_tready;
  (* anyseq *) logic [BUS_BITS-1:0] s_tdata;
  logic idle, s_tready, m_axis_tvalid, m_axis_tlast;
  logic [WIDTH-1:0] m_axis_tdata;

  always @* begin
    if ($initstate) assume (!rst_n);
    assume (int'(at) < FRAME);
  end

  unpack_words #(.BUS_BITS(BUS_BITS), .WIDTH(WIDTH), .BEATS(BEATS)) dut (
    .clk(clk), .rst_n(rst_n), .idle(idle), .s_tdata(s_tdata), .s_tvalid(s_tvalid), .s_tready(s_tready),
    .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready),
    .m_axis_tlast(m_axis_tlast)
  );

  // Of the frame that is being given: bits that have come and bits that are gone. come is 0 while its first word is
  // still to come, and whole frames are counted down when their last beat goes.
  logic push, pop, stuck, offered_q, bit_q, has_bit, m_axis_tlast_q;
  logic [AT_BITS:0] come, gone;
  logic [WIDTH-1:0] m_axis_tdata_q;
  assign push = s_tvalid && s_tready;
  assign pop = m_axis_tvalid && m_axis_tready;
  always_ff @(posedge clk) begin
    stuck <= rst_n && m_axis_tvalid && !m_axis_tready;
    {m_axis_tdata_q, m_axis_tlast_q} <= {m_axis_tdata, m_axis_tlast};
    offered_q <= rst_n && s_tvalid;
    if (pop) gone <= int'(gone) + WIDTH == FRAME ? '0 : gone + (AT_BITS + 1)'(WIDTH);
    if (pop && int'(gone) + WIDTH == FRAME) begin
      come <= push ? (AT_BITS + 1)'(BUS_BITS) : '0;
      has_bit <= push && int'(at) < BUS_BITS;
      bit_q <= s_tdata[0+:BUS_BITS] >> at;
    end else if (push) begin
      come <= come + (AT_BITS + 1)'(BUS_BITS);
      if (at >= come && int'(at) < int'(come) + BUS_BITS) begin
        has_bit <= 1'b1;
        bit_q <= s_tdata >> (at - come);
      end
    end
    if (!rst_n) {come, gone, has_bit} <= '0;
  end

  always @* begin
    if (rst_n && !$initstate) begin
      // every bit of a beat is the bit of memory that has its number in the frame
      content: assert (!(m_axis_tvalid && at >= gone && int'(at) < int'(gone) + WIDTH)
                       || has_bit && 1'(m_axis_tdata >> (at - gone)) == bit_q);
      // a beat is offered as soon as all its bits have come, and not before
      offered: assert (m_axis_tvalid == (int'(come) >= int'(gone) + WIDTH));
      // a frame takes as many words as it fills, and none of the next before its last beat goes
      own_words: assert (int'(come) <= WORDS * BUS_BITS && (!s_tready || int'(come) < WORDS * BUS_BITS
                                                             || pop && m_axis_tlast));
      // tlast marks the last beat of a frame
      last_marks: assert (!m_axis_tvalid || m_axis_tlast == (int'(gone) + WIDTH == FRAME));
      // idle: no bit of a frame is held that has to be given
      idle_empty: assert (!idle || come == 0 || int'(come) == int'(gone));
      // words and beats follow back to back: max(BEATS, words) cycles a frame
      full_speed: assert (BUS_BITS >= WIDTH ? !offered_q || m_axis_tvalid : !m_axis_tready || s_tready);
      // it never waits for both sides
      progress: assert (s_tready || m_axis_tvalid);
      // valid stays until ready
      valid_holds: assert (!stuck || m_axis_tvalid);
      // data and tlast stay until ready
      data_holds: assert (!stuck || {m_axis_tdata, m_axis_tlast} == {m_axis_tdata_q, m_axis_tlast_q});

      next_follows: cover (push && pop && m_axis_tlast);
      waits: cover (stuck && s_tvalid && m_axis_tlast);
      high: cover (pop && int'(at) >= WIDTH * (BEATS - 1) && bit_q && m_axis_tlast);
    end
  end
endmodule
`default_nettype wire

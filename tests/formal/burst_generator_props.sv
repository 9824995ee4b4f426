// SPDX-License-Identifier: Apache-2.0
// Properties of burst_generator. `words` and `flush` are free in every cycle; an address is only assumed to be aligned,
// which the control block sees to.
`default_nettype none
module burst_generator_props #(
  parameter int BUS_BYTES = 8,
  parameter int BURST = 256,
  parameter int LEAST = 16,
  parameter int WORD_BITS = 10
) (
  input wire clk
);
  localparam int SHIFT = $clog2(BUS_BYTES);

  (* anyseq *) logic rst_n, load, flush, m_tready;
  (* anyseq *) logic [63:0] address;
  (* anyseq *) logic [WORD_BITS-1:0] words;
  logic [WORD_BITS-1:0] take;
  logic m_tvalid;
  logic [63:0] m_address;
  logic [7:0] m_length;

  always @* begin
    if ($initstate) assume (!rst_n);
    assume (address[SHIFT-1:0] == '0);
  end

  burst_generator #(.BUS_BYTES(BUS_BYTES), .BURST(BURST), .LEAST(LEAST), .WORD_BITS(WORD_BITS)) dut (
    .clk(clk), .rst_n(rst_n), .load(load), .address(address), .words(words), .flush(flush), .take(take),
    .m_tvalid(m_tvalid), .m_tready(m_tready), .m_address(m_address), .m_length(m_length)
  );

  // next: address of the first word of no burst that was taken; owed: words that were taken for the burst on offer.
  logic loaded, stuck, given, least_kept, could;
  logic [1:0] waits;
  logic [63:0] next, m_address_q;
  logic [7:0] m_length_q;
  logic [8:0] owed, beats;
  logic [12:0] place, bytes;
  assign given = m_tvalid && m_tready;
  assign beats = 9'(m_length) + 1'b1;
  assign bytes = 13'(beats) << SHIFT;
  assign place = {1'b0, m_address[11:0]};
  assign could = words != 0 && (flush || int'(words) >= LEAST);

  always_ff @(posedge clk) begin
    stuck <= rst_n && m_tvalid && !m_tready && !load;
    {m_address_q, m_length_q} <= {m_address, m_length};
    least_kept <= flush && take == words;
    waits <= could && !m_tvalid ? waits + 2'(waits != 3) : '0;
    if (load) begin
      loaded <= 1'b1;
      next <= address;
      owed <= '0;
      waits <= '0;
    end else begin
      if (given) next <= next + (64'(beats) << SHIFT);
      if (take != 0) owed <= 9'(take);
      else if (given) owed <= '0;
    end
    if (!rst_n) {loaded, owed, waits} <= '0;
  end

  (* hierconn *) wire \dut.limited_q ;
  (* hierconn *) wire [8:0] \dut.limit_q ;
  logic [12:0] reach;
  assign reach = place + (13'(\dut.limit_q ) << SHIFT);

  logic after_take;
  always_ff @(posedge clk) after_take <= rst_n && !load && take != 0;

  always @* begin
    if (rst_n && !$initstate && loaded) begin
      // bursts follow on each other from the loaded address on, without a gap or an overlap
      in_order: assert (m_address == next);
      // no burst crosses 4 KiB
      page: assert (!m_tvalid || place + bytes <= 4096);
      // no burst has more than BURST beats
      length: assert (!m_tvalid || int'(beats) <= BURST);
      // every burst starts on a whole word of the bus
      aligned: assert (m_address[SHIFT-1:0] == '0);
      // a burst has as many beats as words were taken for it, and a new one is formed when the last has gone
      accounted: assert (m_tvalid ? owed == beats : owed == 0);
      // no more is taken than there is
      take_of_words: assert (take <= words && (take == 0 || !m_tvalid));
      // a burst of fewer than LEAST beats ends at 4 KiB or takes the last words
      least: assert (!after_take || int'(beats) >= LEAST || place + bytes == 4096 || least_kept);
      // words that may go are in a burst on offer two cycles later
      prompt: assert (waits < 3);
      // a burst on offer stays as it is until it is taken
      holds: assert (!stuck || m_tvalid && {m_address, m_length} == {m_address_q, m_length_q});

      // the limit is the distance to 4 KiB, or BURST
      inv_limit: assert (!\dut.limited_q || (reach == 4096 || int'(\dut.limit_q ) == BURST) && reach <= 4096
                         && int'(\dut.limit_q ) <= BURST && \dut.limit_q != 0);

      boundary: cover (given && place + bytes == 4096 && int'(beats) < BURST);
      longest: cover (given && int'(beats) == BURST);
      short: cover (given && beats == 1 && next != address);
    end
  end
endmodule
`default_nettype wire

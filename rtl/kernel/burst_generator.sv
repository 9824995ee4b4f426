// SPDX-License-Identifier: Apache-2.0
// Cuts a run of words at consecutive addresses into AXI4 bursts of at most BURST beats, none across a 4 KiB boundary.
//
// load gives the address of the first word, a multiple of BUS_BYTES. `words` is how many may be taken now; a burst
// takes as many of them as it can, once they reach its limit (BURST, or the boundary) or LEAST, or with `flush` any
// number. `take` is their number in the one cycle in which a burst is formed, else 0. The burst is offered from the
// next cycle on: first address m_address, m_length + 1 beats. At most one burst every three cycles.
`default_nettype none
module burst_generator #(
  parameter int BUS_BYTES = 8,
  parameter int BURST = 256,
  parameter int LEAST = 256,
  parameter int WORD_BITS = 9
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  load,
  input  wire  [63:0] address,
  input  wire  [WORD_BITS-1:0] words,
  input  wire  flush,
  output logic [WORD_BITS-1:0] take,
  output logic m_tvalid,
  input  wire  m_tready,
  output logic [63:0] m_address,
  output logic [7:0] m_length
);
  localparam int SHIFT = $clog2(BUS_BYTES);
  localparam int PAGE_BITS = 12 - SHIFT;  // of the place of a word in its 4 KiB

  if (BUS_BYTES < 4 || BUS_BYTES > 128 || BUS_BYTES != 1 << SHIFT) begin : g_bad_bus
    $fatal(1, "burst_generator %m: BUS_BYTES=%0d must be a power of two from 4 to 128", BUS_BYTES);
  end
  if (BURST < 1 || BURST > 256 || BURST * BUS_BYTES > 4096) begin : g_bad_burst
    $fatal(1, "burst_generator %m: BURST=%0d words of %0d bytes: 1 to 256, at most 4096 bytes", BURST, BUS_BYTES);
  end
  if (LEAST < 1 || LEAST > BURST) begin : g_bad_least
    $fatal(1, "burst_generator %m: LEAST=%0d must be 1 to BURST=%0d", LEAST, BURST);
  end
  if (WORD_BITS < 31 && BURST >= 1 << WORD_BITS) begin : g_bad_bits
    $fatal(1, "burst_generator %m: WORD_BITS=%0d cannot hold BURST=%0d", WORD_BITS, BURST);
  end

  logic limited_q, form;
  logic [8:0] limit_q, count;
  logic [PAGE_BITS:0] room;

  assign room = (PAGE_BITS + 1)'(1 << PAGE_BITS) - (PAGE_BITS + 1)'(m_address[11:SHIFT]);
  assign count = words < WORD_BITS'(limit_q) ? 9'(words) : limit_q;
  assign form = limited_q && !m_tvalid && words != '0
    && (flush || words >= WORD_BITS'(limit_q) || words >= WORD_BITS'(LEAST));
  assign take = form ? WORD_BITS'(count) : '0;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      limited_q <= 1'b0;
      m_tvalid <= 1'b0;
    end else if (load) begin
      limited_q <= 1'b0;
      m_tvalid <= 1'b0;
    end else begin
      limited_q <= !(m_tvalid && m_tready);
      if (form) m_tvalid <= 1'b1;
      else if (m_tready) m_tvalid <= 1'b0;
    end
  end

  always_ff @(posedge clk) begin
    limit_q <= room < (PAGE_BITS + 1)'(BURST) ? 9'(room) : 9'(BURST);
    if (form) m_length <= 8'(count - 1'b1);
    if (load) m_address <= address;
    else if (m_tvalid && m_tready) m_address <= m_address + ((64'(m_length) + 1'b1) << SHIFT);
  end
endmodule
`default_nettype wire

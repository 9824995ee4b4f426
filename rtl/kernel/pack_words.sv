// SPDX-License-Identifier: Apache-2.0
// Beats of a stream to words of memory: a frame is BEATS beats of WIDTH bits, packed from the low bits of its first
// word on; its last word is filled up with zeros and marked by m_tlast.
//
// max(BEATS, words) cycles a frame, back to back. Places are counted in units of gcd(BUS_BITS, WIDTH) bits: where WIDTH
// divides BUS_BITS a beat goes straight to its place, else it is shifted there.
`default_nettype none
module pack_words #(
  parameter int BUS_BITS = 64,
  parameter int WIDTH = 8,
  parameter int BEATS = 1
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  [WIDTH-1:0] s_axis_tdata,
  input  wire  s_axis_tvalid,
  output logic s_axis_tready,
  input  wire  s_axis_tlast,
  output logic [BUS_BITS-1:0] m_tdata,
  output logic m_tvalid,
  input  wire  m_tready,
  output logic m_tlast
);
  localparam int LOW = WIDTH & -WIDTH;
  localparam int UNIT = LOW < BUS_BITS ? LOW : BUS_BITS;  // the gcd: BUS_BITS is a power of two
  localparam int WORD = BUS_BITS / UNIT;  // units of a word
  localparam int BEAT = WIDTH / UNIT;  // and of a beat
  // The last beat of a frame may leave two words; the next frame must not wait until both are gone.
  localparam bit AHEAD = BEAT > 1 && BEAT < WORD;
  localparam int UNITS = AHEAD ? WORD + BEAT : WORD - 1 + BEAT;
  localparam int MOST = (UNITS + WORD - 1) / WORD * WORD;
  localparam int FILL_BITS = $clog2(MOST + 1);
  localparam int SHIFT = $clog2(UNIT);
  localparam int WORDS = (WIDTH * BEATS - 1) / BUS_BITS + 1;

  if (WIDTH < 1 || BEATS < 1 || BUS_BITS < 8 || BUS_BITS != 1 << $clog2(BUS_BITS)) begin : g_bad_shape
    $fatal(1, "pack_words %m: WIDTH=%0d and BEATS=%0d must be at least 1, BUS_BITS=%0d a power of two from 8 on",
           WIDTH, BEATS, BUS_BITS);
  end

  logic out, take, first_q, fits;
  logic [FILL_BITS-1:0] fill_q, rest, sum, rounded;
  logic [(WORDS > 1 ? $clog2(WORDS) : 1)-1:0] unused_word;
  logic [UNITS*UNIT-1:0] held_q, moved, added;

  counter #(.COUNT(WORDS)) u_word (
    .clk(clk), .rst_n(rst_n), .step(out), .value(unused_word), .last(m_tlast)
  );
  frame_check #(.BEATS(BEATS)) u_check (
    .clk(clk), .rst_n(rst_n), .tvalid(s_axis_tvalid), .tready(s_axis_tready), .tlast(s_axis_tlast)
  );

  // Places from fill_q on hold zeros; after a frame's last beat its padding counts as filled.
  assign m_tvalid = fill_q >= FILL_BITS'(WORD);
  assign m_tdata = held_q[BUS_BITS-1:0];
  assign out = m_tvalid && m_tready;
  assign rest = out ? fill_q - FILL_BITS'(WORD) : fill_q;
  assign fits = rest < FILL_BITS'(WORD);
  assign s_axis_tready = fits || AHEAD && first_q && rest == FILL_BITS'(WORD);
  assign take = s_axis_tvalid && s_axis_tready;
  assign sum = rest + FILL_BITS'(BEAT);
  assign rounded = FILL_BITS'((FILL_BITS + 1)'(sum) + (FILL_BITS + 1)'(WORD - 1)) & ~(FILL_BITS'(WORD - 1));

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      fill_q <= '0;
      first_q <= 1'b1;
    end else begin
      fill_q <= !take ? rest : s_axis_tlast ? rounded : sum;
      if (take) first_q <= s_axis_tlast;
    end
  end

  if (UNITS > WORD) begin : g_carried
    assign moved = out ? (UNITS * UNIT)'(held_q[UNITS*UNIT-1:BUS_BITS]) : held_q;
  end else begin : g_emptied
    assign moved = out ? '0 : held_q;
  end
  if (WORD == 1) begin : g_straight
    assign added = (UNITS * UNIT)'(s_axis_tdata);
  end else begin : g_shifted
    localparam int PLACE_BITS = AHEAD ? $clog2(WORD + 1) : $clog2(WORD);
    assign added = (UNITS * UNIT)'(s_axis_tdata) << ((PLACE_BITS + SHIFT)'(rest[PLACE_BITS-1:0]) << SHIFT);
  end

  always_ff @(posedge clk) begin
    if (!rst_n) held_q <= '0;
    else held_q <= take ? moved | added : moved;
  end
endmodule
`default_nettype wire

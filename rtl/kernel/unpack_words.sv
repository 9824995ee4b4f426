// SPDX-License-Identifier: Apache-2.0
// Words of memory to beats of a stream: a frame is BEATS beats of WIDTH bits, packed from the low bits of its first
// word on; what is left of its last word is dropped.
//
// max(BEATS, words) cycles a frame, back to back. Places are counted in units of gcd(BUS_BITS, WIDTH) bits: where one
// width divides the other no word is shifted, else it is rotated by what is left of a beat. idle: nothing is held.
`default_nettype none
module unpack_words #(
  parameter int BUS_BITS = 64,
  parameter int WIDTH = 8,
  parameter int BEATS = 1
) (
  input  wire  clk,
  input  wire  rst_n,
  output logic idle,
  input  wire  [BUS_BITS-1:0] s_tdata,
  input  wire  s_tvalid,
  output logic s_tready,
  output logic [WIDTH-1:0] m_axis_tdata,
  output logic m_axis_tvalid,
  input  wire  m_axis_tready,
  output logic m_axis_tlast
);
  localparam int LOW = WIDTH & -WIDTH;
  localparam int UNIT = LOW < BUS_BITS ? LOW : BUS_BITS;  // the gcd: BUS_BITS is a power of two
  localparam int WORD = BUS_BITS / UNIT;  // units of a word
  localparam int BEAT = WIDTH / UNIT;  // and of a beat
  localparam int UNITS = WORD + BEAT - 1;
  localparam int FILL_BITS = $clog2(UNITS + 1);
  localparam int TURN_BITS = $clog2(WORD < BEAT ? WORD : BEAT);

  if (WIDTH < 1 || BEATS < 1 || BUS_BITS < 8 || BUS_BITS != 1 << $clog2(BUS_BITS)) begin : g_bad_shape
    $fatal(1, "unpack_words %m: WIDTH=%0d and BEATS=%0d must be at least 1, BUS_BITS=%0d a power of two from 8 on",
           WIDTH, BEATS, BUS_BITS);
  end

  logic out, take;
  logic [FILL_BITS-1:0] fill_q, rest;
  logic [(BEATS > 1 ? $clog2(BEATS) : 1)-1:0] unused_beat;
  logic [BUS_BITS-1:0] turned;
  logic [UNITS*UNIT-1:0] held_q;

  counter #(.COUNT(BEATS)) u_beat (
    .clk(clk), .rst_n(rst_n), .step(out), .value(unused_beat), .last(m_axis_tlast)
  );

  // Once all words of a frame are in, at least a beat is held until its last one goes: the next frame waits till then.
  assign idle = fill_q == '0;
  assign m_axis_tvalid = fill_q >= FILL_BITS'(BEAT);
  assign m_axis_tdata = held_q[WIDTH-1:0];
  assign out = m_axis_tvalid && m_axis_tready;
  assign rest = !out ? fill_q : m_axis_tlast ? '0 : fill_q - FILL_BITS'(BEAT);
  assign s_tready = rest < FILL_BITS'(BEAT);
  assign take = s_tvalid && s_tready;

  always_ff @(posedge clk) begin
    if (!rst_n) fill_q <= '0;
    else fill_q <= take ? rest + FILL_BITS'(WORD) : rest;
  end

  // Unit i of the word goes to place rest + i, which is rotation by rest and then the same unit at every WORD-th place.
  if (TURN_BITS == 0) begin : g_straight
    assign turned = s_tdata;
  end else begin : g_turned
    always_comb begin
      turned = s_tdata;
      for (int i = 0; i < TURN_BITS; i++) begin
        if (rest[i]) turned = turned << (UNIT << i) | turned >> (BUS_BITS - (UNIT << i));
      end
    end
  end

  for (genvar u = 0; u < UNITS; u++) begin : g_unit
    localparam int FROM = u % WORD * UNIT;
    logic above, below;
    logic [UNIT-1:0] moved;

    if (u >= BEAT - 1) begin : g_reached
      assign above = 1'b1;
    end else begin : g_compared
      assign above = rest <= FILL_BITS'(u);
    end
    if (u < WORD) begin : g_first_word
      assign below = 1'b1;
    end else begin : g_later
      assign below = rest > FILL_BITS'(u - WORD);
    end
    if (u + BEAT < UNITS) begin : g_moved
      assign moved = out ? held_q[(u + BEAT) * UNIT+:UNIT] : held_q[u * UNIT+:UNIT];
    end else begin : g_kept
      assign moved = held_q[u * UNIT+:UNIT];
    end

    always_ff @(posedge clk) held_q[u * UNIT+:UNIT] <= take && above && below ? turned[FROM+:UNIT] : moved;
  end
endmodule
`default_nettype wire

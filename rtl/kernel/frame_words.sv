// SPDX-License-Identifier: Apache-2.0
// Words of memory that are still to be asked for, `frames` frames of WORDS words each, without a multiplication.
//
// load in cycle c: from c + 1 on, whole frames are added to the pool `words` until it holds at least LIMIT words or no
// frame is left (then `last`); about 64 words a cycle where frames are short. `take` words leave it in every cycle.
// The pool never holds more than LIMIT - 1 + max(WORDS, 64) words; take must not exceed words.
`default_nettype none
module frame_words #(
  parameter int WORDS = 1,
  parameter int LIMIT = 256,
  parameter int WORD_BITS = 9
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  load,
  input  wire  [31:0] frames,
  input  wire  [WORD_BITS-1:0] take,
  output logic [WORD_BITS-1:0] words,
  output logic last
);
  localparam int STEP_BITS = WORDS < 64 ? $clog2(64 / WORDS + 1) - 1 : 0;
  localparam int STEP = 1 << STEP_BITS;  // frames added in one cycle, a power of two

  if (WORDS < 1 || LIMIT < 1) begin : g_bad_shape
    $fatal(1, "frame_words %m: WORDS=%0d and LIMIT=%0d must be at least 1", WORDS, LIMIT);
  end
  if (WORD_BITS < 31 && LIMIT - 1 + STEP * WORDS >= 1 << WORD_BITS) begin : g_bad_bits
    $fatal(1, "frame_words %m: WORD_BITS=%0d cannot hold %0d words", WORD_BITS, LIMIT - 1 + STEP * WORDS);
  end

  logic [31:0] left_q;
  logic [STEP_BITS:0] step;
  logic [WORD_BITS-1:0] added;

  assign last = left_q == '0;
  assign step = left_q >= 32'(STEP) ? (STEP_BITS + 1)'(STEP) : (STEP_BITS + 1)'(left_q);

  // A sum over the few bits of `step`, so that no multiplier is spent on it.
  always_comb begin
    added = '0;
    for (int i = 0; i <= STEP_BITS; i++) if (step[i]) added = added + (WORD_BITS'(WORDS) << i);
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      left_q <= '0;
      words <= '0;
    end else if (load) begin
      left_q <= frames;
      words <= '0;
    end else if (words < WORD_BITS'(LIMIT)) begin
      left_q <= left_q - 32'(step);
      words <= words + added - take;
    end else begin
      words <= words - take;
    end
  end
endmodule
`default_nettype wire

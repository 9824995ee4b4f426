// SPDX-License-Identifier: Apache-2.0
// Sum of N signed numbers with a register after every two levels of adders: ceil(ceil(log2 N) / 2) cycles with en.
// Every level has its natural width, capped at OUT_BITS: no more is needed where the sum is known to fit.
`default_nettype none
module adder_tree #(
  parameter int N = 4,
  parameter int IN_BITS = 8,
  parameter int OUT_BITS = 10
) (
  input  wire  clk,
  input  wire  en,
  input  wire  [IN_BITS*N-1:0] terms,
  output logic [OUT_BITS-1:0] sum
);
  if (N < 1 || IN_BITS < 1 || OUT_BITS < IN_BITS) begin : g_bad_shape
    $fatal(1, "adder_tree %m: N=%0d and IN_BITS=%0d must be at least 1, OUT_BITS=%0d at least IN_BITS",
           N, IN_BITS, OUT_BITS);
  end

  localparam int LEVELS = ($clog2(N) + 1) / 2;

  for (genvar t = 0; t <= LEVELS; t++) begin : g_level
    localparam int SPAN = 1 << 2 * t;  // terms in one number of this level
    localparam int COUNT = (N + SPAN - 1) / SPAN;
    localparam int NATURAL_BITS = IN_BITS + $clog2(SPAN < N ? SPAN : N);
    localparam int BITS = NATURAL_BITS < OUT_BITS ? NATURAL_BITS : OUT_BITS;

    logic [BITS*COUNT-1:0] values;

    if (t == 0) begin : g_terms
      wire unused_clock = &{1'b0, clk, en};
      assign values = terms;
    end else begin : g_sums
      localparam int FEED_COUNT = (N * 4 + SPAN - 1) / SPAN;
      localparam int FEED_NATURAL_BITS = IN_BITS + $clog2(SPAN / 4 < N ? SPAN / 4 : N);
      localparam int FEED_BITS = FEED_NATURAL_BITS < OUT_BITS ? FEED_NATURAL_BITS : OUT_BITS;

      logic [FEED_BITS*FEED_COUNT-1:0] feed;
      logic [BITS*COUNT-1:0] sums;

      assign feed = g_level[t-1].values;
      always_comb begin
        sums = '0;
        for (int i = 0; i < FEED_COUNT; i++) begin
          sums[i/4*BITS+:BITS] = sums[i/4*BITS+:BITS] + BITS'($signed(feed[i*FEED_BITS+:FEED_BITS]));
        end
      end
      always_ff @(posedge clk) if (en) values <= sums;
    end
  end

  assign sum = OUT_BITS'($signed(g_level[LEVELS].values));
endmodule
`default_nettype wire

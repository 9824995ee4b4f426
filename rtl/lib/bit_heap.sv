// SPDX-License-Identifier: Apache-2.0
// WIDTH sums side by side of single bits of several weights: sum[r] = total over i, j and n of
// products[i,j,n,r] * 2**(i+j), modulo 2**OUT_BITS; (i * B_BITS + j) * N + n numbers the vectors of WIDTH bits.
//
// A column holds the bits of one weight. Level 0 turns three bits of a column into two (with the gates in front of it
// that is one LUT each), later levels six into three, until no column holds more than three; full and half adders then
// leave two, which a carry chain adds. Registers stand after every second level but the last, and behind the chain:
// CYCLES = 1 + (levels - 1) / 2 with en. About 1.5 LUTs a bit.
`default_nettype none
module bit_heap #(
  parameter int N = 4,
  parameter int A_BITS = 1,
  parameter int B_BITS = 1,
  parameter int WIDTH = 1,
  parameter int OUT_BITS = 3,
  parameter int CYCLES = 2
) (
  input  wire  clk,
  input  wire  en,
  input  wire  [A_BITS*B_BITS*N*WIDTH-1:0] products,
  output logic [OUT_BITS*WIDTH-1:0] sum
);
  localparam int H = 16;  // bits that hold a column's height
  localparam int ROW = H * (OUT_BITS + 3);
  localparam int MAX_LEVELS = 20;  // every level at least halves a column of up to 2**H bits, but for the last few

  if (N < 1 || A_BITS < 1 || B_BITS < 1 || WIDTH < 1 || OUT_BITS < 1) begin : g_bad_shape
    $fatal(1, "bit_heap %m: N=%0d, A_BITS=%0d, B_BITS=%0d, WIDTH=%0d and OUT_BITS=%0d must be at least 1",
           N, A_BITS, B_BITS, WIDTH, OUT_BITS);
  end

  // What a level makes of a column of `height` bits where the highest one has `most`: groups of six (five and a 0
  // among them) and groups of up to three; the rest passes.
  function automatic int sixes(input int level, input int most, input int height);
    sixes = level == 0 || most <= 3 ? 0 : (height + 1) / 6;
  endfunction
  function automatic int threes(input int level, input int most, input int height);
    if (level == 0) threes = height / 3;
    else if (most <= 3) threes = height / 2;
    else threes = height % 6 == 3 || height % 6 == 4 ? 1 : 0;
  endfunction
  function automatic int passes(input int level, input int most, input int height);
    int grouped;
    grouped = 6 * sixes(level, most, height) + 3 * threes(level, most, height);
    passes = grouped < height ? height - grouped : 0;
  endfunction

  // Heights of all columns before level 0, level 1, ..., each row with the greatest of them behind it.
  function automatic [ROW*(MAX_LEVELS+1)-1:0] heights(input [H-1:0] start);
    reg [ROW-1:0] now, next;
    int most, height, six, three;

    now = '0;
    for (int i = 0; i < A_BITS; i++) begin
      for (int j = 0; j < B_BITS; j++) if (i + j < OUT_BITS) now[(i+j)*H+:H] = now[(i+j)*H+:H] + start;
    end
    for (int level = 0; level <= MAX_LEVELS; level++) begin
      most = 0;
      for (int c = 0; c < OUT_BITS; c++) if (int'(now[c*H+:H]) > most) most = int'(now[c*H+:H]);
      heights[level*ROW+:ROW] = now;
      heights[level*ROW+OUT_BITS*H+:H] = H'(most);
      if (most > 2) begin
        next = '0;
        for (int c = 0; c < OUT_BITS; c++) begin
          height = int'(now[c*H+:H]);
          six = sixes(level, most, height);
          three = threes(level, most, height);
          next[c*H+:H] = next[c*H+:H] + H'(six + three + passes(level, most, height));
          next[(c+1)*H+:H] = next[(c+1)*H+:H] + H'(six + three);
          next[(c+2)*H+:H] = next[(c+2)*H+:H] + H'(six);
        end
        now = next;
      end
    end
  endfunction

  localparam logic [ROW*(MAX_LEVELS+1)-1:0] HEIGHTS = heights(H'(N));

  function automatic int count_levels(input int limit);
    count_levels = 0;
    for (int level = 0; level < limit; level++) begin
      if (HEIGHTS[level*ROW+OUT_BITS*H+:H] > 2) count_levels = level + 1;
    end
  endfunction

  localparam int LEVELS = count_levels(MAX_LEVELS);

  if (CYCLES != 1 + (LEVELS > 0 ? (LEVELS - 1) / 2 : 0)) begin : g_bad_cycles
    $fatal(1, "bit_heap %m: CYCLES=%0d does not fit %0d levels", CYCLES, LEVELS);
  end

  wire unused_products = &{1'b0, products};  // those beyond OUT_BITS

  for (genvar l = 0; l <= LEVELS; l++) begin : g_level
    localparam logic [ROW-1:0] NOW = HEIGHTS[l*ROW+:ROW];
    localparam logic [ROW-1:0] BEFORE = l > 0 ? HEIGHTS[(l>0?l-1:0)*ROW+:ROW] : '0;
    localparam int MOST = int'(NOW[OUT_BITS*H+:H]);
    localparam int BEFORE_MOST = int'(BEFORE[OUT_BITS*H+:H]);

    for (genvar c = 0; c < OUT_BITS; c++) begin : g_column
      localparam int HEIGHT = int'(NOW[c*H+:H]);
      localparam int SIXES = sixes(l, MOST, HEIGHT);
      localparam int THREES = threes(l, MOST, HEIGHT);

      logic [(HEIGHT>0?HEIGHT:1)*WIDTH-1:0] d, bits;
      logic [(SIXES+THREES>0?SIXES+THREES:1)*WIDTH-1:0] sums, carries;
      logic [(SIXES>0?SIXES:1)*WIDTH-1:0] fours;
      wire unused = &{1'b0, d, bits, sums, carries, fours};

      if (HEIGHT == 0) begin : g_empty
        assign d = '0;
      end else if (l == 0) begin : g_products
        for (genvar i = 0; i < A_BITS; i++) begin : g_plane
          if (i <= c && c - i < B_BITS) begin : g_here
            localparam int RANK = c < B_BITS ? i : i - (c - B_BITS + 1);
            assign d[RANK*N*WIDTH+:N*WIDTH] = products[(i*B_BITS+c-i)*N*WIDTH+:N*WIDTH];
          end
        end
      end else begin : g_gather
        localparam int OLD = int'(BEFORE[c*H+:H]);
        localparam int LOWER = c > 0 ? int'(BEFORE[(c>0?c-1:0)*H+:H]) : 0;
        localparam int LOWEST = c > 1 ? int'(BEFORE[(c>1?c-2:0)*H+:H]) : 0;
        localparam int OWN = sixes(l - 1, BEFORE_MOST, OLD) + threes(l - 1, BEFORE_MOST, OLD);
        localparam int PASSED = passes(l - 1, BEFORE_MOST, OLD);
        localparam int TWOS = sixes(l - 1, BEFORE_MOST, LOWER) + threes(l - 1, BEFORE_MOST, LOWER);
        localparam int FOURS = sixes(l - 1, BEFORE_MOST, LOWEST);

        if (OWN > 0) begin : g_sums
          assign d[0+:OWN*WIDTH] = g_level[l-1].g_column[c].sums;
        end
        if (PASSED > 0) begin : g_passes
          assign d[OWN*WIDTH+:PASSED*WIDTH] = g_level[l-1].g_column[c].bits[(OLD-PASSED)*WIDTH+:PASSED*WIDTH];
        end
        if (TWOS > 0) begin : g_carries
          assign d[(OWN+PASSED)*WIDTH+:TWOS*WIDTH] = g_level[l-1].g_column[c-1].carries;
        end
        if (FOURS > 0) begin : g_fours
          assign d[(HEIGHT-FOURS)*WIDTH+:FOURS*WIDTH] = g_level[l-1].g_column[c-2].fours;
        end
      end

      if (l > 0 && l < LEVELS && l % 2 == 0) begin : g_register
        always_ff @(posedge clk) if (en) bits <= d;
      end else begin : g_wire
        assign bits = d;
      end

      if (SIXES + THREES == 0) begin : g_idle
        assign sums = '0;
        assign carries = '0;
      end
      if (SIXES == 0) begin : g_no_fours
        assign fours = '0;
      end
      for (genvar k = 0; k < SIXES; k++) begin : g_six
        localparam int COUNT = HEIGHT - 6 * k < 6 ? HEIGHT - 6 * k : 6;
        logic [WIDTH-1:0] low_sum, low_carry, high_sum, high_carry, both;
        logic [6*WIDTH-1:0] six;

        assign six = (6*WIDTH)'(bits[6*k*WIDTH+:COUNT*WIDTH]);
        assign low_sum = six[0+:WIDTH] ^ six[WIDTH+:WIDTH] ^ six[2*WIDTH+:WIDTH];
        assign low_carry = six[0+:WIDTH] & six[WIDTH+:WIDTH]
                         | (six[0+:WIDTH] | six[WIDTH+:WIDTH]) & six[2*WIDTH+:WIDTH];
        assign high_sum = six[3*WIDTH+:WIDTH] ^ six[4*WIDTH+:WIDTH] ^ six[5*WIDTH+:WIDTH];
        assign high_carry = six[3*WIDTH+:WIDTH] & six[4*WIDTH+:WIDTH]
                          | (six[3*WIDTH+:WIDTH] | six[4*WIDTH+:WIDTH]) & six[5*WIDTH+:WIDTH];
        assign both = low_sum & high_sum;
        assign sums[k*WIDTH+:WIDTH] = low_sum ^ high_sum;
        assign carries[k*WIDTH+:WIDTH] = low_carry ^ high_carry ^ both;
        assign fours[k*WIDTH+:WIDTH] = low_carry & high_carry | (low_carry | high_carry) & both;
      end
      for (genvar k = 0; k < THREES; k++) begin : g_three
        localparam int FROM = 6 * SIXES + 3 * k;
        localparam int COUNT = HEIGHT - FROM < 3 ? HEIGHT - FROM : 3;
        logic [3*WIDTH-1:0] three;

        assign three = (3*WIDTH)'(bits[FROM*WIDTH+:COUNT*WIDTH]);
        assign sums[(SIXES+k)*WIDTH+:WIDTH] = three[0+:WIDTH] ^ three[WIDTH+:WIDTH] ^ three[2*WIDTH+:WIDTH];
        assign carries[(SIXES+k)*WIDTH+:WIDTH] =
          three[0+:WIDTH] & three[WIDTH+:WIDTH] | (three[0+:WIDTH] | three[WIDTH+:WIDTH]) & three[2*WIDTH+:WIDTH];
      end
    end
  end

  // Row by row, two numbers remain.
  localparam logic [ROW-1:0] FINAL = HEIGHTS[LEVELS*ROW+:ROW];
  logic [OUT_BITS*WIDTH-1:0] first, second;

  for (genvar c = 0; c < OUT_BITS; c++) begin : g_final
    for (genvar r = 0; r < WIDTH; r++) begin : g_row
      assign first[r*OUT_BITS+c] = g_level[LEVELS].g_column[c].bits[r];
      if (FINAL[c*H+:H] == 2) begin : g_two
        assign second[r*OUT_BITS+c] = g_level[LEVELS].g_column[c].bits[WIDTH+r];
      end else begin : g_one
        assign second[r*OUT_BITS+c] = 1'b0;
      end
    end
  end
  for (genvar r = 0; r < WIDTH; r++) begin : g_sum
    always_ff @(posedge clk) begin
      if (en) sum[r*OUT_BITS+:OUT_BITS] <= first[r*OUT_BITS+:OUT_BITS] + second[r*OUT_BITS+:OUT_BITS];
    end
  end
endmodule
`default_nettype wire

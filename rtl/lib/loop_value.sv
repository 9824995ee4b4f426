// SPDX-License-Identifier: Apache-2.0
// START + i0 * S0 + ... + i4 * S4 over the turns i0..i4 of a loop_nest with counts N0..N4, without a multiplier: one
// addition of a constant a step, chosen by the nest's level. When the nest starts anew, the value goes back to START,
// moved on by S5. With MODULUS > 0 the value is kept modulo MODULUS. BITS: signed, enough for 2 * MODULUS.
// A cycle with up adds one besides; not with a MODULUS.
`default_nettype none
module loop_value #(
  parameter int BITS = 8,
  parameter int MODULUS = 0,
  parameter int START = 0,
  parameter int N0 = 1,
  parameter int N1 = 1,
  parameter int N2 = 1,
  parameter int N3 = 1,
  parameter int N4 = 1,
  parameter int S0 = 0,
  parameter int S1 = 0,
  parameter int S2 = 0,
  parameter int S3 = 0,
  parameter int S4 = 0,
  parameter int S5 = 0
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  step,
  input  wire  [2:0] level,
  input  wire  up,
  output logic signed [BITS-1:0] value
);
  if (MODULUS < 0 || (MODULUS > 0 && BITS < $clog2(MODULUS) + 2)) begin : g_bad_bits
    $fatal(1, "loop_value %m: BITS=%0d are too few for MODULUS=%0d", BITS, MODULUS);
  end

  // What the inner loops have gathered when they all are in their last turn.
  localparam int T0 = (N0 - 1) * S0;
  localparam int T1 = T0 + (N1 - 1) * S1;
  localparam int T2 = T1 + (N2 - 1) * S2;
  localparam int T3 = T2 + (N3 - 1) * S3;
  localparam int T4 = T3 + (N4 - 1) * S4;

  localparam int D0 = S0;
  localparam int D1 = S1 - T0;
  localparam int D2 = S2 - T1;
  localparam int D3 = S3 - T2;
  localparam int D4 = S4 - T3;
  localparam int D5 = S5 - T4;

  if (MODULUS > 0 && (MODULUS & (MODULUS - 1)) != 0) begin : g_modulo
    logic signed [BITS-1:0] wrapped;

    // The sum less MODULUS, in one addition: its sign says whether the sum has to wrap.
    always_comb begin
      case (level)
        3'd0: wrapped = value + BITS'((D0 % MODULUS + MODULUS) % MODULUS - MODULUS);
        3'd1: wrapped = value + BITS'((D1 % MODULUS + MODULUS) % MODULUS - MODULUS);
        3'd2: wrapped = value + BITS'((D2 % MODULUS + MODULUS) % MODULUS - MODULUS);
        3'd3: wrapped = value + BITS'((D3 % MODULUS + MODULUS) % MODULUS - MODULUS);
        3'd4: wrapped = value + BITS'((D4 % MODULUS + MODULUS) % MODULUS - MODULUS);
        default: wrapped = value + BITS'((D5 % MODULUS + MODULUS) % MODULUS - MODULUS);
      endcase
    end
    always_ff @(posedge clk) begin
      if (!rst_n) value <= BITS'((START % MODULUS + MODULUS) % MODULUS);
      else if (step) value <= wrapped < 0 ? wrapped + BITS'(MODULUS) : wrapped;
    end
    wire unused_up = up;
  end else begin : g_linear
    // A power of two needs no more than as many bits.
    localparam int KEPT = MODULUS > 1 ? $clog2(MODULUS) : MODULUS == 1 ? 1 : BITS;
    logic signed [KEPT-1:0] kept, move, move_up;

    always_comb begin
      case (level)
        3'd0: {move, move_up} = {KEPT'(D0), KEPT'(D0 + 1)};
        3'd1: {move, move_up} = {KEPT'(D1), KEPT'(D1 + 1)};
        3'd2: {move, move_up} = {KEPT'(D2), KEPT'(D2 + 1)};
        3'd3: {move, move_up} = {KEPT'(D3), KEPT'(D3 + 1)};
        3'd4: {move, move_up} = {KEPT'(D4), KEPT'(D4 + 1)};
        default: {move, move_up} = {KEPT'(D5), KEPT'(D5 + 1)};
      endcase
    end
    always_ff @(posedge clk) begin
      if (!rst_n) kept <= KEPT'(START);
      else if (step || up) kept <= kept + (up ? step ? move_up : KEPT'(1) : move);
    end
    assign value = MODULUS == 0 ? BITS'(kept) : BITS'($unsigned(kept));
  end
endmodule
`default_nettype wire

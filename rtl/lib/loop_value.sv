// SPDX-License-Identifier: Apache-2.0
// START + i0 * S0 + ... + i4 * S4 over the turns i0..i4 of a loop_nest with counts N0..N4, without a multiplier: one
// addition of a constant a step, chosen by the nest's level. When the nest starts anew, the value goes back to START,
// moved on by S5. With MODULUS > 0 the value is kept modulo MODULUS. BITS: signed, enough for 2 * MODULUS.
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

  logic signed [BITS-1:0] start;

  if (MODULUS > 0) begin : g_modulo
    localparam int D0 = (S0 % MODULUS + MODULUS) % MODULUS;
    localparam int D1 = ((S1 - T0) % MODULUS + MODULUS) % MODULUS;
    localparam int D2 = ((S2 - T1) % MODULUS + MODULUS) % MODULUS;
    localparam int D3 = ((S3 - T2) % MODULUS + MODULUS) % MODULUS;
    localparam int D4 = ((S4 - T3) % MODULUS + MODULUS) % MODULUS;
    localparam int D5 = ((S5 - T4) % MODULUS + MODULUS) % MODULUS;
    logic signed [BITS-1:0] wrapped;

    // The sum less MODULUS, in one addition: its sign says whether the sum has to wrap.
    always_comb begin
      case (level)
        3'd0: wrapped = value + BITS'(D0 - MODULUS);
        3'd1: wrapped = value + BITS'(D1 - MODULUS);
        3'd2: wrapped = value + BITS'(D2 - MODULUS);
        3'd3: wrapped = value + BITS'(D3 - MODULUS);
        3'd4: wrapped = value + BITS'(D4 - MODULUS);
        default: wrapped = value + BITS'(D5 - MODULUS);
      endcase
    end
    assign start = BITS'((START % MODULUS + MODULUS) % MODULUS);
    always_ff @(posedge clk) begin
      if (!rst_n) value <= start;
      else if (step) value <= wrapped < 0 ? wrapped + BITS'(MODULUS) : wrapped;
    end
  end else begin : g_linear
    assign start = BITS'(START);
    always_ff @(posedge clk) begin
      if (!rst_n) begin
        value <= start;
      end else if (step) begin
        case (level)
          3'd0: value <= value + BITS'(S0);
          3'd1: value <= value + BITS'(S1 - T0);
          3'd2: value <= value + BITS'(S2 - T1);
          3'd3: value <= value + BITS'(S3 - T2);
          3'd4: value <= value + BITS'(S4 - T3);
          default: value <= value + BITS'(S5 - T4);
        endcase
      end
    end
  end
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
// Registered signed product: p = the low P_BITS of a * b, one cycle with en later. DSP 1 asks for a DSP slice, 0 for
// LUTs (Yosys heeds only its own -nodsp). P_BITS beyond A_BITS + B_BITS only repeat the sign.
`default_nettype none
module multiplier #(
  parameter int A_BITS = 8,
  parameter int B_BITS = 8,
  parameter int P_BITS = 16,
  parameter int DSP = 0
) (
  input  wire  clk,
  input  wire  en,
  input  wire  [A_BITS-1:0] a,
  input  wire  [B_BITS-1:0] b,
  output logic [P_BITS-1:0] p
);
  if (A_BITS < 1 || B_BITS < 1 || P_BITS < 1) begin : g_bad_bits
    $fatal(1, "multiplier %m: A_BITS=%0d, B_BITS=%0d and P_BITS=%0d must be at least 1", A_BITS, B_BITS, P_BITS);
  end

  logic [P_BITS-1:0] product;

  // Modulo 2**P_BITS, operands cut or sign-extended to P_BITS give the same product.
  wire unused_high_bits = &{1'b0, a, b};
  assign product = P_BITS'($signed(a)) * P_BITS'($signed(b));

  // An attribute must be a literal, hence two declarations.
  if (DSP != 0) begin : g_dsp
    (* use_dsp = "yes" *) logic [P_BITS-1:0] p_q;
    always_ff @(posedge clk) if (en) p_q <= product;
    assign p = p_q;
  end else begin : g_lut
    (* use_dsp = "no" *) logic [P_BITS-1:0] p_q;
    always_ff @(posedge clk) if (en) p_q <= product;
    assign p = p_q;
  end
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
// The LUT of an ECP5 as a look-up in its contents, for Verilator; see luts.v.

module LUT4 #(
  parameter [15:0] INIT = 0
) (
  output Z,
  input  A, B, C, D
);
  assign Z = INIT[{D, C, B, A}];
endmodule

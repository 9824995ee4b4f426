// SPDX-License-Identifier: Apache-2.0
// Running sums in DEPTH places of LANES numbers: sums = terms + what place addr holds, or terms alone with first.
// A step keeps sums in that place. Combinational from addr to sums; modulo 2**BITS, so a sum that fits in the end may
// leave the range on its way. The places are LUT RAM, or registers where there is one.
`default_nettype none
module running_sum #(
  parameter int BITS = 8,
  parameter int LANES = 1,
  parameter int DEPTH = 1
) (
  input  wire  clk,
  input  wire  step,
  input  wire  first,
  input  wire  [(DEPTH > 1 ? $clog2(DEPTH) : 1)-1:0] addr,
  input  wire  [BITS*LANES-1:0] terms,
  output logic [BITS*LANES-1:0] sums
);
  if (BITS < 1 || LANES < 1 || DEPTH < 1) begin : g_bad_shape
    $fatal(1, "running_sum %m: BITS=%0d, LANES=%0d and DEPTH=%0d must be at least 1", BITS, LANES, DEPTH);
  end

  logic [BITS*LANES-1:0] kept;

  if (DEPTH > 1) begin : g_memory
    (* ram_style = "distributed" *) logic [BITS*LANES-1:0] mem[DEPTH];

    assign kept = mem[addr];
    always_ff @(posedge clk) if (step) mem[addr] <= sums;
  end else begin : g_register
    wire unused_addr = addr;

    always_ff @(posedge clk) if (step) kept <= sums;
  end

  for (genvar i = 0; i < LANES; i++) begin : g_lane
    assign sums[i*BITS+:BITS] = terms[i*BITS+:BITS] + (first ? '0 : kept[i*BITS+:BITS]);
  end
endmodule
`default_nettype wire

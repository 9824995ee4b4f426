// SPDX-License-Identifier: Apache-2.0
// Designs small enough to count by hand: KIND chooses one.
`default_nettype none
module tiny #(
  parameter int KIND = 0,
  parameter int DSP = 1,
  parameter FILE = "rom.mem"
) (
  input  wire  clk,
  input  wire  write,
  input  wire  [4:0] address,
  input  wire  signed [63:0] a,
  input  wire  signed [63:0] b,
  output logic signed [63:0] y
);
  if (KIND == 0) begin : g_xor
    assign y = a ^ b;
  end else if (KIND == 1) begin : g_sum
    always_ff @(posedge clk) y <= 64'(a[15:0] + b[15:0]);
  end else if (KIND == 2) begin : g_ram
    (* ram_style = "distributed" *) logic [5:0] mem[32];
    always_ff @(posedge clk) if (write) mem[b[4:0]] <= a[5:0];
    assign y = 64'(mem[address]);
  end else if (KIND == 3) begin : g_product
    always_ff @(posedge clk) y <= 64'($signed(a[17:0]) * $signed(b[17:0]));
  end else if (KIND == 4) begin : g_rom
    logic [7:0] mem[32];
    initial $readmemh(FILE, mem);
    always_ff @(posedge clk) y <= 64'(mem[address]);
  end else begin : g_bad_kind
    $fatal(1, "tiny %m: KIND=%0d must be 0 to 4", KIND);
  end
endmodule
`default_nettype wire

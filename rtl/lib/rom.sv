// SPDX-License-Identifier: Apache-2.0
// ROM of DEPTH words of WIDTH bits from a $readmemh FILE; registered read: data follows addr by one cycle with en.
// BLOCK 1 asks for block RAM, 0 for LUTs.
`default_nettype none
module rom #(
  parameter int WIDTH = 1,
  parameter int DEPTH = 1,
  parameter int BLOCK = 0,
  parameter FILE = ""
) (
  input  wire  clk,
  input  wire  en,
  input  wire  [(DEPTH > 1 ? $clog2(DEPTH) : 1)-1:0] addr,
  output logic [WIDTH-1:0] data
);
  if (WIDTH < 1 || DEPTH < 1) begin : g_bad_shape
    $fatal(1, "rom %m: WIDTH=%0d and DEPTH=%0d must be at least 1", WIDTH, DEPTH);
  end

  // An attribute must be a literal, hence two declarations.
  if (BLOCK != 0) begin : g_block
    (* rom_style = "block" *) logic [WIDTH-1:0] mem[DEPTH];
    initial $readmemh(FILE, mem);
    always_ff @(posedge clk) if (en) data <= mem[addr];
  end else begin : g_lut
`ifdef YOSYS
    (* rom_style = "logic" *)  // what Yosys calls a ROM in LUTs
`else
    (* rom_style = "distributed" *)
`endif
    logic [WIDTH-1:0] mem[DEPTH];
    initial $readmemh(FILE, mem);
    always_ff @(posedge clk) if (en) data <= mem[addr];
  end
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
// RAM of DEPTH words of WIDTH bits with one write port and one read port; registered read: read_data follows
// read_addr by one cycle with read_en, and is undefined where that address is written in the same cycle.
// Block RAM where it is deeper than 128 words and larger than 8192 bits, else LUT RAM: 18 kilobits of block RAM stand
// for 190 to 370 LUTs of a chip. ir/primitives.py knows the rule.
`default_nettype none
module sdp_ram #(
  parameter int WIDTH = 1,
  parameter int DEPTH = 1
) (
  input  wire  clk,
  input  wire  write_en,
  input  wire  [(DEPTH > 1 ? $clog2(DEPTH) : 1)-1:0] write_addr,
  input  wire  [WIDTH-1:0] write_data,
  input  wire  read_en,
  input  wire  [(DEPTH > 1 ? $clog2(DEPTH) : 1)-1:0] read_addr,
  output logic [WIDTH-1:0] read_data
);
  if (WIDTH < 1 || DEPTH < 1) begin : g_bad_shape
    $fatal(1, "sdp_ram %m: WIDTH=%0d and DEPTH=%0d must be at least 1", WIDTH, DEPTH);
  end

  // An attribute must be a literal, hence two declarations.
  if (DEPTH > 128 && DEPTH * WIDTH > 8192) begin : g_block
    (* ram_style = "block" *) logic [WIDTH-1:0] mem[DEPTH];
    always_ff @(posedge clk) if (write_en) mem[write_addr] <= write_data;
    always_ff @(posedge clk) if (read_en) read_data <= mem[read_addr];
  end else begin : g_lut
    (* ram_style = "distributed" *) logic [WIDTH-1:0] mem[DEPTH];
    always_ff @(posedge clk) if (write_en) mem[write_addr] <= write_data;
    always_ff @(posedge clk) if (read_en) read_data <= mem[read_addr];
  end
endmodule
`default_nettype wire

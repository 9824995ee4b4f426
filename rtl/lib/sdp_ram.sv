// SPDX-License-Identifier: Apache-2.0
// RAM of DEPTH words of WIDTH bits with one write port and one read port; registered read: read_data follows
// read_addr by one cycle with read_en, and is undefined where that address is written in the same cycle.
// The synthesis tool chooses block RAM or LUT RAM by size.
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

  logic [WIDTH-1:0] mem[DEPTH];

  always_ff @(posedge clk) if (write_en) mem[write_addr] <= write_data;
  always_ff @(posedge clk) if (read_en) read_data <= mem[read_addr];
endmodule
`default_nettype wire

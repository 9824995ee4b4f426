// SPDX-License-Identifier: Apache-2.0
// RAM of 2^ADDRESS_BITS words of 32 bits with two ports, each of which reads or writes whole words, or bytes of them.
//
// A port does what it does in a cycle in which it is enabled; read_data follows in the next, and keeps its value while
// the port is not enabled or writes. What one port reads while the other writes it is undefined, and so is what both
// write. A byte is a memory of its own, as wide as the true dual-port shape of block RAM that has the most words.
`default_nettype none
module ram_true_dual #(
  parameter int ADDRESS_BITS = 11
) (
  input  wire  clk,
  input  wire  a_enable,
  input  wire  [3:0] a_write,
  input  wire  [ADDRESS_BITS-1:0] a_address,
  input  wire  [31:0] a_write_data,
  output logic [31:0] a_read_data,
  input  wire  b_enable,
  input  wire  [3:0] b_write,
  input  wire  [ADDRESS_BITS-1:0] b_address,
  input  wire  [31:0] b_write_data,
  output logic [31:0] b_read_data
);
  if (ADDRESS_BITS < 1) begin : g_bad_bits
    $fatal(1, "ram_true_dual %m: ADDRESS_BITS=%0d must be at least 1", ADDRESS_BITS);
  end

  for (genvar i = 0; i < 4; i++) begin : g_byte
    // no_rw_check tells Yosys what the head says of collisions; without it it finds no memory that does as this text.
    (* ram_style = "block", no_rw_check *) logic [7:0] mem[1 << ADDRESS_BITS];

    always @(posedge clk) begin
      if (a_enable) begin
        if (a_write[i]) mem[a_address] <= a_write_data[8*i+:8];
        else a_read_data[8*i+:8] <= mem[a_address];
      end
    end
    always @(posedge clk) begin
      if (b_enable) begin
        if (b_write[i]) mem[b_address] <= b_write_data[8*i+:8];
        else b_read_data[8*i+:8] <= mem[b_address];
      end
    end
  end
endmodule
`default_nettype wire

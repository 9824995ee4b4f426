// SPDX-License-Identifier: Apache-2.0
// CRC-16/CCITT-FALSE of bytes: x^16 + x^12 + x^5 + 1, from 0xFFFF, highest bit first, nothing reflected or inverted.
// "123456789" gives 0x29B1.
//
// `clear` begins anew, `step` takes a byte into the register; two levels of LUT4: with x = data ^ crc[15:8] and
// y = x ^ x / 16, the next value is crc * 256 ^ y * 4096 ^ y * 32 ^ y.
`default_nettype none
module crc16 (
  input  wire  clk,
  input  wire  clear,
  input  wire  step,
  input  wire  [7:0] data,
  output logic [15:0] crc
);
  logic [7:0] x, y;

  assign x = data ^ crc[15:8];
  assign y = x ^ {4'd0, x[7:4]};

  always_ff @(posedge clk) begin
    if (clear) crc <= 16'hffff;
    else if (step) crc <= {crc[7:0], 8'd0} ^ {y[3:0], 12'd0} ^ {3'd0, y, 5'd0} ^ {8'd0, y};
  end
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
// Reset of a board without a processor: rst_n is 0 until `locked` has been 1 and `button` 0 for 2^BITS clocks on end.
//
// Both come from outside of the clock, and pass two registers. rst_n comes from a register, also where the clock begins
// late: registers of an FPGA start at 0.
`default_nettype none
module board_reset #(
  parameter int BITS = 16
) (
  input  wire  clk,
  input  wire  locked,
  input  wire  button,
  output logic rst_n
);
  if (BITS < 2) begin : g_bad_bits
    $fatal(1, "board_reset %m: BITS=%0d must be at least 2", BITS);
  end

  logic [1:0] good_q;
  logic [BITS:0] count_q;

  // Without a reset of its own it has to be told what it starts with.
  initial begin
    good_q = '0;
    count_q = '0;
    rst_n = 1'b0;
  end

  always @(posedge clk) begin
    good_q <= {good_q[0], locked && !button};
    if (!good_q[1]) count_q <= '0;
    else if (!count_q[BITS]) count_q <= count_q + 1'b1;
    rst_n <= count_q[BITS] && good_q[1];
  end
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
// UART transmitter, 8 data bits, no parity, one stop bit, least significant bit first; CLOCKS clocks a bit.
//
// A byte is taken when s_tvalid and s_tready meet; its start bit begins with the next cycle and its stop bit ends
// 10 * CLOCKS cycles later, with s_tready high in the last of them: bytes follow each other without a gap. txd comes
// from a register, and is 1 in reset and between bytes.
`default_nettype none
module uart_tx #(
  parameter int CLOCKS = 60
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  [7:0] s_tdata,
  input  wire  s_tvalid,
  output logic s_tready,
  output logic txd
);
  localparam int TIMER_BITS = $clog2(CLOCKS);

  if (CLOCKS < 2) begin : g_bad_clocks
    $fatal(1, "uart_tx %m: CLOCKS=%0d must be at least 2 a bit", CLOCKS);
  end

  logic [TIMER_BITS-1:0] timer_q;  // clocks that the bit still lasts, after this one
  logic [8:0] bits_q;  // what is still to be sent behind txd, and above it ones
  logic [3:0] left_q;  // bits behind the one on the line

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      txd <= 1'b1;
      s_tready <= 1'b1;
      timer_q <= '0;
      left_q <= '0;
    end else if (s_tready) begin
      if (s_tvalid) begin
        txd <= 1'b0;
        s_tready <= 1'b0;
        timer_q <= TIMER_BITS'(CLOCKS - 1);
        left_q <= 4'd9;
      end
    end else begin
      s_tready <= timer_q == TIMER_BITS'(1) && left_q == '0;
      if (timer_q != '0) begin
        timer_q <= timer_q - 1'b1;
      end else begin
        timer_q <= TIMER_BITS'(CLOCKS - 1);
        left_q <= left_q - 1'b1;
        txd <= bits_q[0];
      end
    end
  end

  always_ff @(posedge clk) begin
    if (s_tready) bits_q <= {1'b1, s_tdata};
    else if (timer_q == '0) bits_q <= {1'b1, bits_q[8:1]};
  end
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
// Properties of uart_tx: the line is compared with a frame that is counted out here, clock by clock.
`default_nettype none
module uart_tx_props #(
  parameter int CLOCKS = 3
) (
  input wire clk
);
  (* anyseq *) logic rst_n, s_tvalid;
  (* anyseq *) logic [7:0] s_tdata;
  logic s_tready, txd;

  always @* if ($initstate) assume (!rst_n);

  uart_tx #(.CLOCKS(CLOCKS)) dut (
    .clk(clk), .rst_n(rst_n), .s_tdata(s_tdata), .s_tvalid(s_tvalid), .s_tready(s_tready), .txd(txd)
  );

  // place: the bit of the frame that is on the line, 0 to 9, and clock: the place in it.
  logic sending, follows;
  logic [3:0] place;
  logic [7:0] clock, word;
  logic [15:0] frame;
  assign frame = {7'h7f, word, 1'b0};

  always_ff @(posedge clk) begin
    follows <= rst_n && sending && s_tvalid && s_tready;
    if (s_tvalid && s_tready) begin
      sending <= 1'b1;
      word <= s_tdata;
      place <= '0;
      clock <= '0;
    end else if (sending) begin
      clock <= int'(clock) == CLOCKS - 1 ? '0 : clock + 1'b1;
      if (int'(clock) == CLOCKS - 1) place <= place + 1'b1;
      if (int'(clock) == CLOCKS - 1 && place == 9) sending <= 1'b0;
    end
    if (!rst_n) sending <= 1'b0;
  end

  always @* begin
    if (rst_n && !$initstate) begin
      // a byte leaves as a start bit, its bits from the lowest on and a stop bit, each CLOCKS clocks long
      frame_sent: assert (!sending || txd == frame[place]);
      // the line is 1 while nothing is sent
      line_rests: assert (sending || txd);
      // a byte is taken while nothing is sent, and in the last clock of a stop bit, and never else
      takes: assert (s_tready == (!sending || place == 9 && int'(clock) == CLOCKS - 1));

      ends: cover (sending && place == 9 && int'(clock) == CLOCKS - 1 && word == 8'h5a);
      back_to_back: cover (follows && place == 0);
    end
  end
endmodule
`default_nettype wire

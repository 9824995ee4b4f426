// SPDX-License-Identifier: Apache-2.0
// Properties of uart_rx, whose line is driven by a sender of any bytes: with any pauses, with stop bits that are 0, and
// with a clock that is off, so that up to SLIPS bits of a frame are a clock shorter (FASTER) or longer than CLOCKS.
`default_nettype none
module uart_rx_props #(
  parameter int CLOCKS = 8,
  parameter int SLIPS = 1,
  parameter int FASTER = 0
) (
  input wire clk
);
  (* anyseq *) logic begins, slips, stop_bit;
  (* anyseq *) logic [7:0] next_word;
  logic rst_n, rxd, m_tuser, m_tvalid;
  logic [7:0] m_tdata;

  // The line rests while the receiver is in reset, until both of its synchroniser's registers have seen that.
  logic [1:0] since;
  always @* if ($initstate) assume (since == '0);
  always_ff @(posedge clk) if (since != 2'd3) since <= since + 1'b1;
  assign rst_n = since == 2'd3;

  uart_rx #(.CLOCKS(CLOCKS)) dut (
    .clk(clk), .rst_n(rst_n), .rxd(rxd), .m_tdata(m_tdata), .m_tuser(m_tuser), .m_tvalid(m_tvalid)
  );

  // place: the bit of the frame that is on the line, 0 to 9; left: clocks that it still lasts.
  logic sending, rested, stop;
  logic [3:0] place;
  logic [7:0] left, word, slipped;
  logic [15:0] frame;
  assign frame = {6'h3f, stop, word, 1'b0};
  assign rxd = sending ? frame[place] : 1'b1;

  function automatic logic [7:0] lasts(input logic slip);
    lasts = 8'(CLOCKS - 1) + (slip ? (FASTER != 0 ? 8'hff : 8'h01) : 8'h00);
  endfunction

  always_ff @(posedge clk) begin
    rested <= rxd;
    if (!rst_n) sending <= 1'b0;
    else if (sending && left != '0) left <= left - 1'b1;
    else if (sending && place != 4'd9) begin
      place <= place + 1'b1;
      left <= lasts(slips && int'(slipped) < SLIPS);
      if (slips && int'(slipped) < SLIPS) slipped <= slipped + 1'b1;
    end else if (begins && rxd) begin
      sending <= 1'b1;
      place <= '0;
      left <= lasts(1'b0);
      slipped <= '0;
      word <= next_word;
      stop <= stop_bit;
    end else sending <= 1'b0;
  end
  always @* if ($initstate) assume (!sending);

  // Whether a frame's stop bit has begun, and its byte not been given; and how many were.
  logic due, came, stop_begins;
  logic [7:0] due_word;
  logic due_stop;
  assign stop_begins = sending && place == 4'd8 && left == '0;
  always_ff @(posedge clk) begin
    if (!rst_n) due <= 1'b0;
    else if (stop_begins) due <= 1'b1;
    else if (m_tvalid) due <= 1'b0;
    if (stop_begins) {due_word, due_stop} <= {word, stop};
    came <= rst_n && m_tvalid;
  end

  always @* begin
    if (rst_n && !$initstate) begin
      // a byte is given only for a frame, once, and not before its stop bit
      once: assert (!m_tvalid || due);
      // it is the byte that was sent, unless the stop bit was 0
      byte_sent: assert (!m_tvalid || m_tuser || m_tdata == due_word);
      // a stop bit that was 0 is a framing error, and nothing else is
      framing: assert (!m_tvalid || m_tuser == !due_stop);
      // it has been given when the next frame's start bit is in its middle
      in_time: assert (!(due && sending && place == 4'd0 && int'(left) <= CLOCKS / 2));

      whole: cover (m_tvalid && !m_tuser && m_tdata == 8'h5a);
      broken: cover (m_tvalid && m_tuser && m_tdata == 8'ha5);
      back_to_back: cover (came && sending && place == 4'd0);
    end
  end
endmodule
`default_nettype wire

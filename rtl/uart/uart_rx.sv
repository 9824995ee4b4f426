// SPDX-License-Identifier: Apache-2.0
// UART receiver, 8 data bits, no parity, one stop bit, least significant bit first; CLOCKS clocks a bit.
//
// The line is sampled three times about the middle of every bit, a CLOCKS/8 apart, and the majority counts. A start bit
// that is 0 there is one; a shorter pulse is noise and forgotten. m_tvalid is high for one cycle, in the middle of the
// stop bit: m_tdata is the byte, m_tuser whether the stop bit was 0 (a framing error, whose byte is worth nothing).
// After that the next start bit is looked for once the line has been 1, so that a break is one error, however long.
// The rest of the stop bit is not waited for, so a sender may be 2 % faster or slower, and 3 % from 16 clocks a bit on.
`default_nettype none
module uart_rx #(
  parameter int CLOCKS = 60
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  rxd,
  output logic [7:0] m_tdata,
  output logic m_tuser,
  output logic m_tvalid
);
  localparam int STEP = CLOCKS < 16 ? 1 : CLOCKS / 8;
  // Timer at a bit's last sample: two cycles before it is taken, and one more as edges are seen up to a cycle late.
  localparam int LAST = CLOCKS / 2 + STEP - 3;
  localparam int TIMER_BITS = $clog2(CLOCKS);

  if (CLOCKS < 8) begin : g_bad_clocks
    $fatal(1, "uart_rx %m: CLOCKS=%0d must be at least 8 a bit", CLOCKS);
  end

  logic meta_q, line_q, busy_q, armed_q, sample_q, last_q, value;
  logic [TIMER_BITS-1:0] timer_q;  // place in the bit
  logic [3:0] bit_q;  // 0 start, 1 to 8 data, 9 stop
  logic [1:0] seen_q;  // the two samples before

  assign value = seen_q[0] && seen_q[1] || line_q && (seen_q[0] || seen_q[1]);

  always_ff @(posedge clk) begin
    meta_q <= rxd;
    line_q <= meta_q;
  end

  // sample_q and last_q belong to the cycle that they are seen in: they are decided a cycle before.
  always_ff @(posedge clk) begin
    if (!rst_n) begin
      busy_q <= 1'b0;
      armed_q <= 1'b0;
      sample_q <= 1'b0;
      last_q <= 1'b0;
      m_tvalid <= 1'b0;
    end else begin
      sample_q <= busy_q && (timer_q == TIMER_BITS'(LAST - 2 * STEP) || timer_q == TIMER_BITS'(LAST - STEP));
      last_q <= busy_q && timer_q == TIMER_BITS'(LAST);
      m_tvalid <= last_q && bit_q == 4'd9;
      armed_q <= line_q;
      if (busy_q) begin
        // Noise where a start bit should be, or the middle of the stop bit.
        if (last_q && (bit_q == 4'd9 || bit_q == 4'd0 && value)) busy_q <= 1'b0;
      end else begin
        busy_q <= armed_q && !line_q;
      end
    end
  end

  always_ff @(posedge clk) begin
    if (!busy_q) begin
      timer_q <= '0;
      bit_q <= '0;
    end else if (timer_q == TIMER_BITS'(CLOCKS - 1)) begin
      timer_q <= '0;
      bit_q <= bit_q + 1'b1;
    end else begin
      timer_q <= timer_q + 1'b1;
    end
    if (sample_q) seen_q <= {seen_q[0], line_q};
    if (last_q) begin
      if (bit_q != 4'd9) m_tdata <= {value, m_tdata[7:1]};
      m_tuser <= !value;
    end
  end
endmodule
`default_nettype wire

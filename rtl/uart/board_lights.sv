// SPDX-License-Identifier: Apache-2.0
// LEDs of a board: a heartbeat, what moves and what went wrong.
//
// lights[0] blinks, 2^BITS clocks on and as long off. lights[1+i] is on from an event i on for 2^(BITS-3) to 2^(BITS-2)
// clocks after the last one, so that a single cycle shows; lights[1+MOVES+i] is on from failure i until the reset.
`default_nettype none
module board_lights #(
  parameter int MOVES = 3,
  parameter int FAILURES = 2,
  parameter int BITS = 25
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  [MOVES-1:0] moves,
  input  wire  [FAILURES-1:0] failures,
  output logic [MOVES+FAILURES:0] lights
);
  if (MOVES < 1 || FAILURES < 1 || BITS < 4) begin : g_bad_shape
    $fatal(1, "board_lights %m: MOVES=%0d and FAILURES=%0d must be at least 1, BITS=%0d 4", MOVES, FAILURES, BITS);
  end

  logic [BITS:0] time_q;
  logic [MOVES-1:0] moved_q, before_q;
  logic [FAILURES-1:0] failed_q;
  logic tick_q;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      time_q <= '0;
      tick_q <= 1'b0;
      moved_q <= '0;
      before_q <= '0;
      failed_q <= '0;
    end else begin
      time_q <= time_q + 1'b1;
      tick_q <= time_q[BITS-3:0] == '0;
      moved_q <= tick_q ? moves : moved_q | moves;
      if (tick_q) before_q <= moved_q;
      failed_q <= failed_q | failures;
    end
    lights <= {failed_q, moved_q | before_q, time_q[BITS]};
  end
endmodule
`default_nettype wire

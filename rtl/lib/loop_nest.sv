// SPDX-License-Identifier: Apache-2.0
// Five nested loops, N0 innermost; level says how many of them, from the inside, are in their last turn (0 to 5), so
// a step advances loop number level and takes the inner ones back to their start; at 5 the whole nest starts anew.
`default_nettype none
module loop_nest #(
  parameter int N0 = 1,
  parameter int N1 = 1,
  parameter int N2 = 1,
  parameter int N3 = 1,
  parameter int N4 = 1
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  step,
  output logic [2:0] level
);
  logic [4:0] last, carry;

  assign carry = {carry[3:0] & last[3:0], step};

  // last comes from registers: five comparisons and what hangs on them in one cycle make the longest paths of a unit.
  for (genvar i = 0; i < 5; i++) begin : g_loop
    localparam int COUNT = i == 0 ? N0 : i == 1 ? N1 : i == 2 ? N2 : i == 3 ? N3 : N4;
    localparam int BITS = COUNT > 1 ? $clog2(COUNT) : 1;

    if (COUNT > 1) begin : g_turns
      logic [BITS-1:0] turn_q;

      always_ff @(posedge clk) begin
        if (!rst_n) {turn_q, last[i]} <= '0;
        else if (carry[i]) {turn_q, last[i]} <= {last[i] ? '0 : turn_q + 1'b1, turn_q == BITS'(COUNT - 2)};
      end
    end else begin : g_single
      wire unused_step = &{1'b0, clk, rst_n, carry[i]};

      assign last[i] = 1'b1;
    end
  end

  always_comb begin
    if (!last[0]) level = 3'd0;
    else if (!last[1]) level = 3'd1;
    else if (!last[2]) level = 3'd2;
    else if (!last[3]) level = 3'd3;
    else if (!last[4]) level = 3'd4;
    else level = 3'd5;
  end
endmodule
`default_nettype wire

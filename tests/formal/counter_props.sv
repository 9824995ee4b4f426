// SPDX-License-Identifier: Apache-2.0
// Properties of counter; every input is free in every cycle.
`default_nettype none
module counter_props #(
  parameter int COUNT = 3
) (
  input wire clk
);
  localparam int BITS = COUNT > 1 ? $clog2(COUNT) : 1;

  (* anyseq *) logic rst_n, step;
  logic [BITS-1:0] value;
  logic last;

  always @* if ($initstate) assume (!rst_n);

  counter #(.COUNT(COUNT)) dut (.clk(clk), .rst_n(rst_n), .step(step), .value(value), .last(last));

  logic after_reset, stepped, was_last;
  logic [BITS-1:0] value_q;
  always_ff @(posedge clk) begin
    after_reset <= !rst_n;
    stepped <= step;
    value_q <= value;
    was_last <= last;
  end

  always @* begin
    if (rst_n && !$initstate) begin
      // value stays below COUNT
      below_count: assert (int'(value) < COUNT);
      // last marks COUNT - 1 and nothing else
      last_marks: assert (last == (int'(value) == COUNT - 1));
      // value starts at 0
      starts: assert (!after_reset || value == 0);
      // a step goes one on, or from last to 0; without a step nothing moves
      moves: assert (after_reset || int'(value) == (!stepped ? int'(value_q) : was_last ? 0 : int'(value_q) + 1));

      wraps: cover (!after_reset && was_last && stepped && value == 0);
    end
  end
endmodule
`default_nettype wire

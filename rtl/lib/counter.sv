// SPDX-License-Identifier: Apache-2.0
// Modulo counter: value runs through 0..COUNT-1, one on in every cycle with step; last marks COUNT-1.
// Nested loops are counters whose step is the step of the next inner one together with its last.
`default_nettype none
module counter #(
  parameter int COUNT = 2
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  step,
  output logic [(COUNT > 1 ? $clog2(COUNT) : 1)-1:0] value,
  output logic last
);
  if (COUNT < 1) begin : g_bad_count
    $fatal(1, "counter %m: COUNT=%0d must be at least 1", COUNT);
  end

  localparam int BITS = COUNT > 1 ? $clog2(COUNT) : 1;

  assign last = value == BITS'(COUNT - 1);

  always_ff @(posedge clk) begin
    if (!rst_n) value <= '0;
    else if (step) value <= last ? '0 : value + 1'b1;
  end
endmodule
`default_nettype wire

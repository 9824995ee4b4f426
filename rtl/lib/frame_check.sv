// SPDX-License-Identifier: Apache-2.0
// Stops a simulation when tlast does not mark exactly every BEATS-th handshake of a stream; empty in synthesis.
`default_nettype none
module frame_check #(
  parameter int BEATS = 1
) (
  input wire clk,
  input wire rst_n,
  input wire tvalid,
  input wire tready,
  input wire tlast
);
  if (BEATS < 1) begin : g_bad_beats
    $fatal(1, "frame_check %m: BEATS=%0d must be at least 1", BEATS);
  end

`ifndef SYNTHESIS
  logic last;
  logic [(BEATS > 1 ? $clog2(BEATS) : 1)-1:0] beat;

  counter #(.COUNT(BEATS)) u_beat (
    .clk(clk), .rst_n(rst_n), .step(tvalid && tready), .value(beat), .last(last)
  );

  always_ff @(posedge clk) begin
    if (rst_n && tvalid && tready && tlast != last) begin
      $fatal(1, "frame_check %m: tlast=%0d on beat %0d of a frame of %0d beats", tlast, beat, BEATS);
    end
  end
`else
  wire unused_inputs = &{1'b0, clk, rst_n, tvalid, tready, tlast};
`endif
endmodule
`default_nettype wire

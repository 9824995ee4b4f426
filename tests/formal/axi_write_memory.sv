// SPDX-License-Identifier: Apache-2.0
// Any memory that keeps the rules of AXI4 towards a master that writes with one ID: what is assumed of it.
//
// left: beats still to be taken of every burst whose address was offered, the oldest first; 0 where there is none.
// written: bursts without a response all of whose beats were taken; named: bursts without a response whose address was.
// The memory answers a burst when both are so, in order. It may take data before their address.
`default_nettype none
module axi_write_memory (
  input  wire clk,
  input  wire rst_n,
  input  wire [7:0] awlen,
  input  wire awvalid,
  input  wire awready,
  input  wire wvalid,
  input  wire wready,
  input  wire [1:0] bresp,
  input  wire bvalid,
  input  wire bready,
  output logic [9*3-1:0] left,
  output logic [15:0] beats,
  output logic [15:0] written,
  output logic [15:0] named
);
  logic aw_stuck, b_stuck, sent, answered, first;
  logic [1:0] b_q;
  logic [9*3-1:0] left_q, after;
  assign sent = wvalid && wready;
  assign answered = bvalid && bready;
  assign first = awvalid && !aw_stuck;
  assign beats = 16'(left[8:0]) + 16'(left[17:9]) + 16'(left[26:18]);

  always_comb begin
    left = left_q;
    if (first) begin
      if (left_q[8:0] == 0) left[8:0] = 9'(awlen) + 1'b1;
      else if (left_q[17:9] == 0) left[17:9] = 9'(awlen) + 1'b1;
      else left[26:18] = 9'(awlen) + 1'b1;
    end
    after = left;
    if (sent) after[8:0] = left[8:0] - 1'b1;
    if (sent && left[8:0] == 1) after = left >> 9;
  end

  always_ff @(posedge clk) begin
    left_q <= rst_n ? after : '0;
    written <= written + 16'(sent && left[8:0] == 1) - 16'(answered);
    named <= named + 16'(awvalid && awready) - 16'(answered);
    if (!rst_n) {written, named} <= '0;
    aw_stuck <= rst_n && awvalid && !awready;
    b_stuck <= rst_n && bvalid && !bready;
    b_q <= bresp;
  end

  always @* begin
    if (rst_n && !$initstate) begin
      assume (!bvalid || written != 0 && named != 0);
      assume (!b_stuck || bvalid && bresp == b_q);
    end
  end
endmodule
`default_nettype wire

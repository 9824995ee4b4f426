// SPDX-License-Identifier: Apache-2.0
// The rules of AXI4 for a master that writes with one ID, and what this one adds to them; left, written and named are
// axi_write_memory's.
`default_nettype none
module axi_write_rules #(
  parameter int BUS_BITS = 32,
  parameter int BURST = 4,
  parameter int OUTSTANDING = 2
) (
  input wire clk,
  input wire rst_n,
  input wire [63:0] awaddr,
  input wire [7:0] awlen,
  input wire awvalid,
  input wire awready,
  input wire [BUS_BITS-1:0] wdata,
  input wire wlast,
  input wire wvalid,
  input wire wready,
  input wire bready,
  input wire [9*3-1:0] left,
  input wire [15:0] written,
  input wire [15:0] named
);
  localparam int SHIFT = $clog2(BUS_BITS / 8);

  logic aw_stuck, w_stuck, after_reset;
  logic [71:0] aw_q;
  logic [BUS_BITS:0] w_q;
  logic [12:0] bytes;
  logic [15:0] waiting;
  assign bytes = (13'(awlen) + 1'b1) << SHIFT;
  assign waiting = 16'(left[8:0] != 0) + 16'(left[17:9] != 0) + 16'(left[26:18] != 0);

  always_ff @(posedge clk) begin
    after_reset <= !rst_n;
    aw_stuck <= rst_n && awvalid && !awready;
    w_stuck <= rst_n && wvalid && !wready;
    aw_q <= {awaddr, awlen};
    w_q <= {wdata, wlast};
  end

  always @* begin
    if (rst_n && !$initstate) begin
      // AWVALID and WVALID are low after a reset
      w_reset: assert (!after_reset || !awvalid && !wvalid);
      // AWVALID stays until AWREADY
      aw_valid_holds: assert (!aw_stuck || awvalid);
      // address and length of a write stay until AWREADY
      aw_payload_holds: assert (!aw_stuck || {awaddr, awlen} == aw_q);
      // WVALID stays until WREADY
      w_valid_holds: assert (!w_stuck || wvalid);
      // data and WLAST stay until WREADY
      w_payload_holds: assert (!w_stuck || {wdata, wlast} == w_q);
      // no write burst crosses 4 KiB
      aw_page: assert (!awvalid || 13'(awaddr[11:0]) + bytes <= 4096);
      // no write burst has more than BURST beats
      aw_length: assert (!awvalid || int'(awlen) < BURST);
      // no beat is offered before the address of its burst, and none too many
      w_after_aw: assert (!wvalid || left[8:0] != 0);
      // WLAST marks the last beat of a burst
      w_last: assert (!wvalid || wlast == (left[8:0] == 1));
      // no more than OUTSTANDING write bursts wait for their response
      aw_outstanding: assert (int'(waiting) + int'(written) <= OUTSTANDING);
      // responses are always taken
      b_ready: assert (bready);

      // a burst is offered or named, and then waits for data or for its response
      inv_bursts: assert (16'(awvalid) + named == waiting + written);
    end
  end
endmodule
`default_nettype wire

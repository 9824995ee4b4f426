// SPDX-License-Identifier: Apache-2.0
// The rules of AXI4 for a master that reads with one ID, and what this one adds to them; `left` is axi_read_memory's.
`default_nettype none
module axi_read_rules #(
  parameter int BUS_BITS = 32,
  parameter int BURST = 4,
  parameter int OUTSTANDING = 2
) (
  input wire clk,
  input wire rst_n,
  input wire [63:0] araddr,
  input wire [7:0] arlen,
  input wire arvalid,
  input wire arready,
  input wire rready,
  input wire [9*(OUTSTANDING+1)-1:0] left,
  input wire [15:0] bursts
);
  localparam int SHIFT = $clog2(BUS_BITS / 8);

  logic stuck, after_reset, compact;
  logic [71:0] ar_q;
  logic [12:0] bytes;
  assign bytes = (13'(arlen) + 1'b1) << SHIFT;

  always_comb begin
    compact = 1'b1;
    for (int i = 0; i <= OUTSTANDING; i++) begin
      if (left[9*i+:9] > 9'(BURST)) compact = 1'b0;
      if (i > 0) if (left[9*i+:9] != 0 && left[9*(i-1)+:9] == 0) compact = 1'b0;
    end
  end

  always_ff @(posedge clk) begin
    after_reset <= !rst_n;
    stuck <= rst_n && arvalid && !arready;
    ar_q <= {araddr, arlen};
  end

  always @* begin
    if (rst_n && !$initstate) begin
      // ARVALID is low after a reset
      ar_reset: assert (!after_reset || !arvalid);
      // ARVALID stays until ARREADY
      ar_valid_holds: assert (!stuck || arvalid);
      // address and length of a read stay until ARREADY
      ar_payload_holds: assert (!stuck || {araddr, arlen} == ar_q);
      // no read burst crosses 4 KiB
      ar_page: assert (!arvalid || 13'(araddr[11:0]) + bytes <= 4096);
      // no read burst has more than BURST beats
      ar_length: assert (!arvalid || int'(arlen) < BURST);
      // no more than OUTSTANDING read bursts wait for their data
      ar_outstanding: assert (int'(bursts) + int'(arvalid) <= OUTSTANDING);
      // the master has room for every beat that it asked for: RREADY never keeps the memory waiting
      r_room: assert (left[8:0] == 0 || rready);

      // bursts that are outstanding stand in a row
      inv_compact: assert (compact);
    end
  end
endmodule
`default_nettype wire

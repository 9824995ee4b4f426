// SPDX-License-Identifier: Apache-2.0
// Any memory that keeps the rules of AXI4 towards a master that reads with one ID: what is assumed of it.
//
// left: beats still to come of every burst whose address was taken, the oldest first; 0 where there is none. The memory
// answers bursts in order, never before their address is taken, marks exactly the last beat, and holds what is not taken.
`default_nettype none
module axi_read_memory #(
  parameter int BUS_BITS = 32,
  parameter int OUTSTANDING = 2
) (
  input  wire clk,
  input  wire rst_n,
  input  wire [7:0] arlen,
  input  wire arvalid,
  input  wire arready,
  input  wire [BUS_BITS-1:0] rdata,
  input  wire [1:0] rresp,
  input  wire rlast,
  input  wire rvalid,
  input  wire rready,
  output logic [9*(OUTSTANDING+1)-1:0] left,
  output logic [15:0] bursts,
  output logic [15:0] beats
);
  logic r_stuck, asked, came;
  logic [BUS_BITS+2:0] r_q;
  logic [9*(OUTSTANDING+2)-1:0] queue;
  assign asked = arvalid && arready;
  assign came = rvalid && rready;

  always_comb begin
    bursts = '0;
    beats = '0;
    for (int i = 0; i <= OUTSTANDING; i++) begin
      beats = beats + 16'(left[9*i+:9]);
      if (left[9*i+:9] != 0) bursts = bursts + 1'b1;
    end
    queue = {9'd0, left};
    if (came) queue[8:0] = queue[8:0] - 1'b1;
    if (came && queue[8:0] == 0) queue = queue >> 9;
    if (asked) begin
      for (int i = 0; i <= OUTSTANDING; i++) begin
        if (16'(i) == bursts - 16'(came && left[8:0] == 1)) queue[9*i+:9] = 9'(arlen) + 1'b1;
      end
    end
  end

  always_ff @(posedge clk) begin
    left <= rst_n ? queue[9*(OUTSTANDING+1)-1:0] : '0;
    r_stuck <= rst_n && rvalid && !rready;
    r_q <= {rdata, rresp, rlast};
  end

  always @* begin
    if (rst_n && !$initstate) begin
      assume (!rvalid || left[8:0] != 0);
      assume (!rvalid || rlast == (left[8:0] == 1));
      assume (!r_stuck || rvalid && {rdata, rresp, rlast} == r_q);
    end
  end
endmodule
`default_nettype wire

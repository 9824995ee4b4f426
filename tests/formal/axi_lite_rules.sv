// SPDX-License-Identifier: Apache-2.0
// The rules of AXI4-Lite: asserted of a slave, assumed of whoever uses it.
//
// aw, w, ar: addresses, data and addresses of reads that were taken and are not answered yet.
`default_nettype none
module axi_lite_rules #(
  parameter int ADDRESS_BITS = 8
) (
  input  wire clk,
  input  wire rst_n,
  input  wire [ADDRESS_BITS-1:0] awaddr,
  input  wire awvalid,
  input  wire awready,
  input  wire [31:0] wdata,
  input  wire [3:0] wstrb,
  input  wire wvalid,
  input  wire wready,
  input  wire [1:0] bresp,
  input  wire bvalid,
  input  wire bready,
  input  wire [ADDRESS_BITS-1:0] araddr,
  input  wire arvalid,
  input  wire arready,
  input  wire [31:0] rdata,
  input  wire [1:0] rresp,
  input  wire rvalid,
  input  wire rready,
  output logic [1:0] aw,
  output logic [1:0] w,
  output logic [1:0] ar
);
  logic after_reset, aw_stuck, w_stuck, ar_stuck, b_stuck, r_stuck;
  logic [ADDRESS_BITS-1:0] awaddr_q, araddr_q;
  logic [35:0] w_q;
  logic [31:0] rdata_q;
  logic [1:0] b_waits, r_waits;
  always_ff @(posedge clk) begin
    after_reset <= !rst_n;
    aw_stuck <= rst_n && awvalid && !awready;
    w_stuck <= rst_n && wvalid && !wready;
    ar_stuck <= rst_n && arvalid && !arready;
    b_stuck <= rst_n && bvalid && !bready;
    r_stuck <= rst_n && rvalid && !rready;
    {awaddr_q, araddr_q, w_q, rdata_q} <= {awaddr, araddr, wdata, wstrb, rdata};
    aw <= aw + 2'(awvalid && awready) - 2'(bvalid && bready);
    w <= w + 2'(wvalid && wready) - 2'(bvalid && bready);
    ar <= ar + 2'(arvalid && arready) - 2'(rvalid && rready);
    b_waits <= bvalid || aw == 0 || w == 0 ? '0 : b_waits + 2'(b_waits != 3);
    r_waits <= rvalid || ar == 0 ? '0 : r_waits + 2'(r_waits != 3);
    if (!rst_n) {aw, w, ar, b_waits, r_waits} <= '0;
  end

  always @* begin
    if (rst_n && !$initstate) begin
      assume (!aw_stuck || awvalid && awaddr == awaddr_q);
      assume (!w_stuck || wvalid && {wdata, wstrb} == w_q);
      assume (!ar_stuck || arvalid && araddr == araddr_q);

      // BVALID and RVALID are low after a reset
      reset: assert (!after_reset || !bvalid && !rvalid);
      // BVALID stays until BREADY
      b_valid_holds: assert (!b_stuck || bvalid);
      // RVALID stays until RREADY
      r_valid_holds: assert (!r_stuck || rvalid);
      // RDATA stays until RREADY
      r_data_holds: assert (!r_stuck || rdata == rdata_q);
      // a write is answered only when its address and its data were taken, and once
      b_once: assert (!bvalid || aw != 0 && w != 0);
      // a read is answered only when its address was taken, and once
      r_once: assert (!rvalid || ar != 0);
      // a write is answered in the second cycle after both were taken
      b_prompt: assert (b_waits < 2);
      // a read is answered in the second cycle after its address was taken
      r_prompt: assert (r_waits < 2);
      // address and data of a write do not wait for each other, nor a read for a write
      takes: assert ((aw != 0 || awready) && (w != 0 || wready) && (ar != 0 || arready));
      // every response is OKAY
      okay: assert ((!bvalid || bresp == 0) && (!rvalid || rresp == 0));
    end
  end
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
// What axi_read_master says of faulty bursts: the solver picks a burst and follows it to its end.
`default_nettype none
module axi_read_faults_props #(
  parameter int BUS_BITS = 32,
  parameter int WORDS = 1,
  parameter int PASSES = 0,
  parameter int BURST = 2,
  parameter int DEPTH = 4,
  parameter int OUTSTANDING = 2
) (
  input wire clk
);
  localparam int SHIFT = $clog2(BUS_BITS / 8);

  (* anyseq *) logic rst_n, load, halt, arready, rlast, rvalid, m_tready, pick;
  (* anyseq *) logic [63:0] address;
  (* anyseq *) logic [31:0] frames;
  (* anyseq *) logic [BUS_BITS-1:0] rdata;
  (* anyseq *) logic [1:0] rresp;
  logic idle, quiet, fault_slverr, fault_decerr, arvalid, rready, m_tvalid;
  logic [63:0] fault_address, araddr;
  logic [7:0] arlen;
  logic [BUS_BITS-1:0] m_tdata;

  axi_read_master #(
    .BUS_BITS(BUS_BITS), .WORDS(WORDS), .PASSES(PASSES), .BURST(BURST), .DEPTH(DEPTH),
    .OUTSTANDING(OUTSTANDING)
  ) dut (
    .clk(clk), .rst_n(rst_n), .load(load), .address(address), .frames(frames), .halt(halt), .idle(idle),
    .quiet(quiet), .fault_slverr(fault_slverr), .fault_decerr(fault_decerr), .fault_address(fault_address),
    .m_axi_araddr(araddr), .m_axi_arlen(arlen), .m_axi_arvalid(arvalid), .m_axi_arready(arready),
    .m_axi_rdata(rdata), .m_axi_rresp(rresp), .m_axi_rlast(rlast), .m_axi_rvalid(rvalid), .m_axi_rready(rready),
    .m_tdata(m_tdata), .m_tvalid(m_tvalid), .m_tready(m_tready)
  );

  logic [9*(OUTSTANDING+1)-1:0] left;
  logic [15:0] bursts, beats;
  axi_read_memory #(.BUS_BITS(BUS_BITS), .OUTSTANDING(OUTSTANDING)) memory (
    .clk(clk), .rst_n(rst_n), .arlen(arlen), .arvalid(arvalid), .arready(arready), .rdata(rdata), .rresp(rresp),
    .rlast(rlast), .rvalid(rvalid), .rready(rready), .left(left), .bursts(bursts), .beats(beats)
  );

  always @* begin
    if ($initstate) assume (!rst_n);
    if (rst_n && load) assume (idle && address[SHIFT-1:0] == '0);
  end

  logic asked, ends, picked, ended;
  logic [1:0] before;
  logic [63:0] place;
  assign asked = arvalid && arready;
  assign ends = rvalid && rready && rlast;
  always_ff @(posedge clk) begin
    ended <= picked && before == 0 && ends;
    if (!picked) begin
      picked <= pick && asked;
      place <= araddr;
      before <= 2'(bursts) - 2'(ends);
    end else if (ends) begin
      picked <= before != 0;
      before <= before - 1'b1;
    end
    if (!rst_n) {picked, ended} <= '0;
  end
  // What was picked stays for the cycle in which it is reported.
  logic [63:0] place_q;
  always_ff @(posedge clk) place_q <= place;

  always @* begin
    if (rst_n && !$initstate) begin
      // a faulty burst is reported with its own address
      fault_place: assert (!(ended && (fault_slverr || fault_decerr)) || fault_address == place_q);

      second: cover (ended && fault_slverr && place_q[63:12] != 0);
    end
  end
endmodule
`default_nettype wire

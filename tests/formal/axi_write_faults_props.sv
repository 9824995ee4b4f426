// SPDX-License-Identifier: Apache-2.0
// What axi_write_master says of faulty bursts: the solver picks a burst and follows it to its response.
`default_nettype none
module axi_write_faults_props #(
  parameter int BUS_BITS = 32,
  parameter int BURST = 2,
  parameter int LEAST = 1,
  parameter int DEPTH = 4,
  parameter int OUTSTANDING = 2
) (
  input wire clk
);
  localparam int SHIFT = $clog2(BUS_BITS / 8);

  (* anyseq *) logic rst_n, load, halt, s_tvalid, s_tlast, awready, wready, bvalid, pick;
  (* anyseq *) logic [63:0] address;
  (* anyseq *) logic [31:0] frames;
  (* anyseq *) logic [BUS_BITS-1:0] s_tdata;
  (* anyseq *) logic [1:0] bresp;
  logic idle, quiet, fault_slverr, fault_decerr, s_tready, awvalid, wvalid, wlast, bready;
  logic [63:0] fault_address, awaddr;
  logic [7:0] awlen;
  logic [BUS_BITS-1:0] wdata;

  axi_write_master #(
    .BUS_BITS(BUS_BITS), .BURST(BURST), .LEAST(LEAST), .DEPTH(DEPTH), .OUTSTANDING(OUTSTANDING)
  ) dut (
    .clk(clk), .rst_n(rst_n), .load(load), .address(address), .frames(frames), .halt(halt), .idle(idle),
    .quiet(quiet), .fault_slverr(fault_slverr), .fault_decerr(fault_decerr), .fault_address(fault_address),
    .s_tdata(s_tdata), .s_tvalid(s_tvalid), .s_tready(s_tready), .s_tlast(s_tlast),
    .m_axi_awaddr(awaddr), .m_axi_awlen(awlen), .m_axi_awvalid(awvalid), .m_axi_awready(awready),
    .m_axi_wdata(wdata), .m_axi_wlast(wlast), .m_axi_wvalid(wvalid), .m_axi_wready(wready),
    .m_axi_bresp(bresp), .m_axi_bvalid(bvalid), .m_axi_bready(bready)
  );

  logic [9*3-1:0] left;
  logic [15:0] beats, written, named;
  axi_write_memory memory (
    .clk(clk), .rst_n(rst_n), .awlen(awlen), .awvalid(awvalid), .awready(awready), .wvalid(wvalid), .wready(wready),
    .bresp(bresp), .bvalid(bvalid), .bready(bready), .left(left), .beats(beats), .written(written), .named(named)
  );
  logic [31:0] to_come;
  logic push;
  assign push = s_tvalid && s_tready;
  always_ff @(posedge clk) to_come <= !rst_n ? '0 : load ? frames : to_come - 32'(push && s_tlast);

  always @* begin
    if ($initstate) assume (!rst_n);
    if (rst_n) begin
      if (load) assume (idle && address[SHIFT-1:0] == '0 && frames != 0);
      if (load || to_come == 0) assume (!s_tvalid);
    end
  end

  // before: bursts that are answered before the one that is followed.
  logic asked, answered, picked, ended;
  logic [1:0] before;
  logic [63:0] place, place_q;
  assign asked = awvalid && awready;
  assign answered = bvalid && bready;
  always_ff @(posedge clk) begin
    ended <= picked && before == 0 && answered;
    place_q <= place;
    if (!picked) begin
      picked <= pick && asked;
      place <= awaddr;
      before <= 2'(named) - 2'(answered);
    end else if (answered) begin
      picked <= before != 0;
      before <= before - 1'b1;
    end
    if (!rst_n) {picked, ended} <= '0;
  end

  always @* begin
    if (rst_n && !$initstate) begin
      // a faulty burst is reported with its own address
      fault_place: assert (!(ended && (fault_slverr || fault_decerr)) || fault_address == place_q);

      second: cover (ended && fault_slverr && place_q[63:12] != 0);
    end
  end
endmodule
`default_nettype wire

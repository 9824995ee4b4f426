// SPDX-License-Identifier: Apache-2.0
// What passes through axi_write_master: the solver picks a word of the design, and follows it. Nothing is assumed of the memory.
`default_nettype none
module axi_write_order_props #(
  parameter int BUS_BITS = 32,
  parameter int BURST = 2,
  parameter int LEAST = 1,
  parameter int DEPTH = 4,
  parameter int OUTSTANDING = 2
) (
  input wire clk
);
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

  always @* if ($initstate) assume (!rst_n);

  logic push;
  assign push = s_tvalid && s_tready;
  // held: words that came and are not sent.
  logic sent, picked;
  logic [3:0] held, ahead;
  logic [BUS_BITS-1:0] word;
  assign sent = wvalid && wready;
  always_ff @(posedge clk) begin
    held <= held + 4'(push) - 4'(sent);
    if (!picked) begin
      picked <= pick && push;
      word <= s_tdata;
      ahead <= held - 4'(sent);
    end else if (sent) begin
      picked <= ahead != 0;
      ahead <= ahead - 1'b1;
    end
    if (!rst_n) {held, picked} <= '0;
  end

  always @* begin
    if (rst_n && !$initstate) begin
      // words get to memory unchanged (their outer bits are looked at), in the order in which the design gives them, each
      // once
      order: assert (!(wvalid && picked && ahead == 0) || {wdata[BUS_BITS-1], wdata[0]} == {word[BUS_BITS-1], word[0]});
      // memory gets no word that did not come
      no_underflow: assert (!wvalid || held != 0);

      leaves: cover (picked && ahead == 0 && sent && word != 0);
      many: cover (int'(held) > DEPTH);
    end
  end
endmodule
`default_nettype wire

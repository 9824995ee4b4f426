// SPDX-License-Identifier: Apache-2.0
// What passes through axi_read_master: the solver picks a beat that comes from memory, and follows it. Nothing is
// assumed of the memory.
`default_nettype none
module axi_read_order_props #(
  parameter int BUS_BITS = 32,
  parameter int WORDS = 1,
  parameter int PASSES = 0,
  parameter int BURST = 2,
  parameter int DEPTH = 4,
  parameter int OUTSTANDING = 2
) (
  input wire clk
);
  localparam int HELD_BITS = $clog2(DEPTH + 1);

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

  always @* if ($initstate) assume (!rst_n);

  logic came, given, picked;
  logic [HELD_BITS-1:0] held, ahead;
  logic [BUS_BITS-1:0] word;
  assign came = rvalid && rready;
  assign given = m_tvalid && m_tready;
  always_ff @(posedge clk) begin
    held <= held + HELD_BITS'(came) - HELD_BITS'(given);
    if (!picked) begin
      picked <= pick && came;
      word <= rdata;
      ahead <= held - HELD_BITS'(given);
    end else if (given) begin
      picked <= ahead != 0;
      ahead <= ahead - 1'b1;
    end
    if (!rst_n) {held, picked} <= '0;
  end

  always @* begin
    if (rst_n && !$initstate) begin
      // words get to the design unchanged, in the order in which they come from memory, each once
      order: assert (!(m_tvalid && picked && ahead == 0) || m_tdata == word);
      // the design gets no word that did not come
      no_underflow: assert (!m_tvalid || held != 0);

      leaves: cover (picked && ahead == 0 && given && word != 0);
    end
  end
endmodule
`default_nettype wire

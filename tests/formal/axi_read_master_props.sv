// SPDX-License-Identifier: Apache-2.0
// Properties of axi_read_master with whatever memory keeps the rules of AXI4. Of its own environment it is assumed that
// load comes only while it is idle, with an aligned address; kernel_run sees to both.
`default_nettype none
module axi_read_master_props #(
  parameter int BUS_BITS = 32,
  parameter int WORDS = 3,
  parameter int PASSES = 0,
  parameter int BURST = 4,
  parameter int DEPTH = 8,
  parameter int OUTSTANDING = 2
) (
  input wire clk
);
  localparam int SHIFT = $clog2(BUS_BITS / 8);
  localparam int POOL = BURST - 1 + (WORDS > 64 ? WORDS : 64);
  localparam int WORD_BITS = $clog2(POOL + 1);

  (* anyseq *) logic rst_n, load, halt, arready, rlast, rvalid, m_tready;
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
  axi_read_rules #(.BUS_BITS(BUS_BITS), .BURST(BURST), .OUTSTANDING(OUTSTANDING)) rules (
    .clk(clk), .rst_n(rst_n), .araddr(araddr), .arlen(arlen), .arvalid(arvalid), .arready(arready), .rready(rready),
    .left(left), .bursts(bursts)
  );

  always @* begin
    if ($initstate) assume (!rst_n);
    if (rst_n && load) assume (idle && address[SHIFT-1:0] == '0);
  end

  // due: words of the run that were not asked for; wanted: words that were not given to the design; next: address of
  // the first word that was not asked for.
  logic loaded, asked, came, given, ends, slverr_q, decerr_q, report_slverr, report_decerr, halted, ar_before;
  logic [2:0] waits;
  logic [63:0] due, wanted, next;
  assign asked = arvalid && arready;
  assign came = rvalid && rready;
  assign ends = came && left[8:0] == 1;
  assign given = m_tvalid && m_tready;
  always_ff @(posedge clk) begin
    if (load) begin
      loaded <= 1'b1;
      due <= 64'(frames) * WORDS;
      wanted <= 64'(frames) * WORDS;
      next <= address;
    end else begin
      if (asked) due <= due - 64'(arlen) - 1'b1;
      if (asked) next <= next + ((64'(arlen) + 1'b1) << SHIFT);
      if (given) wanted <= wanted - 1'b1;
    end
    slverr_q <= rst_n && !ends && (slverr_q || came && rresp == 2);
    decerr_q <= rst_n && !ends && (decerr_q || came && rresp == 3);
    report_slverr <= rst_n && ends && (slverr_q || rresp == 2);
    report_decerr <= rst_n && ends && (decerr_q || rresp == 3);
    halted <= rst_n && halt;
    ar_before <= arvalid && !arready;
    waits <= !rst_n || idle || halt || arvalid || bursts != 0 || m_tvalid ? '0 : waits + 3'(waits != 7);
    if (!rst_n) {loaded, due, wanted} <= '0;
  end

  (* hierconn *) wire [31:0] \dut.u_words.left_q ;
  (* hierconn *) wire [WORD_BITS-1:0] \dut.u_words.words ;
  (* hierconn *) wire \dut.u_bursts.limited_q ;
  (* hierconn *) wire [8:0] \dut.u_bursts.limit_q ;
  (* hierconn *) wire [63:0] \dut.u_bursts.m_address ;
  (* hierconn *) wire [7:0] \dut.u_bursts.m_length ;
  (* hierconn *) wire \dut.burst_valid ;
  (* hierconn *) wire [$clog2(DEPTH+1)-1:0] \dut.claimed_q ;
  (* hierconn *) wire [$clog2(DEPTH+1)-1:0] \dut.u_buffer.count_q ;
  (* hierconn *) wire [$clog2(OUTSTANDING+1)-1:0] \dut.u_pending.count_q ;
  (* hierconn *) wire \dut.slverr_q ;
  (* hierconn *) wire \dut.decerr_q ;
  logic [63:0] on_offer, on_bus;
  logic [12:0] place;
  assign on_offer = \dut.burst_valid ? 64'(\dut.u_bursts.m_length ) + 1'b1 : '0;
  assign on_bus = arvalid ? 64'(arlen) + 1'b1 : '0;
  assign place = 13'(\dut.u_bursts.m_address [11:0]);

  always @* begin
    if (rst_n && !$initstate) begin
      // bursts follow on each other from the loaded address on, without a gap or an overlap
      in_order: assert (!arvalid || loaded && araddr == next);
      // never more is asked for than the frames of the run
      no_more: assert (!arvalid || due > 64'(arlen));
      // never more is given to the design than was asked for and has come
      no_invention: assert (!m_tvalid || wanted > due + 64'(beats));
      // idle: every word of the run was asked for, has come and was given to the design
      idle_done: assert (!idle || due == 0 && wanted == 0 && bursts == 0 && !arvalid);
      // and as soon as that is so it is idle
      done_idle: assert (!loaded || due != 0 || wanted != 0 || idle);
      // quiet: no address is on offer and no beat is still to come, and never otherwise
      quiet_exact: assert (quiet == (!arvalid && bursts == 0));
      // no new burst is begun under halt
      halts: assert (!(halted && !ar_before) || !arvalid);
      // a burst with an error is reported, once, after its last beat; a sound one is not
      reports: assert (fault_slverr == report_slverr && fault_decerr == report_decerr);
      // it never stands still: nothing is asked for, awaited or on offer for fewer than six cycles
      progress: assert (waits < 6);

      // words in the pool and on offer are those that are due
      inv_due: assert (64'(\dut.u_words.left_q ) * WORDS + 64'(\dut.u_words.words ) + on_offer + on_bus == due);
      // the pool keeps its limit
      inv_pool: assert (int'(\dut.u_words.words ) <= POOL);
      // the generator is where the bus will be
      inv_next: assert (!loaded || \dut.u_bursts.m_address == next + (on_bus << SHIFT));
      // nothing is on its way before the first run
      inv_loaded: assert (loaded || due == 0 && wanted == 0 && !arvalid && bursts == 0 && !\dut.burst_valid );
      // every word that is claimed is in the buffer, on its way or on the bus
      inv_claimed: assert (64'(\dut.claimed_q ) == 64'(\dut.u_buffer.count_q ) + 64'(beats) + on_bus);
      // the buffer keeps its limit
      inv_depth: assert (int'(\dut.claimed_q ) <= DEPTH);
      // what is wanted is due, on its way or in the buffer
      inv_wanted: assert (wanted == due + 64'(beats) + 64'(\dut.u_buffer.count_q ));
      // a burst is pending from its issue to its last beat
      inv_pending: assert (int'(\dut.u_pending.count_q ) == int'(bursts) + int'(arvalid));
      // errors of the burst that comes
      inv_errors: assert (\dut.slverr_q == slverr_q && \dut.decerr_q == decerr_q);
      // bursts on offer are legal
      inv_offer: assert (!\dut.burst_valid || int'(\dut.u_bursts.m_length ) < BURST
                         && place + ((13'(\dut.u_bursts.m_length ) + 1'b1) << SHIFT) <= 4096);
      // so is their limit
      inv_limit: assert (!\dut.u_bursts.limited_q || !loaded || \dut.u_bursts.limit_q != 0
                         && int'(\dut.u_bursts.limit_q ) <= BURST
                         && place + (13'(\dut.u_bursts.limit_q ) << SHIFT) <= 4096);
      // the address is aligned
      inv_aligned: assert (!loaded || \dut.u_bursts.m_address [SHIFT-1:0] == '0);

      finishes: cover (idle && loaded && !load && next != address);
      several: cover (int'(bursts) == OUTSTANDING && came);
      faulty: cover (fault_slverr && fault_decerr);
      boundary: cover (asked && araddr[11:0] == 12'hff8 && arlen == 1);
    end
  end
endmodule
`default_nettype wire

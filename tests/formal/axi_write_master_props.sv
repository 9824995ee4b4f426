// SPDX-License-Identifier: Apache-2.0
// Properties of axi_write_master with whatever memory keeps the rules of AXI4. Of its own environment it is assumed that
// load comes only while it is idle, with an aligned address and some frames (kernel_run sees to that), and that no words
// come but those of the run.
`default_nettype none
module axi_write_master_props #(
  parameter int BUS_BITS = 32,
  parameter int BURST = 4,
  parameter int LEAST = 2,
  parameter int DEPTH = 8,
  parameter int OUTSTANDING = 2
) (
  input wire clk
);
  localparam int SHIFT = $clog2(BUS_BITS / 8);
  localparam int WORD_BITS = $clog2(DEPTH + 1);

  (* anyseq *) logic rst_n, load, halt, s_tvalid, s_tlast, awready, wready, bvalid;
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
  axi_write_rules #(.BUS_BITS(BUS_BITS), .BURST(BURST), .OUTSTANDING(OUTSTANDING)) rules (
    .clk(clk), .rst_n(rst_n), .awaddr(awaddr), .awlen(awlen), .awvalid(awvalid), .awready(awready),
    .wdata(wdata), .wlast(wlast), .wvalid(wvalid), .wready(wready), .bready(bready),
    .left(left), .written(written), .named(named)
  );

  // due: words that came and were not asked for; to_come: frames that did not end; next: address of the first word that
  // was not asked for.
  logic loaded, push, asked, halted, aw_before, report_slverr, report_decerr;
  logic [2:0] waits, pauses;
  logic [31:0] to_come;
  logic [63:0] due, next;
  assign push = s_tvalid && s_tready;
  assign asked = awvalid && awready;

  always @* begin
    if ($initstate) assume (!rst_n);
    if (rst_n) begin
      if (load) assume (idle && address[SHIFT-1:0] == '0 && frames != 0);
      if (load || to_come == 0) assume (!s_tvalid);
    end
  end

  always_ff @(posedge clk) begin
    if (load) begin
      loaded <= 1'b1;
      to_come <= frames;
      next <= address;
    end else begin
      if (push && s_tlast) to_come <= to_come - 1'b1;
      if (asked) next <= next + ((64'(awlen) + 1'b1) << SHIFT);
    end
    due <= due + 64'(push) - (asked ? 64'(awlen) + 1'b1 : 64'd0);
    halted <= rst_n && halt;
    aw_before <= awvalid && !awready;
    report_slverr <= rst_n && bvalid && bready && bresp == 2;
    report_decerr <= rst_n && bvalid && bready && bresp == 3;
    waits <= halt || awvalid || beats != 0 || written != 0 || due == 0 || to_come != 0 && due < 64'(LEAST)
      ? '0 : waits + 3'(waits != 7);
    pauses <= beats == 0 || wvalid ? '0 : pauses + 3'(pauses != 7);
    if (!rst_n) {loaded, due, to_come, waits, pauses} <= '0;
  end

  (* hierconn *) wire [31:0] \dut.left_q ;
  (* hierconn *) wire [WORD_BITS-1:0] \dut.words_q ;
  (* hierconn *) wire [8:0] \dut.beats_q ;
  (* hierconn *) wire \dut.u_bursts.limited_q ;
  (* hierconn *) wire [8:0] \dut.u_bursts.limit_q ;
  (* hierconn *) wire [63:0] \dut.u_bursts.m_address ;
  (* hierconn *) wire [7:0] \dut.u_bursts.m_length ;
  (* hierconn *) wire \dut.burst_valid ;
  (* hierconn *) wire [$clog2(DEPTH+1)-1:0] \dut.u_buffer.count_q ;
  (* hierconn *) wire [$clog2(OUTSTANDING+1)-1:0] \dut.u_pending.count_q ;
  (* hierconn *) wire \dut.u_slice.spare_valid_q ;
  (* hierconn *) wire [BUS_BITS:0] \dut.u_slice.spare_q ;
  logic [63:0] on_offer, on_bus;
  logic [12:0] place;
  logic [8:0] rest;
  logic spare, spare_last;
  logic [26:0] expected;
  assign on_offer = \dut.burst_valid ? 64'(\dut.u_bursts.m_length ) + 1'b1 : '0;
  assign on_bus = awvalid ? 64'(awlen) + 1'b1 : '0;
  assign place = 13'(\dut.u_bursts.m_address [11:0]);
  assign rest = \dut.beats_q ;
  assign spare = \dut.u_slice.spare_valid_q ;
  assign spare_last = \dut.u_slice.spare_q [BUS_BITS];

  // What the register slice and the counter of beats say of the bursts whose data are not all taken.
  always_comb begin
    if (!wvalid) expected = {18'd0, rest};
    else if (!spare) expected = wlast ? {9'd0, rest, 9'd1} : {18'd0, rest + 9'd1};
    else if (wlast) expected = spare_last ? {rest, 9'd1, 9'd1} : {9'd0, rest + 9'd1, 9'd1};
    else expected = spare_last ? {9'd0, rest, 9'd2} : {18'd0, rest + 9'd2};
  end

  always @* begin
    if (rst_n && !$initstate) begin
      // bursts follow on each other from the loaded address on, without a gap or an overlap
      in_order: assert (!awvalid || loaded && awaddr == next);
      // nothing is asked for that has not come
      no_more: assert (!awvalid || due > 64'(awlen));
      // idle: every word of the run has come, was written and answered
      idle_done: assert (!idle || to_come == 0 && due == 0 && beats == 0 && written == 0 && named == 0 && !awvalid);
      // and as soon as that is so it is idle
      done_idle: assert (idle || to_come != 0 || due != 0 || beats != 0 || written != 0 || named != 0);
      // quiet: nothing is on offer, and no beat and no response is still to come, and never otherwise
      quiet_exact: assert (quiet == (!awvalid && beats == 0 && written == 0 && named == 0));
      // no new burst is begun under halt
      halts: assert (!(halted && !aw_before) || !awvalid);
      // a response with an error is reported, once
      reports: assert (fault_slverr == report_slverr && fault_decerr == report_decerr);
      // a burst is asked for soon after LEAST words have come, or the last ones
      progress: assert (waits < 6);
      // the memory does not wait for data: two cycles after the address they come, one in every cycle
      no_pause: assert (pauses < 3);
      // words are taken while there is room for them
      takes: assert (s_tready || int'(\dut.u_buffer.count_q ) == DEPTH);

      // words of no burst and on offer are those that are due
      inv_due: assert (64'(\dut.words_q ) + on_offer + on_bus == due);
      // all of them, and those of the burst that is sent, lie in the buffer
      inv_buffer: assert (64'(\dut.words_q ) + on_offer + 64'(rest) == 64'(\dut.u_buffer.count_q )
                          && int'(\dut.u_buffer.count_q ) <= DEPTH);
      // the generator is where the bus will be
      inv_next: assert (!loaded || \dut.u_bursts.m_address == next + (on_bus << SHIFT));
      // nothing is on its way before the first run
      inv_loaded: assert (loaded || due == 0 && beats == 0 && !awvalid && named == 0 && to_come == 0);
      // frames that did not end
      inv_frames: assert (to_come == \dut.left_q );
      // a burst is pending from its issue to its response
      inv_pending: assert (16'(\dut.u_pending.count_q ) == 16'(awvalid) + named && written <= 16'(OUTSTANDING));
      // beats of the bursts that are sent
      inv_left: assert (left == expected && (spare ? wvalid : 1'b1));
      // the last beat of what the slice holds comes with the last beat that is counted
      inv_rest: assert (rest != 0 || !(spare ? !spare_last : wvalid && !wlast));
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
      early_data: cover (awvalid && wvalid && wready && wlast);
      several: cover (int'(written) == OUTSTANDING && bvalid);
      faulty: cover (fault_decerr);
      boundary: cover (asked && awaddr[11:0] == 12'hff8 && awlen == 1 && to_come != 0);
    end
  end
endmodule
`default_nettype wire

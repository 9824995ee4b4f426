// SPDX-License-Identifier: Apache-2.0
// Properties of kernel_control, with whatever master keeps the rules of AXI4-Lite. The register map is written here a
// second time, from docs/kernel.md. done, idle, aborted and the status words are free.
`default_nettype none
module kernel_control_props #(
  parameter int ADDRESS_BITS = 8,
  parameter int PORTS = 2,
  parameter int WEIGHTS = 0,
  parameter int EDGES = 1,
  parameter int STATUS = 64
) (
  input wire clk
);
  localparam int FRAMES = 16 + 12 * (PORTS - WEIGHTS);

  (* anyconst *) logic [ADDRESS_BITS-1:0] chosen;
  (* anyseq *) logic rst_n, awvalid, wvalid, bready, arvalid, rready, idle, done, aborted;
  (* anyseq *) logic [ADDRESS_BITS-1:0] awaddr, araddr;
  (* anyseq *) logic [31:0] wdata;
  (* anyseq *) logic [3:0] wstrb;
  (* anyseq *) logic [1023:0] status;
  (* anyseq *) logic [128*EDGES-1:0] edges;
  logic awready, wready, bvalid, arready, rvalid, irq, start, stop;
  logic [1:0] bresp, rresp, aw, w, ar;
  logic [31:0] rdata, frames;
  logic [64*PORTS-1:0] addresses;

  kernel_control #(
    .ADDRESS_BITS(ADDRESS_BITS), .PORTS(PORTS), .WEIGHTS(WEIGHTS), .EDGES(EDGES), .STATUS(STATUS)
  ) dut (
    .clk(clk), .rst_n(rst_n), .s_axi_awaddr(awaddr), .s_axi_awvalid(awvalid), .s_axi_awready(awready),
    .s_axi_wdata(wdata), .s_axi_wstrb(wstrb), .s_axi_wvalid(wvalid), .s_axi_wready(wready),
    .s_axi_bresp(bresp), .s_axi_bvalid(bvalid), .s_axi_bready(bready),
    .s_axi_araddr(araddr), .s_axi_arvalid(arvalid), .s_axi_arready(arready),
    .s_axi_rdata(rdata), .s_axi_rresp(rresp), .s_axi_rvalid(rvalid), .s_axi_rready(rready),
    .irq(irq), .start(start), .idle(idle), .done(done), .aborted(aborted), .stop(stop),
    .addresses(addresses), .frames(frames), .status(status), .edges(edges)
  );
  axi_lite_rules #(.ADDRESS_BITS(ADDRESS_BITS)) rules (
    .clk(clk), .rst_n(rst_n), .awaddr(awaddr), .awvalid(awvalid), .awready(awready), .wdata(wdata), .wstrb(wstrb),
    .wvalid(wvalid), .wready(wready), .bresp(bresp), .bvalid(bvalid), .bready(bready), .araddr(araddr),
    .arvalid(arvalid), .arready(arready), .rdata(rdata), .rresp(rresp), .rvalid(rvalid), .rready(rready),
    .aw(aw), .w(w), .ar(ar)
  );

  // What was taken and is not written yet; write: it is, in this cycle; sample: a read looks at its word in this cycle.
  logic has_to, has_data, write, sample, sampled;
  logic [ADDRESS_BITS-1:0] to, from;
  logic [31:0] data, bytes, sampled_data;
  logic [3:0] strobe;
  assign write = has_to && has_data && (!bvalid || bready);
  assign bytes = {{8{strobe[3]}}, {8{strobe[2]}}, {8{strobe[1]}}, {8{strobe[0]}}};

  // The registers. argument: the one at `chosen`, if that is an argument.
  logic restart, is_done, is_ready, global_enable, is_argument, was_start, was_done, started, again, reset_q;
  logic [1:0] enables, raised;
  logic [31:0] argument, mine, expected;
  int at;
  logic [ADDRESS_BITS-1:0] word;
  assign word = {to[ADDRESS_BITS-1:2], 2'b00};
  always_comb begin
    mine = frames;
    is_argument = int'(chosen) == FRAMES;
    for (int i = 0; i < PORTS; i++) begin
      at = i < PORTS - WEIGHTS ? 16 + 12 * i : FRAMES + 8 + 12 * (i - PORTS + WEIGHTS);
      if (int'(chosen) == at || int'(chosen) == at + 4) is_argument = 1'b1;
      if (int'(chosen) == at) mine = addresses[64*i+:32];
      if (int'(chosen) == at + 4) mine = addresses[64*i+32+:32];
    end
  end
  // Of the word that a read looks at, where it is one of the control registers, `chosen`, or no register at all.
  logic known;
  always_comb begin
    known = 1'b1;
    expected = '0;
    if (from == 0) expected = {22'd0, irq, 1'b0, restart, 3'd0, is_ready, idle, is_done, start};
    else if (from == 4) expected = {31'd0, global_enable};
    else if (from == 8) expected = {30'd0, enables};
    else if (from == 12) expected = {30'd0, raised};
    else if (from == chosen && is_argument) expected = argument;
    else if (int'(from) >= STATUS && int'(from) < STATUS + 128 && chosen[1:0] == 0 && from == chosen) begin
      expected = 32'(status >> 8 * (int'(from) - STATUS));
    end else if (int'(from) >= STATUS + 128 && int'(from) < STATUS + 128 + 16 * EDGES && from == chosen) begin
      expected = 32'(edges >> 8 * (int'(from) - STATUS - 128));
    end else known = from == chosen;
  end

  always @* if ($initstate) assume (!rst_n);

  always_ff @(posedge clk) begin
    if (awvalid && awready) to <= awaddr;
    if (wvalid && wready) {data, strobe} <= {wdata, wstrb};
    has_to <= awvalid && awready || has_to && !write;
    has_data <= wvalid && wready || has_data && !write;
    if (arvalid && arready) from <= {araddr[ADDRESS_BITS-1:2], 2'b00};
    sample <= rst_n && arvalid && arready;
    sampled <= rst_n && sample && known;
    sampled_data <= expected;

    if (write && word == 0 && strobe[0]) restart <= data[7];
    else if (done && aborted) restart <= 1'b0;
    if (done) {is_done, is_ready} <= '1;
    else if (sample && from == 0) {is_done, is_ready} <= '0;
    if (write && word == 4 && strobe[0]) global_enable <= data[0];
    if (write && word == 8 && strobe[0]) enables <= data[1:0];
    for (int i = 0; i < 2; i++) begin
      if (done && enables[i]) raised[i] <= 1'b1;
      else if (write && word == 12 && strobe[0] && data[i]) raised[i] <= !raised[i];
    end
    if (write && word == chosen) argument <= argument & ~bytes | data & bytes;
    was_start <= start;
    was_done <= done;
    started <= write && word == 0 && strobe[0] && data[0];
    again <= restart && !aborted;
    reset_q <= !rst_n;
    if (!rst_n) {has_to, has_data, restart, is_done, is_ready, global_enable, enables, raised, argument} <= '0;
  end

  (* hierconn *) wire \dut.address_q ;
  (* hierconn *) wire \dut.data_q ;
  (* hierconn *) wire \dut.read_q ;
  (* hierconn *) wire [ADDRESS_BITS-3:0] \dut.to_q ;
  (* hierconn *) wire [ADDRESS_BITS-3:0] \dut.from_q ;
  (* hierconn *) wire [31:0] \dut.written_q ;
  (* hierconn *) wire [3:0] \dut.strobe_q ;
  (* hierconn *) wire \dut.auto_restart_q ;
  (* hierconn *) wire \dut.done_q ;
  (* hierconn *) wire \dut.ready_q ;
  (* hierconn *) wire \dut.global_q ;
  (* hierconn *) wire [1:0] \dut.enable_q ;
  (* hierconn *) wire [1:0] \dut.raised_q ;

  always @* begin
    if (rst_n && !$initstate) begin
      // writing 1 starts
      starts: assert (!started || reset_q || start);
      // nothing else does, but a run that is followed by the next with auto_restart
      no_other_start: assert (reset_q ? !start : !start || was_start || started || was_done && again);
      // start stays until the run is done
      start_stays: assert (reset_q || !was_start || was_done || start);
      // and is taken back then, unless auto_restart is on and the run was not aborted, or it is written in that cycle
      start_ends: assert (reset_q || !was_done || start == (again || started));
      // an interrupt is raised by done, where it is enabled, and toggled by a write of 1; irq is any of them, if enabled
      interrupt: assert (irq == (global_enable && raised != 0));
      // an abort is asked for by a write of 1 to its register and by nothing else
      stops: assert (stop == (write && int'(word) == STATUS + 12 && strobe[0] && data[0]));
      // addresses and the number of frames are what was written, byte by byte, and nothing else changes them
      arguments: assert (!is_argument || mine == argument);
      // a read gives the word of its register as it was; done and ready are cleared by it, and no done is lost
      reads: assert (!sampled || rvalid && rdata == sampled_data);

      // what was taken
      inv_taken: assert (\dut.address_q == has_to && \dut.data_q == has_data && \dut.read_q == sample
                         && (!has_to || \dut.to_q == to[ADDRESS_BITS-1:2])
                         && (!has_data || \dut.written_q == data && \dut.strobe_q == strobe)
                         && (!sample || \dut.from_q == from[ADDRESS_BITS-1:2] && from[1:0] == 0));
      // the registers
      inv_registers: assert (\dut.auto_restart_q == restart && \dut.done_q == is_done && \dut.ready_q == is_ready
                             && \dut.global_q == global_enable && \dut.enable_q == enables && \dut.raised_q == raised);
      // what is not answered
      inv_pending: assert (aw == 2'(has_to) + 2'(bvalid) && w == 2'(has_data) + 2'(bvalid)
                           && ar == 2'(sample) + 2'(rvalid));

      restarts: cover (start && was_done && !started);
      interrupts: cover (irq && raised == 3);
      argument_read: cover (sampled && is_argument && rdata[31:24] != 0 && rdata[7:0] != 0);
      aborts: cover (stop);
      together: cover (bvalid && rvalid && has_to && has_data);
    end
  end
endmodule
`default_nettype wire

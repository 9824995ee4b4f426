// SPDX-License-Identifier: Apache-2.0
// Properties of kernel_run. Every input is free: when start and stop come, what the masters say, which frames leave and
// what is in the registers, which only count in the cycle of the start. It is assumed that fewer than 2**32 frames leave.
`default_nettype none
module kernel_run_props #(
  parameter int PORTS = 3,
  parameter int INPUTS = 1,
  parameter int WEIGHTS = 0,
  parameter int EDGES = 5,
  parameter int STALLS = 1,
  parameter int BUS_BITS = 64
) (
  input wire clk
);
  localparam int OUTPUTS = PORTS - INPUTS - WEIGHTS;
  localparam logic [127:0] HASH = 128'h0123456789abcdef_fedcba9876543210;

  (* anyseq *) logic rst_n, start, stop;
  (* anyseq *) logic [64*PORTS-1:0] addresses, fault_address;
  (* anyseq *) logic [31:0] frames;
  (* anyseq *) logic [PORTS-1:0] master_idle, master_quiet, slverr, decerr;
  (* anyseq *) logic [OUTPUTS-1:0] leaves;
  logic idle, done, aborted, load, running, halt, path_rst_n;
  logic [1023:0] status;

  kernel_run #(
    .PORTS(PORTS), .INPUTS(INPUTS), .WEIGHTS(WEIGHTS), .EDGES(EDGES), .STALLS(STALLS), .BUS_BITS(BUS_BITS),
    .HASH(HASH)
  ) dut (
    .clk(clk), .rst_n(rst_n), .start(start), .stop(stop), .idle(idle), .done(done), .aborted(aborted),
    .addresses(addresses), .frames(frames), .load(load), .running(running), .halt(halt), .path_rst_n(path_rst_n),
    .master_idle(master_idle), .master_quiet(master_quiet), .leaves(leaves), .slverr(slverr), .decerr(decerr),
    .fault_address(fault_address), .status(status)
  );

  // busy: from the cycle after a start up to done; age: cycles of that so far, up to 3; bad: it was refused;
  // reset_age: cycles of the reset of the datapath; asked: cycles
  // since a stop came while it was not idle, and was not followed yet.
  logic busy, bad, unaligned, was_running, was_idle, was_quiet, was_halt, path_q, was_reset;
  logic [1:0] age, asked;
  logic [2:0] reset_age, quiet_age;
  logic [63:0] cycles, first, newest;
  logic [31:0] c0, c1, least;

  always_comb begin
    unaligned = 1'b0;
    for (int i = 0; i < PORTS; i++) if (addresses[64*i+:64] % (BUS_BITS / 8) != 0) unaligned = 1'b1;
  end
  assign least = OUTPUTS == 1 || c0 < c1 ? c0 : c1;

  always @* begin
    if ($initstate) assume (!rst_n);
    assume (c0 != '1 && c1 != '1);
  end

  always_ff @(posedge clk) begin
    if (!busy && start) begin
      busy <= 1'b1;
      bad <= unaligned || frames == 0;
      age <= '0;
    end else begin
      if (done) busy <= 1'b0;
      age <= age + 2'(age != 3);
    end
    was_idle <= &master_idle && running;
    was_quiet <= &master_quiet && halt;
    was_halt <= halt;
    path_q <= path_rst_n;
    was_reset <= !(!busy && start) && (was_reset || !path_rst_n);
    reset_age <= path_rst_n ? '0 : reset_age + 3'(reset_age != 7);
    quiet_age <= &master_quiet && halt ? quiet_age + 3'(quiet_age != 7) : '0;
    asked <= idle || halt && path_rst_n ? '0 : asked + 2'(asked != 3 && (stop || asked != 0));
    was_running <= running;

    if (busy && age == 0) begin
      {cycles, first, newest, c0, c1} <= '0;
    end else begin
      if (busy && !done) cycles <= cycles + 1;
      if (running) begin
        c0 <= c0 + 32'(leaves[0]);
        c1 <= c1 + 32'(leaves[OUTPUTS-1]);
        if ((leaves[0] || c0 > least) && (leaves[OUTPUTS-1] || c1 > least)) begin
          newest <= cycles;
          if (least == 0) first <= cycles;
        end
      end
    end
    if (!rst_n) {busy, bad, was_idle, was_quiet, was_halt, asked, cycles, first, newest, c0, c1, was_reset} <= '0;
    if (!rst_n) {path_q, reset_age, quiet_age} <= {1'b1, 6'd0};
  end

  (* hierconn *) wire [2:0] \dut.state_q ;
  (* hierconn *) wire [1:0] \dut.reset_cycle_q ;
  (* hierconn *) wire \dut.stop_q ;
  (* hierconn, maybe *) wire [31:0] \dut.g_output[0].g_ahead.ahead_q ;
  (* hierconn, maybe *) wire [31:0] \dut.g_output[1].g_ahead.ahead_q ;
  localparam logic [2:0] IDLE = 0, LOAD = 1, RUN = 2, DRAIN = 3, RESET = 4, DONE = 5;

  always @* begin
    if (rst_n && !$initstate) begin
      // idle: no run is on and none is asked for
      idle_exact: assert (idle == (!busy && !start));
      // a run is loaded once, in its first cycle, and not at all if it is refused
      load_once: assert (load == (busy && age == 0 && !bad));
      // a run without frames, or with an address that is not aligned, is over at once and nothing moves
      refused: assert (!(busy && bad) || !running && !halt && path_rst_n && done == (age == 1));
      // done comes in a run only, and ends it
      done_in_run: assert (!done || busy);
      // done comes when all masters are idle, or after the reset of an abort
      done_when_idle: assert (!done || bad || was_idle || was_reset);
      // and as soon as they are
      done_at_once: assert (!was_idle || done);
      // aborted marks the runs whose datapath was reset
      aborted_exact: assert (!done || aborted == was_reset);
      // the datapath is reset only when no master waits for its memory
      reset_safe: assert (path_rst_n || !path_q || was_quiet);
      // it is reset for four cycles, then done comes
      reset_length: assert (path_rst_n ? reset_age == 0 || reset_age == 4 && done : reset_age < 4);
      // under halt until then
      reset_halted: assert (path_rst_n || halt);
      // a stop ends a run in two cycles, or makes it halt
      stop_taken: assert (!(running && was_running && asked >= 2));
      // once all masters are quiet an abort ends within six cycles
      abort_ends: assert (quiet_age < 6);
      // no run is loaded under halt, and masters run or halt only within a run
      halt_in_run: assert (!(halt && (load || running)) && (busy || !halt && !running));
      // without a stop a run never halts
      no_halt_without_stop: assert (!halt || was_halt || asked != 0);
      // cycles of the run, from its start to done
      cycles_count: assert (status[64*4+:64] == cycles || busy && age == 0);
      // frames that wholly left: as many as have passed every output
      frames_count: assert (status[32*14+:32] == least || busy && age == 0);
      // the cycles at which the first and the newest of them left
      marks: assert ({status[64*6+:64], status[64*5+:64]} == {newest, first} || busy && age == 0);
      // what was refused and why, and aborts, are in the flags
      flags: assert (!done || (status[32*16+4] || status[32*16+5]) == bad && status[32*16+6] == was_reset);
      // what is in the registers for a driver to know the design by
      identity: assert (status[31:0] == 32'h314b5747 && status[32+:32] == {15'd0, STALLS != 0, 16'(EDGES)}
                        && status[64+:32] == BUS_BITS && status[128+:128] == HASH);

      // how the machine's state and what is seen of it go together
      inv_state: assert (busy == (\dut.state_q != IDLE) && \dut.state_q <= DONE
                         && (\dut.state_q == LOAD) == (busy && age == 0));
      // done is the cycle after one of these
      inv_done: assert (\dut.state_q != DONE || (bad ? age == 1 : was_idle || was_reset && reset_age == 4));
      // there is no way back from a reset
      inv_reset: assert ((\dut.state_q == RESET) == !path_rst_n && (path_rst_n || 3'(\dut.reset_cycle_q ) == reset_age)
                         && (was_reset || reset_age == 0));
      // aborted from the halt on; the reset stays seen
      inv_aborted: assert (\dut.state_q == LOAD || \dut.state_q == RUN ? !aborted && !was_reset
                           : \dut.state_q == DRAIN ? aborted && !was_reset
                           : \dut.state_q == RESET ? aborted : \dut.state_q != DONE || aborted == was_reset);
      // why a run was refused
      inv_bad: assert (!busy || (status[32*16+4] || status[32*16+5]) == bad);
      // how far outputs are ahead of each other
      inv_ahead: assert (OUTPUTS == 1 || !running || \dut.g_output[0].g_ahead.ahead_q == c0 - least
                         && \dut.g_output[1].g_ahead.ahead_q == c1 - least);
      // a stop is kept until the machine can take it
      inv_stop: assert (\dut.stop_q == (asked != 0));

      finishes: cover (done && !bad && !aborted && least == 2);
      aborts: cover (done && aborted);
      refuses: cover (done && bad);
    end
  end
endmodule
`default_nettype wire

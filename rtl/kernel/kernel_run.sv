// SPDX-License-Identifier: Apache-2.0
// Takes a kernel through its runs, and says how they went in the 32 words of `status` (docs/kernel.md lists them).
//
// start, then a cycle of `load`, then the masters move `frames` frames until all are idle, then a cycle of `done`.
// An unaligned address or no frames at all: nothing moves, done at once.
// stop: `halt` until every master is quiet, then a reset of the datapath (path_rst_n), then done.
// leaves[i] marks the last beat of a frame as it passes output i of the design.
`default_nettype none
module kernel_run #(
  parameter int PORTS = 2,
  parameter int INPUTS = 1,
  parameter int WEIGHTS = 0,
  parameter int EDGES = 1,
  parameter int STALLS = 1,
  parameter int BUS_BITS = 64,
  parameter logic [127:0] HASH = 128'd0
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  start,
  input  wire  stop,
  output logic idle,
  output logic done,
  output logic aborted,
  input  wire  [64*PORTS-1:0] addresses,
  input  wire  [31:0] frames,
  output logic load,
  output logic running,
  output logic halt,
  output logic path_rst_n,
  input  wire  [PORTS-1:0] master_idle,
  input  wire  [PORTS-1:0] master_quiet,
  input  wire  [PORTS-INPUTS-WEIGHTS-1:0] leaves,
  input  wire  [PORTS-1:0] slverr,
  input  wire  [PORTS-1:0] decerr,
  input  wire  [64*PORTS-1:0] fault_address,
  output logic [1023:0] status
);
  localparam int OUTPUTS = PORTS - INPUTS - WEIGHTS;
  localparam int ALIGN_BITS = $clog2(BUS_BITS / 8);

  typedef enum logic [2:0] {IDLE, LOAD, RUN, DRAIN, RESET, DONE} state_t;

  state_t state_q;
  logic unaligned, refused, unaligned_q, empty_q, aborted_q, stop_q, left;
  logic [1:0] reset_cycle_q;
  logic [63:0] cycles_q, first_q, newest_q, error_address;
  logic [31:0] left_q, faulty_reads, faulty_writes, error_master;
  logic [3:0] errors;
  logic [OUTPUTS-1:0] there;

  always_comb begin
    unaligned = 1'b0;
    for (int i = 0; i < PORTS; i++) if (addresses[64*i+:ALIGN_BITS] != '0) unaligned = 1'b1;
  end

  assign idle = state_q == IDLE && !start;
  assign done = state_q == DONE;
  assign aborted = aborted_q;
  assign refused = unaligned_q || empty_q;
  assign load = state_q == LOAD && !refused;
  assign running = state_q == RUN;
  assign halt = state_q == DRAIN || state_q == RESET;
  assign path_rst_n = rst_n && state_q != RESET;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      state_q <= IDLE;
      unaligned_q <= 1'b0;
      empty_q <= 1'b0;
      aborted_q <= 1'b0;
    end else begin
      case (state_q)
        IDLE: if (start) begin
          state_q <= LOAD;
          unaligned_q <= unaligned;
          empty_q <= frames == '0;
          aborted_q <= 1'b0;
        end
        LOAD: state_q <= refused ? DONE : RUN;
        RUN: if (&master_idle) begin
          state_q <= DONE;
        end else if (stop_q) begin
          state_q <= DRAIN;
          aborted_q <= 1'b1;
        end
        DRAIN: if (&master_quiet) state_q <= RESET;
        RESET: if (&reset_cycle_q) state_q <= DONE;
        default: state_q <= IDLE;
      endcase
    end
    // Kept until a run can follow it, for with auto_restart it may come between two.
    stop_q <= rst_n && !idle && state_q != DRAIN && (stop_q || stop);
    reset_cycle_q <= state_q == RESET ? reset_cycle_q + 1'b1 : '0;
  end

  // A frame has left when its last beat has passed every output; outputs may be frames ahead of each other.
  assign left = running && &there;
  for (genvar i = 0; i < OUTPUTS; i++) begin : g_output
    if (OUTPUTS == 1) begin : g_only
      assign there[i] = leaves[i];
    end else begin : g_ahead
      logic [31:0] ahead_q;
      assign there[i] = leaves[i] || ahead_q != '0;
      always_ff @(posedge clk) begin
        if (!path_rst_n || load) ahead_q <= '0;
        else ahead_q <= ahead_q + 32'(leaves[i]) - 32'(left);
      end
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n || state_q == LOAD) begin
      cycles_q <= '0;
      first_q <= '0;
      newest_q <= '0;
      left_q <= '0;
    end else begin
      if (running || halt) cycles_q <= cycles_q + 1'b1;
      if (left) begin
        if (left_q == '0) first_q <= cycles_q;
        newest_q <= cycles_q;
        left_q <= left_q + 1'b1;
      end
    end
  end

  fault_log #(.PORTS(PORTS), .READERS(INPUTS), .WEIGHTS(WEIGHTS)) u_faults (
    .clk(clk), .rst_n(rst_n), .clear(state_q == LOAD), .slverr(slverr), .decerr(decerr), .address(fault_address),
    .flags(errors), .reads(faulty_reads), .writes(faulty_writes), .first_address(error_address),
    .first_master(error_master)
  );

  always_comb begin
    status = '0;
    status[32*0+:32] = 32'h314B5747;
    status[32*1+:32] = {15'd0, STALLS != 0, 16'(EDGES)};
    status[32*2+:32] = 32'(BUS_BITS);
    status[32*3+:32] = {31'd0, halt};
    status[32*4+:128] = HASH;
    status[32*8+:64] = cycles_q;
    status[32*10+:64] = first_q;
    status[32*12+:64] = newest_q;
    status[32*14+:32] = left_q;
    status[32*16+:32] = {25'd0, aborted_q, empty_q, unaligned_q, errors};
    status[32*17+:32] = faulty_reads;
    status[32*18+:32] = faulty_writes;
    status[32*20+:64] = error_address;
    status[32*22+:32] = error_master;
  end
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
// Error responses of all masters since `clear`: what there was, how often, and where first.
//
// A master reports a faulty burst in one cycle: slverr[i] or decerr[i] or both, with address[i]. Masters below READERS
// read, and the last WEIGHTS; the others write. flags: {write DECERR, write SLVERR, read DECERR, read SLVERR}.
// Counts stop at 2**32 - 1. Of bursts reported in one cycle the lowest master's is the first.
`default_nettype none
module fault_log #(
  parameter int PORTS = 2,
  parameter int READERS = 1,
  parameter int WEIGHTS = 0
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  clear,
  input  wire  [PORTS-1:0] slverr,
  input  wire  [PORTS-1:0] decerr,
  input  wire  [64*PORTS-1:0] address,
  output logic [3:0] flags,
  output logic [31:0] reads,
  output logic [31:0] writes,
  output logic [63:0] first_address,
  output logic [31:0] first_master
);
  localparam int WRITERS = PORTS - READERS - WEIGHTS;
  localparam int COUNT_BITS = $clog2(PORTS + 1);

  if (READERS < 1 || WRITERS < 1) begin : g_bad_ports
    $fatal(1, "fault_log %m: READERS=%0d must be at least 1 and less than PORTS=%0d", READERS, PORTS);
  end

  localparam logic [PORTS-1:0] ALL = '1;
  localparam logic [PORTS-1:0] WRITES = ALL << READERS & ALL >> WEIGHTS;

  logic [PORTS-1:0] faulty;
  logic [COUNT_BITS-1:0] new_reads, new_writes;
  logic [32:0] next_reads, next_writes;
  logic [63:0] lowest_address;
  logic [31:0] lowest;

  assign faulty = slverr | decerr;

  always_comb begin
    new_reads = '0;
    new_writes = '0;
    lowest = '0;
    lowest_address = '0;
    for (int i = PORTS - 1; i >= 0; i--) begin
      if (WRITES[i]) new_writes = new_writes + COUNT_BITS'(faulty[i]);
      else new_reads = new_reads + COUNT_BITS'(faulty[i]);
      if (faulty[i]) begin
        lowest = 32'(i);
        lowest_address = address[64*i+:64];
      end
    end
  end

  assign next_reads = {1'b0, reads} + 33'(new_reads);
  assign next_writes = {1'b0, writes} + 33'(new_writes);

  always_ff @(posedge clk) begin
    if (!rst_n || clear) begin
      flags <= '0;
      reads <= '0;
      writes <= '0;
      first_address <= '0;
      first_master <= '0;
    end else begin
      flags <= flags | {|(decerr & WRITES), |(slverr & WRITES), |(decerr & ~WRITES), |(slverr & ~WRITES)};
      reads <= next_reads[32] ? '1 : next_reads[31:0];
      writes <= next_writes[32] ? '1 : next_writes[31:0];
      if (flags == '0 && faulty != '0) begin
        first_address <= lowest_address;
        first_master <= lowest;
      end
    end
  end
endmodule
`default_nettype wire

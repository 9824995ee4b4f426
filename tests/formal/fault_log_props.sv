// SPDX-License-Identifier: Apache-2.0
// Properties of fault_log, from any state of its registers, so the end of its counters is within reach.
`default_nettype none
module fault_log_props #(
  parameter int PORTS = 3,
  parameter int READERS = 2,
  parameter int WEIGHTS = 0
) (
  input wire clk
);
  (* anyseq *) logic rst_n, clear;
  (* anyseq *) logic [PORTS-1:0] slverr, decerr;
  (* anyseq *) logic [64*PORTS-1:0] address;
  logic [3:0] flags;
  logic [31:0] reads, writes, first_master;
  logic [63:0] first_address;

  fault_log #(.PORTS(PORTS), .READERS(READERS), .WEIGHTS(WEIGHTS)) dut (
    .clk(clk), .rst_n(rst_n), .clear(clear), .slverr(slverr), .decerr(decerr), .address(address),
    .flags(flags), .reads(reads), .writes(writes), .first_address(first_address), .first_master(first_master)
  );

  logic cleared;
  logic [3:0] flags_q, raises;
  logic [31:0] reads_q, writes_q, first_master_q, new_reads, new_writes;
  logic [31:0] lowest;
  logic [63:0] first_address_q, lowest_address;
  logic [PORTS-1:0] slverr_q, decerr_q, faulty_q;
  logic [64*PORTS-1:0] address_q;
  assign faulty_q = slverr_q | decerr_q;
  always_ff @(posedge clk) begin
    cleared <= clear || !rst_n;
    {flags_q, reads_q, writes_q, first_master_q, first_address_q} <= {flags, reads, writes, first_master, first_address};
    {slverr_q, decerr_q, address_q} <= {slverr, decerr, address};
  end
  always_comb begin
    new_reads = '0;
    new_writes = '0;
    raises = '0;
    lowest = 32'(PORTS);
    lowest_address = '0;
    for (int i = 0; i < PORTS; i++) begin
      if (faulty_q[i] && lowest == PORTS) begin
        lowest = 32'(i);
        lowest_address = address_q[64*i+:64];
      end
      if (i < READERS || i >= PORTS - WEIGHTS) begin
        if (faulty_q[i]) new_reads = new_reads + 1;
        raises = raises | {2'b00, decerr_q[i], slverr_q[i]};
      end else begin
        if (faulty_q[i]) new_writes = new_writes + 1;
        raises = raises | {decerr_q[i], slverr_q[i], 2'b00};
      end
    end
  end

  always @* begin
    if (!$initstate) begin
      // clear leaves nothing behind
      clears: assert (!cleared || {flags, reads, writes, first_address, first_master} == 0);
      // a flag stays until it is cleared
      flags_stay: assert (cleared || (flags & flags_q) == flags_q);
      // a flag is raised by an error of its kind and side, and by nothing else
      flags_raise: assert (cleared || (flags & ~flags_q) == (raises & ~flags_q));
      // faulty bursts of all readers are counted, and the count stays at its last
      reads_count: assert (cleared || reads == (33'(reads_q) + 33'(new_reads) > 33'hffffffff ? '1 : reads_q + new_reads));
      // so are those of the writers
      writes_count: assert (cleared || writes == (33'(writes_q) + 33'(new_writes) > 33'hffffffff ? '1
                                                  : writes_q + new_writes));
      // the first fault's address and master are kept
      first_stays: assert (cleared || flags_q == 0 || {first_address, first_master} == {first_address_q, first_master_q});
      // they are those of the lowest master that reported one
      first_lowest: assert (cleared || flags_q != 0 || faulty_q == 0
                            || first_master == lowest && first_address == lowest_address);

      two: cover (!cleared && flags_q == 0 && int'(new_reads) == READERS + WEIGHTS && new_writes == 1);
      last_count: cover (!cleared && reads_q == '1 && reads == '1 && new_reads != 0);
    end
  end
endmodule
`default_nettype wire

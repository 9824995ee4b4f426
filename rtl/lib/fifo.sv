// SPDX-License-Identifier: Apache-2.0
// FIFO of DEPTH words; valid and ready come from registers alone, so it also cuts every combinational path.
//
// A word is taken while fewer than DEPTH are held, whatever the reader does in that cycle. One word a cycle.
// BLOCK 0: LUT RAM or registers, read combinationally; a word pushed in cycle c is offered from c + 1.
// BLOCK 1: block RAM, whose read register is the last of the DEPTH places; offered from c + 2.
// Use BLOCK 1 where DEPTH * WIDTH is worth a block RAM (some kilobits), else BLOCK 0. tlast travels inside tdata.
`default_nettype none
module fifo #(
  parameter int WIDTH = 1,
  parameter int DEPTH = 2,
  parameter int BLOCK = 0
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  [WIDTH-1:0] s_tdata,
  input  wire  s_tvalid,
  output logic s_tready,
  output logic [WIDTH-1:0] m_tdata,
  output logic m_tvalid,
  input  wire  m_tready
);
  if (WIDTH < 1) begin : g_bad_width
    $fatal(1, "fifo %m: WIDTH=%0d must be at least 1", WIDTH);
  end
  if (DEPTH < 2) begin : g_bad_depth
    $fatal(1, "fifo %m: DEPTH=%0d must be at least 2 to pass one word a cycle", DEPTH);
  end

  localparam int ADDR_BITS = $clog2(DEPTH);
  localparam int COUNT_BITS = $clog2(DEPTH + 1);

  logic [ADDR_BITS-1:0] write_addr, read_addr;
  logic unused_write_last, unused_read_last;
  logic push, pop, load;
  logic [COUNT_BITS-1:0] count_q;

  assign push = s_tvalid && s_tready;
  assign pop  = m_tvalid && m_tready;
  assign s_tready = count_q != COUNT_BITS'(DEPTH);

  always_ff @(posedge clk) begin
    if (!rst_n) count_q <= '0;
    else if (push && !pop) count_q <= count_q + 1'b1;
    else if (pop && !push) count_q <= count_q - 1'b1;
  end

  counter #(.COUNT(DEPTH)) u_write (
    .clk(clk), .rst_n(rst_n), .step(push), .value(write_addr), .last(unused_write_last)
  );
  counter #(.COUNT(DEPTH)) u_read (
    .clk(clk), .rst_n(rst_n), .step(load), .value(read_addr), .last(unused_read_last)
  );

  if (BLOCK != 0) begin : g_block
    (* ram_style = "block" *) logic [WIDTH-1:0] mem[DEPTH];
    logic waiting;

    // A word waits in the memory when more are held than the output register shows.
    assign waiting = count_q != COUNT_BITS'(m_tvalid);
    assign load = waiting && (!m_tvalid || m_tready);

    always_ff @(posedge clk) if (push) mem[write_addr] <= s_tdata;
    always_ff @(posedge clk) if (load) m_tdata <= mem[read_addr];

    always_ff @(posedge clk) begin
      if (!rst_n) m_tvalid <= 1'b0;
      else if (load || m_tready) m_tvalid <= load;
    end
  end else begin : g_lut
    (* ram_style = "distributed" *) logic [WIDTH-1:0] mem[DEPTH];

    assign m_tvalid = count_q != '0;
    assign m_tdata = mem[read_addr];
    assign load = pop;

    always_ff @(posedge clk) if (push) mem[write_addr] <= s_tdata;
  end
endmodule
`default_nettype wire

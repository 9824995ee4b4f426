// SPDX-License-Identifier: Apache-2.0
// Two blocks of BLOCK words: one is written in the order of arrival while the other is read in any order.
//
// A word is taken while fewer than two blocks are ahead of the reader's first unfinished one. step: the word at addr of
// the reader's block is there and en is high; last with step finishes the block. data follows by one cycle with en.
`default_nettype none
module ping_pong #(
  parameter int WIDTH = 1,
  parameter int BLOCK = 1
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  [WIDTH-1:0] s_tdata,
  input  wire  s_tvalid,
  output logic s_tready,
  input  wire  en,
  input  wire  [(BLOCK > 1 ? $clog2(BLOCK) : 1)-1:0] addr,
  input  wire  last,
  output logic step,
  output logic [WIDTH-1:0] data
);
  if (WIDTH < 1 || BLOCK < 1) begin : g_bad_shape
    $fatal(1, "ping_pong %m: WIDTH=%0d and BLOCK=%0d must be at least 1", WIDTH, BLOCK);
  end

  localparam int ADDR_BITS = $clog2(2 * BLOCK);
  localparam int COUNT_BITS = $clog2(2 * BLOCK + 1);

  logic accept, finish, half_q, unused_last;
  logic [ADDR_BITS-1:0] write_addr, read_addr;
  logic [COUNT_BITS-1:0] written_q;  // words of the reader's block and of the one behind it

  counter #(.COUNT(2 * BLOCK)) u_write_addr (
    .clk(clk), .rst_n(rst_n), .step(accept), .value(write_addr), .last(unused_last)
  );

  assign s_tready = written_q < COUNT_BITS'(2 * BLOCK);
  assign accept = s_tvalid && s_tready;
  assign step = en && written_q > COUNT_BITS'(addr);
  assign finish = step && last;
  assign read_addr = ADDR_BITS'(addr) + (half_q ? ADDR_BITS'(BLOCK) : '0);

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      half_q <= 1'b0;
      written_q <= '0;
    end else begin
      half_q <= half_q ^ finish;
      written_q <= written_q + (accept ? COUNT_BITS'(1) : '0) - (finish ? COUNT_BITS'(BLOCK) : '0);
    end
  end

  sdp_ram #(.WIDTH(WIDTH), .DEPTH(2 * BLOCK)) u_ram (
    .clk(clk), .write_en(accept), .write_addr(write_addr), .write_data(s_tdata),
    .read_en(en), .read_addr(read_addr), .read_data(data)
  );
endmodule
`default_nettype wire

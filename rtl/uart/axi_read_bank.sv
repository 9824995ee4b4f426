// SPDX-License-Identifier: Apache-2.0
// Memory of 2^BITS bytes from BASE on: an AXI4 master reads it in words of 32 bits, another port reads and writes it.
//
// AXI: one ID, bursts of type INCR and of whole words; others are taken for such. A burst outside is answered with
// DECERR and all its beats; no burst crosses 4 KiB, so its first address decides. A beat comes in the fourth cycle
// after its address, then one a cycle, also from burst to burst of two beats and more; what is offered stays.
// The other port: `enable` reads or, with `write`, writes in its cycle; read_data follows in the next. A beat that is
// read while its word is written is undefined. True dual-port block RAM.
`default_nettype none
module axi_read_bank #(
  parameter int BITS = 13,
  parameter int BASE = 0
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  [63:0] s_axi_araddr,
  input  wire  [7:0] s_axi_arlen,
  input  wire  s_axi_arvalid,
  output logic s_axi_arready,
  output logic [31:0] s_axi_rdata,
  output logic [1:0] s_axi_rresp,
  output logic s_axi_rlast,
  output logic s_axi_rvalid,
  input  wire  s_axi_rready,
  input  wire  enable,
  input  wire  write,
  input  wire  [BITS-3:0] address,
  input  wire  [31:0] write_data,
  output logic [31:0] read_data
);
  if (BITS < 12 || BITS > 30 || BASE < 0 || BASE % (1 << BITS) != 0) begin : g_bad_bank
    $fatal(1, "axi_read_bank %m: BASE=%0d must be a multiple of 2^BITS, with BITS=%0d from 12 to 30", BASE, BITS);
  end

  logic asked_q, start, next, step, fetched_q, fetched_last_q, active_q, last_q, error_q;
  logic fetched_error_q;
  logic [BITS-3:0] first_q, word_q;
  logic [63:BITS] above_q;
  logic [7:0] length_q, left_q;
  logic [31:0] word;

  ram_true_dual #(.ADDRESS_BITS(BITS - 2)) u_ram (
    .clk(clk), .a_enable(enable), .a_write({4{write}}), .a_address(address), .a_write_data(write_data),
    .a_read_data(read_data), .b_enable(next), .b_write(4'd0), .b_address(word_q), .b_write_data(32'd0),
    .b_read_data(word)
  );

  // A burst waits here until the one before it has asked for its last word.
  assign s_axi_arready = !asked_q;
  assign start = asked_q && (!active_q || next && last_q);
  wire unused_bits = &{1'b0, s_axi_araddr[1:0]};

  always_ff @(posedge clk) begin
    if (!rst_n) asked_q <= 1'b0;
    else asked_q <= asked_q ? !start : s_axi_arvalid;
    if (!asked_q) begin
      {above_q, first_q} <= s_axi_araddr[63:2];
      length_q <= s_axi_arlen;
    end
  end

  // Words are asked for while the two registers behind the memory can move.
  assign step = !s_axi_rvalid || s_axi_rready;
  assign next = active_q && (!fetched_q || step);

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      active_q <= 1'b0;
      fetched_q <= 1'b0;
      s_axi_rvalid <= 1'b0;
    end else begin
      active_q <= start || active_q && !(next && last_q);
      fetched_q <= next || fetched_q && !step;
      s_axi_rvalid <= fetched_q || s_axi_rvalid && !s_axi_rready;
    end
    if (start) begin
      word_q <= first_q;
      left_q <= length_q;
      last_q <= length_q == '0;
      error_q <= above_q != (64 - BITS)'(BASE >> BITS);
    end else if (next) begin
      word_q <= word_q + 1'b1;
      left_q <= left_q - 1'b1;
      last_q <= left_q == 8'd1;
    end
    if (next) begin
      fetched_last_q <= last_q;
      fetched_error_q <= error_q;
    end
    if (step) begin
      s_axi_rdata <= word;
      s_axi_rlast <= fetched_last_q;
      s_axi_rresp <= {2{fetched_error_q}};
    end
  end
endmodule
`default_nettype wire

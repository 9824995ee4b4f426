// SPDX-License-Identifier: Apache-2.0
// Memory of 2^BITS bytes from BASE on: an AXI4 master writes it in words of 32 bits, another port reads and writes it.
//
// AXI: one ID, bursts of type INCR and of whole words, of whose bytes those are written that WSTRB names. A burst
// outside writes nothing and is answered with DECERR; no burst crosses 4 KiB, so its first address decides. Data is
// taken from the second cycle after the address on, a beat a cycle, also from burst to burst of two beats and more;
// the response follows the last beat in the next cycle.
// The other port: `enable` reads or, with `write`, writes in its cycle; read_data follows in the next. A word that is
// read while it is written is undefined. True dual-port block RAM.
`default_nettype none
module axi_write_bank #(
  parameter int BITS = 13,
  parameter int BASE = 0
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  [63:0] s_axi_awaddr,
  input  wire  [7:0] s_axi_awlen,
  input  wire  s_axi_awvalid,
  output logic s_axi_awready,
  input  wire  [31:0] s_axi_wdata,
  input  wire  [3:0] s_axi_wstrb,
  input  wire  s_axi_wlast,
  input  wire  s_axi_wvalid,
  output logic s_axi_wready,
  output logic [1:0] s_axi_bresp,
  output logic s_axi_bvalid,
  input  wire  s_axi_bready,
  input  wire  enable,
  input  wire  write,
  input  wire  [BITS-3:0] address,
  input  wire  [31:0] write_data,
  output logic [31:0] read_data
);
  if (BITS < 12 || BITS > 30 || BASE < 0 || BASE % (1 << BITS) != 0) begin : g_bad_bank
    $fatal(1, "axi_write_bank %m: BASE=%0d must be a multiple of 2^BITS, with BITS=%0d from 12 to 30", BASE, BITS);
  end

  logic asked_q, start, beat, active_q, last_q, error_q;
  logic [BITS-3:0] first_q, word_q;
  logic [63:BITS] above_q;
  logic [7:0] length_q, left_q;
  logic [31:0] unused_data;

  ram_true_dual #(.ADDRESS_BITS(BITS - 2)) u_ram (
    .clk(clk), .a_enable(enable), .a_write({4{write}}), .a_address(address), .a_write_data(write_data),
    .a_read_data(read_data), .b_enable(beat && !error_q), .b_write(s_axi_wstrb), .b_address(word_q),
    .b_write_data(s_axi_wdata), .b_read_data(unused_data)
  );

  // A burst waits here until the one before it has had its last beat.
  assign s_axi_awready = !asked_q;
  assign start = asked_q && (!active_q || beat && last_q);
  wire unused_bits = &{1'b0, s_axi_awaddr[1:0], s_axi_wlast, unused_data};

  always_ff @(posedge clk) begin
    if (!rst_n) asked_q <= 1'b0;
    else asked_q <= asked_q ? !start : s_axi_awvalid;
    if (!asked_q) begin
      {above_q, first_q} <= s_axi_awaddr[63:2];
      length_q <= s_axi_awlen;
    end
  end

  // The last beat waits until the response before has been taken.
  assign s_axi_wready = active_q && !(last_q && s_axi_bvalid);
  assign beat = s_axi_wvalid && s_axi_wready;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      active_q <= 1'b0;
      s_axi_bvalid <= 1'b0;
    end else begin
      active_q <= start || active_q && !(beat && last_q);
      s_axi_bvalid <= beat && last_q || s_axi_bvalid && !s_axi_bready;
    end
    if (start) begin
      word_q <= first_q;
      left_q <= length_q;
      last_q <= length_q == '0;
      error_q <= above_q != (64 - BITS)'(BASE >> BITS);
    end else if (beat) begin
      word_q <= word_q + 1'b1;
      left_q <= left_q - 1'b1;
      last_q <= left_q == 8'd1;
    end
    if (beat && last_q) s_axi_bresp <= {2{error_q}};
  end
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
// Another order of the elements of a block: output beat i of every BLOCK beats is its input beat order(i).
//
// Beats: PE elements that stay together, in and out. One block is read while the next one is written; a beat leaves as
// soon as it is there and its turn has come. Depth 2 (RAM, output), one beat a cycle. A block is the least share of a
// frame that no element leaves: a row of a pixel shuffle, the whole frame of a transposition.
// order(i) is START + i0 * S0 + ... + i4 * S4 over the turns of five nested loops (any transposition), or with TABLE a
// ROM: word i of ORDER holds order(i).
`default_nettype none
module reshape #(
  parameter int IN_BITS = 4,
  parameter int IN_LANES = 1,
  parameter int IN_BEATS = 1,
  parameter int IN_SIGNED = 0,
  parameter int OUT_BITS = 4,
  parameter int OUT_LANES = 1,
  parameter int OUT_BEATS = 1,
  parameter int OUT_SIGNED = 0,
  parameter int PE = 1,
  parameter int BLOCK = 1,
  parameter int START = 0,
  parameter int N0 = 1,
  parameter int N1 = 1,
  parameter int N2 = 1,
  parameter int N3 = 1,
  parameter int N4 = 1,
  parameter int S0 = 0,
  parameter int S1 = 0,
  parameter int S2 = 0,
  parameter int S3 = 0,
  parameter int S4 = 0,
  parameter int TABLE = 0,
  parameter int ORDER_BITS = 1,
  parameter ORDER_FILE = ""
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  [IN_BITS*IN_LANES-1:0] s_axis_tdata,
  input  wire  s_axis_tvalid,
  output logic s_axis_tready,
  input  wire  s_axis_tlast,
  output logic [OUT_BITS*OUT_LANES-1:0] m_axis_tdata,
  output logic m_axis_tvalid,
  input  wire  m_axis_tready,
  output logic m_axis_tlast
);
  localparam int ADDR_BITS = BLOCK > 1 ? $clog2(BLOCK) : 1;

  if (IN_LANES != PE || OUT_LANES != PE || IN_BEATS != OUT_BEATS) begin : g_bad_lanes
    $fatal(1, "reshape %m: PE=%0d must equal IN_LANES=%0d and OUT_LANES=%0d, and IN_BEATS=%0d OUT_BEATS=%0d",
           PE, IN_LANES, OUT_LANES, IN_BEATS, OUT_BEATS);
  end
  if (IN_BITS != OUT_BITS || IN_SIGNED != OUT_SIGNED) begin : g_bad_type
    $fatal(1, "reshape %m: IN_BITS=%0d, IN_SIGNED=%0d must equal OUT_BITS=%0d, OUT_SIGNED=%0d",
           IN_BITS, IN_SIGNED, OUT_BITS, OUT_SIGNED);
  end
  if (BLOCK < 1 || IN_BEATS % BLOCK != 0) begin : g_bad_block
    $fatal(1, "reshape %m: BLOCK=%0d must be at least 1 and divide IN_BEATS=%0d", BLOCK, IN_BEATS);
  end
  if (TABLE == 0 && N0 * N1 * N2 * N3 * N4 != BLOCK) begin : g_bad_loops
    $fatal(1, "reshape %m: the loops %0d*%0d*%0d*%0d*%0d do not make BLOCK=%0d", N0, N1, N2, N3, N4, BLOCK);
  end
  if (TABLE != 0 && ORDER_BITS != ADDR_BITS) begin : g_bad_order
    $fatal(1, "reshape %m: ORDER_BITS=%0d must be %0d for BLOCK=%0d", ORDER_BITS, ADDR_BITS, BLOCK);
  end

  logic en, step, last;
  logic [ADDR_BITS-1:0] addr;
  logic [IN_BITS*PE-1:0] read;

  pipeline #(.DEPTH(2), .BEATS(OUT_BEATS)) u_pipeline (
    .clk(clk), .rst_n(rst_n), .launch(step), .en(en),
    .m_tvalid(m_axis_tvalid), .m_tlast(m_axis_tlast), .m_tready(m_axis_tready)
  );
  frame_check #(.BEATS(IN_BEATS)) u_check (
    .clk(clk), .rst_n(rst_n), .tvalid(s_axis_tvalid), .tready(s_axis_tready), .tlast(s_axis_tlast)
  );
  ping_pong #(.WIDTH(IN_BITS * PE), .BLOCK(BLOCK)) u_blocks (
    .clk(clk), .rst_n(rst_n), .s_tdata(s_axis_tdata), .s_tvalid(s_axis_tvalid), .s_tready(s_axis_tready),
    .en(en), .addr(addr), .last(last), .step(step), .data(read)
  );
  always_ff @(posedge clk) if (en) m_axis_tdata <= read;

  if (TABLE != 0) begin : g_table
    logic [ADDR_BITS-1:0] beat, next;

    // The ROM is read one step ahead, and in reset, so that it always holds the address of the next step.
    assign next = !rst_n || (step && last) ? '0 : beat + ADDR_BITS'(step);
    counter #(.COUNT(BLOCK)) u_beat (
      .clk(clk), .rst_n(rst_n), .step(step), .value(beat), .last(last)
    );
    rom #(.WIDTH(ADDR_BITS), .DEPTH(BLOCK), .BLOCK(BLOCK > 256 ? 1 : 0), .FILE(ORDER_FILE)) u_order (
      .clk(clk), .en(1'b1), .addr(next), .data(addr)
    );
  end else begin : g_loops
    logic [2:0] level;
    logic signed [ADDR_BITS:0] value;
    wire unused_sign = &{1'b0, value[ADDR_BITS]};

    assign last = level == 3'd5;
    assign addr = value[ADDR_BITS-1:0];
    loop_nest #(.N0(N0), .N1(N1), .N2(N2), .N3(N3), .N4(N4)) u_loops (
      .clk(clk), .rst_n(rst_n), .step(step), .level(level)
    );
    loop_value #(
      .BITS(ADDR_BITS + 1), .START(START), .N0(N0), .N1(N1), .N2(N2), .N3(N3), .N4(N4),
      .S0(S0), .S1(S1), .S2(S2), .S3(S3), .S4(S4)
    ) u_addr (
      .clk(clk), .rst_n(rst_n), .step(step), .level(level), .up(1'b0), .value(value)
    );
  end
endmodule
`default_nettype wire

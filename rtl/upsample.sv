// SPDX-License-Identifier: Apache-2.0
// Nearest-neighbour upsampling: every row of WIDTH pixels is given FACTOR_H times, every pixel in it FACTOR_W times.
//
// Beats: PE channels in and out, channel group 0..CHANNELS/PE-1 for every pixel. One row is read while the next one is
// written, so every row is taken once. Depth 2 (RAM, output), one beat out a cycle.
`default_nettype none
module upsample #(
  parameter int IN_BITS = 4,
  parameter int IN_LANES = 1,
  parameter int IN_BEATS = 1,
  parameter int IN_SIGNED = 0,
  parameter int OUT_BITS = 4,
  parameter int OUT_LANES = 1,
  parameter int OUT_BEATS = 4,
  parameter int OUT_SIGNED = 0,
  parameter int PE = 1,
  parameter int FACTOR_H = 2,
  parameter int FACTOR_W = 2,
  parameter int WIDTH = 1,
  parameter int CHANNELS = 1
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
  localparam int GROUPS = CHANNELS / PE;
  localparam int ROW = WIDTH * GROUPS;  // beats
  localparam int ADDR_BITS = ROW > 1 ? $clog2(ROW) : 1;

  if (IN_LANES != PE || OUT_LANES != PE || CHANNELS % PE != 0) begin : g_bad_lanes
    $fatal(1, "upsample %m: PE=%0d must equal IN_LANES=%0d and OUT_LANES=%0d and divide CHANNELS=%0d",
           PE, IN_LANES, OUT_LANES, CHANNELS);
  end
  if (IN_BEATS % ROW != 0 || OUT_BEATS != IN_BEATS * FACTOR_H * FACTOR_W) begin : g_bad_beats
    $fatal(1, "upsample %m: OUT_BEATS=%0d must be FACTOR_H=%0d * FACTOR_W=%0d times IN_BEATS=%0d, whole rows of %0d",
           OUT_BEATS, FACTOR_H, FACTOR_W, IN_BEATS, ROW);
  end
  if (IN_BITS != OUT_BITS || IN_SIGNED != OUT_SIGNED) begin : g_bad_type
    $fatal(1, "upsample %m: IN_BITS=%0d, IN_SIGNED=%0d must equal OUT_BITS=%0d, OUT_SIGNED=%0d",
           IN_BITS, IN_SIGNED, OUT_BITS, OUT_SIGNED);
  end

  logic en, step;
  logic [2:0] level;
  logic signed [ADDR_BITS:0] addr;
  logic [IN_BITS*PE-1:0] read;
  wire unused_sign = &{1'b0, addr[ADDR_BITS]};

  pipeline #(.DEPTH(2), .BEATS(OUT_BEATS)) u_pipeline (
    .clk(clk), .rst_n(rst_n), .launch(step), .en(en),
    .m_tvalid(m_axis_tvalid), .m_tlast(m_axis_tlast), .m_tready(m_axis_tready)
  );
  frame_check #(.BEATS(IN_BEATS)) u_check (
    .clk(clk), .rst_n(rst_n), .tvalid(s_axis_tvalid), .tready(s_axis_tready), .tlast(s_axis_tlast)
  );
  loop_nest #(.N0(GROUPS), .N1(FACTOR_W), .N2(WIDTH), .N3(FACTOR_H)) u_loops (
    .clk(clk), .rst_n(rst_n), .step(step), .level(level)
  );
  loop_value #(
    .BITS(ADDR_BITS + 1), .N0(GROUPS), .N1(FACTOR_W), .N2(WIDTH), .N3(FACTOR_H), .S0(1), .S2(GROUPS)
  ) u_addr (
    .clk(clk), .rst_n(rst_n), .step(step), .level(level), .up(1'b0), .value(addr)
  );
  ping_pong #(.WIDTH(IN_BITS * PE), .BLOCK(ROW)) u_rows (
    .clk(clk), .rst_n(rst_n), .s_tdata(s_axis_tdata), .s_tvalid(s_axis_tvalid), .s_tready(s_axis_tready),
    .en(en), .addr(addr[ADDR_BITS-1:0]), .last(level == 3'd5), .step(step), .data(read)
  );
  always_ff @(posedge clk) if (en) m_axis_tdata <= read;
endmodule
`default_nettype wire

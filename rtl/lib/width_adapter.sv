// SPDX-License-Identifier: Apache-2.0
// Changes the lanes of a stream: the same elements in the same order, OUT_LANES instead of IN_LANES a beat.
// One of the two must divide the other; go through a common divisor with two adapters where neither does.
//
// Wider (OUT_LANES = R * IN_LANES): a step takes a beat, every R-th gives one; IN_BEATS cycles a frame.
// Narrower (IN_LANES = R * OUT_LANES): a step gives a beat, the first of R takes one; OUT_BEATS cycles a frame.
// Depth 1 either way, and with equal lanes a plain register.
`default_nettype none
module width_adapter #(
  parameter int BITS = 1,
  parameter int IN_LANES = 1,
  parameter int OUT_LANES = 1,
  parameter int IN_BEATS = 1,
  parameter int OUT_BEATS = 1
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  [BITS*IN_LANES-1:0] s_axis_tdata,
  input  wire  s_axis_tvalid,
  output logic s_axis_tready,
  input  wire  s_axis_tlast,
  output logic [BITS*OUT_LANES-1:0] m_axis_tdata,
  output logic m_axis_tvalid,
  input  wire  m_axis_tready,
  output logic m_axis_tlast
);
  if (BITS < 1 || IN_LANES < 1 || OUT_LANES < 1) begin : g_bad_shape
    $fatal(1, "width_adapter %m: BITS=%0d, IN_LANES=%0d and OUT_LANES=%0d must be at least 1",
           BITS, IN_LANES, OUT_LANES);
  end
  if (IN_LANES % OUT_LANES != 0 && OUT_LANES % IN_LANES != 0) begin : g_bad_ratio
    $fatal(1, "width_adapter %m: one of IN_LANES=%0d and OUT_LANES=%0d must divide the other", IN_LANES, OUT_LANES);
  end
  if (IN_LANES * IN_BEATS != OUT_LANES * OUT_BEATS) begin : g_bad_frame
    $fatal(1, "width_adapter %m: a frame of %0d beats of %0d lanes does not fill %0d beats of %0d lanes",
           IN_BEATS, IN_LANES, OUT_BEATS, OUT_LANES);
  end

  localparam bit WIDER = OUT_LANES > IN_LANES;
  localparam int RATIO = WIDER ? OUT_LANES / IN_LANES : IN_LANES / OUT_LANES;
  localparam int HELD_BITS = BITS * (WIDER ? OUT_LANES : IN_LANES);

  logic en, step, first, last;
  logic [(RATIO > 1 ? $clog2(RATIO) : 1)-1:0] phase;
  logic [HELD_BITS-1:0] held_q;

  counter #(.COUNT(RATIO)) u_phase (
    .clk(clk), .rst_n(rst_n), .step(step), .value(phase), .last(last)
  );
  pipeline #(.DEPTH(1), .BEATS(OUT_BEATS)) u_pipeline (
    .clk(clk), .rst_n(rst_n), .launch(step && (last || !WIDER)), .en(en),
    .m_tvalid(m_axis_tvalid), .m_tlast(m_axis_tlast), .m_tready(m_axis_tready)
  );
  frame_check #(.BEATS(IN_BEATS)) u_check (
    .clk(clk), .rst_n(rst_n), .tvalid(s_axis_tvalid), .tready(s_axis_tready), .tlast(s_axis_tlast)
  );

  assign first = phase == '0;
  assign s_axis_tready = en && (first || WIDER);
  assign step = en && (s_axis_tvalid || !s_axis_tready);
  assign m_axis_tdata = held_q[BITS*OUT_LANES-1:0];

  if (WIDER) begin : g_wider
    always_ff @(posedge clk) if (step) held_q <= {s_axis_tdata, held_q[HELD_BITS-1:BITS*IN_LANES]};
  end else begin : g_narrower
    // Shifted with a word more in front, so that there is something left where a beat is one word.
    localparam int OUT_BITS = BITS * OUT_LANES;
    logic [HELD_BITS-1:0] rest;

    assign rest = HELD_BITS'((HELD_BITS + OUT_BITS)'(held_q) >> OUT_BITS);
    always_ff @(posedge clk) if (step) held_q <= first ? s_axis_tdata : rest;
  end
endmodule
`default_nettype wire

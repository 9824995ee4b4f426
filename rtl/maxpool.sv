// SPDX-License-Identifier: Apache-2.0
// y[c] = maximum over k of x[k,c], for every group of WINDOW vectors of CHANNELS elements: max pooling behind a window.
//
// Beats: PE channels in and out; vector k outer, channel group inner. A step takes a beat; the steps of the last
// vector give one. Depth 1, one step a cycle.
`default_nettype none
module maxpool #(
  parameter int IN_BITS = 4,
  parameter int IN_LANES = 1,
  parameter int IN_BEATS = 1,
  parameter int IN_SIGNED = 0,
  parameter int OUT_BITS = 4,
  parameter int OUT_LANES = 1,
  parameter int OUT_BEATS = 1,
  parameter int OUT_SIGNED = 0,
  parameter int PE = 1,
  parameter int CHANNELS = 1,
  parameter int WINDOW = 1
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

  if (IN_LANES != PE || OUT_LANES != PE || CHANNELS % PE != 0) begin : g_bad_lanes
    $fatal(1, "maxpool %m: PE=%0d must equal IN_LANES=%0d and OUT_LANES=%0d and divide CHANNELS=%0d",
           PE, IN_LANES, OUT_LANES, CHANNELS);
  end
  if (IN_BEATS != OUT_BEATS * WINDOW || OUT_BEATS % GROUPS != 0) begin : g_bad_beats
    $fatal(1, "maxpool %m: IN_BEATS=%0d must be WINDOW=%0d times OUT_BEATS=%0d, a multiple of CHANNELS/PE=%0d",
           IN_BEATS, WINDOW, OUT_BEATS, GROUPS);
  end
  if (IN_BITS != OUT_BITS || IN_SIGNED != OUT_SIGNED) begin : g_bad_type
    $fatal(1, "maxpool %m: IN_BITS=%0d, IN_SIGNED=%0d must equal OUT_BITS=%0d, OUT_SIGNED=%0d",
           IN_BITS, IN_SIGNED, OUT_BITS, OUT_SIGNED);
  end

  logic en, step, first, group_last, last;
  logic [(GROUPS > 1 ? $clog2(GROUPS) : 1)-1:0] group;
  logic [(WINDOW > 1 ? $clog2(WINDOW) : 1)-1:0] k;
  logic [IN_BITS*PE-1:0] best_q, best_d;

  counter #(.COUNT(GROUPS)) u_group (
    .clk(clk), .rst_n(rst_n), .step(step), .value(group), .last(group_last)
  );
  counter #(.COUNT(WINDOW)) u_k (
    .clk(clk), .rst_n(rst_n), .step(step && group_last), .value(k), .last(last)
  );
  pipeline #(.DEPTH(1), .BEATS(OUT_BEATS)) u_pipeline (
    .clk(clk), .rst_n(rst_n), .launch(step && last), .en(en),
    .m_tvalid(m_axis_tvalid), .m_tlast(m_axis_tlast), .m_tready(m_axis_tready)
  );
  frame_check #(.BEATS(IN_BEATS)) u_check (
    .clk(clk), .rst_n(rst_n), .tvalid(s_axis_tvalid), .tready(s_axis_tready), .tlast(s_axis_tlast)
  );

  assign first = k == '0;
  assign s_axis_tready = en;
  assign step = en && s_axis_tvalid;

  for (genvar p = 0; p < PE; p++) begin : g_lane
    // Flipping the sign bit of signed numbers makes their order that of unsigned ones.
    localparam logic [IN_BITS-1:0] FLIP = IN_BITS'(IN_SIGNED) << (IN_BITS - 1);
    logic [IN_BITS-1:0] x, b;

    assign x = s_axis_tdata[p*IN_BITS+:IN_BITS];
    assign b = best_q[p*IN_BITS+:IN_BITS];
    assign best_d[p*IN_BITS+:IN_BITS] = first || (x ^ FLIP) > (b ^ FLIP) ? x : b;
  end

  if (GROUPS > 1) begin : g_memory
    (* ram_style = "distributed" *) logic [IN_BITS*PE-1:0] best[GROUPS];

    assign best_q = best[group];
    always_ff @(posedge clk) if (step) best[group] <= best_d;
  end else begin : g_register
    wire unused_group = group;

    always_ff @(posedge clk) if (step) best_q <= best_d;
  end
  always_ff @(posedge clk) if (en) m_axis_tdata <= best_d;
endmodule
`default_nettype wire

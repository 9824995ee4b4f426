// SPDX-License-Identifier: Apache-2.0
// y[c] = sum over k of x[k,c], for every group of WINDOW vectors of CHANNELS elements: average pooling behind a window;
// the division lives in the scale of the output. For one window as large as the image use global_avgpool.
//
// Beats: PE channels in and out; vector k outer, channel group inner. A step takes a beat; the steps of the last
// vector give one. Depth 1, one step a cycle. IN_BIPOLAR 1: a stored bit 0 means -1, 1 means +1.
`default_nettype none
module avgpool #(
  parameter int IN_BITS = 4,
  parameter int IN_LANES = 1,
  parameter int IN_BEATS = 1,
  parameter int IN_SIGNED = 0,
  parameter int IN_BIPOLAR = 0,
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
  localparam int X_BITS = IN_BITS + (IN_SIGNED != 0 ? 0 : 1);

  if (IN_LANES != PE || OUT_LANES != PE || CHANNELS % PE != 0) begin : g_bad_lanes
    $fatal(1, "avgpool %m: PE=%0d must equal IN_LANES=%0d and OUT_LANES=%0d and divide CHANNELS=%0d",
           PE, IN_LANES, OUT_LANES, CHANNELS);
  end
  if (IN_BEATS != OUT_BEATS * WINDOW || OUT_BEATS % GROUPS != 0) begin : g_bad_beats
    $fatal(1, "avgpool %m: IN_BEATS=%0d must be WINDOW=%0d times OUT_BEATS=%0d, a multiple of CHANNELS/PE=%0d",
           IN_BEATS, WINDOW, OUT_BEATS, GROUPS);
  end
  if (OUT_SIGNED == 0 && (IN_SIGNED != 0 || IN_BIPOLAR != 0)) begin : g_bad_sign
    $fatal(1, "avgpool %m: sums of a signed input need OUT_SIGNED=1, not %0d", OUT_SIGNED);
  end
  if (IN_BIPOLAR != 0 && (IN_BITS != 1 || IN_SIGNED != 0)) begin : g_bad_encoding
    $fatal(1, "avgpool %m: IN_BIPOLAR=%0d needs IN_BITS=1 and IN_SIGNED=0, not %0d and %0d",
           IN_BIPOLAR, IN_BITS, IN_SIGNED);
  end

  logic en, step, group_last, last;
  logic [(GROUPS > 1 ? $clog2(GROUPS) : 1)-1:0] group;
  logic [(WINDOW > 1 ? $clog2(WINDOW) : 1)-1:0] k;
  logic [OUT_BITS*PE-1:0] terms, sums;

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

  assign s_axis_tready = en;
  assign step = en && s_axis_tvalid;

  for (genvar p = 0; p < PE; p++) begin : g_lane
    logic [IN_BITS-1:0] stored;
    logic [X_BITS-1:0] x;

    assign stored = s_axis_tdata[p*IN_BITS+:IN_BITS];
    assign x = IN_BIPOLAR != 0 ? X_BITS'({~stored[0], 1'b1}) : X_BITS'(stored);
    assign terms[p*OUT_BITS+:OUT_BITS] = OUT_BITS'($signed(x));
  end

  running_sum #(.BITS(OUT_BITS), .LANES(PE), .DEPTH(GROUPS)) u_sums (
    .clk(clk), .step(step), .first(k == '0), .addr(group), .terms(terms), .sums(sums)
  );
  always_ff @(posedge clk) if (en) m_axis_tdata <= sums;
endmodule
`default_nettype wire

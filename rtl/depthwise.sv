// SPDX-License-Identifier: Apache-2.0
// Depthwise product behind a window: y[c*MULTIPLIER+m] = sum over k of W[c*MULTIPLIER+m,k] * x[k,c], for every vector
// of TAPS * CHANNELS elements in the frame.
//
// Beats: PE channels in, tap k outer, channel group inner; PE * MULTIPLIER filters out. A step takes a beat; the steps
// of the last tap give one. ROM word k * (CHANNELS/PE) + group holds signed weights, element p * MULTIPLIER + m. The
// sums of all channel groups run side by side in ACC_BITS bits each, proven enough for every partial sum.
// Depth 3 (operands, products, sums), 4 with BLOCK_ROM or DSP (one in front of the products); one step a cycle.
// DSP 1 pays for wide operands, BLOCK_ROM 1 for many words.
// IN_BIPOLAR 1: a stored bit 0 means -1, 1 means +1. Where groups hold several channels, use grouped.
`default_nettype none
module depthwise #(
  parameter int IN_BITS = 4,
  parameter int IN_LANES = 1,
  parameter int IN_BEATS = 1,
  parameter int IN_SIGNED = 0,
  parameter int IN_BIPOLAR = 0,
  parameter int OUT_BITS = 8,
  parameter int OUT_LANES = 1,
  parameter int OUT_BEATS = 1,
  parameter int OUT_SIGNED = 1,
  parameter int PE = 1,
  parameter int CHANNELS = 1,
  parameter int MULTIPLIER = 1,
  parameter int TAPS = 1,
  parameter int ACC_BITS = 8,
  parameter int BLOCK_ROM = 0,
  parameter int DSP = 0,
  parameter int WEIGHT_BITS = 4,
  parameter WEIGHT_FILE = ""
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
  localparam int GROUP_BITS = GROUPS > 1 ? $clog2(GROUPS) : 1;
  localparam int WORDS = TAPS * GROUPS;
  localparam int X_BITS = IN_BITS + (IN_SIGNED != 0 ? 0 : 1);
  localparam int PRODUCT_BITS = X_BITS + WEIGHT_BITS < ACC_BITS ? X_BITS + WEIGHT_BITS : ACC_BITS;
  localparam int FILTERS = PE * MULTIPLIER;  // a beat
  localparam int LATE = BLOCK_ROM != 0 || DSP != 0 ? 1 : 0;
  localparam int DEPTH = 3 + LATE;

  if (IN_LANES != PE || OUT_LANES != FILTERS || CHANNELS % PE != 0) begin : g_bad_pe
    $fatal(1, "depthwise %m: PE=%0d must equal IN_LANES=%0d, divide CHANNELS=%0d and be OUT_LANES=%0d / MULTIPLIER=%0d",
           PE, IN_LANES, CHANNELS, OUT_LANES, MULTIPLIER);
  end
  if (IN_BEATS != OUT_BEATS * TAPS || OUT_BEATS % GROUPS != 0) begin : g_bad_beats
    $fatal(1, "depthwise %m: IN_BEATS=%0d must be TAPS=%0d times OUT_BEATS=%0d, a multiple of CHANNELS/PE=%0d",
           IN_BEATS, TAPS, OUT_BEATS, GROUPS);
  end
  if (ACC_BITS < OUT_BITS || (OUT_SIGNED != 0 && OUT_SIGNED != 1)) begin : g_bad_acc
    $fatal(1, "depthwise %m: ACC_BITS=%0d must be at least OUT_BITS=%0d, and OUT_SIGNED=%0d 0 or 1",
           ACC_BITS, OUT_BITS, OUT_SIGNED);
  end
  if (IN_BIPOLAR != 0 && (IN_BITS != 1 || IN_SIGNED != 0)) begin : g_bad_encoding
    $fatal(1, "depthwise %m: IN_BIPOLAR=%0d needs IN_BITS=1 and IN_SIGNED=0, not %0d and %0d",
           IN_BIPOLAR, IN_BITS, IN_SIGNED);
  end

  logic en, step, group_last, last, unused_word_last;
  logic [GROUP_BITS-1:0] group;
  logic [GROUP_BITS*(DEPTH-1)-1:0] group_q;
  logic [(TAPS > 1 ? $clog2(TAPS) : 1)-1:0] tap;
  logic [(WORDS > 1 ? $clog2(WORDS) : 1)-1:0] word;
  logic [DEPTH-2:0] step_q, first_q;  // beside the operands and the products
  logic [IN_BITS*PE-1:0] x_q, operands;
  logic [WEIGHT_BITS*FILTERS-1:0] read, weights;
  logic [ACC_BITS*FILTERS-1:0] products, sums;

  counter #(.COUNT(GROUPS)) u_group (
    .clk(clk), .rst_n(rst_n), .step(step), .value(group), .last(group_last)
  );
  counter #(.COUNT(TAPS)) u_tap (
    .clk(clk), .rst_n(rst_n), .step(step && group_last), .value(tap), .last(last)
  );
  counter #(.COUNT(WORDS)) u_word (
    .clk(clk), .rst_n(rst_n), .step(step), .value(word), .last(unused_word_last)
  );
  pipeline #(.DEPTH(DEPTH), .BEATS(OUT_BEATS)) u_pipeline (
    .clk(clk), .rst_n(rst_n), .launch(step && last), .en(en),
    .m_tvalid(m_axis_tvalid), .m_tlast(m_axis_tlast), .m_tready(m_axis_tready)
  );
  frame_check #(.BEATS(IN_BEATS)) u_check (
    .clk(clk), .rst_n(rst_n), .tvalid(s_axis_tvalid), .tready(s_axis_tready), .tlast(s_axis_tlast)
  );

  assign s_axis_tready = en;
  assign step = en && s_axis_tvalid;

  always_ff @(posedge clk) begin
    if (!rst_n) step_q <= '0;
    else if (en) step_q <= (DEPTH-1)'({step_q, step});
  end
  always_ff @(posedge clk) begin
    if (en) begin
      first_q <= (DEPTH-1)'({first_q, tap == '0});
      group_q <= (GROUP_BITS*(DEPTH-1))'({group_q, group});
      x_q <= s_axis_tdata;
    end
  end

  rom #(.WIDTH(WEIGHT_BITS * FILTERS), .DEPTH(WORDS), .BLOCK(BLOCK_ROM), .FILE(WEIGHT_FILE)) u_weight (
    .clk(clk), .en(en), .addr(word), .data(read)
  );

  // A block RAM gives its word late in a cycle, and a DSP slice takes its factors early.
  if (LATE != 0) begin : g_late
    always_ff @(posedge clk) if (en) {operands, weights} <= {x_q, read};
  end else begin : g_at_once
    assign {operands, weights} = {x_q, read};
  end

  for (genvar p = 0; p < PE; p++) begin : g_channel
    logic [IN_BITS-1:0] stored;
    logic [X_BITS-1:0] x;

    assign stored = operands[p*IN_BITS+:IN_BITS];
    assign x = IN_BIPOLAR != 0 ? X_BITS'({~stored[0], 1'b1}) : X_BITS'(stored);
    for (genvar f = p * MULTIPLIER; f < (p + 1) * MULTIPLIER; f++) begin : g_filter
      logic [PRODUCT_BITS-1:0] product;

      multiplier #(.A_BITS(X_BITS), .B_BITS(WEIGHT_BITS), .P_BITS(PRODUCT_BITS), .DSP(DSP)) u_product (
        .clk(clk), .en(en), .a(x), .b(weights[f*WEIGHT_BITS+:WEIGHT_BITS]), .p(product)
      );
      assign products[f*ACC_BITS+:ACC_BITS] = ACC_BITS'($signed(product));
      always_ff @(posedge clk) if (en) m_axis_tdata[f*OUT_BITS+:OUT_BITS] <= sums[f*ACC_BITS+:OUT_BITS];
    end
  end

  running_sum #(.BITS(ACC_BITS), .LANES(FILTERS), .DEPTH(GROUPS)) u_sums (
    .clk(clk), .step(en && step_q[DEPTH-2]), .first(first_q[DEPTH-2]),
    .addr(group_q[GROUP_BITS*(DEPTH-2)+:GROUP_BITS]), .terms(products), .sums(sums)
  );
endmodule
`default_nettype wire

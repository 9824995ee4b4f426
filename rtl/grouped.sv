// SPDX-License-Identifier: Apache-2.0
// Grouped product behind a window: y[g,o] = sum over k and i of W[g,o,k,i] * x[k,g,i], for every vector of
// TAPS * GROUPS * GROUP_IN elements in the frame: the diagonal blocks of a matrix, and none of its zeros.
//
// Beats: SIMD channels of one group in, tap k outer, then group, then channels; PE filters of one group out. Every beat
// is held for GROUP_OUT/PE steps, one for each set of filters; the steps of a group's last beat give its filters.
// ROM words in the order of the steps hold signed weights, element p * SIMD + s. The sums of all filters run side by
// side in ACC_BITS bits each, proven enough for every partial sum.
// Depth 3 + ceil(ceil(log2 SIMD) / 2): operands, products, a register after every two adder levels, sums; one more
// with BLOCK_ROM or DSP, in front of the products. One step a cycle. DSP 1 pays for wide operands, BLOCK_ROM 1 for many
// words. IN_BIPOLAR 1: a stored bit 0 means -1, 1 means +1.
// For groups of one channel depthwise works on several groups at once; for one group use dense.
`default_nettype none
module grouped #(
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
  parameter int SIMD = 1,
  parameter int GROUPS = 1,
  parameter int GROUP_IN = 1,
  parameter int GROUP_OUT = 1,
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
  localparam int SF = GROUP_IN / SIMD;
  localparam int NF = GROUP_OUT / PE;
  localparam int NF_BITS = $clog2(NF);
  localparam int PLACES = GROUPS << NF_BITS;
  localparam int PLACE_BITS = PLACES > 1 ? $clog2(PLACES) : 1;
  localparam int WORDS = TAPS * GROUPS * SF * NF;
  localparam int X_BITS = IN_BITS + (IN_SIGNED != 0 ? 0 : 1);
  localparam int PRODUCT_BITS = X_BITS + WEIGHT_BITS < ACC_BITS ? X_BITS + WEIGHT_BITS : ACC_BITS;
  localparam int LATE = BLOCK_ROM != 0 || DSP != 0 ? 1 : 0;
  localparam int DEPTH = 3 + ($clog2(SIMD) + 1) / 2 + LATE;

  if (IN_LANES != SIMD || GROUP_IN % SIMD != 0) begin : g_bad_simd
    $fatal(1, "grouped %m: SIMD=%0d must equal IN_LANES=%0d and divide GROUP_IN=%0d", SIMD, IN_LANES, GROUP_IN);
  end
  if (OUT_LANES != PE || GROUP_OUT % PE != 0) begin : g_bad_pe
    $fatal(1, "grouped %m: PE=%0d must equal OUT_LANES=%0d and divide GROUP_OUT=%0d", PE, OUT_LANES, GROUP_OUT);
  end
  if (IN_BEATS % (TAPS * GROUPS * SF) != 0 || IN_BEATS / (TAPS * SF) * NF != OUT_BEATS) begin : g_bad_beats
    $fatal(1, "grouped %m: IN_BEATS=%0d of %0d a vector do not match OUT_BEATS=%0d of %0d a vector",
           IN_BEATS, TAPS * GROUPS * SF, OUT_BEATS, GROUPS * NF);
  end
  if (ACC_BITS < OUT_BITS || (OUT_SIGNED != 0 && OUT_SIGNED != 1)) begin : g_bad_acc
    $fatal(1, "grouped %m: ACC_BITS=%0d must be at least OUT_BITS=%0d, and OUT_SIGNED=%0d 0 or 1",
           ACC_BITS, OUT_BITS, OUT_SIGNED);
  end
  if (IN_BIPOLAR != 0 && (IN_BITS != 1 || IN_SIGNED != 0)) begin : g_bad_encoding
    $fatal(1, "grouped %m: IN_BIPOLAR=%0d needs IN_BITS=1 and IN_SIGNED=0, not %0d and %0d",
           IN_BIPOLAR, IN_BITS, IN_SIGNED);
  end

  logic en, step, held, nf_last, sf_last, group_last, tap_last, unused_word_last;
  logic [(NF > 1 ? $clog2(NF) : 1)-1:0] nf;
  logic [(SF > 1 ? $clog2(SF) : 1)-1:0] sf;
  logic [(GROUPS > 1 ? $clog2(GROUPS) : 1)-1:0] group;
  logic [(TAPS > 1 ? $clog2(TAPS) : 1)-1:0] tap;
  logic [(WORDS > 1 ? $clog2(WORDS) : 1)-1:0] word;
  logic [DEPTH-2:0] step_q, first_q;  // beside the registers in front of the sums
  logic [PLACE_BITS-1:0] place;
  logic [PLACE_BITS*(DEPTH-1)-1:0] place_q;
  logic [IN_BITS*SIMD-1:0] x_q, operands;
  logic [WEIGHT_BITS*PE*SIMD-1:0] read, weights;
  logic [ACC_BITS*PE-1:0] terms, sums;

  counter #(.COUNT(NF)) u_nf (
    .clk(clk), .rst_n(rst_n), .step(step), .value(nf), .last(nf_last)
  );
  counter #(.COUNT(SF)) u_sf (
    .clk(clk), .rst_n(rst_n), .step(step && nf_last), .value(sf), .last(sf_last)
  );
  counter #(.COUNT(GROUPS)) u_group (
    .clk(clk), .rst_n(rst_n), .step(step && nf_last && sf_last), .value(group), .last(group_last)
  );
  counter #(.COUNT(TAPS)) u_tap (
    .clk(clk), .rst_n(rst_n), .step(step && nf_last && sf_last && group_last), .value(tap), .last(tap_last)
  );
  counter #(.COUNT(WORDS)) u_word (
    .clk(clk), .rst_n(rst_n), .step(step), .value(word), .last(unused_word_last)
  );
  pipeline #(.DEPTH(DEPTH), .BEATS(OUT_BEATS)) u_pipeline (
    .clk(clk), .rst_n(rst_n), .launch(step && tap_last && sf_last), .en(en),
    .m_tvalid(m_axis_tvalid), .m_tlast(m_axis_tlast), .m_tready(m_axis_tready)
  );
  frame_check #(.BEATS(IN_BEATS)) u_check (
    .clk(clk), .rst_n(rst_n), .tvalid(s_axis_tvalid), .tready(s_axis_tready), .tlast(s_axis_tlast)
  );

  assign held = nf != '0;
  assign s_axis_tready = en && !held;
  assign step = en && (s_axis_tvalid || held);
  assign place = PLACE_BITS'(group) << NF_BITS | PLACE_BITS'(nf);

  always_ff @(posedge clk) begin
    if (!rst_n) step_q <= '0;
    else if (en) step_q <= (DEPTH-1)'({step_q, step});
  end
  always_ff @(posedge clk) begin
    if (en) begin
      first_q <= (DEPTH-1)'({first_q, tap == '0 && sf == '0});
      place_q <= (PLACE_BITS*(DEPTH-1))'({place_q, place});
      if (!held) x_q <= s_axis_tdata;
    end
  end

  rom #(.WIDTH(WEIGHT_BITS * PE * SIMD), .DEPTH(WORDS), .BLOCK(BLOCK_ROM), .FILE(WEIGHT_FILE)) u_weight (
    .clk(clk), .en(en), .addr(word), .data(read)
  );

  // A block RAM gives its word late in a cycle, and a DSP slice takes its factors early.
  if (LATE != 0) begin : g_late
    always_ff @(posedge clk) if (en) {operands, weights} <= {x_q, read};
  end else begin : g_at_once
    assign {operands, weights} = {x_q, read};
  end

  for (genvar p = 0; p < PE; p++) begin : g_filter
    logic [PRODUCT_BITS*SIMD-1:0] products;

    for (genvar s = 0; s < SIMD; s++) begin : g_channel
      logic [IN_BITS-1:0] stored;
      logic [X_BITS-1:0] x;

      assign stored = operands[s*IN_BITS+:IN_BITS];
      assign x = IN_BIPOLAR != 0 ? X_BITS'({~stored[0], 1'b1}) : X_BITS'(stored);
      multiplier #(.A_BITS(X_BITS), .B_BITS(WEIGHT_BITS), .P_BITS(PRODUCT_BITS), .DSP(DSP)) u_product (
        .clk(clk), .en(en), .a(x), .b(weights[(p*SIMD+s)*WEIGHT_BITS+:WEIGHT_BITS]),
        .p(products[s*PRODUCT_BITS+:PRODUCT_BITS])
      );
    end
    adder_tree #(.N(SIMD), .IN_BITS(PRODUCT_BITS), .OUT_BITS(ACC_BITS)) u_sum (
      .clk(clk), .en(en), .terms(products), .sum(terms[p*ACC_BITS+:ACC_BITS])
    );
    always_ff @(posedge clk) if (en) m_axis_tdata[p*OUT_BITS+:OUT_BITS] <= sums[p*ACC_BITS+:OUT_BITS];
  end

  running_sum #(.BITS(ACC_BITS), .LANES(PE), .DEPTH(PLACES)) u_sums (
    .clk(clk), .step(en && step_q[DEPTH-2]), .first(first_q[DEPTH-2]),
    .addr(place_q[PLACE_BITS*(DEPTH-2)+:PLACE_BITS]), .terms(terms), .sums(sums)
  );
endmodule
`default_nettype wire

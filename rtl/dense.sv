// SPDX-License-Identifier: Apache-2.0
// Matrix-vector unit: y[r] = sum over k of W[r,k] * x[k], for every vector of COLS elements in the frame.
//
// Beats: SIMD columns in, PE rows out. Row group outer, column group inner; the first pass over a vector takes it in,
// later ones reread it from a buffer. ROM word nf * (COLS/SIMD) + sf holds the signed weights of PE rows and SIMD
// columns, element p * SIMD + s. The accumulator has ACC_BITS bits, proven enough for every partial sum.
// Depth 3 + ceil(ceil(log2 SIMD) / 2): operands, products, a register after every two adder levels, accumulator.
// One step a cycle, (ROWS/PE) * (COLS/SIMD) steps a vector. DSP 1 pays for wide operands, BLOCK_ROM 1 for many words.
`default_nettype none
module dense #(
  parameter int IN_BITS = 4,
  parameter int IN_LANES = 1,
  parameter int IN_BEATS = 1,
  parameter int IN_SIGNED = 0,
  parameter int OUT_BITS = 8,
  parameter int OUT_LANES = 1,
  parameter int OUT_BEATS = 1,
  parameter int OUT_SIGNED = 1,
  parameter int PE = 1,
  parameter int SIMD = 1,
  parameter int ROWS = 1,
  parameter int COLS = 1,
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
  localparam int SF = COLS / SIMD;
  localparam int NF = ROWS / PE;
  localparam int SF_BITS = SF > 1 ? $clog2(SF) : 1;
  localparam int NF_BITS = NF > 1 ? $clog2(NF) : 1;
  localparam int ADDR_BITS = NF * SF > 1 ? $clog2(NF * SF) : 1;
  localparam int X_BITS = IN_BITS + (IN_SIGNED != 0 ? 0 : 1);
  localparam int PRODUCT_BITS = X_BITS + WEIGHT_BITS < ACC_BITS ? X_BITS + WEIGHT_BITS : ACC_BITS;
  localparam int DEPTH = 3 + ($clog2(SIMD) + 1) / 2;

  if (IN_LANES != SIMD || COLS % SIMD != 0) begin : g_bad_simd
    $fatal(1, "dense %m: SIMD=%0d must equal IN_LANES=%0d and divide COLS=%0d", SIMD, IN_LANES, COLS);
  end
  if (OUT_LANES != PE || ROWS % PE != 0) begin : g_bad_pe
    $fatal(1, "dense %m: PE=%0d must equal OUT_LANES=%0d and divide ROWS=%0d", PE, OUT_LANES, ROWS);
  end
  if (IN_BEATS % SF != 0 || IN_BEATS / SF * NF != OUT_BEATS) begin : g_bad_beats
    $fatal(1, "dense %m: IN_BEATS=%0d of %0d a vector do not match OUT_BEATS=%0d of %0d a vector",
           IN_BEATS, SF, OUT_BEATS, NF);
  end
  if (ACC_BITS < OUT_BITS || (OUT_SIGNED != 0 && OUT_SIGNED != 1)) begin : g_bad_acc
    $fatal(1, "dense %m: ACC_BITS=%0d must be at least OUT_BITS=%0d, and OUT_SIGNED=%0d 0 or 1",
           ACC_BITS, OUT_BITS, OUT_SIGNED);
  end

  logic en, step, first_pass, sf_last, unused_nf_last, unused_word_last;
  logic [SF_BITS-1:0] sf;
  logic [NF_BITS-1:0] nf;
  logic [ADDR_BITS-1:0] word;
  logic [IN_BITS*SIMD-1:0] x_d, x_q;
  logic [WEIGHT_BITS*PE*SIMD-1:0] weights;
  logic [DEPTH-2:0] step_q, first_q;  // beside the registers in front of the accumulator

  counter #(.COUNT(SF)) u_sf (
    .clk(clk), .rst_n(rst_n), .step(step), .value(sf), .last(sf_last)
  );
  counter #(.COUNT(NF)) u_nf (
    .clk(clk), .rst_n(rst_n), .step(step && sf_last), .value(nf), .last(unused_nf_last)
  );
  counter #(.COUNT(NF * SF)) u_word (
    .clk(clk), .rst_n(rst_n), .step(step), .value(word), .last(unused_word_last)
  );
  pipeline #(.DEPTH(DEPTH), .BEATS(OUT_BEATS)) u_pipeline (
    .clk(clk), .rst_n(rst_n), .launch(step && sf_last), .en(en),
    .m_tvalid(m_axis_tvalid), .m_tlast(m_axis_tlast), .m_tready(m_axis_tready)
  );
  frame_check #(.BEATS(IN_BEATS)) u_check (
    .clk(clk), .rst_n(rst_n), .tvalid(s_axis_tvalid), .tready(s_axis_tready), .tlast(s_axis_tlast)
  );

  assign first_pass = nf == '0;
  assign s_axis_tready = en && first_pass;
  assign step = en && (s_axis_tvalid || !first_pass);

  if (NF > 1) begin : g_reuse
    logic [IN_BITS*SIMD-1:0] vector[SF];

    always_ff @(posedge clk) if (step && first_pass) vector[sf] <= s_axis_tdata;
    assign x_d = first_pass ? s_axis_tdata : vector[sf];
  end else begin : g_single
    assign x_d = s_axis_tdata;
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      step_q <= '0;
    end else if (en) begin
      step_q <= (DEPTH-1)'({step_q, step});
    end
  end
  always_ff @(posedge clk) begin
    if (en) begin
      first_q <= (DEPTH-1)'({first_q, sf == '0});
      x_q <= x_d;
    end
  end

  rom #(.WIDTH(WEIGHT_BITS * PE * SIMD), .DEPTH(NF * SF), .BLOCK(BLOCK_ROM), .FILE(WEIGHT_FILE)) u_weight (
    .clk(clk), .en(en), .addr(word), .data(weights)
  );

  for (genvar p = 0; p < PE; p++) begin : g_row
    logic [PRODUCT_BITS*SIMD-1:0] products;
    logic [ACC_BITS-1:0] sum, acc_q;

    for (genvar s = 0; s < SIMD; s++) begin : g_column
      multiplier #(.A_BITS(X_BITS), .B_BITS(WEIGHT_BITS), .P_BITS(PRODUCT_BITS), .DSP(DSP)) u_product (
        .clk(clk), .en(en), .a(X_BITS'(x_q[s*IN_BITS+:IN_BITS])),
        .b(weights[(p*SIMD+s)*WEIGHT_BITS+:WEIGHT_BITS]), .p(products[s*PRODUCT_BITS+:PRODUCT_BITS])
      );
    end
    adder_tree #(.N(SIMD), .IN_BITS(PRODUCT_BITS), .OUT_BITS(ACC_BITS)) u_sum (
      .clk(clk), .en(en), .terms(products), .sum(sum)
    );

    always_ff @(posedge clk) begin
      if (en && step_q[DEPTH-2]) acc_q <= first_q[DEPTH-2] ? sum : acc_q + sum;
    end
    assign m_axis_tdata[p*OUT_BITS+:OUT_BITS] = acc_q[OUT_BITS-1:0];
  end
endmodule
`default_nettype wire

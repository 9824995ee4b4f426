// SPDX-License-Identifier: Apache-2.0
// Matrix-vector unit: y[r] = sum over k of W[r,k] * x[k], for every vector of COLS elements in the frame.
//
// Beats: SIMD columns in, PE rows out. Row group outer, column group inner; the first pass over a vector takes it in,
// later ones reread it from a buffer. One step a cycle, (ROWS/PE) * (COLS/SIMD) steps a vector.
// Depth 2 + SUM_CYCLES: operands, products and their sum, accumulator of ACC_BITS bits, proven enough; one more
// in front of the products with BLOCK_ROM or DSP.
//
// DSP 0: every bit of a weight meets every bit of an input in one gate, and a bit_heap adds what comes out; so one bit
// costs an XNOR, and no width pays for a multiplier. WEIGHT word nf * (COLS/SIMD) + sf holds bit planes of PE rows and
// SIMD columns, bit (i * SIMD + s) * PE + p. What the gates count too much (a negative plane counts 1 - product, a
// bipolar bit stands for -1 or 1) is known before: accumulators start from START word nf, so their values are exact
// modulo 2**ACC_BITS at any time and exact at the end.
// DSP 1, for wide operands: a multiplier a product and an adder_tree; WEIGHT element p * SIMD + s, START all 0.
//
// STREAM_WEIGHT 1: the WEIGHT words come in their order through weight_axis instead, from word 0 anew for every vector,
// one in each step, tlast with the last; a step waits for its word. While words are there, timing is that of the ROM.
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
  parameter int SUM_CYCLES = 1,
  parameter int IN_BIPOLAR = 0,
  parameter int BLOCK_ROM = 0,
  parameter int DSP = 0,
  parameter int PLANES = 4,
  parameter int WEIGHT_SIGNED = 1,
  parameter int WEIGHT_BIPOLAR = 0,
  parameter int WEIGHT_BITS = 1,
  parameter WEIGHT_FILE = "",
  parameter int STREAM_WEIGHT = 0,
  parameter int START_BITS = 8,
  parameter START_FILE = ""
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  [IN_BITS*IN_LANES-1:0] s_axis_tdata,
  input  wire  s_axis_tvalid,
  output logic s_axis_tready,
  input  wire  s_axis_tlast,
  input  wire  [PLANES*PE*SIMD-1:0] weight_axis_tdata,
  input  wire  weight_axis_tvalid,
  output logic weight_axis_tready,
  input  wire  weight_axis_tlast,
  output logic [OUT_BITS*OUT_LANES-1:0] m_axis_tdata,
  output logic m_axis_tvalid,
  input  wire  m_axis_tready,
  output logic m_axis_tlast
);
  localparam int SF = COLS / SIMD;
  localparam int NF = ROWS / PE;
  localparam int SF_BITS = SF > 1 ? $clog2(SF) : 1;
  localparam int NF_BITS = NF > 1 ? $clog2(NF) : 1;
  localparam int LATE = DSP != 0 || (BLOCK_ROM != 0 && STREAM_WEIGHT == 0) ? 1 : 0;
  localparam int DEPTH = 2 + LATE + SUM_CYCLES;

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
  if (START_BITS != ACC_BITS || (IN_BIPOLAR != 0 && (IN_BITS != 1 || IN_SIGNED != 0))) begin : g_bad_encoding
    $fatal(1, "dense %m: START_BITS=%0d must equal ACC_BITS=%0d, and IN_BIPOLAR=%0d means IN_BITS=1, not %0d",
           START_BITS, ACC_BITS, IN_BIPOLAR, IN_BITS);
  end
  if (WEIGHT_BITS != (DSP != 0 ? PLANES : 1)) begin : g_bad_planes
    $fatal(1, "dense %m: WEIGHT_BITS=%0d must be PLANES=%0d with multipliers, else 1", WEIGHT_BITS, PLANES);
  end
  if (WEIGHT_BIPOLAR != 0 && PLANES != 1 || DSP != 0 && (IN_BIPOLAR != 0 || WEIGHT_BIPOLAR != 0)) begin : g_bad_weight
    $fatal(1, "dense %m: WEIGHT_BIPOLAR=%0d means PLANES=1, not %0d, and DSP=%0d takes numbers only",
           WEIGHT_BIPOLAR, PLANES, DSP);
  end
  if (ACC_BITS < OUT_BITS || (OUT_SIGNED != 0 && OUT_SIGNED != 1)) begin : g_bad_acc
    $fatal(1, "dense %m: ACC_BITS=%0d must be at least OUT_BITS=%0d, and OUT_SIGNED=%0d 0 or 1",
           ACC_BITS, OUT_BITS, OUT_SIGNED);
  end

  logic en, wanted, weight_there, step, first_pass, sf_last, unused_nf_last;
  logic [SF_BITS-1:0] sf;
  logic [NF_BITS-1:0] nf;
  logic [IN_BITS*SIMD-1:0] x_d, x_q, operands;
  logic [PLANES*PE*SIMD-1:0] read, weights;
  logic [DEPTH-2:0] step_q;  // beside the registers in front of the accumulator

  counter #(.COUNT(SF)) u_sf (
    .clk(clk), .rst_n(rst_n), .step(step), .value(sf), .last(sf_last)
  );
  counter #(.COUNT(NF)) u_nf (
    .clk(clk), .rst_n(rst_n), .step(step && sf_last), .value(nf), .last(unused_nf_last)
  );
  pipeline #(.DEPTH(DEPTH), .BEATS(OUT_BEATS)) u_pipeline (
    .clk(clk), .rst_n(rst_n), .launch(step && sf_last), .en(en),
    .m_tvalid(m_axis_tvalid), .m_tlast(m_axis_tlast), .m_tready(m_axis_tready)
  );
  frame_check #(.BEATS(IN_BEATS)) u_check (
    .clk(clk), .rst_n(rst_n), .tvalid(s_axis_tvalid), .tready(s_axis_tready), .tlast(s_axis_tlast)
  );

  assign first_pass = nf == '0;
  assign s_axis_tready = en && first_pass && weight_there;
  assign wanted = en && (s_axis_tvalid || !first_pass);
  assign step = wanted && weight_there;

  wire unused_sf = &{1'b0, sf};

  // A vector of one beat stays where it is; a longer one is kept for the passes after the first.
  if (NF > 1 && SF == 1) begin : g_hold
    assign x_d = first_pass ? s_axis_tdata : x_q;
  end else if (NF > 1) begin : g_reuse
    (* ram_style = "distributed" *) logic [IN_BITS*SIMD-1:0] vector[SF];

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
  always_ff @(posedge clk) if (en) x_q <= x_d;

  if (STREAM_WEIGHT != 0) begin : g_stream
    assign weight_there = weight_axis_tvalid;
    assign weight_axis_tready = wanted;
    always_ff @(posedge clk) if (en) read <= weight_axis_tdata;

    frame_check #(.BEATS(NF * SF)) u_weight_check (
      .clk(clk), .rst_n(rst_n), .tvalid(weight_axis_tvalid), .tready(weight_axis_tready), .tlast(weight_axis_tlast)
    );
  end else begin : g_rom
    logic [(NF * SF > 1 ? $clog2(NF * SF) : 1)-1:0] word;
    logic unused_word_last;

    wire unused_stream = &{1'b0, weight_axis_tdata, weight_axis_tvalid, weight_axis_tlast};

    assign weight_there = 1'b1;
    assign weight_axis_tready = 1'b0;
    counter #(.COUNT(NF * SF)) u_word (
      .clk(clk), .rst_n(rst_n), .step(step), .value(word), .last(unused_word_last)
    );
    rom #(.WIDTH(PLANES * PE * SIMD), .DEPTH(NF * SF), .BLOCK(BLOCK_ROM), .FILE(WEIGHT_FILE)) u_weight (
      .clk(clk), .en(en), .addr(word), .data(read)
    );
  end

  // A block RAM gives its word late in a cycle, and a DSP slice takes its factors early.
  if (LATE != 0) begin : g_late
    always_ff @(posedge clk) if (en) {operands, weights} <= {x_q, read};
  end else begin : g_at_once
    assign {operands, weights} = {x_q, read};
  end

  logic [ACC_BITS*PE-1:0] sums;  // of one column group, for every row

  if (DSP != 0) begin : g_multiply
    localparam int X_BITS = IN_BITS + (IN_SIGNED != 0 ? 0 : 1);
    localparam int PRODUCT_BITS = X_BITS + PLANES < ACC_BITS ? X_BITS + PLANES : ACC_BITS;

    for (genvar p = 0; p < PE; p++) begin : g_row
      logic [PRODUCT_BITS*SIMD-1:0] products;

      for (genvar s = 0; s < SIMD; s++) begin : g_column
        multiplier #(.A_BITS(X_BITS), .B_BITS(PLANES), .P_BITS(PRODUCT_BITS), .DSP(1)) u_product (
          .clk(clk), .en(en), .a(X_BITS'(operands[s*IN_BITS+:IN_BITS])),
          .b(weights[(p*SIMD+s)*PLANES+:PLANES]), .p(products[s*PRODUCT_BITS+:PRODUCT_BITS])
        );
      end
      adder_tree #(.N(SIMD), .IN_BITS(PRODUCT_BITS), .OUT_BITS(ACC_BITS)) u_sum (
        .clk(clk), .en(en), .terms(products), .sum(sums[p*ACC_BITS+:ACC_BITS])
      );
    end
  end else begin : g_planes
    logic [PLANES*IN_BITS*SIMD*PE-1:0] products;
    logic [ACC_BITS*PE-1:0] counts;

    for (genvar i = 0; i < PLANES; i++) begin : g_weight_plane
      for (genvar j = 0; j < IN_BITS; j++) begin : g_input_plane
        localparam bit NEGATIVE = (WEIGHT_SIGNED != 0 && i == PLANES - 1) ^ (IN_SIGNED != 0 && j == IN_BITS - 1);

        for (genvar s = 0; s < SIMD; s++) begin : g_column
          logic [PE-1:0] w, x;

          assign w = weights[(i*SIMD+s)*PE+:PE];
          assign x = {PE{operands[s*IN_BITS+j]}};
          if (WEIGHT_BIPOLAR != 0) begin : g_xnor
            assign products[((i*IN_BITS+j)*SIMD+s)*PE+:PE] = IN_SIGNED != 0 && j == IN_BITS - 1 ? w ^ x : w ~^ x;
          end else begin : g_and
            assign products[((i*IN_BITS+j)*SIMD+s)*PE+:PE] = NEGATIVE ? ~(w & x) : w & x;
          end
        end
      end
    end
    bit_heap #(
      .N(SIMD), .A_BITS(PLANES), .B_BITS(IN_BITS), .WIDTH(PE), .OUT_BITS(ACC_BITS), .CYCLES(SUM_CYCLES)
    ) u_heap (
      .clk(clk), .en(en), .products(products), .sum(counts)
    );
    for (genvar p = 0; p < PE; p++) begin : g_row
      // A bipolar input is twice its bit, less one.
      assign sums[p*ACC_BITS+:ACC_BITS] = counts[p*ACC_BITS+:ACC_BITS] << IN_BIPOLAR;
    end
  end

  // Where the sums arrive, the step is another one than at the input.
  logic [ACC_BITS*PE-1:0] starts[NF], start;
  logic [SF_BITS-1:0] summed_sf;
  logic [NF_BITS-1:0] summed_nf;
  logic add, summed_last, unused_summed_nf_last;

  assign add = en && step_q[DEPTH-2];
  initial $readmemh(START_FILE, starts);
  counter #(.COUNT(SF)) u_summed_sf (
    .clk(clk), .rst_n(rst_n), .step(add), .value(summed_sf), .last(summed_last)
  );
  counter #(.COUNT(NF)) u_summed_nf (
    .clk(clk), .rst_n(rst_n), .step(add && summed_last), .value(summed_nf), .last(unused_summed_nf_last)
  );
  assign start = starts[summed_nf];

  for (genvar p = 0; p < PE; p++) begin : g_accumulator
    logic [ACC_BITS-1:0] acc_q;

    always_ff @(posedge clk) begin
      if (add) acc_q <= (summed_sf == '0 ? start[p*ACC_BITS+:ACC_BITS] : acc_q) + sums[p*ACC_BITS+:ACC_BITS];
    end
    assign m_axis_tdata[p*OUT_BITS+:OUT_BITS] = acc_q[OUT_BITS-1:0];
  end
endmodule
`default_nettype wire

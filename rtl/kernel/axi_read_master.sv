// SPDX-License-Identifier: Apache-2.0
// AXI4 read master: `frames` frames of WORDS words from consecutive addresses, as one stream of words. With PASSES
// above 0 the same WORDS words instead, PASSES times for every frame; no burst holds words of two passes.
//
// load starts it (only while idle). Bursts of at most BURST beats, none across 4 KiB; several are outstanding, as long
// as the buffer of DEPTH words has room for all their words, so that the memory never waits for the design.
// A burst with an error response passes like any other; it is reported once, with its address, after its last beat.
// idle: all words have been read and taken. halt: no new bursts; quiet: none is outstanding, so a reset loses nothing.
`default_nettype none
module axi_read_master #(
  parameter int BUS_BITS = 64,
  parameter int WORDS = 1,
  parameter int PASSES = 0,
  parameter int BURST = 256,
  parameter int DEPTH = 512,
  parameter int OUTSTANDING = 16
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  load,
  input  wire  [63:0] address,
  input  wire  [31:0] frames,
  input  wire  halt,
  output logic idle,
  output logic quiet,
  output logic fault_slverr,
  output logic fault_decerr,
  output logic [63:0] fault_address,
  output logic [63:0] m_axi_araddr,
  output logic [7:0] m_axi_arlen,
  output logic m_axi_arvalid,
  input  wire  m_axi_arready,
  input  wire  [BUS_BITS-1:0] m_axi_rdata,
  input  wire  [1:0] m_axi_rresp,
  input  wire  m_axi_rlast,
  input  wire  m_axi_rvalid,
  output logic m_axi_rready,
  output logic [BUS_BITS-1:0] m_tdata,
  output logic m_tvalid,
  input  wire  m_tready
);
  localparam int POOL = BURST - 1 + (WORDS > 64 ? WORDS : 64);
  localparam int WORD_BITS = $clog2(POOL + 1);
  localparam int CLAIM_BITS = $clog2(DEPTH + 1);

  if (DEPTH < 2 * BURST) begin : g_bad_depth
    $fatal(1, "axi_read_master %m: DEPTH=%0d must be at least twice BURST=%0d", DEPTH, BURST);
  end

  logic last, burst_valid, issue, fits, room, pending, beat, ends, asked, more, again;
  logic [WORD_BITS-1:0] words, take;
  logic [31:0] pass_frames;
  logic [63:0] pass_address, burst_address, pending_address;
  logic [7:0] burst_length;
  logic [CLAIM_BITS-1:0] claimed_q, claimed;
  logic slverr_q, decerr_q, slverr, decerr;

  frame_words #(.WORDS(WORDS), .LIMIT(BURST), .WORD_BITS(WORD_BITS)) u_words (
    .clk(clk), .rst_n(rst_n), .load(load || again), .frames(pass_frames), .take(take), .words(words), .last(last)
  );
  burst_generator #(.BUS_BYTES(BUS_BITS / 8), .BURST(BURST), .LEAST(BURST), .WORD_BITS(WORD_BITS)) u_bursts (
    .clk(clk), .rst_n(rst_n), .load(load || again), .address(pass_address), .words(words), .flush(last),
    .take(take), .m_tvalid(burst_valid), .m_tready(issue), .m_address(burst_address), .m_length(burst_length)
  );

  // Once all words of a pass are asked for, the next pass begins with the first of them again.
  assign asked = last && words == '0 && !burst_valid;
  assign again = asked && more && !load;
  if (PASSES == 0) begin : g_once
    assign more = 1'b0;
    assign pass_frames = frames;
    assign pass_address = address;
  end else begin : g_passes
    logic pass_last;
    logic [(PASSES > 1 ? $clog2(PASSES) : 1)-1:0] unused_pass;
    logic [31:0] left_q;  // frames that have passes to begin
    logic [63:0] address_q;

    counter #(.COUNT(PASSES)) u_pass (
      .clk(clk), .rst_n(rst_n), .step(load || again), .value(unused_pass), .last(pass_last)
    );
    assign more = left_q != '0;
    assign pass_frames = 32'd1;
    assign pass_address = load ? address : address_q;
    always_ff @(posedge clk) begin
      if (!rst_n) left_q <= '0;
      else if (load || again) left_q <= (load ? frames : left_q) - 32'(pass_last);
      if (load) address_q <= address;
    end
  end

  // Claimed: held in the buffer, or asked for.
  assign claimed = claimed_q + CLAIM_BITS'(burst_length) + 1'b1;
  assign fits = claimed <= CLAIM_BITS'(DEPTH) && claimed > claimed_q;
  assign issue = burst_valid && fits && room && !halt && (!m_axi_arvalid || m_axi_arready);
  assign idle = asked && !more && claimed_q == '0;
  assign quiet = !m_axi_arvalid && !pending;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      claimed_q <= '0;
      m_axi_arvalid <= 1'b0;
    end else begin
      claimed_q <= (issue ? claimed : claimed_q) - CLAIM_BITS'(m_tvalid && m_tready);
      if (issue) m_axi_arvalid <= 1'b1;
      else if (m_axi_arready) m_axi_arvalid <= 1'b0;
    end
  end

  always_ff @(posedge clk) begin
    if (issue) begin
      m_axi_araddr <= burst_address;
      m_axi_arlen <= burst_length;
    end
  end

  fifo #(.WIDTH(64), .DEPTH(OUTSTANDING), .BLOCK(0)) u_pending (
    .clk(clk), .rst_n(rst_n), .s_tdata(burst_address), .s_tvalid(issue), .s_tready(room),
    .m_tdata(pending_address), .m_tvalid(pending), .m_tready(ends)
  );
  fifo #(.WIDTH(BUS_BITS), .DEPTH(DEPTH), .BLOCK(1)) u_buffer (
    .clk(clk), .rst_n(rst_n), .s_tdata(m_axi_rdata), .s_tvalid(m_axi_rvalid), .s_tready(m_axi_rready),
    .m_tdata(m_tdata), .m_tvalid(m_tvalid), .m_tready(m_tready)
  );

  assign beat = m_axi_rvalid && m_axi_rready;
  assign ends = beat && m_axi_rlast;
  assign slverr = slverr_q || m_axi_rresp == 2'b10;
  assign decerr = decerr_q || m_axi_rresp == 2'b11;

  always_ff @(posedge clk) begin
    if (!rst_n || ends) begin
      slverr_q <= 1'b0;
      decerr_q <= 1'b0;
    end else if (beat) begin
      slverr_q <= slverr;
      decerr_q <= decerr;
    end
    fault_slverr <= rst_n && ends && slverr;
    fault_decerr <= rst_n && ends && decerr;
    fault_address <= pending_address;
  end
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
// AXI4 write master: a stream of words to consecutive addresses; s_tlast marks the last word of each of `frames`
// frames.
//
// load starts it (only while idle). A burst is asked for once all its words lie in the buffer, so the memory never
// waits for the design, and masters that share a port cannot block each other. Bursts have at least LEAST beats, except
// before a 4 KiB boundary and at the end of the run, and grow up to BURST where the memory is slower than the design.
// A response that is an error is reported once, with its burst's address.
// idle: all words have been written and answered. halt: no new bursts; quiet: none is outstanding, so a reset loses
// nothing that the memory waits for.
`default_nettype none
module axi_write_master #(
  parameter int BUS_BITS = 64,
  parameter int BURST = 256,
  parameter int LEAST = 16,
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
  input  wire  [BUS_BITS-1:0] s_tdata,
  input  wire  s_tvalid,
  output logic s_tready,
  input  wire  s_tlast,
  output logic [63:0] m_axi_awaddr,
  output logic [7:0] m_axi_awlen,
  output logic m_axi_awvalid,
  input  wire  m_axi_awready,
  output logic [BUS_BITS-1:0] m_axi_wdata,
  output logic m_axi_wlast,
  output logic m_axi_wvalid,
  input  wire  m_axi_wready,
  input  wire  [1:0] m_axi_bresp,
  input  wire  m_axi_bvalid,
  output logic m_axi_bready
);
  localparam int WORD_BITS = $clog2(DEPTH + 1);

  if (DEPTH < BURST) begin : g_bad_depth
    $fatal(1, "axi_write_master %m: DEPTH=%0d must be at least BURST=%0d", DEPTH, BURST);
  end

  logic [31:0] left_q;
  logic push, last, burst_valid, issue, room, pending, answered;
  logic [WORD_BITS-1:0] words_q, take;
  logic [63:0] burst_address, pending_address;
  logic [7:0] burst_length;
  logic [8:0] beats_q;
  logic [BUS_BITS-1:0] word;
  logic word_valid, word_ready, slice_ready, sent, final_beat;

  // words_q: in the buffer and of no burst yet.
  assign push = s_tvalid && s_tready;
  assign last = left_q == '0;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      left_q <= '0;
      words_q <= '0;
    end else begin
      if (load) left_q <= frames;
      else if (push && s_tlast) left_q <= left_q - 1'b1;
      words_q <= words_q + WORD_BITS'(push) - take;
    end
  end

  fifo #(.WIDTH(BUS_BITS), .DEPTH(DEPTH), .BLOCK(1)) u_buffer (
    .clk(clk), .rst_n(rst_n), .s_tdata(s_tdata), .s_tvalid(s_tvalid), .s_tready(s_tready),
    .m_tdata(word), .m_tvalid(word_valid), .m_tready(word_ready)
  );
  burst_generator #(.BUS_BYTES(BUS_BITS / 8), .BURST(BURST), .LEAST(LEAST), .WORD_BITS(WORD_BITS)) u_bursts (
    .clk(clk), .rst_n(rst_n), .load(load), .address(address), .words(words_q), .flush(last), .take(take),
    .m_tvalid(burst_valid), .m_tready(issue), .m_address(burst_address), .m_length(burst_length)
  );
  fifo #(.WIDTH(64), .DEPTH(OUTSTANDING), .BLOCK(0)) u_pending (
    .clk(clk), .rst_n(rst_n), .s_tdata(burst_address), .s_tvalid(issue), .s_tready(room),
    .m_tdata(pending_address), .m_tvalid(pending), .m_tready(answered)
  );

  // The words of one burst at a time go out; the next may follow without a pause.
  assign word_ready = slice_ready && beats_q != '0;
  assign sent = word_valid && word_ready;
  assign final_beat = beats_q == 9'd1;
  assign issue = burst_valid && room && !halt && (!m_axi_awvalid || m_axi_awready)
    && (beats_q == '0 || sent && final_beat);

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      m_axi_awvalid <= 1'b0;
      beats_q <= '0;
    end else begin
      if (issue) m_axi_awvalid <= 1'b1;
      else if (m_axi_awready) m_axi_awvalid <= 1'b0;
      if (issue) beats_q <= 9'(burst_length) + 1'b1;
      else if (sent) beats_q <= beats_q - 1'b1;
    end
  end

  always_ff @(posedge clk) begin
    if (issue) begin
      m_axi_awaddr <= burst_address;
      m_axi_awlen <= burst_length;
    end
  end

  skid_buffer #(.WIDTH(BUS_BITS + 1)) u_slice (
    .clk(clk), .rst_n(rst_n), .s_tdata({final_beat, word}), .s_tvalid(word_valid && beats_q != '0),
    .s_tready(slice_ready), .m_tdata({m_axi_wlast, m_axi_wdata}), .m_tvalid(m_axi_wvalid), .m_tready(m_axi_wready)
  );

  assign m_axi_bready = 1'b1;
  assign answered = m_axi_bvalid;
  assign quiet = !m_axi_awvalid && beats_q == '0 && !m_axi_wvalid && !pending;
  assign idle = quiet && last && words_q == '0 && !burst_valid;

  always_ff @(posedge clk) begin
    fault_slverr <= rst_n && answered && m_axi_bresp == 2'b10;
    fault_decerr <= rst_n && answered && m_axi_bresp == 2'b11;
    fault_address <= pending_address;
  end
endmodule
`default_nettype wire

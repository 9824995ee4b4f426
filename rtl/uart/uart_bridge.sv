// SPDX-License-Identifier: Apache-2.0
// A UART that reads and writes words: registers of a kernel behind AXI4-Lite, and memory banks behind a word port.
// docs/uart.md has the protocol; uart_request and uart_response have its frames.
//
// ops: 1 read, 2 write, 3 identify (8 words). status: 0 done, 1 bad CRC, 2 unknown op or more than 64 words, 3 nothing
// at the address, an address that is no multiple of 4, or an error response, 4 a framing error; with 1 to 4 nothing was
// done, except what came before an error response. A write with the seq of the last request that was answered with
// neither 1 nor 4 is answered as that was, and not done again.
// Map: registers from 2^31 on, 2^CONTROL_BITS bytes; BANKS banks of 2^BANK_BITS bytes each, one behind the other, from
// BASE on. The bank at bank_select[i] reads or writes (bank_write) in the cycle in which bank_enable is high, and has
// its word in the next at bank_read_data[32*i+:32], as long as nothing else is asked for.
// A word takes seven cycles, or five and what AXI4-Lite takes; bytes that come until the answer has gone are dropped.
`default_nettype none
module uart_bridge #(
  parameter int CLOCK_HZ = 60000000,
  parameter int BAUD = 1000000,
  parameter int BANKS = 2,
  parameter int BANK_BITS = 13,
  parameter int BASE = 0,
  parameter int CONTROL_BITS = 12,
  parameter int TIMEOUT = 65536
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  rxd,
  output logic txd,
  output logic busy,
  output logic receives,
  output logic fault,
  output logic [CONTROL_BITS-1:0] m_axi_awaddr,
  output logic m_axi_awvalid,
  input  wire  m_axi_awready,
  output logic [31:0] m_axi_wdata,
  output logic [3:0] m_axi_wstrb,
  output logic m_axi_wvalid,
  input  wire  m_axi_wready,
  input  wire  [1:0] m_axi_bresp,
  input  wire  m_axi_bvalid,
  output logic m_axi_bready,
  output logic [CONTROL_BITS-1:0] m_axi_araddr,
  output logic m_axi_arvalid,
  input  wire  m_axi_arready,
  input  wire  [31:0] m_axi_rdata,
  input  wire  [1:0] m_axi_rresp,
  input  wire  m_axi_rvalid,
  output logic m_axi_rready,
  output logic bank_enable,
  output logic bank_write,
  output logic [BANKS-1:0] bank_select,
  output logic [BANK_BITS-3:0] bank_address,
  output logic [31:0] bank_write_data,
  input  wire  [32*BANKS-1:0] bank_read_data
);
  localparam int CLOCKS = (CLOCK_HZ + BAUD / 2) / BAUD;
  localparam int MISS = CLOCKS * BAUD > CLOCK_HZ ? CLOCKS * BAUD - CLOCK_HZ : CLOCK_HZ - CLOCKS * BAUD;
  localparam int INDEX_BITS = BANKS > 1 ? $clog2(BANKS) : 1;
  localparam int WINDOW_BITS = BANK_BITS + INDEX_BITS;  // of the banks, and of as many as would fill a power of two
  localparam logic [7:0] READ = 8'd1, WRITE = 8'd2, IDENTIFY = 8'd3;
  localparam logic [7:0] OK = 8'd0, BAD_CRC = 8'd1, BAD_REQUEST = 8'd2, BAD_ADDRESS = 8'd3, BAD_FRAMING = 8'd4;
  localparam logic [2:0] WAIT = 3'd0, FETCH = 3'd1, ISSUE = 3'd2, ACCESS = 3'd3, STORE = 3'd4, RESPOND = 3'd5,
    ANSWER = 3'd6;

  if (BAUD < 1 || CLOCKS < 8 || MISS > CLOCK_HZ / 50) begin : g_bad_baud
    $fatal(1, "uart_bridge %m: CLOCK_HZ=%0d gives no BAUD=%0d within 2 %% and with at least 8 clocks a bit",
           CLOCK_HZ, BAUD);
  end
  if (BANKS < 1 || BANK_BITS < 12 || WINDOW_BITS > 30 || BASE < 0 || BASE % (1 << WINDOW_BITS) != 0) begin : g_bad_map
    $fatal(1, "uart_bridge %m: BASE=%0d must be a multiple of 2^%0d, for BANKS=%0d of 2^%0d bytes, 4096 at least",
           BASE, WINDOW_BITS, BANKS, BANK_BITS);
  end
  if (CONTROL_BITS < 3 || CONTROL_BITS > 30) begin : g_bad_control
    $fatal(1, "uart_bridge %m: CONTROL_BITS=%0d must be 3 to 30", CONTROL_BITS);
  end

  // --- the line
  logic [7:0] byte_in, byte_out;
  logic in_valid, in_framing, out_valid, out_ready;

  uart_rx #(.CLOCKS(CLOCKS)) u_rx (
    .clk(clk), .rst_n(rst_n), .rxd(rxd), .m_tdata(byte_in), .m_tuser(in_framing), .m_tvalid(in_valid)
  );
  uart_tx #(.CLOCKS(CLOCKS)) u_tx (
    .clk(clk), .rst_n(rst_n), .s_tdata(byte_out), .s_tvalid(out_valid), .s_tready(out_ready), .txd(txd)
  );

  // --- the request, and the buffer that holds its words or those of the response
  logic whole, take, bad_crc, bad_framing, dropped, in_write, store, answered;
  logic [7:0] seq, op, length;
  logic [31:0] address, in_data, fetched_q, buffer_q, found_q;
  logic [5:0] in_addr, out_addr, index_q;
  logic [2:0] state_q;
  (* ram_style = "block" *) logic [31:0] words[64];

  uart_request #(.CLOCKS(CLOCKS), .TIMEOUT(TIMEOUT)) u_request (
    .clk(clk), .rst_n(rst_n), .s_tdata(byte_in), .s_tuser(in_framing), .s_tvalid(in_valid), .valid(whole),
    .take(take), .seq(seq), .op(op), .length(length), .address(address), .bad_crc(bad_crc),
    .bad_framing(bad_framing), .dropped(dropped), .write_en(in_write), .write_addr(in_addr), .write_data(in_data)
  );

  always_ff @(posedge clk) begin
    if (in_write || store) words[store ? index_q : in_addr] <= store ? found_q : in_data;
    fetched_q <= words[state_q == ANSWER ? out_addr : index_q];
    buffer_q <= fetched_q;  // block RAM is slow: nothing but a register behind it
  end

  // --- what it asks for; its head has stood for the two bytes of the CRC when it is whole
  logic [31:0] end_q;  // address of its last word
  wire unused_bits = &{1'b0, end_q};  // the low ones
  logic aligned_q, in_banks_q, in_control_q, reads_q, writes_q, identifies_q, fits_q, again_q, known_q;
  logic [7:0] last_seq_q, last_status_q, status_q;

  always_ff @(posedge clk) begin
    end_q <= address + {24'd0, length[5:0], 2'd0};
    aligned_q <= address[1:0] == 2'd0;
    in_banks_q <= address[31:WINDOW_BITS] == (32 - WINDOW_BITS)'(BASE >> WINDOW_BITS)
      && end_q[31:WINDOW_BITS] == (32 - WINDOW_BITS)'(BASE >> WINDOW_BITS)
      && int'(end_q[WINDOW_BITS-1:BANK_BITS]) < BANKS;
    in_control_q <= address[31:CONTROL_BITS] == (32 - CONTROL_BITS)'(1 << (31 - CONTROL_BITS))
      && end_q[31:CONTROL_BITS] == (32 - CONTROL_BITS)'(1 << (31 - CONTROL_BITS));
    reads_q <= op == READ;
    writes_q <= op == WRITE;
    identifies_q <= op == IDENTIFY;
    fits_q <= length[7:6] == '0;
    again_q <= known_q && op == WRITE && seq == last_seq_q;
  end

  // --- word after word
  logic [31:0] place_q, ident_q, bank_q, chosen;
  logic [1:0] pause_q;
  logic last_q, failed, ends, idle;

  assign failed = m_axi_bvalid && m_axi_bresp != 2'b00 || m_axi_rvalid && m_axi_rresp != 2'b00;
  assign ends = in_control_q && !identifies_q ? m_axi_bvalid || m_axi_rvalid : pause_q == 2'd2;
  assign store = state_q == STORE && !writes_q;

  always_ff @(posedge clk) begin
    if (!rst_n) state_q <= WAIT;
    else begin
      case (state_q)
        WAIT: begin
          if (whole) state_q <= RESPOND;
          if (bad_framing) status_q <= BAD_FRAMING;
          else if (bad_crc) status_q <= BAD_CRC;
          else if (again_q) status_q <= last_status_q;
          else if (!fits_q || !reads_q && !writes_q && !identifies_q) status_q <= BAD_REQUEST;
          else if (!identifies_q && !(aligned_q && (in_banks_q || in_control_q))) status_q <= BAD_ADDRESS;
          else begin
            status_q <= OK;
            if (whole) state_q <= FETCH;
          end
        end
        FETCH: if (pause_q == 2'd1) state_q <= ISSUE;
        ISSUE: state_q <= ACCESS;
        ACCESS: begin
          if (ends) state_q <= STORE;
          if (failed) status_q <= BAD_ADDRESS;
        end
        STORE: state_q <= last_q || status_q != OK ? RESPOND : FETCH;
        RESPOND: state_q <= ANSWER;
        default: if (idle) state_q <= WAIT;
      endcase
    end
  end

  always_ff @(posedge clk) begin
    if (state_q == WAIT) begin
      index_q <= '0;
      place_q <= address;
    end else if (state_q == STORE) begin
      index_q <= index_q + 1'b1;
      place_q <= place_q + 32'd4;
    end
    last_q <= index_q == (identifies_q ? 6'd7 : length[5:0]);
    pause_q <= state_q == FETCH || state_q == ACCESS ? pause_q + 1'b1 : '0;
  end

  // --- banks
  always_comb begin
    chosen = '0;
    for (int i = 0; i < BANKS; i++) if (bank_select[i]) chosen = chosen | bank_read_data[32*i+:32];
  end

  always_ff @(posedge clk) begin
    bank_enable <= rst_n && state_q == ISSUE && in_banks_q && !identifies_q;
    bank_write <= writes_q;
    bank_address <= place_q[BANK_BITS-1:2];
    bank_write_data <= buffer_q;
    for (int i = 0; i < BANKS; i++) bank_select[i] <= int'(place_q[WINDOW_BITS-1:BANK_BITS]) == i;
    bank_q <= chosen;
    if (state_q == ACCESS) found_q <= identifies_q ? ident_q : in_control_q ? m_axi_rdata : bank_q;
  end

  // --- registers of the kernel
  assign m_axi_wdata = bank_write_data;
  assign m_axi_wstrb = 4'hf;
  assign m_axi_bready = 1'b1;
  assign m_axi_rready = 1'b1;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      m_axi_awvalid <= 1'b0;
      m_axi_wvalid <= 1'b0;
      m_axi_arvalid <= 1'b0;
    end else if (state_q == ISSUE && in_control_q && !identifies_q) begin
      m_axi_awvalid <= writes_q;
      m_axi_wvalid <= writes_q;
      m_axi_arvalid <= reads_q;
    end else begin
      if (m_axi_awready) m_axi_awvalid <= 1'b0;
      if (m_axi_wready) m_axi_wvalid <= 1'b0;
      if (m_axi_arready) m_axi_arvalid <= 1'b0;
    end
    if (state_q == ISSUE) begin
      m_axi_awaddr <= place_q[CONTROL_BITS-1:0];
      m_axi_araddr <= place_q[CONTROL_BITS-1:0];
    end
  end

  // --- the answer
  assign take = state_q == ANSWER && idle;
  assign answered = state_q == RESPOND && !bad_crc && !bad_framing;
  assign busy = state_q != WAIT;
  assign receives = in_valid;

  uart_response u_response (
    .clk(clk), .rst_n(rst_n), .start(state_q == RESPOND), .seq(seq), .status(status_q),
    .words(status_q != OK || writes_q ? 7'd0 : identifies_q ? 7'd8 : {1'b0, length[5:0]} + 7'd1),
    .idle(idle), .read_addr(out_addr), .read_data(buffer_q), .m_tdata(byte_out), .m_tvalid(out_valid),
    .m_tready(out_ready)
  );

  always_ff @(posedge clk) begin
    if (!rst_n) known_q <= 1'b0;
    else if (answered) known_q <= 1'b1;
    if (answered) begin
      last_seq_q <= seq;
      last_status_q <= status_q;
    end
  end

  // --- what identify says: counts of what went wrong since the reset, up to 65,535
  logic [15:0] crcs_q, framings_q, drops_q;
  logic bad_crc_now, bad_framing_now;

  assign bad_crc_now = state_q == RESPOND && status_q == BAD_CRC;
  assign bad_framing_now = in_valid && in_framing;
  assign fault = bad_crc_now || bad_framing_now || dropped;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      crcs_q <= '0;
      framings_q <= '0;
      drops_q <= '0;
    end else begin
      crcs_q <= crcs_q + 16'(bad_crc_now && crcs_q != '1);
      framings_q <= framings_q + 16'(bad_framing_now && framings_q != '1);
      drops_q <= drops_q + 16'(dropped && drops_q != '1);
    end
    case (index_q[2:0])
      3'd0: ident_q <= 32'h31555747;  // GWU1
      3'd1: ident_q <= CLOCK_HZ;
      3'd2: ident_q <= BAUD;
      3'd3: ident_q <= BANKS;
      3'd4: ident_q <= 1 << BANK_BITS;
      3'd5: ident_q <= {16'd0, crcs_q};
      3'd6: ident_q <= {16'd0, framings_q};
      default: ident_q <= {16'd0, drops_q};
    endcase
  end
endmodule
`default_nettype wire

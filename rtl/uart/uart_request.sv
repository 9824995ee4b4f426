// SPDX-License-Identifier: Apache-2.0
// Bytes of a UART -> one request of the bridge's protocol.
//
// 0xA5, seq, op, words - 1, address (4 bytes), data (4 bytes a word, of writes, op 2, alone), CRC-16/CCITT-FALSE of all
// between the first byte and itself (2 bytes); numbers little-endian. Anything in front of an 0xA5 is noise.
// s_tuser marks a byte with a framing error. Data goes to a buffer, a word at a time; more than 64 are taken off the
// line and not kept. `valid` stands, with all that the request says and whether its CRC or its framing was bad, until
// `take`; bytes that come meanwhile are dropped, as the host waits for its answer.
// A request that stops for TIMEOUT bit times is forgotten: `dropped` for one cycle.
`default_nettype none
module uart_request #(
  parameter int CLOCKS = 60,
  parameter int TIMEOUT = 65536
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  [7:0] s_tdata,
  input  wire  s_tuser,
  input  wire  s_tvalid,
  output logic valid,
  input  wire  take,
  output logic [7:0] seq,
  output logic [7:0] op,
  output logic [7:0] length,
  output logic [31:0] address,
  output logic bad_crc,
  output logic bad_framing,
  output logic dropped,
  output logic write_en,
  output logic [5:0] write_addr,
  output logic [31:0] write_data
);
  localparam logic [7:0] SYNC = 8'ha5, WRITE = 8'd2;
  localparam logic [2:0] HUNT = 3'd0, HEADER = 3'd1, DATA = 3'd2, CRC_LOW = 3'd3, CRC_HIGH = 3'd4, WHOLE = 3'd5;
  localparam int TICK_BITS = $clog2(CLOCKS);
  localparam int SILENCE_BITS = $clog2(TIMEOUT);

  if (CLOCKS < 2) begin : g_bad_clocks
    $fatal(1, "uart_request %m: CLOCKS=%0d must be at least 2 a bit", CLOCKS);
  end
  if (TIMEOUT < 32 || TIMEOUT != 1 << SILENCE_BITS) begin : g_bad_timeout
    $fatal(1, "uart_request %m: TIMEOUT=%0d bit times must be a power of two from 32 on", TIMEOUT);
  end

  logic [2:0] state_q;
  logic [55:0] header_q;
  logic [31:0] data_q;
  logic [9:0] count_q;  // bytes of the part of the request that have come
  logic [15:0] crc;
  logic under_way, word_q, last_word_q;
  logic [TICK_BITS-1:0] tick_q;
  logic [SILENCE_BITS:0] silence_q;  // bit times since the last byte

  assign {address, length, op, seq} = header_q;
  assign valid = state_q == WHOLE;
  assign under_way = state_q != HUNT && state_q != WHOLE;
  assign dropped = under_way && silence_q[SILENCE_BITS];

  crc16 u_crc (
    .clk(clk), .clear(state_q == HUNT), .step(s_tvalid && (state_q == HEADER || state_q == DATA)), .data(s_tdata),
    .crc(crc)
  );

  // Bytes are many cycles apart, so what one decides may take a cycle: last_word_q is that of the word under way.
  always_ff @(posedge clk) begin
    if (!rst_n || dropped || take) begin
      state_q <= HUNT;
    end else if (s_tvalid) begin
      case (state_q)
        HUNT: if (s_tdata == SYNC && !s_tuser) state_q <= HEADER;
        HEADER: if (count_q == 10'd6) state_q <= header_q[23:16] == WRITE ? DATA : CRC_LOW;
        DATA: if (last_word_q && count_q[1:0] == 2'd3) state_q <= CRC_LOW;
        CRC_LOW: state_q <= CRC_HIGH;
        CRC_HIGH: state_q <= WHOLE;
        default: ;
      endcase
    end
  end

  always_ff @(posedge clk) begin
    if (s_tvalid && state_q == HEADER) header_q <= {s_tdata, header_q[55:8]};
    if (s_tvalid && state_q == DATA) data_q <= {s_tdata, data_q[31:8]};
    if (state_q == HUNT || s_tvalid && state_q == HEADER && count_q == 10'd6) count_q <= '0;
    else if (s_tvalid) count_q <= count_q + 1'b1;
    last_word_q <= count_q[9:2] == length;
    if (state_q == HUNT) begin
      bad_crc <= 1'b0;
      bad_framing <= 1'b0;
    end else if (s_tvalid && under_way) begin
      if (s_tuser) bad_framing <= 1'b1;
      if (state_q == CRC_LOW && s_tdata != crc[7:0]) bad_crc <= 1'b1;
      if (state_q == CRC_HIGH && s_tdata != crc[15:8]) bad_crc <= 1'b1;
    end
  end

  // A word is whole in the cycle after its last byte.
  assign write_data = data_q;
  always_ff @(posedge clk) begin
    word_q <= s_tvalid && state_q == DATA && count_q[1:0] == 2'd3 && count_q[9:8] == '0;
    write_addr <= count_q[7:2];
  end
  assign write_en = word_q;

  always_ff @(posedge clk) begin
    if (!under_way || s_tvalid) begin
      tick_q <= '0;
      silence_q <= '0;
    end else if (tick_q == TICK_BITS'(CLOCKS - 1)) begin
      tick_q <= '0;
      silence_q <= silence_q + 1'b1;
    end else begin
      tick_q <= tick_q + 1'b1;
    end
  end
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
// A response of the bridge's protocol -> bytes for a UART.
//
// 0x5A, seq, status, words - 1 (0 without data), data (4 bytes a word), CRC-16/CCITT-FALSE of all between the first
// byte and itself (2 bytes); numbers little-endian. `start` takes seq, status and the number of words, 0 to 64, when
// idle; the words are read from the buffer at read_addr, and come at read_data up to three cycles later. `idle` again
// once the last byte has been handed over. Bytes stay until they are taken, and parts of four follow after a cycle.
`default_nettype none
module uart_response (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  start,
  input  wire  [7:0] seq,
  input  wire  [7:0] status,
  input  wire  [6:0] words,
  output logic idle,
  output logic [5:0] read_addr,
  input  wire  [31:0] read_data,
  output logic [7:0] m_tdata,
  output logic m_tvalid,
  input  wire  m_tready
);
  localparam logic [7:0] SYNC = 8'h5a;

  logic [31:0] part_q;  // bytes to be sent, the next one lowest
  logic [2:0] left_q;  // how many
  logic [6:0] words_q;  // that are not in part_q yet
  logic sync_q, closing_q;  // the next byte is the first; what is left are the bytes of the CRC
  logic [15:0] crc;
  logic sent;

  assign m_tdata = part_q[7:0];
  assign m_tvalid = left_q != '0;
  assign sent = m_tvalid && m_tready;

  crc16 u_crc (.clk(clk), .clear(idle), .step(sent && !sync_q && !closing_q), .data(m_tdata), .crc(crc));

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      idle <= 1'b1;
      left_q <= '0;
    end else if (idle) begin
      idle <= !start;
      left_q <= start ? 3'd4 : '0;
    end else if (sent) begin
      left_q <= left_q - 1'b1;
    end else if (left_q == '0) begin
      idle <= closing_q;
      left_q <= closing_q ? 3'd0 : words_q != '0 ? 3'd4 : 3'd2;
    end
  end

  always_ff @(posedge clk) begin
    if (idle) begin
      part_q <= {words == '0 ? 8'd0 : {1'b0, words} - 8'd1, status, seq, SYNC};
      words_q <= words;
      read_addr <= '0;
      sync_q <= 1'b1;
      closing_q <= 1'b0;
    end else if (sent) begin
      part_q <= {8'd0, part_q[31:8]};
      sync_q <= 1'b0;
    end else if (left_q == '0) begin
      part_q <= words_q != '0 ? read_data : {16'd0, crc};
      closing_q <= words_q == '0;
      words_q <= words_q == '0 ? '0 : words_q - 1'b1;
      read_addr <= read_addr + 1'b1;
    end
  end
endmodule
`default_nettype wire

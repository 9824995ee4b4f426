// SPDX-License-Identifier: Apache-2.0
// Register slice: data, valid and ready all come from registers, one word a cycle, a delay of one cycle.
//
// A word that arrives while the output register waits for its reader stands in the spare one. Use a fifo where more
// than two words are to wait.
`default_nettype none
module skid_buffer #(
  parameter int WIDTH = 1
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  [WIDTH-1:0] s_tdata,
  input  wire  s_tvalid,
  output logic s_tready,
  output logic [WIDTH-1:0] m_tdata,
  output logic m_tvalid,
  input  wire  m_tready
);
  if (WIDTH < 1) begin : g_bad_width
    $fatal(1, "skid_buffer %m: WIDTH=%0d must be at least 1", WIDTH);
  end

  logic spare_valid_q, waits;
  logic [WIDTH-1:0] spare_q;

  assign waits = m_tvalid && !m_tready;
  assign s_tready = !spare_valid_q;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      m_tvalid <= 1'b0;
      spare_valid_q <= 1'b0;
    end else if (waits) begin
      spare_valid_q <= spare_valid_q || s_tvalid;
    end else begin
      m_tvalid <= spare_valid_q || s_tvalid;
      spare_valid_q <= 1'b0;
    end
  end

  always_ff @(posedge clk) begin
    if (!waits) m_tdata <= spare_valid_q ? spare_q : s_tdata;
    if (s_tready) spare_q <= s_tdata;
  end
endmodule
`default_nettype wire

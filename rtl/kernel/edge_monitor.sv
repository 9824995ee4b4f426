// SPDX-License-Identifier: Apache-2.0
// Counts what passes through a FIFO of DEPTH words: four registers for whoever wants to know why a design stands still.
//
// probe: the FIFO's {s_tvalid, s_tready, m_tvalid, m_tready}. They come through the logic of whole units, so they go
// through registers first: counters and the multiplexer of `words` would make those longer. Words are a cycle late.
// word 0: probe in bits 31:28, words held in 23:0. From behind `clear`, in cycles with `count`, up to 2**32 - 1:
// word 1: cycles in which a word waited at the full FIFO; word 2: cycles in which the reader waited at the empty one;
// word 3: words that left. STALLS 0 leaves out the words 1 and 2, which then read 0.
`default_nettype none
module edge_monitor #(
  parameter int DEPTH = 2,
  parameter int STALLS = 1
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  path_rst_n,
  input  wire  clear,
  input  wire  count,
  input  wire  [3:0] probe,
  output logic [127:0] words
);
  localparam int FILL_BITS = $clog2(DEPTH + 1);

  if (DEPTH < 1 || FILL_BITS > 24) begin : g_bad_depth
    $fatal(1, "edge_monitor %m: DEPTH=%0d must be 1 to 16777215", DEPTH);
  end

  logic s_tvalid, s_tready, m_tvalid, m_tready, count_on;
  logic [FILL_BITS-1:0] fill_q;

  always_ff @(posedge clk) begin
    {s_tvalid, s_tready, m_tvalid, m_tready} <= path_rst_n ? probe : '0;
    count_on <= count;
  end

  // What is held outlasts a run, so a reset of the FIFO alone sets it back.
  always_ff @(posedge clk) begin
    if (!path_rst_n) fill_q <= '0;
    else fill_q <= fill_q + FILL_BITS'(s_tvalid && s_tready) - FILL_BITS'(m_tvalid && m_tready);
  end

  assign words[31:0] = {s_tvalid, s_tready, m_tvalid, m_tready, 4'd0, 24'(fill_q)};

  for (genvar i = 1; i < 4; i++) begin : g_count
    if (i == 3 || STALLS != 0) begin : g_counter
      logic step;
      logic [31:0] count_q;

      if (i == 1) begin : g_stalled
        assign step = s_tvalid && !s_tready;
      end else if (i == 2) begin : g_starved
        assign step = m_tready && !m_tvalid;
      end else begin : g_passed
        assign step = m_tvalid && m_tready;
      end

      always_ff @(posedge clk) begin
        if (!rst_n || clear) count_q <= '0;
        else if (count_on && step && !(&count_q)) count_q <= count_q + 1'b1;
      end
      assign words[32*i+:32] = count_q;
    end else begin : g_none
      assign words[32*i+:32] = '0;
    end
  end
endmodule
`default_nettype wire

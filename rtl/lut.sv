// SPDX-License-Identifier: Apache-2.0
// y = table[c][x]: any function of a narrow input, one for all channels (SHARED) or one per channel.
//
// Beats: PE channels in and out, channel group 0..CHANNELS/PE-1 for every pixel.
// TABLE ROM: word {group, input bits} holds an output per lane; with SHARED, word {input bits} holds one output.
// Block RAM where a lane's table is deeper than 128 words and larger than 8192 bits, else LUTs (ir/primitives.py).
// Depth 1, one beat a cycle. Use threshold where the input is wide and the function monotone.
`default_nettype none
module lut #(
  parameter int IN_BITS = 4,
  parameter int IN_LANES = 1,
  parameter int IN_BEATS = 1,
  parameter int IN_SIGNED = 0,
  parameter int OUT_BITS = 4,
  parameter int OUT_LANES = 1,
  parameter int OUT_BEATS = 1,
  parameter int OUT_SIGNED = 0,
  parameter int PE = 1,
  parameter int CHANNELS = 1,
  parameter int SHARED = 1,
  parameter int TABLE_BITS = 4,
  parameter TABLE_FILE = ""
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
  localparam int GROUPS = SHARED != 0 ? 1 : CHANNELS / PE;
  localparam int TABLE_LANES = SHARED != 0 ? 1 : PE;
  localparam int WORDS = GROUPS << IN_BITS;
  localparam int ADDR_BITS = $clog2(WORDS);

  if (IN_LANES != PE || OUT_LANES != PE || CHANNELS % PE != 0) begin : g_bad_lanes
    $fatal(1, "lut %m: PE=%0d must equal IN_LANES=%0d and OUT_LANES=%0d and divide CHANNELS=%0d",
           PE, IN_LANES, OUT_LANES, CHANNELS);
  end
  if (IN_BEATS != OUT_BEATS || IN_BEATS % (CHANNELS / PE) != 0) begin : g_bad_beats
    $fatal(1, "lut %m: IN_BEATS=%0d must equal OUT_BEATS=%0d and be a multiple of CHANNELS/PE=%0d",
           IN_BEATS, OUT_BEATS, CHANNELS / PE);
  end
  if (IN_BITS > 16) begin : g_bad_input
    $fatal(1, "lut %m: IN_BITS=%0d (IN_SIGNED=%0d) must be at most 16", IN_BITS, IN_SIGNED);
  end
  if (TABLE_BITS != OUT_BITS) begin : g_bad_table
    $fatal(1, "lut %m: TABLE_BITS=%0d must equal OUT_BITS=%0d (OUT_SIGNED=%0d)", TABLE_BITS, OUT_BITS, OUT_SIGNED);
  end

  logic en, step, unused_last;
  logic [(GROUPS > 1 ? $clog2(GROUPS) : 1)-1:0] group;

  pipeline #(.DEPTH(1), .BEATS(OUT_BEATS)) u_pipeline (
    .clk(clk), .rst_n(rst_n), .launch(step), .en(en),
    .m_tvalid(m_axis_tvalid), .m_tlast(m_axis_tlast), .m_tready(m_axis_tready)
  );
  counter #(.COUNT(GROUPS)) u_group (
    .clk(clk), .rst_n(rst_n), .step(step), .value(group), .last(unused_last)
  );
  frame_check #(.BEATS(IN_BEATS)) u_check (
    .clk(clk), .rst_n(rst_n), .tvalid(s_axis_tvalid), .tready(s_axis_tready), .tlast(s_axis_tlast)
  );

  assign s_axis_tready = en;
  assign step = en && s_axis_tvalid;

  // Every lane has its own input, hence its own read port, of which it keeps one element.
  for (genvar p = 0; p < PE; p++) begin : g_lane
    localparam int ELEMENT = SHARED != 0 ? 0 : p;
    logic [ADDR_BITS-1:0] addr;

    assign addr = ADDR_BITS'({group, s_axis_tdata[p*IN_BITS+:IN_BITS]});
    // An attribute must be a literal, hence two declarations.
    if (WORDS > 128 && WORDS * TABLE_BITS > 8192) begin : g_block
      (* rom_style = "block" *) logic [TABLE_BITS*TABLE_LANES-1:0] mem[WORDS];
      initial $readmemh(TABLE_FILE, mem);
      always_ff @(posedge clk) begin
        if (en) m_axis_tdata[p*OUT_BITS+:OUT_BITS] <= mem[addr][ELEMENT*TABLE_BITS+:TABLE_BITS];
      end
    end else begin : g_lut
`ifdef YOSYS
      (* rom_style = "logic" *)  // what Yosys calls a ROM in LUTs
`else
      (* rom_style = "distributed" *)
`endif
      logic [TABLE_BITS*TABLE_LANES-1:0] mem[WORDS];
      initial $readmemh(TABLE_FILE, mem);
      always_ff @(posedge clk) begin
        if (en) m_axis_tdata[p*OUT_BITS+:OUT_BITS] <= mem[addr][ELEMENT*TABLE_BITS+:TABLE_BITS];
      end
    end
  end
endmodule
`default_nettype wire

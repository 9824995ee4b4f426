// SPDX-License-Identifier: Apache-2.0
// Multi-threshold activation: y = LO + #{i : t[c,i] <= x}, or HI - #{i : t[c,i] <= x} where channel c falls, over
// the 2**LEVELS - 1 ascending thresholds of channel c.
//
// Beats: PE channels in and out, channel group 0..CHANNELS/PE-1 for every pixel. Binary search, one comparison a
// pipeline stage: level i reads the threshold that the i code bits found so far select and adds one bit.
// BIPOLAR 1: code 0 stands for -1, code 1 for +1, which changes nothing here.
// LEVEL ROM i: word {group, code prefix of i bits} holds PE thresholds. FALLING ROM: word group holds PE bits.
// Depth LEVELS + 1, one beat a cycle. Use requant where 2**LEVELS words a channel outgrow a multiplier.
`default_nettype none
module threshold #(
  parameter int IN_BITS = 8,
  parameter int IN_LANES = 1,
  parameter int IN_BEATS = 1,
  parameter int IN_SIGNED = 1,
  parameter int OUT_BITS = 2,
  parameter int OUT_LANES = 1,
  parameter int OUT_BEATS = 1,
  parameter int OUT_SIGNED = 0,
  parameter int PE = 1,
  parameter int BIPOLAR = 0,
  parameter int CHANNELS = 1,
  parameter int LEVELS = 2,
  parameter int LO = 0,
  parameter int HI = 3,
  parameter int LEVEL_BITS = 8,
  parameter LEVEL_FILE = "",
  parameter int FALLING_BITS = 1,
  parameter FALLING_FILE = ""
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
  localparam int GROUPS = CHANNELS / PE;
  localparam int GROUP_BITS = GROUPS > 1 ? $clog2(GROUPS) : 1;
  localparam int X_BITS = IN_BITS + (IN_SIGNED != 0 ? 0 : 1);

  if (IN_LANES != PE || OUT_LANES != PE || CHANNELS % PE != 0) begin : g_bad_lanes
    $fatal(1, "threshold %m: PE=%0d must equal IN_LANES=%0d and OUT_LANES=%0d and divide CHANNELS=%0d",
           PE, IN_LANES, OUT_LANES, CHANNELS);
  end
  if (IN_BEATS != OUT_BEATS || IN_BEATS % GROUPS != 0) begin : g_bad_beats
    $fatal(1, "threshold %m: IN_BEATS=%0d must equal OUT_BEATS=%0d and be a multiple of CHANNELS/PE=%0d",
           IN_BEATS, OUT_BEATS, GROUPS);
  end
  if (LEVELS < 1 || LEVELS > 9) begin : g_bad_levels
    $fatal(1, "threshold %m: LEVELS=%0d must be 1 to 9", LEVELS);
  end
  if (LEVEL_BITS < X_BITS) begin : g_bad_level_bits
    $fatal(1, "threshold %m: LEVEL_BITS=%0d must hold an input as signed number of %0d bits", LEVEL_BITS, X_BITS);
  end
  if (BIPOLAR != 0 && (LO != 0 || HI != 1 || OUT_SIGNED != 0)) begin : g_bad_bipolar
    $fatal(1, "threshold %m: with BIPOLAR=%0d the codes are LO=0 and HI=1, unsigned", BIPOLAR);
  end
  if (FALLING_BITS != 1) begin : g_bad_falling
    $fatal(1, "threshold %m: FALLING_BITS=%0d must be 1", FALLING_BITS);
  end
  if (LO > HI || HI - LO > (1 << LEVELS) - 1) begin : g_bad_range
    $fatal(1, "threshold %m: LO=%0d to HI=%0d must ascend and have at most 2**LEVELS=%0d codes", LO, HI, 1 << LEVELS);
  end
  if (LO < (OUT_SIGNED != 0 ? -(1 << (OUT_BITS - 1)) : 0) || HI > (1 << (OUT_BITS - OUT_SIGNED)) - 1) begin : g_bad_out
    $fatal(1, "threshold %m: LO=%0d to HI=%0d do not fit OUT_BITS=%0d with OUT_SIGNED=%0d",
           LO, HI, OUT_BITS, OUT_SIGNED);
  end

  logic en, step, unused_last;
  logic [GROUP_BITS-1:0] group;

  pipeline #(.DEPTH(LEVELS + 1), .BEATS(OUT_BEATS)) u_pipeline (
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

  // Stage i holds what level i - 1 read from its ROM, and all that the later levels need; stage 0 is the input.
  logic [LEVELS*GROUP_BITS-1:0] groups;
  logic [LEVELS*IN_BITS*PE-1:0] xs;
  logic [(LEVELS+1)*LEVELS*PE-1:0] codes;  // the code so far, in the low bits
  logic [PE-1:0] falling;

  assign groups[GROUP_BITS-1:0] = group;
  assign xs[IN_BITS*PE-1:0] = s_axis_tdata;
  assign codes[LEVELS*PE-1:0] = '0;

  for (genvar i = 0; i < LEVELS; i++) begin : g_level
    localparam int WORDS = GROUPS << i;
    localparam int ADDR_BITS = WORDS > 1 ? $clog2(WORDS) : 1;
    localparam logic [7:0] DIGIT = 8'd48 + 8'(i);

    logic [IN_BITS*PE-1:0] x_q;
    logic [LEVELS*PE-1:0] code_q;
`ifdef YOSYS
    (* rom_style = "logic" *)  // what Yosys calls a ROM in LUTs
`else
    (* rom_style = "distributed" *)
`endif
    logic [LEVEL_BITS*PE-1:0] mem[WORDS];

    initial $readmemh({LEVEL_FILE, DIGIT, ".mem"}, mem);

    always_ff @(posedge clk) begin
      if (en) begin
        x_q <= xs[i*IN_BITS*PE+:IN_BITS*PE];
        code_q <= codes[i*LEVELS*PE+:LEVELS*PE];
      end
    end
    if (i + 1 < LEVELS) begin : g_next
      assign xs[(i+1)*IN_BITS*PE+:IN_BITS*PE] = x_q;
      always_ff @(posedge clk) begin
        if (en) groups[(i+1)*GROUP_BITS+:GROUP_BITS] <= groups[i*GROUP_BITS+:GROUP_BITS];
      end
    end

    // Every lane has its own prefix, hence its own read port, of which it keeps one element.
    for (genvar p = 0; p < PE; p++) begin : g_lane
      logic [ADDR_BITS-1:0] addr, base;
      logic signed [LEVEL_BITS-1:0] level_q, x;

      // Shifted with room, since there is only group 0 where an address has no more than the code's bits.
      assign base = ADDR_BITS'((ADDR_BITS + LEVELS)'(groups[i*GROUP_BITS+:GROUP_BITS]) << i);
      assign addr = base | ADDR_BITS'(codes[(i*PE+p)*LEVELS+:LEVELS]);
      always_ff @(posedge clk) if (en) level_q <= mem[addr][p*LEVEL_BITS+:LEVEL_BITS];

      assign x = LEVEL_BITS'($signed(X_BITS'(x_q[p*IN_BITS+:IN_BITS])));
      assign codes[((i+1)*PE+p)*LEVELS+:LEVELS] = LEVELS'({code_q[p*LEVELS+:LEVELS], x >= level_q});
    end
  end

  rom #(.WIDTH(PE), .DEPTH(GROUPS), .FILE(FALLING_FILE)) u_falling (
    .clk(clk), .en(en), .addr(groups[(LEVELS-1)*GROUP_BITS+:GROUP_BITS]), .data(falling)
  );

  for (genvar p = 0; p < PE; p++) begin : g_out
    logic [OUT_BITS-1:0] code;

    assign code = OUT_BITS'(codes[(LEVELS*PE+p)*LEVELS+:LEVELS]);
    always_ff @(posedge clk) begin
      if (en) m_axis_tdata[p*OUT_BITS+:OUT_BITS] <= falling[p] ? OUT_BITS'(HI) - code : OUT_BITS'(LO) + code;
    end
  end
endmodule
`default_nettype wire

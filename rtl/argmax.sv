// SPDX-License-Identifier: Apache-2.0
// y = the index of the largest of CHANNELS elements, for every vector: the lowest such index, or with LAST the highest.
//
// Beats: PE channels in, channel group 0..CHANNELS/PE-1 for every vector; one index out. A tree of comparisons, with
// a register behind each level, finds the largest of a beat; the last stage compares it with the largest before.
// Depth $clog2(PE) + 1, one beat a cycle. Labels of a classifier or a segmentation map; the host needs no logits then.
`default_nettype none
module argmax #(
  parameter int IN_BITS = 4,
  parameter int IN_LANES = 1,
  parameter int IN_BEATS = 2,
  parameter int IN_SIGNED = 0,
  parameter int OUT_BITS = 1,
  parameter int OUT_LANES = 1,
  parameter int OUT_BEATS = 1,
  parameter int OUT_SIGNED = 0,
  parameter int PE = 1,
  parameter int CHANNELS = 2,
  parameter int LAST = 0
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
  localparam int LEVELS = $clog2(PE);
  localparam int LANE_BITS = PE > 1 ? $clog2(PE) : 1;

  if (IN_LANES != PE || CHANNELS % PE != 0 || OUT_LANES != 1) begin : g_bad_lanes
    $fatal(1, "argmax %m: PE=%0d must equal IN_LANES=%0d and divide CHANNELS=%0d, and OUT_LANES=%0d be 1",
           PE, IN_LANES, CHANNELS, OUT_LANES);
  end
  if (IN_BEATS != OUT_BEATS * GROUPS) begin : g_bad_beats
    $fatal(1, "argmax %m: IN_BEATS=%0d must be CHANNELS/PE=%0d times OUT_BEATS=%0d", IN_BEATS, GROUPS, OUT_BEATS);
  end
  if (OUT_SIGNED != 0 || OUT_BITS < $clog2(CHANNELS)) begin : g_bad_type
    $fatal(1, "argmax %m: OUT_BITS=%0d (OUT_SIGNED=%0d) cannot hold CHANNELS-1=%0d unsigned",
           OUT_BITS, OUT_SIGNED, CHANNELS - 1);
  end

  logic en, step, group_last;
  logic [(GROUPS > 1 ? $clog2(GROUPS) : 1)-1:0] group;

  counter #(.COUNT(GROUPS)) u_group (
    .clk(clk), .rst_n(rst_n), .step(step), .value(group), .last(group_last)
  );
  pipeline #(.DEPTH(LEVELS + 1), .BEATS(OUT_BEATS)) u_pipeline (
    .clk(clk), .rst_n(rst_n), .launch(step && group_last), .en(en),
    .m_tvalid(m_axis_tvalid), .m_tlast(m_axis_tlast), .m_tready(m_axis_tready)
  );
  frame_check #(.BEATS(IN_BEATS)) u_check (
    .clk(clk), .rst_n(rst_n), .tvalid(s_axis_tvalid), .tready(s_axis_tready), .tlast(s_axis_tlast)
  );

  assign s_axis_tready = en;
  assign step = en && s_axis_tvalid;

  // --- the largest of a beat ---

  for (genvar t = 0; t <= LEVELS; t++) begin : g_level
    localparam int SPAN = 1 << t;  // lanes that one candidate of this level stands for
    localparam int COUNT = (PE + SPAN - 1) / SPAN;

    logic [IN_BITS*COUNT-1:0] values;
    logic [LANE_BITS*COUNT-1:0] lanes;
    logic valid, first;

    if (t == 0) begin : g_lanes
      assign valid = step;
      assign first = group == '0;
      // Flipping the sign bit of signed numbers makes their order that of unsigned ones.
      for (genvar p = 0; p < PE; p++) begin : g_lane
        assign values[p*IN_BITS+:IN_BITS] = s_axis_tdata[p*IN_BITS+:IN_BITS] ^ (IN_BITS'(IN_SIGNED) << (IN_BITS - 1));
        assign lanes[p*LANE_BITS+:LANE_BITS] = LANE_BITS'(p);
      end
    end else begin : g_compared
      localparam int FEEDS = (PE * 2 + SPAN - 1) / SPAN;

      logic [IN_BITS*FEEDS-1:0] feed_values;
      logic [LANE_BITS*FEEDS-1:0] feed_lanes;
      logic feed_valid, feed_first;

      assign feed_values = g_level[t-1].values;
      assign feed_lanes = g_level[t-1].lanes;
      assign feed_valid = g_level[t-1].valid;
      assign feed_first = g_level[t-1].first;

      always_ff @(posedge clk) begin
        if (!rst_n) valid <= 1'b0;
        else if (en) valid <= feed_valid;
        if (en) first <= feed_first;
      end
      for (genvar p = 0; p < COUNT; p++) begin : g_pair
        if (2 * p + 1 < FEEDS) begin : g_both
          logic [IN_BITS-1:0] a, b;
          logic second;

          assign a = feed_values[2*p*IN_BITS+:IN_BITS];
          assign b = feed_values[(2*p+1)*IN_BITS+:IN_BITS];
          assign second = LAST != 0 ? b >= a : b > a;
          always_ff @(posedge clk) begin
            if (en) begin
              values[p*IN_BITS+:IN_BITS] <= second ? b : a;
              lanes[p*LANE_BITS+:LANE_BITS] <=
                second ? feed_lanes[(2*p+1)*LANE_BITS+:LANE_BITS] : feed_lanes[2*p*LANE_BITS+:LANE_BITS];
            end
          end
        end else begin : g_odd
          always_ff @(posedge clk) begin
            if (en) begin
              values[p*IN_BITS+:IN_BITS] <= feed_values[2*p*IN_BITS+:IN_BITS];
              lanes[p*LANE_BITS+:LANE_BITS] <= feed_lanes[2*p*LANE_BITS+:LANE_BITS];
            end
          end
        end
      end
    end
  end

  // --- the largest of a vector ---

  logic fresh, starts;  // whether a value came, and whether it is the first of a vector
  logic [IN_BITS-1:0] value;
  logic [OUT_BITS-1:0] lane, index;

  assign value = g_level[LEVELS].values;
  assign lane = OUT_BITS'(g_level[LEVELS].lanes);
  assign fresh = g_level[LEVELS].valid;
  assign starts = g_level[LEVELS].first;

  if (GROUPS > 1) begin : g_groups
    logic [IN_BITS-1:0] best_q;
    logic [OUT_BITS-1:0] index_q, base, base_q;
    logic better;

    assign base = starts ? '0 : base_q;
    assign better = starts || (LAST != 0 ? value >= best_q : value > best_q);
    assign index = better ? base + lane : index_q;
    always_ff @(posedge clk) begin
      if (en && fresh) begin
        best_q <= better ? value : best_q;
        index_q <= index;
        base_q <= base + OUT_BITS'(PE);
      end
    end
  end else begin : g_alone
    wire unused_value = &{1'b0, value, fresh, starts};

    assign index = lane;
  end
  always_ff @(posedge clk) if (en) m_axis_tdata <= index;
endmodule
`default_nettype wire

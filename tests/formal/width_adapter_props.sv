// SPDX-License-Identifier: Apache-2.0
// Properties of width_adapter in any direction. Whatever element of a beat the solver picks is followed to its end.
`default_nettype none
module width_adapter_props #(
  parameter int BITS = 2,
  parameter int IN_LANES = 1,
  parameter int OUT_LANES = 3,
  parameter int IN_BEATS = 6,
  parameter int OUT_BEATS = 2
) (
  input wire clk
);
  localparam int MOST = 2 * (IN_LANES > OUT_LANES ? IN_LANES : OUT_LANES);
  localparam int COUNT_BITS = $clog2(MOST + 1);
  localparam int LANE_BITS = IN_LANES > 1 ? $clog2(IN_LANES) : 1;
  localparam int BEAT_BITS = OUT_BEATS > 1 ? $clog2(OUT_BEATS) : 1;

  (* anyseq *) logic [BITS*IN_LANES-1:0] s_axis_tdata;
  (* anyseq *) logic rst_n, s_axis_tvalid, s_axis_tlast, m_axis_tready, pick;
  (* anyseq *) logic [LANE_BITS-1:0] lane;
  logic [BITS*OUT_LANES-1:0] m_axis_tdata;
  logic s_axis_tready, m_axis_tvalid, m_axis_tlast;

  always @* begin
    if ($initstate) assume (!rst_n);
    assume (int'(lane) < IN_LANES);
  end

  width_adapter #(
    .BITS(BITS), .IN_LANES(IN_LANES), .OUT_LANES(OUT_LANES), .IN_BEATS(IN_BEATS), .OUT_BEATS(OUT_BEATS)
  ) dut (
    .clk(clk), .rst_n(rst_n), .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid),
    .s_axis_tready(s_axis_tready), .s_axis_tlast(s_axis_tlast), .m_axis_tdata(m_axis_tdata),
    .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready), .m_axis_tlast(m_axis_tlast)
  );

  // Elements: held inside, and in front of the one that is followed.
  logic push, pop, picked, stuck, m_axis_tlast_q;
  logic [COUNT_BITS-1:0] held, ahead, left;
  logic [BITS-1:0] element;
  logic [BITS*OUT_LANES-1:0] m_axis_tdata_q;
  logic [BEAT_BITS-1:0] beat;
  assign push = s_axis_tvalid && s_axis_tready;
  assign pop = m_axis_tvalid && m_axis_tready;
  assign left = held - (pop ? COUNT_BITS'(OUT_LANES) : '0);
  always_ff @(posedge clk) begin
    held <= left + (push ? COUNT_BITS'(IN_LANES) : '0);
    stuck <= rst_n && m_axis_tvalid && !m_axis_tready;
    {m_axis_tdata_q, m_axis_tlast_q} <= {m_axis_tdata, m_axis_tlast};
    if (!picked) begin
      picked <= pick && push;
      element <= BITS'(s_axis_tdata >> BITS * lane);
      ahead <= left + COUNT_BITS'(lane);
    end else if (pop) begin
      picked <= int'(ahead) >= OUT_LANES;
      ahead <= ahead - COUNT_BITS'(OUT_LANES);
    end
    if (pop) beat <= int'(beat) == OUT_BEATS - 1 ? '0 : beat + 1'b1;
    if (!rst_n) {held, picked, beat} <= '0;
  end

  always @* begin
    if (rst_n && !$initstate) begin
      // an element leaves unchanged in the place that its number has
      order: assert (!(m_axis_tvalid && picked && int'(ahead) < OUT_LANES) || BITS'(m_axis_tdata >> BITS * ahead) == element);
      // a beat is offered only when all its elements have come, so none is given twice
      no_duplicate: assert (!m_axis_tvalid || int'(held) >= OUT_LANES);
      // a beat is offered as soon as all its elements have come
      offered: assert (m_axis_tvalid || int'(held) < OUT_LANES);
      // nothing is taken that there is no room for: at most one beat of the wider side is held
      no_loss: assert (int'(held) <= (IN_LANES > OUT_LANES ? IN_LANES : OUT_LANES));
      // an empty adapter takes a beat
      takes: assert (held != 0 || s_axis_tready);
      // tlast marks the last beat of a frame
      last_marks: assert (!m_axis_tvalid || m_axis_tlast == (int'(beat) == OUT_BEATS - 1));
      // valid stays until ready
      valid_holds: assert (!stuck || m_axis_tvalid);
      // data and tlast stay until ready
      data_holds: assert (!stuck || {m_axis_tdata, m_axis_tlast} == {m_axis_tdata_q, m_axis_tlast_q});

      leaves: cover (picked && pop && int'(ahead) < OUT_LANES && element != 0);
      full: cover (held != 0 && push && pop);
      ends: cover (m_axis_tlast && stuck && pop);
    end
  end
endmodule
`default_nettype wire

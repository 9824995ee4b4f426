// SPDX-License-Identifier: Apache-2.0
// Properties of pipeline. Whatever cycle with en the solver picks is followed through all registers.
`default_nettype none
module pipeline_props #(
  parameter int DEPTH = 3,
  parameter int BEATS = 3
) (
  input wire clk
);
  localparam int AGE_BITS = $clog2(DEPTH + 1);
  localparam int BEAT_BITS = BEATS > 1 ? $clog2(BEATS) : 1;

  (* anyseq *) logic rst_n, launch, m_tready, pick;
  logic en, m_tvalid, m_tlast;

  always @* if ($initstate) assume (!rst_n);

  pipeline #(.DEPTH(DEPTH), .BEATS(BEATS)) dut (
    .clk(clk), .rst_n(rst_n), .launch(launch), .en(en), .m_tvalid(m_tvalid), .m_tlast(m_tlast), .m_tready(m_tready)
  );

  logic picked, launched, stuck, m_tlast_q, after_reset;
  logic [AGE_BITS-1:0] age;
  logic [BEAT_BITS-1:0] beat;
  always_ff @(posedge clk) begin
    stuck <= rst_n && m_tvalid && !m_tready;
    after_reset <= !rst_n;
    m_tlast_q <= m_tlast;
    if (!picked) begin
      picked <= pick && en;
      launched <= launch;
      age <= AGE_BITS'(1);
    end else if (en) begin
      picked <= int'(age) != DEPTH;
      age <= age + 1'b1;
    end
    if (m_tvalid && m_tready) beat <= int'(beat) == BEATS - 1 ? '0 : beat + 1'b1;
    if (!rst_n) {picked, beat} <= '0;
  end

  always @* begin
    if (rst_n && !$initstate) begin
      // a launch is offered DEPTH cycles with en later, and what was no launch is not
      arrives: assert (!(picked && int'(age) == DEPTH) || m_tvalid == launched);
      // the pipeline is empty after a reset
      starts_empty: assert (!after_reset || !m_tvalid);
      // it stands still exactly while a beat is offered and not taken
      stands: assert (en == (!m_tvalid || m_tready));
      // valid stays until ready
      valid_holds: assert (!stuck || m_tvalid);
      // tlast stays until ready
      last_holds: assert (!stuck || m_tlast == m_tlast_q);
      // tlast marks every BEATS-th beat
      last_marks: assert (!m_tvalid || m_tlast == (int'(beat) == BEATS - 1));

      launches: cover (picked && launched && int'(age) == DEPTH && m_tlast);
      waits: cover (stuck && m_tvalid && m_tready);
    end
  end
endmodule
`default_nettype wire

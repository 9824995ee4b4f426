// SPDX-License-Identifier: Apache-2.0
// Properties of axi_write_bank towards any master that keeps the rules of AXI4 with one ID. What lands in memory is
// tested, not proven.
//
// left: beats still to come of every burst whose address was taken, the oldest first; away: whether it lies outside;
// owed: responses still to come of bursts whose last beat was taken; is_away: whether the last of these lies outside.
`default_nettype none
module axi_write_bank_props #(
  parameter int BITS = 12
) (
  input wire clk
);
  (* anyseq *) logic rst_n, awvalid, wvalid, bready;
  (* anyseq *) logic [63:0] awaddr;
  (* anyseq *) logic [7:0] awlen;
  logic awready, wready, bvalid;
  logic [1:0] bresp;
  logic [31:0] read_data;

  always @* if ($initstate) assume (!rst_n);

  localparam int BASE = 1 << BITS;
  (* hierconn *) wire \dut.active_q ;
  (* hierconn *) wire \dut.asked_q ;
  (* hierconn *) wire \dut.last_q ;
  (* hierconn *) wire \dut.error_q ;
  (* hierconn *) wire [7:0] \dut.left_q ;
  (* hierconn *) wire [7:0] \dut.length_q ;
  (* hierconn *) wire [63:BITS] \dut.above_q ;

  localparam int PLACES = 3;
  logic asked, beat, ends, answered, stuck, after_reset, outside, is_away;
  logic [9*PLACES-1:0] left, queue;
  logic [PLACES-1:0] away, aways;
  logic [2:0] bursts, waits, behind;
  logic [1:0] b_q, owed;

  axi_write_bank #(.BITS(BITS), .BASE(BASE)) dut (
    .clk(clk), .rst_n(rst_n), .s_axi_awaddr(awaddr), .s_axi_awlen(awlen), .s_axi_awvalid(awvalid),
    .s_axi_awready(awready), .s_axi_wdata(32'd0), .s_axi_wstrb(4'd0), .s_axi_wlast(left[8:0] == 1),
    .s_axi_wvalid(wvalid),
    .s_axi_wready(wready), .s_axi_bresp(bresp), .s_axi_bvalid(bvalid), .s_axi_bready(bready), .enable(1'b0),
    .write(1'b0), .address((BITS - 2)'(0)), .write_data(32'd0), .read_data(read_data)
  );

  assign asked = awvalid && awready;
  assign beat = wvalid && wready;
  assign ends = beat && left[8:0] == 1;
  assign answered = bvalid && bready;
  assign outside = awaddr[63:BITS] != (64 - BITS)'(BASE >> BITS);

  always_comb begin
    bursts = '0;
    for (int i = 0; i < PLACES; i++) if (left[9*i+:9] != 0) bursts = bursts + 1'b1;
    queue = left;
    aways = away;
    if (beat) queue[8:0] = queue[8:0] - 1'b1;
    if (ends) begin
      queue = queue >> 9;
      aways = aways >> 1;
    end
    behind = bursts - 3'(ends);
    for (int i = 0; i < PLACES; i++) begin
      if (asked && 3'(i) == behind) begin
        queue[9*i+:9] = 9'(awlen) + 1'b1;
        aways[i] = outside;
      end
    end
  end

  always_ff @(posedge clk) begin
    left <= rst_n ? queue : '0;
    away <= aways;
    owed <= rst_n ? owed + 2'(ends) - 2'(answered) : '0;
    if (ends) is_away <= away[0];
    after_reset <= !rst_n;
    stuck <= rst_n && bvalid && !bready;
    b_q <= bresp;
    waits <= !rst_n || wready || left[8:0] == 0 || bvalid ? '0 : waits + 1'b1;
  end

  always @* begin
    if (rst_n && !$initstate) begin
      // BVALID is low after a reset
      b_reset: assert (!after_reset || !bvalid);
      // BVALID stays until BREADY
      b_valid_holds: assert (!stuck || bvalid);
      // BRESP stays until BREADY
      b_payload_holds: assert (!stuck || bresp == b_q);
      // a burst is answered in the cycle after its last beat, and once
      b_once: assert (owed == 2'(bvalid));
      // a burst outside of the bank, and no other, is answered with DECERR
      b_outside: assert (!bvalid || bresp == {2{is_away}});
      // no beat is taken before the address of its burst
      w_after_aw: assert (!wready || left[8:0] != 0);
      // a beat is taken within two cycles, unless a response is not taken
      w_prompt: assert (waits < 2);
      // no more than two bursts wait for their beats
      few: assert (bursts < PLACES);

      // bursts under way are the one whose beats are taken and the one that waits
      inv_bursts: assert (bursts == 3'(\dut.active_q ) + 3'(\dut.asked_q ) && left[26:18] == 0);
      // the bank counts the beats of the one
      inv_active: assert (!\dut.active_q || left[8:0] == 9'(\dut.left_q ) + 1'b1 && away[0] == \dut.error_q 
                          && \dut.last_q == (\dut.left_q == 0));
      // and knows those of the other
      inv_asked: assert (!\dut.asked_q || (\dut.active_q ? left[17:9] : left[8:0]) == 9'(\dut.length_q ) + 1'b1
                         && (\dut.active_q ? away[1] : away[0]) == (\dut.above_q != (64 - BITS)'(BASE >> BITS)));
      // a burst waits a cycle for its turn
      inv_waits: assert (waits == 0 || waits == 1 && \dut.active_q );
      // the response is that of the last burst
      inv_answer: assert (!bvalid || bresp == {2{is_away}});

      two: cover (bvalid && is_away && bursts == 2 && away == 3'b001);
      long: cover (wready && left[8:0] == 250);
    end
  end
endmodule
`default_nettype wire

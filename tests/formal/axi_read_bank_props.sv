// SPDX-License-Identifier: Apache-2.0
// Properties of axi_read_bank towards any master that keeps the rules of AXI4 with one ID. What the words are is
// tested, not proven.
//
// left: beats still to come of every burst whose address was taken, the oldest first; away: whether it lies outside.
`default_nettype none
module axi_read_bank_props #(
  parameter int BITS = 12
) (
  input wire clk
);
  localparam int BASE = 1 << BITS;
  (* anyseq *) logic rst_n, arvalid, rready;
  (* anyseq *) logic [63:0] araddr;
  (* anyseq *) logic [7:0] arlen;
  logic arready, rvalid, rlast;
  logic [1:0] rresp;
  logic [31:0] rdata, read_data;

  always @* if ($initstate) assume (!rst_n);

  axi_read_bank #(.BITS(BITS), .BASE(BASE)) dut (
    .clk(clk), .rst_n(rst_n), .s_axi_araddr(araddr), .s_axi_arlen(arlen), .s_axi_arvalid(arvalid),
    .s_axi_arready(arready), .s_axi_rdata(rdata), .s_axi_rresp(rresp), .s_axi_rlast(rlast), .s_axi_rvalid(rvalid),
    .s_axi_rready(rready), .enable(1'b0), .write(1'b0), .address((BITS - 2)'(0)), .write_data(32'd0),
    .read_data(read_data)
  );

  (* hierconn *) wire \dut.active_q ;
  (* hierconn *) wire \dut.asked_q ;
  (* hierconn *) wire \dut.last_q ;
  (* hierconn *) wire \dut.error_q ;
  (* hierconn *) wire [7:0] \dut.left_q ;
  (* hierconn *) wire [7:0] \dut.length_q ;
  (* hierconn *) wire [63:BITS] \dut.above_q ;
  (* hierconn *) wire \dut.fetched_q ;
  (* hierconn *) wire \dut.fetched_last_q ;
  (* hierconn *) wire \dut.fetched_error_q ;

  localparam int PLACES = 5;
  logic asked, came, stuck, after_reset, outside;
  logic [9*PLACES-1:0] left, queue;
  logic [PLACES-1:0] away, aways;
  logic [2:0] bursts, waits, behind;
  logic [2:0] r_q;
  assign asked = arvalid && arready;
  assign came = rvalid && rready;
  assign outside = araddr[63:BITS] != (64 - BITS)'(BASE >> BITS);

  always_comb begin
    bursts = '0;
    for (int i = 0; i < PLACES; i++) if (left[9*i+:9] != 0) bursts = bursts + 1'b1;
    queue = left;
    aways = away;
    if (came) queue[8:0] = queue[8:0] - 1'b1;
    if (came && queue[8:0] == 0) begin
      queue = queue >> 9;
      aways = aways >> 1;
    end
    behind = bursts - 3'(came && left[8:0] == 1);
    for (int i = 0; i < PLACES; i++) begin
      if (asked && 3'(i) == behind) begin
        queue[9*i+:9] = 9'(arlen) + 1'b1;
        aways[i] = outside;
      end
    end
  end

  // The same from the bank's registers, from the burst that waits to the beat on offer.
  logic [9*PLACES-1:0] held;
  logic [PLACES-1:0] helds;
  always_comb begin
    held = '0;
    helds = '0;
    if (\dut.asked_q ) begin
      held[8:0] = 9'(\dut.length_q ) + 1'b1;
      helds[0] = \dut.above_q != (64 - BITS)'(BASE >> BITS);
    end
    if (\dut.active_q ) begin
      held = {held[9*PLACES-10:0], 9'(\dut.left_q ) + 9'd1};
      helds = {helds[PLACES-2:0], \dut.error_q };
    end
    if (\dut.fetched_q && !\dut.fetched_last_q ) held[8:0] = held[8:0] + 1'b1;
    if (\dut.fetched_q && \dut.fetched_last_q ) begin
      held = {held[9*PLACES-10:0], 9'd1};
      helds = {helds[PLACES-2:0], \dut.fetched_error_q };
    end
    if (rvalid && !rlast) held[8:0] = held[8:0] + 1'b1;
    if (rvalid && rlast) begin
      held = {held[9*PLACES-10:0], 9'd1};
      helds = {helds[PLACES-2:0], rresp[0]};
    end
  end

  always_ff @(posedge clk) begin
    left <= rst_n ? queue : '0;
    away <= aways;
    after_reset <= !rst_n;
    stuck <= rst_n && rvalid && !rready;
    r_q <= {rresp, rlast};
    waits <= !rst_n || rvalid || left[8:0] == 0 ? '0 : waits + 1'b1;
  end

  always @* begin
    if (rst_n && !$initstate) begin
      // RVALID is low after a reset
      r_reset: assert (!after_reset || !rvalid);
      // RVALID stays until RREADY
      r_valid_holds: assert (!stuck || rvalid);
      // RRESP and RLAST stay until RREADY
      r_payload_holds: assert (!stuck || {rresp, rlast} == r_q);
      // a beat is offered only for an address that was taken, and none twice
      r_once: assert (!rvalid || left[8:0] != 0);
      // RLAST marks the last beat of a burst
      r_last: assert (!rvalid || rlast == (left[8:0] == 1));
      // beats of a burst outside of the bank, and of no other, are answered with DECERR
      r_outside: assert (!rvalid || rresp == {2{away[0]}});
      // what was asked for comes within four cycles
      r_prompt: assert (waits < 4);
      // no more than four bursts are under way
      few: assert (bursts < PLACES);

      // what is under way is what the bank's registers say
      inv_held: assert (held == left);
      // and each burst is known to lie inside or outside
      inv_helds: assert ((left[8:0] == 0 || helds[0] == away[0]) && (left[17:9] == 0 || helds[1] == away[1])
                         && (left[26:18] == 0 || helds[2] == away[2]) && (left[35:27] == 0 || helds[3] == away[3])
                         && left[44:36] == 0);
      // the last word is marked
      inv_last: assert (!\dut.active_q || \dut.last_q == (\dut.left_q == 0));
      // a word that is not the last is followed by others of its burst
      inv_more: assert (!\dut.fetched_q || \dut.fetched_last_q
                        || \dut.active_q && \dut.fetched_error_q == \dut.error_q );
      // also on offer
      inv_offer: assert (!rvalid || rresp[0] == rresp[1] && (rlast || (
        \dut.fetched_q ? rresp[0] == \dut.fetched_error_q : \dut.active_q && rresp[0] == \dut.error_q )));
      // each cycle of waiting brings it a register further
      inv_waits: assert (waits == 0 || rvalid || waits == 1 && (\dut.active_q || \dut.fetched_q )
                         || waits == 2 && \dut.fetched_q );

      two: cover (rvalid && rlast && bursts == 3 && away[2:0] == 3'b010);
      long: cover (rvalid && left[8:0] == 250);
    end
  end
endmodule
`default_nettype wire

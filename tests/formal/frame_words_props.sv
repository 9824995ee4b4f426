// SPDX-License-Identifier: Apache-2.0
// Properties of frame_words for any number of frames. It is assumed that no more is taken than there is, which
// burst_generator is proven to see to.
`default_nettype none
module frame_words_props #(
  parameter int WORDS = 3,
  parameter int LIMIT = 256,
  parameter int WORD_BITS = 9
) (
  input wire clk
);
  localparam int MOST = LIMIT - 1 + (WORDS > 64 ? WORDS : 64);

  (* anyseq *) logic rst_n, load;
  (* anyseq *) logic [31:0] frames;
  (* anyseq *) logic [WORD_BITS-1:0] take;
  logic [WORD_BITS-1:0] words;
  logic last;

  always @* begin
    if ($initstate) assume (!rst_n);
    if (rst_n) assume (take <= words);
  end

  frame_words #(.WORDS(WORDS), .LIMIT(LIMIT), .WORD_BITS(WORD_BITS)) dut (
    .clk(clk), .rst_n(rst_n), .load(load), .frames(frames), .take(take), .words(words), .last(last)
  );

  // due: words of the loaded frames that are not taken yet.
  logic [63:0] due;
  logic grew, was_last, loaded;
  logic [WORD_BITS-1:0] stayed;
  always_ff @(posedge clk) begin
    due <= load ? 64'(frames) * WORDS : due - 64'(take);
    stayed <= words - take;
    grew <= !last && int'(words) < LIMIT;
    loaded <= load;
    if (!rst_n) {due, grew, loaded} <= '0;
  end

  (* hierconn *) wire [31:0] \dut.left_q ;

  always @* begin
    if (rst_n && !$initstate) begin
      // there are never more words than those of the frames that are left
      no_more: assert (64'(words) <= due);
      // once last is given all words that are left are there
      no_fewer: assert (!last || 64'(words) == due);
      // the pool stays within the limit that WORD_BITS is made for
      bounded: assert (int'(words) <= MOST);
      // below LIMIT, a frame at least comes in every cycle until the last
      grows: assert (!grew || loaded || int'(words) >= int'(stayed) + WORDS);
      // without frames left, nothing comes
      ends: assert (grew || loaded || words <= stayed || !last);

      // words asked for, words in the pool and frames left are what was loaded
      inv_due: assert (64'(\dut.left_q ) * WORDS + 64'(words) == due);

      finished: cover (last && due == 0 && take == 0 && stayed == 0 && !loaded);
      fills: cover (int'(words) >= LIMIT && !last);
    end
  end
endmodule
`default_nettype wire

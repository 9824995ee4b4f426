// SPDX-License-Identifier: Apache-2.0
// Two blocks of BLOCK beats: one is written in the order of arrival while the other is read in any order.
//
// Beats: BLOCKS blocks a frame in; a block is read in the order that Address says, every beat at least once. It has
// at(), the place in the block of the next beat to give, last(), whether it is the block's last, and step().
// A writer takes a beat while fewer than two blocks are ahead of the reader's unfinished one. A reader gives a beat as
// soon as it is written. The two run side by side, across blocks and frames: one beat each a cycle.
#pragma once

#include "gatewright/lib/stream.hpp"

namespace gatewright {

template <class Word, int BLOCK, int BLOCKS, int OUT_BEATS, class Address, class In, class Out>
void ping_pong(Address& address, In& s_axis, Out& m_axis, unsigned frames) {
  Word ram[2 * BLOCK];
#pragma HLS aggregate variable=ram
  counter_t<2 * BLOCK> held = 0;  // beats of the reader's block and of the one behind it
  counter_t<2 * BLOCK> write_at = 0;
  bool half = false;
  counter_t<BLOCK> write_beat = 0;
  counter_t<BLOCKS> write_block = 0, read_block = 0;
  unsigned written = 0, read = 0;  // frames

cycle:
  while (read < frames) {
#pragma HLS pipeline II=1 style=flp
#pragma HLS loop_tripcount min=OUT_BEATS max=OUT_BEATS
    // Both are decided on what the last cycle left, so that no beat passes through within one.
    const bool give = !m_axis.full() && held > address.at();
    const bool take = written < frames && held < 2 * BLOCK && !s_axis.empty();
    const bool finish = give && address.last();
    if (give) {
      m_axis.write(ram[static_cast<int>(address.at()) + (half ? BLOCK : 0)]);
      address.step();
    }
    if (finish) {
      half = !half;
      read_block = read_block == BLOCKS - 1 ? 0 : static_cast<int>(read_block) + 1;
      if (read_block == 0) ++read;
    }
    if (take) {
      ram[write_at] = s_axis.read();
      write_at = write_at == 2 * BLOCK - 1 ? 0 : static_cast<int>(write_at) + 1;
      write_beat = write_beat == BLOCK - 1 ? 0 : static_cast<int>(write_beat) + 1;
      if (write_beat == 0) {
        write_block = write_block == BLOCKS - 1 ? 0 : static_cast<int>(write_block) + 1;
        if (write_block == 0) ++written;
      }
    }
    held = static_cast<int>(held) + (take ? 1 : 0) - (finish ? BLOCK : 0);
    next_cycle(m_axis);
  }
}

}  // namespace gatewright

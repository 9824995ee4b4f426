// SPDX-License-Identifier: Apache-2.0
// y = a + b, element by element; the two inputs may differ in width and sign, and the sum is exact.
//
// Beats: pe elements of each input in, pe sums out; a step takes one beat of both and gives one. One beat a cycle.
// Both inputs have one scale; put a requant in front of the one that has not.
#pragma once

#include "gatewright/lib/stream.hpp"

namespace gatewright {

template <class Cfg, class In0, class In1, class Out>
void add(In0& s0_axis, In1& s1_axis, Out& m_axis, unsigned frames) {
  static_assert(Cfg::in0_lanes == Cfg::pe && Cfg::in1_lanes == Cfg::pe && Cfg::out_lanes == Cfg::pe,
                "add: pe must equal the lanes of all three streams");
  static_assert(Cfg::in0_beats == Cfg::out_beats && Cfg::in1_beats == Cfg::out_beats,
                "add: all three streams carry equally many beats");
  static_assert(Cfg::out_signed || !Cfg::in0_signed || !Cfg::in1_signed,
                "add: the sum of two signed inputs must be signed");

frame:
  for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS loop_tripcount min=1 max=1
  beat:
    for (int beat = 0; beat < Cfg::out_beats; ++beat) {
#pragma HLS pipeline II=1 style=flp
      const beat_t<Cfg::in0_bits, Cfg::in0_signed, Cfg::pe> a = s0_axis.read();
      const beat_t<Cfg::in1_bits, Cfg::in1_signed, Cfg::pe> b = s1_axis.read();
      beat_t<Cfg::out_bits, Cfg::out_signed, Cfg::pe> y;
    lane:
      for (int p = 0; p < Cfg::pe; ++p) {
#pragma HLS unroll
        y.lane[p] = a.lane[p] + b.lane[p];
      }
      m_axis.write(y);
      next_step(m_axis);
    }
  }
}

}  // namespace gatewright

// SPDX-License-Identifier: Apache-2.0
// A box of a tensor: of the beats whose numbers are first + i0 * s0 + ... + i4 * s4, in five nested loops, the lanes
// lane_first, lane_first + lane_step, ... are kept; all else is dropped.
//
// Beats: pe channels in, out_lanes of them out, in the order of arrival. One beat in a step. A crop or every n-th
// element of any axes; use reshape for another order, window for windows that overlap.
#pragma once

#include "gatewright/lib/loop_nest.hpp"
#include "gatewright/lib/stream.hpp"

namespace gatewright {

template <class Cfg, class In, class Out>
void slice(In& s_axis, Out& m_axis, unsigned frames) {
  constexpr int LAST = Cfg::first + (Cfg::n0 - 1) * Cfg::s0 + (Cfg::n1 - 1) * Cfg::s1 + (Cfg::n2 - 1) * Cfg::s2 +
                       (Cfg::n3 - 1) * Cfg::s3 + (Cfg::n4 - 1) * Cfg::s4;
  static_assert(Cfg::in_lanes == Cfg::pe && Cfg::lane_first >= 0 && Cfg::lane_step >= 1 &&
                    Cfg::lane_first + (Cfg::out_lanes - 1) * Cfg::lane_step < Cfg::pe,
                "slice: pe must equal the lanes of the input and hold those that are kept");
  static_assert(Cfg::n0 * Cfg::n1 * Cfg::n2 * Cfg::n3 * Cfg::n4 == Cfg::out_beats,
                "slice: the loops must make the beats of the output");
  static_assert(Cfg::first >= 0 && LAST < Cfg::in_beats, "slice: the beats that are kept must lie in the input");
  static_assert(Cfg::in_bits == Cfg::out_bits && Cfg::in_signed == Cfg::out_signed,
                "slice: input and output have elements of one type");
  LoopNest<Cfg::n0, Cfg::n1, Cfg::n2, Cfg::n3, Cfg::n4> nest;
  counter_t<Cfg::in_beats> next = Cfg::first;  // beat to keep

frame:
  for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS loop_tripcount min=1 max=1
  beat:
    for (int beat = 0; beat < Cfg::in_beats; ++beat) {
#pragma HLS pipeline II=1 style=flp
      const beat_t<Cfg::in_bits, Cfg::in_signed, Cfg::pe> x = s_axis.read();
      if (next == beat) {
        beat_t<Cfg::out_bits, Cfg::out_signed, Cfg::out_lanes> y;
      lane:
        for (int p = 0; p < Cfg::out_lanes; ++p) {
#pragma HLS unroll
          y.lane[p] = x.lane[Cfg::lane_first + p * Cfg::lane_step];
        }
        m_axis.write(y);
        const int level = nest.level();
        next = static_cast<int>(next) + nest.template move<Cfg::s0, Cfg::s1, Cfg::s2, Cfg::s3, Cfg::s4, 0>(level);
        nest.step(level);
      }
      next_step(m_axis);
    }
  }
}

}  // namespace gatewright

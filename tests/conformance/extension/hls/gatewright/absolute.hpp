// SPDX-License-Identifier: Apache-2.0
// y = |x|, lane by lane.
//
// Beats: pe channels in and out. One beat a step.
#pragma once

#include "gatewright/lib/stream.hpp"

namespace gatewright {

template <class Cfg, class In, class Out>
void absolute(In& s_axis, Out& m_axis, unsigned frames) {
  static_assert(Cfg::in_lanes == Cfg::pe && Cfg::out_lanes == Cfg::pe && Cfg::in_beats == Cfg::out_beats,
                "absolute: pe must equal the lanes of both streams, which have the same beats");
  static_assert(!Cfg::out_signed, "absolute: the output must be unsigned");

frame:
  for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS loop_tripcount min=1 max=1
  beat:
    for (int beat = 0; beat < Cfg::in_beats; ++beat) {
#pragma HLS pipeline II=1 style=flp
      const beat_t<Cfg::in_bits, Cfg::in_signed, Cfg::pe> x = s_axis.read();
      beat_t<Cfg::out_bits, Cfg::out_signed, Cfg::pe> y;
    lane:
      for (int p = 0; p < Cfg::pe; ++p) {
#pragma HLS unroll
        const ap_int<Cfg::in_bits + 1> value = x.lane[p];
        y.lane[p] = value < 0 ? ap_int<Cfg::in_bits + 1>(-value) : value;
      }
      m_axis.write(y);
      next_step(m_axis);
    }
  }
}

}  // namespace gatewright

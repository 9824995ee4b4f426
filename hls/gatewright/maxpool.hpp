// SPDX-License-Identifier: Apache-2.0
// y[c] = maximum over k of x[k,c], for every group of window vectors of channels elements: max pooling behind a window.
//
// Beats: pe channels in and out; vector k outer, channel group inner. A step takes a beat; the steps of the last
// vector give one. One step a cycle.
#pragma once

#include "gatewright/lib/stream.hpp"

namespace gatewright {

template <class Cfg, class In, class Out>
void maxpool(In& s_axis, Out& m_axis, unsigned frames) {
  static_assert(Cfg::in_lanes == Cfg::pe && Cfg::out_lanes == Cfg::pe && Cfg::channels % Cfg::pe == 0,
                "maxpool: pe must equal the lanes of both streams and divide channels");
  static_assert(Cfg::in_beats == Cfg::out_beats * Cfg::window && Cfg::out_beats % (Cfg::channels / Cfg::pe) == 0,
                "maxpool: the input must carry window vectors for every whole vector of the output");
  static_assert(Cfg::in_bits == Cfg::out_bits && Cfg::in_signed == Cfg::out_signed,
                "maxpool: both streams must be of one type");
  constexpr int GROUPS = Cfg::channels / Cfg::pe;
  constexpr int VECTORS = Cfg::out_beats / GROUPS;
  typedef beat_t<Cfg::in_bits, Cfg::in_signed, Cfg::pe> Word;

  Word best[GROUPS];
#pragma HLS aggregate variable=best

frame:
  for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS loop_tripcount min=1 max=1
  vector:
    for (int vector = 0; vector < VECTORS; ++vector) {
    tap:
      for (int k = 0; k < Cfg::window; ++k) {
      channel_group:
        for (int group = 0; group < GROUPS; ++group) {
#pragma HLS pipeline II=1 style=flp
// A place is read again GROUPS steps after it was written; Vitis HLS would assume the very next step.
#pragma HLS dependence variable=best type=inter direction=RAW distance=GROUPS dependent=true
          const Word x = s_axis.read();
          Word y = best[group];
        lane:
          for (int p = 0; p < Cfg::pe; ++p) {
#pragma HLS unroll
            if (k == 0 || x.lane[p] > y.lane[p]) y.lane[p] = x.lane[p];
          }
          best[group] = y;
          if (k == Cfg::window - 1) m_axis.write(y);
          next_step(m_axis);
        }
      }
    }
  }
}

}  // namespace gatewright

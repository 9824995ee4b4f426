// SPDX-License-Identifier: Apache-2.0
// Sums of VECTORS vectors of Cfg::channels elements, channel by channel, for every group of so many vectors.
//
// Beats: Cfg::pe channels in and out; vector outer, channel group inner. A step takes a beat; the steps of the last
// vector give one. Cfg::in_bipolar 1: a stored bit 0 means -1, 1 means +1.
#pragma once

#include "gatewright/lib/stream.hpp"
#include "gatewright/lib/term.hpp"

namespace gatewright {

template <class Cfg, int VECTORS, class In, class Out>
void sum_vectors(In& s_axis, Out& m_axis, unsigned frames) {
  constexpr int GROUPS = Cfg::channels / Cfg::pe;
  constexpr int SUMS = Cfg::out_beats / GROUPS;
  typedef beat_t<Cfg::out_bits, Cfg::out_signed, Cfg::pe> Word;
  typedef term_t<Cfg::out_bits + 1> Sum;

  Word sums[GROUPS];
#pragma HLS aggregate variable=sums

frame:
  for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS loop_tripcount min=1 max=1
  sum:
    for (int sum = 0; sum < SUMS; ++sum) {
    vector:
      for (int vector = 0; vector < VECTORS; ++vector) {
      channel_group:
        for (int group = 0; group < GROUPS; ++group) {
#pragma HLS pipeline II=1 style=flp
// A place is read again GROUPS steps after it was written; Vitis HLS would assume the very next step.
#pragma HLS dependence variable=sums type=inter direction=RAW distance=GROUPS dependent=true
          const beat_t<Cfg::in_bits, Cfg::in_signed, Cfg::pe> x = s_axis.read();
          Word y = sums[group];
        lane:
          for (int p = 0; p < Cfg::pe; ++p) {
#pragma HLS unroll
            const term_t<Cfg::in_bits + 1> stored(x.lane[p]);
            const Sum term = Cfg::in_bipolar && stored == 0 ? Sum(-1) : Sum(stored);
            y.lane[p] = vector == 0 ? term : Sum(Sum(y.lane[p]) + term);
          }
          sums[group] = y;
          if (vector == VECTORS - 1) m_axis.write(y);
          next_step(m_axis);
        }
      }
    }
  }
}

}  // namespace gatewright

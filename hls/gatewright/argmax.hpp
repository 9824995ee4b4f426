// SPDX-License-Identifier: Apache-2.0
// y = the index of the largest of channels elements, for every vector: the lowest such index, or with last the highest.
//
// Beats: pe channels in, channel group 0..channels/pe-1 for every vector; one index out, in the step of the last group.
// A tree finds the largest of a beat, which is then compared with the largest before. One beat a cycle.
// Labels of a classifier or a segmentation map; the host needs no logits then.
#pragma once

#include "gatewright/lib/stream.hpp"

namespace gatewright {

// Whether y, which stands behind x in its vector, is to be taken instead of it.
template <class Cfg, class X>
inline bool argmax_better(const X& x, const X& y) {
#pragma HLS inline
  return Cfg::last ? y >= x : y > x;
}

template <class Cfg, class In, class Out>
void argmax(In& s_axis, Out& m_axis, unsigned frames) {
  static_assert(Cfg::in_lanes == Cfg::pe && Cfg::channels % Cfg::pe == 0 && Cfg::out_lanes == 1,
                "argmax: pe must equal the lanes of the input and divide channels, and an index is one lane");
  static_assert(Cfg::in_beats == Cfg::out_beats * (Cfg::channels / Cfg::pe),
                "argmax: the input must carry a whole vector for every index of the output");
  static_assert(!Cfg::out_signed && (Cfg::channels - 1) >> Cfg::out_bits == 0,
                "argmax: the output must hold channels-1, without a sign");
  constexpr int LEVELS = Cfg::pe > 1 ? bits_for(Cfg::pe - 1) : 0;
  typedef integer_t<Cfg::in_bits, Cfg::in_signed> X;
  typedef ap_uint<Cfg::out_bits> Index;
  X best = 0;
  Index index = 0;

frame:
  for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS loop_tripcount min=1 max=1
  vector:
    for (int vector = 0; vector < Cfg::out_beats; ++vector) {
    channel_group:
      for (int base = 0; base < Cfg::channels; base += Cfg::pe) {
#pragma HLS pipeline II=1 style=flp
        beat_t<Cfg::in_bits, Cfg::in_signed, Cfg::pe> x = s_axis.read();
        Index lanes[Cfg::pe];
#pragma HLS array_partition variable=lanes type=complete
      lane:
        for (int p = 0; p < Cfg::pe; ++p) {
#pragma HLS unroll
          lanes[p] = p;
        }
        // A level leaves the better of two spans of lanes in the first lane of the first one.
      level:
        for (int t = 0; t < LEVELS; ++t) {
#pragma HLS unroll
        pair:
          for (int i = 0; i < Cfg::pe / 2; ++i) {
#pragma HLS unroll
            const int a = i << (t + 1), b = a + (1 << t);
            if (b < Cfg::pe && argmax_better<Cfg>(x.lane[a], x.lane[b])) {
              x.lane[a] = x.lane[b];
              lanes[a] = lanes[b];
            }
          }
        }
        if (base == 0 || argmax_better<Cfg>(best, x.lane[0])) {
          best = x.lane[0];
          index = base + lanes[0];
        }
        if (base + Cfg::pe == Cfg::channels) {
          beat_t<Cfg::out_bits, Cfg::out_signed, 1> y;
          y.lane[0] = index;
          m_axis.write(y);
        }
        next_step(m_axis);
      }
    }
  }
}

}  // namespace gatewright

// SPDX-License-Identifier: Apache-2.0
// Depthwise product behind a window: y[c*multiplier+m] = sum over k of W[c*multiplier+m,k] * x[k,c], for every vector
// of taps * channels elements in the frame.
//
// Beats: pe channels in, tap k outer, channel group inner; pe * multiplier filters out. A step takes a beat; the steps
// of the last tap give one. One step a cycle, taps * (channels/pe) steps a vector.
// The sums of all channel groups run side by side in acc_bits bits each, proven enough for every partial sum.
// weight: word k * (channels/pe) + group holds signed weights, element p * multiplier + m. block_rom and dsp are of use
// to the RTL kernel alone. Where groups hold several channels, use grouped.
#pragma once

#include "gatewright/lib/memory.hpp"
#include "gatewright/lib/product.hpp"
#include "gatewright/lib/stream.hpp"
#include "gatewright/lib/term.hpp"

namespace gatewright {

template <class Cfg, class In, class Out>
void depthwise(In& s_axis, Out& m_axis, unsigned frames) {
  constexpr int GROUPS = Cfg::channels / Cfg::pe;
  constexpr int WORDS = Cfg::taps * GROUPS;
  constexpr int FILTERS = Cfg::pe * Cfg::multiplier;  // a beat
  constexpr int VECTORS = Cfg::out_beats / GROUPS;
  static_assert(Cfg::in_lanes == Cfg::pe && Cfg::channels % Cfg::pe == 0,
                "depthwise: pe must equal the lanes of the input and divide channels");
  static_assert(Cfg::out_lanes == FILTERS, "depthwise: the lanes of the output must be pe * multiplier");
  static_assert(Cfg::in_beats == Cfg::out_beats * Cfg::taps && Cfg::out_beats % GROUPS == 0,
                "depthwise: the beats of the input must be taps times those of the output, a multiple of channels/pe");
  static_assert(Cfg::acc_bits >= Cfg::out_bits, "depthwise: acc_bits must hold the output");
  typedef integer_t<Cfg::acc_bits, Cfg::out_signed> Acc;
  typedef term_t<Cfg::acc_bits + 2> Sum;  // an unsigned accumulator holds a negative partial sum as a positive number

  ap_int<Cfg::weight_bits> weight[WORDS][FILTERS];
#pragma HLS array_reshape variable=weight type=complete dim=2
word:
  for (int word = 0; word < WORDS; ++word) {
  element:
    for (int f = 0; f < FILTERS; ++f) weight[word][f] = element<typename Cfg::weight>(word * FILTERS + f);
  }
  Acc sums[GROUPS][FILTERS];
#pragma HLS array_reshape variable=sums type=complete dim=2

frame:
  for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS loop_tripcount min=1 max=1
  vector:
    for (int v = 0; v < VECTORS; ++v) {
    tap:
      for (int tap = 0; tap < Cfg::taps; ++tap) {
      channel_group:
        for (int group = 0; group < GROUPS; ++group) {
#pragma HLS pipeline II=1 style=flp
          // A sum comes again with the next tap, GROUPS steps later.
#pragma HLS dependence variable=sums type=inter direction=RAW distance=GROUPS dependent=true
          const beat_t<Cfg::in_bits, Cfg::in_signed, Cfg::pe> x = s_axis.read();
          beat_t<Cfg::out_bits, Cfg::out_signed, FILTERS> y;
        filter:
          for (int f = 0; f < FILTERS; ++f) {
#pragma HLS unroll
            const Sum before = tap == 0 ? Sum(0) : Sum(sums[group][f]);
            const auto& w = weight[tap * GROUPS + group][f];
            const Sum sum = before + product<Cfg, Cfg::weight_bits, false>(w, x.lane[f / Cfg::multiplier]);
            sums[group][f] = sum;
            y.lane[f] = sum;
          }
          if (tap == Cfg::taps - 1) m_axis.write(y);
          next_step(m_axis);
        }
      }
    }
  }
}

}  // namespace gatewright

// SPDX-License-Identifier: Apache-2.0
// Grouped product behind a window: y[g,o] = sum over k and i of W[g,o,k,i] * x[k,g,i], for every vector of
// taps * groups * group_in elements in the frame: the diagonal blocks of a matrix, and none of its zeros.
//
// Beats: simd channels of one group in, tap k outer, then group, then channels; pe filters of one group out. Every beat
// is held for group_out/pe steps, one for each set of filters; the steps of a group's last beat give its filters.
// One step a cycle, taps * groups * (group_in/simd) * (group_out/pe) steps a vector.
// The sums of all filters run side by side in acc_bits bits each, proven enough for every partial sum.
// weight: words in the order of the steps hold signed weights, element p * simd + s. block_rom and dsp are of use to
// the RTL kernel alone. For groups of one channel depthwise works on several groups at once; for one group use dense.
#pragma once

#include "gatewright/lib/memory.hpp"
#include "gatewright/lib/product.hpp"
#include "gatewright/lib/stream.hpp"
#include "gatewright/lib/term.hpp"

namespace gatewright {

template <class Cfg, class In, class Out>
void grouped(In& s_axis, Out& m_axis, unsigned frames) {
  constexpr int SF = Cfg::group_in / Cfg::simd;
  constexpr int NF = Cfg::group_out / Cfg::pe;
  constexpr int WORDS = Cfg::taps * Cfg::groups * SF * NF;
  constexpr int VECTORS = Cfg::out_beats / (Cfg::groups * NF);
  constexpr int AGAIN = SF > 1 ? NF : Cfg::groups * NF;  // steps after which a sum comes again, at the earliest
  static_assert(Cfg::in_lanes == Cfg::simd && Cfg::group_in % Cfg::simd == 0,
                "grouped: simd must equal the lanes of the input and divide group_in");
  static_assert(Cfg::out_lanes == Cfg::pe && Cfg::group_out % Cfg::pe == 0,
                "grouped: pe must equal the lanes of the output and divide group_out");
  static_assert(Cfg::in_beats % (Cfg::taps * Cfg::groups * SF) == 0 &&
                    Cfg::in_beats / (Cfg::taps * SF) * NF == Cfg::out_beats,
                "grouped: the beats of input and output must belong to equally many vectors");
  static_assert(WORDS % AGAIN == 0, "grouped: a sum comes again after a whole share of the steps of a vector");
  static_assert(Cfg::acc_bits >= Cfg::out_bits, "grouped: acc_bits must hold the output");
  typedef integer_t<Cfg::acc_bits, Cfg::out_signed> Acc;
  typedef term_t<Cfg::acc_bits + 2> Sum;  // an unsigned accumulator holds a negative partial sum as a positive number

  ap_int<Cfg::weight_bits> weight[WORDS][Cfg::pe * Cfg::simd];
#pragma HLS array_reshape variable=weight type=complete dim=2
word:
  for (int word = 0; word < WORDS; ++word) {
  element:
    for (int i = 0; i < Cfg::pe * Cfg::simd; ++i) {
      weight[word][i] = element<typename Cfg::weight>(word * Cfg::pe * Cfg::simd + i);
    }
  }
  Acc sums[Cfg::groups * NF][Cfg::pe];
#pragma HLS array_reshape variable=sums type=complete dim=2
  beat_t<Cfg::in_bits, Cfg::in_signed, Cfg::simd> x;

frame:
  for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS loop_tripcount min=1 max=1
  vector:
    for (int v = 0; v < VECTORS; ++v) {
    tap:
      for (int tap = 0; tap < Cfg::taps; ++tap) {
      group:
        for (int group = 0; group < Cfg::groups; ++group) {
        channels:
          for (int sf = 0; sf < SF; ++sf) {
          filters:
            for (int nf = 0; nf < NF; ++nf) {
#pragma HLS pipeline II=1 style=flp
#pragma HLS dependence variable=sums type=inter direction=RAW distance=AGAIN dependent=true
              if (nf == 0) x = s_axis.read();
              const int at = ((tap * Cfg::groups + group) * SF + sf) * NF + nf;
              beat_t<Cfg::out_bits, Cfg::out_signed, Cfg::pe> y;
            filter:
              for (int p = 0; p < Cfg::pe; ++p) {
#pragma HLS unroll
                Sum sum = tap == 0 && sf == 0 ? Sum(0) : Sum(sums[group * NF + nf][p]);
              channel:
                for (int s = 0; s < Cfg::simd; ++s) {
#pragma HLS unroll
                  sum += product<Cfg, Cfg::weight_bits, false>(weight[at][p * Cfg::simd + s], x.lane[s]);
                }
                sums[group * NF + nf][p] = sum;
                y.lane[p] = sum;
              }
              if (tap == Cfg::taps - 1 && sf == SF - 1) m_axis.write(y);
              next_step(m_axis);
            }
          }
        }
      }
    }
  }
}

}  // namespace gatewright

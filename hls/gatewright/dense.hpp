// SPDX-License-Identifier: Apache-2.0
// Matrix-vector unit: y[r] = sum over k of W[r,k] * x[k], for every vector of cols elements in the frame.
//
// Beats: simd columns in, pe rows out. Row group outer, column group inner; the first pass over a vector takes it in,
// later ones reread it from a buffer. One step a cycle, (rows/pe) * (cols/simd) steps a vector.
// Accumulators have acc_bits, proven enough for every partial sum, so nothing wraps or saturates.
// weight: word row_group * (cols/simd) + column_group, as bit planes (element (plane * simd + s) * pe + p) or, with
// dsp, as numbers (element p * simd + s). start is of use to the gates of the RTL kernel alone.
#pragma once

#include "gatewright/lib/memory.hpp"
#include "gatewright/lib/product.hpp"
#include "gatewright/lib/stream.hpp"
#include "gatewright/lib/term.hpp"

namespace gatewright {

// The weights as numbers, and as single bits where one bit stands for -1 or +1.
template <class Cfg>
using dense_weight_t = integer_t<Cfg::planes, Cfg::weight_signed>;

template <class Cfg>
void dense_weights(dense_weight_t<Cfg> (&weight)[Cfg::rows / Cfg::pe * (Cfg::cols / Cfg::simd)][Cfg::pe * Cfg::simd]) {
  constexpr int WORDS = Cfg::rows / Cfg::pe * (Cfg::cols / Cfg::simd);
word:
  for (int word = 0; word < WORDS; ++word) {
  element:
    for (int i = 0; i < Cfg::pe * Cfg::simd; ++i) {
      const int row = i / Cfg::simd, column = i % Cfg::simd;
      ap_uint<Cfg::planes> bits = 0;
      if (Cfg::dsp) {
        bits = element<typename Cfg::weight>(word * Cfg::pe * Cfg::simd + i);
      } else {
      plane:
        for (int plane = 0; plane < Cfg::planes; ++plane) {
          const int at = ((word * Cfg::planes + plane) * Cfg::simd + column) * Cfg::pe + row;
          bits[plane] = element<typename Cfg::weight>(at)[0];
        }
      }
      weight[word][i] = bits;
    }
  }
}

template <class Cfg, class In, class Out>
void dense(In& s_axis, Out& m_axis, unsigned frames) {
  static_assert(Cfg::in_lanes == Cfg::simd && Cfg::cols % Cfg::simd == 0,
                "dense: simd must equal the lanes of the input and divide cols");
  static_assert(Cfg::out_lanes == Cfg::pe && Cfg::rows % Cfg::pe == 0,
                "dense: pe must equal the lanes of the output and divide rows");
  static_assert(Cfg::in_beats % (Cfg::cols / Cfg::simd) == 0 &&
                    Cfg::in_beats / (Cfg::cols / Cfg::simd) * (Cfg::rows / Cfg::pe) == Cfg::out_beats,
                "dense: the beats of input and output must belong to equally many vectors");
  static_assert(Cfg::acc_bits >= Cfg::out_bits, "dense: acc_bits must hold the output");
  static_assert(Cfg::weight_bits == (Cfg::dsp ? Cfg::planes : 1), "dense: weight_bits must be planes with dsp, else 1");
  constexpr int SF = Cfg::cols / Cfg::simd;
  constexpr int NF = Cfg::rows / Cfg::pe;
  constexpr int VECTORS = Cfg::in_beats / SF;
  typedef beat_t<Cfg::in_bits, Cfg::in_signed, Cfg::simd> Word;
  typedef integer_t<Cfg::acc_bits, Cfg::out_signed> Acc;

  dense_weight_t<Cfg> weight[NF * SF][Cfg::pe * Cfg::simd];
#pragma HLS array_reshape variable=weight type=complete dim=2
  dense_weights<Cfg>(weight);
  Word vector[SF];
#pragma HLS aggregate variable=vector
  Acc acc[Cfg::pe];
#pragma HLS array_partition variable=acc type=complete

frame:
  for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS loop_tripcount min=1 max=1
  vector:
    for (int v = 0; v < VECTORS; ++v) {
    row_group:
      for (int nf = 0; nf < NF; ++nf) {
      column_group:
        for (int sf = 0; sf < SF; ++sf) {
#pragma HLS pipeline II=1 style=flp
          if (nf == 0) vector[sf] = s_axis.read();
          const Word& x = vector[sf];
          beat_t<Cfg::out_bits, Cfg::out_signed, Cfg::pe> y;
        row:
          for (int p = 0; p < Cfg::pe; ++p) {
#pragma HLS unroll
            term_t<Cfg::acc_bits + 1> sum = 0;
          column:
            for (int s = 0; s < Cfg::simd; ++s) {
#pragma HLS unroll
              const auto& w = weight[nf * SF + sf][p * Cfg::simd + s];
              sum += product<Cfg, Cfg::planes, Cfg::weight_bipolar != 0>(w, x.lane[s]);
            }
            acc[p] = sf == 0 ? Acc(sum) : Acc(acc[p] + sum);
            y.lane[p] = acc[p];
          }
          if (sf == SF - 1) m_axis.write(y);
          next_step(m_axis);
        }
      }
    }
  }
}

}  // namespace gatewright

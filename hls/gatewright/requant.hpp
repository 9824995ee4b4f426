// SPDX-License-Identifier: Apache-2.0
// y = clip(round_half_even((x * mult[c] + add[c]) / 2**shift), lo, hi).
//
// Beats: pe channels in and out, channel group 0..channels/pe-1 for every pixel. One beat a step.
// mult, add: word group holds pe signed elements. x * mult and the sum have sum_bits bits, exactly enough.
// Use threshold for outputs of few bits, or where rounding must equal an arbitrary function.
#pragma once

#include "gatewright/lib/memory.hpp"
#include "gatewright/lib/stream.hpp"
#include "gatewright/lib/term.hpp"

namespace gatewright {

// round_half_even(sum / 2**SHIFT): up above the half, and at the half when the floor is odd.
template <int SHIFT, int BITS>
inline term_t<BITS> round_half_even(const term_t<BITS>& sum) {
#pragma HLS inline
  constexpr int DROPPED = SHIFT > 0 ? SHIFT : 1;
  const term_t<DROPPED + 1> half = term_t<DROPPED + 1>(1) << (DROPPED - 1);
  const term_t<BITS> floor = sum >> SHIFT;
  const term_t<DROPPED + 1> rest(sum - (floor << SHIFT));
  const bool up = SHIFT > 0 && (rest > half || (rest == half && (floor & 1) == 1));
  return floor + up;
}

template <class Cfg, class In, class Out>
void requant(In& s_axis, Out& m_axis, unsigned frames) {
  static_assert(Cfg::in_lanes == Cfg::pe && Cfg::out_lanes == Cfg::pe && Cfg::channels % Cfg::pe == 0,
                "requant: pe must equal the lanes of both streams and divide channels");
  static_assert(Cfg::in_beats == Cfg::out_beats && Cfg::in_beats % (Cfg::channels / Cfg::pe) == 0,
                "requant: both streams carry the same whole pixels");
  static_assert(Cfg::shift >= 0 && Cfg::sum_bits >= 1, "requant: shift must be at least 0, and sum_bits at least 1");
  static_assert(Cfg::lo <= Cfg::hi && (Cfg::lo >= 0 || Cfg::out_signed),
                "requant: lo must not exceed hi, and needs a signed output below 0");
  static_assert(Cfg::out_bits >= 32 || (Cfg::hi >> (Cfg::out_bits - Cfg::out_signed) <= 0 &&
                                        Cfg::lo >> (Cfg::out_bits - Cfg::out_signed) >= -1),
                "requant: the output must hold lo and hi");
  constexpr int GROUPS = Cfg::channels / Cfg::pe;
  constexpr int PIXELS = Cfg::in_beats / GROUPS;
  constexpr int WIDE_BITS = (Cfg::sum_bits > Cfg::shift ? Cfg::sum_bits : Cfg::shift + 1) + 1;
  typedef term_t<WIDE_BITS> Sum;
  typedef integer_t<Cfg::out_bits, Cfg::out_signed> Y;

  ap_int<Cfg::mult_bits> mult[GROUPS][Cfg::pe];
#pragma HLS array_reshape variable=mult type=complete dim=2
  ap_int<Cfg::add_bits> add[GROUPS][Cfg::pe];
#pragma HLS array_reshape variable=add type=complete dim=2
word:
  for (int word = 0; word < GROUPS; ++word) {
  element:
    for (int p = 0; p < Cfg::pe; ++p) {
      mult[word][p] = element<typename Cfg::mult>(word * Cfg::pe + p);
      add[word][p] = element<typename Cfg::add>(word * Cfg::pe + p);
    }
  }

frame:
  for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS loop_tripcount min=1 max=1
  pixel:
    for (int pixel = 0; pixel < PIXELS; ++pixel) {
    channel_group:
      for (int group = 0; group < GROUPS; ++group) {
#pragma HLS pipeline II=1 style=flp
        const beat_t<Cfg::in_bits, Cfg::in_signed, Cfg::pe> x = s_axis.read();
        beat_t<Cfg::out_bits, Cfg::out_signed, Cfg::pe> y;
      lane:
        for (int p = 0; p < Cfg::pe; ++p) {
#pragma HLS unroll
          const Sum product(multiply<Cfg::in_bits + 1, Cfg::mult_bits>(term_t<Cfg::in_bits + 1>(x.lane[p]),
                                                                       term_t<Cfg::mult_bits>(mult[group][p])));
          const Sum sum = product + term_t<Cfg::add_bits>(add[group][p]);
          const Sum rounded = round_half_even<Cfg::shift, WIDE_BITS>(sum);
          y.lane[p] = rounded < Cfg::lo ? Y(Cfg::lo) : rounded > Cfg::hi ? Y(Cfg::hi) : Y(rounded);
        }
        m_axis.write(y);
        next_step(m_axis);
      }
    }
  }
}

}  // namespace gatewright

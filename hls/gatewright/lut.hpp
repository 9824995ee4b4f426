// SPDX-License-Identifier: Apache-2.0
// y = table[c][x]: any function of a narrow input, one for all channels (shared) or one per channel.
//
// Beats: pe channels in and out, channel group 0..channels/pe-1 for every pixel. One beat a step.
// table: word {group, input bits} holds an output per lane; with shared, word {input bits} holds one output.
// Use threshold where the input is wide and the function monotone.
#pragma once

#include "gatewright/lib/memory.hpp"
#include "gatewright/lib/stream.hpp"

namespace gatewright {

template <class Cfg, class In, class Out>
void lut(In& s_axis, Out& m_axis, unsigned frames) {
  static_assert(Cfg::in_lanes == Cfg::pe && Cfg::out_lanes == Cfg::pe && Cfg::channels % Cfg::pe == 0,
                "lut: pe must equal the lanes of both streams and divide channels");
  static_assert(Cfg::in_beats == Cfg::out_beats && Cfg::in_beats % (Cfg::channels / Cfg::pe) == 0,
                "lut: both streams carry the same whole pixels");
  static_assert(Cfg::in_bits <= 16, "lut: the input must have at most 16 bits");
  static_assert(Cfg::table_bits == Cfg::out_bits, "lut: table_bits must equal the bits of the output");
  constexpr int GROUPS = Cfg::channels / Cfg::pe;
  constexpr int PIXELS = Cfg::in_beats / GROUPS;
  constexpr int WORDS = (Cfg::shared ? 1 : GROUPS) << Cfg::in_bits;

  // Every lane has its own input, hence its own read port: a table of its own, even where all hold the same.
  integer_t<Cfg::table_bits, Cfg::out_signed> table[Cfg::pe][WORDS];
#pragma HLS array_partition variable=table type=complete dim=1
table_lane:
  for (int p = 0; p < Cfg::pe; ++p) {
  word:
    for (int word = 0; word < WORDS; ++word) {
      table[p][word] = element<typename Cfg::table>(Cfg::shared ? word : word * Cfg::pe + p);
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
          const int code = static_cast<int>(ap_uint<Cfg::in_bits>(x.lane[p]));
          y.lane[p] = table[p][(Cfg::shared ? 0 : group << Cfg::in_bits) + code];
        }
        m_axis.write(y);
        next_step(m_axis);
      }
    }
  }
}

}  // namespace gatewright

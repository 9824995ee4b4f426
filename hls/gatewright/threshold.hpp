// SPDX-License-Identifier: Apache-2.0
// Multi-threshold activation: y = lo + #{i : t[c,i] <= x}, or hi - #{i : t[c,i] <= x} where channel c falls, over the
// 2**levels - 1 ascending thresholds of channel c.
//
// Beats: pe channels in and out, channel group 0..channels/pe-1 for every pixel. Binary search: level i reads the
// threshold that the i code bits found so far select, and adds one bit. One beat a step.
// level: member i of the family holds, at word {channel group, code prefix of i bits}, pe thresholds. falling: a word a
// channel group, pe bits. A bipolar output counts as 0 and 1. Use requant where 2**levels words outgrow a multiplier.
#pragma once

#include "gatewright/lib/memory.hpp"
#include "gatewright/lib/stream.hpp"
#include "gatewright/lib/term.hpp"

namespace gatewright {

// A code, or the bits of it that were found: 0..2**levels-1.
template <class Cfg>
using threshold_code_t = term_t<Cfg::levels + 1>;

// The ROM of one level and, behind it, those of the levels after it: each of its own size, read at its own address.
// DONE is a parameter because clang, on which Vitis HLS is built, specialises nothing for a value that depends on Cfg.
template <class Cfg, int LEVEL, bool DONE = LEVEL == Cfg::levels>
struct ThresholdLevel {
  static constexpr int GROUPS = Cfg::channels / Cfg::pe;
  ap_int<Cfg::level_bits> rom[GROUPS << LEVEL][Cfg::pe];
  ThresholdLevel<Cfg, LEVEL + 1> rest;

  void fill() {
#pragma HLS inline
// Every lane has its own input, hence its own address.
#pragma HLS array_partition variable=rom type=complete dim=2
    constexpr int FIRST = GROUPS * ((1 << LEVEL) - 1) * Cfg::pe;  // the levels before it
  word:
    for (int word = 0; word < GROUPS << LEVEL; ++word) {
    lane:
      for (int p = 0; p < Cfg::pe; ++p) {
        rom[word][p] = element<typename Cfg::level>(FIRST + word * Cfg::pe + p);
      }
    }
    rest.fill();
  }

  threshold_code_t<Cfg> search(int group, int lane, threshold_code_t<Cfg> code, term_t<Cfg::in_bits + 1> x) const {
#pragma HLS inline
    const bool above = x >= term_t<Cfg::level_bits>(rom[(group << LEVEL) + static_cast<int>(code)][lane]);
    return rest.search(group, lane, threshold_code_t<Cfg>((code << 1) + above), x);
  }
};

template <class Cfg, int LEVEL>
struct ThresholdLevel<Cfg, LEVEL, true> {
  void fill() {}

  threshold_code_t<Cfg> search(int, int, threshold_code_t<Cfg> code, term_t<Cfg::in_bits + 1>) const {
#pragma HLS inline
    return code;
  }
};

template <class Cfg, class In, class Out>
void threshold(In& s_axis, Out& m_axis, unsigned frames) {
  static_assert(Cfg::in_lanes == Cfg::pe && Cfg::out_lanes == Cfg::pe && Cfg::channels % Cfg::pe == 0,
                "threshold: pe must equal the lanes of both streams and divide channels");
  static_assert(Cfg::in_beats == Cfg::out_beats && Cfg::in_beats % (Cfg::channels / Cfg::pe) == 0,
                "threshold: both streams carry the same whole pixels");
  static_assert(Cfg::hi - Cfg::lo < 1 << Cfg::levels, "threshold: levels must tell all codes from lo to hi apart");
  constexpr int GROUPS = Cfg::channels / Cfg::pe;
  constexpr int PIXELS = Cfg::in_beats / GROUPS;
  typedef term_t<Cfg::out_bits + 2> Y;

  ThresholdLevel<Cfg, 0> levels;
  levels.fill();
  bool falling[GROUPS][Cfg::pe];
falling_word:
  for (int word = 0; word < GROUPS; ++word) {
  falling_lane:
    for (int p = 0; p < Cfg::pe; ++p) falling[word][p] = element<typename Cfg::falling>(word * Cfg::pe + p) == 1;
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
          const threshold_code_t<Cfg> code = levels.search(group, p, 0, term_t<Cfg::in_bits + 1>(x.lane[p]));
          y.lane[p] = falling[group][p] ? Y(Cfg::hi - code) : Y(Cfg::lo + code);
        }
        m_axis.write(y);
        next_step(m_axis);
      }
    }
  }
}

}  // namespace gatewright

// SPDX-License-Identifier: Apache-2.0
// Frames between memory and streams, behind AXI4 masters.
//
// A frame lies in memory as its elements one after another, each of its own bits and nothing between them, the first
// one in the low bits of the first word; the last word of a frame is filled up with zeros. The masters move whole words
// in one unconditional loop, which makes bursts; what turns words into beats stands beside them.
#pragma once

#include "gatewright/lib/stream.hpp"

namespace gatewright {

// Words of BUS bits that a frame takes.
constexpr int frame_words(int bus, long long bits) { return static_cast<int>((bits + bus - 1) / bus); }

template <int BUS, int WORDS, class Out>
void read_memory(const ap_uint<BUS>* memory, Out& m_axis, unsigned frames) {
word:
  for (unsigned long long i = 0; i < static_cast<unsigned long long>(frames) * WORDS; ++i) {
#pragma HLS loop_tripcount min=WORDS max=WORDS
#pragma HLS pipeline II=1
    m_axis.write(memory[i]);
  }
}

template <int BUS, int WORDS, class In>
void write_memory(In& s_axis, ap_uint<BUS>* memory, unsigned frames) {
word:
  for (unsigned long long i = 0; i < static_cast<unsigned long long>(frames) * WORDS; ++i) {
#pragma HLS loop_tripcount min=WORDS max=WORDS
#pragma HLS pipeline II=1
    memory[i] = s_axis.read();
  }
}

// Memory words to beats: the slower side sets the pace.
template <int BUS, int BITS, int SIGNED, int LANES, int BEATS, class In, class Out>
void unpack_words(In& s_axis, Out& m_axis, unsigned frames) {
  constexpr int WIDTH = BITS * LANES;
  constexpr int STEPS = WIDTH > BUS ? frame_words(BUS, 1LL * WIDTH * BEATS) : BEATS;
frame:
  for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS loop_tripcount min=1 max=1
    ap_uint<BUS + WIDTH> held = 0;
    int have = 0;
  step:
    for (int step = 0; step < STEPS; ++step) {
#pragma HLS pipeline II=1 style=flp
      if (have < WIDTH) {
        held |= ap_uint<BUS + WIDTH>(s_axis.read()) << have;
        have += BUS;
      }
      if (have >= WIDTH) {
        beat_t<BITS, SIGNED, LANES> beat;
      lane:
        for (int i = 0; i < LANES; ++i) {
#pragma HLS unroll
          beat.lane[i] = ap_uint<BITS>(held.range((i + 1) * BITS - 1, i * BITS));
        }
        m_axis.write(beat);
        held >>= WIDTH;
        have -= WIDTH;
      }
    }
  }
}

// Beats to memory words.
template <int BUS, int BITS, int LANES, int BEATS, class In, class Out>
void pack_words(In& s_axis, Out& m_axis, unsigned frames) {
  constexpr int WIDTH = BITS * LANES;
  constexpr int STEPS = WIDTH > BUS ? frame_words(BUS, 1LL * WIDTH * BEATS) : BEATS + 1;
frame:
  for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS loop_tripcount min=1 max=1
    ap_uint<BUS + WIDTH> held = 0;
    int have = 0;
    int beats = 0;
  step:
    for (int step = 0; step < STEPS; ++step) {
#pragma HLS pipeline II=1 style=flp
      if (have < BUS && beats < BEATS) {
        const auto beat = s_axis.read();
        ap_uint<WIDTH> word = 0;
      lane:
        for (int i = 0; i < LANES; ++i) {
#pragma HLS unroll
          word.range((i + 1) * BITS - 1, i * BITS) = ap_uint<BITS>(beat.lane[i]);
        }
        held |= ap_uint<BUS + WIDTH>(word) << have;
        have += WIDTH;
        ++beats;
      }
      if (have >= BUS || (beats == BEATS && have > 0)) {
        m_axis.write(ap_uint<BUS>(held));
        held >>= BUS;
        have = have > BUS ? have - BUS : 0;
      }
    }
  }
}

}  // namespace gatewright

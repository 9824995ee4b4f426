// SPDX-License-Identifier: Apache-2.0
// Frames between AXI4-Stream ports and streams of beats, one beat a step.
//
// A word of a port holds a beat, element 0 in the low bits, padded with zeros to whole bytes. TLAST stands on the last
// beat of a frame that leaves; of one that comes in it is not looked at, since a frame is so many beats.
#pragma once

#include "gatewright/lib/stream.hpp"

namespace gatewright {

template <int BITS, int SIGNED, int LANES, int BEATS, class In, class Out>
void read_axis(In& s_axis, Out& m_axis, unsigned frames) {
frame:
  for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS loop_tripcount min=1 max=1
  beat:
    for (int step = 0; step < BEATS; ++step) {
#pragma HLS pipeline II=1 style=flp
      const auto word = s_axis.read();
      beat_t<BITS, SIGNED, LANES> beat;
    lane:
      for (int i = 0; i < LANES; ++i) {
#pragma HLS unroll
        beat.lane[i] = ap_uint<BITS>(word.data.range((i + 1) * BITS - 1, i * BITS));
      }
      m_axis.write(beat);
    }
  }
}

// Word: what the port carries.
template <class Word, int BITS, int LANES, int BEATS, class In, class Out>
void write_axis(In& s_axis, Out& m_axis, unsigned frames) {
frame:
  for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS loop_tripcount min=1 max=1
  beat:
    for (int step = 0; step < BEATS; ++step) {
#pragma HLS pipeline II=1 style=flp
      const auto beat = s_axis.read();
      Word word;
      word.data = 0;
    lane:
      for (int i = 0; i < LANES; ++i) {
#pragma HLS unroll
        word.data.range((i + 1) * BITS - 1, i * BITS) = ap_uint<BITS>(beat.lane[i]);
      }
      word.keep = -1;
      word.strb = -1;
      word.last = step == BEATS - 1;
      m_axis.write(word);
    }
  }
}

}  // namespace gatewright

// SPDX-License-Identifier: Apache-2.0
// Copies every beat of a stream to several others. Only C++ needs a unit for it: in RTL and SystemC a fork takes no
// time.
#pragma once

#include "gatewright/lib/stream.hpp"

namespace gatewright {

template <class Word>
inline void write_all(const Word&) {
#pragma HLS inline
}
template <class Word, class Out, class... Outs>
inline void write_all(const Word& word, Out& m_axis, Outs&... rest) {
#pragma HLS inline
  m_axis.write(word);
  write_all(word, rest...);
}

template <int BEATS, class In, class... Outs>
void stream_fork(In& s_axis, unsigned frames, Outs&... m_axis) {
frame:
  for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS loop_tripcount min=1 max=1
  beat:
    for (int beat = 0; beat < BEATS; ++beat) {
#pragma HLS pipeline II=1 style=flp
      write_all(s_axis.read(), m_axis...);
    }
  }
}

}  // namespace gatewright

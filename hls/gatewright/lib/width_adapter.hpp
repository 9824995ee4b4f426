// SPDX-License-Identifier: Apache-2.0
// Regroups a stream of elements from in_lanes to out_lanes a beat; one of the two divides the other.
//
// Beats: in order, element 0 first. One beat of the narrower side a step, depth 1.
#pragma once

#include "gatewright/lib/stream.hpp"

namespace gatewright {

template <class Cfg, class In, class Out>
void width_adapter(In& s_axis, Out& m_axis, unsigned frames) {
  static_assert(Cfg::in_lanes % Cfg::out_lanes == 0 || Cfg::out_lanes % Cfg::in_lanes == 0,
                "width_adapter: one of in_lanes and out_lanes must divide the other");
  static_assert(Cfg::in_lanes * Cfg::in_beats == Cfg::out_lanes * Cfg::out_beats,
                "width_adapter: both sides must carry equally many elements a frame");
  constexpr int LANES = Cfg::in_lanes < Cfg::out_lanes ? Cfg::in_lanes : Cfg::out_lanes;
  constexpr int TAKEN = Cfg::in_lanes / LANES;  // parts of an input beat
  constexpr int MADE = Cfg::out_lanes / LANES;  // parts of an output beat
  constexpr int PARTS = Cfg::in_beats * TAKEN;
  int from = 0, to = 0;  // part of the input beat, and of the output beat: counted, as a remainder takes a divider
  beat_t<Cfg::in_bits, Cfg::in_signed, Cfg::in_lanes> in;
  beat_t<Cfg::out_bits, Cfg::out_signed, Cfg::out_lanes> out;

frame:
  for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS loop_tripcount min=1 max=1
  part:
    for (int part = 0; part < PARTS; ++part) {
#pragma HLS pipeline II=1 style=flp
      if (from == 0) in = s_axis.read();
    lane:
      for (int i = 0; i < LANES; ++i) {
#pragma HLS unroll
        out.lane[to * LANES + i] = in.lane[from * LANES + i];
      }
      if (to == MADE - 1) m_axis.write(out);
      from = from == TAKEN - 1 ? 0 : from + 1;
      to = to == MADE - 1 ? 0 : to + 1;
      next_step(m_axis);
    }
  }
}

}  // namespace gatewright

// SPDX-License-Identifier: Apache-2.0
// Nearest-neighbour upsampling: every row of width pixels is given factor_h times, every pixel in it factor_w times.
//
// Beats: pe channels in and out, channel group 0..channels/pe-1 for every pixel. One row is read while the next one is
// written, so every row is taken once. One beat out a cycle.
#pragma once

#include "gatewright/lib/loop_nest.hpp"
#include "gatewright/lib/ping_pong.hpp"
#include "gatewright/lib/stream.hpp"

namespace gatewright {

// Where the beats of a row lie that are given one after another.
template <class Cfg>
struct UpsampleAddress {
  static constexpr int GROUPS = Cfg::channels / Cfg::pe;
  LoopNest<GROUPS, Cfg::factor_w, Cfg::width, Cfg::factor_h> nest;
  counter_t<Cfg::width * GROUPS> place = 0;

  counter_t<Cfg::width * GROUPS> at() const {
#pragma HLS inline
    return place;
  }
  bool last() const {
#pragma HLS inline
    return nest.level() == 5;
  }
  void step() {
#pragma HLS inline
    const int level = nest.level();
    place = static_cast<int>(place) + nest.template move<1, 0, GROUPS, 0, 0, 0>(level);
    nest.step(level);
  }
};

template <class Cfg, class In, class Out>
void upsample(In& s_axis, Out& m_axis, unsigned frames) {
  constexpr int ROW = Cfg::width * (Cfg::channels / Cfg::pe);  // beats
  static_assert(Cfg::in_lanes == Cfg::pe && Cfg::out_lanes == Cfg::pe && Cfg::channels % Cfg::pe == 0,
                "upsample: pe must equal the lanes of both streams and divide channels");
  static_assert(Cfg::in_beats % ROW == 0 && Cfg::out_beats == Cfg::in_beats * Cfg::factor_h * Cfg::factor_w,
                "upsample: the beats of the output must be factor_h * factor_w times those of the input, whole rows");
  static_assert(Cfg::in_bits == Cfg::out_bits && Cfg::in_signed == Cfg::out_signed,
                "upsample: input and output have elements of one type");
  UpsampleAddress<Cfg> address;
  ping_pong<beat_t<Cfg::in_bits, Cfg::in_signed, Cfg::pe>, ROW, Cfg::in_beats / ROW, Cfg::out_beats>(address, s_axis,
                                                                                                     m_axis, frames);
}

}  // namespace gatewright

// SPDX-License-Identifier: Apache-2.0
// y[c] = sum over k of x[k,c], for every group of window vectors of channels elements: average pooling behind a window;
// the division lives in the scale of the output. For one window as large as the image use global_avgpool.
//
// Beats: pe channels in and out; vector k outer, channel group inner. A step takes a beat; the steps of the last
// vector give one. One step a cycle. in_bipolar 1: a stored bit 0 means -1, 1 means +1.
#pragma once

#include "gatewright/lib/running_sum.hpp"
#include "gatewright/lib/stream.hpp"

namespace gatewright {

template <class Cfg, class In, class Out>
void avgpool(In& s_axis, Out& m_axis, unsigned frames) {
  static_assert(Cfg::in_lanes == Cfg::pe && Cfg::out_lanes == Cfg::pe && Cfg::channels % Cfg::pe == 0,
                "avgpool: pe must equal the lanes of both streams and divide channels");
  static_assert(Cfg::in_beats == Cfg::out_beats * Cfg::window && Cfg::out_beats % (Cfg::channels / Cfg::pe) == 0,
                "avgpool: the input must carry window vectors for every whole vector of the output");
  static_assert(Cfg::out_signed || (!Cfg::in_signed && !Cfg::in_bipolar),
                "avgpool: sums of a signed or bipolar input must be signed");
  static_assert(!Cfg::in_bipolar || (Cfg::in_bits == 1 && !Cfg::in_signed),
                "avgpool: a bipolar input must be of one bit, without a sign");
  sum_vectors<Cfg, Cfg::window>(s_axis, m_axis, frames);
}

}  // namespace gatewright

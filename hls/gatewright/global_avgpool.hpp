// SPDX-License-Identifier: Apache-2.0
// y[c] = sum over all pixels of x[pixel,c]: the global average, whose division lives in the scale of the output.
//
// Beats: pe channels in and out; pixel outer, channel group inner. A step takes a beat; the steps of the last pixel
// give one. One step a cycle. in_bipolar 1: a stored bit 0 means -1, 1 means +1. For smaller windows use avgpool.
#pragma once

#include "gatewright/lib/running_sum.hpp"
#include "gatewright/lib/stream.hpp"

namespace gatewright {

template <class Cfg, class In, class Out>
void global_avgpool(In& s_axis, Out& m_axis, unsigned frames) {
  static_assert(Cfg::in_lanes == Cfg::pe && Cfg::out_lanes == Cfg::pe && Cfg::channels % Cfg::pe == 0,
                "global_avgpool: pe must equal the lanes of both streams and divide channels");
  static_assert(Cfg::in_beats == Cfg::pixels * Cfg::out_beats && Cfg::out_beats == Cfg::channels / Cfg::pe,
                "global_avgpool: the input must carry pixels vectors, the output one");
  static_assert(Cfg::out_signed || (!Cfg::in_signed && !Cfg::in_bipolar),
                "global_avgpool: sums of a signed or bipolar input must be signed");
  static_assert(!Cfg::in_bipolar || (Cfg::in_bits == 1 && !Cfg::in_signed),
                "global_avgpool: a bipolar input must be of one bit, without a sign");
  sum_vectors<Cfg, Cfg::pixels>(s_axis, m_axis, frames);
}

}  // namespace gatewright

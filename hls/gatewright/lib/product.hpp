// SPDX-License-Identifier: Apache-2.0
// One product of a weight of BITS bits and an element of an input. A single bit of either may stand for -1 or +1:
// of a weight where BIPOLAR says so, of an input where Cfg::in_bipolar does.
#pragma once

#include "gatewright/lib/stream.hpp"
#include "gatewright/lib/term.hpp"

namespace gatewright {

template <class Cfg, int BITS, bool BIPOLAR, class Weight>
inline term_t<BITS + Cfg::in_bits + 2> product(const Weight& weight,
                                               const integer_t<Cfg::in_bits, Cfg::in_signed>& input) {
#pragma HLS inline
  static_assert(!Cfg::in_bipolar || (Cfg::in_bits == 1 && !Cfg::in_signed),
                "product: a bipolar input has elements of one unsigned bit");
  static_assert(!BIPOLAR || BITS == 1, "product: a bipolar weight has one bit");
  const term_t<BITS + 1> w(weight);
  const term_t<Cfg::in_bits + 1> x(input);
  if (BIPOLAR && Cfg::in_bipolar) return w == x ? 1 : -1;
  if (BIPOLAR) return w == 1 ? x : term_t<Cfg::in_bits + 1>(-x);
  if (Cfg::in_bipolar) return x == 1 ? w : term_t<BITS + 1>(-w);
  return multiply<BITS + 1, Cfg::in_bits + 1>(w, x);
}

}  // namespace gatewright

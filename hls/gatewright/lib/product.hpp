// SPDX-License-Identifier: Apache-2.0
// One product of a signed weight and an element of an input, which may be a bit that stands for -1 or +1.
#pragma once

#include "gatewright/lib/stream.hpp"
#include "gatewright/lib/term.hpp"

namespace gatewright {

template <class Cfg>
inline term_t<Cfg::weight_bits + Cfg::in_bits + 1> product(const ap_int<Cfg::weight_bits>& weight,
                                                           const integer_t<Cfg::in_bits, Cfg::in_signed>& input) {
#pragma HLS inline
  static_assert(!Cfg::in_bipolar || (Cfg::in_bits == 1 && !Cfg::in_signed),
                "product: a bipolar input has elements of one unsigned bit");
  const term_t<Cfg::weight_bits> w(weight);
  const term_t<Cfg::in_bits + 1> x(input);
  if (Cfg::in_bipolar) return x == 1 ? term_t<Cfg::weight_bits + 1>(w) : term_t<Cfg::weight_bits + 1>(-w);
  return multiply<Cfg::weight_bits, Cfg::in_bits + 1>(w, x);
}

}  // namespace gatewright

// SPDX-License-Identifier: Apache-2.0
// Signed numbers that a step computes with and does not keep.
//
// In hardware, and where GATEWRIGHT_EXACT_TERMS is defined, as when operators are tested, a term has exactly BITS bits.
// In other C simulations it is the native integer above, of which g++ takes many lanes at once; ap_int passes every
// result through memory there. Numbers that fit in BITS bits are the same in both; what is kept of a term, in an
// accumulator or a stream, is cut to its own exact type in both.
#pragma once

#include <ap_int.h>

#include <type_traits>

#if defined(__SYNTHESIS__) && !defined(GATEWRIGHT_EXACT_TERMS)
#define GATEWRIGHT_EXACT_TERMS
#endif

namespace gatewright {

template <int BITS>
struct Term {
  static_assert(BITS >= 1, "a term has at least one bit");
#ifdef GATEWRIGHT_EXACT_TERMS
  typedef ap_int<BITS> type;
#else
  typedef typename std::conditional<(BITS > 32), long long, int>::type type;
#endif
};
template <int BITS>
using term_t = typename Term<BITS>::type;

// The exact product of two terms: a native one would be as narrow as its factors.
template <int A, int B>
inline term_t<A + B> multiply(const term_t<A>& a, const term_t<B>& b) {
#pragma HLS inline
#ifdef GATEWRIGHT_EXACT_TERMS
  return a * b;
#else
  return term_t<A + B>(a) * b;
#endif
}

}  // namespace gatewright

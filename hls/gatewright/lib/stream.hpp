// SPDX-License-Identifier: Apache-2.0
// What kernels and streams have in common: elements of exact widths, beats of them, and the end of a step.
//
// A kernel is a step machine. One iteration of its innermost loop is one step of the operator's schedule, one cycle of
// the hardware at II=1; it takes and gives beats in the steps in which the RTL kernel of the same name does, and ends
// with next_step or next_cycle, which are nothing in hardware and in C simulation. The ports of systemc.hpp let time
// pass there.
#pragma once

#include <ap_int.h>

namespace gatewright {

template <int BITS, bool SIGNED>
struct Integer {
  static_assert(BITS >= 1, "an element has at least one bit");
  typedef ap_uint<BITS> type;
};
template <int BITS>
struct Integer<BITS, true> {
  static_assert(BITS >= 1, "an element has at least one bit");
  typedef ap_int<BITS> type;
};

// An element of a stream: SIGNED is a parameter of the kernel, 0 or 1.
template <int BITS, int SIGNED>
using integer_t = typename Integer<BITS, SIGNED != 0>::type;

// A word of a stream: LANES elements, element 0 first.
template <class T, int LANES>
struct Beat {
  static_assert(LANES >= 1, "a beat has at least one element");
  T lane[LANES];
};

template <int BITS, int SIGNED, int LANES>
using beat_t = Beat<integer_t<BITS, SIGNED>, LANES>;

// Bits that hold 0..most.
constexpr int bits_for(long long most) { return most < 2 ? 1 : 1 + bits_for(most / 2); }

// A counter that holds 0..MOST.
template <long long MOST>
using counter_t = ap_uint<bits_for(MOST)>;

// Ends a step of a unit that moves only while its pipeline does. `m_axis`: any output of the unit.
template <class Out>
inline void next_step(Out&) {
#pragma HLS inline
}

// Ends a cycle of a unit whose writer and reader run side by side; each asks empty() or full() before it moves.
template <class Out>
inline void next_cycle(Out&) {
#pragma HLS inline
}

}  // namespace gatewright

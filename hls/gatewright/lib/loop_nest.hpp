// SPDX-License-Identifier: Apache-2.0
// Five nested loops that advance by one turn a step, N0 innermost, and values that are linear in their turns.
#pragma once

#include "gatewright/lib/stream.hpp"

namespace gatewright {

template <int N0, int N1 = 1, int N2 = 1, int N3 = 1, int N4 = 1>
struct LoopNest {
  static_assert(N0 >= 1 && N1 >= 1 && N2 >= 1 && N3 >= 1 && N4 >= 1, "every loop has at least one turn");
  counter_t<N0> i0 = 0;
  counter_t<N1> i1 = 0;
  counter_t<N2> i2 = 0;
  counter_t<N3> i3 = 0;
  counter_t<N4> i4 = 0;

  // How many loops, from the inside, are in their last turn: 0 to 5. A step advances loop number level().
  int level() const {
#pragma HLS inline
    if (i0 != N0 - 1) return 0;
    if (i1 != N1 - 1) return 1;
    if (i2 != N2 - 1) return 2;
    if (i3 != N3 - 1) return 3;
    if (i4 != N4 - 1) return 4;
    return 5;
  }

  void step(int level) {
#pragma HLS inline
    i0 = level == 0 ? counter_t<N0>(i0 + 1) : counter_t<N0>(0);
    if (level >= 1) i1 = level == 1 ? counter_t<N1>(i1 + 1) : counter_t<N1>(0);
    if (level >= 2) i2 = level == 2 ? counter_t<N2>(i2 + 1) : counter_t<N2>(0);
    if (level >= 3) i3 = level == 3 ? counter_t<N3>(i3 + 1) : counter_t<N3>(0);
    if (level >= 4) i4 = level == 4 ? counter_t<N4>(i4 + 1) : counter_t<N4>(0);
  }

  // By how much i0*S0 + ... + i4*S4 changes in a step; S5 more than back to its start when the nest starts anew.
  template <int S0, int S1, int S2, int S3, int S4, int S5>
  static int move(int level) {
#pragma HLS inline
    constexpr int T0 = (N0 - 1) * S0;
    constexpr int T1 = T0 + (N1 - 1) * S1;
    constexpr int T2 = T1 + (N2 - 1) * S2;
    constexpr int T3 = T2 + (N3 - 1) * S3;
    constexpr int T4 = T3 + (N4 - 1) * S4;
    switch (level) {
      case 0: return S0;
      case 1: return S1 - T0;
      case 2: return S2 - T1;
      case 3: return S3 - T2;
      case 4: return S4 - T3;
      default: return S5 - T4;
    }
  }

  // The same, kept modulo MODULUS: from 0..MODULUS-1 to 0..MODULUS-1.
  template <int MODULUS, int S0, int S1, int S2, int S3, int S4, int S5>
  static int wrapped(int value, int level) {
#pragma HLS inline
    constexpr int T0 = (N0 - 1) * S0;
    constexpr int T1 = T0 + (N1 - 1) * S1;
    constexpr int T2 = T1 + (N2 - 1) * S2;
    constexpr int T3 = T2 + (N3 - 1) * S3;
    constexpr int T4 = T3 + (N4 - 1) * S4;
    int next = value;
    switch (level) {
      case 0: next += modulo(S0, MODULUS); break;
      case 1: next += modulo(S1 - T0, MODULUS); break;
      case 2: next += modulo(S2 - T1, MODULUS); break;
      case 3: next += modulo(S3 - T2, MODULUS); break;
      case 4: next += modulo(S4 - T3, MODULUS); break;
      default: next += modulo(S5 - T4, MODULUS); break;
    }
    return next >= MODULUS ? next - MODULUS : next;
  }

  static constexpr int modulo(int value, int modulus) { return (value % modulus + modulus) % modulus; }
};

}  // namespace gatewright

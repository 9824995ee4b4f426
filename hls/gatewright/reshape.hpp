// SPDX-License-Identifier: Apache-2.0
// Another order of the elements of a block: output beat i of every block beats is its input beat order(i).
//
// Beats: pe elements that stay together, in and out. One block is read while the next one is written; a beat leaves as
// soon as it is there and its turn has come. One beat a cycle. A block is the least share of a frame that no element
// leaves: a row of a pixel shuffle, the whole frame of a transposition.
// order(i) is start + i0 * s0 + ... + i4 * s4 over the turns of five nested loops (any transposition), or with table a
// memory: word i of order holds order(i).
#pragma once

#include "gatewright/lib/loop_nest.hpp"
#include "gatewright/lib/memory.hpp"
#include "gatewright/lib/ping_pong.hpp"
#include "gatewright/lib/stream.hpp"

namespace gatewright {

// order(i) for one i after another: by nested loops, or from a memory.
template <class Cfg, bool TABLE>
struct ReshapeAddress {
  static_assert(Cfg::n0 * Cfg::n1 * Cfg::n2 * Cfg::n3 * Cfg::n4 == Cfg::block, "reshape: the loops must make a block");
  LoopNest<Cfg::n0, Cfg::n1, Cfg::n2, Cfg::n3, Cfg::n4> nest;
  counter_t<Cfg::block> place = Cfg::start;

  counter_t<Cfg::block> at() const {
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
    place = static_cast<int>(place) + nest.template move<Cfg::s0, Cfg::s1, Cfg::s2, Cfg::s3, Cfg::s4, 0>(level);
    nest.step(level);
  }
};

template <class Cfg>
struct ReshapeAddress<Cfg, true> {
  static_assert(Cfg::order_bits == bits_for(Cfg::block - 1), "reshape: order_bits must hold the last beat of a block");
  ap_uint<Cfg::order_bits> order[Cfg::block];
  counter_t<Cfg::block> beat = 0;

  ReshapeAddress() {
#pragma HLS inline
  word:
    for (int word = 0; word < Cfg::block; ++word) order[word] = element<typename Cfg::order>(word);
  }
  ap_uint<Cfg::order_bits> at() const {
#pragma HLS inline
    return order[static_cast<int>(beat)];
  }
  bool last() const {
#pragma HLS inline
    return beat == Cfg::block - 1;
  }
  void step() {
#pragma HLS inline
    beat = last() ? 0 : static_cast<int>(beat) + 1;
  }
};

template <class Cfg, class In, class Out>
void reshape(In& s_axis, Out& m_axis, unsigned frames) {
  static_assert(Cfg::in_lanes == Cfg::pe && Cfg::out_lanes == Cfg::pe && Cfg::in_beats == Cfg::out_beats,
                "reshape: pe must equal the lanes of both streams, which carry equally many beats");
  static_assert(Cfg::in_bits == Cfg::out_bits && Cfg::in_signed == Cfg::out_signed,
                "reshape: input and output have elements of one type");
  static_assert(Cfg::block >= 1 && Cfg::in_beats % Cfg::block == 0,
                "reshape: block must be at least 1 and divide the beats of a frame");
  ReshapeAddress<Cfg, Cfg::table != 0> address;
  ping_pong<beat_t<Cfg::in_bits, Cfg::in_signed, Cfg::pe>, Cfg::block, Cfg::in_beats / Cfg::block, Cfg::out_beats>(
      address, s_axis, m_axis, frames);
}

}  // namespace gatewright

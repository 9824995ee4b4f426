// SPDX-License-Identifier: Apache-2.0
// Joins two tensors along an axis: in every turn turn0 beats of input 0, then turn1 beats of input 1.
//
// Beats: pe elements in and out. Along the channels a turn is a pixel, along the rows of an image the whole frame.
// The inputs may differ in width and sign; each is extended to the output's. One beat a step.
#pragma once

#include "gatewright/lib/stream.hpp"

namespace gatewright {

template <class Cfg, class In0, class In1, class Out>
void concat(In0& s0_axis, In1& s1_axis, Out& m_axis, unsigned frames) {
  constexpr int TURN = Cfg::turn0 + Cfg::turn1;
  constexpr int TURNS = Cfg::out_beats / TURN;
  static_assert(Cfg::in0_lanes == Cfg::pe && Cfg::in1_lanes == Cfg::pe && Cfg::out_lanes == Cfg::pe,
                "concat: pe must equal the lanes of all streams");
  static_assert(Cfg::out_beats % TURN == 0 && Cfg::in0_beats == TURNS * Cfg::turn0 &&
                    Cfg::in1_beats == TURNS * Cfg::turn1,
                "concat: the beats of both inputs must fill those of the output in turns of turn0 and turn1");
  static_assert(Cfg::out_signed || (!Cfg::in0_signed && !Cfg::in1_signed),
                "concat: the output of a signed input must be signed");
  static_assert(Cfg::in0_bits + !Cfg::in0_signed <= Cfg::out_bits + !Cfg::out_signed &&
                    Cfg::in1_bits + !Cfg::in1_signed <= Cfg::out_bits + !Cfg::out_signed,
                "concat: the output must hold every element of both inputs");

frame:
  for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS loop_tripcount min=1 max=1
  turn:
    for (int turn = 0; turn < TURNS; ++turn) {
    beat:
      for (int beat = 0; beat < TURN; ++beat) {
#pragma HLS pipeline II=1 style=flp
        beat_t<Cfg::out_bits, Cfg::out_signed, Cfg::pe> y;
        if (beat < Cfg::turn0) {
          const beat_t<Cfg::in0_bits, Cfg::in0_signed, Cfg::pe> a = s0_axis.read();
        lane0:
          for (int p = 0; p < Cfg::pe; ++p) {
#pragma HLS unroll
            y.lane[p] = a.lane[p];
          }
        } else {
          const beat_t<Cfg::in1_bits, Cfg::in1_signed, Cfg::pe> b = s1_axis.read();
        lane1:
          for (int p = 0; p < Cfg::pe; ++p) {
#pragma HLS unroll
            y.lane[p] = b.lane[p];
          }
        }
        m_axis.write(y);
        next_step(m_axis);
      }
    }
  }
}

}  // namespace gatewright

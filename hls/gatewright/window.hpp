// SPDX-License-Identifier: Apache-2.0
// im2col: out[oh,ow,kh,kw,c] = image[ih,iw,c] with ih = oh*stride_h + kh*dilation_h - pad_top and
// iw = ow*stride_w + kw*dilation_w - pad_left, and pad_value outside the image.
//
// Beats: simd channels, in order row, column, channel group in, and oh, ow, kh, kw, channel group out.
// A writer fills a ring of buffer_rows rows, and takes a beat whose row is less than buffer_rows rows ahead of the
// oldest one that the unfinished output rows need. A reader gives a beat as soon as its pixel is written; padding waits
// for the first beat of its frame. The two run side by side, across rows and frames: one beat each a cycle.
// A dense behind it makes a convolution, a maxpool max pooling.
#pragma once

#include "gatewright/lib/loop_nest.hpp"
#include "gatewright/lib/stream.hpp"

namespace gatewright {

template <class Cfg, class In, class Out>
void window(In& s_axis, Out& m_axis, unsigned frames) {
  constexpr int GROUPS = Cfg::channels / Cfg::simd;
  constexpr int ROW = Cfg::width * GROUPS;  // beats
  constexpr int FRAME = Cfg::height * ROW;
  constexpr int RING = Cfg::buffer_rows * ROW;
  constexpr int SPAN_H = (Cfg::kernel_h - 1) * Cfg::dilation_h + 1;
  constexpr int SPAN_W = (Cfg::kernel_w - 1) * Cfg::dilation_w + 1;
  constexpr bool PADDED = Cfg::pad_top + Cfg::pad_left + Cfg::pad_bottom + Cfg::pad_right > 0;
  static_assert(Cfg::in_lanes == Cfg::simd && Cfg::out_lanes == Cfg::simd && Cfg::channels % Cfg::simd == 0,
                "window: simd must equal the lanes of both streams and divide channels");
  static_assert(Cfg::out_height == (Cfg::height + Cfg::pad_top + Cfg::pad_bottom - SPAN_H) / Cfg::stride_h + 1,
                "window: out_height must follow from height, padding, kernel, dilation and stride");
  static_assert(Cfg::out_width == (Cfg::width + Cfg::pad_left + Cfg::pad_right - SPAN_W) / Cfg::stride_w + 1,
                "window: out_width must follow from width, padding, kernel, dilation and stride");
  static_assert(Cfg::in_beats == FRAME &&
                    Cfg::out_beats == Cfg::out_height * Cfg::out_width * Cfg::kernel_h * Cfg::kernel_w * GROUPS,
                "window: the beats of both streams must match the shapes");
  static_assert(Cfg::buffer_rows >= SPAN_H, "window: buffer_rows must hold the rows that a kernel spans");
  typedef LoopNest<GROUPS, Cfg::kernel_w, Cfg::kernel_h, Cfg::out_width, Cfg::out_height> Nest;
  typedef beat_t<Cfg::in_bits, Cfg::in_signed, Cfg::simd> Word;

  Word ring[RING];
#pragma HLS aggregate variable=ring

  // Reader: how far the beat that it wants is behind the writer (0 or less: not written yet), its place in the ring,
  // its row and column.
  Nest nest;
  int behind = Cfg::pad_top * ROW + Cfg::pad_left * GROUPS;
  int read_at = Nest::modulo(-behind, RING);
  int row = -Cfg::pad_top;
  int column = -Cfg::pad_left;
  // Writer: rows from the oldest one that is still needed to the one being written.
  int write_at = 0;
  int write_column = 0;
  int write_row = 0;
  int ahead = 0;
  int oldest = 0;
  int start = Cfg::stride_h - Cfg::pad_top;  // where the windows of the next output row start
  unsigned begun = 0, written = 0, read = 0;  // frames

cycle:
  while (read < frames || written < frames) {
#pragma HLS pipeline II=1 style=flp
#pragma HLS loop_tripcount min=Cfg::out_beats max=Cfg::out_beats
    const bool pad = PADDED && (row < 0 || row >= Cfg::height || column < 0 || column >= Cfg::width);
    const bool give = read < frames && !m_axis.full() && (pad ? begun > read : behind > 0);
    const bool take = written < frames && ahead < Cfg::buffer_rows && !s_axis.empty();
    if (give) {
      const Word word = ring[read_at];
      beat_t<Cfg::out_bits, Cfg::out_signed, Cfg::simd> y;
    lane:
      for (int p = 0; p < Cfg::simd; ++p) {
#pragma HLS unroll
        y.lane[p] = word.lane[p];
        if (pad) y.lane[p] = Cfg::pad_value;
      }
      m_axis.write(y);
      const int level = nest.level();
      nest.step(level);
      behind += Nest::template move<-1, -Cfg::dilation_w * GROUPS, -Cfg::dilation_h * ROW, -Cfg::stride_w * GROUPS,
                                    -Cfg::stride_h * ROW, -FRAME>(level);
      read_at = Nest::template wrapped<RING, 1, Cfg::dilation_w * GROUPS, Cfg::dilation_h * ROW, Cfg::stride_w * GROUPS,
                                       Cfg::stride_h * ROW, FRAME>(read_at, level);
      row += Nest::template move<0, 0, Cfg::dilation_h, 0, Cfg::stride_h, 0>(level);
      column += Nest::template move<0, Cfg::dilation_w, 0, Cfg::stride_w, 0, 0>(level);
      if (level >= 4) {  // an output row is done; a finished frame needs nothing before the next one
        const int next = level == 5 || start > Cfg::height ? Cfg::height : start < 0 ? 0 : start;
        ahead -= next - oldest;
        oldest = level == 5 ? 0 : next;
        start = level == 5 ? Cfg::stride_h - Cfg::pad_top : start + Cfg::stride_h;
      }
      if (level == 5) ++read;
    }
    if (take) {
      ring[write_at] = s_axis.read();
      write_at = write_at == RING - 1 ? 0 : write_at + 1;
      ++behind;
      if (write_column == 0 && write_row == 0) ++begun;
      if (++write_column == ROW) {
        write_column = 0;
        ++ahead;
        if (++write_row == Cfg::height) {
          write_row = 0;
          ++written;
        }
      }
    }
    next_cycle(m_axis);
  }
}

}  // namespace gatewright

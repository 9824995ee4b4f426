# SPDX-License-Identifier: Apache-2.0
"""Sliding window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from gatewright.errors import ConfigError, UnsupportedError
from gatewright.ir.cost import Features, counter_bits, sdp_ram
from gatewright.ir.hls4ml import Layers, Windows, zero_padding
from gatewright.ir.importing import ImportContext, OnnxNode, check_size, standard_index
from gatewright.ir.op import Bounds, Op, divisors
from gatewright.ir.padding import padding_integer, read_pads
from gatewright.ir.schedule import Schedule
from gatewright.ir.types import IntArray, Tensor
from gatewright.ops.reshape import in_layout, natural_index


@dataclass(frozen=True, eq=False)
class Window(Op):
    """im2col: every window of an image as one vector, by a line buffer (kernel row, kernel column, channel order).

    Attributes:
        source: image of shape (height, width, channels), or (width, channels): one row, and one row of windows.
        pad_value: what padding holds; 0, or the least value in front of a maximum.
        simd: channels moved at once; divides the channels.
    """

    source: Tensor
    kernel_h: int
    kernel_w: int
    stride_h: int = 1
    stride_w: int = 1
    pad_top: int = 0
    pad_left: int = 0
    pad_bottom: int = 0
    pad_right: int = 0
    dilation_h: int = 1
    dilation_w: int = 1
    pad_value: int = 0
    simd: int = 1

    def __post_init__(self) -> None:
        if len(self.source.shape) not in (2, 3):
            raise ConfigError(
                f"window: input {self.source} must have shape (height, width, channels) or (width, channels)"
            )
        for name in ("kernel_h", "kernel_w", "stride_h", "stride_w", "dilation_h", "dilation_w"):
            if getattr(self, name) < 1:
                raise ConfigError(f"window: {name}={getattr(self, name)!r} must be at least 1")
        if min(self.pad_top, self.pad_left, self.pad_bottom, self.pad_right) < 0:
            raise ConfigError("window: negative padding has no hardware: crop the image before it")
        if self.out_height < 1 or self.out_width < 1:
            raise ConfigError(
                f"window: a kernel spanning {self.span_h}x{self.span_w} does not fit the padded image "
                f"{self.padded_h}x{self.padded_w}: use a smaller kernel or more padding"
            )
        if len(self.source.shape) == 2 and self.out_height > 1:
            raise ConfigError(f"window: {self.out_height} rows of windows of one row {self.source}: give it a height")
        if self.padded and self.source.encoding == "bipolar" and self.pad_value not in (-1, 1):
            raise ConfigError(
                f"window: padding a bipolar image is not possible with {self.pad_value!r}, it has no zero: "
                "pad with -1 or +1, use no padding, or quantise to 2 bits"
            )
        self.check_folding(simd=(self.channels, "channels"))

    # --- shape ------------------------------------------------------------------------------------------------------

    @property
    def height(self) -> int:
        """Rows of the image."""
        return self.source.shape[0] if len(self.source.shape) == 3 else 1

    @property
    def width(self) -> int:
        """Columns of the image."""
        return self.source.shape[-2]

    @property
    def channels(self) -> int:
        """Channels of the image."""
        return self.source.channels

    @property
    def span_h(self) -> int:
        """Rows from the first to the last tap."""
        return (self.kernel_h - 1) * self.dilation_h + 1

    @property
    def span_w(self) -> int:
        """Columns from the first to the last tap."""
        return (self.kernel_w - 1) * self.dilation_w + 1

    @property
    def padded_h(self) -> int:
        """Rows with padding."""
        return self.height + self.pad_top + self.pad_bottom

    @property
    def padded_w(self) -> int:
        """Columns with padding."""
        return self.width + self.pad_left + self.pad_right

    @property
    def padded(self) -> bool:
        """Whether any window reaches beyond the image."""
        return (self.padded_h, self.padded_w) != (self.height, self.width)

    @property
    def out_height(self) -> int:
        """Windows in a column."""
        return (self.padded_h - self.span_h) // self.stride_h + 1

    @property
    def out_width(self) -> int:
        """Windows in a row."""
        return (self.padded_w - self.span_w) // self.stride_w + 1

    # --- what it computes -------------------------------------------------------------------------------------------

    @cached_property
    def _output(self) -> Tensor:
        pad = (self.pad_value,) if self.padded else ()
        scale = (
            self.source.scale * self.kernel_h * self.kernel_w
            if isinstance(self.source.scale, tuple)
            else self.source.scale
        )
        rows = (self.out_height,) if len(self.source.shape) == 3 else ()
        return Tensor(
            (*rows, self.out_width, self.kernel_h * self.kernel_w * self.channels),
            min(self.source.lo, *pad, self.source.lo),
            max(self.source.hi, *pad, self.source.hi),
            scale,
            self.source.encoding,
        )

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """One vector per window."""
        return (self._output,)

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """Gather by strided views of the padded image."""
        (x,) = xs
        pads = ((0, 0), (self.pad_top, self.pad_bottom), (self.pad_left, self.pad_right), (0, 0))
        x = np.pad(x.reshape(-1, self.height, self.width, self.channels), pads, constant_values=self.pad_value)
        taps = [
            x[:, i * self.dilation_h :, j * self.dilation_w :][
                :,
                : (self.out_height - 1) * self.stride_h + 1 : self.stride_h,
                : (self.out_width - 1) * self.stride_w + 1 : self.stride_w,
            ]
            for i in range(self.kernel_h)
            for j in range(self.kernel_w)
        ]
        return (np.concatenate(taps, axis=3).reshape(-1, *self._output.shape),)

    def bounds(self) -> tuple[Bounds, ...]:
        """Per tap: the image's limits if it is ever on the image, the padding's value if it is ever off it."""
        inside = self._taps[2]
        on, off = (np.repeat(m.any(axis=(0, 1)).ravel(), self.channels) for m in (inside, ~inside))
        lo, hi = (np.where(on, v, self.pad_value) for v in (self.source.lo, self.source.hi))
        lo, hi = (np.where(off, pick(v, self.pad_value), v) for pick, v in ((np.minimum, lo), (np.maximum, hi)))
        witness = "the input's own limits and the padding"
        return (Bounds(tuple(lo.tolist()), tuple(hi.tolist()), witness=witness),)

    @property
    def _taps(self) -> tuple[IntArray, IntArray, npt.NDArray[np.bool_]]:
        """Row, column, and whether it is on the image, of every tap of every window: (windows down, across, taps)."""
        ih = (
            np.arange(self.out_height)[:, None] * self.stride_h
            - self.pad_top
            + np.arange(self.kernel_h) * self.dilation_h
        )
        iw = (
            np.arange(self.out_width)[:, None] * self.stride_w
            - self.pad_left
            + np.arange(self.kernel_w) * self.dilation_w
        )
        ih, iw = ih[:, None, :, None], iw[None, :, None, :]
        return ih, iw, (ih >= 0) & (ih < self.height) & (iw >= 0) & (iw < self.width)

    def hls4ml(self) -> Layers:
        """Zeros around the image, and windows for the layer behind."""
        if (self.dilation_h, self.dilation_w) != (1, 1):
            raise ConfigError("hls4ml has no windows with dilation")
        if self.padded and self.pad_value:
            raise ConfigError(f"hls4ml pads with 0 only, not with {self.pad_value}")
        sides = (self.padded_h, self.padded_w)[3 - len(self.source.shape) :]
        limits = (min(self.source.lo, 0), max(self.source.hi, 0)) if self.padded else (self.source.lo, self.source.hi)
        image = replace(self.source, shape=(*sides, self.channels), lo=limits[0], hi=limits[1])
        pads = zero_padding(self.source, image, self.pad_top, self.pad_left) if self.padded else Layers()
        windows = Windows(image, (self.kernel_h, self.kernel_w), (self.stride_h, self.stride_w))
        return replace(pads, windows=None if windows == Windows(image) else windows)

    # --- import -----------------------------------------------------------------------------------------------------

    @classmethod
    def from_onnx(cls, node: OnnxNode, ctx: ImportContext) -> bool:
        """`Pad` with a constant along the axes of an image: windows of one pixel; float steps before it move behind it.

        A convolution or pool behind it takes the padding over.
        """
        if node.op_type != "Pad" or node.domain not in ("", "ai.onnx") or not ctx.is_dynamic(node.inputs[0]):
            return False
        rank = len(ctx.values[node.inputs[0]].shape)
        pads = read_pads(node, ctx, 1 + rank)[1:]
        code = ctx.values[node.inputs[0]].code
        if not any(map(any, pads)):
            ctx.values[node.outputs[0]] = ctx.values[node.inputs[0]]
            return True
        if rank not in (2, 3) or (any(pads[0]) and any(pads[-1])):
            raise UnsupportedError(
                node.name,
                f"Pad by {pads!r} of frames of shape {ctx.values[node.inputs[0]].shape!r}: only the axes of an image "
                "have hardware, not its channels",
            )
        value = ctx.values[node.inputs[0]]
        if value.type is None:
            value, _ = ctx.integer(node, 0)
        layout = natural_index if any(pads[0]) else standard_index
        number = padding_integer(node, ctx, value)
        value = in_layout(ctx, value, node, layout(value.shape))
        assert value.type is not None  # noqa: S101  # it came from ctx.integer
        sides = [(0, 0), *(pads[:-1] if any(pads[0]) else pads[1:])][-2:]
        (top, bottom), (left, right) = sides
        op = cls(value.type, 1, 1, 1, 1, top, left, bottom, right, pad_value=number)
        shape = tuple(n + sum(p) for n, p in zip(value.shape, pads, strict=True))
        check_size(node, op.outputs[0])
        ctx.emit(op, (value,), node.outputs[0], node, shape, layout(shape))
        ctx.values[node.outputs[0]] = replace(ctx.values[node.outputs[0]], steps=value.steps, code=code)
        return True

    # --- its hardware -----------------------------------------------------------------------------------------------

    @property
    def in_lanes(self) -> tuple[int, ...]:
        """`simd` channels a beat."""
        return (self.simd,)

    @property
    def out_lanes(self) -> tuple[int, ...]:
        """`simd` channels a beat."""
        return (self.simd,)

    def foldings(self) -> dict[str, tuple[int, ...]]:
        """Divisors of the channels."""
        return {"simd": divisors(self.channels)}

    @property
    def groups(self) -> int:
        """Beats a pixel."""
        return self.channels // self.simd

    @property
    def row_steps(self) -> int:
        """Steps an output row."""
        return self.out_width * self.kernel_h * self.kernel_w * self.groups

    @property
    def cycles(self) -> int:
        """One beat of a window a step."""
        return self.out_height * self.row_steps

    @property
    def buffer_rows(self) -> int:
        """Rows of the ring: a window and the rows that the next output row adds; at the end of a frame, what the last
        windows still read and what the next frame's first ones need."""
        live = self.height - max(0, min(self.height, (self.out_height - 1) * self.stride_h - self.pad_top))
        first = max(1, min(self.height, self.span_h - self.pad_top))
        return max(self.span_h + self.stride_h, live + first)

    def _oldest_row(self, done: int) -> int:
        """First row still needed when `done` output rows of a frame are finished."""
        if done == self.out_height:
            return self.height
        return min(self.height, max(0, done * self.stride_h - self.pad_top))

    def _row_free(self, row: int) -> int:
        """Steps of its own frame (earlier frames count negative) after which a row has a place in the ring."""
        oldest = [self._oldest_row(d) for d in range(self.out_height + 1)]
        for back in range(1 + -(-self.buffer_rows // self.height)):
            missing = row - self.buffer_rows + 1 + back * self.height
            if missing > 0:
                done = next(d for d, o in enumerate(oldest) if o >= missing)
                return done * self.row_steps - back * self.cycles
        return -self.cycles * (1 + -(-self.buffer_rows // self.height))

    def schedule(self) -> Schedule:
        """The writer runs ahead of the reader by as much as the ring holds; a step waits for the pixel it reads."""
        ih, iw, inside = self._taps
        first = np.where(inside, (ih * self.width + iw) * self.groups, -1)
        # A padding tap waits for the frame's first beat: nothing of a frame leaves before something of it has come.
        need = np.where(first[..., None] < 0, 1, first[..., None] + 1 + np.arange(self.groups))
        row_beats = self.width * self.groups
        after = np.repeat([self._row_free(r) for r in range(self.height)], row_beats)
        return Schedule(
            self.cycles, 2, (np.maximum.accumulate(need.ravel()),), (np.ones(self.cycles, np.bool_),), (after,)
        )

    def parameters(self) -> dict[str, int]:
        """Adds the shapes and the ring's size."""
        names = ("height", "width", "channels", "out_height", "out_width", "buffer_rows")
        own = super().parameters() | {n: getattr(self, n) for n in names}
        # A stored bit of a bipolar image is 0 for -1.
        return own | {"pad_value": int(self.pad_value > 0)} if self.source.encoding == "bipolar" else own

    def features(self) -> Features:
        """The ring, its addresses, the positions that padding is told by, and loop counters."""
        bits, row = self.simd * self.source.bits, self.width * self.groups
        ring, frame = self.buffer_rows * row, self.height * row
        padding = (self.pad_top + self.pad_bottom) * row + (self.pad_left + self.pad_right) * self.groups
        loops = (self.groups, self.kernel_w, self.kernel_h, self.out_width, self.out_height)
        rows = (self.height + self.buffer_rows + self.pad_top + self.pad_bottom + 3 * self.stride_h).bit_length() + 1
        columns = (self.width + self.pad_left + self.pad_right).bit_length() + 1
        address = (ring - 1).bit_length()
        counts = {
            "beat": float((frame + ring + padding).bit_length() + 1),
            "address": float(address),
            "modulo": float(address * (ring & (ring - 1) != 0)),  # a power of two starts anew by itself
            "row": float(rows),
            "position": float((rows + columns) * self.padded),
            "padded": float(bits * self.padded),
            "data": float(bits),
            "loops": float(sum(n > 1 for n in loops)),
            "counter": counter_bits(*loops, row, self.cycles),
        }
        return Features(counts, (sdp_ram(bits, ring),))

    @classmethod
    def examples(cls) -> list[Op]:
        """Kernels, strides, padding, dilation, odd shapes, kernels as large as the image, one pixel, a row, bipolar."""
        return [
            cls(Tensor((5, 5, 2), 0, 15), 3, 3),
            cls(Tensor((6, 6, 4), 0, 15), 3, 3, 1, 1, 1, 1, 1, 1, simd=2),
            cls(Tensor((8, 7, 3), -8, 7), 3, 3, 2, 2, 1, 1, 1, 1, simd=3),
            cls(Tensor((6, 8, 2), 0, 3), 2, 2, 2, 2),
            cls(Tensor((7, 7, 2), 0, 3), 1, 1, 2, 2, simd=2),
            cls(Tensor((9, 9, 1), 0, 255), 3, 3, 1, 1, 2, 2, 2, 2, 2, 2),
            cls(Tensor((4, 4, 2), 0, 7), 4, 4, simd=2),
            cls(Tensor((5, 6, 2), -4, 3), 5, 3, 1, 2, 2, 1, 0, 1, pad_value=-4),
            cls(Tensor((1, 1, 3), 0, 7), 3, 3, 1, 1, 1, 1, 1, 1),
            cls(Tensor((2, 3, 2), 0, 7), 3, 3, 1, 1, 1, 1, 1, 1),
            cls(Tensor((1, 9, 2), 0, 15), 1, 3, 1, 2, 0, 1, 0, 1),
            cls(Tensor((8, 5, 2), 0, 15), 3, 2, 3, 1, 0, 0, 0, 0, simd=2),
            cls(Tensor((9, 3), -8, 7), 1, 4, 1, 2, 0, 2, 0, 1, 1, 2, simd=3),
            cls(Tensor((4, 4, 8), -1, 1, encoding="bipolar"), 2, 2, simd=8),
            cls(Tensor((4, 3, 2), -1, 1, encoding="bipolar"), 3, 3, 1, 1, 1, 1, 1, 1, pad_value=1),
        ]

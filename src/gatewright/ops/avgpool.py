# SPDX-License-Identifier: Apache-2.0
"""Average over windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gatewright.errors import ConfigError, UnsupportedError
from gatewright.ir.cost import Features, counters, running_sum
from gatewright.ir.hls4ml import Layers, Windows, depthwise, sums
from gatewright.ir.importing import ImportContext, OnnxNode
from gatewright.ir.op import Bounds, Op, divisors
from gatewright.ir.padding import integer_of
from gatewright.ir.schedule import Schedule
from gatewright.ir.types import IntArray, Tensor
from gatewright.ops.conv2d import as_image, emit_pool, geometry, pool_window


@dataclass(frozen=True, eq=False)
class Avgpool(Op):
    """Mean over the `window` taps of every vector that a `window` unit gives, channel by channel: the integers are the
    sums, and the division lives in the scale, so it is exact.

    Attributes:
        source: vectors of shape (..., window * channels), tap by tap.
        window: taps of a window.
        pe: channels summed at once; divides the channels.
    """

    source: Tensor
    window: int
    pe: int = 1

    def __post_init__(self) -> None:
        if self.window < 1 or self.source.channels % self.window:
            raise ConfigError(
                f"avgpool: window={self.window!r} does not divide the {self.source.channels} elements of a vector"
            )
        self.check_folding(pe=(self.channels, "channels"))

    @property
    def channels(self) -> int:
        """Channels of the output."""
        return self.source.channels // self.window

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """One sum a channel and window."""
        n, scale = self.window, self.source.scale
        mean = tuple(s / n for s in scale[: self.channels]) if isinstance(scale, tuple) else scale / n
        return (Tensor((*self.source.shape[:-1], self.channels), n * self.source.lo, n * self.source.hi, mean),)

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """Sum over the taps' axis."""
        (x,) = xs
        return (x.reshape(*x.shape[:-1], self.window, self.channels).sum(axis=-2),)

    def bounds(self) -> tuple[Bounds, ...]:
        """All taps at one limit."""
        (out,) = self.outputs
        n = out.channels
        return (Bounds((out.lo,) * n, (out.hi,) * n, witness="all taps at the same limit"),)

    @classmethod
    def from_onnx(cls, node: OnnxNode, ctx: ImportContext) -> bool:
        """`AveragePool` with one or two image axes; factors and offsets before it are moved behind it."""
        if node.op_type != "AveragePool" or node.domain not in ("", "ai.onnx"):
            return False
        value, _ = ctx.integer(node, 0, lambda v: all(s.affine for s in v.steps))
        value = as_image(node, ctx, value)
        pads = geometry(node, tuple(node.attributes["kernel_shape"]), value.shape[1:])[2]
        number = integer_of(value, 0.0)
        value, window, shape = pool_window(node, ctx, value, number or 0)
        if any(pads) and not node.attributes.get("count_include_pad", 0):
            raise UnsupportedError(
                node.name,
                "AveragePool with padding that is not counted divides by another number at the border, which has no "
                "hardware: use count_include_pad=1, or no padding",
            )
        if any(pads) and number is None:
            raise UnsupportedError(
                node.name,
                "AveragePool pads with 0 behind an offset, where 0 is no integer: put a Quant node in front of "
                "AveragePool",
            )
        op = cls(window.outputs[0], window.kernel_h * window.kernel_w)
        emit_pool(node, ctx, value, window, op, shape)
        return True

    def hls4ml(self) -> Layers | None:
        """Windows of one pixel need no `window` above."""
        return self.hls4ml_of_windows(Windows(self.source)) if self.window == 1 else None

    def hls4ml_of_windows(self, windows: Windows) -> Layers:
        """A depthwise convolution with ones: the integers are sums, and hls4ml's average divides them."""
        (out,) = self.outputs
        ones = np.ones((self.channels, self.window), np.int64)
        return depthwise(windows, ones, out, sums(out, 0, 0), self.source.channels // self.pe)

    # --- its hardware -----------------------------------------------------------------------------------------------

    def foldings(self) -> dict[str, tuple[int, ...]]:
        """Divisors of the channels."""
        return {"pe": divisors(self.channels)}

    @property
    def cycles(self) -> int:
        """One beat a step."""
        return self.source.size // self.pe

    def schedule(self) -> Schedule:
        """The steps of the last tap give the sums."""
        step = np.arange(self.cycles)
        produce = step // (self.channels // self.pe) % self.window == self.window - 1
        return Schedule(self.cycles, 1, (step + 1,), (produce,))

    def parameters(self) -> dict[str, int]:
        """Adds the channels and the encoding."""
        return super().parameters() | {
            "in_bipolar": int(self.source.encoding == "bipolar"),
            "channels": self.channels,
        }

    def features(self) -> Features:
        """An adder a lane, and the running sums in LUT RAM, or in registers where there is one group."""
        groups = self.channels // self.pe
        counts, store = running_sum(self.pe * self.outputs[0].bits, groups)
        counts |= counters(groups, self.window, self.outputs[0].size // self.pe)
        return Features(counts, store)

    @classmethod
    def examples(cls) -> list[Op]:
        """Signed, unsigned and bipolar, one tap and many, one channel and many, positive-only limits."""
        return [
            cls(Tensor((2, 2, 4 * 2), 0, 15), 4),
            cls(Tensor((3, 1, 9 * 4), -8, 7), 9, 2),
            cls(Tensor((2, 2, 6), -100, 27), 1, 3),
            cls(Tensor((5, 3 * 1), 0, 1), 3),
            cls(Tensor((3, 4 * 6), 5, 9), 4, 6),
            cls(Tensor((2, 4 * 8), -1, 1, encoding="bipolar"), 4, 4),
        ]

# SPDX-License-Identifier: Apache-2.0
"""Maximum over windows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gatewright.errors import ConfigError
from gatewright.ir.chain import direction
from gatewright.ir.cost import Features, Ram, counters
from gatewright.ir.hls4ml import Layers, Windows, maximum
from gatewright.ir.importing import ImportContext, OnnxNode
from gatewright.ir.op import Bounds, Op, divisors
from gatewright.ir.schedule import Schedule
from gatewright.ir.types import IntArray, Tensor
from gatewright.ops.conv2d import as_image, emit_pool, pool_window


@dataclass(frozen=True, eq=False)
class Maxpool(Op):
    """y = the maximum over the `window` taps of every vector that a `window` unit gives, channel by channel.

    Attributes:
        source: vectors of shape (height, width, window * channels), tap by tap.
        window: taps of a window.
        pe: channels compared at once; divides the channels.
    """

    source: Tensor
    window: int
    pe: int = 1

    def __post_init__(self) -> None:
        if self.window < 1 or self.source.channels % self.window:
            raise ConfigError(
                f"maxpool: window={self.window!r} does not divide the {self.source.channels} elements of a vector"
            )
        self.check_folding(pe=(self.channels, "channels"))

    @property
    def channels(self) -> int:
        """Channels of the output."""
        return self.source.channels // self.window

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """One maximum a channel and window."""
        scale = self.source.scale[: self.channels] if isinstance(self.source.scale, tuple) else self.source.scale
        return (
            Tensor(
                (*self.source.shape[:-1], self.channels), self.source.lo, self.source.hi, scale, self.source.encoding
            ),
        )

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """Maximum over the taps' axis."""
        (x,) = xs
        return (x.reshape(*x.shape[:-1], self.window, self.channels).max(axis=-2),)

    def bounds(self) -> tuple[Bounds, ...]:
        """The input's own limits."""
        n = self.channels
        return (Bounds((self.source.lo,) * n, (self.source.hi,) * n, witness="all taps at the same limit"),)

    @classmethod
    def from_onnx(cls, node: OnnxNode, ctx: ImportContext) -> bool:
        """`MaxPool` over one or two image axes; float steps before it that never fall are moved behind it."""
        if node.op_type != "MaxPool":
            return False
        value, tensor = ctx.integer(node, 0, lambda v: bool((direction(v.steps, v.channels) >= 0).all()))
        value = as_image(node, ctx, value)
        value, window, shape = pool_window(node, ctx, value, tensor.lo, extend=True)
        op = cls(window.outputs[0], window.kernel_h * window.kernel_w)
        emit_pool(node, ctx, value, window, op, shape)
        code = ctx.values[node.inputs[0]].code
        if code is not None:  # the greatest code is that of the greatest number
            ctx.values[node.outputs[0]] = replace(ctx.values[node.outputs[0]], steps=(), code=code)
        return True

    def hls4ml(self) -> Layers | None:
        """Windows of one pixel need no `window` above."""
        return self.hls4ml_of_windows(Windows(self.source)) if self.window == 1 else None

    def hls4ml_of_windows(self, windows: Windows) -> Layers:
        """A maximum pool."""
        return maximum(windows, self.outputs[0])

    # --- its hardware -----------------------------------------------------------------------------------------------

    def foldings(self) -> dict[str, tuple[int, ...]]:
        """Divisors of the channels."""
        return {"pe": divisors(self.channels)}

    @property
    def cycles(self) -> int:
        """One beat a step."""
        return self.source.size // self.pe

    def schedule(self) -> Schedule:
        """The steps of the last tap give the result."""
        groups = self.channels // self.pe
        step = np.arange(self.cycles)
        produce = step // groups % self.window == self.window - 1
        return Schedule(self.cycles, 1, (step + 1,), (produce,))

    def parameters(self) -> dict[str, int]:
        """Adds the channels."""
        return super().parameters() | {"channels": self.channels}

    def features(self) -> Features:
        """A comparator and a multiplexer a lane; the maxima in LUT RAM, or in registers where there is one group."""
        bits, groups = self.pe * self.source.bits, self.channels // self.pe
        store = (Ram(bits, groups),) if groups > 1 else ()
        held = {"data": float(bits), "held": float(bits * (groups == 1))}
        return Features(held | counters(groups, self.window, self.outputs[0].size // self.pe), store)

    @classmethod
    def examples(cls) -> list[Op]:
        """Signed, unsigned and bipolar, one tap and many, one channel and many."""
        return [
            cls(Tensor((2, 2, 4 * 2), 0, 15), 4),
            cls(Tensor((3, 1, 9 * 4), -8, 7), 9, 2),
            cls(Tensor((2, 2, 6), -100, 27), 1, 3),
            cls(Tensor((5, 2 * 1), 0, 1), 2),
            cls(Tensor((3, 4 * 6), -2048, 2047), 4, 6),
            cls(Tensor((2, 2, 4 * 4), -1, 1, encoding="bipolar"), 4, 2),
        ]

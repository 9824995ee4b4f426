# SPDX-License-Identifier: Apache-2.0
"""Global average pooling."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from gatewright.errors import ConfigError, UnsupportedError
from gatewright.ir.cost import Features, counters, running_sum
from gatewright.ir.hls4ml import Layers, Windows, depthwise, sums
from gatewright.ir.importing import ImportContext, OnnxNode
from gatewright.ir.op import Bounds, Op, divisors
from gatewright.ir.schedule import Schedule
from gatewright.ir.types import IntArray, Tensor
from gatewright.ops.conv2d import as_image


@dataclass(frozen=True, eq=False)
class GlobalAvgpool(Op):
    """Mean over all pixels per channel: the integers are the sums, and the division lives in the scale, so it is exact.

    Attributes:
        source: image of shape (..., channels).
        pe: channels summed at once; divides the channels.
    """

    source: Tensor
    pe: int = 1

    def __post_init__(self) -> None:
        if len(self.source.shape) < 2:
            raise ConfigError(f"global_avgpool: input {self.source} needs at least one axis besides the channels")
        self.check_folding(pe=(self.source.channels, "channels"))

    @property
    def pixels(self) -> int:
        """Elements summed per channel."""
        return math.prod(self.source.shape[:-1])

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """One sum a channel."""
        n, scale = self.pixels, self.source.scale
        mean = tuple(s / n for s in scale) if isinstance(scale, tuple) else scale / n
        return (Tensor((self.source.channels,), n * self.source.lo, n * self.source.hi, mean),)

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """Plain sums."""
        (x,) = xs
        return (x.reshape(len(x), self.pixels, self.source.channels).sum(axis=1),)

    def bounds(self) -> tuple[Bounds, ...]:
        """All pixels at one limit."""
        (out,) = self.outputs
        c = out.channels
        return (Bounds((out.lo,) * c, (out.hi,) * c, witness="all pixels at the same limit"),)

    @classmethod
    def from_onnx(cls, node: OnnxNode, ctx: ImportContext) -> bool:
        """`GlobalAveragePool`, and `ReduceMean` over all image axes; affine steps before it move behind it."""
        if node.op_type not in ("GlobalAveragePool", "ReduceMean"):
            return False
        if node.op_type == "ReduceMean":
            _check_axes(node, ctx, len(ctx.values[node.inputs[0]].shape) + 1)
        value = as_image(node, ctx, ctx.integer(node, 0, lambda v: all(s.affine for s in v.steps))[0])
        assert value.type is not None  # noqa: S101  # it came from ctx.integer
        op = cls(value.type)
        keep = node.op_type == "GlobalAveragePool" or node.attributes.get("keepdims", 1)
        shape = (value.channels, *(1,) * (len(value.shape) - 1)) if keep else (value.channels,)
        ctx.emit(op, (value,), node.outputs[0], node, shape, np.arange(value.channels))
        for step in value.steps:
            ctx.extend(ctx.values[node.outputs[0]], step, node.outputs[0], node)
        return True

    def hls4ml(self) -> Layers:
        """A depthwise convolution with ones whose kernel is the image: hls4ml's average divides the sums."""
        (out,) = self.outputs
        *sides, channels = self.source.shape
        pixel = replace(out, shape=(*(1 for _ in sides), channels))
        kernel = (1, *sides)[-2:]
        ones = np.ones((channels, self.pixels), np.int64)
        return depthwise(Windows(self.source, (kernel[0], kernel[1])), ones, pixel, sums(out, 0, 0), self.cycles)

    # --- its hardware -----------------------------------------------------------------------------------------------

    def foldings(self) -> dict[str, tuple[int, ...]]:
        """Divisors of the channels."""
        return {"pe": divisors(self.source.channels)}

    @property
    def cycles(self) -> int:
        """One beat a step."""
        return self.source.size // self.pe

    def schedule(self) -> Schedule:
        """The steps of the last pixel give the sums."""
        step = np.arange(self.cycles)
        produce = step >= self.cycles - self.source.channels // self.pe
        return Schedule(self.cycles, 1, (step + 1,), (produce,))

    def parameters(self) -> dict[str, int]:
        """Adds the shape and the encoding."""
        encoding = {"in_bipolar": int(self.source.encoding == "bipolar")}
        return super().parameters() | encoding | {"channels": self.source.channels, "pixels": self.pixels}

    def features(self) -> Features:
        """An adder a lane, and the running sums in LUT RAM, or in registers where there is one group."""
        groups = self.source.channels // self.pe
        counts, store = running_sum(self.pe * self.outputs[0].bits, groups)
        return Features({**counts, **counters(groups, self.pixels, groups)}, store)

    @classmethod
    def examples(cls) -> list[Op]:
        """One pixel and many, signed, unsigned and bipolar, positive-only limits."""
        return [
            cls(Tensor((4, 4, 6), 0, 15), 2),
            cls(Tensor((1, 1, 3), -8, 7)),
            cls(Tensor((3, 5, 4), -128, 127), 4),
            cls(Tensor((7, 2), 0, 1)),
            cls(Tensor((2, 2, 2), 3, 9), 1),
            cls(Tensor((3, 3, 8), -1, 1, encoding="bipolar"), 4),
        ]


def _check_axes(node: OnnxNode, ctx: ImportContext, rank: int) -> None:
    """Refuse a ReduceMean of a tensor of `rank` axes, batch included, that is not over all its image axes."""
    axes = node.attributes.get("axes")
    if axes is None and len(node.inputs) > 1:
        axes = ctx.constant(node, 1).ravel().tolist()
    image = "the image axis (2)" if rank == 3 else "both image axes (2 and 3)"
    if rank not in (3, 4) or sorted(a % rank for a in axes or ()) != list(range(2, rank)):
        raise UnsupportedError(node.name, f"ReduceMean over axes {axes!r}: only the mean over {image} has hardware")

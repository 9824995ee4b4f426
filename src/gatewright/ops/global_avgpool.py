# SPDX-License-Identifier: Apache-2.0
"""Global average pooling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gatewright.errors import ConfigError, UnsupportedError
from gatewright.ir.importing import ImportContext, OnnxNode
from gatewright.ir.op import Bounds, Op, divisors
from gatewright.ir.schedule import Schedule
from gatewright.ir.types import IntArray, Tensor
from gatewright.ops.conv2d import check_image


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
        """`GlobalAveragePool`, and `ReduceMean` over the two image axes; affine steps before it move behind it."""
        if node.op_type == "ReduceMean":
            axes = node.attributes.get("axes")
            if axes is None and len(node.inputs) > 1:
                axes = ctx.constant(node, 1).ravel().tolist()
            if sorted(a % 4 for a in axes or ()) != [2, 3]:
                raise UnsupportedError(
                    node.name,
                    f"ReduceMean over axes {axes!r}: only the mean over both image axes (2 and 3) has hardware",
                )
        elif node.op_type != "GlobalAveragePool":
            return False
        value = ctx.values[node.inputs[0]]
        if value.type is None or len(value.shape) != 3 or not all(s.affine for s in value.steps):
            raise UnsupportedError(node.name, f"{node.op_type} needs a quantised image: put a Quant node before it")
        check_image(node, value)
        op = cls(value.type)
        keep = node.op_type == "GlobalAveragePool" or node.attributes.get("keepdims", 1)
        shape = (value.channels, 1, 1) if keep else (value.channels,)
        ctx.emit(op, (value,), node.outputs[0], node, shape, np.arange(value.channels))
        for step in value.steps:
            ctx.extend(ctx.values[node.outputs[0]], step, node.outputs[0], node)
        return True

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
        """Adds the shape."""
        return super().parameters() | {"channels": self.source.channels, "pixels": self.pixels}

    def resources(self) -> dict[str, float]:
        """First model: an adder a lane, the running sums in distributed RAM."""
        bits = self.pe * self.outputs[0].bits
        return {
            "LUT": 1.2 * bits + bits * -(-self.source.channels // self.pe // 32) + 25,
            "FF": bits + 25.0,
            "BRAM36": 0.0,
            "DSP": 0.0,
        }

    @classmethod
    def examples(cls) -> list[Op]:
        """One pixel and many, signed and unsigned, positive-only limits."""
        return [
            cls(Tensor((4, 4, 6), 0, 15), 2),
            cls(Tensor((1, 1, 3), -8, 7)),
            cls(Tensor((3, 5, 4), -128, 127), 4),
            cls(Tensor((7, 2), 0, 1)),
            cls(Tensor((2, 2, 2), 3, 9), 1),
        ]

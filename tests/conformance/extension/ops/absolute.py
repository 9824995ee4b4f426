# SPDX-License-Identifier: Apache-2.0
"""Absolute value: what an operator from outside the package looks like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gatewright.errors import UnsupportedError
from gatewright.ir.hls4ml import Layers, elementwise
from gatewright.ir.importing import ImportContext, OnnxNode
from gatewright.ir.op import Bounds, Op, divisors
from gatewright.ir.schedule import Schedule, streaming
from gatewright.ir.types import IntArray, Tensor


@dataclass(frozen=True, eq=False)
class Absolute(Op):
    """y = |x| of every element.

    Attributes:
        source: input of shape (..., channels).
        pe: channels processed at once; divides the channels.
    """

    source: Tensor
    pe: int = 1

    def __post_init__(self) -> None:
        self.check_folding(pe=(self.source.channels, "channels"))

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The magnitudes, at the input's scale."""
        lo, hi = self.source.lo, self.source.hi
        least = 0 if lo <= 0 <= hi else min(abs(lo), abs(hi))
        return (Tensor(self.source.shape, least, max(abs(lo), abs(hi)), self.source.scale),)

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """NumPy's absolute value."""
        return (np.abs(xs[0]),)

    def bounds(self) -> tuple[Bounds, ...]:
        """Those of the output's type."""
        (out,) = self.outputs
        n = out.channels
        return (Bounds((out.lo,) * n, (out.hi,) * n, witness="the input's own limits, and 0 between them"),)

    @classmethod
    def from_onnx(cls, node: OnnxNode, ctx: ImportContext) -> bool:
        """`Abs`."""
        if node.op_type != "Abs":
            return False
        value, tensor = ctx.integer(node, 0)
        if tensor.encoding == "bipolar":
            raise UnsupportedError(node.name, "Abs of a bipolar tensor is constant: remove it")
        ctx.emit(cls(tensor), (value,), node.outputs[0], node, value.shape, value.index)
        return True

    def hls4ml(self) -> Layers:
        """The function in `hls/hls4ml/absolute.h`."""
        return elementwise("absolute", self.outputs[0], {}, {})

    def foldings(self) -> dict[str, tuple[int, ...]]:
        """Divisors of the channels."""
        return {"pe": divisors(self.source.channels)}

    @property
    def cycles(self) -> int:
        """One beat a step."""
        return self.source.size // self.pe

    def schedule(self) -> Schedule:
        """One register."""
        return streaming(self.cycles, 1)

    def resources(self, family: str = "xc7") -> dict[str, float]:
        """A conditional negation a lane."""
        bits = float(self.pe * self.source.bits)
        return {"LUT": bits + 6, "FF": bits + 6, "BRAM36": 0.0, "DSP": 0.0}

    @classmethod
    def examples(cls) -> list[Op]:
        """Both signs, either sign alone, every kind of folding."""
        return [
            cls(Tensor((4,), -8, 7), 2),
            cls(Tensor((3, 2, 6), -100, 20), 3),
            cls(Tensor((5, 3), -9, -2)),
            cls(Tensor((2, 5), 3, 17), 5),
        ]

# SPDX-License-Identifier: Apache-2.0
"""Addition of two tensors."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from gatewright.errors import ConfigError, UnsupportedError
from gatewright.ir.importing import ImportContext, OnnxNode, Value
from gatewright.ir.op import Bounds, Op, as_int64, divisors
from gatewright.ir.schedule import Schedule, streaming
from gatewright.ir.types import IntArray, Tensor
from gatewright.ops.requant import Requant


@dataclass(frozen=True, eq=False)
class Add(Op):
    """y = a + b of two tensors of one scale (a residual connection).

    Attributes:
        left, right: inputs of one shape (..., channels) and one scale.
        pe: channels added at once; divides the channels.
    """

    left: Tensor
    right: Tensor
    pe: int = 1

    def __post_init__(self) -> None:
        if self.left.shape != self.right.shape or self.left.scale != self.right.scale:
            raise ConfigError(
                f"add: {self.left} (scale {self.left.scale!r}) and {self.right} (scale "
                f"{self.right.scale!r}) must have one shape and one scale"
            )
        self.check_folding(pe=(self.left.channels, "channels"))

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Both addends."""
        return self.left, self.right

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The sum."""
        return (Tensor(self.left.shape, self.left.lo + self.right.lo, self.left.hi + self.right.hi, self.left.scale),)

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """Plain addition."""
        left, right = xs
        return (left + right,)

    def bounds(self) -> tuple[Bounds, ...]:
        """Sums of the limits."""
        (out,) = self.outputs
        n = out.channels
        return (Bounds((out.lo,) * n, (out.hi,) * n, witness="both inputs at the same limit"),)

    @classmethod
    def from_onnx(cls, node: OnnxNode, ctx: ImportContext) -> bool:
        """`Add` of two activations; unequal scales are first brought to a common finer one, exactly."""
        if node.op_type != "Add" or not all(ctx.is_dynamic(i) for i in node.inputs):
            return False
        (left, a), (right, b) = (ctx.integer(node, i) for i in range(2))
        if left.shape != right.shape or not np.array_equal(left.index, right.index):
            raise UnsupportedError(
                node.name,
                f"Add of frames {left.shape!r} and {right.shape!r}: both must have one "
                "shape and layout; broadcasting activations has no hardware",
            )
        if isinstance(a.scale, tuple) or isinstance(b.scale, tuple):
            raise UnsupportedError(
                node.name,
                "Add of an accumulator with a scale per channel: put a Quant node with one "
                "scale in front of each addend",
            )
        if a.scale != b.scale:
            left, right = _common_scale(node, ctx, left, a, right, b)
        assert left.type is not None and right.type is not None  # noqa: S101  # both came from ctx.integer
        ctx.emit(cls(left.type, right.type), (left, right), node.outputs[0], node, left.shape, left.index)
        return True

    # --- its hardware -----------------------------------------------------------------------------------------------

    def foldings(self) -> dict[str, tuple[int, ...]]:
        """Divisors of the channels."""
        return {"pe": divisors(self.left.channels)}

    @property
    def cycles(self) -> int:
        """One beat a step."""
        return self.left.size // self.pe

    def schedule(self) -> Schedule:
        """One register."""
        return streaming(self.cycles, 1, inputs=2)

    def resources(self) -> dict[str, float]:
        """First model: one LUT a sum bit."""
        bits = self.outputs[0].bits * self.pe
        return {"LUT": bits + 8.0, "FF": bits + 8.0, "BRAM36": 0.0, "DSP": 0.0}

    @classmethod
    def examples(cls) -> list[Op]:
        """Equal and unequal widths, signs mixed."""
        return [
            cls(Tensor((4,), 0, 15), Tensor((4,), 0, 15), 2),
            cls(Tensor((3, 3, 6), -8, 7), Tensor((3, 3, 6), 0, 15), 3),
            cls(Tensor((5, 2), -128, 127), Tensor((5, 2), -3, 3)),
            cls(Tensor((2, 4), 0, 1), Tensor((2, 4), -1000, 1000), 4),
        ]


LARGEST_FACTOR = 1 << 16
"""An addend is multiplied by at most this on the way to the common scale."""
TOLERANCE = Fraction(1, 1 << 22)
"""How far, relatively, the ratio of the factors may be from that of the scales: of the order of
what float32 itself rounds away, so that only rounding ties of a float32 model can differ."""


def _common_scale(
    node: OnnxNode, ctx: ImportContext, left: Value, a: Tensor, right: Value, b: Tensor
) -> tuple[Value, Value]:
    """Both addends as integers of one finer scale, by the smallest factors in the ratio of their scales."""
    ratio = Fraction(float(a.scale)) / Fraction(float(b.scale))  # type: ignore[arg-type]  # checked to be scalars
    limits = (1 << n for n in range(LARGEST_FACTOR.bit_length()))
    near = next((f for n in limits if abs((f := ratio.limit_denominator(n)) / ratio - 1) <= TOLERANCE), None)
    if near is None or max(near.numerator, near.denominator) > LARGEST_FACTOR:
        raise UnsupportedError(
            node.name,
            f"Add of scales {a.scale!r} and {b.scale!r}: no factors up to {LARGEST_FACTOR} bring both to one scale; "
            "share one quantiser between both addends, or use power-of-two scales",
        )
    scale = float(b.scale) / near.denominator  # type: ignore[arg-type]
    return (
        _multiply(node, ctx, left, a, near.numerator, scale, "left"),
        _multiply(node, ctx, right, b, near.denominator, scale, "right"),
    )


def _multiply(
    node: OnnxNode, ctx: ImportContext, value: Value, tensor: Tensor, factor: int, scale: float, side: str
) -> Value:

    n = tensor.channels
    op = Requant(tensor, as_int64([factor] * n), as_int64([0] * n), 0, tensor.lo * factor, tensor.hi * factor, scale)
    name = f"{node.outputs[0]}_{side}"
    ctx.emit(op, (value,), name, node, value.shape, value.index)
    return ctx.values[name]

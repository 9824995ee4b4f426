# SPDX-License-Identifier: Apache-2.0
"""Addition of two tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from gatewright.errors import ConfigError, UnsupportedError
from gatewright.ir.chain import Step, affine_form
from gatewright.ir.cost import Features, counter_bits
from gatewright.ir.functions import one_tensor
from gatewright.ir.hls4ml import Layers, one
from gatewright.ir.importing import ImportContext, OnnxNode, Value, standard_index
from gatewright.ir.op import Bounds, Op, as_int64, divisors
from gatewright.ir.schedule import Schedule, streaming
from gatewright.ir.types import IntArray, Tensor
from gatewright.ops.lut import Lut, inputs_of
from gatewright.ops.requant import Requant
from gatewright.ops.reshape import in_layout


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
        if "bipolar" in (self.left.encoding, self.right.encoding):
            raise ConfigError("add: a bipolar input must be in two's complement: put a lut in front of it")
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
        """`Add` and `Sub` of two activations; unequal scales are first brought to a common finer one, exactly.

        Factors and offsets in front of either are part of its scale, and of an offset behind the sum.
        """
        if node.op_type not in ("Add", "Sub") or not all(ctx.is_dynamic(i) for i in node.inputs):
            return False
        values = [ctx.values[i] for i in node.inputs]
        if one_tensor(*values) and any(v.steps for v in values):
            return False  # a float function of one tensor, as x + sigmoid(x)
        values = [ctx.integer(node, i, affine)[0] for i in range(2)]
        if values[0].shape != values[1].shape:
            raise UnsupportedError(
                node.name,
                f"{node.op_type} of frames {values[0].shape!r} and {values[1].shape!r}: both must have one "
                "shape; broadcasting activations has no hardware",
            )
        index = _layout(values)
        values = [in_layout(ctx, v, node, index) for v in values]
        if node.op_type == "Sub":
            values[1] = replace(values[1], steps=(*values[1].steps, Step("mul", (-1.0,))))
        offset = sum(affine_form(v.steps, v.channels)[1] for v in values)
        (left, right), factor = common_scale(node, ctx, [as_twos(node, ctx, v) for v in values])
        assert left.type is not None and right.type is not None  # noqa: S101  # both came from ctx.integer
        ctx.emit(cls(left.type, right.type), (left, right), node.outputs[0], node, left.shape, left.index)
        ctx.scale(node, np.asarray(factor), np.asarray(offset))
        return True

    def hls4ml(self) -> Layers:
        """A merge."""
        return one("Merge", self.outputs[0], {"op": "add"})

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

    def features(self) -> Features:
        """An adder a lane: a LUT for every bit that both addends have, sign bits included."""
        total = self.outputs[0].bits
        both = min(total - 1 if t.signed else t.bits for t in self.inputs)
        counts = {"both": float(self.pe * both), "sum": float(self.pe * total), "counter": counter_bits(self.cycles)}
        return Features(counts)

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
"""An operand is multiplied by at most this on the way to the common scale."""
TOLERANCE = Fraction(1, 1 << 22)
"""How far, relatively, the ratio of the factors may be from that of the scales: of the order of
what float32 itself rounds away, so that only rounding ties of a float32 model can differ."""


def _layout(values: Sequence[Value]) -> IntArray:
    """The order in which two frames meet: one that either has already, channels last if possible."""
    usual = standard_index(values[0].shape)
    return next((usual for v in values if np.array_equal(v.index.ravel(), usual.ravel())), values[0].index)


def affine(value: Value) -> bool:
    """Whether a value's float steps are factors, none of them 0, and offsets."""
    return all(s.affine for s in value.steps) and bool(affine_form(value.steps, value.channels)[0].all())


def as_twos(node: OnnxNode, ctx: ImportContext, value: Value) -> Value:
    """A bipolar value in two's complement, by a table; any other value as it is."""
    if value.type is None or value.type.encoding != "bipolar":
        return value
    op = Lut(value.type, inputs_of(value.type)[None], float(value.type.scale))  # type: ignore[arg-type]  # one scale
    ctx.emit(op, (value,), f"{node.outputs[0]}_twos", node, value.shape, value.index)
    return replace(ctx.values.pop(f"{node.outputs[0]}_twos"), steps=value.steps)


def common_scale(node: OnnxNode, ctx: ImportContext, values: Sequence[Value]) -> tuple[list[Value], float]:
    """The operands as integers of one finer scale, by the smallest factors in the ratio of their scales.

    Args:
        values: integers behind affine steps, in one layout; their offsets are left to the caller.

    Returns:
        The operands without steps, and the factor that their real values then lack.

    Raises:
        UnsupportedError: only large factors would bring them to one scale.
    """
    values = _with_a_scale(ctx, values)
    scales = [affine_form(v.steps, v.channels)[0] * np.asarray(v.type.scale) for v in values if v.type is not None]
    reference = abs(float(scales[-1][0]))
    ratios = [[_ratio(s, reference) for s in scale.tolist()] for scale in scales]
    known = [r for row in ratios for r in row if r is not None]
    whole = math.lcm(*(r.denominator for r in known))
    if any(None in row for row in ratios) or max(abs(r) * whole for r in known) > LARGEST_FACTOR:
        shown = " and ".join(", ".join(map(repr, sorted(set(s.tolist())))) for s in scales)
        raise UnsupportedError(
            node.name,
            f"{node.op_type} of scales {shown}: no factors up to {LARGEST_FACTOR} bring "
            "both to one scale; share one quantiser between both operands, or use power-of-two scales",
        )
    factors = [as_int64([int(r * whole) for r in row if r is not None]) for row in ratios]
    kept = next((i for i, f in enumerate(factors) if (f == 1).all() and isinstance(_scale(values[i]), float)), None)
    base = reference / whole if kept is None else float(_scale(values[kept]))  # type: ignore[arg-type]  # a float
    lacking = 1.0 if kept is None else float(scales[kept][0]) / base
    rows = zip(values, factors, strict=True)
    return [_multiply(node, ctx, v, f, base, i) for i, (v, f) in enumerate(rows)], lacking


def _scale(value: Value) -> float | tuple[float, ...] | None:
    return None if value.type is None else value.type.scale


def _with_a_scale(ctx: ImportContext, values: Sequence[Value]) -> Sequence[Value]:
    """Stand-ins for missing quantisers take the scale of another operand: they are no reason to refuse."""
    known = next((v for v in values if v.type is not None and v.tensor not in ctx.stand_ins), None)
    if known is None or known.type is None:
        return values
    scale = known.type.scale if isinstance(known.type.scale, float) else known.type.scale[0]
    return [
        v if v.type is None or v.tensor not in ctx.stand_ins else replace(v, type=replace(v.type, scale=scale))
        for v in values
    ]


def _ratio(scale: float, to: float) -> Fraction | None:
    """The simplest fraction near the ratio of two scales; None where only large numbers come near."""
    ratio = Fraction(scale) / Fraction(to)
    limits = (1 << n for n in range(LARGEST_FACTOR.bit_length()))
    return next((f for n in limits if abs((f := ratio.limit_denominator(n)) / ratio - 1) <= TOLERANCE), None)


def _multiply(
    node: OnnxNode, ctx: ImportContext, value: Value, factors: IntArray, scale: float, position: int
) -> Value:
    tensor = value.type
    assert tensor is not None  # noqa: S101  # it has a scale
    if tensor.scale == scale and (factors == 1).all():
        return replace(value, steps=())
    ends = np.outer([tensor.lo, tensor.hi], factors)
    op = Requant(tensor, factors, np.zeros_like(factors), 0, int(ends.min()), int(ends.max()), scale)
    name = f"{node.outputs[0]}_{position}"
    ctx.emit(op, (value,), name, node, value.shape, value.index)
    return ctx.values.pop(name)

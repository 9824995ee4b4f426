# SPDX-License-Identifier: Apache-2.0
"""Everything between an accumulator and the next quantiser, as the model defines it in floating point."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from gatewright.errors import ProofError, UnsupportedError
from gatewright.ir.chain import Step, affine_form, direction, evaluate, quantize
from gatewright.ir.graph import GraphInput
from gatewright.ir.importing import ImportContext, OnnxNode, QuantizedConstant, Value
from gatewright.ir.op import Bounds, Op, as_int64, step_probes
from gatewright.ir.types import FloatArray, IntArray, Tensor
from gatewright.ops.requant import Requant
from gatewright.ops.threshold import Threshold

THRESHOLD_BITS = 4
"""Outputs up to this many bits become thresholds; wider ones a multiplication if one is exact."""

REQUANT_BITS = 16
"""Widest output whose every step is compared."""


@dataclass(frozen=True, eq=False)
class Activation(Op):
    """clip(round_half_even(f(x) / scale), lo, hi), f the model's float steps in float64; lowered to integers by proof.

    Attributes:
        source: input of shape (..., channels).
        steps: the float steps, on real values (source scale * integer).
        scale: of the output.
        quant_lo, quant_hi: limits of the quantiser; the output's own limits are those that are reached.
    """

    composite = True

    source: Tensor
    steps: tuple[Step, ...]
    scale: float
    quant_lo: int
    quant_hi: int

    def define(self, x: IntArray) -> IntArray:
        """The definition on integers of shape (..., channels)."""
        real = x.astype(np.float64) * np.asarray(self.source.scale)
        return quantize(evaluate(self.steps, real), self.scale, self.quant_lo, self.quant_hi)

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """The definition."""
        return (self.define(xs[0]),)

    @cached_property
    def _ends(self) -> tuple[IntArray, IntArray]:
        """The definition at both limits of the input: int64 of shape (channels,) each."""
        at_lo, at_hi = (self.define(np.full((1, self.source.channels), v))[0] for v in (self.source.lo, self.source.hi))
        return at_lo, at_hi

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The quantised values, with the limits that are reached."""
        at_lo, at_hi = self._ends
        lo, hi = int(np.minimum(at_lo, at_hi).min()), int(np.maximum(at_lo, at_hi).max())
        # A constant tensor still needs one bit of range, or nothing could be told apart behind it.
        return (Tensor(self.source.shape, lo, max(hi, lo + 1), self.scale),)

    def bounds(self) -> tuple[Bounds, ...]:
        """Every step is monotone, so the limits of the input reach those of the output."""
        at_lo, at_hi = self._ends
        return (
            Bounds(
                tuple(np.minimum(at_lo, at_hi).tolist()),
                tuple(np.maximum(at_lo, at_hi).tolist()),
                witness="the input's own limits",
            ),
        )

    # --- lowering ---------------------------------------------------------------------------------------------------

    def lower(self) -> tuple[Op, ...]:
        """A `threshold` for narrow outputs, else a `requant` that is equal everywhere, else a `threshold` up to 8 bits.

        Raises:
            ProofError: none of them equals the definition.
        """
        (out,) = self.outputs
        steps = out.hi - out.lo
        if steps >= 1 << REQUANT_BITS:
            raise ProofError(f"the quantiser to {out} has {steps} steps: use at most {REQUANT_BITS} output bits")
        if steps < 1 << THRESHOLD_BITS:
            return (self._threshold(),)
        requant = self._requant()
        if requant is not None:
            return (requant,)
        if steps < 1 << 8:
            return (self._threshold(),)
        raise ProofError(
            f"no multiplication of up to 24 bits equals the quantiser to {out} for every accumulator value, and "
            f"{steps} thresholds a channel are too many: use at most 8 output bits or power-of-two scales"
        )

    def step_positions(self) -> IntArray:
        """Where the definition changes: int64 of shape (channels, hi - lo), ascending, by exact search.

        For a rising channel position k is the least x with f(x) > lo + k, for a falling one the least x with
        f(x) < hi - k; source.hi + 1 where there is none. Bisection is exact because every step is monotone.
        """
        (out,) = self.outputs
        codes = np.arange(1, out.hi - out.lo + 1)[:, None]
        falling = self._falling == 1
        low = np.full((len(codes), self.source.channels), self.source.lo)
        high = np.full_like(low, self.source.hi + 1)
        while (low < high).any():
            middle = (low + high) // 2
            y = self.define(np.minimum(middle, self.source.hi))
            reached = np.where(falling, y <= out.hi - codes, y >= out.lo + codes) & (middle <= self.source.hi)
            high = np.where(reached | (low >= high), np.minimum(high, middle), high)
            low = np.where(reached | (low >= high), low, middle + 1)
        return as_int64(low.T)

    @cached_property
    def _falling(self) -> IntArray:
        return as_int64(direction(self.steps, self.source.channels) < 0)

    def _threshold(self) -> Threshold:
        (out,) = self.outputs
        return Threshold(self.source, self.step_positions(), self._falling, out.lo, out.hi, self.scale)

    def _requant(self) -> Requant | None:
        """The narrowest multiplication that equals the definition at and just below every step, or None."""
        (out,) = self.outputs
        channels = self.source.channels
        factor, offset = affine_form([s for s in self.steps if s.affine], channels)
        factor, offset = factor * np.asarray(self.source.scale) / self.scale, offset / self.scale
        probes = step_probes(self.step_positions(), self.source)
        want = self.define(probes)
        top = float(np.abs(factor).max())
        for bits in range(2, 25):
            shift = bits - 1 - int(np.ceil(np.log2(top))) if top > 0 else 0
            if not 0 <= shift <= 40:
                continue
            reach = max(-self.source.lo, self.source.hi) * top + float(np.abs(offset).max())
            if reach * 2.0**shift >= 1 << 61:
                break  # wider sums than the hardware has
            mult, add = (as_int64(np.rint(v * 2.0**shift)) for v in (factor, offset))
            requant = Requant(self.source, mult, add, shift, out.lo, out.hi, self.scale)
            if (requant.reference(probes)[0] == want).all():
                return requant
        return None

    # --- import -----------------------------------------------------------------------------------------------------

    @classmethod
    def from_onnx(cls, node: OnnxNode, ctx: ImportContext) -> bool:
        """`Quant`, and the float steps that wait for it: `BatchNormalization`, `Relu`, `Mul`, `Div`, `Add`, `Sub`."""
        if node.op_type in ("Quant", "IntQuant"):
            if ctx.is_dynamic(node.inputs[0]):
                _quantize_value(node, ctx)
            else:
                _quantize_constant(node, ctx)
            return True
        steps = _float_steps(node, ctx)
        if steps is None:
            return False
        value, new = steps
        for step in new:
            ctx.extend(value, step, node.outputs[0], node)
            value = ctx.values[node.outputs[0]]
        return True

    @classmethod
    def examples(cls) -> list[Op]:
        """Batch norms of either sign, ReLU, biases, widths that lower to thresholds and to multiplications."""
        rng = np.random.default_rng(0)

        def example(source: Tensor, scale: float, lo: int, hi: int, *, relu: bool, sign: bool = False) -> Activation:
            gain = rng.uniform(0.5, 2.0, source.channels) * (
                np.where(np.arange(source.channels) % 2, -1, 1) if sign else 1
            )
            steps = (Step("mul", tuple(gain.tolist())), Step("add", tuple(rng.normal(0, 2, source.channels).tolist())))
            return cls(source, (*steps, Step("relu")) if relu else steps, scale, lo, hi)

        return [
            example(Tensor((6,), -3000, 2900, 0.01), 1.7, 0, 15, relu=True),
            example(Tensor((3, 3, 4), -500, 480, 0.02), 0.9, -8, 7, relu=False, sign=True),
            example(Tensor((4,), -20000, 20000, 0.001), 0.13, 0, 255, relu=True),
            example(Tensor((5,), 0, 240, 0.0625), 0.0625, -128, 127, relu=False),
        ]


def _float_steps(node: OnnxNode, ctx: ImportContext) -> tuple[Value, list[Step]] | None:
    """The value that a float node reads and the steps that it adds; None when the node is none of these."""
    if not any(ctx.is_dynamic(i) for i in node.inputs):
        return None
    if node.op_type == "Relu":
        return ctx.values[node.inputs[0]], [Step("relu")]
    if node.op_type == "BatchNormalization":
        value = ctx.values[node.inputs[0]]
        return value, _batch_norm(node, ctx, value)
    if node.op_type not in ("Mul", "Div", "Add", "Sub"):
        return None
    dynamic = [ctx.is_dynamic(i) for i in node.inputs]
    if all(dynamic):
        return None
    if node.op_type == "Div" and dynamic[1]:
        raise UnsupportedError(node.name, "division by an activation has no hardware")
    position = dynamic.index(True)
    value, constant = ctx.values[node.inputs[position]], ctx.constant(node, 1 - position).astype(np.float64)
    vector = value.channel_vector(constant)
    if vector is None:
        raise UnsupportedError(
            node.name,
            f"constant of shape {constant.shape!r} varies within a channel: use one value, or one per channel",
        )
    if node.op_type == "Sub":
        negated = tuple(-v for v in vector)
        return value, [Step("add", negated)] if position == 0 else [Step("mul", (-1.0,)), Step("add", vector)]
    kinds: dict[str, Step] = {"Mul": Step("mul", vector), "Div": Step("div", vector), "Add": Step("add", vector)}
    return value, [kinds[node.op_type]]


def _batch_norm(node: OnnxNode, ctx: ImportContext, value: Value) -> list[Step]:
    gamma, beta, mean, variance = (ctx.constant(node, i).astype(np.float64) for i in range(1, 5))
    variance = variance + node.attributes.get("epsilon", 1e-5)
    if not (variance > 0).all():
        raise UnsupportedError(node.name, f"variance {float(variance.min())!r} is not positive: train the model again")
    factor = gamma / np.sqrt(variance)
    axis = (-1, *(1,) * (len(value.shape) - 1))  # the model's own channels, whatever the layout of the integers
    vectors = [value.channel_vector(v.reshape(axis)) for v in (factor, beta - mean * factor)]
    if vectors[0] is None or vectors[1] is None:
        raise UnsupportedError(
            node.name,
            f"{factor.size} batch norm channels on frames of shape {value.shape!r} are not those of the layer before: "
            "put the batch norm before the reshape or transposition",
        )
    return [Step("mul", vectors[0]), Step("add", vectors[1])]


def _quant_settings(node: OnnxNode, ctx: ImportContext) -> tuple[FloatArray, int, int, int]:
    """Scale, bits, lo and hi of a QONNX quantiser; refuses zero points, other roundings and fractional widths."""
    scale, zero, bits = (ctx.constant(node, i).astype(np.float64) for i in (1, 2, 3))
    mode = node.attributes.get("rounding_mode", "ROUND")
    mode = mode.decode() if isinstance(mode, bytes) else mode
    if mode.upper() not in ("ROUND", "HALF_EVEN"):
        raise UnsupportedError(node.name, f"rounding_mode={mode!r} has no hardware: use ROUND (half to even)")
    if zero.any():
        raise UnsupportedError(
            node.name,
            f"zero point {zero.ravel()[:4].tolist()!r} has no hardware: use a symmetric quantiser (zero point 0)",
        )
    if bits.size != 1 or not 1 <= bits.item() <= 32 or bits.item() != int(bits.item()):
        raise UnsupportedError(node.name, f"bit width {bits.ravel()[:4].tolist()!r}: use one whole number from 1 to 32")
    if not (scale > 0).all() or not np.isfinite(scale).all():
        raise UnsupportedError(node.name, f"scale {scale.ravel()[:4].tolist()!r} must be positive and finite")
    n, signed, narrow = int(bits.item()), bool(node.attributes.get("signed", 1)), bool(node.attributes.get("narrow", 0))
    lo = -(1 << n - 1) + narrow if signed else 0
    hi = (1 << n - 1) - 1 if signed else (1 << n) - 1 - narrow
    return scale, n, lo, hi


def _quantize_constant(node: OnnxNode, ctx: ImportContext) -> None:
    """A weight: rounded in the constant's own precision, as every reader of the file does."""
    constant: npt.NDArray[np.generic] = ctx.constant(node, 0)
    scale, bits, lo, hi = _quant_settings(node, ctx)
    if not np.issubdtype(constant.dtype, np.floating) or not np.isfinite(constant).all():
        raise UnsupportedError(
            node.name, f"the constant ({constant.dtype}) is not made of finite floats: export it again"
        )
    ratio = constant / scale.astype(constant.dtype)
    # One signed bit is bipolar in QONNX: -1 or +1.
    values = np.where(ratio >= 0, 1, -1) if (lo, bits) == (-1, 1) else np.clip(np.rint(ratio), lo, hi)
    ctx.quantized[node.outputs[0]] = QuantizedConstant(as_int64(values), scale, bits)
    ctx.constants[node.outputs[0]] = np.asarray(ctx.quantized[node.outputs[0]].values * scale)


def _quantize_value(node: OnnxNode, ctx: ImportContext) -> None:
    value = ctx.values[node.inputs[0]]
    scale, bits, lo, hi = _quant_settings(node, ctx)
    if bits == 1 and node.attributes.get("signed", 1):
        raise UnsupportedError(
            node.name, "one signed bit (bipolar) has no hardware for activations: use 2 bits, or 1 unsigned"
        )
    if scale.size != 1 and not (scale == scale.ravel()[0]).all():
        raise UnsupportedError(
            node.name, "an activation's quantiser with one scale per channel has no hardware: use one scale"
        )
    step = float(scale.ravel()[0])
    if value.type is None:
        tensor = Tensor(value.index.shape, lo, hi, step)
        known = next((i for i in ctx.inputs if i.name == value.tensor), None)
        if known is None:
            ctx.inputs.append(GraphInput(value.tensor, tensor, value.shape, value.index, value.steps))
        elif (known.tensor, known.steps) != (tensor, value.steps) or not np.array_equal(known.index, value.index):
            raise UnsupportedError(
                node.name,
                f"input {value.tensor!r} is quantised in two ways, which has no hardware: share one quantiser",
            )
        ctx.values[node.outputs[0]] = Value(value.tensor, tensor, value.shape, value.index)
        return
    same = not value.steps and value.type.scale == step and lo <= value.type.lo and value.type.hi <= hi
    if same:
        ctx.values[node.outputs[0]] = value
        return
    ctx.emit(
        Activation(value.type, value.steps, step, lo, hi), (value,), node.outputs[0], node, value.shape, value.index
    )

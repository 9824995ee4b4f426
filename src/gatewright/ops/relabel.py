# SPDX-License-Identifier: Apache-2.0
"""Other scales, zero points and limits for integers that were just made, during an import. No operator itself.

They go into the quantiser that makes the integers where nothing reads these yet: into a graph input, which the host
computes, or into an activation that takes the place of the one before it, which no node reads then.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from gatewright.ir.chain import Kind, Rounding, Step
from gatewright.ir.graph import Node
from gatewright.ir.importing import ImportContext, OnnxNode, Value
from gatewright.ir.op import as_int64
from gatewright.ir.quantizers import effective_zero
from gatewright.ir.scales import common_divisor
from gatewright.ir.types import Scale, Tensor
from gatewright.ops.activation import Activation
from gatewright.ops.requant import Requant

LARGEST_SHIFT = 1 << 31
"""Integers are moved by less than this."""


def one_scale(node: OnnxNode, ctx: ImportContext, value: Value) -> Value:
    """Integers of one scale per channel at their common finest one; as they are where the ratios are not whole."""
    tensor = value.type
    if tensor is None or not isinstance(tensor.scale, tuple) or tensor.encoding == "bipolar":
        return value
    finest = common_divisor(np.asarray(tensor.scale))
    if finest is None:
        return value
    factors = as_int64(np.rint(np.asarray(tensor.scale) / finest))
    writer = _writer(ctx, value.tensor)
    bounds = None if writer is None else writer.op.bounds()[0]
    low, high = (tensor.lo, tensor.hi) if bounds is None else (bounds.lo, bounds.hi)
    lo, hi = int((factors * low).min()), int((factors * high).max())
    op = Requant(tensor, factors, as_int64(np.zeros(tensor.channels)), 0, lo, hi, finest)
    name = f"{node.outputs[0]}_scaled"
    ctx.emit(op, (value,), name, node, value.shape, value.index)
    return replace(ctx.values.pop(name), steps=value.steps)


def _writer(ctx: ImportContext, tensor: str) -> Node | None:
    """The node that writes a tensor; None for an input of the graph."""
    return next((n for n in ctx.nodes if tensor in n.outputs), None)


def _activation(ctx: ImportContext, tensor: str) -> tuple[Activation, Value] | None:
    """The activation that gives a tensor, and what it reads; None where something else gives it."""
    writer = _writer(ctx, tensor)
    if writer is None or not isinstance(writer.op, Activation) or writer.op.bipolar:
        return None
    source = writer.op.source
    index = np.arange(source.size).reshape(source.shape)
    return writer.op, Value(writer.inputs[0], source, source.shape, index, origin=writer.origin)


def _emit_instead(node: OnnxNode, ctx: ImportContext, op: Activation, source: Value, value: Value, what: str) -> Value:
    """`value` as the output of another activation than the one before it."""
    name = f"{node.outputs[0]}_{what}"
    ctx.emit(op, (source,), name, node, value.shape, value.index.reshape(op.source.shape))
    made = ctx.values.pop(name)
    assert value.type is not None  # noqa: S101  # an activation gave it
    return replace(made, type=replace(op.outputs[0], shape=value.type.shape), index=value.index)


def narrowed(node: OnnxNode, ctx: ImportContext, value: Value, lo: int, hi: int) -> Value:
    """Integers within further limits: a narrower quantiser in place of that before them, where there is one."""
    tensor = value.type
    assert tensor is not None  # noqa: S101  # codes have a type
    if lo <= tensor.lo and tensor.hi <= hi:
        return value
    narrowed = _narrow_input(ctx, value, lo, hi)
    if narrowed is not None:
        return narrowed
    found = _activation(ctx, value.tensor)
    if found is None:
        op, source = Activation(tensor, (), tensor.scale, lo, hi), value
    else:
        op, source = found
        low, high = (min(max(v, lo), hi) for v in (op.quant_lo, op.quant_hi))
        op = replace(op, quant_lo=low, quant_hi=high)
    return _emit_instead(node, ctx, op, source, value, "limited")


def _unread_input(ctx: ImportContext, tensor: str) -> int | None:
    """Where the graph input of that name stands while no node reads it, so that its quantiser may change."""
    place = next((i for i, g in enumerate(ctx.inputs) if g.name == tensor), None)
    return None if any(tensor in n.inputs for n in ctx.nodes) else place


def _narrow_input(ctx: ImportContext, value: Value, lo: int, hi: int) -> Value | None:
    """The value with the limits of a graph input, which the host keeps; None where they cannot change any more.

    Other tensors of the model that are made of the input's wider integers become float functions of it.
    """
    place = _unread_input(ctx, value.tensor)
    if place is None or value.type is None:
        return None
    known = ctx.inputs[place]
    if known.rounding.mode != "half_even" or known.rounding.zero:
        return None
    scale = known.tensor.scale if known.rounding.divisor is None else known.rounding.divisor
    wide = known.tensor
    codes = (*known.steps, _times("div", scale), Step("round"), Step("clip", (float(wide.lo), float(wide.hi))))
    for name, other in ctx.values.items():
        if other.tensor == value.tensor and other.type is not None:
            last = _times("mul", wide.scale) if other.code is None else Step("add", (float(other.code),))
            ctx.values[name] = replace(other, type=None, steps=(*codes, last, *other.steps), code=None)
    lo, hi = (min(max(v, lo), hi) for v in (wide.lo, wide.hi))
    ctx.inputs[place] = replace(known, tensor=replace(wide, lo=lo, hi=hi))
    return replace(value, type=replace(value.type, lo=lo, hi=hi))


def _times(kind: Kind, scale: Scale) -> Step:
    return Step(kind, scale if isinstance(scale, tuple) else (scale,))


def settled(node: OnnxNode, ctx: ImportContext, value: Value) -> Value:
    """A value without the steps that only give its integers another scale and zero point.

    They are nothing altogether, or belong to a quantiser that is written out, or to an integer input of the model.
    """
    exact = _exact_affine(value)
    if exact is None or value.type is None or not value.steps:
        return value
    scales, offsets = exact
    own = value.type.scale if isinstance(value.type.scale, tuple) else (value.type.scale,) * len(scales)
    if not any(offsets) and scales == [Fraction(s) for s in own]:
        return replace(value, steps=())
    scale, offset = scales[0], offsets[0]
    if len({*scales}) > 1 or len({*offsets}) > 1 or scale <= 0 or Fraction(float(scale)) != scale:
        return value
    zero = offset / scale
    if zero.denominator != 1 or abs(zero) > LARGEST_SHIFT:
        return value
    return _relabelled(node, ctx, value, float(scale), int(zero)) or value


def _exact_affine(value: Value) -> tuple[list[Fraction], list[Fraction]] | None:
    """Factor of the integers and offset per channel, without rounding; None where a step is not affine."""
    if value.type is None or not all(s.affine for s in value.steps):
        return None
    chains = (
        value.type.scale if isinstance(value.type.scale, tuple) else (value.type.scale,),
        *(s.values for s in value.steps),
    )
    channels = max(len(c) for c in chains)
    scales, offsets = [Fraction(s) for s in np.broadcast_to(chains[0], channels).tolist()], [Fraction(0)] * channels
    for step in value.steps:
        operands = [Fraction(v) for v in np.broadcast_to(step.values, channels).tolist()]
        if step.kind == "add":
            offsets = [a + b for a, b in zip(offsets, operands, strict=True)]
            continue
        operands = operands if step.kind == "mul" else [1 / v for v in operands]
        scales = [a * b for a, b in zip(scales, operands, strict=True)]
        offsets = [a * b for a, b in zip(offsets, operands, strict=True)]
    return scales, offsets


def _relabelled(node: OnnxNode, ctx: ImportContext, value: Value, scale: float, shift: int) -> Value | None:
    """The value scale * (integer + shift) as integers of their own, by the same quantiser; None where that cannot."""
    if _unread_input(ctx, value.tensor) is not None:
        return _relabelled_input(ctx, value, scale, shift)
    found = _activation(ctx, value.tensor)
    if found is None or found[0].rounding.divisor != 1.0:
        return None
    op, source = found
    steps, rounding = _shifted(op.steps, op.rounding, shift)
    lo, hi = op.quant_lo + shift, op.quant_hi + shift
    op = replace(op, steps=steps, rounding=rounding, scale=scale, quant_lo=lo, quant_hi=hi)
    return _emit_instead(node, ctx, op, source, value, "integers")


def _shifted(steps: tuple[Step, ...], rounding: Rounding, shift: int) -> tuple[tuple[Step, ...], Rounding]:
    """Steps and rounding, whose divisor is 1, that give integers that are larger by a number."""
    if not shift:
        return steps, rounding
    return (*steps, Step("add", (float(shift),))), replace(
        rounding, zero=effective_zero(rounding.mode, rounding.zero - shift)
    )


def _relabelled_input(ctx: ImportContext, value: Value, scale: float, shift: int) -> Value | None:
    """As `_relabelled`, for an input of the graph; other values made of it stay what they are."""
    place = _unread_input(ctx, value.tensor)
    if place is None or ctx.inputs[place].rounding.divisor != 1.0 or value.type is None:
        return None
    known = ctx.inputs[place]
    old = known.tensor
    steps, rounding = _shifted(known.steps, known.rounding, shift)

    def other(tensor: Tensor) -> Tensor:
        return replace(tensor, lo=old.lo + shift, hi=old.hi + shift, scale=scale)

    ctx.inputs[place] = replace(known, tensor=other(old), steps=steps, rounding=rounding)
    back = (Step("div", (scale,)), Step("add", (-float(shift),)), _times("mul", old.scale))
    for name, made in ctx.values.items():
        if made.tensor == value.tensor and made.type is not None:
            steps, code = (made.steps, made.code - shift) if made.code is not None else ((*back, *made.steps), None)
            ctx.values[name] = replace(made, type=other(made.type), steps=steps, code=code)
    return replace(value, type=other(value.type), steps=(), code=None)

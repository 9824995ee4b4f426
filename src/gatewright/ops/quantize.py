# SPDX-License-Identifier: Apache-2.0
"""Import of quantisers of all dialects, and of the float functions before them, as activations. No operator itself.

`Quant`, `IntQuant`, `BipolarQuant`, `Trunc` and `MultiThreshold` of QONNX, `QuantizeLinear` and `DequantizeLinear` of
ONNX with or without limits between, and quantisers that are written out with `Round` and `Clip`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from gatewright.errors import UnsupportedError
from gatewright.ir.chain import Mode, Rounding, Step, round_to_integer
from gatewright.ir.functions import clip_limits, float_steps
from gatewright.ir.graph import GraphInput
from gatewright.ir.importing import ImportContext, OnnxNode, Value, standard_index
from gatewright.ir.linear import (
    DOMAINS,
    dequantize_constant,
    dequantized,
    linear_quantizer,
    quantize_linear_constant,
)
from gatewright.ir.qonnx import multi_threshold, threshold_columns, truncation
from gatewright.ir.quantizers import Target, qonnx_quantizer, quantize_constant, target
from gatewright.ir.types import FloatArray, Tensor
from gatewright.ops.activation import Activation
from gatewright.ops.relabel import narrowed, one_scale, settled
from gatewright.ops.reshape import in_layout, natural_index

LIMITS = ("Clip", "Relu", "Max", "Min")
"""Functions that limit codes, and make no others."""
ROUNDINGS: dict[str, Mode] = {"round": "half_even", "floor": "floor", "ceil": "ceil"}
"""Steps that round."""
WITH_CONSTANTS = ("Add", "BatchNormalization", "Div", "Mul", "PRelu", "Sub")
"""Functions whose second operand may be one number per channel."""
WIDEST = 1 << 31
"""A quantiser that is written out has limits below this."""


def import_quantizer(node: OnnxNode, ctx: ImportContext) -> bool:
    """Take a quantiser or a float function, and say whether the node was one.

    Raises:
        UnsupportedError: a form of it that has no hardware.
    """
    kind = node.op_type
    if kind in ("Quant", "IntQuant", "BipolarQuant"):
        _import_qonnx(node, ctx)
    elif kind in ("Trunc", "MultiThreshold"):
        _import_steps(node, ctx)
    elif node.domain not in DOMAINS:
        return False
    elif kind == "QuantizeLinear":
        _import_quantize_linear(node, ctx)
    elif kind == "DequantizeLinear":
        _import_dequantize_linear(node, ctx)
    elif kind == "DynamicQuantizeLinear":
        raise UnsupportedError(
            node.name,
            "DynamicQuantizeLinear takes its scale from the data, which has no hardware: quantise statically, "
            "with calibration data",
        )
    elif not _limit_codes(node, ctx) and not _written_out(node, ctx):
        return _import_function(node, ctx)
    return True


def _import_function(node: OnnxNode, ctx: ImportContext) -> bool:
    """Float steps that wait for the next quantiser."""
    _orient_operand(node, ctx)
    found = float_steps(node, ctx)
    if found is None:
        return False
    value, steps = found
    for step in steps:
        ctx.extend(value, step, node.outputs[0], node)
        value = ctx.values[node.outputs[0]]
    ctx.values[node.outputs[0]] = settled(node, ctx, value)
    return True


# --- QONNX ------------------------------------------------------------------------------------------------------------


def _import_qonnx(node: OnnxNode, ctx: ImportContext) -> None:
    quantizer = qonnx_quantizer(node, ctx)
    if not ctx.is_dynamic(node.inputs[0]):
        quantize_constant(node, ctx, quantizer)
        return
    value = _oriented(node, ctx, quantizer.settings)
    quantize_value(node, ctx, value, target(node, value, quantizer))
    ctx.values[node.outputs[0]] = one_scale(node, ctx, ctx.values[node.outputs[0]])


def _import_steps(node: OnnxNode, ctx: ImportContext) -> None:
    """`Trunc` and `MultiThreshold`."""
    if not ctx.is_dynamic(node.inputs[0]):
        raise UnsupportedError(node.name, f"{node.op_type} of a constant has no hardware: fold it before export")
    value, rest, output = ctx.values[node.inputs[0]].as_number(), 0.0, node.outputs[0]
    if node.op_type == "Trunc":
        goal = truncation(node, ctx, value)
    else:
        value = _oriented(node, ctx, threshold_columns(node, ctx, value))
        goal, rest = multi_threshold(node, ctx, value)
    quantize_value(node, ctx, value, goal)
    made = ctx.values[output].type
    if goal.lo == -WIDEST and made is not None and (made.lo <= -WIDEST or made.hi >= WIDEST - 1):
        raise UnsupportedError(
            node.name,
            f"Trunc sets no limits and gives integers of more than 32 bits here ({made}): put a Quant before it",
        )
    ctx.values[output] = one_scale(node, ctx, ctx.values[output])
    if rest:
        ctx.extend(ctx.values[output], Step("add", (rest,)), output, node)


def _oriented(node: OnnxNode, ctx: ImportContext, settings: Sequence[FloatArray]) -> Value:
    """The node's operand, its elements in another order where only then settings are one per channel.

    Tried are the model's own order, and that with the channels last.
    """
    value = ctx.values[node.inputs[0]].as_number()
    if _fit(value, settings):
        return value
    for index in (natural_index(value.shape), standard_index(value.shape)):
        turned = replace(value, index=index)
        if _fit(turned, settings):
            if value.type is not None:
                return in_layout(ctx, value, node, index)
            place = np.argsort(value.index, axis=None)
            return turned if ctx.relay_input(value.tensor, place[index.ravel()], index.shape) else value
    return value


def _orient_operand(node: OnnxNode, ctx: ImportContext) -> None:
    """Bring the operand of a function with a constant per channel into an order in which it is one."""
    dynamic = [i for i in node.inputs if i and ctx.is_dynamic(i)]
    if node.op_type not in WITH_CONSTANTS or len(dynamic) != 1 or node.inputs[0] != dynamic[0]:
        return
    value, constants = ctx.values[dynamic[0]], [ctx.constants.get(i) for i in node.inputs[1:] if i]
    axis = (-1, *(1,) * (len(value.shape) - 1)) if node.op_type == "BatchNormalization" else None
    settings = [c if axis is None else c.reshape(axis) for c in constants if c is not None and c.size > 1]
    if value.code is None and settings:
        ctx.values[dynamic[0]] = _oriented(node, ctx, [c.astype(np.float64) for c in settings])


def _fit(value: Value, settings: Sequence[FloatArray]) -> bool:
    return all(value.channel_vector(s) is not None for s in settings)


def quantize_value(node: OnnxNode, ctx: ImportContext, value: Value, goal: Target) -> None:
    """Make `value` the integers of a quantiser, as the node's output: on the host, in hardware, or as they are."""
    output = node.outputs[0]
    if value.type is None:
        _quantize_input(node, ctx, value, goal)
    elif _kept(value, goal):
        ctx.values[output] = value
    else:
        steps = (*value.steps, *goal.steps)
        op = Activation(value.type, steps, goal.scale, goal.lo, goal.hi, goal.bipolar, goal.rounding)
        ctx.emit(op, (value,), output, node, value.shape, value.index)


def _kept(value: Value, goal: Target) -> bool:
    """Whether a quantiser changes nothing: the integers are its own already, in its own encoding.

    One of several bits behind a bipolar one makes two's complement, which unlike bipolar has a zero to pad with.
    """
    tensor = value.type
    if tensor is None or value.steps or goal.steps or tensor.scale != goal.scale or goal.rounding.divisor is not None:
        return False
    return goal.lo <= tensor.lo and tensor.hi <= goal.hi and goal.bipolar == (tensor.encoding == "bipolar")


def _quantize_input(node: OnnxNode, ctx: ImportContext, value: Value, goal: Target) -> None:
    """The quantiser of a model's input, which the host computes."""
    tensor = Tensor(value.index.shape, goal.lo, goal.hi, goal.scale, "bipolar" if goal.bipolar else "twos")
    given = ctx.values.get(
        value.tensor, value
    )  # as it enters: views between it and the quantiser only renumber elements
    new = GraphInput(value.tensor, tensor, given.shape, given.index, (*value.steps, *goal.steps), goal.rounding)
    known = next((i for i in ctx.inputs if i.name == value.tensor), None)
    if known is None:
        ctx.inputs.append(new)
    elif (known.tensor, known.steps, known.rounding) != (new.tensor, new.steps, new.rounding) or not np.array_equal(
        known.index, new.index
    ):
        raise UnsupportedError(
            node.name,
            f"input {value.tensor!r} is quantised in two ways, which has no hardware: share one quantiser",
        )
    ctx.values[node.outputs[0]] = Value(value.tensor, tensor, value.shape, value.index)


# --- ONNX -------------------------------------------------------------------------------------------------------------


def _import_quantize_linear(node: OnnxNode, ctx: ImportContext) -> None:
    if not ctx.is_dynamic(node.inputs[0]):
        quantize_linear_constant(node, ctx)
        return
    value = ctx.values[node.inputs[0]].as_number()
    quantizer, _ = linear_quantizer(node, ctx, (1, *value.shape))
    value = _oriented(node, ctx, quantizer.settings)
    goal = target(node, value, quantizer)
    quantize_value(node, ctx, value, goal)
    zero = int(quantizer.zero.ravel()[0])
    ctx.values[node.outputs[0]] = replace(ctx.values[node.outputs[0]], code=zero)


def _import_dequantize_linear(node: OnnxNode, ctx: ImportContext) -> None:
    if not ctx.is_dynamic(node.inputs[0]):
        dequantize_constant(node, ctx)
        return
    value = settled(node, ctx, dequantized(node, ctx, ctx.values[node.inputs[0]]))
    ctx.values[node.outputs[0]] = value if value.steps else one_scale(node, ctx, value)


def _limit_codes(node: OnnxNode, ctx: ImportContext) -> bool:
    """Limits on codes, which make the quantiser before them a narrower one."""
    if node.op_type not in LIMITS:
        return False
    position = next((i for i, name in enumerate(node.inputs) if ctx.is_dynamic(name)), None)
    value = None if position is None else ctx.values[node.inputs[position]]
    if value is None or value.code is None or value.type is None:
        return False
    lo, hi = _code_limits(node, ctx, position or 0)
    lo, hi = max(lo - value.code, -WIDEST), min(hi - value.code, WIDEST)
    ctx.values[node.outputs[0]] = replace(narrowed(node, ctx, value, int(lo), int(hi)), code=value.code)
    return True


def _code_limits(node: OnnxNode, ctx: ImportContext, position: int) -> tuple[float, float]:
    if node.op_type == "Clip":
        return clip_limits(node, ctx)
    if node.op_type == "Relu":
        return 0.0, np.inf
    others = [ctx.constant(node, i) for i in range(len(node.inputs)) if i != position]
    if any(o.size != 1 for o in others):
        raise UnsupportedError(node.name, f"{node.op_type} of codes with one limit per element: use one for all")
    limits = [float(o.ravel()[0]) for o in others]
    return (max(limits), np.inf) if node.op_type == "Max" else (-np.inf, min(limits))


# --- quantisers that are written out ----------------------------------------------------------------------------------


def _written_out(node: OnnxNode, ctx: ImportContext) -> bool:
    """The end of a quantiser that is written out: limits behind a rounding, or a rounding behind limits."""
    if node.op_type not in ("Clip", "Round", "Floor", "Ceil") or not ctx.is_dynamic(node.inputs[0]):
        return False
    value = ctx.values[node.inputs[0]]
    found = _rounded(value, clip_limits(node, ctx)) if node.op_type == "Clip" else _limited(value, node.op_type.lower())
    if found is None:
        return False
    steps, mode, lo, hi, shift = found
    quantize_value(node, ctx, replace(value, steps=steps), Target(1.0, lo, hi, rounding=Rounding(mode, divisor=1.0)))
    tail = (Step("add", (float(shift),)),) if shift else ()
    made = replace(ctx.values[node.outputs[0]], steps=tail)
    ctx.values[node.outputs[0]] = settled(node, ctx, made)
    return True


Found = tuple[tuple[Step, ...], Mode, int, int, int]
"""Steps before the rounding, its mode, limits behind it, and what is added then."""


def _rounded(value: Value, limits: tuple[float, float]) -> Found | None:
    """A quantiser that limits end, behind a rounding and a whole zero point."""
    last = max((i for i, s in enumerate(value.steps) if s.kind in ROUNDINGS), default=None)
    whole = all(abs(v) < WIDEST and v == int(v) for v in limits)
    if last is None or not whole:
        return None
    shift = Fraction(0)
    for step in value.steps[last + 1 :]:
        if step.kind != "add" or len(step.values) > 1:
            return None
        shift += Fraction(step.values[0])
    if shift.denominator != 1 or abs(shift) > WIDEST:
        return None
    lo, hi = (int(v) - int(shift) for v in limits)
    return value.steps[:last], ROUNDINGS[value.steps[last].kind], lo, hi, int(shift)


def _limited(value: Value, kind: str) -> Found | None:
    """A quantiser that a rounding ends, behind limits."""
    last = value.steps[-1] if value.steps else None
    if last is None or last.kind != "clip" or not all(abs(v) < WIDEST for v in last.values):
        return None
    mode = ROUNDINGS[kind]
    lo, hi = (int(v) for v in round_to_integer(np.asarray(last.values, np.float64), mode))
    return value.steps, mode, lo, hi, 0

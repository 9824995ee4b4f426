# SPDX-License-Identifier: Apache-2.0
"""`Trunc` and `MultiThreshold` of QONNX: quantisers that are no scale and zero point alone."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from gatewright.errors import UnsupportedError
from gatewright.ir.chain import Rounding, Step
from gatewright.ir.importing import ImportContext, OnnxNode, Value
from gatewright.ir.quantizers import (
    Target,
    code_limits,
    effective_zero,
    read_bits,
    read_flag,
    read_mode,
    read_scale,
    read_zero,
)
from gatewright.ir.scales import LARGEST_FACTOR, common_divisor
from gatewright.ir.types import FloatArray

LAYOUTS = {2: "NC", 3: "NWC", 4: "NCHW"}
"""What qonnx takes a tensor of so many axes for, where `data_layout` says nothing."""
WIDEST = 1 << 31


def truncation(node: OnnxNode, ctx: ImportContext, value: Value) -> Target:
    """A `Trunc` node, of version 1 (five operands: bits go, the scale stays) or 2 (six: a scale and limits of its own).

    Raises:
        UnsupportedError: settings that mean nothing, or a zero point that the division leaves no whole number.
    """
    scale, zero = _vector(node, value, read_scale(node, ctx, 1), "scale"), read_zero(node, ctx, 2)
    before = read_bits(node, ctx, 3, 1)
    mode = read_mode(node, "FLOOR")
    if zero.size != 1 or before.size != 1:
        raise UnsupportedError(
            node.name, "Trunc with one zero point or bit width per channel has no hardware: use one for all channels"
        )
    shift = int(zero.ravel()[0])
    if len(node.inputs) > 5:
        out, divisors, moved, lo, hi = _version_2(node, ctx, value, scale, shift)
    else:
        divisors = 2.0 ** (before.ravel() - read_bits(node, ctx, 4, 1).ravel())
        out, moved, lo, hi = scale, shift, -WIDEST, WIDEST - 1
    if value.type is None and lo == -WIDEST:
        raise UnsupportedError(
            node.name,
            f"Trunc reads the float input {value.tensor!r}, on which it sets no limits: put a Quant before it",
        )
    steps = (
        Step("div", scale),
        Step("add", (float(shift),)),
        Step("round"),
        Step("div", tuple(divisors.tolist())),
        Step("add", (-float(moved),)),
    )
    rounding = Rounding(mode, effective_zero(mode, moved), 1.0)
    return Target(out[0] if len(out) == 1 else out, lo, hi, rounding=rounding, steps=steps)


def _version_2(
    node: OnnxNode, ctx: ImportContext, value: Value, scale: tuple[float, ...], zero: int
) -> tuple[tuple[float, ...], FloatArray, int, int, int]:
    """Scale, divisors, zero point and limits behind a `Trunc` that gives all of them.

    Raises:
        UnsupportedError: the zero point is no whole number behind the division, or bits vary.
    """
    bits = read_bits(node, ctx, 5, 1)
    out = _vector(node, value, read_scale(node, ctx, 4), "output scale")
    divisors = 2.0 ** np.round(np.log2(np.asarray(out) / np.asarray(scale)))
    limits = code_limits(bits, read_flag(node, "signed", 1), read_flag(node, "narrow", 0))
    moved = Fraction(zero) / Fraction(float(divisors.max()))
    if bits.size != 1 or (zero and len(set(divisors.tolist())) > 1) or moved.denominator != 1:
        raise UnsupportedError(
            node.name,
            f"zero point {zero!r} divided by {float(divisors.max())!r} is no whole number, or bits vary: "
            "use zero point 0 and one bit width",
        )
    lo, hi = (int(v.ravel()[0]) - int(moved) for v in limits)
    return out, divisors, int(moved), lo, hi


def _vector(node: OnnxNode, value: Value, scale: FloatArray, what: str) -> tuple[float, ...]:
    vector = value.channel_vector(scale)
    if vector is None:
        raise UnsupportedError(
            node.name, f"a {what} of shape {scale.shape!r} varies within a channel: use one, or one per channel"
        )
    return vector if len(set(vector)) > 1 else vector[:1]


def multi_threshold(node: OnnxNode, ctx: ImportContext, value: Value) -> tuple[Target, float]:
    """A `MultiThreshold` node: how many of a channel's thresholds are reached, times a scale, plus a bias.

    Returns:
        What the node makes of integers, and what is still to be added to their real value: 0, unless the bias is no
        whole multiple of a scale of which the node's own is one too.

    Raises:
        UnsupportedError: thresholds for other channels than the tensor has.
    """
    count = _count(node, ctx, value)
    scale, bias = (Fraction(float(node.attributes.get(n, d))) for n, d in (("out_scale", 1.0), ("out_bias", 0.0)))
    if not scale:
        raise UnsupportedError(node.name, "out_scale=0.0 makes every output the same: calibrate or train again")
    finest = common_divisor(np.asarray([abs(float(v)) for v in (scale, bias) if v]))
    unit = abs(scale) if finest is None else Fraction(finest)
    factor, offset = int(scale / unit), 0 if finest is None else int(bias / unit)
    rest = float(bias) if finest is None else 0.0
    ends = sorted((offset, offset + factor * len(count.branches)))
    if ends == [-1, 1] and len(count.branches) == 1:
        sign = 1.0 if factor > 0 else -1.0
        steps = count, Step("mul", (sign,)), Step("add", (-sign / 2,))
        return Target(float(unit), -1, 1, bipolar=True, steps=steps), rest
    steps = count, Step("mul", (float(factor),)), Step("add", (float(offset),))
    return Target(float(unit), ends[0], ends[1], rounding=Rounding(divisor=1.0), steps=steps), rest


def threshold_columns(node: OnnxNode, ctx: ImportContext, value: Value) -> list[FloatArray]:
    """Each step's thresholds, in a shape that goes to that of the model's tensor.

    Raises:
        UnsupportedError: thresholds for other channels than the tensor has.
    """
    table = ctx.constant(node, 1).astype(np.float64)
    axes = len(value.shape) + 1
    layout = str(node.attributes.get("data_layout", "")) or LAYOUTS.get(axes, "")
    axis = layout.index("C") if "C" in layout else 1
    if table.ndim != 2 or not table.size or table.shape[1] > LARGEST_FACTOR or np.isnan(table).any():
        raise UnsupportedError(
            node.name, f"thresholds of shape {table.shape!r} must be numbers of shape (channels, steps): train again"
        )
    if not 1 <= axis < axes or table.shape[0] not in (1, value.shape[axis - 1]):
        raise UnsupportedError(
            node.name,
            f"{table.shape[0]} rows of thresholds do not fit axis {axis!r} (data_layout {layout!r}) of frames "
            f"{value.shape!r}: give one row, or one per channel",
        )
    shape = [-1 if i == axis else 1 for i in range(axes)] if len(table) > 1 else []
    return [column.reshape(shape) for column in table.T]


def _count(node: OnnxNode, ctx: ImportContext, value: Value) -> Step:
    """The number of thresholds that a value reaches."""
    vectors = [value.channel_vector(column) for column in threshold_columns(node, ctx, value)]
    if any(v is None for v in vectors):
        raise UnsupportedError(
            node.name, f"thresholds vary within a channel of frames {value.shape!r}: put the node before the reshape"
        )
    return Step("sum", branches=tuple((Step("reach", v),) for v in vectors if v is not None))

# SPDX-License-Identifier: Apache-2.0
"""Float steps between an accumulator and the next quantiser, in the order in which the model applies them.

They are evaluated in float64 and are the definition that integer hardware must equal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .types import FloatArray, IntArray, Scale

Kind = Literal[
    "mul", "div", "add", "relu", "clip", "leaky", "elu", "sigmoid", "tanh", "softplus", "exp", "sqrt", "erf", "abs",
    "sum", "product", "max", "min", "reach", "round", "floor", "ceil", "over", "pow", "sin", "cos", "log",
]  # fmt: skip
Mode = Literal["half_even", "floor", "ceil", "away", "zero", "half_away", "half_zero"]
"""Where a number between two integers goes: to the nearer one, a tie to the even one, away from 0 or towards 0; or
always down, up, away from 0 or towards 0."""
MIXED = -2
"""Direction of a function that rises here and falls there."""
PER_CHANNEL = ("mul", "div", "add", "leaky", "max", "min", "reach", "over", "pow")
EXACT = (*PER_CHANNEL, "relu", "clip", "abs", "sum", "round", "floor", "ceil")
"""Kinds whose float64 arithmetic keeps the order of its operands; a library's exp need not, in its last bit."""


NEVER_MONOTONE = ("abs", "product", "over", "pow", "sin", "cos")
"""Kinds that may rise and fall whatever their values."""


@dataclass(frozen=True)
class Step:
    """One elementwise float function.

    Attributes:
        kind: what it does.
        values: for mul, div, add, max and min one operand or one per channel; for leaky a slope below zero, for reach
            (1 from there on, else 0) a threshold, for over a dividend and for pow an exponent, likewise; for clip its
            two limits; for elu its factor; for the others nothing.
        branches: for sum and product, the chains whose results meet; all start from this step's operand.
    """

    kind: Kind
    values: tuple[float, ...] = ()
    branches: tuple[tuple[Step, ...], ...] = ()

    def apply(self, x: FloatArray) -> FloatArray:
        """The function on real values of shape (..., channels)."""
        if self.branches:
            total = evaluate(self.branches[0], x)
            for branch in self.branches[1:]:
                part = evaluate(branch, x)
                total = total * part if self.kind == "product" else total + part
            return total
        if self.kind == "clip":
            return np.asarray(np.clip(x, self.values[0], self.values[1]))
        if self.kind == "elu":
            return np.where(x < 0, self.values[0] * np.expm1(np.minimum(x, 0.0)), x)
        if self.kind not in PER_CHANNEL:
            return _unary(self.kind, x)
        operand = np.asarray(self.values) if len(self.values) > 1 else np.float64(self.values[0])
        if self.kind == "leaky":
            return np.where(x < 0, x * operand, x)
        if self.kind == "add":
            return np.asarray(x + operand)
        if self.kind == "reach":
            return np.asarray(x >= operand, np.float64)
        if self.kind in ("over", "pow"):
            return _over_or_power(self.kind, x, self.values)
        functions: dict[str, np.ufunc] = {"mul": np.multiply, "div": np.divide, "max": np.maximum, "min": np.minimum}
        return np.asarray(functions[self.kind](x, operand))

    def direction(self, channels: int) -> IntArray:
        """+1 where the function never falls, -1 where it never rises, 0 where it is constant, per channel; else MIXED.

        A function that is monotone may still be called MIXED.
        """
        if self.kind in ("mul", "div"):
            return np.broadcast_to(np.sign(np.asarray(self.values)).astype(np.int64), channels)
        if self.kind in ("leaky", "elu"):
            return np.where(np.broadcast_to(np.asarray(self.values), channels) >= 0, 1, MIXED)
        if self.kind == "sum":
            signs = [direction(branch, channels) for branch in self.branches]
            low, high = np.minimum.reduce(signs), np.maximum.reduce(signs)
            return np.where((low == MIXED) | (low * high < 0), MIXED, np.where(high > 0, 1, low))
        return np.full(channels, MIXED if self.kind in NEVER_MONOTONE else 1, np.int64)

    @property
    def per_channel(self) -> bool:
        """Whether its values are one for all channels, or one for each."""
        return self.kind in PER_CHANNEL

    @property
    def affine(self) -> bool:
        """Whether the function is a multiplication or an addition."""
        return self.kind in ("mul", "div", "add")

    @property
    def exact(self) -> bool:
        """Whether its float64 arithmetic is monotone wherever the function is."""
        return self.kind in EXACT and all(s.exact for branch in self.branches for s in branch)


def _over_or_power(kind: Kind, x: FloatArray, values: tuple[float, ...]) -> FloatArray:
    """value / x, or x**value; no number, which is refused, for a 0 whose sign decides, because integers have none."""
    operand = np.asarray(values if len(values) > 1 else values[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        real = operand / x if kind == "over" else np.power(x, operand)
    signed = (kind == "over") | ((operand < 0) & (operand % 2 != 0))
    return np.where((x == 0) & signed, np.nan, real)


def _unary(kind: Kind, x: FloatArray) -> FloatArray:
    if kind == "relu":
        return np.maximum(x, 0.0)
    if kind == "sigmoid":
        return np.asarray(1.0 / (1.0 + np.exp(-x)))
    if kind == "softplus":
        return np.asarray(np.logaddexp(x, 0.0))
    if kind == "erf":
        return np.asarray([math.erf(v) for v in x.ravel().tolist()]).reshape(x.shape)
    functions: dict[str, np.ufunc] = {
        "tanh": np.tanh, "exp": np.exp, "sqrt": np.sqrt, "abs": np.absolute, "round": np.rint, "floor": np.floor,
        "ceil": np.ceil, "sin": np.sin, "cos": np.cos, "log": np.log,
    }  # fmt: skip
    with np.errstate(divide="ignore", invalid="ignore"):  # infinite at 0; what is no number is refused
        return np.asarray(functions[kind](x))


def evaluate(steps: Sequence[Step], x: FloatArray) -> FloatArray:
    """All steps in order on real values of shape (..., channels)."""
    if not steps:
        return x
    with np.errstate(over="ignore"):  # infinite values are clipped by the quantiser behind the steps
        for step in steps:
            x = step.apply(x)
    return x


def all_steps(steps: tuple[Step, ...]) -> Iterator[Step]:
    """The steps of a chain and of all its branches."""
    for step in steps:
        yield step
        for branch in step.branches:
            yield from all_steps(branch)


def direction(steps: Sequence[Step], channels: int) -> IntArray:
    """Direction of the whole chain per channel: +1 rising, -1 falling, 0 constant, else MIXED."""
    sign = np.ones(channels, np.int64)
    for step in steps:
        own = step.direction(channels)
        sign = np.where((sign == 0) | (own == 0), 0, np.where((sign == MIXED) | (own == MIXED), MIXED, sign * own))
    return sign


def affine_form(steps: Sequence[Step], channels: int) -> tuple[FloatArray, FloatArray]:
    """Factor and offset per channel, both float64 of shape (channels,), of a chain of affine steps."""
    factor, offset = np.ones(channels), np.zeros(channels)
    for step in steps:
        operand = np.broadcast_to(np.asarray(step.values), channels)
        if step.kind == "add":
            offset = offset + operand
        else:
            operand = operand if step.kind == "mul" else 1.0 / operand
            factor, offset = factor * operand, offset * operand
    return factor, offset


@dataclass(frozen=True)
class Rounding:
    """How a quantiser turns a real number into an integer: round(real / divisor + zero) - zero.

    Attributes:
        mode: of the rounding.
        zero: zero point of a quantiser that adds it before it rounds, as QONNX does: ties, and what lies on either side
            of 0, are those of the code, not those of the integer. One that rounds first, as ONNX does, has 0 here.
        divisor: one number or one per channel; None for the scale of the integers.
    """

    mode: Mode = "half_even"
    zero: int = 0
    divisor: Scale | None = None


HALF_EVEN = Rounding()


def quantize(
    real: FloatArray, scale: Scale, lo: int, hi: int, bipolar: bool = False, rounding: Rounding = HALF_EVEN
) -> IntArray:
    """clip(round(real / scale + zero) - zero, lo, hi) as int64, the one rounding of the whole project.

    Bipolar: +1 from 0 up, else -1.

    Args:
        real: float64 of shape (..., channels).
        scale: one number, or one per channel.
        lo, hi: of the integers, the zero point already taken off.
    """
    return np.asarray(quantize_in_place(np.array(real, np.float64), scale, lo, hi, bipolar, rounding), np.int64)


def quantize_in_place(
    real: FloatArray, scale: Scale, lo: int, hi: int, bipolar: bool = False, rounding: Rounding = HALF_EVEN
) -> FloatArray:
    """`quantize` whose integers, still float64, are written over `real`."""
    if bipolar:
        np.copyto(real, np.where(real >= 0, 1.0, -1.0))
        return real
    round_in_place(real, scale, rounding)
    np.maximum(real, lo, out=real)  # twice as quick as clip
    return np.minimum(real, hi, out=real)


def round_in_place(real: FloatArray, scale: Scale, rounding: Rounding) -> None:
    """real = round(real / scale + zero) - zero: the integers before they are clipped.

    It never falls where `real` rises, for a divisor above 0: what the least and the greatest number become, all others
    lie between.
    """
    with np.errstate(over="ignore"):
        _divide(real, scale if rounding.divisor is None else rounding.divisor)
        if rounding.zero:
            np.add(real, rounding.zero, out=real)
        if rounding.mode == "half_even":
            np.rint(real, out=real)
        else:
            np.copyto(real, round_to_integer(real, rounding.mode))
        if rounding.zero:
            np.subtract(real, rounding.zero, out=real)


def _divide(real: FloatArray, divisor: Scale) -> None:
    """real /= divisor; by a power of two it is a product, several times as quick and the same number."""
    if isinstance(divisor, float) and abs(math.frexp(divisor)[0]) == 0.5 and 1e-300 < abs(divisor) < 1e300:
        np.multiply(real, 1.0 / divisor, out=real)
    else:
        np.divide(real, np.asarray(divisor), out=real)


def round_to_integer(x: FloatArray, mode: Mode) -> FloatArray:
    """`x` rounded, in the arithmetic of its own precision, by the formulas of the QONNX reference."""
    if mode == "half_even":
        return np.asarray(np.rint(x))
    if mode in ("floor", "ceil"):
        return np.asarray(np.floor(x) if mode == "floor" else np.ceil(x))
    half = x.dtype.type(0.5) if mode in ("half_away", "half_zero") else x.dtype.type(0)
    up = mode in ("away", "half_zero")  # what the size of a number between two others is rounded to
    size = np.ceil(np.abs(x) - half) if up else np.floor(np.abs(x) + half)
    return np.asarray(np.sign(x) * size)

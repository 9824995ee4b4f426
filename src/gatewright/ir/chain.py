# SPDX-License-Identifier: Apache-2.0
"""Float steps between an accumulator and the next quantiser, in the order in which the model applies them.

They are evaluated in float64 and are the definition that integer hardware must equal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gatewright.ir.types import FloatArray, IntArray

Kind = Literal[
    "mul", "div", "add", "relu", "clip", "leaky", "elu", "sigmoid", "tanh", "softplus", "exp", "sqrt", "erf", "abs",
    "sum", "product",
]  # fmt: skip
MIXED = -2
"""Direction of a function that rises here and falls there."""
PER_CHANNEL = ("mul", "div", "add", "leaky")
EXACT = ("mul", "div", "add", "relu", "clip", "leaky", "abs", "sum")
"""Kinds whose float64 arithmetic keeps the order of its operands; a library's exp need not, in its last bit."""


@dataclass(frozen=True)
class Step:
    """One elementwise float function.

    Attributes:
        kind: what it does.
        values: for mul, div and add one operand or one per channel; for leaky one slope below zero or one per channel;
            for clip its two limits; for elu its factor; for the others nothing.
        branches: for sum and product, the chains whose results meet; all start from this step's operand.
    """

    kind: Kind
    values: tuple[float, ...] = ()
    branches: tuple[tuple[Step, ...], ...] = ()

    def apply(self, x: FloatArray) -> FloatArray:
        """The function on real values of shape (..., channels)."""
        if self.branches:
            parts = [evaluate(branch, x) for branch in self.branches]
            return np.asarray(np.prod(parts, axis=0) if self.kind == "product" else np.sum(parts, axis=0))
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
        return np.asarray(x * operand if self.kind == "mul" else x / operand)

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
        return np.full(channels, MIXED if self.kind in ("abs", "product") else 1, np.int64)

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


def _unary(kind: Kind, x: FloatArray) -> FloatArray:
    if kind == "relu":
        return np.maximum(x, 0.0)
    if kind == "sigmoid":
        return np.asarray(1.0 / (1.0 + np.exp(-x)))
    if kind == "softplus":
        return np.asarray(np.logaddexp(x, 0.0))
    if kind == "erf":
        return np.asarray([math.erf(v) for v in x.ravel().tolist()]).reshape(x.shape)
    functions: dict[str, np.ufunc] = {"tanh": np.tanh, "exp": np.exp, "sqrt": np.sqrt, "abs": np.absolute}
    return np.asarray(functions[kind](x))


def evaluate(steps: Sequence[Step], x: FloatArray) -> FloatArray:
    """All steps in order on real values of shape (..., channels)."""
    with np.errstate(over="ignore"):  # infinite values are clipped by the quantiser behind the steps
        for step in steps:
            x = step.apply(x)
    return x


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


def quantize(real: FloatArray, scale: float, lo: int, hi: int, bipolar: bool = False) -> IntArray:
    """clip(round_half_even(real / scale), lo, hi) as int64, the one rounding of the whole project.

    Bipolar: +1 from 0 up, else -1.
    """
    if bipolar:
        return np.where(real >= 0, 1, -1)
    with np.errstate(over="ignore"):
        return np.asarray(np.clip(np.rint(real / scale), lo, hi), np.int64)

# SPDX-License-Identifier: Apache-2.0
"""Float steps between an accumulator and the next quantiser, in the order in which the model applies them.

They are evaluated in float64 and are the definition that integer hardware must equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gatewright.ir.types import FloatArray, IntArray

Kind = Literal["mul", "div", "add", "relu", "clip"]


@dataclass(frozen=True)
class Step:
    """One elementwise float function.

    Attributes:
        kind: what it does.
        values: for mul, div and add one operand or one per channel; for clip its two limits; for relu nothing.
    """

    kind: Kind
    values: tuple[float, ...] = ()

    def apply(self, x: FloatArray) -> FloatArray:
        """The function on real values of shape (..., channels)."""
        if self.kind == "relu":
            return np.maximum(x, 0.0)
        if self.kind == "clip":
            return np.asarray(np.clip(x, self.values[0], self.values[1]))
        operand = np.asarray(self.values) if len(self.values) > 1 else np.float64(self.values[0])
        if self.kind == "add":
            return np.asarray(x + operand)
        return np.asarray(x * operand if self.kind == "mul" else x / operand)

    def direction(self, channels: int) -> IntArray:
        """+1 where the function never falls, -1 where it never rises, 0 where it is constant, per channel."""
        if self.kind in ("mul", "div"):
            return np.broadcast_to(np.sign(np.asarray(self.values)).astype(np.int64), channels)
        return np.ones(channels, np.int64)

    @property
    def affine(self) -> bool:
        """Whether the function is a multiplication or an addition."""
        return self.kind in ("mul", "div", "add")


def evaluate(steps: Sequence[Step], x: FloatArray) -> FloatArray:
    """All steps in order on real values of shape (..., channels)."""
    with np.errstate(over="ignore"):  # infinite values are clipped by the quantiser behind the steps
        for step in steps:
            x = step.apply(x)
    return x


def direction(steps: Sequence[Step], channels: int) -> IntArray:
    """Direction of the whole chain per channel: +1 rising, -1 falling, 0 constant (each step is monotone)."""
    sign = np.ones(channels, np.int64)
    for step in steps:
        sign = sign * step.direction(channels)
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


def quantize(real: FloatArray, scale: float, lo: int, hi: int) -> IntArray:
    """clip(round_half_even(real / scale), lo, hi) as int64: the one rounding of the whole project."""
    with np.errstate(over="ignore"):
        return np.asarray(np.clip(np.rint(real / scale), lo, hi), np.int64)

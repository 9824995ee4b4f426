# SPDX-License-Identifier: Apache-2.0
"""Scales that differ within a tensor, brought to a common finer one by whole factors."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from gatewright.errors import UnsupportedError
from gatewright.ir.importing import OnnxNode, QuantizedConstant
from gatewright.ir.op import as_int64
from gatewright.ir.types import FloatArray, IntArray

LARGEST_FACTOR = 1 << 16
"""An integer is multiplied by at most this on the way to a finer scale."""


def common_divisor(scales: FloatArray) -> float | None:
    """The greatest scale of which all are whole multiples, exactly; None where one is more than `LARGEST_FACTOR`."""
    exact = [Fraction(s) for s in np.unique(scales).tolist()]
    whole = math.lcm(*(s.denominator for s in exact))
    finest = Fraction(math.gcd(*(int(s * whole) for s in exact)), whole)
    return float(finest) if max(exact) / finest <= LARGEST_FACTOR else None


def rows_of_one_scale(node: OnnxNode, weight: QuantizedConstant, axis: int) -> tuple[IntArray, FloatArray]:
    """A weight with one scale per output channel: integers in its own shape, and float64 of shape (channels,).

    A scale that varies within a channel becomes the finest one of which all are whole multiples.

    Args:
        axis: of the output channels.

    Raises:
        UnsupportedError: there is no such scale.
    """
    scale = np.moveaxis(np.broadcast_to(weight.scale, weight.values.shape), axis, 0).reshape(
        weight.values.shape[axis], -1
    )
    if (scale == scale[:, :1]).all():
        return weight.values, scale[:, 0].copy()
    rows = np.moveaxis(weight.values, axis, 0).reshape(scale.shape)
    finest = np.ones(len(rows))
    for c, (integers, scales) in enumerate(zip(rows, scale, strict=True)):
        used = scales[integers != 0]  # the scale of a 0 means nothing
        divisor = common_divisor(used) if used.size else float(scales[0])
        if divisor is None:
            raise UnsupportedError(
                node.name,
                f"the weight's scale varies within output channel {c}, from {float(used.min())!r} to "
                f"{float(used.max())!r}, and not by whole numbers up to {LARGEST_FACTOR}: "
                "use one scale per output channel, or powers of two",
            )
        finest[c] = divisor
    shape = [1] * weight.values.ndim
    shape[axis] = -1
    factors = np.where(weight.values != 0, weight.scale / finest.reshape(shape), 0.0)
    return as_int64(weight.values * np.rint(factors).astype(np.int64)), finest

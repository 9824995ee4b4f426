# SPDX-License-Identifier: Apache-2.0
"""`Pad` nodes of any opset: how much is added or cut where, and which integer is added."""

from __future__ import annotations

import numpy as np

from gatewright.errors import UnsupportedError
from gatewright.ir.chain import affine_form, evaluate
from gatewright.ir.importing import ImportContext, OnnxNode, Value

TOLERANCE = 1e-6
"""How far from a whole number the padding may lie on the grid, relatively: what float32 rounds away."""


def read_pads(node: OnnxNode, ctx: ImportContext, rank: int) -> list[tuple[int, int]]:
    """What is added before and after along each axis, batch included; negative where elements are cut.

    Raises:
        UnsupportedError: another mode than that of constants, or the batch is padded.
    """
    mode = node.attributes.get("mode", "constant")
    if mode != "constant":
        raise UnsupportedError(
            node.name, f"Pad with mode={mode!r} has no hardware: pad with constants, or inside the convolution"
        )
    given = node.attributes.get("pads")
    given = [int(n) for n in (ctx.constant(node, 1).ravel() if given is None else given)]
    axes = list(range(rank))
    if len(node.inputs) > 3 and node.inputs[3]:
        axes = [int(a) % rank for a in ctx.constant(node, 3).ravel()]
    if len(given) != 2 * len(axes):
        raise UnsupportedError(
            node.name, f"Pad by {given!r} of {len(axes)} axes: two numbers an axis are needed; export it again"
        )
    pads = [(0, 0)] * rank
    for axis, before, after in zip(axes, given, given[len(axes) :], strict=False):
        pads[axis] = (before, after)
    if pads[0] != (0, 0):
        raise UnsupportedError(node.name, f"Pad by {given!r} pads the batch, which has no hardware: pad frames only")
    return pads


def padding_integer(node: OnnxNode, ctx: ImportContext, value: Value) -> int:
    """The integer that stands for the number that a Pad adds, in all channels.

    Raises:
        UnsupportedError: there is none.
    """
    real = float(node.attributes.get("value", 0.0))
    if len(node.inputs) > 2 and node.inputs[2]:
        real = float(ctx.constant(node, 2).item())
    number = integer_of(value, real)
    if number is None:
        raise UnsupportedError(
            node.name,
            f"Pad with {real!r} adds numbers that are no integers of {node.inputs[0]!r}: pad with 0, or with a "
            "multiple of its scale, or put a Quant node in front of the Pad",
        )
    return number


def integer_of(value: Value, real: float) -> int | None:
    """The integer that the float steps of a value turn into a number, in all channels; None where there is none."""
    if value.code is not None:
        candidates = np.asarray([real - value.code])
    else:
        scale = np.broadcast_to(np.asarray(1.0 if value.type is None else value.type.scale), value.channels)
        candidates = np.zeros(value.channels)
        if all(s.affine for s in value.steps):
            factor, offset = affine_form(value.steps, value.channels)
            candidates = (real - offset) / np.where(factor == 0, np.inf, factor) / scale
        elif (evaluate(value.steps, candidates) != real).any():
            return None
    number = np.rint(candidates[0])
    if not np.isfinite(candidates).all():
        return None
    return int(number) if (np.abs(candidates - number) <= TOLERANCE * (1 + abs(number))).all() else None

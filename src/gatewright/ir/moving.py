# SPDX-License-Identifier: Apache-2.0
"""Factors and offsets in front of a linear layer, as factors and offsets behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gatewright.errors import UnsupportedError
from gatewright.ir.chain import affine_form
from gatewright.ir.importing import OnnxNode, QuantizedConstant, Value
from gatewright.ir.scales import rows_of_one_scale
from gatewright.ir.types import FloatArray, IntArray
from gatewright.ir.views import reordered


def one_scale_a_channel(value: Value) -> bool:
    """Whether a value's integers mean something else in every channel, as accumulators may: they have no sums."""
    return value.type is not None and isinstance(value.type.scale, tuple)


@dataclass(frozen=True, eq=False)
class Moved:
    """A linear layer without the factors and offsets that stood in front of it.

    Attributes:
        weight: int64 in the constant's own shape.
        scale: float64 of shape (rows,).
        factor, offset: what the layer's rows are multiplied by, and what is then added: float64 of shape (rows,) each.
    """

    weight: IntArray
    scale: FloatArray
    factor: FloatArray
    offset: FloatArray


def move(node: OnnxNode, weight: QuantizedConstant, axis: int, factor: FloatArray, offset: FloatArray) -> Moved | None:
    """The layer for inputs that are not multiplied by `factor` and to which `offset` is not added.

    A factor that all inputs of a row share goes behind the layer. Others go into the row's weights, where they and the
    weights' scales are whole multiples of one scale.

    Args:
        axis: of the rows in the weight.
        factor, offset: float64, of shapes that go to that of the weight: those of the input that each element reads.

    Returns:
        None where the factors have no place.

    Raises:
        UnsupportedError: the scale of the weight alone varies within a row.
    """
    rows = weight.values.shape[axis]

    def by_row(x: FloatArray) -> FloatArray:
        return np.moveaxis(np.broadcast_to(x, weight.values.shape), axis, 0).reshape(rows, -1)

    added = by_row(weight.values * weight.scale * offset).sum(axis=1)
    shared = by_row(factor)
    if (shared == shared[:, :1]).all():
        return Moved(*rows_of_one_scale(node, weight, axis), shared[:, 0].copy(), added)
    rows_of_one_scale(node, weight, axis)
    if not factor.all():
        return None
    values, scale = weight.values * np.sign(factor).astype(np.int64), weight.scale * np.abs(factor)
    try:
        moved = rows_of_one_scale(node, replace(weight, values=values, scale=scale), axis)
    except UnsupportedError:
        return None
    return Moved(*moved, np.ones(rows), added)


def move_filters(node: OnnxNode, weight: QuantizedConstant, value: Value, groups: int, padded: bool) -> Moved | None:
    """A convolution without what stands in front of it; None where that has no place.

    An offset is the same at every tap, which it is not in front of padding.
    """
    shape = weight.values.shape
    per_channel = [v.reshape(groups, 1, -1) for v in affine_form(value.steps, value.channels)]
    factor, offset = (
        v.repeat(shape[0] // groups, axis=1).reshape(*shape[:2], *[1] * (len(shape) - 2)) for v in per_channel
    )
    return None if padded and offset.any() else move(node, weight, 0, factor, offset)


def move_matrix(node: OnnxNode, weight: QuantizedConstant, value: Value, left: bool) -> Moved | None:
    """A product with one matrix, as (rows, columns), without what stands in front of it; None where that has no place.

    An offset is the same in every vector.

    Args:
        left: the matrix is the first operand, and its rows are its first axis.

    Raises:
        UnsupportedError: a weight of another shape.
    """
    shape = weight.values.shape
    if len(shape) < 2 or set(shape[:-2]) - {1}:
        raise UnsupportedError(
            node.name, f"{node.op_type} of a weight of shape {shape!r} has no hardware: use one matrix for all frames"
        )
    values, scale = weight.values.reshape(shape[-2:]), np.broadcast_to(weight.scale, shape).reshape(shape[-2:])
    if not left and not node.attributes.get("transB", 0):
        values, scale = values.T, scale.T
    if values.shape[1] != value.shape[-1]:
        raise UnsupportedError(
            node.name, f"weight takes {values.shape[1]} features but the input has {value.shape[-1]}"
        )
    matrix = replace(weight, values=values, scale=scale)
    if one_scale_a_channel(value) or not all(s.affine for s in value.steps):
        return None
    factor, offset = (_features(value, v) for v in affine_form(value.steps, value.channels))
    return None if factor is None or offset is None else move(node, matrix, 0, factor, offset)


def _features(value: Value, per_channel: FloatArray) -> FloatArray | None:
    """What the features of every vector along the last axis have; None where vectors differ."""
    frame = np.empty(value.index.size)
    frame[value.index.ravel()] = np.tile(per_channel, value.index.size // value.channels)
    vectors = frame.reshape(-1, value.shape[-1])
    return vectors[0] if (vectors == vectors[0]).all() else None


def turned(node: OnnxNode, value: Value) -> Value:
    """A view in which the last two axes of the frame have changed places."""
    if len(value.shape) < 2:
        raise UnsupportedError(
            node.name,
            f"MatMul of a constant with frames of shape {value.shape!r} mixes the batch with the frame: make the "
            "constant the second operand",
        )
    return reordered(value, np.arange(value.index.size).reshape(value.shape).swapaxes(-1, -2))

# SPDX-License-Identifier: Apache-2.0
"""ONNX nodes that leave every element what it is: they renumber elements of the frame, or do nothing at all.

`Identity`, `Cast` where no value changes, `Dropout`, `Flatten`, `Reshape`, `Squeeze`, `Unsqueeze`, `Transpose`,
`DepthToSpace`, `SpaceToDepth`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from gatewright.errors import UnsupportedError
from gatewright.ir.importing import BATCH, ImportContext, OnnxNode, Value
from gatewright.ir.types import IntArray

FLOAT, FLOAT16, DOUBLE = 1, 10, 11
"""Element types as ONNX numbers them."""
INTEGERS: Mapping[int, tuple[int, int]] = {
    2: (0, 255), 3: (-128, 127), 4: (0, (1 << 16) - 1), 5: (-(1 << 15), (1 << 15) - 1),
    6: (-(1 << 31), (1 << 31) - 1), 7: (-(1 << 63), (1 << 63) - 1), 12: (0, (1 << 32) - 1), 13: (0, (1 << 64) - 1),
}  # fmt: skip
"""Limits of ONNX' integer types."""
WIDE = (6, 7)
"""Integer types in which arithmetic on codes does not wrap."""
MOST_CAST = 1 << 16
"""Integers up to which all values of a tensor are tried in another type."""


def viewed(node: OnnxNode, ctx: ImportContext) -> Value:
    """What a view gives for its first operand.

    Raises:
        UnsupportedError: a form that moves the batch, changes values or does not fit.
    """
    value = ctx.values[node.inputs[0]]
    if node.op_type == "Cast":
        return _cast(node, value)
    if node.op_type == "Dropout":
        _check_dropout(node, ctx)
    if node.op_type in ("Identity", "Dropout"):
        return value
    if node.op_type in ORDERS:
        value = reordered(value, ORDERS[node.op_type](node, value))
    else:
        value = replace(value, shape=SHAPES[node.op_type](node, ctx, value))
    return replace(value, origin=(*value.origin, node.name))


def reordered(value: Value, order: IntArray) -> Value:
    """A view of a value.

    Args:
        order: int64 in the new shape: flat position in the old frame of each element.
    """
    position = np.empty(order.size, np.int64)
    position[order.ravel()] = np.arange(order.size)
    return replace(value, shape=order.shape, index=position[value.index])


def _cast(node: OnnxNode, value: Value) -> Value:
    """Another type that holds every value: a float type for anything, else one that changes none of them."""
    to = node.attributes["to"]
    if to in (FLOAT, DOUBLE, *WIDE) and (value.code is not None or to not in WIDE):
        return value.as_number()
    tensor = value.type
    if to in INTEGERS and tensor is not None and not value.steps:
        lo, hi = (n + (value.code or 0) for n in (tensor.lo, tensor.hi))
        if INTEGERS[to][0] <= lo and hi <= INTEGERS[to][1] and (value.code is not None or tensor.scale == 1.0):
            return value
    if to == FLOAT16 and tensor is not None and not value.steps and tensor.hi - tensor.lo < MOST_CAST:
        code = value.code
        factor = np.asarray(tensor.scale if code is None else 1.0)
        real = (np.arange(tensor.lo, tensor.hi + 1)[:, None] + (code or 0)) * factor
        if (real.astype(np.float16) == real).all():
            return value.as_number()
    raise UnsupportedError(
        node.name,
        f"Cast to ONNX type {to!r} may change values, which has no hardware: remove it, or cast to float32",
    )


def _check_dropout(node: OnnxNode, ctx: ImportContext) -> None:
    training = len(node.inputs) > 2 and node.inputs[2] and bool(ctx.constant(node, 2).any())
    if training and (not node.inputs[1] or bool(ctx.constant(node, 1).any())):
        raise UnsupportedError(
            node.name, "Dropout with training_mode set is random, which has no hardware: export in evaluation mode"
        )
    if len(node.outputs) > 1 and node.outputs[1]:
        ctx.constants[node.outputs[1]] = np.ones((), np.bool_)  # all elements are kept


# --- orders: per position of the new frame the old flat position ------------------------------------------------------


def _transpose(node: OnnxNode, value: Value) -> IntArray:
    perm = tuple(node.attributes.get("perm", tuple(reversed(range(len(value.shape) + 1)))))
    if perm[0] != 0:
        raise UnsupportedError(
            node.name, f"Transpose perm={perm!r} moves the batch axis, which has no hardware: keep axis 0 first"
        )
    return _flat(value.shape).transpose([p - 1 for p in perm[1:]])


def _depth_to_space(node: OnnxNode, value: Value) -> IntArray:
    """Groups of channels become blocks of pixels."""
    block, mode = int(node.attributes["blocksize"]), node.attributes.get("mode", "DCR")
    channels, height, width = _image(node, value)
    if block < 1 or channels % (block * block):
        raise UnsupportedError(
            node.name,
            f"DepthToSpace blocksize={block!r} does not divide {channels} channels twice: the file is damaged",
        )
    count = channels // (block * block)
    shape = (block, block, count, height, width) if mode == "DCR" else (count, block, block, height, width)
    axes = (2, 3, 0, 4, 1) if mode == "DCR" else (0, 3, 1, 4, 2)
    return _flat(shape).transpose(axes).reshape(count, height * block, width * block)


def _space_to_depth(node: OnnxNode, value: Value) -> IntArray:
    """Blocks of pixels become groups of channels."""
    block = int(node.attributes["blocksize"])
    channels, height, width = _image(node, value)
    if block < 1 or height % block or width % block:
        raise UnsupportedError(
            node.name, f"SpaceToDepth blocksize={block!r} does not divide an image of {height}x{width}: crop or pad it"
        )
    flat = _flat((channels, height // block, block, width // block, block)).transpose(2, 4, 0, 1, 3)
    return flat.reshape(channels * block * block, height // block, width // block)


def _image(node: OnnxNode, value: Value) -> tuple[int, int, int]:
    if len(value.shape) != 3:
        raise UnsupportedError(
            node.name, f"{node.op_type} on frames of shape {value.shape!r}: only (channels, height, width) has hardware"
        )
    return value.shape[0], value.shape[1], value.shape[2]


def _flat(shape: tuple[int, ...]) -> IntArray:
    return np.arange(math.prod(shape)).reshape(shape)


# --- shapes -----------------------------------------------------------------------------------------------------------


def _flatten(node: OnnxNode, ctx: ImportContext, value: Value) -> tuple[int, ...]:
    given = node.attributes.get("axis", 1)
    axis = given + 1 + len(value.shape) if given < 0 else given
    before = math.prod(value.shape[: max(axis - 1, 0)])
    if (axis == 0 and ctx.batch != 1) or before != 1:
        raise UnsupportedError(node.name, f"Flatten axis={given!r} mixes the batch with the frame: use axis=1")
    return (math.prod(value.shape),)


def _reshape(node: OnnxNode, ctx: ImportContext, value: Value) -> tuple[int, ...]:
    target, size = ctx.dims(node, 1), math.prod(value.shape)
    shown, old = ["batch" if n == BATCH else n for n in target], (0, *value.shape)
    if 0 in target[1:] and node.attributes.get("allowzero", 0):
        raise UnsupportedError(node.name, f"Reshape to {shown!r} with allowzero=1 is empty: the file is damaged")
    batch, rest = target[0], [old[i] if n == 0 else n for i, n in enumerate(target[1:], 1)]
    kept = batch in (0, 1, BATCH) or batch == ctx.batch or (batch == -1 and math.prod(rest) == size and -1 not in rest)
    if not kept or BATCH in rest or (batch == 1 and ctx.batch not in (None, 1)):
        raise UnsupportedError(node.name, f"Reshape to {shown!r} changes the batch axis: keep it first (0 or -1)")
    if -1 in rest and math.prod(rest) != 0:
        rest[rest.index(-1)] = size // -math.prod(rest)
    if math.prod(rest) != size or min(rest, default=1) < 1:
        raise UnsupportedError(
            node.name, f"Reshape of a frame {value.shape!r} to {shown!r} does not keep its {size} elements"
        )
    return tuple(rest)


def _squeeze(node: OnnxNode, ctx: ImportContext, value: Value) -> tuple[int, ...]:
    """The frame's shape without, or with further, axes of length 1."""
    given = node.attributes.get("axes")
    if given is None and len(node.inputs) > 1 and node.inputs[1]:
        given = ctx.constant(node, 1).ravel().tolist()
    grown = node.op_type == "Unsqueeze"
    if given is None and (ctx.batch or 1) > 1:
        given = [i for i, n in enumerate(value.shape, 1) if n == 1]
    if given is None:
        raise UnsupportedError(node.name, "Squeeze without axes takes out a batch of 1 too: name the axes")
    rank = 1 + len(value.shape) + (len(given) if grown else 0)
    axes = sorted(int(a) % rank for a in given)
    if 0 in axes:
        raise UnsupportedError(node.name, f"{node.op_type} axes={given!r} changes the batch axis: keep it first")
    shape = [0, *value.shape]
    for axis in axes if grown else reversed(axes):
        if grown:
            shape.insert(axis, 1)
        elif shape.pop(axis) != 1:
            raise UnsupportedError(node.name, f"Squeeze of axes={given!r} of a frame {value.shape!r}: not all are 1")
    return tuple(shape[1:])


ORDERS: Mapping[str, Callable[[OnnxNode, Value], IntArray]] = {
    "Transpose": _transpose,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
}
SHAPES: Mapping[str, Callable[[OnnxNode, ImportContext, Value], tuple[int, ...]]] = {
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _squeeze,
}
VIEWS = ("Identity", "Cast", "Dropout", *ORDERS, *SHAPES)

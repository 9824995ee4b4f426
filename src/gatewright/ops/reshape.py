# SPDX-License-Identifier: Apache-2.0
"""Views: reshapes and transpositions, which cost no hardware."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gatewright.errors import ConfigError, UnsupportedError
from gatewright.ir.importing import ImportContext, OnnxNode, Value
from gatewright.ir.op import Bounds, Op
from gatewright.ir.types import IntArray, Tensor

VIEWS = ("Identity", "Flatten", "Reshape", "Transpose")


@dataclass(frozen=True, eq=False)
class Reshape(Op):
    """The same elements in the same order under another shape; imported models never need it in hardware."""

    composite = True

    source: Tensor
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if int(np.prod(self.shape)) != self.source.size:
            raise ConfigError(
                f"reshape: {self.source} has {self.source.size} elements, {self.shape!r} has another number"
            )

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The input under the new shape."""
        return (replace(self.source, shape=self.shape),)

    def lower(self) -> tuple[Op, ...]:
        """Nothing: producers and consumers only need as many elements."""
        return ()

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """A view."""
        return (xs[0].reshape(-1, *self.shape),)

    def bounds(self) -> tuple[Bounds, ...]:
        """The input's own limits."""
        n = self.shape[-1]
        return (Bounds((self.source.lo,) * n, (self.source.hi,) * n, witness="the input's own limits"),)

    @classmethod
    def from_onnx(cls, node: OnnxNode, ctx: ImportContext) -> bool:
        """`Identity`, `Flatten`, `Reshape`, `Transpose`: they only renumber the elements that a later matrix reads."""
        if node.op_type not in VIEWS or not ctx.is_dynamic(node.inputs[0]):
            return False
        value = ctx.values[node.inputs[0]]
        if node.op_type == "Identity":
            ctx.values[node.outputs[0]] = value
            return True
        if node.op_type == "Transpose":
            shape, order = _transpose(node, value)
        else:
            shape, order = _reshape(node, ctx, value), None
        index = value.index
        if order is not None:
            position = np.empty(order.size, np.int64)
            position[order.ravel()] = np.arange(order.size)
            index = position[index]
        ctx.values[node.outputs[0]] = replace(value, shape=shape, index=index, origin=(*value.origin, node.name))
        return True

    @classmethod
    def examples(cls) -> list[Op]:
        """To a vector and back."""
        return [cls(Tensor((2, 3, 4), 0, 3), (24,)), cls(Tensor((8,), -2, 1), (2, 2, 2))]


def _transpose(node: OnnxNode, value: Value) -> tuple[tuple[int, ...], IntArray]:
    """New shape, and per position of the new frame the old flat position."""
    rank = len(value.shape)
    perm = tuple(node.attributes.get("perm", tuple(reversed(range(rank + 1)))))
    if perm[0] != 0:
        raise UnsupportedError(node.name, f"Transpose perm={perm!r} moves the batch axis, which has no hardware")
    axes = [p - 1 for p in perm[1:]]
    flat = np.arange(int(np.prod(value.shape))).reshape(value.shape).transpose(axes)
    return flat.shape, np.ascontiguousarray(flat)


def _reshape(node: OnnxNode, ctx: ImportContext, value: Value) -> tuple[int, ...]:
    size = int(np.prod(value.shape))
    if node.op_type == "Flatten":
        if node.attributes.get("axis", 1) != 1:
            raise UnsupportedError(
                node.name, f"Flatten axis={node.attributes['axis']!r} mixes the batch with the frame: use axis=1"
            )
        return (size,)
    target = ctx.constant(node, 1).ravel().tolist()
    batch, rest = target[0], [value.shape[i] if t == 0 else t for i, t in enumerate(target[1:])]
    if batch not in (-1, 0, 1):
        raise UnsupportedError(node.name, f"Reshape to {target!r} changes the batch axis: keep it first (0 or -1)")
    if -1 in rest:
        rest[rest.index(-1)] = size // -int(np.prod(rest))
    if int(np.prod(rest)) != size:
        raise UnsupportedError(
            node.name, f"Reshape of a frame {value.shape!r} to {target!r} does not keep its {size} elements"
        )
    return tuple(rest)

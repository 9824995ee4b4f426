# SPDX-License-Identifier: Apache-2.0
"""The simpler nodes that a composite node becomes, in the making."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gatewright.ir.importing import ImportContext, OnnxNode


@dataclass(eq=False)
class Parts:
    """What a node becomes, in the making.

    Attributes:
        node: the node itself.
        nodes: what it becomes, in an order in which they can run.
    """

    node: OnnxNode
    ctx: ImportContext
    nodes: list[OnnxNode] = field(default_factory=list)

    def add(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """A node of standard ONNX; the name of its output."""
        output = f"{self.node.outputs[0]} part {len(self.nodes)}"
        self.nodes.append(OnnxNode(self.node.name, op_type, "", inputs, (output,), attributes))
        self.ctx.internal[output] = self.ctx.internal.get(inputs[0], inputs[0])
        return output

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """A constant operand."""
        name = f"{self.node.outputs[0]} constant {len(self.ctx.constants)}"
        self.ctx.constants[name] = np.asarray(value, dtype)
        return name

    def has(self, position: int) -> bool:
        """Whether an optional operand is there."""
        return position < len(self.node.inputs) and bool(self.node.inputs[position])

    def operand(self, position: int) -> str:
        """The name of an operand; "" where it is left out."""
        return self.node.inputs[position] if position < len(self.node.inputs) else ""

    def real(self, position: int, axis: int | None = None) -> str:
        """The real numbers of codes at `position`, whose scale and zero point follow them."""
        codes, scale = self.node.inputs[position : position + 1], self.node.inputs[position + 1 : position + 2]
        if not codes or not scale:
            raise IndexError(position)
        return self.dequantized(codes[0], scale[0], self.operand(position + 2), axis)

    def dequantized(self, codes: str, scale: str, zero: str, axis: int | None = None) -> str:
        """The real numbers of codes; along an axis, if scales are many."""
        many = axis is not None and any(self.ctx.constants[n].size > 1 for n in (scale, zero) if n)
        return self.add("DequantizeLinear", codes, scale, *([zero] if zero else []), **({"axis": axis} if many else {}))

    def finish(self, real: str, scale: int | None = None) -> None:
        """Let a tensor be the output, quantised by the scale and zero point at a position."""
        if scale is not None and self.has(scale):
            real = self.add("QuantizeLinear", real, *filter(None, (self.operand(scale), self.operand(scale + 1))))
        last = self.nodes[-1] if self.nodes and self.nodes[-1].outputs == (real,) else None
        if last is None:
            self.add("Identity", real)
            last = self.nodes[-1]
        self.nodes[-1] = replace(last, outputs=self.node.outputs[:1])

    def rank(self, position: int = 0) -> int:
        """Axes of an operand that depends on the input, batch included."""
        return 1 + len(self.ctx.values[self.node.inputs[position]].shape)

    def product(self, *positions: int, factor: float = 1.0) -> str:
        """The product of constant scales."""
        values = [self.ctx.constant(self.node, p).astype(np.float64).ravel() for p in positions]
        return self.constant(factor * math.prod(values[1:], start=values[0]))

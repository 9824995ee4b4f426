# SPDX-License-Identifier: Apache-2.0
"""What is built while a float ONNX model is read: the torch graph, and what each tensor of the model is in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx, nn

from gatewright.errors import ModelError, UnsupportedError

Array = npt.NDArray[Any]
BATCH = -1
"""Stands for the batch in a shape that the model computes."""


@dataclass(frozen=True, eq=False)
class FloatNode:
    """An ONNX node: name, type, names of inputs ("" where left out) and outputs, attributes."""

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def has(self, position: int) -> bool:
        """Whether an optional input is there."""
        return position < len(self.inputs) and bool(self.inputs[position])

    def refuse(self, reason: str) -> UnsupportedError:
        """The error that says why this node cannot be taken."""
        return UnsupportedError(self.name, f"{self.op_type}: {reason}")


@dataclass(frozen=True, eq=False)
class Activation:
    """A tensor of the model: its node in the graph, and what it is for one sample of zeros."""

    node: fx.Node
    example: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """With the batch of one."""
        return tuple(self.example.shape)


@dataclass(eq=False)
class FloatContext:
    """The state of one import, in which the functions of ``float_nodes`` leave what a node becomes.

    Attributes:
        batch: of the file, if it is fixed.
        constants: initialisers and folded constants by name.
        values: tensors that depend on the input by name.
        uses: how often each tensor is read, as an output of the model too.
        outputs: the model's outputs.
        opset: version of the operators' definitions.
        order: of the input's axes, if a transposition in front of everything was left to the host.
        pads: tensors that a Pad node is to give to the convolution behind it: those begin and end, by axis.
    """

    batch: int | None
    uses: Counter[str]
    outputs: frozenset[str]
    opset: int
    root: nn.Module = field(default_factory=nn.Module)
    graph: fx.Graph = field(default_factory=fx.Graph)
    constants: dict[str, Array] = field(default_factory=dict)
    values: dict[str, Activation] = field(default_factory=dict)
    pads: dict[str, tuple[int, ...]] = field(default_factory=dict)
    order: tuple[int, ...] | None = None
    notes: list[str] = field(default_factory=list)

    def value(self, node: FloatNode, position: int = 0) -> Activation:
        """An operand that depends on the input.

        Raises:
            UnsupportedError: it is a constant.
        """
        name = node.inputs[position]
        if name not in self.values:
            raise node.refuse(f"input {position} ({name!r}) is constant, where the network's activations are expected")
        if name in self.pads:
            raise node.refuse("padding with zeros has hardware in front of a convolution only: move the Pad there")
        return self.values[name]

    def constant(self, node: FloatNode, position: int) -> Array:
        """A constant operand.

        Raises:
            UnsupportedError: it is computed by the model.
        """
        name = node.inputs[position]
        if name not in self.constants:
            raise node.refuse(f"input {position} ({name!r}) must be a constant: fold constants before export")
        return self.constants[name]

    def weight(self, node: FloatNode, position: int) -> Tensor:
        """A constant operand in float32."""
        return torch.from_numpy(np.array(self.constant(node, position), np.float32))

    def module(self, node: FloatNode, module: nn.Module, source: Activation, weight: str = "") -> Activation:
        """Let the node's output be the module's, which is named after its weight or the node."""
        name = self._free(module_name(weight.removesuffix(".weight") if weight.endswith(".weight") else node.name))
        parent, _, leaf = name.rpartition(".")
        place = self.root
        for part in parent.split(".") if parent else ():
            if part not in dict(place.named_children()):
                place.add_module(part, nn.Module())
            place = place.get_submodule(part)
        place.add_module(leaf, module.eval())
        return self._set(node, self.graph.call_module(name, (source.node,)), lambda: module(source.example))

    def call(self, node: FloatNode, function: Callable[..., Tensor], *arguments: Any) -> Activation:
        """Let the node's output be that of a function of activations and plain numbers."""
        nodes, examples = _split(arguments)
        return self._set(node, self.graph.call_function(function, nodes), lambda: function(*examples))

    def alias(self, node: FloatNode, value: Activation) -> None:
        """Let the node's output be a tensor that is there already."""
        self.values[node.outputs[0]] = value

    def buffer(self, node: FloatNode, array: Array) -> Activation:
        """A constant operand as a buffer of the module."""
        name = self._free(module_name(f"{node.name}_constant").replace(".", "_"))
        tensor = torch.from_numpy(np.array(array, np.float32))
        self.root.register_buffer(name, tensor)
        return Activation(self.graph.get_attr(name), tensor)

    def _set(self, node: FloatNode, made: fx.Node, run: Callable[[], Tensor]) -> Activation:
        try:
            self.values[node.outputs[0]] = Activation(made, run())
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelError(f"{node.name}: {node.op_type} does not fit its input ({reason}): export again") from error
        return self.values[node.outputs[0]]

    def _free(self, name: str) -> str:
        taken = {n for n, _ in self.root.named_modules()} | {n for n, _ in self.root.named_buffers()}
        candidate, i = name, 1
        while candidate in taken or hasattr(fx.GraphModule, candidate):
            i += 1
            candidate = f"{name}_{i}"
        return candidate


def module_name(name: str) -> str:
    parts = [re.sub(r"\W+", "_", part, flags=re.ASCII).strip("_") for part in name.strip("/").split(".")]
    return ".".join(part for part in parts if part) or "n"


def _split(arguments: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Arguments of a function, activations (also in lists) as nodes, and as examples."""
    nodes: list[Any] = []
    examples: list[Any] = []
    for argument in arguments:
        if isinstance(argument, list) and argument and isinstance(argument[0], Activation):
            nodes.append([a.node for a in argument])
            examples.append([a.example for a in argument])
        else:
            nodes.append(argument.node if isinstance(argument, Activation) else argument)
            examples.append(argument.example if isinstance(argument, Activation) else argument)
    return tuple(nodes), tuple(examples)

# SPDX-License-Identifier: Apache-2.0
"""The integer graph: the one structure from the importer to the emitters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from gatewright.errors import ConfigError, DataError
from gatewright.ir.host import Values
from gatewright.ir.op import Op
from gatewright.ir.types import IntArray, Tensor, check_ints
from gatewright.runtime.ports import GraphInput, GraphOutput

__all__ = ["Edge", "Graph", "GraphInput", "GraphOutput", "Node", "chain", "flat_input", "integer_output", "single"]


@dataclass(frozen=True)
class Node:
    """An operator in a graph.

    Attributes:
        name: unique; becomes an instance name in every target.
        op: the operator.
        inputs, outputs: names of the tensors that it reads and writes.
        origin: names of the ONNX nodes that it computes.
    """

    name: str
    op: Op
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    origin: tuple[str, ...] = ()


@dataclass(frozen=True)
class Edge:
    """A tensor on its way to one consumer.

    Attributes:
        tensor: name.
        consumer: name of the node that reads it, or of the first output that it leaves by.
        port: which of the consumer's inputs.
    """

    tensor: str
    consumer: str
    port: int


@dataclass(frozen=True, eq=False)
class Graph:
    """A network of integer operators, validated when it is made; nodes in an order in which they can run.

    Attributes:
        name: an identifier; becomes the top module's name.
        depths: FIFO depth in words per edge, where designed; others have the least.
    """

    name: str
    inputs: tuple[GraphInput, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[GraphOutput, ...]
    depths: Mapping[Edge, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ConfigError(f"graph name {self.name!r} must be an identifier: letters, digits and underscores")
        known: dict[str, Tensor] = {i.name: i.tensor for i in self.inputs}
        for what, names in (
            ("inputs", [i.name for i in self.inputs]),
            ("nodes and outputs", [n.name for n in self.nodes] + [o.name for o in self.outputs]),
        ):
            if len(set(names)) < len(names):
                twice = next(n for n in names if names.count(n) > 1)
                raise ConfigError(f"graph {self.name!r}: two {what} are named {twice!r}: rename one")
        for node in self.nodes:
            if len(node.inputs) != len(node.op.inputs) or len(node.outputs) != len(node.op.outputs):
                raise ConfigError(
                    f"{node.name}: {node.op.name()} has {len(node.op.inputs)} inputs and "
                    f"{len(node.op.outputs)} outputs, not {len(node.inputs)} and {len(node.outputs)}"
                )
            for tensor, want in zip(node.inputs, node.op.inputs, strict=True):
                if tensor not in known:
                    raise ConfigError(f"{node.name} reads {tensor!r}, which nothing before it writes")
                if not known[tensor].carries(want):
                    raise ConfigError(f"{node.name} expects {want} but {tensor!r} is {known[tensor]}")
            for tensor, have in zip(node.outputs, node.op.outputs, strict=True):
                if tensor in known:
                    raise ConfigError(f"{node.name} writes {tensor!r}, which exists already")
                known[tensor] = have
        for output in self.outputs:
            if output.tensor not in known:
                raise ConfigError(f"output {output.name!r} reads {output.tensor!r}, which nothing writes")
        object.__setattr__(self, "_tensors", known)

    # --- structure --------------------------------------------------------------------------------------------------

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """The type of every tensor by name, inputs first."""
        return self._tensors  # type: ignore[attr-defined, no-any-return]  # set once in __post_init__

    def edges(self) -> Iterator[Edge]:
        """Every way from a tensor to a reader of it, in the order of the nodes; what leaves the hardware last."""
        for node in self.nodes:
            for port, tensor in enumerate(node.inputs):
                yield Edge(tensor, node.name, port)
        for tensor, output in self.leaving.items():
            yield Edge(tensor, output, 0)

    @property
    def leaving(self) -> dict[str, str]:
        """The tensors that leave the hardware, one stream each: the first output of each by tensor, in order."""
        first: dict[str, str] = {}
        for output in self.outputs:
            first.setdefault(output.tensor, output.name)
        return first

    def node(self, name: str) -> Node:
        """The node of that name."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise ConfigError(f"graph {self.name!r} has no node {name!r}; it has {', '.join(n.name for n in self.nodes)}")

    def with_ops(self, ops: Mapping[str, Op]) -> Graph:
        """The same graph with some nodes' operators replaced: how folding refines a graph."""
        return replace(self, nodes=tuple(replace(n, op=ops.get(n.name, n.op)) for n in self.nodes))

    # --- what it computes -------------------------------------------------------------------------------------------

    def run(self, *xs: IntArray) -> dict[str, IntArray]:
        """Every tensor by name from integer inputs of shape (frames, *tensor.shape).

        Raises:
            DataError: an input of the wrong shape, type or range.
        """
        values = {i.name: check_ints(i.name, x, i.tensor) for i, x in zip(self.inputs, xs, strict=True)}
        for node in self.nodes:
            operands = [values[t].reshape(-1, *want.shape) for t, want in zip(node.inputs, node.op.inputs, strict=True)]
            values.update(zip(node.outputs, node.op.reference(*operands), strict=True))
        return values

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """The golden integers of every output from integer inputs."""
        values = self.run(*xs)
        return tuple(values[o.tensor] for o in self.outputs)

    def quantize(self, *xs: npt.NDArray[np.generic]) -> tuple[IntArray, ...]:
        """The model's float inputs to integers, as the host does it."""
        if len(xs) != len(self.inputs):
            raise DataError(f"{len(xs)} arrays for the {len(self.inputs)} inputs {[i.name for i in self.inputs]}")
        return tuple(i.quantize(x) for i, x in zip(self.inputs, xs, strict=True))

    def dequantize(self, *ys: IntArray) -> tuple[Values, ...]:
        """Integer outputs to the model's own outputs, as the host does it."""
        return tuple(o.dequantize(y) for o, y in zip(self.outputs, ys, strict=True))

    def predict(self, *xs: npt.NDArray[np.generic]) -> tuple[Values, ...]:
        """The model's own outputs from its float inputs, through the integers."""
        return self.dequantize(*self.reference(*self.quantize(*xs)))

    # --- identity ---------------------------------------------------------------------------------------------------

    def digest(self) -> str:
        """SHA-256 of the canonical form: operators, folding, contents and depths."""
        from gatewright.ir.serial import graph_to_files

        text, arrays = graph_to_files(self)
        digest = hashlib.sha256(json.dumps(text, sort_keys=True).encode())
        for name in sorted(arrays):
            digest.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
        return digest.hexdigest()

    def __str__(self) -> str:
        rows = [("node", "operator", "output", "folding")]
        for node in self.nodes:
            folding = (
                ", ".join(f"{k}={getattr(node.op, k)}" for k in node.op.foldings()) if not node.op.composite else ""
            )
            rows.append((node.name, node.op.name(), "; ".join(map(str, node.op.outputs)), folding))
        widths = [max(len(r[i]) for r in rows) for i in range(4)]
        return "\n".join("  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows)


def single(op: Op, name: str = "top") -> Graph:
    """A graph of one operator, for tests and lone units; tensors are `x0`, `x1`, ... and `y0`, ..."""
    inputs = tuple(flat_input(f"x{i}", t) for i, t in enumerate(op.inputs))
    outputs = tuple(integer_output(f"y{i}", t) for i, t in enumerate(op.outputs))
    node = Node(f"u_{op.name()}", op, tuple(i.name for i in inputs), tuple(o.tensor for o in outputs))
    return Graph(name, inputs, (node,), outputs)


def chain(ops: Sequence[Op], name: str = "top") -> Graph:
    """A graph of single-input operators one after another, for tests."""
    nodes, tensor = [], "x0"
    for i, op in enumerate(ops):
        nodes.append(Node(f"u{i}_{op.name()}", op, (tensor,), (f"t{i}",)))
        tensor = f"t{i}"
    output = replace(integer_output("y0", ops[-1].outputs[0]), tensor=tensor)
    return Graph(name, (flat_input("x0", ops[0].inputs[0]),), tuple(nodes), (output,))


def flat_input(name: str, tensor: Tensor) -> GraphInput:
    """An input whose float frame has the tensor's own layout."""
    return GraphInput(name, tensor, tensor.shape, np.arange(tensor.size).reshape(tensor.shape))


def integer_output(name: str, tensor: Tensor) -> GraphOutput:
    """An output in the tensor's own layout, its offset 0."""
    scale = np.broadcast_to(np.asarray(tensor.scale, np.float64), tensor.channels)
    return GraphOutput(
        name, name, tensor.shape, np.arange(tensor.size).reshape(tensor.shape), scale, np.zeros(tensor.channels)
    )

# SPDX-License-Identifier: Apache-2.0
"""Small random networks with forks and joins, and chains of matrix products, made of operators directly."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from gatewright.ir.graph import Graph, Node, flat_input, integer_output
from gatewright.ir.op import Op, as_int64
from gatewright.ir.types import Tensor
from gatewright.ops.add import Add
from gatewright.ops.dense import Dense
from gatewright.ops.maxpool import Maxpool
from gatewright.ops.requant import Requant
from gatewright.ops.threshold import Threshold
from gatewright.ops.window import Window


def requant(source: Tensor, hi: int = 15) -> Requant:
    n = source.channels
    return Requant(source, as_int64([1] * n), as_int64([0] * n), 0, 0, hi)


def random_dag(seed: int, units: int) -> Graph:
    """`units` operators, each reading what an earlier one wrote or one of one or two inputs; some add two of those."""
    rng = np.random.default_rng(seed)
    widths = [4, 6, 8, 12]
    tensors = {f"x{i}": Tensor((int(rng.choice(widths)),), 0, 15) for i in range(int(rng.integers(1, 3)))}
    inputs = tuple(flat_input(name, t) for name, t in tensors.items())
    nodes: list[Node] = []
    for i in range(units):
        name = str(rng.choice(list(tensors)[-3:]))
        source = tensors[name]
        partners = [t for t in tensors if tensors[t].shape == source.shape]
        op: Op
        if rng.random() < 0.4:
            other = str(rng.choice(partners))
            op, reads = Add(source, tensors[other]), (name, other)
        elif rng.random() < 0.5:
            weight = rng.integers(-1, 2, (int(rng.choice(widths)), source.channels))
            op, reads = Dense(source, as_int64(weight)), (name,)
        else:
            op, reads = requant(source), (name,)
        nodes.append(Node(f"n{i}", op, reads, (f"t{i}",)))
        tensors[f"t{i}"] = op.outputs[0]
    read = {t for n in nodes for t in n.inputs}
    last = [t for n in nodes for t in n.outputs if t not in read]
    outputs = [replace(integer_output(f"y_{t}", tensors[t]), tensor=t) for t in last]
    used = tuple(i for i in inputs if i.name in read)
    return Graph("dag", used, tuple(nodes), tuple(outputs))


def mlp(widths: Sequence[int], bits: int, seed: int = 0) -> Graph:
    """Matrix products of those widths with thresholds between them, weights and activations of `bits` bits."""
    rng = np.random.default_rng(seed)
    top = (1 << bits) - 1
    limit = max((1 << bits - 1) - 1, 1)
    tensor = Tensor((widths[0],), 0, top)
    nodes: list[Node] = []
    inputs, name = (flat_input("x", tensor),), "x"
    for i, (cols, rows) in enumerate(itertools.pairwise(widths)):
        weight = rng.choice([-1, 1], (rows, cols)) if bits == 1 else rng.integers(-limit, limit + 1, (rows, cols))
        dense = Dense(tensor, as_int64(weight))
        nodes.append(Node(f"dense{i}", dense, (name,), (f"sums{i}",)))
        (tensor,), name = dense.outputs, f"sums{i}"
        if i < len(widths) - 2:
            spread = math.isqrt(cols) * (top + 1)
            table = np.sort(rng.integers(-spread, spread, (rows, top)), axis=1)
            threshold = Threshold(tensor, as_int64(table), as_int64(np.zeros(rows)), 0, top)
            nodes.append(Node(f"threshold{i}", threshold, (name,), (f"codes{i}",)))
            (tensor,), name = threshold.outputs, f"codes{i}"
    return Graph("mlp", inputs, tuple(nodes), (replace(integer_output("y", tensor), tensor=name),))


def convolutions(side: int, channels: Sequence[int | None], widths: Sequence[int], bits: int = 2) -> Graph:
    """Unpadded 3x3 convolutions of an RGB image, None a 2x2 maximum, then matrix products; thresholds between them."""
    rng = np.random.default_rng(0)
    top, limit = (1 << bits) - 1, max((1 << bits - 1) - 1, 1)
    image = Tensor((side, side, 3), 0, 255)
    nodes: list[Node] = []

    def add(op: Op) -> Tensor:
        nodes.append(Node(f"{op.name()}{len(nodes)}", op, (f"t{len(nodes)}",), (f"t{len(nodes) + 1}",)))
        return op.outputs[0]

    def product(tensor: Tensor, rows: int) -> Tensor:
        sums = add(Dense(tensor, as_int64(rng.integers(-limit, limit + 1, (rows, tensor.channels)))))
        table = np.sort(rng.integers(-99, 99, (rows, top)), axis=1)
        return add(Threshold(sums, as_int64(table), as_int64(np.zeros(rows)), 0, top))

    tensor = image
    for rows in channels:
        if rows is None:
            tensor = add(Maxpool(add(Window(tensor, 2, 2, 2, 2)), 4))
        else:
            tensor = product(add(Window(tensor, 3, 3)), rows)
    tensor = replace(tensor, shape=(tensor.size,))
    for rows in widths:
        tensor = product(tensor, rows)
    output = replace(integer_output("y", tensor), tensor=f"t{len(nodes)}")
    return Graph("convolutions", (flat_input("t0", image),), tuple(nodes), (output,))


def combinations(options: Sequence[Sequence[Op]], graph: Graph) -> Iterator[Graph]:
    """The graph with every combination of options of its nodes."""
    names = [n.name for n in graph.nodes]
    for ops in itertools.product(*options):
        yield graph.with_ops(dict(zip(names, ops, strict=True)))

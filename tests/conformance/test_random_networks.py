# SPDX-License-Identifier: Apache-2.0
"""Networks drawn at random, with branches, joins and any folding: the RTL equals the reference and the cycle model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gatewright.design.fifos import size_fifos
from gatewright.ir.graph import Graph
from gatewright.ir.op import Op, as_int64
from gatewright.ir.types import IntArray, Tensor
from gatewright.ops.add import Add
from gatewright.ops.dense import Dense
from gatewright.ops.global_avgpool import GlobalAvgpool
from gatewright.ops.maxpool import Maxpool
from gatewright.ops.requant import Requant
from gatewright.ops.threshold import Threshold
from gatewright.ops.window import Window
from gatewright.sim.model import Traffic

from .support import check_cycles, check_values, emit_bench, network

BATCH = 8


class Drawn:
    """A network that grows layer by layer; every tensor has scale 1, so that any two of one shape can be added."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        side, channels = self.draw(3, 6), self.draw(1, 6)
        self.image = Tensor((side, self.draw(3, 6), channels), *((0, 15) if seed % 2 else (-8, 7)))
        self.types: dict[str, Tensor] = {"image": self.image}
        self.nodes: list[tuple[str, Op, str]] = []

    def draw(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def numbers(self, low: int, high: int, *shape: int) -> IntArray:
        return as_int64(self.rng.integers(low, high + 1, shape))

    def add(self, op: Op, *reads: str) -> str:
        """Add an operator under a folding drawn from its legal ones."""
        folding = {name: int(self.rng.choice(values)) for name, values in op.foldings().items()}
        folded = replace(op, **folding)  # type: ignore[type-var]  # operators are dataclasses
        name = f"n{len(self.nodes)}_{op.name()}"
        self.nodes.append((name, folded, " ".join(reads)))
        self.types[name] = folded.outputs[0]
        return name

    def narrow(self, name: str) -> str:
        """Back to a few bits: by thresholds or by a multiplication."""
        tensor = self.types[name]
        n = tensor.channels
        if self.draw(0, 1):
            table = np.sort(self.rng.integers(tensor.lo, tensor.hi + 1, (n, 15)), axis=1)
            return self.add(Threshold(tensor, as_int64(table), self.numbers(0, 1, n), 0, 15), name)
        return self.add(Requant(tensor, self.numbers(-7, 7, n), self.numbers(-9, 9, n), self.draw(0, 6), -8, 7), name)

    def window(self, name: str, pad_value: int) -> str:
        tensor = self.types[name]
        kernel, stride, pad = self.draw(1, 3), self.draw(1, 2), self.draw(0, 1)
        return self.add(Window(tensor, kernel, kernel, stride, stride, pad, pad, pad, pad, pad_value=pad_value), name)

    def layer(self, name: str) -> str:
        """A convolution, a pooling, a matrix-vector product, or a sum with another tensor of the same shape."""
        tensor = self.types[name]
        partners = [n for n, t in self.types.items() if t.shape == tensor.shape and n != name] or [name]
        kind = self.draw(0, 3)
        if kind == 0:
            vectors = self.window(name, 0 if tensor.lo <= 0 else tensor.lo)
            return self.dense(vectors)
        if kind == 1:
            vectors = self.window(name, tensor.lo)
            return self.add(Maxpool(self.types[vectors], self.types[vectors].channels // tensor.channels), vectors)
        if kind == 2:
            return self.dense(name)
        partner = str(self.rng.choice(partners))
        return self.narrow(self.add(Add(tensor, self.types[partner]), name, partner))

    def dense(self, name: str) -> str:
        tensor = self.types[name]
        weight = self.numbers(-7, 7, self.draw(1, 6), tensor.channels)
        return self.narrow(self.add(Dense(tensor, weight), name))

    def graph(self, layers: int) -> Graph:
        """So many layers, each on one of the last tensors; whatever nothing reads is an output."""
        ends = ["image"]
        for _ in range(layers):
            candidates = [n for n in ends if min(self.types[n].shape[:2]) >= 3] or ends[:1]
            ends.append(self.layer(str(self.rng.choice(candidates[-2:]))))
        read = {tensor for _, _, reads in self.nodes for tensor in reads.split()}
        last = ends[-1] if ends[-1] not in read else next(n for n in self.types if n not in read)
        self.add(GlobalAvgpool(self.types[last]), last)
        leaves = [n for n, _, _ in self.nodes if n not in {*read, last}]
        return network({"image": self.image}, self.nodes, leaves)


def check(first: int, folder: Path) -> None:
    graphs = [size_fifos(Drawn(seed).graph(4)) for seed in range(first, first + BATCH)]
    bench = emit_bench(graphs, folder)
    model = bench.model()
    frames = bench.frames(5_000, most=20)
    check_cycles(bench, check_values(bench, model, frames, Traffic()))
    for seed, (into, out) in enumerate([(0.5, 0.5), (0.1, 0.8), (0.8, 0.1)]):
        traffic = Traffic(in_stall=into, out_stall=out, burst=12, seed=seed, reset_at=(313,))
        check_values(bench, model, frames, traffic)


@pytest.mark.parametrize("first", [0, BATCH])
def test_random_networks(first: int, tmp_path: Path) -> None:
    check(first, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(2 * BATCH, 12 * BATCH, BATCH))
def test_more_random_networks(first: int, tmp_path: Path) -> None:
    check(first, tmp_path)

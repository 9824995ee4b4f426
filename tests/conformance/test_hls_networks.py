# SPDX-License-Identifier: Apache-2.0
"""Networks drawn at random as whole HLS projects in C simulation, under the sanitizers: every integer is golden's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gatewright.design.structure import structure
from gatewright.ir.graph import Graph
from gatewright.ir.op import as_int64
from gatewright.ops.concat import Concat
from gatewright.ops.reshape import Reshape
from gatewright.ops.slice import Slice
from gatewright.ops.upsample import Upsample

from .support import network
from .target_hls import check_graphs
from .test_random_networks import Drawn

BATCH = 4


class Project(Drawn):
    """Two inputs, one of which may leave as it is, layers that move elements, and every second tensor an output."""

    def layer(self, name: str) -> str:
        kind = self.draw(0, 7)
        tensor = self.types[name]
        height, width, channels = tensor.shape
        if kind == 4:
            fits = [n for n, t in self.types.items() if t.shape[:2] == tensor.shape[:2]]
            other = str(self.rng.choice(fits))
            return self.add(Concat(tensor, self.types[other], 2), name, other)
        if kind == 5:
            axes = self.rng.permutation(3)
            order = np.arange(tensor.size).reshape(tensor.shape).transpose(axes)
            return self.add(Reshape(tensor, order.shape, as_int64(order.ravel())), name)
        if kind == 6:
            start = tuple(self.draw(0, 1) if n > 3 else 0 for n in tensor.shape)
            return self.add(Slice(tensor, start, tensor.shape, (1, 1, self.draw(1, 2))), name)
        if kind == 7 and height * width <= 16:
            return self.add(Upsample(tensor, self.draw(1, 2), 2), name)
        return super().layer(name) if channels <= 12 else self.dense(name)

    def graph(self, layers: int) -> Graph:
        self.types["mask"] = self.image
        ends = ["image", "mask"]
        for _ in range(layers):
            fit = [n for n in ends if min(self.types[n].shape[:2]) >= 3] or ends[:1]
            ends.append(self.layer(str(self.rng.choice(fit[-3:]))))
        read = {tensor for _, _, reads in self.nodes for tensor in reads.split()}
        unread = [n for n in self.types if n not in read]
        kept = [n for i, n in enumerate(self.types) if i % 2 and n in read]
        return network({"image": self.image, "mask": self.image}, self.nodes, [*unread, *kept])


def drawn(seed: int) -> Graph:
    return Project(seed).graph(6)


def check(first: int, folder: Path) -> None:
    check_graphs([drawn(seed) for seed in range(first, first + BATCH)], folder)


def test_the_networks_have_what_they_are_drawn_for() -> None:
    graphs = [drawn(seed) for seed in range(2 * BATCH)]
    designs = [structure(g) for g in graphs]
    assert all(len(g.inputs) == 2 for g in graphs) and any(len(g.outputs) > 2 for g in graphs)
    assert any(i.name in g.leaving for g in graphs for i in g.inputs)
    assert any(len(d.forks()) > 1 for d in designs)
    used = {u.module for d in designs for u in d.units}
    assert {"width_adapter", "concat", "reshape", "slice", "upsample", "add", "window", "threshold", "requant"} <= used


@pytest.mark.parametrize("first", [0, BATCH])
def test_random_projects(first: int, tmp_path: Path) -> None:
    check(first, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(2 * BATCH, 10 * BATCH, BATCH))
def test_more_random_projects(first: int, tmp_path: Path) -> None:
    check(first, tmp_path)

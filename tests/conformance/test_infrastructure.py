# SPDX-License-Identifier: Apache-2.0
"""FIFOs, forks and width adapters in emitted tops: every integer right, every beat in the cycle of the cycle model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gatewright.design.cycles import simulate
from gatewright.design.fifos import size_fifos
from gatewright.design.structure import BLOCK_DEPTH, structure
from gatewright.ir.graph import Graph, chain
from gatewright.ir.op import Op, as_int64, divisors
from gatewright.ir.types import Tensor
from gatewright.ops.add import Add
from gatewright.ops.dense import Dense
from gatewright.ops.threshold import Threshold
from gatewright.sim.model import Traffic

from .support import check_cycles, check_values, emit_bench, identity, network, residual_network

IMAGE = Tensor((3, 12), -9, 9)
DEPTHS = (2, 3, 7, BLOCK_DEPTH, BLOCK_DEPTH + 1, 200)
STALLS = (
    Traffic(in_stall=0.5, out_stall=0.1, seed=1),
    Traffic(in_stall=0.1, out_stall=0.6, burst=20, seed=2),
    Traffic(in_stall=0.3, out_stall=0.3, burst=4, seed=3, reset_at=(41, 2, 150)),
)


def check(graphs: Sequence[Graph], folder: Path, frames: int) -> None:
    """At full speed, where the cycles must be the model's, and under stalls."""
    bench = emit_bench(graphs, folder)
    model = bench.model()
    counts = [frames] * len(graphs)
    check_cycles(bench, check_values(bench, model, counts, Traffic()))
    check_cycles(bench, check_values(bench, model, counts, Traffic(seed=4, reset_at=(7, 98))))
    for traffic in STALLS:
        check_values(bench, model, counts, traffic)


def with_depth(graph: Graph, consumer: str, port: int, depth: int) -> Graph:
    (edge,) = (e for e in graph.edges() if (e.consumer, e.port) == (consumer, port))
    return replace(graph, depths={**graph.depths, edge: depth})


def narrowing(depth: int) -> Graph:
    """A FIFO of 12 lanes that fills up, because what reads it takes one lane a cycle."""
    return with_depth(chain([identity(IMAGE, 12), identity(IMAGE, 1)]), "u1_maxpool", 0, depth)


def widening(depth: int) -> Graph:
    """The same FIFO mostly empty: a word comes every 12 cycles."""
    return with_depth(chain([identity(IMAGE, 1), identity(IMAGE, 12)]), "u1_maxpool", 0, depth)


def test_fifos_of_lut_and_block_ram(tmp_path: Path) -> None:
    full = [narrowing(d) for d in DEPTHS]
    blocks = []
    for graph, depth in zip(full, DEPTHS, strict=True):
        design = structure(graph)
        (deep,) = (k for k in design.links if k.main and k.edge.consumer == "u1_maxpool")
        assert (deep.depth, simulate(design, 100).peak[deep.name]) == (depth, depth), "the FIFO never fills"
        blocks.append(deep.block)
    assert blocks == [False] * 4 + [True] * 2
    skips = [with_depth(residual_network(5, 1), "join", 1, d) for d in (19, BLOCK_DEPTH + 1)]
    check([*full, *(widening(d) for d in DEPTHS), *skips], tmp_path, 100)


def test_width_adapters_of_every_ratio(tmp_path: Path) -> None:
    lanes = divisors(IMAGE.channels)
    graphs = [chain([identity(IMAGE, a), identity(IMAGE, b)]) for a in lanes for b in lanes]
    adapters = [sum(not u.operator for u in structure(g).units) for g in graphs]
    assert [adapters.count(n) for n in (0, 1, 2)] == [6, 24, 6], "equal lanes, one divides the other, neither does"
    check(graphs, tmp_path, 20)


def dense_into_threshold(pe: int, simd: int, lanes: int) -> Graph:
    rng = np.random.default_rng(pe)
    dense = Dense(Tensor((2, 9), -8, 7), as_int64(rng.integers(-7, 8, (6, 9))), pe=pe, simd=simd)
    (sums,) = dense.outputs
    table = np.sort(rng.integers(sums.lo, sums.hi, (6, 3)), axis=1)
    return chain([dense, Threshold(sums, as_int64(table), as_int64([0, 1] * 3), 0, 3, pe=lanes)])


def forks() -> Graph:
    """The input and a tensor with three readers each, of several widths; outputs that are read inside as well."""
    a = identity(IMAGE, 4)
    nodes: list[tuple[str, Op, str]] = [
        ("a", a, "x"),
        ("b", identity(IMAGE, 4), "a"),
        ("c", identity(IMAGE, 6), "a"),
        ("d", identity(IMAGE, 1), "a"),
        ("e", Add(IMAGE, IMAGE, 3), "x c"),
        ("f", Add(IMAGE, IMAGE, 2), "b d"),
        ("g", Add(Tensor((3, 12), -18, 18), IMAGE, 12), "e x"),
    ]
    return network({"x": IMAGE}, nodes, ["a", "g", "f"])


def two_inputs() -> Graph:
    """Two inputs of different widths and ranges, one of which is read twice by one operator."""
    y = Tensor((3, 12), 0, 1)
    nodes: list[tuple[str, Op, str]] = [
        ("sum", Add(IMAGE, y, 6), "x y"),
        ("twice", Add(Tensor((3, 12), -9, 10), Tensor((3, 12), -9, 10), 4), "sum sum"),
    ]
    return network({"x": IMAGE, "y": y}, nodes, ["twice"])


def test_forks_and_joins(tmp_path: Path) -> None:
    check([forks(), two_inputs(), size_fifos(residual_network(5, 2))], tmp_path, 30)


@pytest.mark.parametrize(("pe", "simd"), [(3, 9), (6, 3), (1, 1)])
def test_dense_into_threshold(pe: int, simd: int, tmp_path: Path) -> None:
    check([dense_into_threshold(pe, simd, lanes) for lanes in divisors(6)], tmp_path, 30)

# SPDX-License-Identifier: Apache-2.0
"""FIFO depths keep the bottleneck busy, and not a word is too many in front of a join."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.models import Builder

from gatewright.boards import load_board
from gatewright.design.cycles import simulate
from gatewright.design.fifos import size_fifos, unit_interval
from gatewright.design.folding import Solver
from gatewright.design.structure import LEAST_DEPTH, structure
from gatewright.errors import DesignError
from gatewright.frontend.importer import from_onnx
from gatewright.ir.graph import Edge, Graph
from gatewright.passes.lower import lower

from .graphs import convolutions, mlp

FRAMES = 6


def residual(seed: int) -> Graph:
    """One to three residual blocks of random shapes, folded for a random rate."""
    rng = np.random.default_rng(seed)
    channels, side = int(rng.choice([2, 3, 4])), int(rng.integers(4, 8))
    b = Builder((channels, side, side))
    x = b.quant("x", 0.5, 4)
    for _ in range(int(rng.integers(1, 4))):
        y = x
        for _ in range(int(rng.integers(1, 3))):
            k = int(rng.choice([1, 3]))
            weight = b.weight(rng.integers(-7, 8, (channels, channels, k, k)), 0.125)
            y = b.quant(b.node("Conv", y, weight, pads=[k // 2] * 4), 0.5, 4)
        x = b.quant(b.node("Relu", b.node("Add", x, y)), 0.5, 4)
    graph = lower(from_onnx(b.model(x)))
    solver = Solver(graph, load_board("pynq-z2"))
    floor = max(min(o.interval for o in options) for options in solver.options.values())
    return solver.for_interval(int(floor * rng.choice([1, 1, 2, 5])))


def interval(graph: Graph) -> int:
    return simulate(structure(graph), FRAMES).interval


SEEDS = range(10)


@pytest.fixture(scope="module")
def sized() -> dict[int, tuple[Graph, Graph]]:
    graphs = {seed: residual(seed) for seed in SEEDS}
    return {seed: (graph, size_fifos(graph)) for seed, graph in graphs.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_bottleneck_is_kept_busy(sized: dict[int, tuple[Graph, Graph]], seed: int) -> None:
    graph, design = sized[seed]
    assert interval(design) == max(unit_interval(graph).values())
    assert design.nodes == graph.nodes
    assert all(d > LEAST_DEPTH for d in design.depths.values())


def test_least_depths_are_not_enough(sized: dict[int, tuple[Graph, Graph]]) -> None:
    """Or the sizes would show nothing: without them most of these stall or slow down."""
    worse = 0
    for graph, design in sized.values():
        try:
            worse += interval(graph) > interval(design)
        except DesignError:
            worse += 1
    assert worse >= len(sized) // 2


@pytest.mark.parametrize("seed", SEEDS)
def test_one_word_less_in_front_of_a_join_costs_time(sized: dict[int, tuple[Graph, Graph]], seed: int) -> None:
    graph, design = sized[seed]
    best = interval(design)
    joins = {n.name for n in graph.nodes if len(n.inputs) > 1}
    tried = 0
    for edge, depth in design.depths.items():
        if edge.consumer not in joins:
            continue
        tried += 1
        try:
            assert interval(replace(design, depths={**design.depths, edge: depth - 1})) > best
        except DesignError as error:
            assert "deadlocks" in str(error)
    assert tried > 0


def test_more_depth_changes_nothing(sized: dict[int, tuple[Graph, Graph]]) -> None:
    graph, design = sized[0]
    deep = replace(design, depths={e: design.depths.get(e, LEAST_DEPTH) + 40 for e in graph.edges()})
    assert interval(deep) == interval(design)


def test_same_graph_same_depths(sized: dict[int, tuple[Graph, Graph]]) -> None:
    assert size_fifos(residual(1)).digest() == sized[1][1].digest()
    assert all(isinstance(e, Edge) and type(d) is int for e, d in sized[1][1].depths.items())


def test_equally_slow_units_behind_one_another() -> None:
    """A vector of a frame waits in front of each matrix product while the last one is reread: ten frames show it."""
    graph = convolutions(32, [64, 64, None, 128, 128, None, 256, 256], [512, 512, 10])
    folded = Solver(graph, load_board("zcu104")).for_interval(33000)
    units = unit_interval(folded)
    goal = max(units.values())
    assert sum(cycles == goal for cycles in units.values()) >= 3
    assert simulate(structure(size_fifos(folded)), 12).interval == goal


@pytest.mark.parametrize("interval", [64, 100, 256, 1000])
@pytest.mark.parametrize("widths", [(64, 64, 64, 8), (24, 36, 12, 6), (16, 64, 4)])
def test_rate_of_a_chain_lasts(widths: tuple[int, ...], interval: int) -> None:
    folded = Solver(mlp(widths, 2), load_board("pynq-z2")).for_interval(interval)
    assert simulate(structure(size_fifos(folded)), 25).interval == max(unit_interval(folded).values())

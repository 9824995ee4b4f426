# SPDX-License-Identifier: Apache-2.0
"""Latency: the estimate against the cycle model, the search against brute force, designs against what was asked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from tests.models import Builder, random_network, small_network

from gatewright.boards import load_board
from gatewright.design.choices import Choices
from gatewright.design.cycles import simulate
from gatewright.design.fifos import let_pass, size_fifos, unit_interval
from gatewright.design.folding import Solver
from gatewright.design.latency import LatencySearch, lone_latency
from gatewright.design.plan import make_design
from gatewright.design.structure import BLOCK_DEPTH, LEAST_DEPTH, structure
from gatewright.errors import DesignError
from gatewright.frontend.importer import from_onnx
from gatewright.ir.graph import Graph, chain, single
from gatewright.ir.op import Op, as_int64, discover
from gatewright.ir.types import Tensor
from gatewright.ops.dense import Dense
from gatewright.passes.lower import lower

from .graphs import mlp, random_dag, requant

BOARD = load_board("pynq-z2")
KERNELS = [
    pytest.param(op, id=f"{name}{i}")
    for name, cls in discover().items()
    for i, op in enumerate(cls.examples())
    if not op.composite
]


def simulated(graph: Graph, latency: int = 0) -> int:
    """Latency in the cycle model, with FIFOs for the rate and, where a latency is given, for that."""
    return simulate(structure(let_pass(size_fifos(graph), latency)), 1).latency


@pytest.mark.parametrize("op", KERNELS)
def test_a_lone_unit_is_exact(op: Op) -> None:
    choices = Choices(single(op), BOARD)
    (node,) = choices.graph.nodes
    own = [{k: getattr(o.op, k) for k in op.foldings()} for o in choices.options[0]]
    picks = [own.index({k: getattr(node.op, k) for k in op.foldings()})]
    assert lone_latency(choices, picks) == simulate(structure(choices.graph), 1).latency


@pytest.mark.parametrize("seed", range(12))
def test_never_more_than_the_cycle_model_and_equal_with_room(seed: int) -> None:
    rng = np.random.default_rng(seed)
    if seed % 2:
        b = Builder((2, 6, 5))
        graph = lower(from_onnx(b.model(*random_network(b, seed, exact=True)[0])))
    else:
        graph = random_dag(seed, 6)
    choices = Choices(graph, BOARD)
    for _ in range(4):
        picks = [int(rng.integers(len(o))) for o in choices.options]
        folded, reckoned = choices.graph_of(picks), lone_latency(choices, picks)
        assert reckoned <= simulated(folded)
        design = structure(replace(folded, depths=dict.fromkeys(folded.edges(), BLOCK_DEPTH)))
        if all(link.main for link in design.links) and max(n.op.cycles for n in folded.nodes) <= BLOCK_DEPTH:
            assert reckoned == simulate(design, 1).latency


def short_chain(seed: int) -> Graph:
    """Two or three units, few foldings."""
    rng = np.random.default_rng(seed)
    ops: list[Op] = []
    tensor = Tensor((int(rng.choice([4, 6, 8])),), 0, 15)
    for i in range(int(rng.integers(2, 4))):
        rows = int(rng.choice([2, 3, 4, 6]))
        op = Dense(tensor, as_int64(rng.integers(-1, 2, (rows, tensor.channels)))) if i % 2 == 0 else requant(tensor)
        ops.append(op)
        (tensor,) = op.outputs
    return chain(ops)


def every_pick(choices: Choices) -> list[tuple[int, ...]]:
    return list(np.ndindex(*(len(o) for o in choices.options)))


def measured(choices: Choices) -> list[tuple[int, float, tuple[int, ...]]]:
    """Latency in the cycle model and cost of every combination."""
    rows = []
    for picks in every_pick(choices):
        reckoned = lone_latency(choices, picks)
        latency = simulated(choices.graph_of(picks), reckoned)
        rows.append((latency, choices.combination(picks).cost, picks))
    return rows


def everything(choices: Choices) -> LatencySearch:
    return LatencySearch(choices, choices.within(1 << 60))


@pytest.mark.parametrize("seed", [2, 5, 21, 22, 26, 29])
def test_optimum_of_a_short_chain(seed: int) -> None:
    """Brute force over the cycle model: no cheaper folding keeps a latency, none within a budget has a shorter."""
    choices = Choices(short_chain(seed), BOARD)
    rows = measured(choices)
    free = choices.unlimited
    latencies = sorted({latency for latency, _, _ in rows})
    for latency in latencies[:: max(1, len(latencies) // 8)]:
        found = everything(choices).cheapest(latency, free)
        assert found is not None and found.exact and found.latency <= latency
        assert found.cost == pytest.approx(min(c for late, c, _ in rows if late <= latency), abs=1e-12)
        assert simulated(choices.graph_of(found.picks), latency) <= latency
    assert everything(choices).cheapest(latencies[0] - 1, free) is None
    for share in (1.05, 1.5, 3.0):
        limit = min(choices.combination(p).shares.max() for _, _, p in rows) * share
        limits = np.full(len(choices.names), limit)
        best = min(late for late, _, p in rows if (choices.combination(p).shares <= limits + 1e-9).all())
        found = everything(choices).shortest(limits)
        assert found is not None and found.exact and found.latency == best
        assert (found.shares <= limits + 1e-9).all()


@pytest.mark.parametrize("seed", [0, 3, 6, 11, 14, 18, 25, 28])
def test_optimum_with_forks_and_joins(seed: int) -> None:
    choices = Choices(random_dag(seed, 3), BOARD)
    free = choices.unlimited
    rows = [(lone_latency(choices, p), choices.combination(p).cost) for p in every_pick(choices)]
    for latency in sorted({latency for latency, _ in rows})[::2]:
        found = everything(choices).cheapest(latency, free)
        assert found is not None and found.exact
        assert found.cost == pytest.approx(min(c for late, c in rows if late <= latency), abs=1e-12)


@pytest.mark.parametrize(
    ("seed", "picks"),
    [(1, (6, 4, 1, 1, 4)), (9, (1, 0, 5, 0, 21)), (27, (1, 0, 11, 3, 3)), (45, (1, 0, 15, 0, 2))],
)
def test_deeper_fifos_only_where_a_lone_frame_waits(seed: int, picks: tuple[int, ...]) -> None:
    choices = Choices(random_dag(seed, 5), BOARD)
    graph, reckoned = size_fifos(choices.graph_of(picks)), lone_latency(choices, picks)
    assert simulate(structure(graph), 1).latency > reckoned
    quick = let_pass(graph, reckoned)
    assert simulate(structure(quick), 1).latency == reckoned
    raised = {e: d for e, d in quick.depths.items() if d > graph.depths.get(e, LEAST_DEPTH)}
    assert raised
    for edge in raised:
        less = {**quick.depths, edge: graph.depths.get(edge, LEAST_DEPTH)}
        assert simulate(structure(replace(graph, depths=less)), 1).latency > reckoned
    assert let_pass(graph, reckoned - 1).depths == graph.depths


TARGETS = [
    ((784, 64, 64, 64, 10), 1, 69, 2.4),
    ((600, 64, 64, 64, 1), 2, 69, 2.1),
    ((490, 256, 256, 256, 12), 3, 490, 17.0),
]


@pytest.mark.parametrize(("widths", "bits", "interval", "latency_us"), TARGETS)
def test_rate_and_latency_of_a_perceptron(widths: Sequence[int], bits: int, interval: int, latency_us: float) -> None:
    graph = mlp(widths, bits)
    design = make_design(graph, BOARD, fps=1e8 / interval, latency_us=latency_us, mhz=100.0)
    assert design.timing.interval <= interval and design.timing.latency <= latency_us * 100
    cheapest = make_design(graph, BOARD, fps=1e8 / interval, mhz=100.0)
    solver = Solver(graph, BOARD)
    assert solver.cost(design.graph) >= solver.cost(cheapest.graph)
    quicker = make_design(graph, BOARD, fps=1e8 / interval, latency_us=latency_us / 2, mhz=100.0)
    assert quicker.timing.latency <= latency_us * 50 and max(unit_interval(quicker.graph).values()) <= interval


def test_shortest_latency_in_a_budget() -> None:
    graph = mlp((32, 12, 4), 2)
    latencies = []
    for budget in (0.008, 0.015, 0.5):
        design = make_design(graph, BOARD, budget=budget, objective="latency")
        assert not Solver(graph, BOARD, budget).over(design.summary()["resources"])
        latencies.append(design.timing.latency)
    assert latencies == sorted(latencies, reverse=True) and latencies[0] > latencies[-1]
    fast = make_design(graph, BOARD)
    assert latencies[-1] <= fast.timing.latency


def test_refusals_name_what_is_within_reach() -> None:
    graph = mlp((32, 12, 4), 2)
    with pytest.raises(DesignError, match=r"^0\.05 us at 100 MHz is out of reach: latency (\S+) us at least, however"):
        make_design(graph, BOARD, latency_us=0.05)
    with pytest.raises(DesignError) as caught:
        make_design(graph, BOARD, latency_us=0.05)
    least = float(re.search(r"latency (\S+) us at least", str(caught.value)).group(1))
    assert make_design(graph, BOARD, latency_us=least).timing.latency == round(least * 100)
    with pytest.raises(DesignError, match="out of reach"):
        make_design(graph, BOARD, latency_us=least - 0.01)
    luts = [
        make_design(graph, BOARD, **asked).summary()["resources"]["LUT"]
        for asked in ({"fps": 1}, {"latency_us": least})
    ]
    small = replace(BOARD, capacity={**BOARD.capacity, "LUT": int(sum(luts) / 2)})
    with pytest.raises(DesignError, match=r"is beyond pynq-z2: the shortest latency that fits is \S+ us$") as caught:
        make_design(graph, small, latency_us=least)
    fits = float(re.search(r"fits is (\S+) us", str(caught.value)).group(1))
    assert make_design(graph, small, latency_us=fits).timing.latency <= round(fits * 100)
    b, y = small_network()
    with pytest.raises(DesignError, match=r"takes at least \d+ cycles a frame however it is folded, more than 1: "):
        make_design(lower(from_onnx(b.model(y))), BOARD, fps=9e7, latency_us=10.0)

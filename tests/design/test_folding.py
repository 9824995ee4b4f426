# SPDX-License-Identifier: Apache-2.0
"""The folding solver against its promises and against brute force; folding files."""

from __future__ import annotations

import itertools
import math
import pickle
import re
from collections import Counter
from dataclasses import replace
from functools import cached_property

import numpy as np
import pytest
from tests.models import Builder, random_network, small_network, two_layers

from gatewright.boards import Board, load_board
from gatewright.design.choices import Choices, refold
from gatewright.design.fifos import unit_interval
from gatewright.design.folding import Solver, apply_folding, folding_of
from gatewright.errors import ConfigError, DesignError
from gatewright.frontend.importer import from_onnx
from gatewright.ir.graph import Graph, chain
from gatewright.ir.op import Op, as_int64, discover
from gatewright.ir.types import Tensor
from gatewright.ops.dense import Dense
from gatewright.passes.lower import lower

from .graphs import combinations, random_dag

BOARD = load_board("pynq-z2")


def random(seed: int) -> Graph:
    b = Builder((2, 6, 5))
    outputs, _ = random_network(b, seed, exact=True)
    return lower(from_onnx(b.model(*outputs)))


def small() -> Graph:
    b, y = small_network()
    return lower(from_onnx(b.model(y)))


def layers(features: int = 8, hidden: int = 12, classes: int = 3) -> Graph:
    b, y = two_layers(features, hidden, classes)
    return lower(from_onnx(b.model(y)))


GRAPHS = {"small": small(), "layers": layers(), **{f"random{seed}": random(seed) for seed in range(6)}}


def board(**capacity: int) -> Board:
    return replace(BOARD, capacity={**BOARD.capacity, **capacity})


@pytest.mark.parametrize("name", GRAPHS)
def test_every_unit_meets_the_interval(name: str) -> None:
    solver = Solver(GRAPHS[name], BOARD)
    floor = max(min(o.interval for o in options) for options in solver.options.values())
    for interval in (floor, floor + 1, 2 * floor, 10 * floor, 1 << 40):
        folded = solver.for_interval(interval)
        assert max(unit_interval(folded).values()) <= interval
        # Folding changes hardware, never what is computed.
        assert [n.op.outputs for n in folded.nodes] == [n.op.outputs for n in GRAPHS[name].nodes]
    with pytest.raises(
        DesignError, match=rf"\w+ takes at least {floor} cycles a frame however it is folded, more than {floor - 1}: "
    ):
        solver.for_interval(floor - 1)


@pytest.mark.parametrize("name", GRAPHS)
def test_more_time_never_costs_more(name: str) -> None:
    solver = Solver(GRAPHS[name], BOARD)
    floor = max(min(o.interval for o in options) for options in solver.options.values())
    costs = [solver.cost(solver.for_interval(floor * k)) for k in (1, 2, 4, 16, 1000)]
    assert all(later <= earlier + 1e-9 for earlier, later in itertools.pairwise(costs))
    assert costs[-1] < costs[0] or len(set(costs)) == 1


def every_design(solver: Solver) -> list[tuple[int, float, dict[str, float]]]:
    """Interval, cost and resources of every combination of foldings."""
    options = [[o.op for o in found] for found in solver.options.values()]
    graphs = combinations(options, solver.graph)
    return [(max(unit_interval(g).values()), solver.cost(g), solver.total(g)) for g in graphs]


def combined(seed: int) -> int:
    """Combinations of foldings of a random network."""
    return math.prod(len(o) for o in Solver(random_dag(seed, 2 + seed % 4), BOARD).options.values())


SMALL = [seed for seed in range(40) if combined(seed) <= 300]


@pytest.mark.parametrize("seed", SMALL)
def test_optimum_of_a_small_network(seed: int) -> None:
    """Chains, forks and joins of two to five units: the cheapest for an interval, and the fastest in a budget."""
    solver = Solver(random_dag(seed, 2 + seed % 4), BOARD)
    designs = every_design(solver)
    for interval in sorted({d[0] for d in designs}):
        cost = solver.cost(solver.for_interval(interval))
        assert cost == pytest.approx(min(c for i, c, _ in designs if i <= interval), abs=1e-12)
    smallest = min(max(t[k] / BOARD.capacity[k] for k in BOARD.capacity if k in t) for _, _, t in designs)
    for budget in (smallest * 0.99, smallest * 1.01, smallest * 1.2, smallest * 1.6, smallest * 3):
        solver.budget = budget
        fits = [d for d in designs if not solver.over(d[2])]
        if fits:
            folded = solver.fastest()
            assert max(unit_interval(folded).values()) == min(i for i, _, _ in fits)
            assert solver.cost(folded) == pytest.approx(min((i, c) for i, c, _ in fits)[1], abs=1e-9)
            assert not solver.excess(folded)
        else:
            with pytest.raises(DesignError, match="even the smallest design is too large"):
                solver.fastest()


def two_products(seed: int) -> Graph:
    """Weights lie in LUTs or, where they are many words, in block RAM: one resource can be traded for another."""
    rng = np.random.default_rng(seed)
    tensor, ops = Tensor((int(rng.choice([48, 64, 96])),), 0, 3), list[Op]()
    for _ in range(2):
        ops.append(Dense(tensor, as_int64(rng.integers(-1, 2, (int(rng.choice([12, 16, 24])), tensor.channels)))))
        (tensor,) = ops[-1].outputs
    return chain(ops)


@pytest.mark.parametrize("steps", [25, 1], ids=["prices", "branches"])
@pytest.mark.parametrize("seed", range(6))
def test_optimum_within_a_limit_for_every_resource(seed: int, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each resource has the limit of some design; also where branch and bound has to do without prices."""
    monkeypatch.setattr("gatewright.design.choices.STEPS", steps)
    choices = Choices(two_products(seed), BOARD)
    shares = np.array(
        [choices.combination(p).shares for p in itertools.product(*(range(len(o)) for o in choices.options))]
    )
    rng = np.random.default_rng(seed)
    for _ in range(30):
        one, other = shares[rng.integers(len(shares), size=2)]
        limits = np.where(rng.random(len(one)) < 0.5, one, other) * rng.choice([1.0, 1.02, 0.98])
        costs = shares.sum(axis=1)[(shares <= limits + 1e-9).all(axis=1)]
        found = choices.cheapest_within(choices.within(1 << 60), limits)
        assert (found is None) == (len(costs) == 0)
        if found is not None:
            assert found.cost == pytest.approx(costs.min(), abs=2e-9) and (found.shares <= limits + 1e-9).all()


def test_small_networks_have_forks_and_joins() -> None:
    graphs = [random_dag(seed, 2 + seed % 4) for seed in SMALL]
    assert len(graphs) >= 15
    assert sum(any(len(n.inputs) > 1 for n in g.nodes) for g in graphs) >= 5
    assert sum(max(Counter(e.tensor for e in g.edges()).values()) > 1 for g in graphs) >= 5


@pytest.mark.parametrize("budget", [0.02, 0.05, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("name", ["small", "layers"])
def test_fastest_fits_and_one_step_faster_does_not(name: str, budget: float) -> None:
    solver = Solver(GRAPHS[name], BOARD, budget)
    try:
        folded = solver.fastest()
    except DesignError as error:
        assert "even the smallest design is too large for pynq-z2" in str(error)
        assert solver.excess(solver.for_interval(1 << 40))
        return
    assert not solver.excess(folded)
    total = solver.total(folded)
    assert all(total[k] <= BOARD.capacity[k] * budget for k in BOARD.capacity if k in total)
    reached = max(unit_interval(folded).values())
    faster = sorted(
        {o.interval for options in solver.options.values() for o in options if o.interval < reached}, reverse=True
    )
    for interval in faster[:1]:
        try:
            assert solver.excess(solver.for_interval(interval))
        except DesignError as error:
            assert "however it is folded" in str(error)


def test_refusals_name_the_resource() -> None:
    solver = Solver(small(), board(LUT=100))
    with pytest.raises(
        DesignError,
        match=r"even the smallest design is too large for pynq-z2: LUT needs \d+ of 100 \(\+\d+%\); use a larger",
    ):
        solver.fastest()
    solver = Solver(layers(64, 32, 8), board(LUT=3000))
    needs = r"1e\+07 frames/s at 100 MHz are beyond pynq-z2: LUT needs \d+ of 3000 \(\+\d+%\)"
    message = needs + r".*; the largest rate that fits is (\S+) frames/s"
    with pytest.raises(DesignError, match=message) as caught:
        solver.for_rate(1e7)
    rate = float(re.search(message, str(caught.value)).group(1))
    assert not solver.excess(solver.for_rate(rate))
    with pytest.raises(DesignError, match="are beyond pynq-z2"):
        solver.for_rate(rate * 1.2)


def test_rate_and_clock() -> None:
    for fps, mhz in ((1e6, 100.0), (2e6, 100.0), (1e6, 200.0), (1e8 / 24, 100.0), (1e8 / 7, 100.0)):
        folded = Solver(layers(), BOARD, mhz=mhz).for_rate(fps)
        assert max(unit_interval(folded).values()) <= round(mhz * 1e6 / fps)
    with pytest.raises(DesignError, match=r"2e\+08 frames/s at 100 MHz leave less than one cycle a frame"):
        Solver(layers(), BOARD).for_rate(2e8)


def test_folding_file_and_back() -> None:
    graph = Solver(small(), BOARD).for_interval(700)
    folding = folding_of(graph)
    assert set(folding) == {n.name for n in graph.nodes}
    again = apply_folding(small(), folding, "f.json")
    assert again.digest() == graph.digest()
    with pytest.raises(ConfigError, match="f.json: no node 'conv_11'; did you mean 'conv_1'?"):
        apply_folding(small(), {**folding, "conv_11": {"pe": 1}}, "f.json")


KERNELS = [
    pytest.param(op, id=f"{name}{i}")
    for name, cls in discover().items()
    for i, op in enumerate(cls.examples())
    if not op.composite
]


@pytest.mark.parametrize("op", KERNELS)
def test_what_an_operator_caches_does_not_depend_on_its_folding(op: Op) -> None:
    names, values = list(op.foldings()), list(op.foldings().values())
    cached = [n for c in type(op).__mro__ for n, v in vars(c).items() if isinstance(v, cached_property)]
    for name in cached:
        getattr(op, name)
    for combination in itertools.product(*(v[:: max(1, len(v) - 1)] for v in values)):
        folding = dict(zip(names, combination, strict=True))
        quick, slow = refold(op, **folding), replace(op, **folding)
        for name in cached:
            assert pickle.dumps(getattr(quick, name)) == pickle.dumps(getattr(slow, name)), name
        assert quick.resources() == slow.resources() and quick.parameters() == slow.parameters()
        assert quick.cycles == slow.cycles and quick.in_lanes == slow.in_lanes

# SPDX-License-Identifier: Apache-2.0
"""The folding solver against its promises and against brute force; folding files."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest
from tests.models import Builder, random_network, small_network, two_layers

from gatewright.boards import Board, load_board
from gatewright.design.fifos import unit_interval
from gatewright.design.folding import Solver, apply_folding, folding_of
from gatewright.errors import ConfigError, DesignError
from gatewright.frontend.importer import from_onnx
from gatewright.ir.graph import Graph
from gatewright.passes.lower import lower

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
    costs = [solver._cost(solver.total(solver.for_interval(floor * k))) for k in (1, 2, 4, 16, 1000)]
    assert all(later <= earlier * 1.02 for earlier, later in itertools.pairwise(costs))
    assert costs[-1] < costs[0] or len(set(costs)) == 1


def brute_force(solver: Solver, interval: int) -> float:
    """Least cost over every combination of foldings."""
    names = list(solver.options)
    fast = [[o.op for o in solver.options[n] if o.interval <= interval] for n in names]
    graphs = (solver.graph.with_ops(dict(zip(names, ops, strict=True))) for ops in itertools.product(*fast))
    return min(solver._cost(solver.total(g)) for g in graphs)


@pytest.mark.parametrize("shape", [(8, 6, 2), (6, 4, 3), (4, 9, 2)])
@pytest.mark.parametrize("interval", [6, 12, 18, 24, 48, 100])
def test_no_dearer_than_brute_force(shape: tuple[int, int, int], interval: int) -> None:
    """Units are chosen one by one with their neighbours in view: that may miss the best by up to a tenth."""
    solver = Solver(layers(*shape), BOARD)
    if max(min(o.interval for o in options) for options in solver.options.values()) > interval:
        pytest.skip("no folding is that fast")
    cost = solver._cost(solver.total(solver.for_interval(interval)))
    best = brute_force(solver, interval)
    assert best <= cost <= best * 1.1


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
        solver.for_rate(1e7, 100.0)
    rate = float(re.search(message, str(caught.value)).group(1))
    assert not solver.excess(solver.for_rate(rate, 100.0))
    with pytest.raises(DesignError, match="are beyond pynq-z2"):
        solver.for_rate(rate * 1.2, 100.0)


def test_rate_and_clock() -> None:
    solver = Solver(layers(), BOARD)
    for fps, mhz in ((1e6, 100.0), (2e6, 100.0), (1e6, 200.0), (1e8 / 24, 100.0), (1e8 / 7, 100.0)):
        assert max(unit_interval(solver.for_rate(fps, mhz)).values()) <= round(mhz * 1e6 / fps)
    with pytest.raises(DesignError, match=r"2e\+08 frames/s at 100 MHz leave less than one cycle a frame"):
        solver.for_rate(2e8, 100.0)


def test_folding_file_and_back() -> None:
    graph = Solver(small(), BOARD).for_interval(700)
    folding = folding_of(graph)
    assert set(folding) == {n.name for n in graph.nodes}
    again = apply_folding(small(), folding, "f.json")
    assert again.digest() == graph.digest()
    with pytest.raises(ConfigError, match="f.json: no node 'conv_11'; did you mean 'conv_1'?"):
        apply_folding(small(), {**folding, "conv_11": {"pe": 1}}, "f.json")

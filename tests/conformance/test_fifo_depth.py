# SPDX-License-Identifier: Apache-2.0
"""The computed FIFO depths: enough for the bottleneck's pace and not a word more; with less, the RTL waits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from gatewright.design.cycles import simulate
from gatewright.design.fifos import size_fifos, unit_interval
from gatewright.design.structure import LEAST_DEPTH, structure
from gatewright.errors import DesignError, SimulationError
from gatewright.ir.graph import Edge, Graph
from gatewright.sim.model import RunResult, Traffic

from .support import check_cycles, check_values, emit_bench, residual_network

FRAMES = 8
SKIP = Edge("image", "join", 1)
PRESSURE = (
    Traffic(out_stall=0.5, seed=1),
    Traffic(out_stall=0.9, burst=60, seed=2),
    Traffic(in_stall=0.9, burst=60, seed=3),
    Traffic(in_stall=0.5, out_stall=0.5, seed=4),
    Traffic(in_stall=0.6, out_stall=0.6, burst=15, seed=5),
    Traffic(in_stall=0.2, out_stall=0.8, burst=200, seed=6),
    Traffic(in_stall=0.3, out_stall=0.3, burst=9, seed=7, reset_at=(333, 901, 77)),
)


def with_skip(graph: Graph, depth: int) -> Graph:
    return replace(graph, depths={**graph.depths, SKIP: depth})


def is_live(graph: Graph) -> bool:
    try:
        simulate(structure(graph), FRAMES)
    except DesignError:
        return False
    return True


def least_live(graph: Graph) -> int:
    """The least depth of the skip at which frames get through at all."""
    return next(d for d in count(LEAST_DEPTH) if is_live(with_skip(graph, d)))


def intervals(results: Sequence[RunResult]) -> list[int]:
    return [int(r.last_output_cycle[-1] - r.last_output_cycle[-2]) for r in results]


@pytest.mark.parametrize(
    ("width", "deep"), [(6, 1), (5, 2), pytest.param(8, 3, marks=pytest.mark.slow)], ids=lambda v: str(v)
)
def test_computed_depth_is_enough_and_least(width: int, deep: int, tmp_path: Path) -> None:
    sized = size_fifos(residual_network(width, deep))
    bottleneck = max(unit_interval(sized).values())
    depth = sized.depths[SKIP]
    bench = emit_bench([with_skip(sized, d) for d in (depth, depth - 1, least_live(sized))], tmp_path)
    model = bench.model()
    results = check_values(bench, model, [FRAMES] * 3, Traffic())
    check_cycles(bench, results)
    enough, one_less, live = intervals(results)
    assert enough == bottleneck < one_less <= live
    for traffic in PRESSURE:  # a design that finishes at full speed finishes under any stalls
        check_values(bench, model, [FRAMES] * 3, traffic)


def test_depth_that_is_not_live_stalls_as_predicted(tmp_path: Path) -> None:
    sized = size_fifos(residual_network(6, 1))
    dead = [with_skip(sized, d) for d in (LEAST_DEPTH, least_live(sized) - 1)]
    bench = emit_bench(dead, tmp_path)
    model = bench.model()
    for i, graph in enumerate(dead):
        with pytest.raises(DesignError, match=rf"deadlock.*\bjoin_fifo1={graph.depths[SKIP]}\b"):
            simulate(structure(graph))
        frames = [FRAMES if i == j else 0 for j in range(len(dead))]
        inputs = [[x.reshape(len(x), 144) for x in xs] for xs in bench.inputs(frames)]
        with pytest.raises(SimulationError) as error:
            model.run_groups(inputs, Traffic(timeout_cycles=2000))
        message = str(error.value)
        assert "no beat for 2000 cycles" in message
        assert re.search(rf"e{i}_s_axis: frame \d+ beat \d+ is offered, and e{i}_s_axis_tready is low", message)
        assert re.search(rf"e{i}_m_axis: frame 0 beat \d+ is awaited, and e{i}_m_axis_tvalid is low", message)

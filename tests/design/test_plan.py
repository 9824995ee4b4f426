# SPDX-License-Identifier: Apache-2.0
"""From a proven graph to a design and its summary."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from tests.models import Builder, small_network

from gatewright.boards import load_board
from gatewright.design.fifos import size_fifos, unit_interval
from gatewright.design.plan import Design, make_design
from gatewright.errors import DesignError
from gatewright.frontend.importer import from_onnx
from gatewright.ir.graph import Graph
from gatewright.passes.lower import lower
from gatewright.progress import Progress

BOARD = load_board("pynq-z2")


def design(**options: float) -> Design:
    b, y = small_network()
    return make_design(lower(from_onnx(b.model(y))), BOARD, **options)


def test_rate_is_met_in_the_cycle_model() -> None:
    for fps in (1e4, 5e4, 1e5, 2e5):
        made = design(fps=fps)
        assert made.fps >= fps
        assert made.timing.interval == max(unit_interval(made.graph).values())


def test_clock_scales_the_rate() -> None:
    slow, fast = design(fps=5e4, mhz=50.0), design(fps=1e5, mhz=100.0)
    assert slow.graph.digest() == fast.graph.digest()
    assert slow.fps == pytest.approx(fast.fps / 2)


def test_a_rate_that_the_cycle_model_does_not_show_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the computed depths were a word short in front of the joins: then units wait for one another."""
    b = Builder((4, 8, 8))
    x = b.quant("x", 0.5, 4)
    y = b.quant(b.node("Conv", x, b.weight(np.ones((4, 4, 3, 3)), 0.125), pads=[1] * 4), 0.5, 4)
    graph = lower(from_onnx(b.model(b.quant(b.node("Add", x, y), 1.0, 4))))
    sound = make_design(graph, BOARD)

    def short(folded: Graph, progress: Progress) -> Graph:
        sized = size_fifos(folded, progress)
        return replace(sized, depths={edge: depth - 1 for edge, depth in sized.depths.items()})

    assert make_design(graph, BOARD, fps=sound.fps).fps == sound.fps
    monkeypatch.setattr("gatewright.design.plan.size_fifos", short)
    with pytest.raises(DesignError, match=r"units wait for one another, and the cycle model shows only .* ask for a"):
        make_design(graph, BOARD, fps=sound.fps)


def test_summary_adds_up() -> None:
    made = design(fps=1e5)
    summary = made.summary()
    assert json.loads(json.dumps(summary)) == summary
    assert [u["name"] for u in summary["units"]] == [n.name for n in made.graph.nodes]
    assert summary["bottleneck"] in {u["name"] for u in summary["units"]}
    assert max(u["cycles"] for u in summary["units"]) == summary["interval_cycles"]
    for resource, total in summary["resources"].items():
        assert total == pytest.approx(sum(r.get(resource, 0) for r in made.units.values()))
        assert total <= BOARD.capacity[resource]
    assert {f["name"] for f in summary["fifos"]} == {k.name for k in made.structure.links if k.depth}
    assert summary["digest"] == made.graph.digest()

# SPDX-License-Identifier: Apache-2.0
"""The cycle model: lone units by their schedules, standstill, limits. The conformance tests compare it with RTL."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.models import Builder

from gatewright.design.cycles import simulate
from gatewright.design.structure import structure
from gatewright.errors import DesignError
from gatewright.frontend.importer import from_onnx
from gatewright.ir.graph import Edge, Graph, single
from gatewright.ir.op import Op, discover
from gatewright.passes.lower import lower

KERNELS = [
    pytest.param(op, id=f"{name}{i}")
    for name, cls in discover().items()
    for i, op in enumerate(cls.examples())
    if not op.composite
]


@pytest.mark.parametrize("op", KERNELS)
def test_lone_unit(op: Op) -> None:
    timing = simulate(structure(single(op)), 5)
    beats = max(s.beats for s in (*op.in_streams, *op.out_streams))
    assert timing.interval == max(op.cycles, beats)
    assert timing.first_in.shape == (len(op.inputs), 5) and timing.last_out.shape == (len(op.outputs), 5)
    assert (timing.first_in[:, 0] == 0).all()
    assert timing.latency == timing.last_out[:, 0].max()
    # No output beat before the steps that it takes, and the pipeline behind them.
    schedule = op.schedule()
    assert timing.latency >= max(np.flatnonzero(p)[-1] for p in schedule.produce) + schedule.depth
    assert (timing.last_out[0, 1:] > timing.last_out[0, :-1]).all()


def residual() -> Graph:
    """A convolution beside a plain path: nothing comes out of it before two rows and a pixel went in."""
    b = Builder((1, 8, 8))
    x = b.quant("x", 1.0, 4)
    y = b.node("Conv", x, b.weight([[[[1, 2, 3], [4, 5, 6], [7, 1, 2]]]], 1.0), pads=[1, 1, 1, 1])
    return lower(from_onnx(b.model(b.node("Add", x, b.quant(y, 1.0, 4)))))


def test_deadlock_is_said_and_ends() -> None:
    graph = residual()
    with pytest.raises(
        DesignError,
        match=r"the design stops before 3 frames are out: it deadlocks with the FIFO depths .*add_1_fifo0=2",
    ):
        simulate(structure(graph), 3)
    deep = replace(graph, depths={Edge("x", "add_1", 0): 64})
    assert simulate(structure(deep), 3).interval >= 64


def test_limit() -> None:
    design = structure(replace(residual(), depths={Edge("x", "add_1", 0): 64}))
    with pytest.raises(DesignError, match="the design does not finish in 50 cycles before 3 frames are out"):
        simulate(design, 3, limit=50)


def test_peaks_never_exceed_depths() -> None:
    design = structure(replace(residual(), depths={Edge("x", "add_1", 0): 40}))
    timing = simulate(design, 4)
    for link in design.links:
        assert timing.peak[link.name] <= link.depth
    assert timing.peak["add_1_fifo0"] > 16


def test_one_frame() -> None:
    timing = simulate(structure(single(discover()["add"].examples()[0])), 1)
    assert timing.interval == timing.latency

# SPDX-License-Identifier: Apache-2.0
"""Designs whose frames take longer than the harness waits for a beat elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gatewright.design.structure import structure
from gatewright.emit import rtl
from gatewright.errors import SimulationError
from gatewright.ir.graph import chain
from gatewright.ir.types import Tensor
from gatewright.ops.dense import Dense
from gatewright.sim.model import DEFAULT_TIMEOUT, Traffic
from gatewright.sim.rtl import run_rtl


def test_a_slow_design_is_waited_for(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first = Dense(Tensor((400,), 0, 1), rng.integers(-1, 2, (300, 400)))
    graph = chain([first, Dense(first.outputs[0], rng.integers(-1, 2, (1, 300)))])
    design = structure(graph)
    rtl.emit(design).write(tmp_path)
    assert max(u.schedule.steps for u in design.units) > DEFAULT_TIMEOUT
    x = rng.integers(0, 2, (2, 400))
    run = run_rtl(design, tmp_path, (x,))
    np.testing.assert_array_equal(run.outputs[0], graph.reference(x)[0])
    with pytest.raises(SimulationError, match="no beat for 110000 cycles"):
        run_rtl(design, tmp_path, (x,), Traffic(timeout_cycles=110_000))

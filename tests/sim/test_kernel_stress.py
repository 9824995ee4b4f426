# SPDX-License-Identifier: Apache-2.0
"""Thousands of frames through kernels of many kinds: nothing is lost, duplicated, reordered or written elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.sim.kernel_networks import CONFIGURATIONS, made
from tests.sim.kernel_stress import Stress

from gatewright.errors import ConfigError, SimulationError
from gatewright.sim.kernel import Fault, MemoryModel, build_kernel, run_batch

SMALL = ("16 bits, 2 outputs", "weights from memory")


def test_all_configurations_together_are_what_is_asked() -> None:
    """At least 12 kernels and 10,000 frames; every bus; addresses above 4 GiB."""
    assert len(CONFIGURATIONS) >= 12 and sum(c.frames for c in CONFIGURATIONS.values()) >= 10_000
    assert {c.bus_bits for c in CONFIGURATIONS.values()} == {32, 64, 128, 256, 512}
    assert sum(c.base >= 1 << 32 for c in CONFIGURATIONS.values()) >= 6


@pytest.mark.parametrize("name", SMALL)
def test_small_stress(name: str, tmp_path: Path) -> None:
    tally = Stress(CONFIGURATIONS[name], tmp_path).run(150)
    assert tally.frames >= 150 and sum(tally.faults.values()) >= 5
    assert tally.interval == pytest.approx(tally.predicted, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_stress(name: str, tmp_path: Path) -> None:
    configuration = CONFIGURATIONS[name]
    tally = Stress(configuration, tmp_path).run(configuration.frames, seed=1)
    assert tally.frames >= configuration.frames
    assert sum(tally.faults.values()) >= 10
    assert tally.interval == pytest.approx(tally.predicted, rel=0.02)


def test_a_batch_that_ends_with_a_fault_is_an_error(tmp_path: Path) -> None:
    design, kernel = made(CONFIGURATIONS["16 bits, 2 outputs"], tmp_path)
    x = np.zeros((20, 12), np.int64)
    with build_kernel(tmp_path, "fast_build").start(MemoryModel(base=1 << 32)) as process:
        (sums, codes), golden = run_batch(process, kernel, [x], 10_000).outputs, design.graph.run(x)
        assert [sums.tolist(), codes.tolist()] == [golden["sums"].tolist(), golden["codes"].tolist()]
        process.inject(Fault("decerr", reads=False, port=2))
        message = (
            r"^net_kernel ends a batch of 20 frames with 20 of them, control done, idle, ready, faults write DECERR; "
        )
        with pytest.raises(SimulationError, match=message + "first fault at 0x100002000 of gmem2$"):
            run_batch(process, kernel, [x], 10_000)
        process.mend()
        process.inject(Fault("silence", writes=False))
        with pytest.raises(
            SimulationError, match="net_kernel is not done after 10000 cycles: memory gives no more of in"
        ):
            run_batch(process, kernel, [x], 10_000)
        with pytest.raises(ConfigError, match="100000 frames of 'x' at 0x100000000 do not lie in device memory"):
            run_batch(process, kernel, [np.zeros((100_000, 12), np.int64)], 10_000)

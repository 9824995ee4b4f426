# SPDX-License-Identifier: Apache-2.0
"""Thousands of frames through kernels of many kinds: nothing is lost, duplicated, reordered or written elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.sim.kernel_networks import CONFIGURATIONS
from tests.sim.kernel_stress import Stress

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

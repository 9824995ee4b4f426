# SPDX-License-Identifier: Apache-2.0
"""The demonstration on the ULX3S: all its stages, and a real bitstream that is fast enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatewright.build import Build
from gatewright.demo import run_demo
from gatewright.synth.bitstream import make, plan


@pytest.mark.slow
def test_the_demonstrations_bitstream(tmp_path: Path) -> None:
    stages = {r.name: r for r in run_demo(tmp_path / "demo", board="ulx3s-85f")}
    for name in ("golden", "rtl", "kernel"):
        assert (stages[name].status, stages[name].exact) == ("ok", 360), stages[name]
    result = make(plan(Build.open(tmp_path / "demo")))
    assert result["status"] == "ok" and result["outcome"]["timing"]["fmax_mhz"] >= 60
    for name, tolerance in (("LUT", 0.1), ("FF", 0.05)):
        used, predicted = result["outcome"]["resources"][name], result["predicted"][name]["needed"]
        assert used == pytest.approx(predicted, rel=tolerance), name

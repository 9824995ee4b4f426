# SPDX-License-Identifier: Apache-2.0
"""The demonstration's network of 16,000 LUTs as gates: exact, in the predicted cycles, in both simulators."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatewright.demo import run_demo
from gatewright.verify import check


@pytest.mark.slow
def test_the_demonstration_as_gates(tmp_path: Path) -> None:
    unasked = {r.name: r for r in run_demo(tmp_path / "demo")}
    for name in ("netlist", "netlist_cxxrtl"):
        assert unasked[name].status == "not_run" and "predicted LUTs" in unasked[name].reason
    for gates in check(tmp_path / "demo", stages=["netlist", "netlist_cxxrtl"], frames=5):
        assert (gates.status, gates.exact) == ("ok", 5), gates
        assert gates.interval_cycles == gates.predicted_interval_cycles
        assert gates.latency_cycles == gates.predicted_latency_cycles
        assert gates.parts is not None and any(part["own_models"] for part in gates.parts)

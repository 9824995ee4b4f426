# SPDX-License-Identifier: Apache-2.0
"""The stages that simulate gates: what they run, what they leave behind and say, and when they do not run."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.models import two_layers

from gatewright.build import Build, compile_model
from gatewright.sim import tools
from gatewright.verify import check, netlist

STAGES = ["netlist", "netlist_cxxrtl"]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Two matrix products with a ReLU between."""
    folder = tmp_path_factory.mktemp("netlist")
    b, y = two_layers()
    return compile_model(b.save(folder / "net.onnx", y), "pynq-z2", fps=1e6, output=folder / "build")


@pytest.fixture
def copy(build: Build, tmp_path: Path) -> Build:
    shutil.copytree(build.directory, tmp_path / "build")
    return Build.open(tmp_path / "build")


def test_small_designs_run_as_gates_unasked(build: Build) -> None:
    results = {r.name: r for r in check(build.directory)}
    rtl = results["rtl"]
    for name in STAGES:
        gates = results[name]
        assert (gates.status, gates.frames, gates.exact) == ("ok", 5, 5), gates
        assert (gates.interval_cycles, gates.latency_cycles) == (rtl.interval_cycles, rtl.latency_cycles)
        parts = gates.to_json()["parts"]
        assert gates.note == f"all {len(parts)} parts as gates"
        assert {p["name"] for p in parts} >= {u.name for u in build.structure.units}
        assert all(p["cells"] and not p["own_models"] and not p["dsp_as_logic"] for p in parts)
    text = (build.directory / netlist.FILE).read_text()
    assert text.count("\nmodule ") == len({p["name"] for p in parts}) + 1  # no two parts of this one are the same
    recorded = {row["name"]: row for row in json.loads((build.directory / "check.json").read_text())["stages"]}
    assert recorded["netlist"]["parts"] == json.loads(json.dumps(parts))


def test_as_many_frames_as_asked_for_and_no_matter_how_large(copy: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netlist, "AFFORDABLE_LUTS", 1)
    (gates,) = check(copy.directory, stages=["netlist"], frames=2)
    assert (gates.status, gates.frames, gates.exact) == ("ok", 2, 2)


def test_rtl_that_was_changed_is_not_synthesised(copy: Build) -> None:
    kernel = copy.rtl / "kernels" / "dense.sv"
    kernel.write_text(kernel.read_text() + "\n")
    (gates,) = check(copy.directory, stages=["netlist"])
    assert gates.status == "failed" and "dense.sv was changed since it was compiled" in gates.reason


def test_without_yosys_nothing_is_shown_as_passed(copy: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = [replace(r, find=lambda: None) if r.name == "pyosys" else r for r in tools.REQUIREMENTS]
    monkeypatch.setattr(tools, "REQUIREMENTS", tuple(gone))
    for gates in check(copy.directory, stages=STAGES):
        assert gates.status == "not_run" and "pip install 'gatewright[synth]'" in gates.reason

# SPDX-License-Identifier: Apache-2.0
"""The stage `hls4ml`: what it runs, what it leaves behind and says, and when it does not run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.models import two_layers

from gatewright.build import Build, compile_model
from gatewright.ir.graph import chain
from gatewright.ir.op import as_int64
from gatewright.ir.types import Tensor
from gatewright.ops.argmax import Argmax
from gatewright.ops.dense import Dense
from gatewright.sim import tools
from gatewright.verify import check, hls4ml
from gatewright.verify.check import load_case

OWN = "layers of hls4ml's own: 2 Dense; of Gatewright's extension: 1 threshold"


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Two matrix products with a ReLU between."""
    folder = tmp_path_factory.mktemp("hls4ml")
    b, y = two_layers()
    return compile_model(b.save(folder / "net.onnx", y), "pynq-z2", fps=1e6, output=folder / "build")


@pytest.fixture
def copy(build: Build, tmp_path: Path) -> Build:
    shutil.copytree(build.directory, tmp_path / "build")
    return Build.open(tmp_path / "build")


def test_the_stage_runs_all_frames_and_leaves_the_project(copy: Build) -> None:
    labels = copy.model_graph.predict(np.load(copy.data / "inputs.npy"))[0].argmax(axis=1)
    (copy.directory / "hls4ml").mkdir()
    (copy.directory / "hls4ml" / "stale.h").write_text("of an earlier network")
    (result,) = check(copy.directory, stages=["hls4ml"], labels=labels)
    count = len(labels)
    assert (result.status, result.frames, result.exact, result.accuracy) == ("ok", count, count, 1.0), result
    assert result.note == OWN
    project = copy.directory / "hls4ml"
    assert (project / "build_prj.tcl").is_file() and not (project / "stale.h").exists()
    assert 'set part "xc7z020clg400-1"' in (project / "project.tcl").read_text()
    assert copy.changed() == []


def test_few_frames_of_a_large_network_say_so(copy: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    products = sum(n.op.weight.size for n in copy.design_graph.nodes if isinstance(n.op, Dense))
    monkeypatch.setattr(hls4ml, "PRODUCTS", 3 * products)
    count = len(np.load(copy.data / "inputs.npy"))
    (capped,) = check(copy.directory, stages=["hls4ml"])
    (asked,) = check(copy.directory, stages=["hls4ml"], frames=5)
    assert (capped.status, capped.frames, asked.frames) == ("ok", 3, 5)
    assert capped.note == (f"{OWN}; the first 3 of {count} frames, of {products} products each: --frames runs more")
    assert asked.note == OWN


def test_a_weight_that_is_off_by_one_fails(build: Build) -> None:
    case = load_case(build)
    node = next(n for n in build.design_graph.nodes if isinstance(n.op, Dense))
    assert isinstance(node.op, Dense)
    weight = node.op.weight.copy()
    weight[0] -= np.sign(weight[0])  # nearer to 0: every width still holds
    wrong = replace(node.op, weight=as_int64(weight))
    other = Build(build.directory)
    graph = build.design_graph
    # Bound the wrong sums as before, or the next operator would not read them.
    object.__setattr__(wrong, "_output", node.op.outputs[0])
    other.__dict__["design_graph"] = graph.with_ops({node.name: wrong})
    result = hls4ml.hls4ml_stage(replace(case, build=other), "hls4ml")
    assert result.status == "failed" and result.exact is not None and result.exact < result.frames
    assert "frames differ from golden; first: {'output': " in result.reason


def test_an_operator_that_hls4ml_lacks_is_named(build: Build) -> None:
    other = Build(build.directory)
    other.__dict__["design_graph"] = chain([Argmax(Tensor((4,), 0, 15))])
    result = hls4ml.hls4ml_stage(replace(load_case(build), build=other), "hls4ml")
    assert result.status == "not_run"
    assert result.reason == "u0_argmax: hls4ml has no layer that computes 'argmax'"


@pytest.mark.parametrize(
    ("tool", "remedy"), [("hls4ml", r"pip install 'gatewright\[hls4ml\]'"), ("g++", r"apt install g\+\+")]
)
def test_a_missing_tool_is_named(build: Build, monkeypatch: pytest.MonkeyPatch, tool: str, remedy: str) -> None:
    missing = tuple(replace(r, find=lambda: None) if r.name == tool else r for r in tools.REQUIREMENTS)
    monkeypatch.setattr(tools, "REQUIREMENTS", missing)
    (result,) = check(build.directory, stages=["hls4ml"])
    assert result.status == "not_run"
    assert result.reason.startswith(f"{tool} is missing, which Gatewright needs for ")
    assert remedy.replace("\\", "") in result.reason

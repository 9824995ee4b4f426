# SPDX-License-Identifier: Apache-2.0
"""check.json: each stage's last result, and whether it is of the build as it is now."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.models import frames, two_layers

from gatewright.build import Build, compile_model, store_data
from gatewright.errors import ConfigError
from gatewright.verify import check, record


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Build:
    b, y = two_layers()
    folder = tmp_path_factory.mktemp("record")
    return compile_model(b.save(folder / "net.onnx", y), "pynq-z2", fps=1e5, output=folder / "build")


@pytest.fixture
def build(original: Build, tmp_path: Path) -> Build:
    shutil.copytree(original.directory, tmp_path / "build")
    return Build(tmp_path / "build")


def test_nothing_ran(build: Build) -> None:
    assert record.load(build) == {}


def test_last_results_stay_per_stage(build: Build) -> None:
    (first,) = check(build.directory, stages=["golden"])
    check(build.directory, stages=["qat"])
    found = record.load(build)
    assert {n: r.result["status"] for n, r in found.items()} == {"golden": "ok", "qat": "not_run"}
    assert found["golden"].current and found["golden"].data == "stored"
    assert {k: found["golden"].result[k] for k in first.to_json()} == first.to_json()
    (again,) = check(build.directory, stages=["golden"], frames=2)
    assert record.load(build)["golden"].result["frames"] == again.frames == 2


def test_own_frames_are_said(build: Build) -> None:
    check(build.directory, data=frames((8,), 3)["x"], stages=["golden"])
    assert record.load(build)["golden"].data == "given"


def test_a_result_belongs_to_one_state_of_the_build(build: Build) -> None:
    check(build.directory, stages=["golden"])
    assert record.load(build)["golden"].current
    store_data(build.data, labels=np.zeros(8, np.int64))
    assert not record.load(build)["golden"].current
    (build.data / "labels.npy").unlink()
    assert record.load(build)["golden"].current
    source = build.rtl / "net.sv"
    text = source.read_text()
    source.write_text(text + "\n")
    assert not record.load(build)["golden"].current
    source.write_text(text)
    (build.directory / "folding.json").unlink()
    assert not record.load(build)["golden"].current


def test_compiling_again_makes_results_stale_only_if_something_changed(build: Build) -> None:
    check(build.directory, stages=["golden"])
    model = build.directory / "model.onnx"
    compile_model(model, "pynq-z2", fps=1e5, output=build.directory)
    assert record.load(build)["golden"].current
    compile_model(model, "pynq-z2", fps=1e6, output=build.directory)
    assert not record.load(build)["golden"].current
    assert "check.json" not in json.loads((build.directory / "manifest.json").read_text())["files"]
    assert Build.open(build.directory).changed() == []


@pytest.mark.parametrize("content", ["{", "[]", '{"stages": [{"name": "rtl"}]}', '{"stages": 3}'])
def test_damage(build: Build, content: str) -> None:
    path = build.directory / record.FILE
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"check\.json: not a readable record of checks: run gatewright check again"):
        record.load(build)
    # Checking again mends it.
    check(build.directory, stages=["golden"])
    assert list(record.load(build)) == ["golden"]


def test_a_folder_that_cannot_be_written_does_not_fail_the_check(build: Build) -> None:
    (build.directory / record.FILE).mkdir()
    said: list[str] = []
    (golden,) = check(build.directory, stages=["golden"], progress=lambda step, done=0, total=0: said.append(step))
    assert golden.status == "ok"
    assert any(s.startswith("check.json cannot be written") for s in said)

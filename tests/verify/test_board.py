# SPDX-License-Identifier: Apache-2.0
"""The stage `board`: the driver with the real pynq on a virtual board, and what it notices."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.models import Builder, two_layers
from typer.testing import CliRunner

from gatewright.board.bundle import bundle
from gatewright.board.server import VirtualBoard
from gatewright.boards import load_board
from gatewright.build import Build, compile_model, load_inputs
from gatewright.cli import app
from gatewright.errors import ConfigError
from gatewright.sim import tools
from gatewright.verify import board as stage
from gatewright.verify import check


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Two matrix products with a ReLU between."""
    folder = tmp_path_factory.mktemp("board")
    b, y = two_layers()
    return compile_model(b.save(folder / "net.onnx", y), "pynq-z2", fps=1e6, targets=["rtl", "kernel"],
                         output=folder / "build")  # fmt: skip


@pytest.fixture
def copy(build: Build, tmp_path: Path) -> Build:
    shutil.copytree(build.directory, tmp_path / "build")
    return Build.open(tmp_path / "build")


def test_the_driver_gets_goldens_integers_in_the_predicted_cycles(build: Build) -> None:
    x = np.random.default_rng(1).normal(size=(50, 8)).astype(np.float32)
    labels = build.model_graph.predict(x)[0].argmax(axis=1)
    (result,) = check(build.directory, data=x, labels=labels, stages=["board"])
    assert (result.status, result.frames, result.exact, result.accuracy) == ("ok", 50, 50, 1.0), result
    assert result.interval_cycles == result.predicted_interval_cycles == build.summary()["interval_cycles"]
    assert "cycles by the kernel's own counters; 50 frames in" in result.note


def test_weights_from_memory_are_in_the_bundle_and_the_driver_puts_them_there(tmp_path: Path) -> None:
    b, y = two_layers(hidden=64)
    build = compile_model(b.save(tmp_path / "net.onnx", y), "pynq-z2", fps=1e5, targets=["rtl", "kernel"],
                          stream_weights=["matmul_1"], output=tmp_path / "build")  # fmt: skip
    (weights,) = build.kernel.weights
    assert weights.file in bundle(build.directory).files
    (result,) = check(build.directory, stages=["board"])
    assert (result.status, result.exact) == ("ok", 8), result
    image = build.directory / weights.file
    image.write_bytes(bytes(b ^ 1 for b in image.read_bytes()))
    (result,) = check(build.directory, stages=["board"])
    assert result.status == "failed" and "frames differ from golden" in result.reason, result


def test_a_kernel_of_another_design_is_refused(copy: Build) -> None:
    path = copy.directory / "kernel" / "kernel.json"
    content = json.loads(path.read_text())
    content["hash"] = "0" * 32
    path.write_text(json.dumps(content))
    (result,) = check(copy.directory, stages=["board"])
    assert result.status == "failed"
    assert f"kernel is of the design {'0' * 32}, and design.json is" in result.reason


def test_few_frames_of_a_slow_design_say_so(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "CYCLES", 3 * build.summary()["interval_cycles"])
    (result,) = check(build.directory, stages=["board"])
    assert (result.status, result.frames) == ("ok", 3)
    assert result.note.endswith("the first 3 of 8 frames: --frames runs more")
    (result,) = check(build.directory, stages=["board"], frames=5)
    assert (result.status, result.frames) == ("ok", 5)


def test_one_bit_of_a_weight_is_noticed(copy: Build) -> None:
    path = copy.directory / "rtl" / "matmul_1_weight.mem"
    words = path.read_text().split("\n")
    at = next(i for i, word in enumerate(words) if word.strip() and not word.startswith(("//", "@")))
    words[at] = f"{int(words[at], 16) ^ 1:0{len(words[at])}x}"
    path.write_text("\n".join(words))
    (result,) = check(copy.directory, stages=["board"])
    assert result.status == "failed" and "frames differ from golden; first: {'output'" in result.reason, result


def test_a_slower_design_than_was_predicted_is_noticed(copy: Build) -> None:
    path = copy.directory / "prediction.json"
    prediction = json.loads(path.read_text())
    prediction["interval_cycles"] = round(prediction["interval_cycles"] * 0.97)
    path.write_text(json.dumps(prediction))
    (result,) = check(copy.directory, stages=["board"])
    assert result.status == "failed" and result.exact == 8
    assert "cycles, where" in result.reason and "were predicted" in result.reason


def test_a_board_elsewhere_is_used_where_it_is_named(build: Build, tmp_path: Path) -> None:
    """It serves a bundle with other frames: the bitstream is the same, which is what is uploaded."""
    bundle(build.directory, frames=1).write(tmp_path / "bundle")
    heard: list[str] = []
    with VirtualBoard([tmp_path / "bundle"], port=0, log=heard.append) as board:
        result = CliRunner().invoke(
            app, ["check", str(build.directory), "--stages", "board", "--device", board.address]
        )
    assert result.exit_code == 0, result.output
    assert heard


def test_a_board_that_does_not_answer_fails_the_stage(build: Build) -> None:
    (result,) = check(build.directory, stages=["board"], device="127.0.0.1:1")
    assert result.status == "failed"
    assert "the driver on 127.0.0.1:1: no PYNQ.remote server answers" in result.reason


def test_a_board_with_another_design_fails_the_stage(build: Build, tmp_path: Path) -> None:
    b, y = two_layers()
    other = compile_model(b.save(tmp_path / "net.onnx", y), "pynq-z2", fps=2e6, targets=["rtl", "kernel"],
                          output=tmp_path / "other")  # fmt: skip
    bundle(other.directory).write(tmp_path / "bundle")
    with VirtualBoard([tmp_path / "bundle"], port=0) as board:
        (result,) = check(build.directory, stages=["board"], device=board.address)
    assert result.status == "failed" and f"the driver on {board.address}: " in result.reason, result


def test_a_board_of_a_users_own_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name, clock and memory are no other board's; nothing but its record is written."""
    record = (load_board("pynq-z2").folder / "board.toml").read_text()
    for old, other in (("TUL PYNQ-Z2", "Mine"), ("mhz = 100.0", "mhz = 80.0"), ("bits = 64", "bits = 32"),
                       ("base = 0x1800_0000", "base = 0x1000_0000")):  # fmt: skip
        assert old in record
        record = record.replace(old, other)
    (tmp_path / "own" / "boards" / "my_board").mkdir(parents=True)
    (tmp_path / "own" / "boards" / "my_board" / "board.toml").write_text(record)
    monkeypatch.setenv("GATEWRIGHT_PATH", str(tmp_path / "own"))
    b, y = two_layers()
    build = compile_model(b.save(tmp_path / "net.onnx", y), "my-board", targets=["rtl", "kernel"],
                          output=tmp_path / "build")  # fmt: skip
    results = check(build.directory, stages=["kernel", "board"])
    assert [(r.status, r.exact) for r in results] == [("ok", 8)] * 2, results
    bundle(build.directory).write(tmp_path / "bundle")
    with VirtualBoard([tmp_path / "bundle"], port=0) as board:
        assert (board.board.title, board.board.memory_bits, board.board.memory_base) == ("Mine", 32, 0x1000_0000)
    monkeypatch.delenv("GATEWRIGHT_PATH")
    with pytest.raises(ConfigError, match=r"board 'my-board' is unknown: .* \(GATEWRIGHT_PATH names folders"):
        VirtualBoard([tmp_path / "bundle"], port=0)


# --- not run ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", ["pynq", "grpc"])
def test_it_does_not_run_without_its_tools(build: Build, monkeypatch: pytest.MonkeyPatch, tool: str) -> None:
    found = [replace(r, find=lambda: None) if r.name == tool else r for r in tools.REQUIREMENTS]
    monkeypatch.setattr(tools, "REQUIREMENTS", tuple(found))
    (result,) = check(build.directory, stages=["board"])
    assert result.status == "not_run" and f"{tool} is missing" in result.reason
    assert "pip install 'gatewright[board]'" in result.reason


def test_it_does_not_run_without_the_kernel(tmp_path: Path) -> None:
    b, y = two_layers()
    build = compile_model(b.save(tmp_path / "net.onnx", y), "pynq-z2", targets=["rtl"], output=tmp_path / "build")
    (result,) = check(build.directory, stages=["board"])
    assert result.status == "not_run" and "has no kernel/" in result.reason


def test_it_does_not_run_for_a_card(tmp_path: Path) -> None:
    b, y = two_layers()
    build = compile_model(b.save(tmp_path / "net.onnx", y), "alveo-u50", targets=["rtl", "kernel"],
                          output=tmp_path / "build")  # fmt: skip
    (result,) = check(build.directory, stages=["board"])
    assert result.status == "not_run"
    assert result.reason == "AMD Alveo U50 is no Zynq: its driver needs an .xclbin, which only Vitis links"


def test_memory_sets_the_pace_where_it_is_slower_than_the_design(tmp_path: Path) -> None:
    """A layer that takes a frame a cycle or two, whose frames are many words."""
    b = Builder((96,))
    y = b.node("MatMul", b.quant("x", 0.5, 8), b.weight(np.eye(96, 2, dtype=np.int64), 0.5, 2))
    build = compile_model(b.save(tmp_path / "wide.onnx", y), "pynq-z2", targets=["rtl", "kernel"],
                          output=tmp_path / "build")  # fmt: skip
    assert build.summary()["interval_cycles"] < 12  # words of 64 bits that a frame takes
    assert json.loads(bundle(build.directory).files["bundle.json"])["predicted"]["interval_cycles"] == 12
    x = np.resize(load_inputs(build)[0], (64, 96))
    (result,) = check(build.directory, data=x, stages=["board"])
    assert result.status == "ok" and result.exact == 64, result
    assert result.predicted_interval_cycles == 12
    assert "memory sets the pace: the design alone would take" in result.note

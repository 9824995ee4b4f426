# SPDX-License-Identifier: Apache-2.0
"""A build for a board that no vendor's tool knows: what is written, what is not, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.models import small_network
from typer.testing import CliRunner

from gatewright.board.bundle import bundle
from gatewright.board.ps import processing_system
from gatewright.boards import load_board
from gatewright.build import Build, compile_model, store_data
from gatewright.cli import app
from gatewright.errors import ConfigError, DesignError
from gatewright.report import render
from gatewright.synth import vitis_hls
from gatewright.synth.report import synthesise_build
from gatewright.verify import check

RESOURCES = {"LUT", "FF", "EBR", "DSP"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    b, y = small_network()
    path = tmp_path_factory.mktemp("ecp5") / "small.onnx"
    onnx.save(b.model(y), path)
    return path


@pytest.fixture(scope="module")
def compiled(model: Path) -> Build:
    return compile_model(model, "ulx3s-85f", fps=20_000, output=model.parent / "build")


def test_everything_but_the_vendors_packaging_is_written(compiled: Build, model: Path) -> None:
    zynq = compile_model(model, "pynq-z2", fps=20_000, bus_bits=32, output=model.parent / "zynq")
    found, others = (_files(b.directory) for b in (compiled, zynq))
    packaging = {n for n in others if "component.xml" in n or "/xgui/" in n}
    scripts = {n for n in others if n.startswith("hls/") and n.endswith((".tcl", ".cfg")) or n == "hls/run_hls.sh"}
    assert len(packaging) == 4 and len(scripts) == 4
    assert others - found == packaging | scripts and not found - others
    assert compiled.kernel.bus_bits == 32


def test_resources_have_the_names_of_the_board(compiled: Build) -> None:
    summary = compiled.summary()
    assert set(summary["resources"]) == set(summary["capacity"]) == RESOURCES
    assert all(set(unit["resources"]) == RESOURCES for unit in summary["units"])


def test_a_budget_is_of_the_boards_own_resources(model: Path, tmp_path: Path) -> None:
    with pytest.raises(DesignError, match=r"too large for ulx3s-85f.*: LUT needs [\d,]+ of [\d,]+"):
        compile_model(model, "ulx3s-85f", budget=0.001, targets=["rtl"], output=tmp_path / "build")
    assert not (tmp_path / "build").exists()


def test_what_the_board_has_not_is_refused(compiled: Build) -> None:
    with pytest.raises(ConfigError, match="which Vitis HLS does not know: use --tool yosys"):
        vitis_hls.plan(compiled)
    with pytest.raises(ConfigError, match="ulx3s-85f has no processing system.*over a serial port"):
        processing_system(load_board("ulx3s-85f"))


def test_a_bundle_is_for_a_serial_port(compiled: Build) -> None:
    x = np.random.default_rng(0).normal(size=(4, *compiled.model_graph.inputs[0].shape)).astype(np.float32)
    made = bundle(compiled.directory, data=x)
    record, stem = made.record, f"{compiled.kernel.name}_{compiled.kernel.hash[:8]}"
    assert (record["transport"], record["uart"], record["base_address"]) == ("uart", {"baud": 1_000_000}, 0x8000_0000)
    assert record["bitstream"] == {"file": f"{stem}.bit", "kind": "virtual"} and record["hwh"] is None
    assert (record["memory"]["banked"], record["memory"]["bytes"]) == (True, 8192)
    text = made.files["README.md"].decode()
    assert f"openFPGALoader -b ulx3s {stem}.bit" in text and "pyserial" in text and "no FPGA takes it" in text


def test_the_kernel_runs_in_banks_as_long_as_the_boards(compiled: Build) -> None:
    graph = compiled.model_graph
    most = min(8192 // a.frame_bytes for a in compiled.kernel.arguments)
    frames = most + 2  # one alone, as many as a bank holds, and one that is left
    x = np.random.default_rng(0).normal(size=(frames, *graph.inputs[0].shape)).astype(np.float32)
    (stage,) = check(compiled.directory, data=x, stages=["kernel"])
    assert (stage.status, stage.exact) == ("ok", frames), stage
    assert stage.interval_cycles == stage.predicted_interval_cycles
    assert stage.latency_cycles == stage.predicted_latency_cycles


def test_synthesis_and_report_use_the_names_of_the_board(compiled: Build) -> None:
    fifo = next(link.name for link in compiled.structure.links if link.depth)
    result = synthesise_build(compiled, units=[fifo])
    assert result["family"] == "ecp5"
    assert set(result["total"]) == set(result["capacity"]) == set(result["predicted"]) == RESOURCES
    assert result["total"]["LUT"] == pytest.approx(result["predicted"]["LUT"], rel=0.25)
    shown = CliRunner().invoke(app, ["synth", str(compiled.directory), "--unit", fifo])
    assert shown.exit_code == 0 and "EBR" in shown.stdout and "BRAM36" not in shown.stdout
    x = np.random.default_rng(0).normal(size=(4, *compiled.model_graph.inputs[0].shape)).astype(np.float32)
    store_data(compiled.directory / "data", inputs=x)
    page = render(compiled.directory)
    assert "EBR predicted" in page and "BRAM36" not in page


def _files(folder: Path) -> set[str]:
    return set(json.loads((folder / "manifest.json").read_text())["files"])

# SPDX-License-Identifier: Apache-2.0
"""`gatewright traffic` from the command line."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from gatewright.build import compile_model
from gatewright.cli import app
from gatewright.frontend.export import export
from gatewright.nn import QuantConv2d, QuantIdentity, QuantReLU, WeightQuant
from gatewright.train import calibrate


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two convolutions, compiled for all targets."""
    torch.manual_seed(0)
    quant = WeightQuant(bits=3)
    first = QuantConv2d(1, 4, 3, padding=1, weight_quant=quant, input_bits=4)
    second = QuantConv2d(4, 2, 3, weight_quant=quant, input_bits=3)
    model = nn.Sequential(QuantIdentity(4, signed=False), first, QuantReLU(3), second)
    x = np.random.default_rng(0).uniform(0, 1, (16, 1, 8, 8)).astype(np.float32)
    calibrate(model, x)
    folder = tmp_path_factory.mktemp("traffic")
    export(model.eval(), folder / "two.onnx", torch.from_numpy(x[:1]))
    return compile_model(folder / "two.onnx", "pynq-z2", fps=1e5, output=folder / "build").directory


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in ("traffic", *arguments)])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.systemc
def test_without_stalls_it_is_as_predicted(build: Path) -> None:
    found = json.loads(run(build, "--json"))
    assert found["interval_cycles"] == found["predicted_interval_cycles"]
    assert found["latency_cycles"] == found["predicted_latency_cycles"]
    summary = json.loads((build / "prediction.json").read_text())
    assert {u["name"] for u in summary["units"]} <= set(found["units"])
    for unit in summary["units"]:
        assert found["units"][unit["name"]]["busy"] == 8 * unit["cycles"]


@pytest.mark.systemc
def test_a_slow_sink_stretches_the_interval(build: Path, tmp_path: Path) -> None:
    arguments = (build, "--out-stall", "0.9", "--burst", "30", "--frames", "5")
    found = json.loads(run(*arguments, "--json"))
    assert found["frames"] == 5 and found["interval_cycles"] > found["predicted_interval_cycles"]
    shown = run(*arguments, "--vcd", tmp_path / "wave.vcd")
    assert "5 of 5 frames exact" in shown and f"handshakes: {tmp_path / 'wave.vcd'}" in shown.replace("\n", "")
    assert "link_" in (tmp_path / "wave.vcd").read_text()


@pytest.mark.systemc
def test_a_model_that_is_not_the_design_is_told(build: Path, tmp_path: Path) -> None:
    spoilt = Path(shutil.copytree(build, tmp_path / "build"))
    memories = spoilt / "systemc" / "two_memories.hpp"
    text = memories.read_text()
    first = re.search(r"0x[0-9a-f]+u", text)
    assert first is not None
    memories.write_text(text[: first.start()] + f"0x{int(first[0][:-1], 16) ^ 7:x}u" + text[first.end() :])
    result = CliRunner().invoke(app, ["traffic", str(spoilt)])
    assert result.exit_code == 1
    assert f"{spoilt}: the SystemC model is not the design: " in result.stderr
    assert "frames differ from golden" in result.stderr and "run gatewright check" in result.stderr


@pytest.mark.systemc
def test_a_vcd_without_a_folder_is_refused_before_anything_runs(build: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["traffic", str(build), "--vcd", str(tmp_path / "none" / "w.vcd")])
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"w.vcd cannot be written: {tmp_path / 'none'} is no folder; make it, or name another" in result.stderr


def test_bad_input_is_refused(build: Path) -> None:
    result = CliRunner().invoke(app, ["traffic", str(build), "--out-stall", "1"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "error: out_stall=1.0 must be at least 0 and below 1" in result.stderr


def test_a_build_without_systemc_is_refused(build: Path, tmp_path: Path) -> None:
    compile_model(build / "model.onnx", "pynq-z2", targets=("rtl",), output=tmp_path / "rtl")
    result = CliRunner().invoke(app, ["traffic", str(tmp_path / "rtl")])
    assert result.exit_code == 1
    assert f"{tmp_path / 'rtl'} has no systemc/: it was compiled for rtl alone" in result.stderr

# SPDX-License-Identifier: Apache-2.0
"""Networks whose weights come from memory, from a model to its gates; one that does not fit the chip otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.models import Builder, small_network, two_layers
from typer.testing import CliRunner

from gatewright.build import Build, compile_model
from gatewright.cli import app
from gatewright.errors import ConfigError
from gatewright.runtime.kernel_map import KernelMap
from gatewright.verify.check import check


def saved(b: Builder, y: str, folder: Path) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(b.model(y).SerializeToString())
    return path


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A residual network; weights of its second convolution and of its matrix product come from memory."""
    folder = tmp_path_factory.mktemp("streamed")
    plain = compile_model(
        saved(*small_network(), folder), "pynq-z2", fps=1e5, targets=("rtl",), output=folder / "plain"
    )
    names = [u["name"] for u in plain.summary()["units"] if u["operator"] == "dense"]
    return compile_model(
        folder / "net.onnx", "pynq-z2", fps=1e5, targets=("rtl", "kernel", "hls"), stream_weights=names[1:],
        output=folder / "build",
    )  # fmt: skip


def test_what_is_read_from_memory_is_told(build: Build) -> None:
    rows = build.summary()["streamed"]
    assert [(r["memory"], r["reads_per_frame"]) for r in rows] == [("weight", 36), ("weight", 1)]
    kernel = KernelMap.load(build.directory / "kernel" / "kernel.json")
    assert [w.name for w in kernel.weights] == [f"{r['unit']}_weight" for r in rows]
    assert [w.image_bytes for w in kernel.weights] == [-(-r["bytes"] // 8) * 8 for r in rows]
    for weights in kernel.weights:
        assert (build.directory / weights.file).stat().st_size == weights.image_bytes
    assert not build.changed()
    assert {w.file for w in kernel.weights} <= set(json.loads((build.directory / "manifest.json").read_text())["files"])


def test_stages_are_exact_and_in_the_predicted_cycles(build: Build) -> None:
    results = check(build.directory, stages=["golden", "csim", "rtl"])
    assert [(r.name, r.status, r.exact) for r in results] == [(n, "ok", 8) for n in ("golden", "csim", "rtl")]
    rtl = results[-1]
    assert (rtl.interval_cycles, rtl.latency_cycles) == (rtl.predicted_interval_cycles, rtl.predicted_latency_cycles)


@pytest.mark.slow
def test_gates_are_exact(build: Build) -> None:
    results = check(build.directory, frames=3, stages=["netlist", "netlist_cxxrtl"])
    assert [(r.status, r.exact) for r in results] == [("ok", 3), ("ok", 3)]


def test_a_folding_file_gives_the_same_build_and_takes_the_kernel(build: Build, tmp_path: Path) -> None:
    folding, model = build.directory / "folding.json", build.directory.parent / "net.onnx"
    again = compile_model(model, "pynq-z2", folding=folding, targets=("rtl", "kernel"), output=tmp_path / "again")
    assert (again.directory / "design.json").read_text() == (build.directory / "design.json").read_text()
    with pytest.raises(ConfigError, match="which takes the target kernel: add it"):
        compile_model(model, "pynq-z2", folding=folding, targets=("rtl",), output=tmp_path / "rtl")


def test_on_the_command_line(tmp_path: Path) -> None:
    model = saved(*two_layers(), tmp_path)
    command = ["compile", str(model), "--board", "pynq-z2", "--target", "rtl,kernel", "-o", str(tmp_path / "build")]
    done = CliRunner().invoke(app, [*command, "--stream-weights", "nothing"])
    assert done.exit_code == 1 and "no node 'nothing'" in done.stderr
    plain = compile_model(model, "pynq-z2", targets=("rtl",), output=tmp_path / "plain")
    first = plain.summary()["units"][0]["name"]
    done = CliRunner().invoke(app, [*command, "--stream-weights", first])
    assert done.exit_code == 0
    assert f"weight of {first} is read from memory: " in done.output and " bytes, 1 time a frame, " in done.output


def large_layer(features: int, hidden: int) -> tuple[Builder, str]:
    """A layer of 4-bit weights behind a quantiser of 2 bits, and a small one."""
    rng = np.random.default_rng(8)
    b = Builder((features,))
    x = b.quant("x", 1.0, 2)
    x = b.node("MatMul", x, b.weight(rng.integers(-7, 8, (features, hidden)), 1 / 64))
    x = b.quant(x, 1.0, 2)
    return b, b.node("MatMul", x, b.weight(rng.integers(-7, 8, (hidden, 4)), 1 / 8))


def test_a_layer_larger_than_the_chips_memory_is_streamed_unasked(tmp_path: Path) -> None:
    """Its 16.8 Mbit of weights are three times the block RAM of the board."""
    model = saved(*large_layer(4096, 1024), tmp_path)
    build = compile_model(model, "pynq-z2", targets=("rtl", "kernel"), output=tmp_path / "build")
    summary = build.summary()
    (row,) = summary["streamed"]
    assert row["bytes"] == 4096 * 1024 // 2
    assert summary["resources"]["BRAM36"] < 140 and summary["capacity"]["BRAM36"] == 140
    assert row["peak_bytes_per_second"] <= 64 / 8 * summary["mhz"] * 1e6
    (weights,) = KernelMap.load(build.directory / "kernel" / "kernel.json").weights
    assert (build.directory / weights.file).stat().st_size == row["bytes"]


def test_the_same_scaled_down_runs(tmp_path: Path) -> None:
    model = saved(*large_layer(128, 32), tmp_path)
    plain = compile_model(model, "pynq-z2", fps=1e5, targets=("rtl",), output=tmp_path / "plain")
    name = plain.summary()["units"][0]["name"]
    build = compile_model(
        model, "pynq-z2", fps=1e5, targets=("rtl", "kernel"), stream_weights=[name], output=tmp_path / "build"
    )
    (result,) = check(build.directory, stages=["rtl"])
    assert (result.status, result.exact) == ("ok", 8)
    assert result.interval_cycles == result.predicted_interval_cycles

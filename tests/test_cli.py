# SPDX-License-Identifier: Apache-2.0
"""The command line: what it prints where, and its exit status."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

import gatewright
from gatewright.boards import list_boards, load_board
from gatewright.cli import app
from gatewright.errors import ConfigError
from gatewright.ir.op import TARGETS, discover, kernel_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file that is there; the errors under test come before it is read."""
    path = tmp_path / "model.onnx"
    path.touch()
    return path


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A QONNX file of two small layers."""
    import torch
    from torch import nn

    from gatewright.frontend.export import export
    from gatewright.nn import QuantIdentity, QuantLinear, QuantReLU, WeightQuant
    from gatewright.train import calibrate

    torch.manual_seed(0)
    quant = WeightQuant(bits=4)
    model = nn.Sequential(
        QuantIdentity(4, signed=True),
        QuantLinear(12, 8, weight_quant=quant, input_bits=4, input_signed=True),
        QuantReLU(4),
        QuantLinear(8, 3, weight_quant=quant, input_bits=4),
    )
    x = np.random.default_rng(0).normal(size=(64, 12)).astype(np.float32)
    calibrate(model, x)
    path = tmp_path_factory.mktemp("network") / "two_layers.onnx"
    export(model.eval(), path, torch.from_numpy(x[:1]))
    return path


@pytest.fixture(scope="module")
def build(network: Path) -> Path:
    folder = network.parent / "build"
    result = run("compile", str(network), "--board", "pynq-z2", "--fps", "1e6", "-o", str(folder))
    assert result.exit_code == 0, result.output
    return folder


def test_version_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "gatewright", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"gatewright {gatewright.__version__}\n"


def test_console_script() -> None:
    script = Path(sys.executable).with_name("gatewright")
    done = subprocess.run([script, "boards"], capture_output=True, text=True, check=True)
    assert "pynq-z2" in done.stdout


def test_help_names_every_command() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for command in ("doctor", "demo", "compile", "check", "ops", "boards"):
        assert command in result.stdout
    assert "--debug" not in result.stdout


@pytest.mark.parametrize("command", ["doctor", "demo", "compile", "check", "ops", "boards"])
def test_each_command_has_help(command: str) -> None:
    assert run(command, "--help").exit_code == 0


def test_boards_as_json_are_the_records() -> None:
    result = run("boards", "--json")
    assert result.exit_code == 0
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert tuple(rows) == list_boards()
    assert rows["zcu104"]["capacity"] == dict(load_board("zcu104").capacity)
    assert (rows["zcu104"]["memory_bits"], rows["zcu104"]["memory_base"]) == (128, 0x6000_0000)


def test_boards_table_has_every_board_uncut() -> None:
    result = run("boards")
    assert result.exit_code == 0
    for name in list_boards():
        assert name in result.stdout
        assert load_board(name).part in result.stdout


def test_ops_as_json_are_the_operators() -> None:
    result = run("ops", "--json")
    assert result.exit_code == 0
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    found = discover()
    assert list(rows) == list(found)
    for name, cls in found.items():
        assert rows[name]["composite"] == cls.composite
        assert rows[name]["examples"] == len(cls.examples())
        assert ("rtl" in rows[name]["kernels"]) == (kernel_path(name, "rtl") is not None)
        assert rows[name]["kernels"] == [target for target in TARGETS if kernel_path(name, target)]
        assert rows[name]["summary"]
        assert set(rows[name]["exact"]) == (set() if cls.composite else set(TARGETS))
        gaps = {target for target, exact in rows[name]["exact"].items() if exact is None}
        assert set(rows[name]["gaps"]) == gaps


def test_ops_table_has_every_operator() -> None:
    result = run("ops")
    assert result.exit_code == 0
    assert all(name in result.stdout for name in discover())


def test_ops_shows_a_gap_as_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator of somebody's own, with one kernel and nothing shown of it."""
    shutil.copytree(Path(__file__).parent / "conformance" / "extension", tmp_path / "own")
    shutil.rmtree(tmp_path / "own" / "hls")
    monkeypatch.setenv("GATEWRIGHT_PATH", str(tmp_path / "own"))
    (row,) = [row for row in json.loads(run("ops", "--json").stdout) if row["name"] == "absolute"]
    assert row["kernels"] == ["rtl"]
    assert row["exact"] == {"rtl": None, "hls": None, "systemc": None}
    assert row["gaps"] == {"rtl": "never run", "hls": "no kernel", "systemc": "no kernel"}
    (line,) = [line for line in run("ops").stdout.splitlines() if "absolute" in line]
    assert line.split("│")[3].strip() == "gap: never run"


def test_doctor_says_how_to_get_what_is_missing() -> None:
    result = run("doctor", "--json")
    rows = json.loads(result.stdout)
    assert {"g++", "verilator"} <= {row["name"] for row in rows}
    missing = [row for row in rows if row["status"] == "missing"]
    assert all(row["remedy"] and row["path"] is None for row in missing)
    assert all(row["path"] and row["remedy"] is None for row in rows if row not in missing)
    assert result.exit_code == any(not row["optional"] for row in missing)


def test_doctor_fails_without_the_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run("doctor", "--json")
    (compiler,) = [row for row in json.loads(result.stdout) if row["name"] == "g++"]
    assert (compiler["status"], result.exit_code) == ("missing", 1)
    assert "apt install g++" in compiler["remedy"]


def test_error_is_one_line_on_stderr(model: Path) -> None:
    result = run("compile", str(model), "--board", "pynq-z2", "--fps", "100", "--budget", "0.5")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: fps and budget each decide the folding: give one of them")
    assert result.stderr.count("\n") == 1


def test_debug_lets_the_error_through(model: Path) -> None:
    result = run("--debug", "compile", str(model), "--board", "pynq-z2", "--fps", "-1")
    assert isinstance(result.exception, ConfigError)
    assert result.exit_code == 1


def test_unknown_board(model: Path) -> None:
    result = run("compile", str(model), "--board", "pynq-z3")
    assert result.exit_code == 1
    assert "board 'pynq-z3' is unknown: did you mean 'pynq-z" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compile", "no.onnx", "--board", "zcu104"), "no.onnx"),
        (("compile",), "MODEL"),
        (("check", "no-such-folder"), "no-such-folder"),
        (("chekc",), "chekc"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_check_refuses_an_empty_stage_name(tmp_path: Path) -> None:
    result = run("check", str(tmp_path), "--stages", "golden,,rtl")
    assert result.exit_code == 1
    assert "--stages 'golden,,rtl' has an empty name" in result.stderr


def test_compile_prints_units_and_resources(network: Path, tmp_path: Path) -> None:
    result = run("compile", str(network), "--board", "zcu104", "--mhz", "125", "-o", str(tmp_path / "build"))
    assert result.exit_code == 0
    prediction = json.loads((tmp_path / "build" / "prediction.json").read_text())
    assert prediction["mhz"] == 125
    assert all(unit["name"] in result.stdout for unit in prediction["units"])
    assert all(resource in result.stdout for resource in load_board("zcu104").capacity)
    assert f"interval {prediction['interval_cycles']:,} cycles" in result.stdout
    assert "import" in result.stderr


def test_compile_for_a_rate_and_a_latency(network: Path, tmp_path: Path) -> None:
    def compiled(*options: str) -> dict[str, Any]:
        result = run("compile", str(network), "--board", "pynq-z2", *options, "-o", str(tmp_path / "build"), "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    rate = compiled("--fps", "20000")
    both = compiled("--fps", "20000", "--latency-us", str(rate["latency_us"] * 0.7))
    assert both["latency_us"] <= rate["latency_us"] * 0.7 and both["fps"] >= 20000
    assert both["asked"] == {
        "fps": 20000.0, "latency_us": rate["latency_us"] * 0.7, "budget": None, "objective": "throughput",
        "mhz": None, "folding": False, "argmax": False,
    }  # fmt: skip
    shortest = compiled("--objective", "latency", "--budget", "0.5")
    assert shortest["latency_us"] <= both["latency_us"]
    assert all(shortest["resources"][r] <= total * 0.5 for r, total in shortest["capacity"].items())
    result = run("compile", str(network), "--board", "pynq-z2", "--latency-us", "0.1", "-o", str(tmp_path / "b"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "error: 0.1 us at 100 MHz is out of reach: latency" in result.stderr


def test_compile_takes_targets(network: Path, tmp_path: Path) -> None:
    arguments = ("compile", str(network), "--board", "pynq-z2", "-o", str(tmp_path / "build"), "--target")
    result = run(*arguments, "rtl, hls")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "build" / "hls" / "two_layers.cpp").is_file()
    assert run(*arguments, "hls").exit_code == 0
    assert not (tmp_path / "build" / "rtl").exists()
    assert run(*arguments, "rtl,kernel", "--bus-bits", "128").exit_code == 0
    assert json.loads((tmp_path / "build" / "kernel" / "kernel.json").read_text())["bus_bits"] == 128
    for wrong, message in (
        ("rtl,vhdl", "targets ['vhdl']: choose from rtl, kernel, hls, systemc"),
        ("rtl,", "--target 'rtl,' has an"),
    ):
        result = run(*arguments, wrong)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith(f"error: {message}")


def test_a_stage_of_a_target_that_is_not_there_is_not_run(network: Path, tmp_path: Path) -> None:
    folder = tmp_path / "build"
    assert run("compile", str(network), "--board", "pynq-z2", "--target", "rtl", "-o", str(folder)).exit_code == 0
    result = run("check", str(folder), "--stages", "golden,csim")
    assert result.exit_code == 1
    assert f"csim: {folder} has no hls/: it was compiled for rtl alone" in result.stdout
    assert run("compile", str(network), "--board", "pynq-z2", "--target", "hls", "-o", str(folder)).exit_code == 0
    for command in ("synth", "bisect"):
        result = run(command, str(folder))
        assert result.exit_code == 1
        assert f"error: {folder} has no rtl/: it was compiled for hls alone; compile" in result.stderr


def test_compile_out_of_reach_fails(network: Path, tmp_path: Path) -> None:
    result = run("compile", str(network), "--board", "pynq-z2", "--fps", "1e12", "-o", str(tmp_path / "build"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "error: 1e+12 frames/s at 100 MHz" in result.stderr
    assert not (tmp_path / "build").exists()


def test_check_as_json_is_pure(build: Path) -> None:
    result = run("check", str(build), "--stages", "golden", "--frames", "3", "--json")
    (stage,) = json.loads(result.stdout)
    assert (result.exit_code, stage["name"], stage["status"]) == (0, "golden", "ok")
    assert (stage["frames"], stage["exact"]) == (3, 3)


def test_check_takes_data_and_labels(build: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((5, 12), np.float32))
    np.save(tmp_path / "y.npy", np.zeros(5, np.int64))
    files = ("--data", str(tmp_path / "x.npy"), "--labels", str(tmp_path / "y.npy"))
    result = run("check", str(build), "--stages", "golden", *files, "--json")
    (stage,) = json.loads(result.stdout)
    assert (result.exit_code, stage["frames"]) == (0, 5)
    assert stage["accuracy"] in (0.0, 1.0)  # equal frames have equal answers


def test_a_stage_asked_for_that_cannot_run_fails(build: Path) -> None:
    result = run("check", str(build), "--stages", "golden, qat")
    assert result.exit_code == 1
    assert "not_run" in result.stdout
    assert "qat: no outputs of the qat model" in result.stdout


def test_a_difference_fails(build: Path, tmp_path: Path) -> None:
    spoilt = shutil.copytree(build, tmp_path / "spoilt")
    with np.load(spoilt / "design.npz") as stored:
        arrays = dict(stored)
    last = [name for name in arrays if name.endswith("weight")][-1]
    np.savez(spoilt / "design.npz", **arrays | {last: np.roll(arrays[last], 1, axis=0)})
    result = run("check", str(spoilt), "--stages", "golden")
    assert result.exit_code == 1
    assert "failed" in result.stdout
    assert "frames differ from golden; first: " in result.stdout


def test_unknown_stage(build: Path) -> None:
    result = run("check", str(build), "--stages", "gulden")
    assert result.exit_code == 1
    assert "error: stages ['gulden']: choose from float, qat, golden, csim, systemc, rtl" in result.stderr


@pytest.mark.slow
def test_demo(tmp_path: Path) -> None:
    result = run("demo", "-o", str(tmp_path / "demo"), "--seed", "1")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "demo" / "prediction.json").is_file()

# SPDX-License-Identifier: Apache-2.0
"""verify and benchmark, in Python and on the command line; power by pynq's own rails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.runtime.conftest import Made, rebundled

from gatewright.board.archive import npz, write_folder
from gatewright.board.server import VirtualBoard
from gatewright.errors import DataError
from gatewright.runtime import Accelerator, power, reports
from gatewright.runtime.__main__ import main


@pytest.fixture(scope="module")
def board(mlp: Made) -> Iterator[VirtualBoard]:
    with VirtualBoard([mlp.folder], port=0) as board:
        yield board


def test_verify(mlp: Made, board: VirtualBoard) -> None:
    with Accelerator(mlp.folder, board.address) as accelerator:
        report = accelerator.verify()
        (output,) = report.outputs
        assert report.ok and report.frames == output.exact == 20 and output.max_float_error == 0
        assert output.first_mismatch is None and report.cycles_per_frame == report.predicted_interval_cycles
        assert report.latency_cycles > report.predicted_latency_cycles
        assert accelerator.verify(3).frames == 3 and accelerator.verify(1).cycles_per_frame is None
        assert str(report).startswith(
            "mlp: ok\n  matmul_2_out: 20 of 20 frames exact, largest float error 0\n  96.0 cycles"
        )
        with pytest.raises(DataError, match="frames=0 must be at least 1"):
            accelerator.verify(0)


@pytest.mark.parametrize(
    ("file", "change", "text"),
    [
        ("golden/integers_out.npz", 1, "0 of 20 frames exact; first mismatch in frame 0, element 0: "),
        ("golden/float_out.npz", 1e-6, "20 of 20 frames exact, largest float error 1e-06"),
        ("golden/integers_in.npz", 1, "inputs: this machine quantises them to other integers than golden's"),
    ],
)
def test_verify_finds_what_is_wrong(
    mlp: Made, board: VirtualBoard, tmp_path: Path, file: str, change: float, text: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with np.load(mlp.folder / file) as data:
        changed = {k: v + np.asarray(change, v.dtype) for k, v in data.items()}
    write_folder(rebundled(mlp.files, {file: npz(changed)}, bitstream=False), tmp_path / "b")
    assert main(["verify", str(tmp_path / "b"), "--device", board.address]) == 1
    out = capsys.readouterr().out
    assert out.startswith("mlp: FAILED") and text in out
    assert main(["verify", str(tmp_path / "b"), "--device", board.address, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_last_bits_of_host_functions_may_differ(several: Made) -> None:
    """Softmax comes from the C library of the machine."""
    golden = {"a": np.zeros((2, 3))}
    for error, ok in ((1e-12, True), (1e-6, False), (np.nan, False)):
        want = {"a": np.full((2, 3), 0.25)}
        report = reports._output_report("a", golden["a"].astype(int), want["a"] + error, golden, want, 2)
        assert report.ok is ok and report.exact == 2
    both = np.array([[np.inf, np.nan, -np.inf]] * 2)
    assert reports._output_report("a", golden["a"].astype(int), both, golden, {"a": both.copy()}, 2).ok
    assert several.files


def test_benchmark(mlp: Made, board: VirtualBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "LEAST_SECONDS", 0.0)
    with Accelerator(mlp.folder, board.address) as accelerator:
        report = accelerator.benchmark((1, 50))
        one, fifty = report.batches
        assert (one.frames, fifty.frames, one.runs) == (1, 50, 3)
        assert one.cycles_per_frame is None and fifty.cycles_per_frame == report.predicted_interval_cycles == 96
        assert one.pynq_calls == fifty.pynq_calls < 10
        assert 0 < one.own_seconds < one.seconds and 0 < one.pynq_seconds < one.seconds
        assert fifty.frames_per_second == 50 / fifty.seconds
        assert fifty.kernel_seconds * 100e6 > 50 * 96
        assert report.watts == {} and json.loads(json.dumps(report.to_json()))["batches"][1]["frames"] == 50
        assert "1,041,667 frames/s" in str(report) and str(report).count("\n") == 3
        for wrong in ((), (0,), (3, -1)):
            with pytest.raises(DataError, match="must be numbers of at least 1"):
                accelerator.benchmark(wrong)


def test_power_is_read_from_the_rails_of_pynq(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pynq's own classes, on files as the kernel of Linux has them."""
    pmbus = pytest.importorskip("pynq.pmbus")
    (tmp_path / "power1_input").write_text("2500000")
    rails = {"INT": pmbus.Rail("INT"), "AUX": pmbus.Rail("AUX")}
    rails["INT"].power = pmbus.SysFSSensor(str(tmp_path / "power1_input"), "W", "INT_power", 1e-6)
    monkeypatch.setattr(pmbus, "get_rails", lambda: rails)
    found = power.power_rails()
    assert set(found) == {"INT"} and power.read_watts(found) == {"INT": 2.5}
    with power.Sampler(found) as sampler:
        while not sampler._samples:
            time.sleep(0.001)
    assert sampler.mean() == {"INT": 2.5}
    with power.Sampler({}) as nothing:
        pass
    assert nothing.mean() == {}


def broken() -> dict[str, object]:
    raise OSError("no sensors")


def test_no_sensors_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pmbus = pytest.importorskip("pynq.pmbus")
    monkeypatch.setattr(pmbus, "get_rails", broken)
    assert power.power_rails() == {}


def test_commands(mlp: Made, board: VirtualBoard, archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    device = ["--device", board.address]
    assert main(["verify", str(archive), *device, "--frames", "5", "--json"]) == 0
    verified = json.loads(capsys.readouterr().out)
    assert verified["ok"] and verified["frames"] == verified["outputs"][0]["exact"] == 5
    assert main(["state", str(mlp.folder), *device]) == 0
    shown = capsys.readouterr().out
    assert " frames after " in shown and shown.count(" words, ") == 3
    assert main(["state", str(mlp.folder), *device, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["edges"]) == 3
    assert main(["benchmark", *device, "--frames", "2", "--no-download"], bundle=str(mlp.folder)) == 0
    assert "mlp at 100 MHz" in capsys.readouterr().out
    assert main(["verify", str(mlp.folder), "--device", "127.0.0.1:0"]) == 2
    assert "error: device='127.0.0.1:0': give HOST or HOST:PORT" in capsys.readouterr().err
    assert main(["verify", str(mlp.folder / "golden"), *device]) == 2
    assert "no bundle.json here" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["verify"])
    assert "the following arguments are required: bundle" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["-m", "gatewright.runtime"], ["{folder}/run.py"], ["-m", "gatewright_runtime"]])
def test_as_a_program(mlp: Made, board: VirtualBoard, command: list[str]) -> None:
    """Where the package is installed, and where there is only the bundle."""
    arguments = [a.format(folder=mlp.folder) for a in command]
    given = [] if arguments[0].endswith("run.py") else [str(mlp.folder)]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if arguments[-1] == "gatewright_runtime":
        environment["PYTHONPATH"] = str(mlp.folder)
    else:
        environment["PYTHONPATH"] = str(Path(reports.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, *arguments, "verify", *given, "--device", board.address, "--frames", "2"],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("mlp: ok\n  matmul_2_out: 2 of 2 frames exact")

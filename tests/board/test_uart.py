# SPDX-License-Identifier: Apache-2.0
"""A board on a serial port, end to end: a network compiled for it, its bundle, the emitted top level simulated behind a
pseudo-terminal, and the driver that the bundle carries."""

from __future__ import annotations

import json
import os
import random
import re
import select
import signal
import subprocess
import sys
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.board.environments import OLDEST, environment, python_of
from tests.board.test_pytest_plugin import run as run_project
from tests.models import two_layers
from typer.testing import CliRunner

from gatewright.board.archive import MANIFEST, write_folder
from gatewright.board.bundle import bundle
from gatewright.board.server import VirtualBoard
from gatewright.board.serving import served
from gatewright.board.uart import SerialBoard
from gatewright.build import Build, compile_model
from gatewright.cli import app
from gatewright.errors import BusError, ConfigError, DeviceError, HashError
from gatewright.runtime import Accelerator
from gatewright.runtime.serial_device import SerialDevice
from gatewright.verify import check

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Two matrix products with a ReLU between."""
    folder = tmp_path_factory.mktemp("uart")
    b, y = two_layers()
    return compile_model(b.save(folder / "net.onnx", y), "ulx3s-85f", fps=1e5, targets=["rtl", "kernel"],
                         output=folder / "build")  # fmt: skip


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.float32(np.random.default_rng(3).integers(-40, 41, (120, 8)) / 16)


@pytest.fixture(scope="module")
def folder(build: Build, frames: np.ndarray) -> Path:
    made = bundle(build.directory, data=frames[:40])
    made.write(build.directory.parent / "bundle")
    return build.directory.parent / "bundle"


@pytest.fixture
def board(folder: Path) -> Iterator[SerialBoard]:
    with SerialBoard(folder) as board:
        yield board


def works(accelerator: Accelerator, build: Build, x: np.ndarray) -> None:
    np.testing.assert_array_equal(accelerator.run(x), build.model_graph.predict(x)[0])


def run(python: str | Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """run.py of the bundle, with the driver beside it and nothing of this checkout."""
    bare = {"PATH": os.defpath, "HOME": str(folder.parent)}
    command = [str(python), "run.py", *arguments]
    return subprocess.run(command, cwd=folder, env=bare, capture_output=True, text=True, check=False)


# --- it works ---------------------------------------------------------------------------------------------------------


def test_the_stage_board_is_exact_in_the_predicted_cycles(build: Build, frames: np.ndarray) -> None:
    labels = build.model_graph.predict(frames)[0].argmax(axis=1)
    (result,) = check(build.directory, data=frames, labels=labels, stages=["board"])
    assert (result.status, result.frames, result.exact, result.accuracy) == ("ok", 120, 120, 1.0), result
    assert result.interval_cycles == result.predicted_interval_cycles == build.summary()["interval_cycles"]
    assert "cycles by the kernel's own counters" in result.note


def test_one_bit_of_a_weight_is_noticed(build: Build, tmp_path: Path) -> None:
    """And a board elsewhere is used where it is named."""
    files = {**bundle(build.directory, frames=8, virtual=True).files}
    path = next(name for name in files if name.endswith("matmul_1_weight.mem"))
    with SerialBoard(_changed(files, path, tmp_path / "bundle")) as board:
        (result,) = check(build.directory, stages=["board"], device=board.address)
    assert result.status == "failed" and "frames differ from golden; first: {'output'" in result.reason, result


def _changed(files: dict[str, bytes], path: str, folder: Path) -> Path:
    """A bundle with one bit of a memory file changed, whose digests and virtual bitstream fit it."""
    from tests.runtime.conftest import rebundled

    words = files[path].decode().split("\n")
    at = next(i for i, word in enumerate(words) if word.strip() and not word.startswith(("//", "@")))
    words[at] = f"{int(words[at], 16) ^ 1:0{len(words[at])}x}"
    write_folder(rebundled(files, {path: "\n".join(words).encode()}), folder)
    return folder


def test_run_py_where_there_is_numpy_and_pyserial_alone(folder: Path, board: SerialBoard) -> None:
    python = environment(python_of(OLDEST) or sys.executable, "numpy", "pyserial")
    done = run(python, folder, "verify", "--device", board.address, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] and report["frames"] == 40 and [o["exact"] for o in report["outputs"]] == [40]
    done = run(python, folder, "benchmark", "--device", f"serial:{board.address}", "--frames", "1", "20", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["link"]["repeated for want of an answer"] == 0
    done = run(python, folder, "state", "--device", board.address)
    assert done.returncode == 0 and "20 of 20 frames after" in done.stdout, done.stderr


def test_the_same_interface_as_for_any_other_board(build: Build, folder: Path, frames: np.ndarray) -> None:
    with served(folder) as accelerator:
        job = accelerator.submit(frames[:7])
        works(accelerator, build, frames)
        np.testing.assert_array_equal(job.result(), build.model_graph.predict(frames[:7])[0])
        assert accelerator.verify().ok


def test_the_pytest_fixture_has_it_simulated_or_takes_the_port_that_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    code = (
        f"def test_it(virtual_board):\n    with virtual_board({str(folder)!r}) as a:\n        assert a.verify(5).ok\n"
    )
    done = run_project(tmp_path, code)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr
    done = run_project(tmp_path, code, "--accelerator-device", "/dev/ttyNOTHERE")
    assert done.returncode == 1 and "there is no serial port /dev/ttyNOTHERE: plug the board in" in done.stdout


def test_a_board_that_is_used_again_and_reset(build: Build, board: SerialBoard, frames: np.ndarray) -> None:
    for _ in range(2):
        with Accelerator(board.source.bundle.folder, board.address) as accelerator:
            works(accelerator, build, frames[:9])
            board.running.reset()
            with pytest.raises(
                (BusError, DeviceError), match="memory answered with an error|the kernel refused the run"
            ):
                accelerator.run(frames[:9])
            works(accelerator, build, frames[:3])


def test_a_reset_in_mid_run_gives_no_results(
    build: Build, board: SerialBoard, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel that was reset says that it is idle, like one that is done; memory has the results of an earlier run."""
    with Accelerator(board.source.bundle.folder, board.address) as accelerator:
        works(accelerator, build, frames[:9])
        write = SerialDevice.write

        def pressed(self: SerialDevice, offset: int, value: int) -> None:
            write(self, offset, value)
            if offset == 0:
                board.running.reset()

        with monkeypatch.context() as patch:
            patch.setattr(SerialDevice, "write", pressed)
            with pytest.raises(DeviceError, match=r"/dev/pts/\d+ was reset in mid-run, or given its bitstream again"):
                accelerator.run(frames[9:18])
        works(accelerator, build, frames)


# --- what goes wrong --------------------------------------------------------------------------------------------------


class Line:
    """A line between a terminal of its own and a board's, which spoils a byte now and then. Leaving it hangs up."""

    def __init__(self, path: str, every: int, seed: int) -> None:
        self._random, self._every = random.Random(seed), every
        self._far = os.open(path, os.O_RDWR | os.O_NOCTTY)
        self._near, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path, self.spoilt, self._stop = os.ttyname(self._slave), 0, threading.Event()
        self._thread = threading.Thread(target=self._carry)
        self._thread.start()

    def _carry(self) -> None:
        while not self._stop.is_set():
            for source in select.select([self._near, self._far], [], [], 0.05)[0]:
                data = bytearray(os.read(source, 4096))
                for i in range(len(data)):
                    if not self._random.randrange(self._every):
                        data[i] ^= 1 << self._random.randrange(8)
                        self.spoilt += 1
                os.write(self._far if source == self._near else self._near, data)

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for descriptor in (self._near, self._slave, self._far):
            os.close(descriptor)


def test_a_noisy_line_changes_no_result(build: Build, board: SerialBoard, frames: np.ndarray) -> None:
    """One byte of 500 has a wrong bit, in either direction."""
    with Line(board.address, 500, 4) as line, Accelerator(board.source.bundle.folder, line.path) as accelerator:
        works(accelerator, build, frames)
        works(accelerator, build, frames[:31])
        link = accelerator.state().link
    assert line.spoilt > 2
    assert link["repeated because they came damaged"] + link["repeated for want of an answer"] > 0
    assert link["requests with a wrong CRC at the board"] + link["stray bytes"] > 0


def test_a_board_that_is_killed_in_mid_batch(build: Build, folder: Path, frames: np.ndarray, tmp_path: Path) -> None:
    """The run ends with what happened; the next one finds the board where it comes up again."""
    link = tmp_path / "board"
    board = SerialBoard(folder, link=link)
    board.start()
    with Accelerator(folder, board.address) as accelerator:
        works(accelerator, build, frames[:5])
        job = accelerator.submit(np.tile(frames, (20, 1)))
        os.kill(board.running._process.pid, signal.SIGKILL)
        with pytest.raises(DeviceError, match=rf"{link} went away while .*; the next run connects anew"):
            job.result()
        board.close()
        assert not link.is_symlink()
        with pytest.raises(DeviceError, match=rf"there is no serial port {link}: plug the board in"):
            accelerator.run(frames[:5])
        with SerialBoard(folder, link=link):
            works(accelerator, build, frames)


def test_another_design_is_refused(folder: Path, board: SerialBoard, tmp_path: Path) -> None:
    b, y = two_layers()
    other = compile_model(b.save(tmp_path / "net.onnx", y), "ulx3s-85f", fps=1e6, targets=["rtl", "kernel"],
                          output=tmp_path / "build")  # fmt: skip
    bundle(other.directory).write(tmp_path / "bundle")
    with pytest.raises(HashError, match=r"is another design: its hash is \w+, .* `gatewright board serve` this bundle"):
        Accelerator(tmp_path / "bundle", board.address)
    with Accelerator(folder, board.address) as accelerator:
        assert accelerator.verify().ok


# --- gatewright board serve -------------------------------------------------------------------------------------------


@contextmanager
def serving(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running server and the two lines that it says first."""
    command = [sys.executable, "-m", "gatewright", "board", "serve", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, "".join(process.stdout.readline() for _ in range(2))
        finally:
            process.kill()


def serve(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["board", "serve", *map(str, arguments)])


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_a_port_under_a_name_and_stops_when_told(folder: Path, tmp_path: Path, kind: int) -> None:
    link = tmp_path / "board"
    link.symlink_to("/dev/pts/99999")  # of a server that was killed
    with serving(folder, "--link", link) as (process, said):
        assert said.startswith(f"Radiona ULX3S 85F on {link}: net_"), process.communicate()
        assert f"in the bundle: python3 run.py verify --device {link}\n" in said
        assert re.fullmatch(r"/dev/pts/\d+", str(link.readlink()))
        done = run(sys.executable, folder, "verify", "--device", str(link))
        assert done.returncode == 0 and "40 of 40 frames exact" in done.stdout, done.stderr
        process.send_signal(kind)
        _, err = process.communicate()
    assert process.returncode == 0 and err.endswith("stopped\n"), err
    assert re.search(r"net for Radiona ULX3S 85F at 60 MHz and 1,000,000 baud, net_\w+\.bit; simulation ready in", err)
    assert not link.is_symlink()


def test_without_a_name_it_says_the_terminals(folder: Path) -> None:
    with serving(folder) as (process, said):
        path = re.match(r"Radiona ULX3S 85F on (/dev/pts/\d+): ", said)
        assert path is not None, (said, process.communicate())
        with Accelerator(folder, path[1]) as accelerator:
            assert accelerator.verify(3).ok


def test_what_is_refused(build: Build, folder: Path, tmp_path: Path, bundles: dict[str, Path]) -> None:
    (tmp_path / "file").write_text("mine")
    result = serve(folder, "--link", tmp_path / "file")
    assert result.exit_code == 1 and "is there already and no link to a terminal: choose another" in result.output
    assert (tmp_path / "file").read_text() == "mine"
    result = serve(folder, "--link", tmp_path / "nowhere" / "board")
    assert result.exit_code == 1 and "cannot be made" in result.output
    result = serve(folder, "--port", "7000")
    assert result.exit_code == 1 and re.search(r"--port means nothing for .* over a serial port: leave", result.output)
    result = serve(bundles["pynq-z2"], "--link", tmp_path / "board")
    assert (
        result.exit_code == 1 and "--link means nothing for boards that are reached over the network" in result.output
    )
    result = serve(folder, folder)
    assert (
        result.exit_code == 1 and "reached over a serial port and holds one design: serve one bundle" in result.output
    )
    with pytest.raises(ConfigError, match="reached over a serial port and holds one design"):
        VirtualBoard([folder], port=0)
    with pytest.raises(ConfigError, match="is for TUL PYNQ-Z2, which is reached by pynq and not by a serial port"):
        SerialBoard(bundles["pynq-z2"])
    with pytest.raises(ConfigError, match="was not made of the RTL beside it: make the bundle again"):
        SerialBoard(_stale(folder, tmp_path / "stale"))
    board = SerialBoard(folder)
    with pytest.raises(ConfigError, match="the virtual board is not there: start it first"):
        board.address  # noqa: B018
    result = CliRunner().invoke(app, ["deploy", str(folder), "user@host"])
    assert result.exit_code == 1 and "is no computer that ssh reaches: load the bitstream of" in result.output


def _stale(folder: Path, target: Path) -> Path:
    """A bundle whose bitstream was made of other RTL, with right digests."""
    from tests.runtime.conftest import rebundled

    names = [p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in names}
    path = next(name for name in files if name.startswith("rtl/") and name.endswith(".sv"))
    write_folder(rebundled(files, {path: files[path] + b"\n"}, bitstream=False), target)
    return target


def test_a_bundle_with_a_real_bitstream_is_served_too(build: Build, folder: Path, tmp_path: Path) -> None:
    """The RTL beside it is simulated in its place, and the log says so."""
    from tests.runtime.conftest import rebundled

    names = [p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in names}
    record = json.loads(files[MANIFEST])
    record["bitstream"] |= {"kind": "ecp5"}
    changes = {MANIFEST: json.dumps(record).encode(), record["bitstream"]["file"]: b"\xff\x00LSCC"}
    write_folder(rebundled(files, changes, bitstream=False), tmp_path / "bundle")
    heard: list[str] = []
    with (
        SerialBoard(tmp_path / "bundle", log=heard.append) as board,
        Accelerator(tmp_path / "bundle", board.address) as accelerator,
    ):
        assert accelerator.verify(3).ok
    assert "a real bitstream, in whose place the RTL beside it is simulated" in heard[0]

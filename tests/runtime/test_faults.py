# SPDX-License-Identifier: Apache-2.0
"""What goes wrong on a board, each with its documented error, and the run after it."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.conftest import Made, rebundled

from gatewright.board.archive import MANIFEST, write_folder
from gatewright.board.server import VirtualBoard
from gatewright.errors import BusError, DeviceError, DeviceMemoryError, HashError, RunTimeout
from gatewright.runtime import Accelerator, device
from gatewright.sim.kernel import Fault


def works(accelerator: Accelerator, made: Made, frames: int = 30) -> None:
    """A run gives golden's results."""
    want = made.build.model_graph.predict(made.x[:frames])[0]
    np.testing.assert_array_equal(accelerator.run(made.x[:frames]), want)


@pytest.fixture
def board(mlp: Made) -> Iterator[VirtualBoard]:
    with VirtualBoard([mlp.folder], port=0) as board:
        yield board


# --- memory -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            Fault("slverr", writes=False, count=1),
            r"\(read SLVERR\): first on gmem0 \('x'\) at 0x\w+; 1 bursts",
        ),
        (
            Fault("decerr", writes=False, count=2, skip=1),
            r"\(read DECERR\): first on gmem0 \('x'\) at 0x\w+; 1 bu",
        ),
        (
            Fault("slverr", reads=False, count=1),
            r"\(write SLVERR\): first on gmem1 \('\w+'\) at 0x\w+; 0 bu",
        ),
        (Fault("decerr", reads=False), r"\(write DECERR\): first on gmem1"),
    ],
)
def test_memory_that_answers_with_an_error(mlp: Made, board: VirtualBoard, fault: Fault, message: str) -> None:
    with Accelerator(mlp.folder, board.address) as accelerator:
        works(accelerator, mlp)
        board.inject(fault)
        with pytest.raises(BusError, match=f"mlp: memory answered with an error {message}"):
            accelerator.run(mlp.x)
        board.mend()
        works(accelerator, mlp, 300)
        assert accelerator.state().faults == ()


def test_the_address_of_an_error_is_in_the_buffer(mlp: Made, board: VirtualBoard) -> None:
    with Accelerator(mlp.folder, board.address) as accelerator:
        works(accelerator, mlp, 300)
        assert accelerator._engine is not None
        slot = accelerator._engine._pool.slot(300, 0, None)
        buffer = slot.inputs[0]
        board.inject(Fault("slverr", first=buffer.address + 1024, bytes=1, count=1))
        with pytest.raises(BusError) as error:
            accelerator.run(mlp.x)
        at = int(re.findall(r"at 0x(\w+)", str(error.value))[0], 16)
        assert buffer.address <= at <= buffer.address + 1024
        works(accelerator, mlp)


def test_an_error_in_a_piece_of_many(mlp: Made, board: VirtualBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "PIECE_BYTES", 64)
    with Accelerator(mlp.folder, board.address) as accelerator:
        for skip in range(6):
            board.inject(Fault("slverr", count=1, skip=skip))
            with pytest.raises(BusError):
                accelerator.run(mlp.x)
            board.mend()
            works(accelerator, mlp, 300)


def test_memory_that_stops_answering(mlp: Made, board: VirtualBoard) -> None:
    """Reads under way can never be drained, so the abort does not end either: the bitstream is loaded again."""
    with Accelerator(mlp.folder, board.address, timeout=1e-4) as accelerator:
        works(accelerator, mlp)
        board.inject(Fault("silence", writes=False, skip=1))
        with pytest.raises(RunTimeout) as error:
            accelerator.run(mlp.x)
        text = str(error.value)
        assert re.match(
            r"mlp: \d+ of 300 frames were done in [\d,]+ cycles: more than the 0.0001 s that are allowed", text
        )
        assert "memory gives no more of input 'x': " in text and "empty, 0 of 2 words" in text
        assert "The kernel could not be stopped; the next run loads the bitstream again" in text
        assert error.value.state is not None and error.value.state.frames_done < 300
        works(accelerator, mlp, 300)


def test_memory_that_takes_no_results(mlp: Made, board: VirtualBoard) -> None:
    with Accelerator(mlp.folder, board.address, timeout=1e-4) as accelerator:
        board.inject(Fault("silence", reads=False))
        with pytest.raises(RunTimeout, match="all frames have left the design, but memory has not taken all results"):
            accelerator.run(mlp.x)
        works(accelerator, mlp, 300)
        board.inject(Fault("silence", reads=False))
        with pytest.raises(RunTimeout, match=r"memory takes no results of matmul_2: \w+ \(quant_3 -> matmul_2\): full"):
            accelerator.run(np.repeat(mlp.x, 40, axis=0))
        works(accelerator, mlp, 300)


def test_too_short_a_timeout(mlp: Made, board: VirtualBoard) -> None:
    """The kernel works: it is stopped, and says that it was only slow."""
    with (
        VirtualBoard([mlp.folder], port=0, poll_ms=0.001) as slow,
        Accelerator(mlp.folder, slow.address, timeout=1e-5) as accelerator,
    ):
        with pytest.raises(
            RunTimeout, match="words still move: it is slower than predicted; give a longer timeout"
        ) as e:
            accelerator.run(mlp.x)
        assert str(e.value).endswith("The run was aborted; the next one starts afresh")
        assert accelerator.state().faults == ("aborted",)
        works(accelerator, mlp, 2)


def test_no_download_no_second_chance(mlp: Made, board: VirtualBoard) -> None:
    """Without leave to load the bitstream a kernel that hangs stays one, and the error says so."""
    with Accelerator(mlp.folder, board.address):
        pass
    with Accelerator(mlp.folder, board.address, download=False, timeout=1e-4) as accelerator:
        works(accelerator, mlp)
        board.inject(Fault("silence", writes=False))
        with pytest.raises(RunTimeout, match="The kernel could not be stopped"):
            accelerator.run(mlp.x)
        board.mend()
        works(accelerator, mlp)


# --- a deadlock -------------------------------------------------------------------------------------------------------


def shallow(made: Made) -> tuple[dict[str, bytes], str, int]:
    """The bundle of a design whose deepest FIFO, that of the shortcut, has a depth of 2; its name and planned depth."""
    kernel = json.loads(made.files["kernel/kernel.json"])
    edge = max(kernel["edges"], key=lambda e: e["depth"])
    assert edge["depth"] > 4
    file = "kernel/residual_probed.sv"
    pattern = rf"(fifo #\([^)]*\.DEPTH\(){edge['depth']}(\)[^;]*?) i_{edge['name']} \("
    text, count = re.subn(rf"\.DEPTH\({edge['depth']}\)(, \.BLOCK\(\d\)\) i_{edge['name']} )", r".DEPTH(2)\1",
                          made.files[file].decode())  # fmt: skip
    assert count == 1, pattern
    return rebundled(made.files, {file: text.encode()}), edge["name"], edge["depth"]


def test_a_fifo_that_is_too_shallow(residual: Made, tmp_path: Path) -> None:
    """The design stands still; the error names the FIFO, and the abort brings it back although it would never end."""
    files, name, _ = shallow(residual)
    write_folder(files, tmp_path / "shallow")
    with (
        VirtualBoard([tmp_path / "shallow"], port=0) as board,
        Accelerator(tmp_path / "shallow", board.address, timeout=1e-3) as accelerator,
    ):
        for _ in range(2):
            with pytest.raises(RunTimeout) as error:
                accelerator.run(residual.x[:4])
            text = str(error.value)
            assert "is held up by a FIFO that is full, while another that it feeds is empty" in text
            assert re.search(rf"Full is {name} \(\w+ -> \w+\): full, 2 of \d+ words", text)
            assert "The run was aborted; the next one starts afresh" in text
            assert accelerator.state().faults == ("aborted",)


# --- bundle and device that do not fit --------------------------------------------------------------------------------


def test_another_design(mlp: Made, residual: Made) -> None:
    with VirtualBoard([mlp.folder, residual.folder], port=0) as board:
        with pytest.raises(DeviceError, match="FAILED_PRECONDITION: nothing answers at .* is not loaded: download"):
            Accelerator(mlp.folder, board.address, download=False)
        with Accelerator(residual.folder, board.address):
            pass
        with pytest.raises(HashError) as error:
            Accelerator(mlp.folder, board.address, download=False)
        mine, other = (json.loads(m.files["kernel/kernel.json"])["hash"] for m in (mlp, residual))
        assert f"its hash is {other}, and that of bundle 'mlp' is {mine}; load its bitstream" in str(error.value)
        with Accelerator(mlp.folder, board.address) as accelerator:
            works(accelerator, mlp)


def test_no_kernel_at_the_address(mlp: Made, board: VirtualBoard, tmp_path: Path) -> None:
    """Registers of something else: what is read there is not our magic word."""
    record = json.loads(mlp.files[MANIFEST])
    record["base_address"] = 0xF8000000  # the processing system's own
    files = {**mlp.files, MANIFEST: json.dumps(record).encode()}
    write_folder(files, tmp_path / "b")
    with pytest.raises((HashError, DeviceError), match="no kernel of Gatewright's at 0xf8000000|reading register"):
        Accelerator(tmp_path / "b", board.address)
    with Accelerator(mlp.folder, board.address) as accelerator:
        works(accelerator, mlp)


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_bitstream_that_the_board_refuses(mlp: Made, board: VirtualBoard, tmp_path: Path, damage: str) -> None:
    """The digest in the bundle is that of the damaged file, so only the board can tell."""
    name = json.loads(mlp.files[MANIFEST])["bitstream"]["file"]
    data = mlp.files[name][:-100] if damage == "cut" else mlp.files[name].replace(b"pynq-z2", b"pynq-z1")
    write_folder(rebundled(mlp.files, {name: data}, bitstream=False), tmp_path / "b")
    with pytest.raises(DeviceError, match=rf"failed while loading {name}: \w+: "):
        Accelerator(tmp_path / "b", board.address)


def test_a_board_with_too_little_memory(mlp: Made, tmp_path: Path) -> None:
    record = json.loads(mlp.files[MANIFEST])
    record["memory"]["bytes"] = 1 << 16
    files = {**mlp.files, MANIFEST: json.dumps(record).encode()}
    write_folder(files, tmp_path / "b")
    x = np.repeat(mlp.x, 40, axis=0)
    with VirtualBoard([tmp_path / "b"], port=0) as board, Accelerator(tmp_path / "b", board.address) as accelerator:
        works(accelerator, mlp)
        with pytest.raises(
            DeviceMemoryError, match=r"has no room for [\d,]+ bytes for '\w+' \(.*give a smaller buffer"
        ):
            accelerator.run(x)
        works(accelerator, mlp)
        want = mlp.build.model_graph.predict(x)[0]
        with pytest.raises(MemoryError):
            accelerator.run(x)
        accelerator.close()
        with Accelerator(tmp_path / "b", board.address, buffer_bytes=20_000) as smaller:
            np.testing.assert_array_equal(smaller.run(x), want)


def test_buffers_of_other_sizes_make_room(mlp: Made, tmp_path: Path) -> None:
    """What is kept for earlier batches is given back before memory is called short."""
    record = json.loads(mlp.files[MANIFEST])
    record["memory"]["bytes"] = 1 << 15
    write_folder({**mlp.files, MANIFEST: json.dumps(record).encode()}, tmp_path / "b")
    with VirtualBoard([tmp_path / "b"], port=0) as board, Accelerator(tmp_path / "b", board.address) as accelerator:
        for frames in (300, 100, 200, 250, 150, 299, 300, 1):
            works(accelerator, mlp, frames)


# --- a device that goes away ------------------------------------------------------------------------------------------

SERVE = """
import sys, time
from gatewright.board.server import VirtualBoard
with VirtualBoard([sys.argv[1]], port=int(sys.argv[2]), poll_ms=float(sys.argv[3])) as board:
    print(board.port, flush=True)
    time.sleep(3600)
"""


def serve(folder: Path, port: int = 0, poll_ms: float = 1000.0) -> tuple[Any, int]:
    """A board in a process of its own, and its port."""
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(folder), str(port), str(poll_ms)],
                               stdout=subprocess.PIPE, text=True)  # fmt: skip
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def stop(process: Any, how: int = signal.SIGKILL) -> None:
    process.send_signal(how)
    process.wait()
    process.stdout.close()


def test_a_board_that_is_killed_in_mid_batch(mlp: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while it computes; the error says so, and when it is there again the next run connects anew."""
    process, port = serve(mlp.folder)
    try:
        with Accelerator(mlp.folder, f"127.0.0.1:{port}") as accelerator:
            works(accelerator, mlp)
            polled = device.Device.read

            def killed(self: device.Device, offset: int) -> int:
                if offset == 0 and process.poll() is None:
                    process.send_signal(signal.SIGKILL)  # the run has begun and is being waited for
                    process.wait()
                return polled(self, offset)

            with monkeypatch.context() as patch:
                patch.setattr(device.Device, "read", killed)
                with pytest.raises(DeviceError, match="stopped answering while reading register 0x0") as error:
                    accelerator.run(mlp.x)
                gone = r"\(UNAVAILABLE: .*\): see whether it is on; the next run connects anew"
                assert re.match(
                    rf"127.0.0.1:{port} stopped answering while reading register 0x0 {gone}", str(error.value)
                )
            with pytest.raises(DeviceError, match=f"no PYNQ.remote server answers at 127.0.0.1:{port} .*`gatewri"):
                accelerator.run(mlp.x)
            stop(process)
            process, _ = serve(mlp.folder, port)
            works(accelerator, mlp, 300)
    finally:
        stop(process)


def test_no_board_at_all(mlp: Made) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(DeviceError, match=f"no PYNQ.remote server answers at 127.0.0.1:{port} .*switch the"):
            Accelerator(mlp.folder, f"127.0.0.1:{port}")


def test_no_device_on_this_machine(mlp: Made) -> None:
    with pytest.raises(DeviceError, match="pynq finds no device on this machine .*HOST or HOST:PORT"):
        Accelerator(mlp.folder)


def test_no_pynq(mlp: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynq", None)
    with pytest.raises(DeviceError, match="pynq cannot be loaded .*source /etc/profile.d/pynq_venv.sh first"):
        Accelerator(mlp.folder, "127.0.0.1:1")


def test_an_old_pynq(mlp: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynq.pl_server.remote_device", None)
    with pytest.raises(DeviceError, match=r"this pynq has no PYNQ.remote .*pip install 'pynq>=4'"):
        Accelerator(mlp.folder, "127.0.0.1:1")


def test_state_of_pynq_that_another_process_left_half_written(
    mlp: Made, board: VirtualBoard, state_of_pynq: Path
) -> None:
    """pynq itself fails from then on, with `Unable to parse metadata`."""
    (state_of_pynq / "global_pl_state_.json").write_text("")
    (state_of_pynq / "_current_metadata.pkl").write_bytes(b"\x80")
    with Accelerator(mlp.folder, board.address) as accelerator:
        works(accelerator, mlp)

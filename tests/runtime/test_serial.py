# SPDX-License-Identifier: Apache-2.0
"""The driver over a serial line, against a peer that was written from the protocol's description."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.runtime.conftest import Made
from tests.runtime.uart_peer import BASE, Peer, Simulated, Words

from gatewright.board.archive import MANIFEST, write_folder
from gatewright.errors import ConfigError, DeviceError, DeviceMemoryError, HashError, RunTimeout
from gatewright.runtime import Accelerator, engine, serial_line, serial_protocol
from gatewright.runtime import kernel_map as k
from gatewright.runtime.bundle import Bundle
from gatewright.runtime.serial_device import SerialDevice
from gatewright.runtime.serial_line import Line
from gatewright.runtime.state import read_state
from gatewright.sim.kernel import Fault, KernelProcess, MemoryModel, build_kernel

BANK = 8192


def banked(made: Made, folder: Path, size: int = BANK) -> Path:
    """The same design's bundle, for a board on a serial port."""
    record = json.loads(made.files[MANIFEST])
    record |= {"transport": "uart", "uart": {"baud": 4_000_000}, "base_address": BASE, "hwh": None}
    record["bitstream"]["kind"] = "ecp5"
    record["memory"] |= {"base": 0, "bytes": size, "banked": True}
    write_folder({**made.files, MANIFEST: json.dumps(record).encode()}, folder)
    return folder


@pytest.fixture(scope="module")
def folder(mlp: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("serial")
    write_folder(mlp.files, home / "pynq")
    return banked(mlp, home / "bundle")


@pytest.fixture
def process(mlp: Made) -> Iterator[KernelProcess]:
    with build_kernel(mlp.build.directory, "fast_build").start(MemoryModel(base=0, bytes=2 * BANK)) as process:
        yield process


def works(accelerator: Accelerator, made: Made, frames: int = 300) -> None:
    want = made.build.model_graph.predict(made.x[:frames])[0]
    np.testing.assert_array_equal(accelerator.run(made.x[:frames]), want)


@pytest.fixture
def peer(process: KernelProcess) -> Iterator[Peer]:
    with Peer(Simulated(process)) as peer:
        yield peer


@pytest.fixture
def accelerator(folder: Path, peer: Peer) -> Iterator[Accelerator]:
    with Accelerator(folder, peer.path) as accelerator:
        yield accelerator


def device(accelerator: Accelerator) -> SerialDevice:
    assert accelerator._engine is not None and isinstance(accelerator._engine.device, SerialDevice)
    return accelerator._engine.device


# --- running ----------------------------------------------------------------------------------------------------------


def test_batches_of_any_size_are_golden(mlp: Made, accelerator: Accelerator) -> None:
    report = accelerator.verify()
    assert report.ok and report.cycles_per_frame is not None
    for frames in (0, 1, 2, 3, 100, 300):
        works(accelerator, mlp, frames)
    assert accelerator.run(mlp.x[:2], integers_out=True).dtype == np.int64


def test_state_is_read_in_bursts_and_is_that_of_the_registers(mlp: Made, accelerator: Accelerator) -> None:
    works(accelerator, mlp, 20)
    before = device(accelerator).calls
    state = accelerator.state()
    assert device(accelerator).calls - before <= 8
    one_by_one = read_state(accelerator.bundle.kernel, device(accelerator).read)
    assert replace(state, link={}) == one_by_one and state.frames_done == 20
    assert "line: " in str(state) and "0 repeated for want of an answer" in str(state)
    assert json.loads(json.dumps(state.to_json()))["link"]["requests"] > 8


class Running:
    """Registers of a kernel that goes on while they are read: every word that is read takes some cycles."""

    def __init__(self, cycles: int) -> None:
        self.cycles, self.random = cycles, random.Random(cycles)

    def read(self, address: int) -> int:
        self.cycles += self.random.randrange(3)
        return self.cycles >> 32 if address % 8 else self.cycles & 0xFFFF_FFFF

    def write(self, address: int, value: int) -> bool:
        return False


def test_halves_of_counters_that_go_on_fit_each_other(folder: Path) -> None:
    """The low half overflows between its word of a burst and that of the high half."""
    bundle = Bundle(folder)
    at = bundle.kernel.status
    for short in range(60):
        running = Running((7 << 32) - short)
        before = running.cycles
        with Peer(running) as peer:
            device = SerialDevice(bundle, peer.path)
            read = device.snapshot(bundle.kernel)
            for offset in (k.CYCLES, k.FIRST_FRAME, k.LAST_FRAME):
                assert before <= read(at + offset + 4) << 32 | read(at + offset) <= running.cycles
            device.close()


def test_only_what_a_run_needs_goes_over_the_line(mlp: Made, accelerator: Accelerator) -> None:
    works(accelerator, mlp, 100)
    for frames in (1, 10):
        works(accelerator, mlp, frames)
        before = device(accelerator).line.bytes
        works(accelerator, mlp, frames)
        words = frames * sum(a.frame_bytes for a in accelerator.bundle.kernel.arguments)
        # Registers: start, control, faults, and the number of frames where it is another than before.
        assert device(accelerator).line.bytes - before <= words + 2 * 16 + 4 * 20, frames


def test_buffers_lie_in_the_bank_of_their_port_and_there_are_two(mlp: Made, accelerator: Accelerator) -> None:
    assert accelerator._engine is not None
    pool = accelerator._engine._pool
    works(accelerator, mlp, 300)
    kernel = accelerator.bundle.kernel
    frames = min(BANK // a.frame_bytes for a in kernel.arguments) // 2
    assert pool.room.frames == frames and pool.room.slots == 2
    slots = [pool.slot(1, which, None) for which in (0, 1)]
    for which, slot in enumerate(slots):
        for bank, (argument, buffer) in enumerate(zip(kernel.arguments, slot.inputs + slot.outputs, strict=True)):
            assert buffer.address == bank * BANK + which * frames * argument.frame_bytes
    works(accelerator, mlp, 1)
    assert pool.slot(1, 0, None) is slots[0]


@pytest.mark.parametrize(("room", "slots"), [(1, 1), (2, 2), (3, 2), (5, 2)])
def test_banks_of_a_few_frames(mlp: Made, process: KernelProcess, tmp_path: Path, room: int, slots: int) -> None:
    """With one frame at a time there is one set of buffers, and a run ends before the next one is filled."""
    kernel = mlp.build.kernel
    size = room * max(a.frame_bytes for a in kernel.arguments)
    folder = banked(mlp, tmp_path / "bundle", size)
    with Peer(Simulated(process), bank_bytes=size) as peer, Accelerator(folder, peer.path) as accelerator:
        assert accelerator._engine is not None and accelerator._engine._pool.room.slots == slots
        works(accelerator, mlp, 23)


def test_a_frame_that_no_bank_holds(mlp: Made, process: KernelProcess, tmp_path: Path) -> None:
    folder = banked(mlp, tmp_path / "bundle", 4)
    with (
        Peer(Simulated(process), bank_bytes=4) as peer,
        pytest.raises(DeviceMemoryError, match=r"a frame of 'x' takes 8 bytes, and a bank of /dev/\S+ has 4: the netw"),
    ):
        Accelerator(folder, peer.path)


# --- which port -------------------------------------------------------------------------------------------------------


def test_a_port_that_is_not_there(folder: Path) -> None:
    with pytest.raises(DeviceError, match=r"there is no serial port /dev/ttyNOTHERE: plug the board in, and look for"):
        Accelerator(folder, "/dev/ttyNOTHERE")
    with pytest.raises(DeviceError, match="there is no serial port /dev/pts/99999"):
        Accelerator(folder, "serial:/dev/pts/99999")


def test_a_port_without_permission(folder: Path, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may everything, so the system's refusal is made here."""

    def refused(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(DeviceError, match=rf"no permission for {peer.path}: become a member of its group .* dialout"):
        Accelerator(folder, peer.path)


def test_a_port_that_is_busy(mlp: Made, folder: Path, accelerator: Accelerator, peer: Peer) -> None:
    with pytest.raises(DeviceError, match=rf"{peer.path} is busy: another program has it open"):
        Accelerator(folder, peer.path)
    works(accelerator, mlp, 3)


def test_what_is_no_serial_port(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match=r"file cannot be opened \(.*\): is it a serial port\?"):
        Accelerator(folder, str(tmp_path / "file"))
    for where in ("", "serial:", 5):
        with pytest.raises(ConfigError, match=r"device=.*: give a serial port, such as /dev/ttyUSB0 or COM3"):
            Accelerator(folder, where)
    with pytest.raises(ConfigError, match=r"device='/dev/ttyUSB0' is a serial port, and pynq-z2 is reached by pynq"):
        Accelerator(folder.parent / "pynq", "/dev/ttyUSB0")


def listed(*ports: tuple[str, int | None, str]) -> Callable[[], list[SimpleNamespace]]:
    return lambda: [SimpleNamespace(device=d, vid=v, description=t) for d, v, t in ports]


def test_the_only_port_with_ftdis_number_is_taken(
    mlp: Made, folder: Path, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from serial.tools import list_ports

    monkeypatch.setattr(list_ports, "comports", listed((peer.path, 0x0403, "ULX3S"), ("/dev/ttyS0", None, "n/a")))
    with Accelerator(folder) as accelerator:
        works(accelerator, mlp, 3)
        assert not accelerator.local
    monkeypatch.setattr(list_ports, "comports", listed(("/dev/b", 0x0403, "B"), ("/dev/a", 0x0403, "A")))
    with pytest.raises(DeviceError, match="several ports have FTDI's vendor number 0403: /dev/a, /dev/b: name one"):
        Accelerator(folder)
    monkeypatch.setattr(list_ports, "comports", listed(("/dev/ttyS0", None, "n/a")))
    with pytest.raises(DeviceError, match=r"no serial port with .* 0403 is there \(found: /dev/ttyS0 \(n/a\)\): plug"):
        Accelerator(folder)


def test_without_pyserial(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(DeviceError, match=r"pyserial is missing, .*: pip install pyserial"):
        Accelerator(folder, "/dev/ttyUSB0")
    monkeypatch.setitem(sys.modules, "serial", ModuleType("serial"))
    with pytest.raises(DeviceError, match="is not pyserial: pip uninstall serial, then pip install pyserial"):
        Accelerator(folder)


# --- what is at the other end -----------------------------------------------------------------------------------------


def test_nothing_answers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_line, "SIMULATED_PATIENCE", 2)
    with Peer(Words(8), silent=True) as peer, pytest.raises(DeviceError) as error:
        Accelerator(folder, peer.path)
    assert re.match(
        rf"nothing answers at {peer.path} at 4,000,000 baud: is the bitstream loaded\? load its bitstream: "
        r"`openFPGALoader \S+/mlp_\w+.bin`",
        str(error.value),
    )


def test_noise_answers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from a board that runs at another baud rate."""
    monkeypatch.setattr(serial_line, "SIMULATED_PATIENCE", 2)
    with (
        Peer(Words(8), answers=lambda answer: [bytes(b ^ 0xA7 for b in answer)]) as peer,
        pytest.raises(
            DeviceError, match=r"none of our answers \(\d+ bytes of noise\): another baud rate, another prog"
        ),
    ):
        Accelerator(folder, peer.path)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"magic": 0x1234}, r"says it is 0x00001234 and not 0x31555747: load its bitstream"),
        ({"hz": 50_000_000}, r"another design than bundle 'mlp': its clock is, in Hz, 50000000, not 100000000: load"),
        ({"banks": 3}, r"its memory banks are 3, not 2: load its bitstream"),
        ({"bank_bytes": 4096}, r"bytes of each are 4096, not 8192: load its bitstream"),
    ],
)
def test_another_bridge(folder: Path, said: dict[str, int], message: str) -> None:
    with Peer(Words(8), **said) as peer, pytest.raises(DeviceError, match=message):
        Accelerator(folder, peer.path)


def test_another_design(residual: Made, peer: Peer, tmp_path: Path) -> None:
    folder = banked(residual, tmp_path / "bundle")
    with pytest.raises(HashError, match=r"is another design: its hash is \w+, .*; load its bitstream: `openFPGALoader"):
        Accelerator(folder, peer.path)


def test_a_board_without_a_kernel(folder: Path) -> None:
    """Its registers answer with an error."""
    with (
        Peer(Words(8)) as peer,
        pytest.raises(DeviceError, match=r"refused a request while reading register 0x\w+: nothing is at 0x8000"),
    ):
        Accelerator(folder, peer.path)


# --- what happens on the way ------------------------------------------------------------------------------------------


def test_a_board_that_is_unplugged_in_mid_run(mlp: Made, folder: Path, process: KernelProcess, tmp_path: Path) -> None:
    """The run ends at once; the next one finds the board again where it is plugged in."""
    link = tmp_path / "board"
    with Peer(Simulated(process)) as first:
        link.symlink_to(first.path)
        accelerator = Accelerator(folder, str(link))
        works(accelerator, mlp, 20)
        first.requests = pulled(first)
        with pytest.raises(DeviceError, match=rf"{link} went away while .*: plug the board in again"):
            accelerator.run(mlp.x)
        with pytest.raises(DeviceError, match="there is no serial port|cannot be opened|went away"):
            accelerator.run(mlp.x)
    with Peer(Simulated(process)) as second:
        link.unlink()
        link.symlink_to(second.path)
        works(accelerator, mlp, 300)
        accelerator.close()


def pulled(peer: Peer) -> Callable[[bytes], bytes]:
    """Pulls the cable at the fifth request."""
    left = [5]

    def request(data: bytes) -> bytes:
        left[0] -= 1
        if not left[0]:
            threading.Thread(target=peer.unplug).start()
        return data if left[0] > 0 else b""

    return request


def test_a_board_that_stops_answering_is_found_again(
    mlp: Made, accelerator: Accelerator, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serial_protocol, "DROP_BITS", 4096)  # else it takes a while where the machine is busy
    works(accelerator, mlp, 20)
    peer.silent = True
    with pytest.raises(
        DeviceError, match="gave no good answer to 8 requests while writing 'x'.*next run connects anew"
    ):
        accelerator.run(mlp.x)
    peer.silent = False
    works(accelerator, mlp, 300)


def test_a_run_that_is_interrupted_leaves_the_line_in_order(
    mlp: Made, accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between a request and its answer, at any of a run's requests."""
    for skip in range(5):
        left = [skip]
        receive = Line._receive

        def interrupted(self: Line, most: int, left: list[int] = left, receive: Any = receive) -> None:
            left[0] -= 1
            if left[0] == -1:
                raise KeyboardInterrupt
            receive(self, most)

        with monkeypatch.context() as patch:
            patch.setattr(Line, "_receive", interrupted)
            with pytest.raises(KeyboardInterrupt):
                accelerator.run(mlp.x[:40])
        works(accelerator, mlp, 40)


def test_memory_that_stops_answering_ends_in_a_timeout(
    mlp: Made, folder: Path, process: KernelProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver cannot load a bitstream here, so the next run says what to do, until somebody did it."""
    monkeypatch.setattr(engine, "_FIRST_PAUSE", 1e-6)  # time passes with every look, and not between two
    with Peer(Simulated(process)) as peer, Accelerator(folder, peer.path, timeout=1e-4) as accelerator:
        works(accelerator, mlp, 20)
        process.inject(Fault("silence", writes=False))
        with pytest.raises(RunTimeout, match=r"frames were done .* memory gives no more of input 'x'"):
            accelerator.run(mlp.x)
        with pytest.raises(
            DeviceError, match=r"the kernel is busy and does not stop: load its bitstream: `openFPGALoa"
        ):
            accelerator.run(mlp.x)
        process.mend()
        process.reset()
        works(accelerator, mlp, 300)


def test_benchmark_tells_of_the_line(accelerator: Accelerator) -> None:
    report = accelerator.benchmark([1, 16])
    assert report.link["repeated for want of an answer"] == 0 and report.link["requests"] > 20
    assert "line us" in str(report) and "line: " in str(report)
    assert report.watts == {}

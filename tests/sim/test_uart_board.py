# SPDX-License-Identifier: Apache-2.0
"""The simulated board on a serial port: what an open terminal has on its other end, and a kernel driven through it."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.conformance.support import sample
from tests.rtl.kernel.designs import small, write_kernel
from tests.rtl.uart.protocol import (
    BAD_CRC,
    CONTROL,
    IDENTIFY,
    MAGIC,
    OK,
    READ,
    WRITE,
    Response,
    request,
    response,
)

from gatewright.boards import load_board
from gatewright.errors import ConfigError, SimulationError
from gatewright.ir.packing import frame_images
from gatewright.runtime import kernel_map as regs
from gatewright.sim.uart_board import UartBoard, UartModel, build_uart_board

BOARD = load_board("ulx3s-85f")
MHZ = 10.0
"""Ten clocks a bit instead of 60 make quick tests."""
PATIENCE_SECONDS = 30
DROP_CLOCKS = 65536 * 10


class Terminal:
    """A program at the serial port."""

    def __init__(self, board: UartBoard) -> None:
        self.file, self.seq = os.open(board.path, os.O_RDWR | os.O_NOCTTY), 0

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.file)

    def receive(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            ready, _, _ = select.select([self.file], [], [], PATIENCE_SECONDS)
            assert ready, f"{len(data)} bytes of {count} have come"
            data += os.read(self.file, 4096)
        return data

    def ask(self, op: int, address: int = 0, words: Sequence[int] = (), count: int = 8) -> tuple[int, ...]:
        self.seq = (self.seq + 1) % 256
        os.write(self.file, request(op, self.seq, address, words, len(words) or count))
        got = response(self.receive(6 + 4 * count * (op != WRITE)))
        assert (got.seq, got.status) == (self.seq, OK)
        return got.words

    def write_bytes(self, address: int, data: bytes) -> None:
        words = np.frombuffer(data, "<u4").tolist()
        for i in range(0, len(words), 64):
            self.ask(WRITE, address + 4 * i, words[i : i + 64])

    def read_bytes(self, address: int, size: int) -> bytes:
        words: list[int] = []
        while len(words) < size // 4:
            words += self.ask(READ, address + 4 * len(words), count=min(64, size // 4 - len(words)))
        return np.array(words, "<u4").tobytes()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> UartModel:
    folder = tmp_path_factory.mktemp("board")
    write_kernel(small(), 32, folder)
    return build_uart_board(folder, BOARD, MHZ, "fast_build")


@pytest.fixture
def board(model: UartModel) -> Iterator[UartBoard]:
    with model.start() as board:
        yield board


def rest(board: UartBoard) -> int:
    """Wait until it has nothing to do; the clocks of it so far."""
    before = -1
    while before != (now := board.cycles):
        before = now
        select.select([], [], [], 0.05)
    return now


def test_whoever_opens_the_terminal_finds_the_bridge(board: UartBoard) -> None:
    for _ in range(2):
        with Terminal(board) as host:
            assert host.ask(IDENTIFY) == (MAGIC, 10_000_000, 1_000_000, 2, 8192, 0, 0, 0)
    assert board.lights >> 7 == 1


def test_frames_pass_from_bank_to_bank_and_equal_golden(board: UartBoard) -> None:
    kernel, design = board.model.project.kernel, small()
    x = sample(design.graph.inputs[0].tensor, 5, np.random.default_rng(3))
    values = design.graph.run(x)
    tensor = next(iter(design.graph.leaving))
    images = [
        frame_images(v, s, 32).tobytes()
        for v, s in ((x, design.structure.inputs[0]), (values[tensor], design.structure.outputs[0]))
    ]
    with Terminal(board) as host:
        for frames, start in ((5, 0), (3, 256)):
            size = [a.frame_bytes * frames for a in kernel.arguments]
            host.write_bytes(start, images[0][: size[0]])
            for argument, address in zip(kernel.arguments, (start, 8192 + start), strict=True):
                host.ask(WRITE, CONTROL + argument.register, [address, 0])
            host.ask(WRITE, CONTROL + kernel.frames_register, [frames])
            host.ask(WRITE, CONTROL + regs.CONTROL, [regs.START])
            while not host.ask(READ, CONTROL + regs.CONTROL, count=1)[0] & (regs.DONE | regs.IDLE):
                pass
            assert host.ask(READ, CONTROL + kernel.status + regs.FAULTS, count=1) == (0,)
            assert host.read_bytes(8192 + start, size[1]) == images[1][: size[1]]
        words = host.ask(READ, CONTROL + kernel.status + regs.HASH, count=4)
        assert b"".join(w.to_bytes(4, "little") for w in words).hex() == kernel.hash


def test_a_kernel_that_is_told_a_place_outside_of_its_bank_says_so(board: UartBoard) -> None:
    kernel = board.model.project.kernel
    with Terminal(board) as host:
        host.ask(WRITE, CONTROL + kernel.arguments[0].register, [8192, 0])  # the other port's
        host.ask(WRITE, CONTROL + kernel.arguments[1].register, [8192, 1])  # 4 GiB above
        host.ask(WRITE, CONTROL + kernel.frames_register, [1])
        host.ask(WRITE, CONTROL + regs.CONTROL, [regs.START])
        rest(board)
        faults = host.ask(READ, CONTROL + kernel.status + regs.FAULTS, count=1)
        assert faults == (regs.READ_DECERR | regs.WRITE_DECERR,)
        assert board.lights >> 6 & 1


def test_it_sleeps_while_nothing_is_to_do(board: UartBoard) -> None:
    with Terminal(board) as host:
        host.ask(IDENTIFY)
        before = rest(board)
        assert rest(board) == before
        host.ask(IDENTIFY)
        assert before + 48 * 10 * 10 < rest(board) < before + 55 * 10 * 10  # bytes of both ways


def test_a_request_that_stops_is_dropped_in_the_time_of_the_simulation(board: UartBoard) -> None:
    with Terminal(board) as host:
        before = rest(board)
        os.write(host.file, request(WRITE, 7, 0, [1, 2, 3])[:-3])
        assert DROP_CLOCKS < rest(board) - before < DROP_CLOCKS + 30 * 10 * 10
        assert host.ask(IDENTIFY)[7] == 1
        assert board.lights >> 5 & 1


def test_damaged_requests_are_answered_so_and_a_reset_forgets_them(board: UartBoard) -> None:
    with Terminal(board) as host:
        os.write(host.file, b"\x00noise" + request(IDENTIFY, 9, count=8, crc_xor=0x100))
        assert response(host.receive(6)) == Response(9, BAD_CRC, ())
        assert host.ask(IDENTIFY)[5:] == (1, 0, 0)
        before = rest(board)
        os.write(host.file, request(WRITE, 1, 0, range(64))[:100])
        while board.cycles < before + 5000:
            pass
        board.reset()
        assert host.ask(IDENTIFY)[5:] == (0, 0, 0)


def test_what_nobody_reads_yet_waits_in_the_terminal_and_the_board_goes_on(board: UartBoard) -> None:
    size, count, kept = 6 + 4 * 64, 20, 0
    with Terminal(board) as host:
        for i in range(count):
            os.write(host.file, request(READ, i, 0, count=64))
            rest(board)
        while select.select([host.file], [], [], 0)[0]:
            kept += len(os.read(host.file, 4096))
        assert kept == count * size
        assert host.ask(IDENTIFY)[5:] == (0, 0, 0)


def test_a_board_that_is_switched_off_says_so(model: UartModel) -> None:
    board = model.start()
    process = board._process
    board.close()
    assert process.poll() is not None
    with pytest.raises(SimulationError, match="net: this simulation has ended; start another"):
        _ = board.cycles
    board = model.start()
    board._process.kill()
    with pytest.raises(SimulationError, match="net: the simulation broke off with exit status -9"):
        _ = board.cycles


def test_a_board_without_its_memory_files_is_none(model: UartModel, tmp_path: Path) -> None:
    """It would run, and answer with whatever its ROMs hold then."""
    with pytest.raises(SimulationError, match=rf"net, run in {tmp_path}:\n  %Warning: \S+\.mem:"):
        replace(model, folder=tmp_path).start()


def test_it_ends_when_nobody_listens_any_more(model: UartModel) -> None:
    """As where the process that started it is killed: the pipe is closed then. Asleep or awake."""
    for awake in (False, True):
        with model.start() as board, Terminal(board) as host:
            if awake:
                os.write(host.file, request(READ, 1)[:5])
            else:
                rest(board)
            assert board._process.stdin is not None
            board._process.stdin.close()
            assert board._process.wait(PATIENCE_SECONDS) == 0


def test_other_boards_are_refused(model: UartModel) -> None:
    with pytest.raises(ConfigError, match="pynq-z2: its flow is 'vivado', where this one is nextpnr's"):
        build_uart_board(model.folder.parent, load_board("pynq-z2"), MHZ)

# SPDX-License-Identifier: Apache-2.0
"""cocotb tests of the whole top level of a kernel, through its serial pins; run by test_top.py.

`KERNEL` names its kernel.json, `FRAMES` an npz file with the frames at every port: uint8 of shape (frames, bytes), what
an input reads and what an output must write. `MHZ` is the kernel's clock, and `BANK` the bytes of a bank.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, Timer
from cocotbext.uart import UartSink, UartSource
from protocol import BAD_CRC, CONTROL, IDENTIFY, MAGIC, OK, READ, WRITE, Response, request, response

from gatewright.runtime import kernel_map as regs
from gatewright.runtime.kernel_map import KernelMap

BAUD, BIT_NS = 1_000_000, 1000
BUILD = Path(os.environ["KERNEL"]).parents[1]
MHZ, BANK = float(os.environ["MHZ"]), int(os.environ["BANK"])
RESET_CLOCKS = 1100


class Board:
    """The board and its host."""

    def __init__(self, dut: Any) -> None:
        logging.getLogger("cocotb").setLevel(logging.ERROR)
        self.dut, self.seq, self.map = dut, 0, KernelMap.load(os.environ["KERNEL"])
        self.frames = dict(np.load(os.environ["FRAMES"]))
        dut.btn.value, dut.ftdi_txd.value = 0, 1
        cocotb.start_soon(Clock(dut.clk_25mhz, round(1e6 / MHZ / 2) * 2, unit="ps").start())
        self.source, self.sink = UartSource(dut.ftdi_txd, baud=BAUD), UartSink(dut.ftdi_rxd, baud=BAUD)
        for log in (self.source.log, self.sink.log):
            log.setLevel(logging.WARNING)

    @classmethod
    async def start(cls, dut: Any) -> Board:
        """The board after somebody has pressed its button."""
        board = cls(dut)
        dut.btn.value = 2
        await ClockCycles(dut.clk_25mhz, 10)
        dut.btn.value = 0
        await ClockCycles(dut.clk_25mhz, RESET_CLOCKS)
        return board

    async def receive(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            await self.sink.wait()
            data += self.sink.read_nowait()
        await Timer(BIT_NS, "ns")
        assert len(data) == count and self.sink.empty()
        return bytes(data)

    async def ask(self, op: int, address: int = 0, words: Any = (), count: int = 8) -> tuple[int, ...]:
        self.seq = (self.seq + 1) % 256
        await self.source.write(request(op, self.seq, address, words, len(words) or count))
        got = response(await self.receive(6 + 4 * count * (op != WRITE)))
        assert (got.seq, got.status) == (self.seq, OK), got
        return got.words

    async def write(self, address: int, data: bytes) -> None:
        words = np.frombuffer(data, "<u4").tolist()
        for i in range(0, len(words), 64):
            await self.ask(WRITE, address + 4 * i, words[i : i + 64])

    async def read(self, address: int, size: int) -> bytes:
        words: list[int] = []
        while len(words) < size // 4:
            words += await self.ask(READ, address + 4 * len(words), count=min(64, size // 4 - len(words)))
        return np.array(words, "<u4").tobytes()

    async def status(self, offset: int) -> int:
        return (await self.ask(READ, CONTROL + self.map.status + offset, count=1))[0]

    def bank(self, port: str) -> int:
        return BANK * self.map.ports.index(port)

    async def place_weights(self) -> None:
        for weights in self.map.weights:
            await self.write(self.bank(weights.port), (BUILD / weights.file).read_bytes())
            await self.ask(WRITE, CONTROL + weights.register, [self.bank(weights.port), 0])

    async def launch(self, first: int, count: int) -> None:
        for argument in self.map.inputs:
            await self.write(self.bank(argument.port), self.frames[argument.port][first : first + count].tobytes())
        for argument in self.map.arguments:
            await self.ask(WRITE, CONTROL + argument.register, [self.bank(argument.port), 0])
        await self.ask(WRITE, CONTROL + self.map.frames_register, [count])
        await self.ask(WRITE, CONTROL + regs.CONTROL, [regs.START])

    async def run(self, first: int, count: int) -> None:
        """Frames from the banks to the banks, bit for bit."""
        await self.launch(first, count)
        while not (await self.ask(READ, CONTROL + regs.CONTROL, count=1))[0] & (regs.DONE | regs.IDLE):
            pass
        assert (await self.status(regs.FAULTS), await self.status(regs.FRAMES)) == (0, count)
        for argument in self.map.outputs:
            want = self.frames[argument.port][first : first + count].tobytes()
            assert await self.read(self.bank(argument.port), len(want)) == want, argument.name


@cocotb.test()
async def frames_pass_bit_for_bit(dut: Any) -> None:
    board = await Board.start(dut)
    ports = len(board.map.ports)
    assert await board.ask(IDENTIFY) == (MAGIC, round(MHZ * 1e6), BAUD, ports, BANK, 0, 0, 0)
    words = [await board.status(regs.HASH + 4 * i) for i in range(4)]
    assert b"".join(w.to_bytes(4, "little") for w in words).hex() == board.map.hash
    await board.place_weights()
    total = len(board.frames["gmem0"])
    fits = min(BANK // a.frame_bytes for a in board.map.arguments)
    for first in range(0, total, fits):
        await board.run(first, min(fits, total - first))
    assert (await board.ask(IDENTIFY))[5:] == (0, 0, 0)


@cocotb.test(skip="LONG" in os.environ)
async def what_goes_wrong_on_the_line_is_repeated_and_nothing_is_lost(dut: Any) -> None:
    board = await Board.start(dut)
    await board.place_weights()
    data = board.frames["gmem0"][:2].tobytes()
    whole = request(WRITE, 100, board.bank("gmem0"), np.frombuffer(data, "<u4").tolist()[:64])
    bad = bytearray(whole)
    bad[-3] ^= 0x10
    await board.source.write(bytes(bad))
    assert response(await board.receive(6)) == Response(100, BAD_CRC, ())
    for _ in range(2):
        await board.source.write(whole)
        assert response(await board.receive(6)) == Response(100, OK, ())
    board.seq = 100
    await board.run(0, 2)
    assert (await board.ask(IDENTIFY))[5:] == (1, 0, 0)
    assert int(dut.led.value) >> 5 == 0b101, "out of reset, and something was wrong with the line"


@cocotb.test(skip="LONG" in os.environ)
async def the_button_resets_all_of_it(dut: Any) -> None:
    board = await Board.start(dut)
    await board.place_weights()
    await board.launch(0, 2)
    dut.btn.value = 2
    await ClockCycles(dut.clk_25mhz, 10)
    assert int(dut.led.value) == 0
    dut.btn.value = 0
    await ClockCycles(dut.clk_25mhz, RESET_CLOCKS)
    assert await board.ask(READ, CONTROL + regs.CONTROL, count=1) == (regs.IDLE,)
    await board.place_weights()
    await board.run(1, 2)


@cocotb.test(skip="LONG" in os.environ)
async def the_lights_say_what_moves(dut: Any) -> None:
    board = await Board.start(dut)
    assert int(dut.led.value) == 0x80
    await board.ask(IDENTIFY)
    assert int(dut.led.value) == 0x86, "something came in, and was answered"
    await board.ask(WRITE, CONTROL + regs.GLOBAL_INTERRUPT, [1])
    await board.ask(WRITE, CONTROL + regs.INTERRUPT_ENABLE, [1])
    await board.place_weights()
    await board.run(0, 1)
    assert int(dut.led.value) == 0x9E, "memory moved, and the kernel was done"
    await board.ask(WRITE, CONTROL + board.map.inputs[0].register, [BANK * len(board.map.ports), 0])
    await board.ask(WRITE, CONTROL + regs.CONTROL, [regs.START])
    for _ in range(3000):
        await RisingEdge(dut.clk_25mhz)
    assert int(dut.led.value) == 0xDE, "a bank has no such address"
    assert await board.status(regs.FAULTS) & regs.READ_DECERR

# SPDX-License-Identifier: Apache-2.0
"""The bridge between cocotbext-uart at the line and cocotbext-axi at its registers and banks."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Timer, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteSlave, AxiMaster, AxiReadBus, AxiWriteBus
from cocotbext.uart import UartSink, UartSource
from protocol import CONTROL, IDENTIFY, MAGIC, OK, READ, WRITE, Response, request, response

PERIOD_NS = 10
BIT_NS = 80
CLOCK_HZ, BAUD, TIMEOUT_BITS = 100_000_000, 12_500_000, 64
BASE, BANK_BYTES, BANKS = 65536, 4096, 3
END = BASE + BANKS * BANK_BYTES
SLOWEST_BITS = 400
"""From the end of a request to the first byte of its answer, at most: far more than 64 words take."""


class Registers:
    """What lies behind AXI4-Lite; addresses in `faulty` answer with an error."""

    def __init__(self) -> None:
        self.cells, self.faulty, self.accesses = bytearray(BANK_BYTES), set[int](), 0

    async def read(self, address: int, length: int) -> bytes:
        self._look(address)
        return bytes(self.cells[address : address + length])

    async def write(self, address: int, data: bytes) -> None:
        self._look(address)
        self.cells[address : address + len(data)] = data

    def _look(self, address: int) -> None:
        self.accesses += 1
        if address in self.faulty:
            raise ValueError(f"planted at {address:#x}")


class Bridge:
    """The bridge and whoever asks it."""

    def __init__(self, dut: Any, bit_ns: int) -> None:
        logging.getLogger("cocotb").setLevel(logging.ERROR)
        self.dut, self.seq, self.bit_ns = dut, random.randrange(256), bit_ns
        cocotb.start_soon(Clock(dut.clk, PERIOD_NS, unit="ns").start())
        clocking = (dut.clk, dut.rst_n)
        baud = 1e9 / (bit_ns + 0.5)  # the models cut a bit to whole nanoseconds
        self.source, self.sink = UartSource(dut.rxd, baud=baud), UartSink(dut.txd, baud=baud)
        self.registers = Registers()
        bus = AxiLiteBus.from_prefix(dut, "m_axi")
        self.slave = AxiLiteSlave(bus, *clocking, target=self.registers, reset_active_level=False)
        for log in (self.source.log, self.sink.log):
            log.setLevel(logging.WARNING)

    @classmethod
    async def start(cls, dut: Any, bit_ns: int = BIT_NS) -> Bridge:
        """The bridge after its reset."""
        bridge = cls(dut, bit_ns)
        await bridge.reset()
        return bridge

    async def reset(self) -> None:
        self.dut.rst_n.value = 0
        await ClockCycles(self.dut.clk, 4)
        self.dut.rst_n.value = 1
        await ClockCycles(self.dut.clk, 4)

    def master(self) -> AxiMaster:
        """What a kernel is to the banks; it takes time in every clock, so only who needs one has it."""
        pins = AxiBus(AxiWriteBus.from_prefix(self.dut, "s_axi"), AxiReadBus.from_prefix(self.dut, "s_axi"))
        return AxiMaster(pins, self.dut.clk, self.dut.rst_n, reset_active_level=False)

    # --- the line -----------------------------------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        """Bytes without a gap, until the last one's stop bit is over."""
        await self.source.write(data)
        await self.source.wait()

    async def level(self, value: int, bits: float = 1) -> None:
        """The line at a level for so many bit times."""
        self.dut.rxd.value = value
        await Timer(round(bits * self.bit_ns), "ns")
        self.dut.rxd.value = 1

    async def send_bits(self, byte: int, stop: int = 1, glitch: bool = False) -> None:
        """A byte, whose stop bit may be wrong, or whose bits may each be turned for a clock."""
        for bit in (0, *(byte >> i & 1 for i in range(8)), stop):
            if not glitch or bit == stop:
                await self.level(bit)
                continue
            at = random.randrange(PERIOD_NS, self.bit_ns - 2 * PERIOD_NS)
            for value, ns in ((bit, at), (1 - bit, PERIOD_NS), (bit, self.bit_ns - at - PERIOD_NS)):
                await self.level(value, ns / self.bit_ns)

    async def receive(self, count: int) -> bytes:
        """So many bytes, and no more for a while."""
        data = bytearray()
        while len(data) < count:
            await with_timeout(self.sink.wait(), SLOWEST_BITS * BIT_NS, "ns")
            data += self.sink.read_nowait()
        await self.silence(12)
        assert len(data) == count, data.hex()
        return bytes(data)

    async def silence(self, bits: int) -> None:
        """Nothing is sent for so many bit times."""
        await Timer(bits * BIT_NS, "ns")
        assert self.sink.empty() and int(self.dut.txd.value)

    async def forgotten(self) -> None:
        """No answer, for so long that half a request is dropped."""
        await self.silence(TIMEOUT_BITS + 20)

    # --- requests -----------------------------------------------------------------------------------------------------

    async def ask(self, op: int, address: int = 0, words: Sequence[int] = (), count: int = 8) -> Response:
        """A request that is done."""
        self.seq = (self.seq + 1) % 256
        return await self.done(request(op, self.seq, address, words, len(words) or count))

    async def done(self, data: bytes) -> Response:
        """A request that is answered with OK, and with all its words."""
        await self.send(data)
        count = {READ: data[3] + 1, IDENTIFY: 8}.get(data[2], 0)
        got = response(await self.receive(6 + 4 * count))
        assert got.seq == data[1] and got.status == OK and len(got.words) == count, got
        return got

    async def refused(self, data: bytes, status: int) -> None:
        """A request that is answered with a status and nothing else."""
        await self.send(data)
        assert response(await self.receive(6)) == Response(data[1], status, ())

    async def counters(self) -> tuple[int, ...]:
        """Bad CRCs, framing errors, requests dropped."""
        words = (await self.ask(IDENTIFY)).words
        assert words[:5] == (MAGIC, CLOCK_HZ, BAUD, BANKS, BANK_BYTES)
        return words[5:]

    async def lives(self) -> None:
        """It still does what it is for, at every kind of address."""
        for base in (CONTROL, BASE + BANK_BYTES * random.randrange(BANKS)):
            place, words = base + 4 * random.randrange(1000), random_words(3)
            await self.ask(WRITE, place, words)
            assert (await self.ask(READ, place, count=3)).words == tuple(words)

    async def content(self, place: int, count: int) -> tuple[int, ...]:
        return (await self.ask(READ, place, count=count)).words


def random_words(count: int) -> list[int]:
    return [random.getrandbits(32) for _ in range(count)]

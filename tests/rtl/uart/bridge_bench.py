# SPDX-License-Identifier: Apache-2.0
"""cocotb tests of the bridge and its banks: cocotbext-uart at the line, cocotbext-axi at all else."""

from __future__ import annotations

import logging
import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Timer, with_timeout
from cocotbext.axi import (
    AxiBus,
    AxiLiteBus,
    AxiLiteRam,
    AxiMaster,
    AxiReadBus,
    AxiWriteBus,
)  # fmt: skip
from cocotbext.uart import UartSink, UartSource
from protocol import (
    CONTROL,
    IDENTIFY,
    MAGIC,
    OK,
    READ,
    WRITE,
    Response,
    request,
    response,
    words_to_bytes,
)  # fmt: skip

PERIOD_NS = 10
BIT_NS = 80
CLOCK_HZ, BAUD, TIMEOUT_BITS = 100_000_000, 12_500_000, 256
BASE, BANK_BYTES, BANKS = 65536, 4096, 3
END = BASE + BANKS * BANK_BYTES


class Bridge:
    """The bridge between a UART and a slave."""

    def __init__(self, dut: Any, bit_ns: int = BIT_NS) -> None:
        logging.getLogger("cocotb").setLevel(logging.WARNING)
        self.dut, self.seq, self.bit_ns = dut, random.randrange(256), bit_ns
        cocotb.start_soon(Clock(dut.clk, PERIOD_NS, unit="ns").start())
        clocking = (dut.clk, dut.rst_n)
        self.source = UartSource(dut.rxd, baud=1e9 / bit_ns)
        self.sink = UartSink(dut.txd, baud=1e9 / BIT_NS)
        self.registers = AxiLiteRam(
            AxiLiteBus.from_prefix(dut, "m_axi"), *clocking, reset_active_level=False, size=4096
        )
        bus = AxiBus(AxiWriteBus.from_prefix(dut, "s_axi"), AxiReadBus.from_prefix(dut, "s_axi"))
        self.master = AxiMaster(bus, *clocking, reset_active_level=False)
        for log in (self.source.log, self.sink.log):
            log.setLevel(logging.WARNING)

    @classmethod
    async def start(cls, dut: Any, bit_ns: int = BIT_NS) -> Bridge:
        bridge = cls(dut, bit_ns)
        await bridge.reset()
        return bridge

    async def reset(self) -> None:
        self.dut.rst_n.value = 0
        await ClockCycles(self.dut.clk, 4)
        self.dut.rst_n.value = 1
        await ClockCycles(self.dut.clk, 4)

    async def send(self, data: bytes) -> None:
        """Bytes without a gap, until the last one's stop bit is over."""
        await self.source.write(data)
        await self.source.wait()

    async def receive(self, count: int) -> bytes:
        """So many bytes, and no more for a while."""
        data = bytearray()
        while len(data) < count:
            await with_timeout(self.sink.wait(), 400 * BIT_NS, "ns")
            data += self.sink.read_nowait()
        await self.silence(12)
        assert len(data) == count, data.hex()
        return bytes(data)

    async def silence(self, bits: int) -> None:
        """Nothing is sent for so many bit times."""
        await Timer(bits * BIT_NS, "ns")
        assert self.sink.empty() and int(self.dut.txd.value)

    async def ask(self, op: int, address: int = 0, words: list[int] | None = None, count: int = 1) -> Response:
        """A request that is done."""
        self.seq = (self.seq + 1) % 256
        await self.send(request(op, self.seq, address, words or [], len(words) if words else count))
        reads = {READ: count, IDENTIFY: 8}.get(op, 0)
        got = response(await self.receive(6 + 4 * reads))
        assert got.seq == self.seq and got.status == OK and len(got.words) == reads, got
        return got

    async def refused(self, data: bytes, status: int) -> None:
        """Bytes that are answered with a status and nothing else."""
        await self.send(data)
        got = response(await self.receive(6))
        assert got == Response(data[1], status, ()), got

    async def identify(self) -> tuple[int, int, int]:
        """The counters: bad CRCs, framing errors, requests dropped."""
        words = (await self.ask(IDENTIFY)).words
        assert words[:5] == (MAGIC, CLOCK_HZ, BAUD, BANKS, BANK_BYTES)
        return words[5:]  # type: ignore[return-value]

    async def alive(self) -> None:
        """It still does what it is for."""
        place, words = BASE + 4 * random.randrange(1000), random_words(3)
        await self.ask(WRITE, place, words)
        assert list((await self.ask(READ, place, count=3)).words) == words


def random_words(count: int) -> list[int]:
    return [random.getrandbits(32) for _ in range(count)]


@cocotb.test()
async def it_says_what_it_is(dut: Any) -> None:
    bridge = await Bridge.start(dut)
    assert await bridge.identify() == (0, 0, 0)


@cocotb.test()
async def registers_and_banks_are_read_and_written(dut: Any) -> None:
    bridge = await Bridge.start(dut)
    for base in (CONTROL, BASE, BASE + BANK_BYTES, BASE + 2 * BANK_BYTES):
        for count in (1, 2, 64):
            for place in (base, base + BANK_BYTES - 4 * count, base + 4 * random.randrange(960)):
                words = random_words(count)
                await bridge.ask(WRITE, place, words)
                if base == CONTROL:
                    assert bridge.registers.read(place - CONTROL, 4 * count) == words_to_bytes(words)
                assert list((await bridge.ask(READ, place, count=count)).words) == words

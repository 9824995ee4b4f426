# SPDX-License-Identifier: Apache-2.0
"""cocotb tests of receivers, a transmitter and memory banks, run by test_uart.py."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge, Timer
from cocotbext.axi import AxiBus, AxiMaster, AxiReadBus, AxiResp, AxiWriteBus
from cocotbext.uart import UartSink, UartSource

PERIOD_NS = 50
CLOCKS = (8, 17, 60)
BASE, BYTES = 8192, 8192


async def start(dut: Any) -> None:
    logging.getLogger("cocotb").setLevel(logging.ERROR)
    for name in ("rst_n", "s_tvalid", "read_enable", "write_enable", "write"):
        getattr(dut, name).value = 0
    dut.rxd.value = 1
    cocotb.start_soon(Clock(dut.clk, PERIOD_NS, unit="ns").start())
    await ClockCycles(dut.clk, 4)
    dut.rst_n.value = 1
    await ClockCycles(dut.clk, 4)


# --- the line ---------------------------------------------------------------------------------------------------------


async def collect(dut: Any, index: int, found: list[tuple[int, int]]) -> None:
    """Every byte of a receiver, and whether its stop bit was wrong."""
    while True:
        await RisingEdge(dut.clk)
        if int(dut.arrived.value) >> index & 1:
            found.append((int(dut.bytes.value) >> 8 * index & 255, int(dut.framing.value) >> index & 1))


def source(dut: Any, bit_ns: int) -> UartSource:
    found = UartSource(dut.rxd, baud=1e9 / (bit_ns + 0.5))  # it cuts a bit to whole nanoseconds
    found.log.setLevel(logging.WARNING)
    return found


@cocotb.test()
async def every_byte_arrives_at_every_rate(dut: Any) -> None:
    await start(dut)
    for index, clocks in enumerate(CLOCKS):
        bits = clocks * PERIOD_NS
        # Two in a hundred off, and three where that is some clocks.
        for percent in (100, 98, 102, *((97, 103) if clocks >= 16 else ())):
            bit_ns = bits * percent // 100
            found: list[tuple[int, int]] = []
            task = cocotb.start_soon(collect(dut, index, found))
            host, sent = source(dut, bit_ns), random.sample(range(256), 256 if clocks == 8 and percent == 100 else 24)
            await Timer(random.randrange(bits), "ns")
            await host.write(bytes(sent))
            await host.wait()
            await ClockCycles(dut.clk, 4)
            task.cancel()
            host._run_cr.kill()
            assert found == [(byte, 0) for byte in sent], (clocks, bit_ns)
            await Timer(20 * bits, "ns")


@cocotb.test()
async def bytes_leave_with_whole_bits_and_without_gaps(dut: Any) -> None:
    await start(dut)
    bit_ns = 9 * PERIOD_NS
    sink = UartSink(dut.txd, baud=1e9 / (bit_ns + 0.5))
    sink.log.setLevel(logging.WARNING)
    assert int(dut.txd.value) and int(dut.s_tready.value)
    sent, levels = bytes(random.sample(range(256), 256)), []

    async def watch() -> None:
        while True:
            await RisingEdge(dut.clk)
            levels.append(int(dut.txd.value))

    task = cocotb.start_soon(watch())
    for i, byte in enumerate(sent):
        dut.s_tdata.value, dut.s_tvalid.value = byte, 1
        while True:
            await RisingEdge(dut.clk)
            if int(dut.s_tready.value):
                break
        if i > 200:  # with pauses
            dut.s_tvalid.value = 0
            await ClockCycles(dut.clk, random.randrange(40))
    dut.s_tvalid.value = 0
    await ClockCycles(dut.clk, 100)
    task.cancel()
    assert bytes(sink.read_nowait()) == sent
    at = levels.index(0)
    for byte in sent[:201]:
        frame = [0, *(byte >> i & 1 for i in range(8)), 1]
        assert levels[at : at + 90] == [bit for bit in frame for _ in range(9)]
        at += 90


@cocotb.test()
async def a_reset_ends_a_byte_on_the_line(dut: Any) -> None:
    await start(dut)
    dut.s_tdata.value, dut.s_tvalid.value = 0, 1
    await ClockCycles(dut.clk, 30)
    assert not int(dut.txd.value)
    dut.rst_n.value = 0
    dut.s_tvalid.value = 0
    await ClockCycles(dut.clk, 2)
    for _ in range(100):
        await RisingEdge(dut.clk)
        assert int(dut.txd.value)
    dut.rst_n.value = 1
    await ClockCycles(dut.clk, 2)
    assert int(dut.s_tready.value)


# --- the banks --------------------------------------------------------------------------------------------------------


class Banks:
    """Both banks, a master with one ID at one port of each, as the kernel has, and the other ports."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        pins = AxiBus(AxiWriteBus.from_prefix(dut, "s_axi"), AxiReadBus.from_prefix(dut, "s_axi"))
        self.master = AxiMaster(pins, dut.clk, dut.rst_n, reset_active_level=False)
        self.beats: dict[str, list[int]] = {"r": [], "w": []}
        self.held = 0
        self.errors: list[str] = []
        for channel in ("ar", "r", "aw", "w", "b"):
            cocotb.start_soon(self._watch(channel))

    async def _watch(self, channel: str) -> None:
        """The cycles of beats, and in how many data was held up; what a bank offers must stay until it is taken."""
        payload = {"r": ("data", "resp", "last"), "b": ("resp",)}.get(channel, ())
        pins = {n: getattr(self.dut, f"s_axi_{channel}{n}") for n in ("valid", "ready", *payload)}
        cycle, offered = 0, None
        while True:
            await RisingEdge(self.dut.clk)
            await ReadOnly()
            cycle += 1
            valid, ready = int(pins["valid"].value), int(pins["ready"].value)
            now = tuple(int(pins[n].value) for n in payload) if valid else None
            if channel in ("r", "b") and offered is not None and now != offered:
                self.errors.append(f"{channel}: {offered} was taken back for {now}")
            offered = now if valid and not ready else None
            if valid and ready and channel in self.beats:
                self.beats[channel].append(cycle)
            self.held += channel == "w" and valid and not ready

    def init_read(self, address: int, length: int) -> Any:
        return self.master.init_read(address, length, arid=0)

    def init_write(self, address: int, data: bytes) -> Any:
        return self.master.init_write(address, data, awid=0)

    async def read(self, address: int, length: int) -> Any:
        return await self.master.read(address, length, arid=0)

    async def write(self, address: int, data: bytes) -> Any:
        return await self.master.write(address, data, awid=0)

    async def poke(self, word: int, value: int) -> None:
        self.dut.address.value, self.dut.write_data.value = word, value
        self.dut.read_enable.value = self.dut.write.value = 1
        await RisingEdge(self.dut.clk)
        self.dut.read_enable.value = self.dut.write.value = 0

    async def peek(self, word: int, writes: bool) -> int:
        name = "write" if writes else "read"
        self.dut.address.value = word
        getattr(self.dut, f"{name}_enable").value = 1
        await RisingEdge(self.dut.clk)
        getattr(self.dut, f"{name}_enable").value = 0
        await RisingEdge(self.dut.clk)
        return int(getattr(self.dut, f"{name}_bank_data").value)

    async def fill(self) -> bytes:
        words = [random.getrandbits(32) for _ in range(BYTES // 4)]
        for i, word in enumerate(words):
            await self.poke(i, word)
        return b"".join(word.to_bytes(4, "little") for word in words)

    def pause(self, share: float) -> None:
        writes, reads = self.master.write_if, self.master.read_if
        for channel in (writes.aw_channel, writes.w_channel, writes.b_channel, reads.ar_channel, reads.r_channel):
            channel.set_pause_generator(pauses(share) if share else None)
            channel.pause = False


def pauses(share: float) -> Iterator[bool]:
    while True:
        yield random.random() < share


@cocotb.test()
async def bursts_of_every_length_read_what_the_other_port_wrote(dut: Any) -> None:
    await start(dut)
    banks = Banks(dut)
    content = await banks.fill()
    assert await banks.peek(77, writes=False) == int.from_bytes(content[308:312], "little")
    for share in (0.0, 0.6):
        banks.pause(share)
        lengths = [1, 2, 3, 4, 255, 256, *random.sample(range(5, 255), 6)]
        reads = []
        for length in lengths:
            at = 4 * random.randrange(0, 1024 - length + 1) + random.choice([0, 4096])
            reads.append((at, 4 * length, banks.init_read(BASE + at, 4 * length)))
        for at, size, event in reads:
            await event.wait()
            assert event.data.resp == AxiResp.OKAY and bytes(event.data.data) == content[at : at + size]
    assert banks.errors == []


@cocotb.test()
async def bursts_of_every_length_are_seen_by_the_other_port(dut: Any) -> None:
    await start(dut)
    banks = Banks(dut)
    content = bytearray(random.randbytes(BYTES))
    await banks.write(BASE, bytes(content))
    for share in (0.0, 0.6):
        banks.pause(share)
        events = []
        for length in (1, 2, 3, 4, 255, 256, *random.sample(range(5, 255), 6)):
            at = 4 * random.randrange(0, 1024 - length + 1) + random.choice([0, 4096])
            content[at : at + 4 * length] = data = random.randbytes(4 * length)
            events.append(banks.init_write(BASE + at, data))
        for _ in range(5):  # bytes, by strobes
            at, length = random.randrange(8000), random.randrange(1, 30)
            content[at : at + length] = data = random.randbytes(length)
            events.append(banks.init_write(BASE + at, data))
        for event in events:
            await event.wait()
            assert event.data.resp == AxiResp.OKAY
        for word in random.sample(range(BYTES // 4), 150):
            assert await banks.peek(word, writes=True) == int.from_bytes(content[4 * word :][:4], "little"), hex(
                4 * word
            )
    assert banks.errors == []


@cocotb.test()
async def bursts_follow_each_other_without_a_pause(dut: Any) -> None:
    await start(dut)
    banks = Banks(dut)
    await banks.write(BASE, bytes(BYTES))
    await banks.read(BASE, BYTES)
    reads, writes = banks.beats["r"], banks.beats["w"]
    assert len(reads) == len(writes) == BYTES // 4
    assert reads[-1] - reads[0] == len(reads) - 1
    assert banks.held <= 2 * BYTES // 1024, "the model sends an address with its first beat"


@cocotb.test()
async def outside_is_answered_with_an_error_and_touches_nothing(dut: Any) -> None:
    await start(dut)
    banks = Banks(dut)
    content = random.randbytes(BYTES)
    await banks.write(BASE, content)
    filled = await banks.fill()
    for place in (0, BASE - 1024, BASE + BYTES, 2 * BASE + 4096, BASE + (1 << 32), BASE + (1 << 63), 1 << 31):
        for share in (0.0, 0.5):
            banks.pause(share)
            for count in (4, 256, 1024):
                found = await banks.read(place, count)
                assert found.resp == AxiResp.DECERR and len(found.data) == count, hex(place)
                written = await banks.write(place, bytes(count))
                assert written.resp == AxiResp.DECERR, hex(place)
            good = await banks.read(BASE + 512, 256)
            assert good.resp == AxiResp.OKAY and bytes(good.data) == filled[512:768]
    for word in random.sample(range(BYTES // 4), 150):
        assert await banks.peek(word, writes=True) == int.from_bytes(content[4 * word :][:4], "little")
    assert banks.errors == []


@cocotb.test()
async def both_ports_work_at_once(dut: Any) -> None:
    await start(dut)
    banks = Banks(dut)
    content = await banks.fill()
    reading = cocotb.start_soon(banks.read(BASE, 4096))
    for word in range(1024, 1024 + 400):
        await banks.poke(word, word)
    assert bytes((await reading).data) == content[:4096]
    found = await banks.read(BASE + 4096, 1600)
    assert bytes(found.data) == b"".join(w.to_bytes(4, "little") for w in range(1024, 1424))

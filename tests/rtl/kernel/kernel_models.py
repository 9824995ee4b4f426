# SPDX-License-Identifier: Apache-2.0
"""A kernel between cocotbext-axi's models: a master of its registers, and memories that can answer with errors.

`KERNEL` names its kernel.json, `FRAMES` an npz file with the frames at every port: uint8 of shape (frames, bytes), what
an input reads and what an output must write. `INTERVAL` is that of the design inside, predicted, and `STEADY` the
number of last frames that come at a steady pace.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiReadBus, AxiResp, AxiSlaveRead, AxiSlaveWrite, AxiWriteBus
from cocotbext.axi.sparse_memory import SparseMemory

from gatewright.runtime import kernel_map as regs
from gatewright.runtime.kernel_map import KernelMap

BUILD = Path(os.environ["KERNEL"]).parents[1]
PERIOD_NS = 10
PATIENCE_CYCLES = 60_000
HIGH = 0x12_3456_7000
"""An address that does not fit into 32 bits."""


class Memory:
    """Memory behind all masters; ranges of addresses answer with an error."""

    def __init__(self) -> None:
        self.cells = SparseMemory(2**64)
        self.faults: list[tuple[range, AxiResp]] = []
        self.writes: list[tuple[int, int]] = []
        self.response = AxiResp.SLVERR

    def _check(self, address: int) -> None:
        for addresses, response in self.faults:
            if address in addresses:
                self.response = response
                raise ValueError(f"planted {response.name} at {address:#x}")

    async def read(self, address: int, length: int) -> bytes:
        self._check(address)
        return bytes(self.cells.read(address, length))

    async def write(self, address: int, data: bytes) -> None:
        self.writes.append((address, len(data)))
        self._check(address)
        self.cells.write(address, data)


class ChannelWatch:
    """Every burst that a master asks for, in order, while AXI's rule holds: what is valid stays until it is taken."""

    def __init__(self, kernel: Kernel, port: str, channel: str, payload: tuple[str, ...]) -> None:
        self.pins = {n: getattr(kernel.dut, f"m_axi_{port}_{channel}{n}") for n in ("valid", "ready", *payload)}
        self.name, self.payload = f"{port} {channel}", payload
        self.taken: list[tuple[int, ...]] = []
        cocotb.start_soon(self._watch(kernel.dut))

    async def _watch(self, dut: Any) -> None:
        offered: tuple[int, ...] | None = None
        while True:
            await RisingEdge(dut.ap_clk)
            await ReadOnly()
            if not int(dut.ap_rst_n.value):
                offered = None
                continue
            valid = int(self.pins["valid"].value)
            now = tuple(int(self.pins[n].value) for n in self.payload) if valid else None
            assert offered is None or now == offered, f"{self.name}: {offered} was taken back for {now}"
            offered = now if valid and not int(self.pins["ready"].value) else None
            if valid and offered is None:
                self.taken.append(now or ())


class Kernel:
    """The kernel, its registers and its memory."""

    def __init__(self, dut: Any) -> None:
        logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.ERROR)
        self.dut, self.map = dut, KernelMap.load(os.environ["KERNEL"])
        self.memory = Memory()
        self.frames = dict(np.load(os.environ["FRAMES"]))
        self.interval, self.steady = int(os.environ["INTERVAL"]), int(os.environ["STEADY"])
        cocotb.start_soon(Clock(dut.ap_clk, PERIOD_NS, unit="ns").start())
        clocking = (dut.ap_clk, dut.ap_rst_n)
        bus = AxiLiteBus.from_prefix(dut, "s_axi_control")
        self.control = AxiLiteMaster(bus, *clocking, reset_active_level=False)
        reads = [*(a.port for a in self.map.inputs), *(w.port for w in self.map.weights)]
        self.readers = [self._slave(AxiSlaveRead, AxiReadBus, port) for port in reads]
        self.writers = [self._slave(AxiSlaveWrite, AxiWriteBus, a.port) for a in self.map.outputs]
        for slave, channel in [*((s, "r_channel") for s in self.readers), *((s, "b_channel") for s in self.writers)]:
            self._answer(getattr(slave, channel))
        self.bursts = {port: ChannelWatch(self, port, "ar", ("addr", "len")) for port in reads}
        self.bursts |= {a.port: ChannelWatch(self, a.port, "aw", ("addr", "len")) for a in self.map.outputs}
        self.beats = {port: ChannelWatch(self, port, "r", ("data", "last")) for port in reads}
        self.beats |= {a.port: ChannelWatch(self, a.port, "w", ("data", "strb", "last")) for a in self.map.outputs}
        self.answers = {a.port: ChannelWatch(self, a.port, "b", ("resp",)) for a in self.map.outputs}

    def _slave(self, kind: Any, bus: Any, port: str) -> Any:
        pins = bus.from_prefix(self.dut, f"m_axi_{port}")
        return kind(pins, self.dut.ap_clk, self.dut.ap_rst_n, target=self.memory, reset_active_level=False)

    def _answer(self, channel: Any) -> None:
        """The models know SLVERR alone: put in its place what the memory wanted to say."""
        send, name = channel.send, "rresp" if hasattr(channel.bus, "rresp") else "bresp"

        async def answer(transaction: Any) -> None:
            if getattr(transaction, name) == AxiResp.SLVERR:
                setattr(transaction, name, self.memory.response)
            await send(transaction)

        channel.send = answer

    @classmethod
    async def start(cls, dut: Any) -> Kernel:
        """A kernel after its reset."""
        kernel = cls(dut)
        await kernel.reset()
        return kernel

    async def reset(self) -> None:
        self.dut.ap_rst_n.value = 0
        await ClockCycles(self.dut.ap_clk, 4)
        self.dut.ap_rst_n.value = 1
        await ClockCycles(self.dut.ap_clk, 2)

    # --- registers ----------------------------------------------------------------------------------------------------

    async def read(self, offset: int) -> int:
        answer = await self.control.read(offset, 4)
        assert answer.resp == AxiResp.OKAY, f"read of {offset:#x}: {answer.resp!r}"
        return int.from_bytes(answer.data, "little")

    async def write(self, offset: int, value: int, length: int = 4) -> None:
        answer = await self.control.write(offset, value.to_bytes(length, "little"))
        assert answer.resp == AxiResp.OKAY, f"write of {offset:#x}: {answer.resp!r}"

    async def status(self, offset: int) -> int:
        return await self.read(self.map.status + offset)

    async def wide(self, offset: int) -> int:
        """A 64-bit register of the status block."""
        return await self.status(offset) | await self.status(offset + 4) << 32

    async def edge(self, index: int) -> tuple[int, int, int, int]:
        """Fill, stalled, starved and passed of a FIFO."""
        place = self.map.edge_register(index)
        words = [await self.read(place + 4 * i) for i in range(4)]
        return words[0] & 0xFFFFFF, words[1], words[2], words[3]

    # --- runs ---------------------------------------------------------------------------------------------------------

    def place(self, count: int, base: int = HIGH, offset: int = 0) -> dict[str, int]:
        """The first frames of every input into memory; the address for every port, pages apart."""
        places, address = {}, base + offset
        for argument in self.map.arguments:
            places[argument.port] = address
            if argument in self.map.inputs:
                self.memory.cells.write(address, self.frames[argument.port][:count].tobytes())
            address += (count * argument.frame_bytes + 0x2FFF) // 0x1000 * 0x1000
        for weights in self.map.weights:
            places[weights.port] = address
            self.memory.cells.write(address, (BUILD / weights.file).read_bytes())
            address += (weights.image_bytes + 0x2FFF) // 0x1000 * 0x1000
        return places

    async def arguments(self, places: dict[str, int], count: int) -> None:
        for port in (*self.map.arguments, *self.map.weights):
            await self.write(port.register, places[port.port] & 0xFFFFFFFF)
            await self.write(port.register + 4, places[port.port] >> 32)
        await self.write(self.map.frames_register, count)

    async def launch(self, count: int, base: int = HIGH, offset: int = 0) -> dict[str, int]:
        places = self.place(count, base, offset)
        await self.arguments(places, count)
        await self.write(regs.CONTROL, regs.START)
        return places

    async def finish(self) -> None:
        """Until done shows, by looking at the pins: reading registers all the time would be slow."""
        for _ in range(PATIENCE_CYCLES):
            await RisingEdge(self.dut.ap_clk)
            if int(self.dut.i_core.i_run.done.value):
                await ClockCycles(self.dut.ap_clk, 2)
                return
        raise AssertionError(f"not done after {PATIENCE_CYCLES} cycles")

    def check(self, places: dict[str, int], count: int) -> None:
        """The outputs of the first frames are in memory, every byte, padding included."""
        for argument in self.map.outputs:
            want = self.frames[argument.port][:count]
            have = bytes(self.memory.cells.read(places[argument.port], want.size))
            for i in range(count):
                got = have[i * argument.frame_bytes : (i + 1) * argument.frame_bytes]
                assert got == want[i].tobytes(), (
                    f"frame {i} of {argument.name}: {got.hex()}, not {want[i].tobytes().hex()}"
                )

    async def settle(self) -> None:
        """Until it is idle, aborted or not."""
        for _ in range(PATIENCE_CYCLES):
            await RisingEdge(self.dut.ap_clk)
            if int(self.dut.i_core.idle.value):
                return
        raise AssertionError(f"not idle after {PATIENCE_CYCLES} cycles")

    def forget_outputs(self) -> None:
        """Wipe what has been written, so that it cannot pass for the next run's."""
        for address, length in self.memory.writes:
            self.memory.cells.write(address, bytes(length))
        self.memory.writes.clear()

    def forget_bursts(self) -> None:
        for watch in self.bursts.values():
            watch.taken.clear()

    def check_answered(self) -> None:
        """Every burst that was asked for has had all its beats, and every write its response."""
        for port, watch in self.bursts.items():
            assert sum(length + 1 for _, length in watch.taken) == len(self.beats[port].taken), port
        for port, watch in self.answers.items():
            assert len(watch.taken) == len(self.bursts[port].taken), port

    async def run(self, count: int, base: int = HIGH, offset: int = 0) -> dict[str, int]:
        places = await self.launch(count, base, offset)
        await self.finish()
        self.check(places, count)
        return places

    def pause(self, begin: float, end: float) -> None:
        """Pauses on every channel that begin and end with these chances a cycle."""
        channels = [c for s in self.readers for c in (s.ar_channel, s.r_channel)]
        channels += [c for s in self.writers for c in (s.aw_channel, s.w_channel, s.b_channel)]
        for channel in channels:
            channel.set_pause_generator(pauses(begin, end))


class Counts:
    """What the kernel's counters should say, from the pins of the design inside it."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.core = kernel, kernel.dut.i_core
        one = len(kernel.map.outputs) == 1
        prefixes = ["m_axis"] if one else [f"m{i}_axis" for i in range(len(kernel.map.outputs))]
        self.ends = [[getattr(self.core, f"{p}_t{n}") for n in ("valid", "ready", "last")] for p in prefixes]
        self.fill = [0] * len(kernel.map.edges)
        self.changed = True
        self.clear()
        cocotb.start_soon(self._count())

    def clear(self) -> None:
        self.cycles = 0
        self.edges = [[0, 0, 0] for _ in self.fill]
        self.last_beats: list[list[int]] = [[] for _ in self.ends]

    def probe(self, edge: int) -> int:
        return int(self.core.probe.value) >> 4 * edge & 15

    def frame_ends(self) -> list[int]:
        """Cycle of the run in which the last beat of each frame left by the last output."""
        return [max(ends) for ends in zip(*self.last_beats, strict=True)]

    async def _count(self) -> None:
        while True:
            await RisingEdge(self.kernel.dut.ap_clk)
            probe, running = int(self.core.probe.value), int(self.core.running.value)
            for i, counts in enumerate(self.edges):
                s_valid, s_ready, m_valid, m_ready = (probe >> 4 * i + k & 1 for k in (3, 2, 1, 0))
                self.fill[i] += (s_valid & s_ready) - (m_valid & m_ready)
                self.changed |= bool(s_valid & s_ready or m_valid & m_ready)
                if running:
                    steps = s_valid & ~s_ready & 1, m_ready & ~m_valid & 1, m_valid & m_ready
                    self.edges[i] = [c + s for c, s in zip(counts, steps, strict=True)]
            for beats, pins in zip(self.last_beats, self.ends, strict=True):
                if running and all(int(p.value) for p in pins):
                    beats.append(self.cycles)
            self.cycles += running


def pauses(begin: float, end: float) -> Iterator[bool]:
    paused = False
    while True:
        paused = random.random() >= end if paused else random.random() < begin
        yield paused

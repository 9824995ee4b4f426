# SPDX-License-Identifier: Apache-2.0
"""cocotb tests of designs side by side, run by test_cocotb.py: AxiStreamSource sends, AxiStreamSink receives.

`PORTS` names a JSON file of [input prefixes, output prefixes] per design, `FRAMES` an npz file of bytes by prefix:
uint8 of shape (frames, bytes), what is sent and what must be received.
"""

from __future__ import annotations

import json
import logging
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, with_timeout
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

PERIOD_NS = 10
PATIENCE_CYCLES = 100_000
SILENT_CYCLES = 40


@dataclass(frozen=True, eq=False)
class Design:
    """The models at the ports of one design, and the frames that they send or expect."""

    sources: dict[str, AxiStreamSource]
    sinks: dict[str, AxiStreamSink]
    frames: dict[str, Any]

    async def pass_frames(self, share: float = 1.0) -> None:
        """Send the first frames, that share of all; each must come out once, and its last beat be marked."""
        for prefix, source in self.sources.items():
            for frame in self.first_frames(prefix, share):
                source.send_nowait(AxiStreamFrame(frame.tobytes()))
        for prefix, sink in self.sinks.items():
            for i, frame in enumerate(self.first_frames(prefix, share)):
                have = await with_timeout(sink.recv(), PATIENCE_CYCLES * PERIOD_NS, "ns")
                assert bytes(have.tdata) == frame.tobytes(), f"frame {i} of {prefix}: {bytes(have.tdata).hex()}"
        for model in self.models:  # draws a pause a cycle, while other designs still run
            model.clear_pause_generator()
            model.pause = False

    def first_frames(self, prefix: str, share: float) -> Any:
        frames = self.frames[prefix]
        return frames[: max(1, int(len(frames) * share))]

    @property
    def models(self) -> list[AxiStreamSource | AxiStreamSink]:
        return [*self.sources.values(), *self.sinks.values()]

    def clear(self) -> None:
        for model in self.models:
            model.clear()

    @property
    def in_mid_frame(self) -> bool:
        return any(s.current_frame is not None for s in self.sources.values()) or any(
            s.active for s in self.sinks.values()
        )


async def start(dut: Any) -> list[Design]:
    logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.ERROR)
    cocotb.start_soon(Clock(dut.clk, PERIOD_NS, unit="ns").start())
    dut.rst_n.value = 0
    frames = dict(np.load(os.environ["FRAMES"]))

    def models(kind: Any, prefixes: list[str]) -> dict[str, Any]:
        return {
            p: kind(AxiStreamBus.from_prefix(dut, p), dut.clk, dut.rst_n, reset_active_level=False) for p in prefixes
        }

    ports = json.loads(Path(os.environ["PORTS"]).read_text())
    designs = [Design(models(AxiStreamSource, ins), models(AxiStreamSink, outs), frames) for ins, outs in ports]
    await reset(dut)
    return designs


async def reset(dut: Any) -> None:
    dut.rst_n.value = 0
    await ClockCycles(dut.clk, 4)
    dut.rst_n.value = 1
    await ClockCycles(dut.clk, 1)


async def pass_all(dut: Any, designs: list[Design], share: float = 1.0) -> None:
    """Frames through all designs at once, and nothing after them."""
    for task in [cocotb.start_soon(d.pass_frames(share)) for d in designs]:
        await task
    await ClockCycles(dut.clk, SILENT_CYCLES)
    for design in designs:
        for prefix, sink in design.sinks.items():
            assert sink.empty() and sink.idle(), f"{prefix} gives more than its frames"


def pauses(begin: float, end: float) -> Iterator[bool]:
    """Pauses that begin and end with these chances a cycle."""
    paused = False
    while True:
        paused = random.random() >= end if paused else random.random() < begin
        yield paused


def set_pauses(designs: list[Design], into: tuple[float, float], out: tuple[float, float]) -> None:
    for design in designs:
        for source in design.sources.values():
            source.set_pause_generator(pauses(*into))
        for sink in design.sinks.values():
            sink.set_pause_generator(pauses(*out))


@cocotb.test()
async def frames_pass_back_to_back(dut: Any) -> None:
    await pass_all(dut, await start(dut))


@cocotb.test()
async def frames_pass_with_random_pauses(dut: Any) -> None:
    designs = await start(dut)
    set_pauses(designs, (0.3, 0.5), (0.1, 0.1))
    await pass_all(dut, designs, 0.5)


@cocotb.test()
async def frames_pass_after_resets_in_mid_frame(dut: Any) -> None:
    designs = await start(dut)
    set_pauses(designs, (0.1, 0.3), (0.2, 0.4))
    for cycles in (11, 67):
        tasks = [cocotb.start_soon(d.pass_frames()) for d in designs]
        await ClockCycles(dut.clk, cycles)
        assert any(d.in_mid_frame for d in designs)
        for task in tasks:
            task.cancel()
        dut.rst_n.value = 0
        await ClockCycles(dut.clk, 1)
        for design in designs:
            design.clear()
        await reset(dut)
    await pass_all(dut, designs, 0.5)

# SPDX-License-Identifier: Apache-2.0
"""The code of docs/stream-packaging.md, run: pynq's DMA channels, a model of the DMA's registers, the packaged core."""

from __future__ import annotations

import re
import sys
from collections import deque
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gatewright import runtime
from gatewright.boards import load_board
from gatewright.design.plan import Design
from gatewright.emit import stream_ip
from gatewright.ir.graph import single
from gatewright.ir.types import Stream, Tensor
from gatewright.ops.dense import Dense
from gatewright.runtime import packing, types
from gatewright.sim.model import Group, Model, Port
from gatewright.sim.rtl import group_of
from gatewright.sim.verilator import compile_model

PAGE = Path(__file__).parents[2] / "docs" / "stream-packaging.md"
SEND, RECEIVE = 0x00, 0x30
HALTED, IDLE = 1, 2
PATIENCE = 10_000


def documented() -> Design:
    """What the page's code is for: 64 elements of 4 bits in, 16 a beat; 10 of 12 bits out, one a beat."""
    weights = np.random.default_rng(3).integers(-4, 4, (10, 64))
    weights[0, :] = -2
    return Design(single(Dense(Tensor((64,), 0, 15), weights, pe=1, simd=16), "net"), load_board("pynq-z2"), 100.0)


class Buffer(np.ndarray):
    """Memory whose device side changes on flush alone, and which sees the device's on invalidate alone."""

    device: np.ndarray
    physical_address: int

    def flush(self) -> None:
        self.device[:] = np.asarray(self).reshape(-1)

    def invalidate(self) -> None:
        np.asarray(self).reshape(-1)[:] = self.device


class Dma:
    """The registers of AXI DMA in direct mode (PG021), and a core between its two sides."""

    def __init__(self, core: Model, group: Group) -> None:
        self.core, self.group = core, group
        self.registers: dict[int, int] = {}
        self.buffers: list[Buffer] = []
        self.packets: deque[bytes] = deque()
        self.status = {SEND: HALTED, RECEIVE: HALTED}
        self.polls = 0

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> Buffer:
        buffer = np.zeros(shape, dtype).view(Buffer)
        buffer.device, buffer.physical_address = np.zeros(buffer.nbytes, np.uint8), (1 + len(self.buffers)) << 32
        self.buffers.append(buffer)
        return buffer

    def read(self, offset: int) -> int:
        self.polls += 1
        assert self.polls < PATIENCE, "the DMA waits for ever"
        return self.status[offset - 4] if offset - 4 in self.status else self.registers[offset]

    def write(self, offset: int, value: int) -> None:
        self.registers[offset] = value
        self.polls = 0
        if offset in self.status:
            self.status[offset] = (self.status[offset] & ~HALTED) if value & 1 else HALTED
        elif offset == SEND + 0x28:
            self.status[SEND] |= IDLE
            self.packets.extend(self.run(self.memory(SEND, value)))
        elif offset == RECEIVE + 0x28:
            self.status[RECEIVE] &= ~IDLE
        if self.packets and not self.status[RECEIVE] & (HALTED | IDLE):
            packet = np.frombuffer(self.packets.popleft(), np.uint8)
            self.memory(RECEIVE, self.registers[RECEIVE + 0x28])[: len(packet)] = packet
            self.registers[RECEIVE + 0x28] = len(packet)
            self.status[RECEIVE] |= IDLE

    def memory(self, side: int, length: int) -> np.ndarray:
        address = self.registers[side + 0x18] | self.registers[side + 0x1C] << 32
        buffer = self.buffers[(address >> 32) - 1]
        start = address & 0xFFFFFFFF
        assert start + length <= len(buffer.device), "the DMA leaves the buffer"
        return buffer.device[start : start + length]

    def run(self, sent: np.ndarray) -> list[bytes]:
        """What the core gives, a packet a frame."""
        stream = self.group.inputs[0].stream
        (frames,) = self.core.run([sent.reshape(-1, stream.beats * stream.lanes)]).outputs
        return [frame.astype(np.uint8).tobytes() for frame in frames]


def test_the_code_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pynq = pytest.importorskip("pynq")
    from pynq.lib import dma as drivers

    design = documented()
    group = group_of(design.structure)
    assert [p.stream for p in group.ports] == [Stream(4, 16, 4, False), Stream(12, 1, 10, True)]
    stream_ip.emit(design).write(tmp_path / "rtl")
    sources = [tmp_path / "rtl" / p for p in stream_ip.compile_order(design.structure)]
    octets = Group(as_bytes(group.inputs), as_bytes(group.outputs))
    core = compile_model([s for s in sources if s.suffix != ".mem"], "net_stream", octets, folder=tmp_path / "rtl")
    engine = Dma(core, octets)
    channels = SimpleNamespace(
        sendchannel=drivers._SDMAChannel(engine, 1 << 26, 8, drivers.DMA_TYPE_TX, True),
        recvchannel=drivers._SDMAChannel(engine, 1 << 26, 8, drivers.DMA_TYPE_RX, True),
    )
    monkeypatch.setattr(pynq, "Overlay", lambda name: SimpleNamespace(axi_dma_0=channels))
    monkeypatch.setattr(pynq, "allocate", engine.allocate)
    for name, module in (("", runtime), (".packing", packing), (".types", types)):
        monkeypatch.setitem(sys.modules, f"gatewright_runtime{name}", module)
    integers = np.random.default_rng(4).integers(0, 16, (7, 64))
    np.save(tmp_path / "integers_in.npy", integers)
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    np.testing.assert_array_equal(names["scores"], design.graph.reference(integers)[0])
    assert not engine.packets


def as_bytes(ports: tuple[Port, ...]) -> tuple[Port, ...]:
    """The same beats as so many bytes."""
    return tuple(replace(p, stream=Stream(8, p.stream.padded_width // 8, p.stream.beats, False)) for p in ports)

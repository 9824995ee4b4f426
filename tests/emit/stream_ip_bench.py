# SPDX-License-Identifier: Apache-2.0
"""cocotb test of a packaged design, run by test_ipxact.py: sends all frames of an input as one packet, as a DMA does.

`FRAMES` names an npz file of bytes by prefix: uint8 of shape (frames, bytes), what is sent and what must be received.
"""

from __future__ import annotations

import itertools
import os
import random

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, with_timeout
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource


def pauses(share: float) -> itertools.count:
    return (random.random() < share for _ in itertools.count())


@cocotb.test()
async def one_packet_of_frames(dut) -> None:
    frames = dict(np.load(os.environ["FRAMES"]).items())
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    dut.rst_n.value = 0
    sources = {p: AxiStreamSource(AxiStreamBus.from_prefix(dut, p), dut.clk) for p in frames if p.startswith("s")}
    sinks = {p: AxiStreamSink(AxiStreamBus.from_prefix(dut, p), dut.clk) for p in frames if p.startswith("m")}
    await ClockCycles(dut.clk, 5)
    dut.rst_n.value = 1
    await ClockCycles(dut.clk, 1)
    for share in (0.0, 0.4):
        for model in (*sources.values(), *sinks.values()):
            model.set_pause_generator(pauses(share))
        for prefix, source in sources.items():
            source.send_nowait(AxiStreamFrame(frames[prefix].tobytes()))
        for prefix, sink in sinks.items():
            for i, frame in enumerate(frames[prefix]):
                have = await with_timeout(sink.recv(), 1_000_000, "ns")
                assert bytes(have.tdata) == frame.tobytes(), f"frame {i} of {prefix}: {bytes(have.tdata).hex()}"
        await ClockCycles(dut.clk, 50)
        assert all(sink.empty() for sink in sinks.values()), "more came out than went in"

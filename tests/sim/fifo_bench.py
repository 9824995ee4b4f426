# SPDX-License-Identifier: Apache-2.0
"""cocotb tests of a FIFO, run by test_cocotb.py; `EXPECT` is the width that the last one asks for."""

from __future__ import annotations

import os
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource


async def start(dut: Any) -> tuple[AxiStreamSource, AxiStreamSink]:
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    dut.rst_n.value = 0
    source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, dut.rst_n, reset_active_level=False)
    sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst_n, reset_active_level=False)
    for _ in range(4):
        await RisingEdge(dut.clk)
    dut.rst_n.value = 1
    return source, sink


@cocotb.test()
async def a_frame_passes(dut: Any) -> None:
    source, sink = await start(dut)
    data = list(range(40))
    await source.send(AxiStreamFrame(data))
    assert list((await sink.recv()).tdata) == data


@cocotb.test()
async def the_width_is_as_expected(dut: Any) -> None:
    await start(dut)
    assert len(dut.s_axis_tdata) == int(os.environ["EXPECT"]), "another width"

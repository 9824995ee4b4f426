# SPDX-License-Identifier: Apache-2.0
"""The UART, the bridge and the memory banks, judged by independent models: cocotbext-uart and cocotbext-axi."""

from __future__ import annotations

from pathlib import Path

from gatewright.ir.op import package_root
from gatewright.sim.cocotb import run_cocotb

HERE = Path(__file__).parent
SOURCES = [*sorted((package_root() / "rtl" / "uart").glob("*.sv")), HERE / "uart_designs.sv"]


def test_the_bridge_does_what_its_protocol_says(tmp_path: Path) -> None:
    assert run_cocotb(SOURCES, "bridge_top", HERE / "bridge_bench.py", folder=tmp_path) == 19

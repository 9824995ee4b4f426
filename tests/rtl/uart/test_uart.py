# SPDX-License-Identifier: Apache-2.0
"""The UART, the bridge and the memory banks, judged by independent models: cocotbext-uart and cocotbext-axi."""

from __future__ import annotations

import binascii
from pathlib import Path

import pytest

from gatewright.ir.op import package_root
from gatewright.sim.cocotb import run_cocotb

HERE = Path(__file__).parent
SOURCES = [*sorted((package_root() / "rtl" / "uart").glob("*.sv")), HERE / "uart_designs.sv"]


@pytest.mark.parametrize(
    ("top", "bench", "tests"), [("bridge_top", "bridge_bench", 19), ("parts_top", "parts_bench", 8)]
)
def test_they_do_what_their_heads_and_the_protocol_say(top: str, bench: str, tests: int, tmp_path: Path) -> None:
    assert run_cocotb(SOURCES, top, HERE / f"{bench}.py", folder=tmp_path) == tests


def test_the_crc_is_the_one_that_the_docs_name() -> None:
    """The benches take it from the standard library; the catalogue of CRCs gives its value for this text."""
    assert binascii.crc_hqx(b"123456789", 0xFFFF) == 0x29B1

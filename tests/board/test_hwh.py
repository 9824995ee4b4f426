# SPDX-License-Identifier: Apache-2.0
"""Hardware handoffs as PYNQ's own parser reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.board.parts import ULTRASCALE, ZYNQ, kernel_map

from gatewright.board import hwh
from gatewright.board.ps import processing_system
from gatewright.boards import load_board
from gatewright.errors import ConfigError


def parsed(text: str, folder: Path) -> Any:
    from pynqmetadata.frontends import Metadata
    from pynqmetadata.views.runtime import RuntimeMetadataParser

    path = folder / "design.hwh"
    path.write_text(text)
    return RuntimeMetadataParser(Metadata(input=path))


@pytest.mark.parametrize("name", ZYNQ + ULTRASCALE)
def test_the_kernel_where_it_lies(name: str, tmp_path: Path) -> None:
    board, kernel = load_board(name), kernel_map()
    base = board.control_base
    found = parsed(hwh.emit(kernel, board, base, 100.0), tmp_path)
    ip = found.ip_dict["tiny_kernel_1"]
    assert (ip["phys_addr"], ip["addr_range"], ip["fullpath"]) == (base, 4096, "tiny_kernel_1")
    assert ip["type"] == "gatewright:kernel:tiny_kernel:1.0"
    assert ip["interrupts"] == {}
    assert found.family_ps == processing_system(board).metadata
    assert set(found.ip_dict) == {"tiny_kernel_1", found.ps_name}


def test_registers_by_name(tmp_path: Path) -> None:
    found = parsed(hwh.emit(kernel_map(), load_board("pynq-z1"), 0x43C0_0000, 100.0), tmp_path)
    registers = found.ip_dict["tiny_kernel_1"]["registers"]
    assert {name: r["address_offset"] for name, r in registers.items()} == {
        "CTRL": 0x0, "GIER": 0x4, "IP_IER": 0x8, "IP_ISR": 0xC, "first_1": 0x10, "first_2": 0x14, "second_1": 0x1C,
        "second_2": 0x20, "labels_1": 0x28, "labels_2": 0x2C, "frames": 0x34,
    }  # fmt: skip
    assert {r["size"] for r in registers.values()} == {32}
    fields = registers["CTRL"]["fields"]
    assert {n: (f["bit_offset"], f["access"]) for n, f in fields.items()} == {
        "AP_START": (0, "read-write"), "AP_DONE": (1, "read-only"), "AP_IDLE": (2, "read-only"),
        "AP_READY": (3, "read-only"), "AUTO_RESTART": (7, "read-write"), "INTERRUPT": (9, "read-only"),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["pynq-z2", "kv260"])
def test_masters_see_the_memory_of_the_board(name: str, tmp_path: Path) -> None:
    board = load_board(name)
    found = parsed(hwh.emit(kernel_map(), board, 0x43C0_0000, 100.0), tmp_path)
    kernel = found.md.blocks["tiny_kernel_1"]
    for i, port in enumerate(board.memory_ports[:3]):
        (entry,) = kernel.ports[f"m_axi_gmem{i}"].addrmap.values()
        assert entry["baseaddr"] == board.memory_base
        assert entry["addr_range"] == board.memory_bytes
        assert entry["subord_port"] == found.ps.ports[port].ref


@pytest.mark.parametrize(("name", "mhz"), [("pynq-z1", 100.0), ("pynq-z1", 62.5), ("zcu104", 100.0), ("kv260", 300.0)])
def test_the_clock_as_pynq_asks_for_it(name: str, mhz: float, tmp_path: Path) -> None:
    found = parsed(hwh.emit(kernel_map(), load_board(name), 0x43C0_0000, mhz), tmp_path)
    clock = found.clock_dict[0]
    assert clock["enable"] == 1
    assert clock["frequency"] == pytest.approx(mhz, rel=1e-4)
    assert [found.clock_dict[i]["enable"] for i in (1, 2, 3)] == [0, 0, 0]


def test_a_frequency_that_no_divider_gives_is_the_nearest(tmp_path: Path) -> None:
    found = parsed(hwh.emit(kernel_map(), load_board("pynq-z1"), 0x43C0_0000, 150.0), tmp_path)
    assert found.clock_dict[0]["frequency"] == pytest.approx(1000 / 7, rel=1e-6)


def test_the_same_text_every_time() -> None:
    board = load_board("pynq-z1")
    assert hwh.emit(kernel_map(), board, 0x43C0_0000, 100.0) == hwh.emit(kernel_map(), board, 0x43C0_0000, 100.0)


def test_a_card_has_no_processing_system() -> None:
    with pytest.raises(ConfigError, match="alveo-u50 is a card without a processing system.*build for a Zynq board"):
        hwh.emit(kernel_map(), load_board("alveo-u50"), 0, 300.0)

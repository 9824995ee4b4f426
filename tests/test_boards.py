# SPDX-License-Identifier: Apache-2.0
"""Board records: those that ship, and what a wrong one is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gatewright.boards import PAGE, list_boards, load_board
from gatewright.errors import ConfigError
from gatewright.ir.primitives import resource_names

RECORD = """\
title = "A test board"
part = "xc7a35tcpg236-1"
family = "xc7"
flow = "vivado"
mhz = 50

[capacity]
LUT = 20800
FF = 41600
BRAM36 = 50
DSP = 90

[memory]
bits = 64
ports = ["S_AXI_HP0"]
base = 0x1000
bytes = 8192
latency_ns = 100
gbytes_per_s = 1
"""


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A record in a folder of extensions, for a test to spoil."""
    path = tmp_path / "boards" / "my_board" / "board.toml"
    path.parent.mkdir(parents=True)
    path.write_text(RECORD)
    monkeypatch.setenv("GATEWRIGHT_PATH", str(tmp_path))
    return path


@pytest.mark.parametrize("name", list_boards())
def test_shipped_record_is_complete(name: str) -> None:
    board = load_board(name)
    assert board.name == name
    assert set(resource_names(board.family)) <= set(board.capacity)
    assert board.capacity["FF"] == (1 if board.family == "ecp5" else 2) * board.capacity["LUT"]
    assert ("URAM" not in board.capacity) or board.family == "xcup"
    parts = {"xc7": ("xc7",), "xcup": ("xczu", "xck", "xcu"), "ecp5": ("LFE5U",)}
    assert board.part.startswith(parts[board.family])
    assert (board.folder / "board.toml").is_file()
    # A word of the port a cycle, at clocks that the part reaches: a figure in other units would be far off.
    assert 100 < board.memory_gbytes_per_s * 8e3 / board.memory_bits <= 400
    assert board.memory_bytes >= (PAGE if board.memory_banked else 32 << 20) and 50 <= board.memory_latency_ns <= 1000
    assert board.constraints.is_file() == (board.flow == "nextpnr")


def test_pynq_z2_holds_what_its_data_sheet_says() -> None:
    board = load_board("pynq-z2")
    assert dict(board.capacity) == {"LUT": 53200, "FF": 106400, "BRAM36": 140, "DSP": 220}
    assert (board.part, board.family, board.mhz) == ("xc7z020clg400-1", "xc7", 100.0)
    assert len(board.memory_ports) == 4
    assert (board.memory_base + board.memory_bytes, board.memory_bytes) == (512 << 20, 128 << 20)


def test_ulx3s_has_a_serial_port_and_banks_on_the_chip() -> None:
    board = load_board("ulx3s-85f")
    assert dict(board.capacity) == {"LUT": 83640, "FF": 83640, "EBR": 208, "DSP": 156}
    assert (board.oscillator_mhz, board.uart_baud, board.memory_banked) == (25.0, 1_000_000, True)
    assert (board.memory_base, board.memory_bytes, board.memory_bits) == (0, 8192, 32)
    others = [load_board(name) for name in list_boards() if name != "ulx3s-85f"]
    assert not any(b.memory_banked or b.oscillator_mhz or b.uart_baud for b in others)


def test_pins_of_the_ulx3s_are_all_placed_once_and_have_a_voltage() -> None:
    text = re.sub(r"#.*", "", load_board("ulx3s-85f").constraints.read_text())
    sites = dict(re.findall(r'LOCATE COMP "([^"]+)" SITE "(\w+)";', text))
    kinds = dict(re.findall(r'IOBUF PORT "([^"]+)" IO_TYPE=(\w+)', text))
    names = [*(f"led[{i}]" for i in range(8)), *(f"btn[{i}]" for i in range(7))]
    assert set(sites) == {"clk_25mhz", "ftdi_rxd", "ftdi_txd", "wifi_gpio0", *names} == set(kinds)
    assert len(set(sites.values())) == len(sites) and set(kinds.values()) == {"LVCMOS33"}
    assert text.count("LOCATE") == text.count("IOBUF") == len(sites)


def test_capacity_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        load_board("zcu104").capacity["LUT"] = 1  # type: ignore[index]  # that it fails is the test


@pytest.mark.parametrize(("typed", "meant"), [("pynq_z2", "pynq-z2"), ("PYNQ-Z2", "pynq-z2"), ("zcu140", "zcu104")])
def test_unknown_board_is_told_the_near_one(typed: str, meant: str) -> None:
    with pytest.raises(
        ConfigError, match=f"board {typed!r} is unknown: did you mean {meant!r}. known are alveo-u200, "
    ):
        load_board(typed)


def test_unknown_board_far_from_all_is_told_the_list() -> None:
    with pytest.raises(
        ConfigError, match=r"board '../etc' is unknown: known are alveo-u200, .*zcu104 \(GATEWRIGHT_PATH names "
    ):
        load_board("../etc")


def test_a_new_folder_is_a_new_board(record: Path) -> None:
    board = load_board("my-board")
    assert (board.title, board.mhz, board.folder) == ("A test board", 50, record.parent)
    assert "my-board" in list_boards()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('part = "xc7a35tcpg236-1"', "", "key 'part' is missing: the keys are title, part"),
        ("mhz = 50", "mhz = 50\ncolour = 3", "unknown key 'colour': the keys are title, part"),
        ("mhz = 50", 'mhz = "fast"', "mhz='fast' must be of type float"),
        ("mhz = 50", "mhz = 0", "mhz=0 must be above 0"),
        ("mhz = 50", "mhz = true", "mhz=True must be of type float"),
        ("mhz = 50", "mhz = ", "board.toml is not a readable board record: "),
        ('"xc7"', '"xc8"', "board my-board: family='xc8': use xc7, xcup or ecp5"),
        ('"vivado"', '"ise"', "board my-board: flow='ise': use vivado, vitis or nextpnr"),
        ('"vivado"', '"nextpnr"', "flow='nextpnr' with family='xc7': the flow nextpnr is that of the family ecp5, and"),
        ('"xc7"', '"ecp5"', "flow='vivado' with family='ecp5': the flow nextpnr is that of the family ecp5, and of no"),
        ("LUT = 20800\n", "", "board my-board: capacity has no LUT; it has FF, BRAM36, DSP"),
        ("DSP = 90", "DSP = 0", "capacity DSP=0 must be an integer of at least 1"),
        ("DSP = 90", "DSP = 9.5", "capacity DSP=9.5 must be an integer of at least 1"),
        ("bits = 64", "bits = 48", "memory bits=48: use 32, 64, 128, 256 or 512"),
        ("bits = 64", "width = 64", r"\[memory\]: unknown key 'width': the keys are bits, ports"),
        ('["S_AXI_HP0"]', "[]", r"memory ports=\(\) must be a list of names"),
        ("base = 0x1000\n", "", r"\[memory\]: key 'base' is missing: the keys are bits, ports, base, bytes, "),
        ("base = 0x1000", "base = 0x1001", "memory base=4097 must be a multiple of 4096 from 0 on"),
        ("base = 0x1000", "base = -4096", "memory base=-4096 must be a multiple of 4096 from 0 on"),
        ("base = 0x1000", "base = 0xFFFF_FFFF_FFFF_F000", "memory bytes=8192 must be .* and end below 2\\^64"),
        ("bytes = 8192", "bytes = 0", "memory bytes=0 must be a multiple of 4096 from 4096 on"),
        ("bytes = 8192", "bytes = 5000", "memory bytes=5000 must be a multiple of 4096 from 4096 on"),
        ("bytes = 8192", "bytes = 8192.0", r"\[memory\]: bytes=8192.0 must be of type int"),
        ("latency_ns = 100", "latency_ns = -1", "memory latency_ns=-1 must be 0 or more"),
        ("latency_ns = 100", "latency_ns = inf", "memory latency_ns=inf must be 0 or more"),
        ("[memory]", "[clock]\nmhz = 25\n[memory]", r"\[clock\] mhz is of no use to flow 'vivado': leave it out"),
        ("[memory]", "[uart]\nbaud = 9600\n[memory]", r"\[uart\] baud is of no use to flow 'vivado': leave it out"),
        ("[memory]", "[memory]\nbanked = true", r"\[memory\] banked is of no use to flow 'vivado': leave it out"),
        ("gbytes_per_s = 1", "gbytes_per_s = 0", "memory gbytes_per_s=0 must be above 0"),
        ("gbytes_per_s = 1", "gbytes_per_s = nan", "memory gbytes_per_s=nan must be above 0"),
    ],
)
def test_malformed_record_is_told_what_is_wrong(record: Path, old: str, new: str, message: str) -> None:
    assert old in RECORD
    record.write_text(RECORD.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        load_board("my-board")


VITIS = """
[vitis]
platform = "xilinx_x_1"
regions = 2
slr = [0]
"""


def test_a_card_says_what_vitis_links_for(record: Path) -> None:
    record.write_text(RECORD.replace('"vivado"', '"vitis"') + VITIS)
    card = load_board("my-board").vitis
    assert card is not None
    assert (card.platform, card.regions, card.slr) == ("xilinx_x_1", 2, (0,))


@pytest.mark.parametrize("name", [name for name in list_boards() if load_board(name).flow == "vitis"])
def test_every_card_that_ships_has_a_platform_of_its_own(name: str) -> None:
    card = load_board(name).vitis
    assert card is not None
    assert card.platform.startswith(f"xilinx_{name.removeprefix('alveo-')}_gen3x16_xdma_")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"vitis"', '"vivado"', r"\[vitis\] is of no use to flow 'vivado': leave it out"),
        ('"xilinx_x_1"', '"/opt/x.xpfm"', r"\[vitis\] platform='/opt/x.xpfm' must be the name that a platform is inst"),
        ("[0]", "[0, 1]", r"\[vitis\] slr=\[0, 1\] must be a number from 0 on and below regions=2 for each of the"),
        ("[0]", "[2]", r"\[vitis\] slr=\[2\] must be a number from 0 on and below regions=2"),
        ("regions = 2", "regions = 0", r"\[vitis\] slr=\[0\] must be a number from 0 on and below regions=0"),
        ("[0]", "[-1]", r"\[vitis\] slr=\[-1\] must be a number from 0 on"),
        ("[0]", "[0.0]", r"\[vitis\] slr=\[0.0\] must be a number from 0 on"),
        ("[0]", "0", r"\[vitis\]: slr=0 must be of type list"),
        ("slr = [0]", "", r"\[vitis\]: key 'slr' is missing: the keys are platform, regions, slr"),
        ("slr = ", "slrs = ", r"\[vitis\]: unknown key 'slrs': the keys are platform, regions, slr"),
    ],
)
def test_a_malformed_card_is_told_what_is_wrong(record: Path, old: str, new: str, message: str) -> None:
    text = RECORD.replace('"vivado"', '"vitis"') + VITIS
    assert old in text
    record.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        load_board("my-board")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[clock]\nmhz = 25.0\n", "", r"\[clock\] mhz is missing: the flow nextpnr needs \[clock\] mhz, \[uart\] baud"),
        ("[uart]\nbaud = 1_000_000\n", "", r"\[uart\] baud is missing: the flow nextpnr needs \[clock\] mhz, \[uart\]"),
        ("banked = true", "", r"\[memory\] banked is missing: the flow nextpnr needs .* and \[memory\] banked = true"),
        ("banked = true", "banked = false", r"\[memory\] banked is missing: the flow nextpnr needs"),
        ("[clock]\nmhz = 25.0", "[clock]\nmhz = 0", r"\[clock\] mhz=0 must be above 0"),
        ("[clock]\nmhz = 25.0", "[clock]\nhz = 25.0", r"\[clock\]: unknown key 'hz': the keys are mhz"),
        ("baud = 1_000_000", "baud = 1e6", r"\[uart\]: baud=1000000.0 must be of type int"),
        ("baud = 1_000_000", "baud = -1", r"\[uart\] baud=-1 must be above 0"),
        ("banked = true", "banked = 1", r"\[memory\]: banked=1 must be of type bool"),
    ],
)
def test_malformed_record_of_the_open_flow(record: Path, old: str, new: str, message: str) -> None:
    text = (load_board("ulx3s-85f").folder / "board.toml").read_text()
    assert old in text
    record.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        load_board("my-board")

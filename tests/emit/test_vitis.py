# SPDX-License-Identifier: Apache-2.0
"""Vitis projects: what is emitted for every card, where memory ports go, and what is refused."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from configparser import ConfigParser
from dataclasses import replace
from functools import cache

import pytest
from tests.rtl.kernel.designs import several, small, streamed

from gatewright.boards import Board, list_boards, load_board
from gatewright.design.plan import Design
from gatewright.emit import kernel, rtl, vitis
from gatewright.emit.project import Project
from gatewright.errors import ConfigError
from gatewright.synth.tcl_model.vitis import platform

CARDS = [name for name in list_boards() if load_board(name).flow == "vitis"]
NETWORKS: Mapping[str, Callable[[], Design]] = {"small": small, "several": several, "streamed": streamed}


@cache
def project(network: str, board: str, mhz: float = 200.0) -> Project:
    """A network's kernel on a card, with the widest words that it takes."""
    design, card = NETWORKS[network](), load_board(board)
    found = kernel.kernel_map(design.graph, design.structure, card.memory_bits)
    memories = tuple(f"rtl/{name}" for name, _ in rtl.memory_files(design.structure))
    return Project(found, card, mhz, memories, tuple(unit.name for unit in design.structure.units))


def connectivity(text: str) -> dict[str, list[str]]:
    """The values of every key of the section, in their order."""
    section = text.split("[connectivity]\n")[1].split("\n\n")[0]
    found: dict[str, list[str]] = {}
    for line in section.splitlines():
        key, value = line.split("=", 1)
        found.setdefault(key, []).append(value)
    return found


def test_all_four_cards_are_tried() -> None:
    assert CARDS == ["alveo-u200", "alveo-u250", "alveo-u280", "alveo-u50"]


@pytest.mark.parametrize("board", CARDS)
@pytest.mark.parametrize("network", NETWORKS)
def test_same_project_same_files(network: str, board: str) -> None:
    files = vitis.emit(project(network, board))
    assert [path for path, _ in files] == ["after_route.tcl", "build.sh", "kernel.xml", "link.cfg", "package_xo.tcl"]
    project.cache_clear()
    assert vitis.emit(project(network, board)).digest() == files.digest()


@pytest.mark.parametrize("board", CARDS)
@pytest.mark.parametrize("network", NETWORKS)
def test_every_memory_port_has_a_bank(network: str, board: str) -> None:
    chosen = project(network, board)
    found = connectivity(vitis.link(chosen))
    unit = f"{chosen.kernel.kernel}_1"
    assert found["nk"] == [f"{chosen.kernel.kernel}:1:{unit}"]
    ports = [sp.split(":", 1)[0] for sp in found["sp"]]
    assert ports == [f"{unit}.m_axi_{port}" for port in chosen.kernel.ports]
    names = {bank.name for bank in vitis.banks(chosen.board)}
    assert {sp.split(":", 1)[1] for sp in found["sp"]} <= names
    (slr,) = found["slr"]
    assert re.fullmatch(re.escape(unit) + r":SLR\d", slr)


@pytest.mark.parametrize("board", CARDS)
def test_records_and_the_model_of_vpp_agree(board: str) -> None:
    """Written apart from each other: regions, part, and how many banks there are of each kind."""
    card = load_board(board)
    assert card.vitis is not None
    known = platform(card.vitis.platform)
    assert (known["part"], known["slrs"]) == (card.part, card.vitis.regions)
    counts = Counter(bank.name.split("[")[0] for bank in vitis.banks(card))
    assert counts == {kind: known["memory"][kind] for kind in counts}


def test_ranges_of_banks_are_as_many_banks() -> None:
    found = vitis.banks(load_board("alveo-u280"))
    assert [b.name for b in found] == [*(f"HBM[{i}]" for i in range(32)), "DDR[0]", "DDR[1]"]
    assert [b.slr for b in found] == [0] * 33 + [1]


def test_ports_go_round_when_there_are_more_than_banks() -> None:
    placed = vitis.placement(project("several", "alveo-u250"))
    assert [bank.name for bank in placed.values()] == ["DDR[0]", "DDR[1]", "DDR[2]", "DDR[3]", "DDR[0]"]


@pytest.mark.parametrize(
    ("regions", "best"), [([0], 0), ([0, 1], 0), ([0, 1, 2], 1), ([0, 1, 2, 3, 0], 1), ([3, 3, 0], 3), ([2], 2)]
)
def test_the_kernel_lies_where_its_memories_are_near(regions: list[int], best: int) -> None:
    assert vitis.nearest([vitis.Bank("", slr) for slr in regions]) == best


@pytest.mark.parametrize(("needs", "resource"), [({"LUT": 131e3}, "LUT"), ({"LUT": 10.0, "URAM": 97}, "URAM")])
def test_a_kernel_that_may_be_too_large_for_a_region_is_left_to_the_placer(
    needs: dict[str, float], resource: str
) -> None:
    """0.3 of a third of a u280: 130,368 LUTs, 96 URAM."""
    chosen = project("small", "alveo-u280")
    text = vitis.link(replace(chosen, needs=needs))
    assert "\nslr=" not in text
    assert f"\n# no slr=: the kernel may need more {resource} than" in text
    assert "\nslr=" in vitis.link(replace(chosen, needs={name: need - 1000 for name, need in needs.items()}))


@pytest.mark.parametrize(("mhz", "asked"), [(200.0, 200), (133.3, 134), (300.0000000001, 300), (99.5, 100)])
def test_the_clock_is_never_less_than_asked_for(mhz: float, asked: int) -> None:
    text = vitis.link(project("small", "alveo-u50", mhz))
    assert f"\nkernel_frequency=0:{asked}\n" in text


def test_the_config_is_one_that_other_readers_take() -> None:
    """Keys before the first section belong to none, as v++ wants them; the rest is plain INI with repeated keys."""
    text = vitis.link(project("several", "alveo-u280"))
    parser = ConfigParser(strict=False, allow_no_value=False)
    parser.read_string("[top]\n" + text)
    assert parser["top"]["platform"] == "xilinx_u280_gen3x16_xdma_1_202211_1"
    assert parser.sections() == ["top", "connectivity", "vivado"]


def _zynq(board: Board) -> Board:
    return load_board("pynq-z2")


def _no_platform(board: Board) -> Board:
    return replace(board, vitis=None)


@pytest.mark.parametrize("change", [_zynq, _no_platform])
def test_other_boards_are_refused(change: Callable[[Board], Board]) -> None:
    chosen = project("small", "alveo-u50")
    board = change(chosen.board)
    with pytest.raises(ConfigError, match=f"board {board.name}: flow .* only Alveo cards are linked"):
        vitis.emit(replace(chosen, board=board))


@pytest.mark.parametrize("name", ["a__b_kernel", "_a_kernel"])
def test_a_name_that_no_ip_can_have_is_refused(name: str) -> None:
    chosen = project("small", "alveo-u50")
    with pytest.raises(ConfigError, match=f"the kernel {name!r} cannot be an IP, .* rename the model"):
        vitis.emit(replace(chosen, kernel=replace(chosen.kernel, kernel=name)))

# SPDX-License-Identifier: Apache-2.0
"""Vivado's script: what it joins on every Zynq board, that it is Tcl, and what is refused."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.emit.test_vitis import NETWORKS, project

from gatewright.board import hwh
from gatewright.board.ps import processing_system
from gatewright.boards import list_boards, load_board
from gatewright.emit import vivado
from gatewright.emit.project import Project
from gatewright.errors import ConfigError
from gatewright.runtime.kernel_map import Weights

BOARDS = [name for name in list_boards() if load_board(name).flow == "vivado"]
everywhere = pytest.mark.parametrize(("network", "board"), [(n, b) for n in NETWORKS for b in BOARDS])


def script(chosen: Project) -> str:
    """The Tcl with every command on one line."""
    return re.sub(r"\\\n\s*", "", vivado.emit(chosen).files["build.tcl"])


def pairs(command: str, pin: str, text: str) -> list[list[str]]:
    """What the calls of a command join."""
    return [re.findall(rf"\[{pin} (\S+)\]", line) for line in re.findall(rf"^ *{command} .*", text, re.MULTILINE)]


def buses(text: str) -> dict[str, str]:
    """The slave that every master is joined to."""
    found = pairs("connect_bd_intf_net", "get_bd_intf_pins", text)
    ends = [end for pair in found for end in pair]
    assert len(set(ends)) == len(ends) == 2 * len(found)
    return dict(map(tuple, found))


def nets(text: str) -> dict[str, list[str]]:
    """What every net joins, by its source."""
    found = pairs("connect_bd_net", "get_bd_pins", text)
    pins = [pin for net in found for pin in net]
    assert len(set(pins)) == len(pins)
    return {source: sinks for source, *sinks in found}


def settings(cell: str, text: str) -> dict[str, str]:
    """The parameters that a cell is given."""
    found = re.findall(rf"set_property -dict \[list (.*)\] \[get_bd_cells {cell}\]", text)
    pairs = [pair for line in found for pair in re.findall(r"CONFIG\.(\w+) \{([^}]*)\}", line)]
    assert pairs
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_all_five_boards_are_tried() -> None:
    assert BOARDS == ["kv260", "pynq-z1", "pynq-z2", "ultra96-v2", "zcu104"]


@everywhere
def test_same_project_same_files(network: str, board: str) -> None:
    files = vivado.emit(project(network, board))
    assert [path for path, _ in files] == ["README.txt", "build.tcl"]
    project.cache_clear()
    assert vivado.emit(project(network, board)).digest() == files.digest()


@pytest.mark.parametrize("board", BOARDS)
def test_it_is_whole_commands_of_tcl(board: str, tmp_path: Path) -> None:
    (tmp_path / "judge.tcl").write_text("puts [info complete [read stdin]]")
    text = vivado.emit(project("several", board)).files["build.tcl"]

    def judged(text: str) -> str:
        command = ["tclsh", str(tmp_path / "judge.tcl")]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout.strip()

    assert (judged(text), judged(text.replace("}", "", 1))) == ("1", "0")


@everywhere
def test_every_memory_port_of_the_kernel_ends_where_the_handoff_says(network: str, board: str) -> None:
    chosen = project(network, board)
    text, cell = script(chosen), f"{chosen.kernel.kernel}_1"
    joined, ps = buses(text), vivado.FAMILIES[chosen.board.family].cell
    handoff = ElementTree.fromstring(hwh.emit(chosen.kernel, chosen.board, chosen.board.control_base, chosen.mhz))
    told = {b.get("NAME"): b.get("BUSNAME") for b in handoff.iterfind(f".//MODULE[@INSTANCE='{cell}']//BUSINTERFACE")}
    for port in chosen.kernel.ports:
        connect, slave = joined[f"{cell}/m_axi_{port}"].split("/")
        assert joined[f"{connect}/M00_AXI"].replace("/", "_") == told[f"m_axi_{port}"]
        assert int(slave[1:3]) < int(settings(connect, text)["NUM_SI"])
    assert (len(joined), settings("control", text)) == (
        len(chosen.kernel.ports) + len({*told.values()} - {f"{cell}_s_axi_control"}) + 2, {"NUM_SI": "1", "NUM_MI": "1"}
    )  # fmt: skip
    assert joined[joined_from(joined, ps)] == "control/S00_AXI"
    assert joined["control/M00_AXI"] == f"{cell}/s_axi_control"


def joined_from(joined: dict[str, str], ps: str) -> str:
    """The only port of the processing system that is a master."""
    (found,) = (master for master in joined if master.startswith(f"{ps}/"))
    return found


@everywhere
def test_every_port_in_use_has_a_width_a_clock_and_memory(network: str, board: str) -> None:
    chosen = project(network, board)
    text, ps = script(chosen), vivado.FAMILIES[chosen.board.family].cell
    ports = {slave.split("/")[1] for slave in buses(text).values() if slave.startswith(f"{ps}/")}
    numbers = sorted(int(re.findall(r"HP(\d)", port)[0]) for port in ports)
    values, clocked = settings(ps, text), nets(text)[f"{ps}/{vivado.FAMILIES[chosen.board.family].clock}"]
    if chosen.board.family == "xc7":
        on = [i for i in range(4) if values[f"PCW_USE_S_AXI_HP{i}"] == "1"]
        wide = {i: values[f"PCW_S_AXI_HP{i}_DATA_WIDTH"] for i in on}
        assert values["PCW_FPGA0_PERIPHERAL_FREQMHZ"] == "200"
        assert {f"{ps}/S_AXI_HP{i}_ACLK" for i in on} | {f"{ps}/M_AXI_GP0_ACLK"} <= set(clocked)
        memory, size = "HP{}_DDR_LOWOCM", 0x2000_0000
    else:
        on = [i for i in range(4) if values[f"PSU__USE__S_AXI_GP{i + 2}"] == "1"]
        wide = {i: values[f"PSU__SAXIGP{i + 2}__DATA_WIDTH"] for i in on}
        assert values["PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ"] == "187.498125"
        assert {f"{ps}/saxihp{i}_fpd_aclk" for i in on} | {f"{ps}/maxihpm0_fpd_aclk"} <= set(clocked)
        memory, size = "HP{}_DDR_LOW", 0x8000_0000
    assert (on, wide) == (numbers, dict.fromkeys(numbers, str(chosen.board.memory_bits)))
    mapped = re.findall(r"^ +map_memory (\S+) (\S+) (\S+) (\S+)$", text, re.MULTILINE)
    places = list(chosen.board.memory_ports)
    assert mapped == [
        (f"{chosen.kernel.kernel}_1/m_axi_{port}", f"{ps}/{places[k]}", memory.format(k), f"0x{size:08X}")
        for k in range(4) for i, port in enumerate(chosen.kernel.ports) if i % 4 == k
    ]  # fmt: skip
    assert size >= chosen.board.memory_base + chosen.board.memory_bytes


@everywhere
def test_all_that_has_a_clock_gets_it_and_a_reset(network: str, board: str) -> None:
    chosen = project(network, board)
    text, zynq, cell = script(chosen), vivado.FAMILIES[chosen.board.family], f"{chosen.kernel.kernel}_1"
    connects = re.findall(r"create_bd_cell -type ip -vlnv \[newest smartconnect\] (\S+)", text)
    found = nets(text)
    clocked, released = found[f"{zynq.cell}/{zynq.clock}"], found["reset/peripheral_aresetn"]
    assert {f"{c}/aclk" for c in connects} | {f"{cell}/ap_clk", "reset/slowest_sync_clk"} <= set(clocked)
    assert set(released) == {f"{c}/aresetn" for c in connects} | {f"{cell}/ap_rst_n"}
    assert found[f"{zynq.cell}/{zynq.reset}"] == ["reset/ext_reset_in"]
    assert found[f"{cell}/interrupt"] == [f"{zynq.cell}/{zynq.interrupt}"]


@pytest.mark.parametrize(("board", "base"), [(b, 0x43C0_0000 if "pynq" in b else 0xA000_0000) for b in BOARDS])
def test_registers_lie_where_bundles_look_for_them(board: str, base: int) -> None:
    chosen = project("small", board)
    (mapped,) = re.findall(r"assign_bd_address -offset 0x(4\w+|A\w+) -range (\w+) (.*)", script(chosen))
    assert (int(mapped[0], 16), int(mapped[1], 16)) == (base, chosen.kernel.control_bytes)
    assert f"[get_bd_intf_pins {chosen.kernel.kernel}_1/s_axi_control]" in mapped[2]


CLOCKS = [
    ("pynq-z2", 100.0, 100.0), ("pynq-z2", 142.9, 1000 / 7), ("pynq-z2", 142.857142857, 1000 / 7),
    ("pynq-z1", 66.5, 62.5), ("pynq-z2", 249.0, 200.0), ("pynq-z2", 7.0, 1000 / 143), ("zcu104", 200.0, 187.498125), ("kv260", 300.0, 299.997),
    ("ultra96-v2", 333.3, 299.997),
]  # fmt: skip


@pytest.mark.parametrize(("board", "asked", "given"), CLOCKS)
def test_the_clock_is_one_that_the_board_gives(board: str, asked: float, given: float) -> None:
    """The fastest that is not faster, out of all products of two dividers."""
    chosen = project("small", board, asked)
    zynq = vivado.FAMILIES[chosen.board.family]
    found = vivado.clock(zynq, asked)
    pll = processing_system(chosen.board).source_mhz(processing_system(chosen.board).registers)
    every = {pll / (a * b) for a in range(1, 64) for b in range(1, 64)}
    assert found.mhz == pytest.approx(given) == pytest.approx(max(mhz for mhz in every if mhz <= asked * 1.001))
    assert found.mhz == pytest.approx(pll / (found.dividers[0] * found.dividers[1]))
    values, text = settings(zynq.cell, script(chosen)), f"{found.mhz:.6f}".rstrip("0").rstrip(".")
    if chosen.board.family == "xc7":
        assert values["PCW_FPGA0_PERIPHERAL_FREQMHZ"] == text
        assert [values[f"PCW_FCLK0_PERIPHERAL_DIVISOR{i}"] for i in range(2)] == [str(d) for d in found.dividers]
        assert int(values["PCW_IOPLL_CTRL_FBDIV"]) * float(values["PCW_CRYSTAL_PERIPHERAL_FREQMHZ"]) == pll
    else:
        assert values["PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ"] == text


def test_a_clock_that_is_too_slow() -> None:
    with pytest.raises(ConfigError, match=r"mhz=0\.1: the processing system gives no clock below 0\.3 MHz"):
        vivado.emit(project("small", "pynq-z2", 0.1))


def test_memory_files_are_read() -> None:
    chosen = project("several", "pynq-z1")
    assert chosen.memory_files
    assert f"set memory_files {{{' '.join(chosen.memory_files)}}}\n" in script(chosen)
    assert "set memory_files {}\n" in script(replace(chosen, memory_files=()))


def test_what_is_no_zynq_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"board alveo-u50 is made by the flow 'vitis', and Vivado's script is for a"):
        vivado.emit(project("small", "alveo-u50"))
    chosen = project("small", "zcu104")
    odd = replace(chosen.board, memory_ports=("S_AXI_HP0_FPD", "S_AXI_ACP"))
    with pytest.raises(ConfigError, match=r"the processing system has no memory port 'S_AXI_ACP': use S_AXI_HP0 to 3"):
        vivado.emit(replace(chosen, board=odd))


def test_as_many_ports_as_smartconnects_take() -> None:
    chosen = project("small", "kv260")

    def ports(count: int) -> Project:
        weights = tuple(Weights(f"w{i}", f"gmem{i}", 0x40 + 12 * i, 64, f"w{i}.bin") for i in range(2, count))
        return replace(chosen, kernel=replace(chosen.kernel, weights=weights))

    full = script(ports(64))
    assert [settings(f"memory{i}", full)["NUM_SI"] for i in range(4)] == ["16"] * 4
    with pytest.raises(ConfigError, match=r"net_kernel has 65 memory ports, and the SmartConnects in front of 4 ports"):
        vivado.emit(ports(65))

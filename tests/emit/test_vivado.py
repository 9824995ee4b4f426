# SPDX-License-Identifier: Apache-2.0
"""Vivado's script: what it joins on every Zynq board, that it is Tcl, and what is refused."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.emit.test_vitis import NETWORKS, project

from gatewright.board import hwh
from gatewright.board.ps import processing_system
from gatewright.boards import list_boards, load_board
from gatewright.emit import kernel_ip, stream_ip, vivado
from gatewright.emit.project import Project
from gatewright.emit.vivado_tcl import PHASES
from gatewright.emit.zynq import FAMILIES, clock
from gatewright.errors import ConfigError
from gatewright.runtime.kernel_map import Weights
from gatewright.synth.tcl_model import Result, run
from gatewright.synth.vivado import FLOW

BOARDS = [name for name in list_boards() if load_board(name).flow == "vivado"]
Build = Callable[[str, str], tuple[Project, Path]]
needs_tclsh = pytest.mark.skipif(shutil.which("tclsh") is None, reason="needs tclsh: apt install tcl")
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


@everywhere
def test_every_memory_port_of_the_kernel_ends_where_the_handoff_says(network: str, board: str) -> None:
    chosen = project(network, board)
    text, cell = script(chosen), f"{chosen.kernel.kernel}_1"
    joined, ps = buses(text), FAMILIES[chosen.board.family].cell
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
    text, ps = script(chosen), FAMILIES[chosen.board.family].cell
    ports = {slave.split("/")[1] for slave in buses(text).values() if slave.startswith(f"{ps}/")}
    numbers = sorted(int(re.findall(r"HP(\d)", port)[0]) for port in ports)
    values, clocked = settings(ps, text), nets(text)[f"{ps}/{FAMILIES[chosen.board.family].clock}"]
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
    text, zynq, cell = script(chosen), FAMILIES[chosen.board.family], f"{chosen.kernel.kernel}_1"
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
    ("pynq-z1", 66.5, 62.5), ("pynq-z2", 249.0, 200.0), ("pynq-z2", 7.0, 1000 / 143),
    ("zcu104", 200.0, 187.498125), ("kv260", 300.0, 299.997),
    ("ultra96-v2", 333.3, 299.997),
]  # fmt: skip


@pytest.mark.parametrize(("board", "asked", "given"), CLOCKS)
def test_the_clock_is_one_that_the_board_gives(board: str, asked: float, given: float) -> None:
    """The fastest that is not faster, out of all products of two dividers."""
    chosen = project("small", board, asked)
    zynq = FAMILIES[chosen.board.family]
    found = clock(zynq, asked)
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
    with pytest.raises(ConfigError, match=r"zcu104: the processing system has no memory port 'S_AXI_ACP': use S_AXI_H"):
        vivado.emit(replace(chosen, board=odd))
    odd = replace(chosen.board, memory_ports=("S_AXI_HP0",))
    with pytest.raises(ConfigError, match=r"has no memory port 'S_AXI_HP0': use S_AXI_HP0_FPD, S_AXI_HP1_FPD, S_AXI_H"):
        vivado.emit(replace(chosen, board=odd))
    odd = replace(load_board("pynq-z2"), memory_bits=128)
    with pytest.raises(ConfigError, match=r"pynq-z2: memory bits=128: a port of the processing system has 32 or 64"):
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


# --- in a Tcl interpreter, on a model of Vivado -----------------------------------------------------------------------

REPORTS = {f"bitstream/reports/{name}.rpt" for name in ("timing", "path", "utilization", "utilization_units", "power")}


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A build of a network for a board, with the emitted project in it."""

    @cache
    def make(network: str, board: str) -> tuple[Project, Path]:
        chosen, folder = project(network, board, 100.0), tmp_path_factory.mktemp(f"{network}-{board}")
        design = replace(NETWORKS[network](), board=chosen.board)
        stream_ip.emit(design).write(folder / "rtl")
        kernel_ip.emit(design, chosen.kernel.bus_bits).write(folder / "kernel")
        vivado.emit(chosen).write(folder / "bitstream")
        return chosen, folder

    return make


def left(result: Result) -> set[str]:
    """What a run leaves that people keep: all but what lies in the script's own folder `work`."""
    return {name for name in result.files if not name.startswith("bitstream/work/")}


def out(chosen: Project) -> set[str]:
    """What a run leaves when all went well."""
    return {f"bitstream/out/{chosen.stem}.{end}" for end in ("bit", "hwh")}


def told(result: Result) -> list[str]:
    """The script's own lines in the log."""
    return [line for text in result.said for line in text.splitlines() if line.startswith("gatewright:")]


@needs_tclsh
@everywhere
def test_the_model_has_nothing_against_it(network: str, board: str, build: Build) -> None:
    chosen, folder = build(network, board)
    done = run("bitstream/build.tcl", folder)
    assert (done.findings, done.status) == ((), 0)
    assert left(done) == out(chosen) | REPORTS
    phases = [FLOW.phase(line) for line in told(done)[:-1]]
    assert [(p.number, p.count, p.name) for p in phases if p] == [
        (i, len(PHASES), name) for i, name in enumerate(PHASES, 1)
    ]  # fmt: skip
    assert told(done)[-1] == "gatewright: done"


@needs_tclsh
@pytest.mark.parametrize("release", [(2020, 2), (2021, 2), (2023, 2), (2024, 2)])
@pytest.mark.parametrize("board", ["pynq-z2", "kv260"])
def test_other_releases(board: str, release: tuple[int, int], build: Build) -> None:
    chosen, folder = build("several", board)
    done = run("bitstream/build.tcl", folder, release=release)
    assert (done.findings, done.status) == ((), 0)
    assert out(chosen) <= done.files


@needs_tclsh
def test_a_design_that_is_too_slow(build: Build) -> None:
    """The reports are there; a bitstream only for those who ask for one all the same."""
    chosen, folder = build("small", "pynq-z2")
    for words, status, files in (((), 1, set()), (("measured",), 0, set()), (("regardless",), 0, out(chosen))):
        done = run("bitstream/build.tcl", folder, answers={"SLACK": "-0.125"}, arguments=words)
        assert done.status == status
        assert left(done) == files | REPORTS
        line = "gatewright: timing failed: the least slack is -0.125 ns for setup and -0.125 ns for hold"
        assert line in told(done)
        assert [FLOW.failure(line) for line in told(done) if FLOW.failure(line)] == [line.partition(" ")[2]]
        assert [f.what.rpartition(": ")[2] for f in done.findings] == ["timing failed"] * status


@needs_tclsh
def test_what_an_earlier_run_left_goes(build: Build, tmp_path: Path) -> None:
    """`out` is moved into place whole: beside an old one it would lie within that."""
    chosen, folder = build("small", "pynq-z2")[0], tmp_path / "build"
    shutil.copytree(build("small", "pynq-z2")[1], folder)
    for name in ("out", "reports", "work"):
        (folder / "bitstream" / name).mkdir()
        (folder / "bitstream" / name / "old").mkdir()
    # A folder in the way of a report, which only goes with the whole.
    (folder / "bitstream" / "reports" / "timing.rpt").mkdir()
    done = run("bitstream/build.tcl", folder)
    assert (done.findings, done.status) == ((), 0)
    assert left(done) == out(chosen) | REPORTS


def test_what_a_real_run_needs_and_no_model_misses() -> None:
    """Memory files as sources, a message that must end the run, libraries: before synthesis."""
    text = script(project("small", "pynq-z2")).partition("synth_design")[0]
    for line in (
        "set_property XPM_LIBRARIES {XPM_CDC XPM_FIFO XPM_MEMORY} [current_project]",
        "set_msg_config -id {Synth 8-4445} -new_severity ERROR",
        "read_mem [file tail $file]",
    ):
        assert len(re.findall(rf"^ +{re.escape(line)}$", text, re.MULTILINE)) == 1


@needs_tclsh
def test_a_slack_that_is_no_number(build: Build) -> None:
    done = run("bitstream/build.tcl", build("small", "pynq-z2")[1], answers={"SLACK": "inf"})
    assert done.status == 1
    assert told(done)[-1] == "gatewright: failed: the slack of a path is inf"


@needs_tclsh
@pytest.mark.parametrize("name", ["rtl/quant_3_level0.mem", "kernel/component.xml", "kernel/net_core.sv"])
def test_what_is_missing_ends_it(name: str, build: Build, tmp_path: Path) -> None:
    folder = tmp_path / "build"
    shutil.copytree(build("several", "pynq-z2")[1], folder)
    (folder / name).unlink()
    done = run("bitstream/build.tcl", folder)
    assert (done.status, bool(done.findings)) == (1, True)
    assert not [file for file in done.files if file.startswith("bitstream/out/")]


# What is replaced by what, and what is said of it.
FAULTS = {
    "the part of another board": ("set part {xc7z020clg400-1}", "set part {xczu7ev-ffvc1156-2-e}", "not for xczu7ev"),
    "no such part": ("set part {xc7z020clg400-1}", "set part {xc7z020clg400-9}", "part xc7z020clg400-9 is not instal"),
    "a misspelt option": ("-target_address_space", "-target_adress_space", "no option '-target_adress_space'"),
    "no such command": ("place_design", "place_designs", "no command 'place_designs'"),
    "no such pin": ("/FCLK_CLK0]", "/FCLK_CLK9]", "get_bd_pins processing_system7_0/FCLK_CLK9 in line"),
    "a port that is off": ("_USE_S_AXI_HP1 {1}", "_USE_S_AXI_HP1 {0}", "processing_system7_0/S_AXI_HP1_ACLK in line"),
    "a parameter that there is not": ("PCW_USE_S_AXI_HP0 ", "PCW_USE_S_AXI_HPO ", "no parameter 'PCW_USE_S_AXI_HPO'"),
    "registers outside of what the port reaches": ("-offset 0x43C00000", "-offset 0x10000000", "reach of M_AXI_GP0"),
    "registers at an odd address": ("-offset 0x43C00000", "-offset 0x43C00800", "must be a multiple of the range"),
    "two masters on one slave": ("pins memory0/S01_AXI]", "pins memory0/S00_AXI]", "memory0/S00_AXI is joined to /net"),
    "no slave for the second master": ("CONFIG.NUM_SI {2}", "CONFIG.NUM_SI {1}", "get_bd_intf_pins memory0/S01_AXI"),
    "no clock at a SmartConnect": ("[get_bd_pins memory1/aclk]", "", "clock input /memory1/aclk is not driven"),
    "no reset at the kernel": ("[get_bd_pins net_kernel_1/ap_rst_n]", "", "/net_kernel_1/ap_rst_n is not driven"),
    "steps out of order": ("opt_design\n", "route_design\n", "must be placed before, and is synthesised"),
    "memory that is too small": ("HP0_DDR_LOWOCM 0x20000000", "HP0_DDR_LOWOCM 0x30000000", "must be a power of two"),
    "another segment": ("HP2_DDR_LOWOCM", "HP3_DDR_LOWOCM", "S_AXI_HP2 has 0 segments called HP3_DDR_LOWOCM"),
    "no wrapper": ("read_verilog [make_wrapper -files $design -top]", "", "top 'system_wrapper' is no module of the"),
}  # fmt: skip


@needs_tclsh
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_it_is_found(fault: str, build: Build, tmp_path: Path) -> None:
    folder, (old, new, said) = tmp_path / "build", FAULTS[fault]
    shutil.copytree(build("several", "pynq-z2")[1], folder)
    script = folder / "bitstream" / "build.tcl"
    text = script.read_text()
    assert old in text
    script.write_text(text.replace(old, new, 1))
    done = run("bitstream/build.tcl", folder)
    assert done.status == 1 and any(said in finding.what for finding in done.findings), done.findings
    assert not [file for file in done.files if file.startswith("bitstream/out/")]

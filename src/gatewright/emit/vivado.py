# SPDX-License-Identifier: Apache-2.0
"""A kernel on a Zynq board -> the Tcl that Vivado makes its bitstream of.

build.tcl     the whole flow, in Non-Project Mode: block design, synthesis, implementation, reports, bitstream
README.txt    how to run it, and what it leaves

The block design is the processing system, the kernel, a SmartConnect in front of its registers, and one for every port
of the processing system that its memory ports share. Sources: PG082 (Processing System 7), PG201 (Zynq UltraScale+
MPSoC Processing System), PG247 (SmartConnect), PG164 (Processor System Reset), UG994 (block designs).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gatewright.boards import Board
from gatewright.emit.files import FileSet
from gatewright.emit.kernel_ip import CLOCK, CONTROL, RESET, instance, vlnv
from gatewright.emit.project import Project
from gatewright.emit.vivado_tcl import DESIGN, IMPLEMENT, OPEN, PHASES, REGARDLESS, SCRIPT_HEADER, USAGE
from gatewright.emit.zynq import FAMILIES, Clock, Zynq, clock, port_number
from gatewright.errors import ConfigError
from gatewright.runtime.kernel_map import KernelMap

SLAVES = 16
"""Of a SmartConnect, at most (PG247 "Feature Summary")."""


def memory_ports(kernel: KernelMap, board: Board) -> dict[str, str]:
    """By each of the kernel's masters, the port of the board's memory that it is joined to."""
    return {f"m_axi_{p}": board.memory_ports[i % len(board.memory_ports)] for i, p in enumerate(kernel.ports)}


def emit(project: Project) -> FileSet:
    """The scripts, by path from the project's folder.

    Raises:
        ConfigError: the board is no Zynq, or one whose processing system has no such ports or no such clock; the kernel
            has more ports than can be joined.
    """
    zynq = _check(project)
    files = FileSet()
    settings = {
        "stem": project.stem,
        "part": project.board.part,
        "kernel": vlnv(project.kernel),
        "memory_files": " ".join(project.memory_files),
    }
    lines = [f"set {name} {{{value}}}" for name, value in settings.items()]
    lines.append("set phases {" + "".join(f"\n  {{{name}}}" for name in PHASES) + "\n}\n\n")
    design = "".join(f"  {line}\n" if line else "\n" for line in _block_design(project, zynq))
    files.add("build.tcl", SCRIPT_HEADER + USAGE + "\n".join(lines) + OPEN + design + IMPLEMENT)
    files.add("README.txt", _readme(project))
    return files


def _check(project: Project) -> Zynq:
    board = project.board
    if board.flow != "vivado":
        raise ConfigError(f"board {board.name} is made by the flow {board.flow!r}, and Vivado's script is for a Zynq")
    zynq = FAMILIES[board.family]
    for port in board.memory_ports:
        if port not in zynq.ports:
            raise ConfigError(
                f"board {board.name}: the processing system has no memory port {port!r}: use {', '.join(zynq.ports)}"
            )
    if board.memory_bits not in zynq.widths:
        widths = " or ".join(map(str, zynq.widths))
        raise ConfigError(
            f"board {board.name}: memory bits={board.memory_bits}: a port of the processing system has {widths}"
        )
    most = SLAVES * len(board.memory_ports)
    if len(project.kernel.ports) > most:
        raise ConfigError(
            f"{project.kernel.kernel} has {len(project.kernel.ports)} memory ports, and the SmartConnects in front of "
            f"{len(board.memory_ports)} ports of {board.name} join at most {most}: stream fewer layers' weights"
        )
    return zynq


# --- block design -----------------------------------------------------------------------------------------------------


def _block_design(project: Project, zynq: Zynq) -> Iterator[str]:
    ports: dict[str, list[str]] = {}
    for master, port in memory_ports(project.kernel, project.board).items():
        ports.setdefault(port, []).append(master)
    yield f"create_bd_design {DESIGN}"
    yield from _processing_system(project, zynq, list(ports))
    yield ""
    yield f"create_bd_cell -type ip -vlnv $kernel {instance(project.kernel)}"
    yield "create_bd_cell -type ip -vlnv [newest proc_sys_reset] reset"
    yield from _connect("control", 1)
    yield from (line for port, masters in ports.items() for line in _connect(_memory(port), len(masters)))
    yield ""
    yield from _nets(project, zynq, list(ports))
    yield ""
    yield from _control(project, zynq)
    for port, masters in ports.items():
        yield ""
        yield from _memory_port(project, zynq, port, masters)


def _processing_system(project: Project, zynq: Zynq, ports: list[str]) -> Iterator[str]:
    ps, given = zynq.cell, clock(zynq, project.mhz)
    yield f"create_bd_cell -type ip -vlnv [newest {zynq.ip}] {ps}"
    yield f"apply_bd_automation -rule xilinx.com:bd_rule:{zynq.ip} \\"
    yield f'  -config {{apply_board_preset "0" {zynq.automation}}} [get_bd_cells {ps}]'
    yield _set(ps, _settings(project, ports, given))
    if override := _override(project.board, zynq, given):
        yield _set(ps, override)
    yield f"check_clock [get_property CONFIG.{zynq.reached} [get_bd_cells {ps}]] {_text(given.mhz)}"


def _nets(project: Project, zynq: Zynq, ports: list[str]) -> Iterator[str]:
    """One clock, one reset, one interrupt."""
    ps, cell, connects = zynq.cell, instance(project.kernel), ["control", *map(_memory, ports)]
    clocks = [f"{ps}/{pin}" for pin in (zynq.control_clock, *map(zynq.clock_of, ports))]
    aclks, aresetns = ([f"{c}/{pin}" for c in connects] for pin in ("aclk", "aresetn"))
    yield _net(f"{ps}/{zynq.clock}", "reset/slowest_sync_clk", f"{cell}/{CLOCK}", *aclks, *clocks)
    yield _net(f"{ps}/{zynq.reset}", "reset/ext_reset_in")
    yield _net("reset/peripheral_aresetn", f"{cell}/{RESET}", *aresetns)
    yield _net(f"{cell}/interrupt", f"{ps}/{zynq.interrupt}")


def _control(project: Project, zynq: Zynq) -> Iterator[str]:
    """The registers, where bundles look for them."""
    ps, registers = zynq.cell, f"{instance(project.kernel)}/{CONTROL}"
    yield _bus(f"{ps}/{zynq.control}", "control/S00_AXI")
    yield _bus("control/M00_AXI", registers)
    base, size = project.board.control_base, project.kernel.control_bytes
    yield f"assign_bd_address -offset 0x{base:08X} -range 0x{size:08X} \\"
    yield f"  -target_address_space [get_bd_addr_spaces {ps}/Data] \\"
    yield f"  [get_bd_addr_segs -of_objects [get_bd_intf_pins {registers}]] -force"


def _connect(name: str, slaves: int) -> Iterator[str]:
    yield f"create_bd_cell -type ip -vlnv [newest smartconnect] {name}"
    yield f"set_property -dict [list CONFIG.NUM_SI {{{slaves}}} CONFIG.NUM_MI {{1}}] [get_bd_cells {name}]"


def _memory(port: str) -> str:
    """The SmartConnect in front of a memory port."""
    return f"memory{port_number(port)}"


def _memory_port(project: Project, zynq: Zynq, port: str, masters: list[str]) -> Iterator[str]:
    """A memory port, what is joined to it, and what these masters reach through it: memory, and nothing else."""
    board, connect = project.board, _memory(port)
    yield _bus(f"{connect}/M00_AXI", f"{zynq.cell}/{port}")
    size = 1 << (board.memory_base + board.memory_bytes - 1).bit_length()
    for i, master in enumerate(masters):
        space = f"{instance(project.kernel)}/{master}"
        yield _bus(space, f"{connect}/S{i:02d}_AXI")
        yield f"map_memory {space} {zynq.cell}/{port} HP{port_number(port)}_{zynq.segment} 0x{size:08X}"


def _net(source: str, *sinks: str) -> str:
    pins = " ".join(f"[get_bd_pins {pin}]" for pin in (source, *sinks))
    return f"connect_bd_net {pins}".replace("] [", "] \\\n    [") if len(sinks) > 1 else f"connect_bd_net {pins}"


def _bus(master: str, slave: str) -> str:
    return f"connect_bd_intf_net [get_bd_intf_pins {master}] [get_bd_intf_pins {slave}]"


def _set(cell: str, parameters: Mapping[str, str]) -> str:
    values = "".join(f" \\\n    CONFIG.{name} {{{value}}}" for name, value in parameters.items())
    return f"set_property -dict [list{values}] [get_bd_cells {cell}]"


def _text(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _settings(project: Project, ports: list[str], given: Clock) -> dict[str, str]:
    """Parameters of the processing system: ports, their widths, one clock, its reset, one interrupt.

    Memory ports are as wide as they can be whatever the kernel's are: software sets the width of a Zynq's ports when it
    boots, and PYNQ not again.
    """
    used, bits, mhz = {port_number(p) for p in ports}, str(project.board.memory_bits), _text(given.mhz)
    if project.board.family == "xc7":
        return {
            "PCW_CRYSTAL_PERIPHERAL_FREQMHZ": _text(FAMILIES["xc7"].oscillator_mhz),
            "PCW_USE_M_AXI_GP0": "1",
            **dict.fromkeys(("PCW_USE_M_AXI_GP1", "PCW_USE_S_AXI_GP0", "PCW_USE_S_AXI_GP1", "PCW_USE_S_AXI_ACP"), "0"),
            **{f"PCW_USE_S_AXI_HP{i}": str(int(i in used)) for i in range(4)},
            **{f"PCW_S_AXI_HP{i}_DATA_WIDTH": bits for i in sorted(used)},
            "PCW_EN_CLK0_PORT": "1",
            "PCW_EN_RST0_PORT": "1",
            "PCW_FCLK0_PERIPHERAL_CLKSRC": "IO PLL",
            "PCW_FPGA0_PERIPHERAL_FREQMHZ": mhz,
            "PCW_USE_FABRIC_INTERRUPT": "1",
            "PCW_IRQ_F2P_INTR": "1",
        }
    return {
        "PSU__USE__M_AXI_GP0": "1",
        "PSU__MAXIGP0__DATA_WIDTH": "128",
        **dict.fromkeys(("PSU__USE__M_AXI_GP1", "PSU__USE__M_AXI_GP2"), "0"),
        **{f"PSU__USE__S_AXI_GP{i}": str(int(i - 2 in used)) for i in range(7)},
        **{f"PSU__SAXIGP{i + 2}__DATA_WIDTH": bits for i in sorted(used)},
        "PSU__FPGA_PL0_ENABLE": "1",
        "PSU__CRL_APB__PL0_REF_CTRL__SRCSEL": "IOPLL",
        "PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ": mhz,
        "PSU__USE__IRQ0": "1",
    }


def _override(board: Board, zynq: Zynq, given: Clock) -> dict[str, str]:
    """A Zynq's PLL and dividers by hand, once all else follows from the oscillator.

    Left alone, Vivado takes an I/O PLL of 1,600 MHz where no peripheral asks for another, and its clock may be one that
    the board, whose PLL runs at 1,000 MHz, has not.
    """
    if board.family != "xc7":
        return {}
    return {
        "PCW_OVERRIDE_BASIC_CLOCK": "1",
        "PCW_IOPLL_CTRL_FBDIV": str(zynq.multiplier),
        **{f"PCW_FCLK0_PERIPHERAL_DIVISOR{i}": str(d) for i, d in enumerate(given.dividers)},
    }


# --- for people -------------------------------------------------------------------------------------------------------


def _readme(project: Project) -> str:
    board, given = project.board, clock(FAMILIES[project.board.family], project.mhz)
    files = f"out/{project.stem}.bit, .hwh"
    out, reports, work = (name.ljust(len(files)) for name in (files, "reports/", "work/"))
    return f"""\
The bitstream of {project.name} for {board.title} ({board.part}) at {_text(given.mhz)} MHz

In this folder, with Vivado 2020.2 or newer (source its settings64.sh first):

    vivado -mode batch -nojournal -nolog -notrace -source build.tcl

build.tcl reads the sources in ../rtl and ../kernel; a copy of the three folders works anywhere. It leaves

    {out}   the bitstream, and PYNQ's description of it
    {reports}   timing.rpt, path.rpt, utilization.rpt, utilization_units.rpt, power.rpt
    {work}   all that is in between; it can go

and exits with 0. After any error it exits with 1, and out/ is not there. A design that is too slow is an error too:
reports/ tell by how much, and `-tclargs {REGARDLESS}` behind the command makes the bitstream all the same.
"""

# SPDX-License-Identifier: Apache-2.0
"""A kernel on an Alveo card -> what Vitis makes its .xclbin of.

package_xo.tcl    in Vivado: the sources as an IP with files of its own, then the kernel object STEM.xo
kernel.xml        what Vitis and XRT know of the kernel: its ports, and where its arguments lie
link.cfg          for v++: platform, clock, memory bank of every port, region of the kernel
after_route.tcl   two more reports, by unit and on power, which v++ has Vivado make
build.sh          runs both; out/STEM.xclbin is there when everything went well, and reports/ beside it

Options and keys are those of UG1393 2020.2 to 2023.2 and of UG1702 after it ("v++ General Options", "--connectivity
Options", "--vivado Options", "package_xo Command", "RTL Kernel XML File").
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from gatewright.boards import Board, Vitis
from gatewright.emit.files import FileSet
from gatewright.emit.ipxact import Register
from gatewright.emit.ipxact_xml import VENDOR, VERSION
from gatewright.emit.kernel_ip import CLOCK, CONTROL, HANDSHAKE, LIBRARY, RESET, arguments, instance, vlnv
from gatewright.emit.project import ROOT, Project
from gatewright.emit.vitis_scripts import AFTER_ROUTE, PACKAGE, SCRIPT_HEADER, SHELL, braced
from gatewright.errors import ConfigError
from gatewright.runtime.kernel_map import KernelMap

ALL_ADDRESSES = 0xFFFF_FFFF_FFFF_FFFF
"""What a master of 64 bits reaches, as UG1393 "RTL Kernel XML File" writes it."""
GLOBAL_MEMORY, SCALAR = "1", "0"
"""addressQualifier of an argument."""
SHARE = 0.3
"""Of a region, that a kernel may be sure of: platforms were seen to leave 0.4 (UG1393 "Resource Availability"), and the
placer needs room."""
WORK = "vitis"
"""Folder of all that is in between, beside the scripts."""


@dataclass(frozen=True)
class Bank:
    """A memory bank of a card, by the name that v++ gives it, and the region (SLR) that its controller lies in."""

    name: str
    slr: int


def emit(project: Project) -> FileSet:
    """The scripts, by path from the project's folder.

    Raises:
        ConfigError: the board is no Alveo card, or the kernel's name is none for an IP.
    """
    files = FileSet()
    files.add("package_xo.tcl", package(project))
    files.add("kernel.xml", kernel_xml(project.kernel))
    files.add("link.cfg", link(project))
    files.add("after_route.tcl", AFTER_ROUTE)
    files.add("build.sh", SHELL.format(stem=project.stem, work=WORK, header=SCRIPT_HEADER))
    return files


# --- kernel.xml -------------------------------------------------------------------------------------------------------


def kernel_xml(kernel: KernelMap) -> str:
    """The text of `kernel.xml`, after UG1393 "RTL Kernel XML File"."""
    root = ElementTree.Element("root", versionMajor="1", versionMinor="6")
    element = ElementTree.SubElement(
        root, "kernel", name=kernel.kernel, language="ip_c", vlnv=vlnv(kernel), attributes="",
        preferredWorkGroupSizeMultiple="0", workGroupSize="1", interrupt="true", hwControlProtocol="ap_ctrl_hs",
    )  # fmt: skip
    ports = ElementTree.SubElement(element, "ports")
    _port(ports, CONTROL, "slave", kernel.control_bytes, 32)
    for port in kernel.ports:
        _port(ports, f"m_axi_{port}", "master", ALL_ADDRESSES, kernel.bus_bits)
    found = ElementTree.SubElement(element, "args")
    for index, argument in enumerate(arguments(kernel)):
        _argument(found, index, argument)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _port(ports: ElementTree.Element, name: str, mode: str, reach: int, bits: int) -> None:
    ElementTree.SubElement(
        ports, "port", name=name, mode=mode, range=f"0x{reach:X}", dataWidth=str(bits), portType="addressable",
        base="0x0",
    )  # fmt: skip


def _argument(args: ElementTree.Element, index: int, argument: Register) -> None:
    """An address or a number; both are as many bytes for the host as in the registers."""
    port = argument.parameters.get("ASSOCIATED_BUSIF")
    size = hex(argument.bits // 8)
    ElementTree.SubElement(
        args, "arg", name=argument.name, addressQualifier=SCALAR if port is None else GLOBAL_MEMORY, id=str(index),
        port=str(port or CONTROL), size=size, offset=hex(argument.offset), hostOffset="0x0", hostSize=size,
        type="uint" if port is None else "int*",
    )  # fmt: skip


# --- package_xo.tcl ---------------------------------------------------------------------------------------------------


def package(project: Project) -> str:
    """The text of `package_xo.tcl`."""
    kernel = project.kernel
    if "__" in kernel.kernel or kernel.kernel != kernel.kernel.strip("_"):
        raise ConfigError(
            f"the kernel {kernel.kernel!r} cannot be an IP, whose names have single underscores between letters: "
            "rename the model"
        )
    described = [
        (r.name, hex(r.offset), r.bits, str(r.parameters.get("ASSOCIATED_BUSIF", "")))
        for r in (*HANDSHAKE, *arguments(kernel))
    ]
    return PACKAGE.format(
        header=SCRIPT_HEADER,
        top=kernel.kernel,
        vendor=VENDOR,
        library=LIBRARY,
        version=VERSION,
        description=f"{project.name} by Gatewright, hash {kernel.hash}",
        part=project.board.part,
        work=WORK,
        stem=project.stem,
        clock=CLOCK,
        reset=RESET,
        control=CONTROL,
        control_bytes=kernel.control_bytes,
        sources=_lines(f"{ROOT}/{path}" for path in project.sources),
        memories=_lines(f"{ROOT}/{path}" for path in project.memory_files),
        masters=_lines(f"m_axi_{port}" for port in kernel.ports),
        registers=_lines(" ".join(braced(str(word)) for word in register) for register in described),
    )


def _lines(words: Iterator[str]) -> str:
    """The elements of a Tcl list, each on a line of its own."""
    return "".join(f"\n  {braced(word)}" for word in words)


# --- link.cfg ---------------------------------------------------------------------------------------------------------


def link(project: Project) -> str:
    """The text of `link.cfg`."""
    board, unit = project.board, instance(project.kernel)
    placed = placement(project)
    lines = [
        f"platform={_card(board).platform}",
        f"kernel_frequency=0:{kernel_mhz(project)}",
        "save-temps=1",
        f"temp_dir={WORK}/link",
        f"log_dir={WORK}/logs",
        f"report_dir={WORK}/reports",
        "",
        "[connectivity]",
        f"nk={project.kernel.kernel}:1:{unit}",
        *_region(project, list(placed.values())),
        *(f"sp={unit}.{port}:{bank.name}" for port, bank in placed.items()),
        "",
        "[vivado]",
        "prop=run.impl_1.STEPS.PHYS_OPT_DESIGN.IS_ENABLED=true",
    ]
    return SCRIPT_HEADER + "\n".join(lines) + "\n"


def kernel_mhz(project: Project) -> int:
    """What v++ is asked for, which takes whole megahertz: never less than the project's clock."""
    return math.ceil(project.mhz - 1e-9)


def banks(board: Board) -> list[Bank]:
    """The memory banks of a card, in the order of its record; a range such as HBM[0:31] is as many.

    Raises:
        ConfigError: the board is no Alveo card.
    """
    found: list[Bank] = []
    for port, slr in zip(board.memory_ports, _card(board).slr, strict=True):
        match = re.fullmatch(r"(\w+)\[(\d+):(\d+)\]", port)
        if match is None:
            found.append(Bank(port, slr))
        else:
            first, last = int(match[2]), int(match[3])
            found += [Bank(f"{match[1]}[{i}]", slr) for i in range(first, last + 1)]
    return found


def _card(board: Board) -> Vitis:
    if board.flow != "vitis" or board.vitis is None:
        raise ConfigError(
            f"board {board.name}: flow {board.flow!r}, and no platform for Vitis in its record: only Alveo cards are "
            "linked with v++"
        )
    return board.vitis


def placement(project: Project) -> dict[str, Bank]:
    """The bank of every memory port of the kernel: a bank for each, as long as there are any.

    No port waits for another then, and each pseudo channel of HBM is reached by the way that is its own.
    """
    found = banks(project.board)
    return {f"m_axi_{port}": found[i % len(found)] for i, port in enumerate(project.kernel.ports)}


def _region(project: Project, placed: list[Bank]) -> list[str]:
    """The kernel in the region nearest to its banks; v++ spreads one that is too large for what may be left of any."""
    board = project.board
    share = {name: board.capacity[name] / _card(board).regions * SHARE for name in board.capacity}
    large = [name for name, need in project.needs.items() if need > share.get(name, 0) and need > 0]
    if large:
        return [f"# no slr=: the kernel may need more {large[0]} than a platform leaves of one region"]
    return [f"slr={instance(project.kernel)}:SLR{nearest(placed)}"]


def nearest(placed: Sequence[Bank]) -> int:
    """The region from which the banks are the fewest crossings away, the lowest of several."""
    regions = range(max(bank.slr for bank in placed) + 1)
    return min(regions, key=lambda slr: sum(abs(bank.slr - slr) for bank in placed))

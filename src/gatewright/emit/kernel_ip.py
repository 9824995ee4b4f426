# SPDX-License-Identifier: Apache-2.0
"""Design -> the whole folder `kernel`: the kernel, and its packaging as an IP.

component.xml     its IP-XACT description, from which `package_xo` of Vitis also makes the kernel's arguments
xgui/             the page of settings that belongs to it

Registers that a caller sets are described, those of the status block are not: Vitis takes each register of the
description behind the control and interrupt registers for an argument of the kernel (UG1393 "RTL Kernel XML File").
"""

from __future__ import annotations

from typing import Literal

from gatewright.design.plan import Design
from gatewright.emit import ipxact_xml, kernel, kernel_text, rtl
from gatewright.emit.files import FileSet
from gatewright.emit.hls_bench import argument_names
from gatewright.emit.ipxact import FAMILIES, Component, Field, Interface, Pin, Register, clock_and_reset, revision
from gatewright.runtime import kernel_map as registers
from gatewright.runtime.kernel_map import KernelMap

CLOCK, RESET, CONTROL = "ap_clk", "ap_rst_n", "s_axi_control"
LIBRARY: Literal["kernel"] = "kernel"
OUTSTANDING = 16
"""Bursts that a master of rtl/kernel may have asked for and not got: its parameter of that name."""


def emit(design: Design, bus_bits: int) -> FileSet:
    """All files of the folder; the packaging only for families that Vivado knows.

    Args:
        bus_bits: width of the memory ports: 32, 64, 128, 256 or 512.

    Raises:
        ConfigError: another width; an operator has no RTL kernel.
    """
    files = kernel.emit(design, bus_bits)
    if design.board.family not in FAMILIES:
        return files
    for path, text in ipxact_xml.emit(component(design, bus_bits, files)):
        files.add(path, text)
    return files


def vlnv(kernel: KernelMap) -> str:
    """Vendor, library, name and version of the IP."""
    return f"{ipxact_xml.VENDOR}:{LIBRARY}:{kernel.kernel}:{ipxact_xml.VERSION}"


def instance(kernel: KernelMap) -> str:
    """The only instance of the kernel in a block design, an .xclbin and `Overlay.ip_dict`, as Vitis numbers it."""
    return f"{kernel.kernel}_1"


def component(design: Design, bus_bits: int, files: FileSet) -> Component:
    """The IP's description.

    Args:
        bus_bits: width of the memory ports.
        files: of the kernel.
    """
    found = kernel.kernel_map(design.graph, design.structure, bus_bits)
    # kernel.json among the files has a hash of all weights.
    kernels = {f"../rtl/kernels/{path.name}": path.read_text() for path in rtl.kernel_sources(design.structure)}
    buses = (_control(found), *(_master(found, i) for i in range(len(found.ports))))
    clock, reset = clock_and_reset(CLOCK, RESET, tuple(b.name for b in buses), design.mhz)
    interrupt = Interface("interrupt", "interrupt", "master", {"INTERRUPT": Pin("interrupt", "out")},
                          {"SENSITIVITY": "LEVEL_HIGH"})  # fmt: skip
    return Component(
        library=LIBRARY,
        top=found.kernel,
        title=f"{found.name} (kernel)",
        description=f"The network {found.name} with registers and memory ports, made by Gatewright for "
        f"{design.board.name} at {design.mhz:g} MHz; hash {found.hash}",
        interfaces=(clock, reset, *buses, interrupt),
        sources=(
            *(_from_here(path) for path in found.sources),
            *(f"../rtl/{name}" for name, _ in rtl.memory_files(design.structure)),
        ),
        family=design.board.family,
        revision=revision(FileSet({**files.files, **kernels})),
    )


def _from_here(path: str) -> str:
    """A path of the build, seen from the folder of the kernel."""
    return path.removeprefix("kernel/") if path.startswith("kernel/") else f"../{path}"


def _pins(bus: str, pins: list[kernel_text.Pin]) -> dict[str, Pin]:
    return {
        p.name.upper(): Pin(f"{bus}_{p.name}", "out" if p.output else "in", p.bits if p.bits > 1 else None)
        for p in pins
    }


def _control(found: KernelMap) -> Interface:
    parameters: dict[str, str | int] = {
        "PROTOCOL": "AXI4LITE",
        "DATA_WIDTH": 32,
        "ADDR_WIDTH": found.control_bytes.bit_length() - 1,
        "READ_WRITE_MODE": "READ_WRITE",
        "HAS_BURST": 0,
    }
    return Interface(
        CONTROL,
        "aximm",
        "slave",
        _pins(CONTROL, kernel_text.control_pins(found)),
        parameters,
        "registers",
        (*HANDSHAKE, *arguments(found)),
        found.control_bytes,
    )


def _master(found: KernelMap, index: int) -> Interface:
    reading, bus = kernel_text.reads(found, index), f"m_axi_{found.ports[index]}"
    way = ("READ", "WRITE") if reading else ("WRITE", "READ")
    parameters: dict[str, str | int] = {
        "PROTOCOL": "AXI4",
        "DATA_WIDTH": found.bus_bits,
        "ADDR_WIDTH": 64,
        "ID_WIDTH": 1,
        "READ_WRITE_MODE": f"{way[0]}_ONLY",
        "HAS_BURST": 0,  # none but incrementing ones (UG1393 "Package the RTL Code as a Vivado IP")
        "SUPPORTS_NARROW_BURST": 0,
        "MAX_BURST_LENGTH": kernel_text.burst_words(found.bus_bits),
        f"NUM_{way[0]}_OUTSTANDING": OUTSTANDING,
        f"NUM_{way[1]}_OUTSTANDING": 0,
    }
    return Interface(
        bus, "aximm", "master", _pins(bus, kernel_text.master_pins(found, index)), parameters,
        f"{'reads' if reading else 'writes'} {_what(found, index)}", range_bytes=1 << 64,
    )  # fmt: skip


def _what(found: KernelMap, index: int) -> str:
    if index < len(found.arguments):
        argument = found.arguments[index]
        return f"frames of {ascii(argument.name)}, {argument.frame_bytes} bytes each"
    weights = found.weights[index - len(found.arguments)]
    return f"{weights.name}, {weights.image_bytes} bytes, again and again"


def arguments(found: KernelMap) -> list[Register]:
    """Addresses and the number of frames, in the order of their registers, under the names of the HLS kernel."""
    ins, outs = argument_names(found)
    addresses = [
        Register(name, a.register, f"Address of the frames of {ascii(a.name)}", 64,
                 parameters={"ASSOCIATED_BUSIF": f"m_axi_{a.port}"})
        for name, a in zip((*ins, *outs), found.arguments, strict=True)
    ]  # fmt: skip
    images = [
        Register(w.name, w.register, f"Address of {w.image_bytes} bytes that never change", 64,
                 parameters={"ASSOCIATED_BUSIF": f"m_axi_{w.port}"})
        for w in found.weights
    ]  # fmt: skip
    return [*addresses, Register("frames", found.frames_register, "How many frames to run"), *images]


_CLEARED = ("readAction", "clear")
_TOGGLED = ("modifiedWriteValue", "oneToToggle")
HANDSHAKE = (
    Register("CTRL", registers.CONTROL, "Control (ap_ctrl_hs)", fields=(
        Field("AP_START", 0, "read-write", "Start; clears itself when the run is done"),
        Field("AP_DONE", 1, "read-only", "The run is done", _CLEARED),
        Field("AP_IDLE", 2, "read-only", "No run is on"),
        Field("AP_READY", 3, "read-only", "The next run may be started", _CLEARED),
        Field("AUTO_RESTART", 7, "read-write", "Start again when the run is done"),
        Field("INTERRUPT", 9, "read-only", "The pin interrupt"),
    )),
    Register("GIER", registers.GLOBAL_INTERRUPT, "Global interrupt enable", fields=(
        Field("Enable", 0, "read-write", "Let interrupts out"),
    )),
    Register("IP_IER", registers.INTERRUPT_ENABLE, "Interrupt enable", fields=(
        Field("CHAN0_INT_EN", 0, "read-write", "When a run is done"),
        Field("CHAN1_INT_EN", 1, "read-write", "When the next run may be started"),
    )),
    Register("IP_ISR", registers.INTERRUPT_STATUS, "Interrupt status", fields=(
        Field("CHAN0_INT_ST", 0, "read-write", "A run was done", _TOGGLED),
        Field("CHAN1_INT_ST", 1, "read-write", "The next run could be started", _TOGGLED),
    )),
)  # fmt: skip

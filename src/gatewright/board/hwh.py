# SPDX-License-Identifier: Apache-2.0
"""A hardware handoff (.hwh): what PYNQ reads about a bitstream whose only IP is a kernel.

It says what `pynq.Overlay` asks for, and no more: where the kernel's registers lie and what they are called, which
ports of the processing system it is joined to, and the clocks. There are no nets, and the interrupt is left out: over
the network PYNQ has none.

The format is that of Vivado 2020.2 to 2024.1, as the parser of the package `pynqmetadata` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree

from gatewright.board.ps import CLOCKS, ProcessingSystem, processing_system
from gatewright.boards import Board
from gatewright.emit.ipxact import Field
from gatewright.emit.kernel_ip import HANDSHAKE, instance, vlnv
from gatewright.emit.vivado import memory_ports
from gatewright.emit.zynq import FAMILIES
from gatewright.runtime.kernel_map import KernelMap

_AXI = "xilinx.com:interface:aximm:1.0"


def emit(kernel: KernelMap, board: Board, base_address: int, mhz: float) -> str:
    """The text of the .hwh.

    Args:
        kernel: what the registers are.
        board: where it runs.
        base_address: of the control registers.
        mhz: of the kernel's clock; the handoff says the nearest that the processing system can give.

    Raises:
        ConfigError: the board is no Zynq.
    """
    ps = processing_system(board)
    root = ElementTree.Element("EDKSYSTEM", EDWVERSION="1.2", TIMESTAMP="", VIVADOVERSION="")
    device, _, package = board.part.partition("-")
    arch = "zynq" if board.family == "xc7" else "zynquplus"
    _add(root, "SYSTEMINFO", ARCH=arch, DEVICE=device, NAME=kernel.name, PACKAGE=package)
    _add(root, "EXTERNALPORTS")
    _add(root, "EXTERNALINTERFACES")
    modules = _add(root, "MODULES")
    _processor(modules, kernel, board, ps, base_address, mhz)
    _kernel(modules, kernel, board)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _add(parent: ElementTree.Element, tag: str, **attributes: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, tag, attributes)


def _module(modules: ElementTree.Element, name: str, kind: str, identity: str, **more: str) -> ElementTree.Element:
    version = identity.rpartition(":")[2]
    return _add(modules, "MODULE", FULLNAME=f"/{name}", HWVERSION=version, INSTANCE=name, IPTYPE="PERIPHERAL",
                IS_ENABLE="1", MODCLASS="PERIPHERAL", MODTYPE=kind, VLNV=identity, **more)  # fmt: skip


def _bus(parent: ElementTree.Element, name: str, kind: str, joined: str, bits: int) -> None:
    _add(_add(parent, "BUSINTERFACE", BUSNAME=joined, DATAWIDTH=str(bits), NAME=name, TYPE=kind, VLNV=_AXI), "PORTMAPS")


def _range(parent: ElementTree.Element, kind: str, block: str, base: int, size: int, **where: str) -> None:
    _add(parent, "MEMRANGE", ADDRESSBLOCK=block, BASEVALUE=f"0x{base:08X}", HIGHVALUE=f"0x{base + size - 1:08X}",
         IS_DATA="TRUE", IS_INSTRUCTION="TRUE", MEMTYPE=kind, **where)  # fmt: skip


def _processor(
    modules: ElementTree.Element, kernel: KernelMap, board: Board, ps: ProcessingSystem, base: int, mhz: float
) -> None:
    version, zynq = "5.5" if board.family == "xc7" else "3.5", FAMILIES[board.family]
    module = _module(modules, zynq.cell, ps.metadata, f"xilinx.com:ip:{ps.metadata}:{version}", IS_PL="FALSE")
    parameters = _add(module, "PARAMETERS")
    for name, value in _clock_parameters(ps, mhz).items():
        _add(parameters, "PARAMETER", NAME=name, VALUE=value)
    _add(module, "PORTS")
    buses = _add(module, "BUSINTERFACES")
    _bus(buses, zynq.control, "MASTER", f"{instance(kernel)}_s_axi_control", 32)
    for port in dict.fromkeys(memory_ports(kernel, board).values()):
        _bus(buses, port, "SLAVE", f"{zynq.cell}_{port}", board.memory_bits)
    memory = _add(module, "MEMORYMAP")
    _range(memory, "REGISTER", "reg0", base, kernel.control_bytes, BASENAME="C_BASEADDR", HIGHNAME="C_HIGHADDR",
           INSTANCE=instance(kernel), MASTERBUSINTERFACE=zynq.control,
           SLAVEBUSINTERFACE="s_axi_control")  # fmt: skip
    _add(_add(module, "PERIPHERALS"), "PERIPHERAL", INSTANCE=instance(kernel))


def _clock_parameters(ps: ProcessingSystem, mhz: float) -> Mapping[str, str]:
    """Clocks under the names of their family; frequencies under UltraScale+ names too, by which PYNQ asks for both.

    Widths of memory ports are left out: PYNQ sets them on its active device, which need not be the one it was given.
    """
    dividers = ps.nearest(mhz)
    reached = ps.source_mhz(ps.registers) / (dividers[0] * dividers[1])
    zynq = ps.metadata == "processing_system7"
    parameters: dict[str, str] = {}
    for i in range(CLOCKS):
        used, values = i == 0, dividers if i == 0 else (1, 1)
        both = f"PSU__CRL_APB__PL{i}_REF_CTRL"
        names = (f"PCW_FCLK{i}_PERIPHERAL_DIVISOR", f"PCW_FPGA_FCLK{i}_ENABLE", f"PCW_FCLK{i}_PERIPHERAL_CLKSRC") if \
            zynq else (f"{both}__DIVISOR", f"PSU__FPGA_PL{i}_ENABLE", f"{both}__SRCSEL")  # fmt: skip
        parameters |= {f"{names[0]}{j}": str(value) for j, value in enumerate(values)}
        parameters |= {names[1]: str(int(used)), names[2]: "IO PLL" if zynq else "IOPLL"}
        if used:
            parameters[f"{both}__ACT_FREQMHZ"] = f"{reached:.6f}"
            if zynq:
                parameters[f"PCW_ACT_FPGA{i}_PERIPHERAL_FREQMHZ"] = f"{reached:.6f}"
    return parameters


def _kernel(modules: ElementTree.Element, kernel: KernelMap, board: Board) -> None:
    module = _module(modules, instance(kernel), kernel.kernel, vlnv(kernel))
    blocks = _add(module, "ADDRESSBLOCKS")
    block = _add(blocks, "ADDRESSBLOCK", ACCESS="read-write", INTERFACE="s_axi_control", NAME="reg0",
                 RANGE=str(kernel.control_bytes), USAGE="register")  # fmt: skip
    registers = _add(block, "REGISTERS")
    _registers(registers, kernel)
    _add(module, "PARAMETERS")
    _add(module, "PORTS")
    buses, memory, ps = _add(module, "BUSINTERFACES"), _add(module, "MEMORYMAP"), FAMILIES[board.family].cell
    _bus(buses, "s_axi_control", "SLAVE", f"{instance(kernel)}_s_axi_control", 32)
    for master, port in memory_ports(kernel, board).items():
        _bus(buses, master, "MASTER", f"{ps}_{port}", kernel.bus_bits)
        _range(memory, "MEMORY", f"{port}_DDR", board.memory_base, board.memory_bytes, INSTANCE=ps,
               BASENAME="C_BASEADDR", HIGHNAME="C_HIGHADDR", MASTERBUSINTERFACE=master,
               SLAVEBUSINTERFACE=port)  # fmt: skip


def _registers(parent: ElementTree.Element, kernel: KernelMap) -> None:
    """The registers that a caller writes: control, interrupts, addresses, number of frames."""
    for register in HANDSHAKE:
        _register(parent, register.name, register.offset, register.description, register.fields)
    for argument in kernel.arguments:
        name = ascii(argument.name)[1:-1]  # models have names with characters that no XML can hold
        _address(parent, name, argument.register, f"Address of the frames of {name}")
    _register(parent, "frames", kernel.frames_register, "How many frames to run", ())
    for weights in kernel.weights:
        _address(parent, weights.name, weights.register, f"Address of {weights.name}")


def _address(parent: ElementTree.Element, name: str, offset: int, about: str) -> None:
    """Two registers, as Vitis writes them: PYNQ reads no 64 bits at once over the network."""
    for half, text in enumerate(("lower", "upper")):
        _register(parent, f"{name}_{half + 1}", offset + 4 * half, f"{about}, {text} half", ())


def _register(parent: ElementTree.Element, name: str, offset: int, about: str, fields: tuple[Field, ...]) -> None:
    register = _add(parent, "REGISTER", NAME=name)
    _properties(register, DESCRIPTION=about, ADDRESS_OFFSET=f"0x{offset:X}", SIZE="32", ACCESS="read-write",
                IS_ENABLED="true")  # fmt: skip
    inside = _add(register, "FIELDS")
    for field in fields or (Field(name, 0, "read-write", about),):
        _properties(_add(inside, "FIELD", NAME=field.name), DESCRIPTION=field.description,
                    BIT_OFFSET=str(field.offset), ACCESS=field.access, BIT_WIDTH="1" if fields else "32")  # fmt: skip


def _properties(parent: ElementTree.Element, **properties: str) -> None:
    for name, value in properties.items():
        _add(parent, "PROPERTY", NAME=name, VALUE=value)

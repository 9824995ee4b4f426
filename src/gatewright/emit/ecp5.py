# SPDX-License-Identifier: Apache-2.0
"""A kernel on an ECP5 without a processor -> what the open tools make a bitstream of.

<name>_top.sv   the pins of the board; inside a PLL, a reset, the UART bridge, a memory bank for every port, the kernel
lib/            the modules of rtl/uart
<board>.lpf     where the pins are
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from gatewright.emit import ecp5_pll, rtl
from gatewright.emit.ecp5_pll import Pll
from gatewright.emit.files import FileSet
from gatewright.emit.kernel_text import Pin, buses, reads
from gatewright.emit.project import ROOT, Project
from gatewright.errors import ConfigError
from gatewright.ir.op import package_root
from gatewright.runtime.kernel_map import KernelMap

CONTROL_BASE = 0x8000_0000
"""Where the bridge has the registers of the kernel."""
BUS_BITS = 32
"""Of the bridge and of a bank."""
LEAST_BANK, MOST_WINDOW = 1 << 12, 1 << 30
LEAST_CLOCKS = 8
"""Of a bit: fewer leave the receiver no room for a host whose baud is a little off."""
BAUD_TOLERANCE = 0.02
LEDS, BUTTONS, RESET_BUTTON = 8, 7, 1
RESET_BITS = 10
"""The reset lasts 2 to the power of it clocks."""


def emit(project: Project) -> FileSet:
    """The files, by path from the project's folder.

    Raises:
        ConfigError: the board is none for these tools, its pins are others, or it has no such clock or baud; the
            kernel's words are not those of a bank, or a frame does not fit into one.
    """
    pll = check(project)
    files = FileSet()
    for path in library():
        files.add(f"lib/{path.name}", path.read_text())
    files.add(f"{project.name}_top.sv", top(project, pll))
    files.add(project.board.constraints.name, project.board.constraints.read_text(encoding="utf-8"))
    return files


def sources(project: Project) -> tuple[str, ...]:
    """All SystemVerilog and Verilog in order of compilation, by path from the project's folder."""
    kernel = [f"{ROOT}/{path}" for path in project.sources]
    return (*kernel, *(f"lib/{path.name}" for path in library()), f"{project.name}_top.sv")


def library() -> list[Path]:
    """The hand-written sources, in order of compilation."""
    return sorted((package_root() / "rtl" / "uart").glob("*.sv"))


# --- what is refused --------------------------------------------------------------------------------------------------


def check(project: Project) -> Pll:
    """Whether the kernel runs on the board; the setting of its PLL.

    Raises:
        ConfigError: as `emit`.
    """
    board = project.board
    if board.flow != "nextpnr" or board.oscillator_mhz is None or board.uart_baud is None:
        raise ConfigError(f"board {board.name}: its flow is {board.flow!r}, where this one is nextpnr's")
    if project.name in {path.stem for path in library()} or rtl.is_taken(f"{project.name}_top"):
        raise ConfigError(f"the design cannot be called {project.name!r} on {board.name}, where a module is: rename it")
    _check_pins(project)
    _check_banks(project)
    _check_baud(project)
    return ecp5_pll.choose(board.oscillator_mhz, project.mhz)


def _check_pins(project: Project) -> None:
    path = project.board.constraints
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"board {project.board.name}: {path} is not readable: {error}") from error
    found = set(re.findall(r'^\s*LOCATE\s+COMP\s+"([^"]+)"', text, re.M))
    scalars = [name for name, bits, _ in pins(project) if bits == 1]
    needed = {*scalars, *(f"{name}[{i}]" for name, bits, _ in pins(project) if bits > 1 for i in range(bits))}
    if missing := sorted(needed - found):
        raise ConfigError(
            f"{path}: the pin {missing[0]!r} has no place: LOCATE COMP all of {', '.join(sorted(needed))}"
        )


def _check_banks(project: Project) -> None:
    board, kernel = project.board, project.kernel
    if kernel.bus_bits != BUS_BITS:
        raise ConfigError(
            f"{kernel.kernel}: bus_bits={kernel.bus_bits!r}, where the banks of {board.name} have words of {BUS_BITS}: "
            f"compile the model with --bus-bits {BUS_BITS}"
        )
    size, base, span = board.memory_bytes, board.memory_base, window_bytes(project)
    if size < LEAST_BANK or size & (size - 1) or base % span or base + span > CONTROL_BASE or span > MOST_WINDOW:
        raise ConfigError(
            f"board {board.name}: memory base={base:#x}, bytes={size!r}: a bank has a power of two bytes from "
            f"{LEAST_BANK} on, and {len(kernel.ports)} of them begin at a multiple of {span:#x} and end below "
            f"{CONTROL_BASE:#x}"
        )
    held = [(f"a frame of {a.name!r} takes", a.frame_bytes) for a in kernel.arguments]
    held += [(f"the weights of {w.name!r} take", w.image_bytes) for w in kernel.weights]
    for what, count in held:
        if count > size:
            raise ConfigError(
                f"{what} {count} bytes, and a memory bank of {board.name} has {size}: use a board record with larger "
                "[memory] bytes, or a smaller model"
            )


def window_bytes(project: Project) -> int:
    """Of the least power of two that holds all banks, two at least: where they begin is a multiple of it."""
    return project.board.memory_bytes << max(1, (len(project.kernel.ports) - 1).bit_length())


def _check_baud(project: Project) -> None:
    baud, hertz, clocks = project.board.uart_baud or 0, clock_hz(project), clocks_a_bit(project)
    miss = abs(clocks * baud - hertz) / hertz
    if clocks < LEAST_CLOCKS or miss > BAUD_TOLERANCE:
        raise ConfigError(
            f"board {project.board.name}: {project.mhz:g} MHz make a bit of {clocks} clocks at a baud of {baud}, "
            f"{miss:.1%} off: use a clock of at least {LEAST_CLOCKS} clocks a bit and within {BAUD_TOLERANCE:.0%}"
        )


def clock_hz(project: Project) -> int:
    """The kernel's clock."""
    return round(project.mhz * 1e6)


def clocks_a_bit(project: Project) -> int:
    """Of the UART, as uart_bridge counts them."""
    baud = project.board.uart_baud or 0
    return (clock_hz(project) + baud // 2) // baud


# --- the top level ----------------------------------------------------------------------------------------------------


def pins(project: Project) -> list[tuple[str, int, bool]]:
    """Name, bits and whether an output, of all pins: those of the ULX3S, which other boards name likewise."""
    return [
        (clock_pin(project), 1, False), ("ftdi_txd", 1, False), ("ftdi_rxd", 1, True), ("wifi_gpio0", 1, True),
        ("btn", BUTTONS, False), ("led", LEDS, True),
    ]  # fmt: skip


def clock_pin(project: Project) -> str:
    """The pin that the oscillator is at."""
    return f"clk_{project.board.oscillator_mhz:g}mhz".replace(".", "_")


def top(project: Project, pll: Pll) -> str:
    """The text of `<name>_top.sv`."""
    ports = [f"{'output' if out else 'input '} wire {_width(bits)}{name}" for name, bits, out in pins(project)]
    body = [*_clock(project, pll), *_nets(project.kernel), *_bridge(project), *_kernel(project.kernel)]
    for index, _ in enumerate(project.kernel.ports):
        body += _bank(project, index)
    body += _lights(project)
    return "\n".join(
        [
            rtl.HEADER + "// SIMULATION 1 leaves the PLL out: the pin of the oscillator is the kernel's clock then.",
            "`default_nettype none",
            f"module {project.name}_top #(parameter int SIMULATION = 0) (",
            "  " + ",\n  ".join(ports),
            ");",
            *(f"  {line}" for line in body),
            "endmodule",
            "`default_nettype wire",
            "",
        ]
    )


def _width(bits: int) -> str:
    return f"[{bits - 1}:0] " if bits > 1 else ""


def _clock(project: Project, pll: Pll) -> list[str]:
    clock = clock_pin(project)
    others = ", ".join(f"btn[{i}]" for i in range(BUTTONS) if i != RESET_BUTTON)
    return [
        "wire clk, locked, rst_n;",
        "if (SIMULATION != 0) begin : g_simulation",
        f"  assign clk = {clock};",
        "  assign locked = 1'b1;",
        "end else begin : g_pll",
        *(f"  {line}" for line in ecp5_pll.instance(pll, clock, "clk", "locked")),
        "end",
        f"board_reset #(.BITS({RESET_BITS})) i_reset (",
        f"  .clk(clk), .locked(locked), .button(btn[{RESET_BUTTON}]), .rst_n(rst_n));",
        "assign wifi_gpio0 = 1'b1;",
        f"wire unused_buttons = &{{1'b0, {others}}};",
    ]


def _nets(kernel: KernelMap) -> list[str]:
    lines = [f"wire {_width(p.bits)}{bus}_{p.name};" for bus, found in buses(kernel).items() for p in found]
    unused = [
        f"{bus}_{p.name}" for bus, found in buses(kernel).items() for p in found if p.output and not _wanted(bus, p)
    ]  # fmt: skip
    count = len(kernel.ports)
    return [
        *lines, "wire interrupt, busy, receives, fault;", "wire bank_enable, bank_write;",
        f"wire [{count - 1}:0] bank_select, moves, errors;", f"wire unused_pins = &{{1'b0, {', '.join(unused)}}};",
    ]  # fmt: skip


def _wanted(bus: str, pin: Pin) -> bool:
    """Whether somebody hears an output of the kernel; what says that bursts are plain ones, nobody."""
    return bus == "s_axi_control" or pin.constant is None or pin.name == "wstrb"


def _connect(module: str, name: str, parameters: dict[str, int], nets: dict[str, str]) -> list[str]:
    values = ", ".join(f".{k}({v})" for k, v in parameters.items())
    wires = ",\n    ".join(f".{k}({v})" for k, v in nets.items())
    return [f"{module}{f' #({values})' if values else ''} {name} (", f"  {wires});"]


def _bridge(project: Project) -> list[str]:
    board, kernel = project.board, project.kernel
    word_bits, count = _bank_bits(project) - 2, len(kernel.ports)
    control = {f"m_axi_{p.name}": f"s_axi_control_{p.name}" for p in buses(kernel)["s_axi_control"]}
    same = ("busy", "receives", "fault", "bank_enable", "bank_write", "bank_select", "bank_address", "bank_write_data")
    nets = {"clk": "clk", "rst_n": "rst_n", "rxd": "ftdi_txd", "txd": "ftdi_rxd", **{n: n for n in same}}
    parameters = {
        "CLOCK_HZ": clock_hz(project), "BAUD": board.uart_baud or 0, "BANKS": count,
        "BANK_BITS": _bank_bits(project), "BASE": board.memory_base,
        "CONTROL_BITS": kernel.control_bytes.bit_length() - 1,
    }  # fmt: skip
    return [
        f"wire [{word_bits - 1}:0] bank_address;", "wire [31:0] bank_write_data;",
        f"wire [{32 * count - 1}:0] bank_read_data;",
        *_connect("uart_bridge", "i_bridge", parameters, nets | control | {"bank_read_data": "bank_read_data"}),
    ]  # fmt: skip


def _bank_bits(project: Project) -> int:
    return project.board.memory_bytes.bit_length() - 1


def _kernel(kernel: KernelMap) -> list[str]:
    nets = {f"{bus}_{p.name}": f"{bus}_{p.name}" for bus, found in buses(kernel).items() for p in found}
    return _connect(
        kernel.kernel, "i_kernel", {}, {"ap_clk": "clk", "ap_rst_n": "rst_n", **nets, "interrupt": "interrupt"}
    )


def _bank(project: Project, index: int) -> list[str]:
    """A bank, and what its port lets the lights show."""
    kernel, bus = project.kernel, f"m_axi_gmem{index}"
    reading = reads(kernel, index)
    module, data, answer = ("axi_read_bank", "r", "r") if reading else ("axi_write_bank", "w", "b")
    wanted = [p for p in buses(kernel)[bus] if not p.ignored and _wanted(bus, p)]
    ignored = [p for p in buses(kernel)[bus] if p.ignored]
    nets = {"clk": "clk", "rst_n": "rst_n", **{f"s_axi_{p.name}": f"{bus}_{p.name}" for p in wanted}}
    nets |= {"enable": f"bank_enable && bank_select[{index}]", "write": "bank_write", "address": "bank_address"}
    nets |= {"write_data": "bank_write_data", "read_data": f"bank_read_data[{32 * index}+:32]"}
    place = {"BITS": _bank_bits(project), "BASE": project.board.memory_base + index * project.board.memory_bytes}
    return [
        *(f"assign {bus}_{p.name} = {p.bits}'d0;" for p in ignored),
        *_connect(module, f"i_bank{index}", place, nets),
        f"assign moves[{index}] = {bus}_{data}valid && {bus}_{data}ready;",
        f"assign errors[{index}] = {bus}_{answer}valid && {bus}_{answer}resp != 2'd0;",
    ]


def _lights(project: Project) -> list[str]:
    """docs/uart.md says what each means."""
    bits = max(4, round(math.log2(clock_hz(project) / 2)))
    nets = {
        "clk": "clk", "rst_n": "rst_n", "moves": "{interrupt, |moves, busy, receives}", "failures": "{|errors, fault}",
        "lights": "led[6:0]",
    }  # fmt: skip
    return [
        *_connect("board_lights", "i_lights", {"MOVES": 4, "FAILURES": 2, "BITS": bits}, nets),
        "assign led[7] = rst_n;",
    ]

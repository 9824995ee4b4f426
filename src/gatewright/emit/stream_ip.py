# SPDX-License-Identifier: Apache-2.0
"""Design -> the whole folder `rtl`: the design, and its packaging as an IP with AXI4-Stream ports.

<name>_stream.v      the top level of the IP: Vivado takes no SystemVerilog there (UG1118 "Top-Level HDL Requirements"),
                     nor as a module in a block design (UG994 "Limitations of the Module Reference Feature")
component.xml        its IP-XACT description
xgui/                the page of settings that belongs to it
"""

from __future__ import annotations

from typing import Literal

from gatewright.design.feeds import Feed, feeds
from gatewright.design.plan import Design
from gatewright.design.structure import Structure
from gatewright.emit import ipxact_xml, rtl
from gatewright.emit.files import FileSet
from gatewright.emit.ipxact import FAMILIES, Component, Interface, Pin, clock_and_reset, revision
from gatewright.errors import ConfigError
from gatewright.ir.types import Stream

CLOCK, RESET = "clk", "rst_n"


def emit(design: Design) -> FileSet:
    """All files of the folder; the packaging only for families that Vivado knows.

    Raises:
        ConfigError: an operator has no RTL kernel, or a top level's name is taken.
    """
    name = design.structure.name
    if rtl.is_taken(f"{name}_stream"):
        raise ConfigError(f"the design cannot be called {name!r}, because {name}_stream is a kernel: rename it")
    files = rtl.emit(design.structure)
    files.add(f"{name}_stream.v", wrapper(design))
    if design.board.family not in FAMILIES:
        return files
    for path, text in ipxact_xml.emit(component(design, files)):
        files.add(path, text)
    return files


def component(design: Design, sources: FileSet) -> Component:
    """The IP's description."""
    structure = design.structure
    return Component(
        library="network",
        top=f"{structure.name}_stream",
        title=f"{structure.name} (AXI4-Stream)",
        description=f"The network {structure.name} between AXI4-Stream ports, made by Gatewright for "
        f"{design.board.name} at {design.mhz:g} MHz",
        interfaces=interfaces(design),
        sources=compile_order(structure),
        family=design.board.family,
        revision=revision(sources),
    )


def compile_order(structure: Structure) -> tuple[str, ...]:
    """Verilog in order of compilation, then memory files."""
    kernels = [f"kernels/{path.name}" for path in rtl.kernel_sources(structure)]
    memories = [name for name, _ in rtl.memory_files(structure)]
    return (*kernels, f"{structure.name}.sv", f"{structure.name}_stream.v", *memories)


def interfaces(design: Design) -> tuple[Interface, ...]:
    """Clock, reset, and the AXI4-Stream ports: inputs, those of memories, outputs."""
    ins, outs = rtl.top_ports(design.structure)
    # As ASCII on one line: they stand in comments, and models have names of any kind.
    names = [ascii(i.name) for i in design.graph.inputs]
    leaving: list[list[str]] = [[] for _ in outs]
    for output, i in zip(design.graph.outputs, design.structure.leaves, strict=True):
        leaving[i].append(ascii(output.name))
    buses = (
        *(_interface(*port, "slave", f"input {n}") for port, n in zip(ins, names, strict=True)),
        *(_interface(f.prefix, f.stream, "slave", _memory(f)) for f in feeds(design.structure)),
        *(_interface(*port, "master", f"output {' and '.join(n)}") for port, n in zip(outs, leaving, strict=True)),
    )
    return (*clock_and_reset(CLOCK, RESET, tuple(b.name for b in buses), design.mhz), *buses)


def _memory(feed: Feed) -> str:
    """What a port wants; its words are the bits of the memory in the order in which the unit reads them."""
    times = _count(feed.passes, "time")
    return (
        f"memory {feed.memory} of {feed.unit}, all of it {times} for every frame of the network, as frames of its own"
    )


def _interface(prefix: str, stream: Stream, mode: Literal["slave", "master"], what: str) -> Interface:
    forth: Literal["in", "out"] = "in" if mode == "slave" else "out"
    back: Literal["in", "out"] = "out" if mode == "slave" else "in"
    pins = {
        "TDATA": Pin(f"{prefix}_tdata", forth, stream.padded_width),
        "TVALID": Pin(f"{prefix}_tvalid", forth),
        "TREADY": Pin(f"{prefix}_tready", back),
        "TLAST": Pin(f"{prefix}_tlast", forth),
    }
    parameters: dict[str, str | int] = {
        "TDATA_NUM_BYTES": stream.padded_width // 8,
        "TDEST_WIDTH": 0,
        "TID_WIDTH": 0,
        "TUSER_WIDTH": 0,
        "HAS_TREADY": 1,
        "HAS_TSTRB": 0,
        "HAS_TKEEP": 0,
        "HAS_TLAST": 1,
    }
    return Interface(prefix, "axis", mode, pins, parameters, f"{what}: {layout(stream)}")


def layout(stream: Stream) -> str:
    """How a frame stands on tdata, in words."""
    kind = "bipolar (0 is -1, 1 is +1)" if stream.bipolar else "signed" if stream.signed else "unsigned"
    pad = stream.padded_width - stream.width
    return (
        f"{_count(stream.beats, 'beat')} a frame, {_count(stream.lanes, 'element')} of "
        f"{_count(stream.bits, 'bit')} a beat, {kind}, element 0 in the low bits"
        + (f", {_count(pad, 'bit')} of padding above" if pad else "")
    )


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n > 1)}"


def wrapper(design: Design) -> str:
    """The plain-Verilog top level around the design.

    A frame that comes in is so many beats, whatever TLAST says: a DMA marks the end of a transfer, which may hold many
    frames.
    """
    name, found = design.structure.name, interfaces(design)
    clock, reset, *buses = found
    pins = [pin for interface in found for pin in interface.pins.values()]
    nets = {pin.name: pin.name for pin in pins}
    body = []
    feeding = [(f.prefix, f.stream) for f in feeds(design.structure)]
    for prefix, stream in (*rtl.top_ports(design.structure)[0], *feeding):
        nets[f"{prefix}_tlast"] = f"{prefix}_frame_last"
        body += _frame_counter(prefix, stream)
    about = {CLOCK: _association(clock), RESET: _polarity(reset)}
    lines = [
        rtl.HEADER.rstrip(),
        *(f"// {bus.name}, {bus.description}." for bus in buses),
        f"module {name}_stream (",
        ",\n".join(f"{about.get(pin.name, '')}  {_declaration(pin)}" for pin in pins),
        ");",
        *body,
        f"  {name} i_{name} (",
        ",\n".join(f"    .{pin}({net})" for pin, net in nets.items()),
        "  );",
        "endmodule",
    ]
    return "\n".join(lines) + "\n"


def _declaration(pin: Pin) -> str:
    width = "" if pin.width is None else f"[{pin.width - 1}:0] "
    return f"{pin.direction}put wire {width}{pin.name}"


def _association(clock: Interface) -> str:
    """What a block design that takes the module as it is cannot guess (UG994)."""
    given = ", ".join(f"{n} {clock.parameters[n]}" for n in ("ASSOCIATED_BUSIF", "ASSOCIATED_RESET"))
    return (
        f'  (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 {clock.name} CLK" *)\n'
        f'  (* X_INTERFACE_PARAMETER = "{given}" *)\n'
    )


def _polarity(reset: Interface) -> str:
    return (
        f'  (* X_INTERFACE_INFO = "xilinx.com:signal:reset:1.0 {reset.name} RST" *)\n'
        f'  (* X_INTERFACE_PARAMETER = "POLARITY {reset.parameters["POLARITY"]}" *)\n'
    )


def _frame_counter(prefix: str, stream: Stream) -> list[str]:
    bits = max(1, (stream.beats - 1).bit_length())
    return [
        f"  wire {prefix}_frame_last;",
        f"  wire [{bits - 1}:0] unused_{prefix}_beat;",
        f"  wire unused_{prefix}_tlast = &{{1'b0, {prefix}_tlast}};",
        f"  counter #(.COUNT({stream.beats})) i_{prefix}_beat (",
        f"    .{CLOCK}({CLOCK}), .{RESET}({RESET}), .step({prefix}_tvalid && {prefix}_tready),",
        f"    .value(unused_{prefix}_beat), .last({prefix}_frame_last)",
        "  );",
    ]

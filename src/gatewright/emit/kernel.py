# SPDX-License-Identifier: Apache-2.0
"""A design -> the kernel that a board runs: AXI4-Lite registers and AXI4 masters around the streams of the RTL.

<name>_kernel.v     plain Verilog with the names that Vitis and Vivado want: ap_clk, s_axi_control_*, m_axi_gmem0_*, ...
<name>_core.sv      control, and a master with a width converter for every stream of the design
<name>_probed.sv    the top level of `emit/rtl.py` with the handshakes of its FIFOs on a port
lib/                the modules of rtl/kernel
weights/            what has to lie in memory for the units whose weights are streamed
kernel.json         registers, ports and FIFOs, as `KernelMap`

Kernels of operators and memory files are those of the target rtl, in whose folder a simulation runs.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from gatewright.config import BUS_BITS
from gatewright.design.feeds import Feed, feeds
from gatewright.design.plan import Design
from gatewright.design.structure import Link, Structure
from gatewright.emit import rtl
from gatewright.emit.files import FileSet
from gatewright.emit.hls_axi import ADDRESS_BYTES, registers
from gatewright.emit.hls_bench import argument_names, frame_words
from gatewright.errors import ConfigError
from gatewright.ir.graph import Graph
from gatewright.ir.op import package_root
from gatewright.ir.types import Stream
from gatewright.runtime.kernel_map import EDGE, EDGE_BYTES, Argument, KernelEdge, KernelMap, Weights
from gatewright.runtime.packing import frame_images

LEAST_WINDOW = 4096
"""Bytes of registers: the least that an address map of a board deals in."""
LEAST_STATUS = 0x100
SCALAR_BYTES = 8
"""A word of an argument and one that is reserved."""
PAGE_BYTES = 4096
"""No burst crosses a multiple of it."""
LONGEST_BURST = 256
BUFFER_WORDS = 512
"""Of every master: two of the longest bursts, and the depth of a block RAM at its widest, so fewer save nothing."""


def emit(design: Design, bus_bits: int) -> FileSet:
    """The files of the kernel.

    Args:
        bus_bits: width of the memory ports: 32, 64, 128, 256 or 512.

    Raises:
        ConfigError: another width; an operator has no RTL kernel; a name is taken.
    """
    kernel = kernel_map(design.graph, design.structure, bus_bits)
    files, name = FileSet(), design.structure.name
    for end in ("kernel", "core", "probed"):
        if rtl.is_taken(f"{name}_{end}"):
            raise ConfigError(f"the design cannot be called {name!r}, because {name}_{end} is a kernel: rename it")
    for path in library():
        files.add(f"lib/{path.name}", path.read_text())
    files.add(f"{name}_probed.sv", rtl.top(design.structure, probed=True))
    files.add(f"{name}_core.sv", core(design.structure, kernel))
    files.add(f"{kernel.kernel}.v", wrapper(kernel))
    for weights, feed in zip(kernel.weights, feeds(design.structure), strict=True):
        files.add_image(weights.file.removeprefix("kernel/"), image(feed, bus_bits))
    files.add("kernel.json", json.dumps(kernel.to_json(), indent=1) + "\n")
    return files


def library() -> list[Path]:
    """The hand-written sources, in order of compilation."""
    return sorted((package_root() / "rtl" / "kernel").glob("*.sv"))


def probed_links(design: Structure) -> list[Link]:
    """The links that have a FIFO, in the order of their registers."""
    return [link for link in design.links if link.depth]


def kernel_map(graph: Graph, design: Structure, bus_bits: int) -> KernelMap:
    """What the kernel of a design looks like from outside.

    Raises:
        ConfigError: no such width; an operator has no RTL kernel.
    """
    if bus_bits not in BUS_BITS:
        raise ConfigError(f"bus_bits={bus_bits!r}: use {', '.join(map(str, BUS_BITS[:-1]))} or {BUS_BITS[-1]}")
    name, offsets, edges = design.name, registers(design), probed_links(design)
    weights = _weights(design, bus_bits)
    last = max([offsets["frames"], *(w.register + 4 for w in weights)])
    status = max(LEAST_STATUS, _power_of_two(last + 4))
    window = max(LEAST_WINDOW, _power_of_two(status + EDGE + EDGE_BYTES * len(edges)))
    text = f"{graph.digest()} bus {bus_bits} kernel 1"
    inputs, outputs = _arguments(graph, design, bus_bits)
    return KernelMap(
        kernel=f"{name}_kernel",
        name=name,
        bus_bits=bus_bits,
        hash=hashlib.sha256(text.encode("ascii")).hexdigest()[:32],
        control_bytes=window,
        inputs=inputs,
        outputs=outputs,
        frames_register=offsets["frames"],
        status=status,
        edges=tuple(_edge(link) for link in edges),
        weights=weights,
        sources=(
            *(f"rtl/kernels/{path.name}" for path in rtl.kernel_sources(design)),
            *(f"kernel/lib/{path.name}" for path in library()),
            *(f"kernel/{name}_{end}" for end in ("probed.sv", "core.sv", "kernel.v")),
        ),
    )


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()


def _edge(link: Link) -> KernelEdge:
    tensor = link.edge.tensor
    ends = link.source.unit or tensor, link.sink.unit or tensor
    return KernelEdge(link.name, tensor, *ends, depth=link.depth, bits=link.stream.width)


def _arguments(graph: Graph, design: Structure, bus_bits: int) -> tuple[tuple[Argument, ...], tuple[Argument, ...]]:
    offsets, (ins, outs) = registers(design), argument_names(design)
    leaving = list(graph.leaving.items())

    def argument(index: int, register: str, name: str, stream: Stream, outputs: tuple[str, ...] = ()) -> Argument:
        return Argument(
            name=name,
            port=f"gmem{index}",
            register=offsets[register],
            frame_bytes=frame_words(stream, bus_bits) * bus_bits // 8,
            bits=stream.bits,
            signed=stream.signed,
            bipolar=stream.bipolar,
            elements=stream.lanes * stream.beats,
            outputs=outputs,
        )

    inputs = [argument(i, ins[i], graph.inputs[i].name, stream) for i, stream in enumerate(design.inputs)]
    outputs = [
        argument(len(ins) + i, outs[i], leaving[i][1], stream, _leaving_by(graph, leaving[i][0]))
        for i, stream in enumerate(design.outputs)
    ]
    return tuple(inputs), tuple(outputs)


def _weights(design: Structure, bus_bits: int) -> tuple[Weights, ...]:
    """Addresses behind the number of frames and a reserved word, ports behind those of the outputs."""
    first, ports = registers(design)["frames"] + SCALAR_BYTES, len(design.inputs) + len(design.outputs)
    return tuple(
        Weights(
            name=f"{feed.unit}_{feed.memory}",
            port=f"gmem{ports + i}",
            register=first + ADDRESS_BYTES * i,
            image_bytes=frame_words(feed.stream, bus_bits) * bus_bits // 8,
            file=f"kernel/weights/{feed.unit}_{feed.memory}.bin",
        )
        for i, feed in enumerate(feeds(design))
    )


def image(feed: Feed, bus_bits: int) -> bytes:
    """What has to lie in memory for a unit that reads it: the words in their order, at their own bits."""
    return frame_images(feed.content.words[None], feed.stream, bus_bits).tobytes()


def _leaving_by(graph: Graph, tensor: str) -> tuple[str, ...]:
    return tuple(o.name for o in graph.outputs if o.tensor == tensor)


# --- pins -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pin:
    """A pin of a bus.

    Attributes:
        constant: what an output of the kernel always is, where that is so; such pins only the wrapper has.
        ignored: an input that nothing in the kernel reads; such pins only the wrapper has.
    """

    name: str
    bits: int
    output: bool
    constant: int | None = None
    ignored: bool = False

    @property
    def inner(self) -> bool:
        """Whether the core has it too."""
        return self.constant is None and not self.ignored


def control_pins(kernel: KernelMap) -> list[Pin]:
    """The pins of s_axi_control."""
    address = kernel.control_bytes.bit_length() - 1
    pins = [("awaddr", address, 0), ("awvalid", 1, 0), ("awready", 1, 1), ("wdata", 32, 0), ("wstrb", 4, 0)]
    pins += [("wvalid", 1, 0), ("wready", 1, 1), ("bresp", 2, 1), ("bvalid", 1, 1), ("bready", 1, 0)]
    pins += [("araddr", address, 0), ("arvalid", 1, 0), ("arready", 1, 1), ("rdata", 32, 1), ("rresp", 2, 1)]
    pins += [("rvalid", 1, 1), ("rready", 1, 0)]
    return [Pin(name, bits, bool(output)) for name, bits, output in pins]


def master_pins(kernel: KernelMap, index: int) -> list[Pin]:
    """The pins of m_axi_gmem<index>: the channels of reads for an input or weights, of writes for an output."""
    reads = not len(kernel.inputs) <= index < len(kernel.arguments)
    bits = kernel.bus_bits
    letter = "ar" if reads else "aw"
    pins = [Pin(f"{letter}addr", 64, True), Pin(f"{letter}len", 8, True)]
    # Incrementing bursts of whole words; bufferable and modifiable, for a memory; one transaction ID, so in order.
    size = (bits // 8).bit_length() - 1
    constants = [("id", 1, 0), ("size", 3, size), ("burst", 2, 1), ("lock", 1, 0), ("cache", 4, 3), ("prot", 3, 0)]
    pins += [Pin(f"{letter}{n}", width, True, value) for n, width, value in [*constants, ("qos", 4, 0)]]
    pins += [Pin(f"{letter}valid", 1, True), Pin(f"{letter}ready", 1, False)]
    if reads:
        pins += [Pin("rid", 1, False, ignored=True), Pin("rdata", bits, False), Pin("rresp", 2, False)]
        return [*pins, Pin("rlast", 1, False), Pin("rvalid", 1, False), Pin("rready", 1, True)]
    pins += [Pin("wdata", bits, True), Pin("wstrb", bits // 8, True, (1 << bits // 8) - 1), Pin("wlast", 1, True)]
    pins += [Pin("wvalid", 1, True), Pin("wready", 1, False), Pin("bid", 1, False, ignored=True)]
    return [*pins, Pin("bresp", 2, False), Pin("bvalid", 1, False), Pin("bready", 1, True)]


def buses(kernel: KernelMap) -> dict[str, list[Pin]]:
    """The pins of every bus by its name."""
    masters = {f"m_axi_gmem{i}": master_pins(kernel, i) for i in range(len(kernel.ports))}
    return {"s_axi_control": control_pins(kernel), **masters}


def _declaration(bus: str, pin: Pin) -> str:
    width = f"[{pin.bits - 1}:0] " if pin.bits > 1 else ""
    return f"{'output' if pin.output else 'input '} wire {width}{bus}_{pin.name}"


def wrapper(kernel: KernelMap) -> str:
    """The text of `<name>_kernel.v`."""
    pins = [(bus, pin) for bus, found in buses(kernel).items() for pin in found]
    ports = ["input  wire ap_clk", "input  wire ap_rst_n", *(_declaration(*p) for p in pins)]
    # Vitis wants this name, which is a word of C++ where Verilator writes its model.
    ports.append("/* verilator lint_off SYMRSVDWORD */ output wire interrupt /* verilator lint_on SYMRSVDWORD */")
    fixed = [
        f"  assign {bus}_{p.name} = {p.bits}'h{p.constant:x};" for bus, p in pins if p.constant is not None
    ]  # fmt: skip
    ignored = ", ".join(f"{bus}_{p.name}" for bus, p in pins if p.ignored)
    inner = [("clk", "ap_clk"), ("rst_n", "ap_rst_n"), ("irq", "interrupt")]
    inner += [(f"{bus}_{p.name}", f"{bus}_{p.name}") for bus, p in pins if p.inner]
    return "\n".join(
        [
            rtl.HEADER + "`default_nettype none",
            f"module {kernel.kernel} (",
            "  " + ",\n  ".join(ports),
            ");",
            *fixed,
            f"  wire unused_ids = &{{1'b0, {ignored}}};",
            f"  {kernel.name}_core i_core (",
            "    " + ",\n    ".join(f".{pin}({net})" for pin, net in inner) + ");",
            "endmodule",
            "`default_nettype wire",
            "",
        ]
    )


# --- core -------------------------------------------------------------------------------------------------------------


def core(design: Structure, kernel: KernelMap) -> str:
    """The text of `<name>_core.sv`."""
    pins = [(bus, pin) for bus, found in buses(kernel).items() for pin in found if pin.inner]
    ports = ["input  wire clk", "input  wire rst_n", "output wire irq", *(_declaration(*p) for p in pins)]
    count, first = len(kernel.ports), len(kernel.inputs)
    (ins, outs), memories = rtl.top_ports(design), [(f.prefix, f.stream) for f in feeds(design)]
    wires = ["wire start, stop, idle, done, aborted, load, running, halt, path_rst_n;"]
    wires += [f"wire [{64 * count - 1}:0] addresses, fault_address;", "wire [31:0] frames;", "wire [1023:0] status;"]
    wires.append(f"wire [{count - 1}:0] master_idle, master_quiet, slverr, decerr;")
    wires.append(f"wire [{128 * len(kernel.edges) - 1}:0] edges;")
    wires.append(f"wire [{4 * len(kernel.edges) - 1}:0] probe;")
    for prefix, stream in (*ins, *outs, *memories):
        wires.append(f"wire [{stream.padded_width - 1}:0] {prefix}_tdata;")
        wires.append(f"wire {prefix}_tvalid, {prefix}_tready, {prefix}_tlast;")
    body = _control(kernel) + _run(kernel, [prefix for prefix, _ in outs])
    for i, (prefix, stream) in enumerate(ins):
        body += _input(kernel, i, prefix, stream)
    for i, feed in enumerate(feeds(design)):
        body += _input(kernel, len(kernel.arguments) + i, feed.prefix, feed.stream, feed.passes)
    body += _design(design, [*ins, *outs, *memories])
    for i, (prefix, stream) in enumerate(outs):
        body += _output(kernel, first + i, prefix, stream)
    for i, edge in enumerate(kernel.edges):
        body += _monitor(i, edge)
    return "\n".join(
        [
            rtl.HEADER + "`default_nettype none",
            f"module {kernel.name}_core (",
            "  " + ",\n  ".join(ports),
            ");",
            *(f"  {wire}" for wire in wires),
            *body,
            "endmodule",
            "`default_nettype wire",
            "",
        ]
    )


def _instance(module: str, name: str, parameters: dict[str, int | str], pins: dict[str, str]) -> list[str]:
    values = ", ".join(f".{k}({v})" for k, v in parameters.items())
    wires = ",\n    ".join(f".{k}({v})" for k, v in pins.items())
    return [f"  {module}{f' #({values})' if values else ''} {name} (\n    {wires});"]


def _same(*names: str) -> dict[str, str]:
    return {n: n for n in names}


def _control(kernel: KernelMap) -> list[str]:
    parameters: dict[str, int | str] = {
        "ADDRESS_BITS": kernel.control_bytes.bit_length() - 1,
        "PORTS": len(kernel.ports),
        "WEIGHTS": len(kernel.weights),
        "EDGES": len(kernel.edges),
        "STATUS": kernel.status,
    }
    pins = _same("clk", "rst_n") | {f"s_axi_{p.name}": f"s_axi_control_{p.name}" for p in control_pins(kernel)}
    pins |= _same("irq", "start", "idle", "done", "aborted", "stop", "addresses", "frames", "status", "edges")
    return _instance("kernel_control", "i_control", parameters, pins)


def _run(kernel: KernelMap, outputs: list[str]) -> list[str]:
    swapped = bytes.fromhex(kernel.hash)[::-1].hex()  # the first byte lies lowest
    parameters: dict[str, int | str] = {
        "PORTS": len(kernel.ports),
        "INPUTS": len(kernel.inputs),
        "WEIGHTS": len(kernel.weights),
        "EDGES": len(kernel.edges),
        "BUS_BITS": kernel.bus_bits,
        "HASH": f"128'h{swapped}",
    }
    leaves = ", ".join(f"{p}_tvalid && {p}_tready && {p}_tlast" for p in reversed(outputs))
    pins = _same("clk", "rst_n", "start", "stop", "idle", "done", "aborted", "addresses", "frames", "load", "running")
    pins |= _same("halt", "path_rst_n", "master_idle", "master_quiet") | {"leaves": f"{{{leaves}}}"}
    pins |= _same("slverr", "decerr", "fault_address", "status")
    return _instance("kernel_run", "i_run", parameters, pins)


def _master(kernel: KernelMap, index: int) -> dict[str, str]:
    """What both kinds of master have: their part of the vectors, and their bus."""
    slices = {"address": f"addresses[{64 * index}+:64]", "frames": "frames", "halt": "halt"}
    slices |= {"quiet": f"master_quiet[{index}]"}
    slices |= {"fault_slverr": f"slverr[{index}]", "fault_decerr": f"decerr[{index}]"}
    slices |= {"fault_address": f"fault_address[{64 * index}+:64]"}
    bus = {f"m_axi_{p.name}": f"m_axi_gmem{index}_{p.name}" for p in master_pins(kernel, index) if p.inner}
    return {"clk": "clk", "rst_n": "path_rst_n", "load": "load"} | slices | bus


def burst_words(bus_bits: int) -> int:
    """Words of the longest burst."""
    return min(LONGEST_BURST, PAGE_BYTES * 8 // bus_bits)


def _words(name: str, bus_bits: int, last: bool) -> list[str]:
    """The nets of a stream of words."""
    ends = f", {name}_tlast" if last else ""
    return [f"  wire [{bus_bits - 1}:0] {name}_tdata;", f"  wire {name}_tvalid, {name}_tready{ends};"]


def _input(kernel: KernelMap, index: int, prefix: str, stream: Stream, passes: int = 0) -> list[str]:
    """A master that reads every frame once, or the same one `passes` times for every frame."""
    bits, burst, words = kernel.bus_bits, burst_words(kernel.bus_bits), f"read{index}"
    lines = [*_words(words, bits, last=False), f"  wire {words}_taken, {words}_empty;"]
    lines.append(f"  assign master_idle[{index}] = {words}_taken && {words}_empty;")
    parameters: dict[str, int | str] = {
        "BUS_BITS": bits, "WORDS": frame_words(stream, bits), "PASSES": passes, "BURST": burst, "DEPTH": BUFFER_WORDS,
    }  # fmt: skip
    pins = _master(kernel, index) | {"idle": f"{words}_taken"}
    pins |= {f"m_{p}": f"{words}_{p}" for p in ("tdata", "tvalid", "tready")}
    lines += _instance("axi_read_master", f"i_read{index}", parameters, pins)
    pins = {"clk": "clk", "rst_n": "path_rst_n", "idle": f"{words}_empty"}
    pins |= {f"s_{p}": f"{words}_{p}" for p in ("tdata", "tvalid", "tready")}
    pins |= {"m_axis_tdata": f"{prefix}_tdata[{stream.width - 1}:0]"}
    pins |= {f"m_axis_{p}": f"{prefix}_{p}" for p in ("tvalid", "tready", "tlast")}
    parameters = {"BUS_BITS": bits, "WIDTH": stream.width, "BEATS": stream.beats}
    lines += _instance("unpack_words", f"i_unpack{index}", parameters, pins)
    if stream.padded_width > stream.width:
        padding = stream.padded_width - stream.width
        lines.append(f"  assign {prefix}_tdata[{stream.padded_width - 1}:{stream.width}] = {padding}'d0;")
    return lines


def _design(design: Structure, ports: list[tuple[str, Stream]]) -> list[str]:
    pins = {"clk": "clk", "rst_n": "path_rst_n"}
    for prefix, _ in ports:
        pins |= _same(*(f"{prefix}_{p}" for p in ("tdata", "tvalid", "tready", "tlast")))
    return _instance(f"{design.name}_probed", "i_design", {}, pins | {"probe": "probe"})


def _output(kernel: KernelMap, index: int, prefix: str, stream: Stream) -> list[str]:
    bits, burst, words = kernel.bus_bits, burst_words(kernel.bus_bits), f"write{index}"
    lines = _words(words, bits, last=True)
    pins = {"clk": "clk", "rst_n": "path_rst_n", "s_axis_tdata": f"{prefix}_tdata[{stream.width - 1}:0]"}
    pins |= {f"s_axis_{p}": f"{prefix}_{p}" for p in ("tvalid", "tready", "tlast")}
    pins |= {f"m_{p}": f"{words}_{p}" for p in ("tdata", "tvalid", "tready", "tlast")}
    parameters: dict[str, int | str] = {"BUS_BITS": bits, "WIDTH": stream.width, "BEATS": stream.beats}
    lines += _instance("pack_words", f"i_pack{index}", parameters, pins)
    if stream.padded_width > stream.width:
        unused = f"{prefix}_tdata[{stream.padded_width - 1}:{stream.width}]"
        lines.append(f"  wire unused_{prefix} = &{{1'b0, {unused}}};")
    pins = _master(kernel, index) | {"idle": f"master_idle[{index}]"}
    pins |= {f"s_{p}": f"{words}_{p}" for p in ("tdata", "tvalid", "tready", "tlast")}
    parameters = {"BUS_BITS": bits, "BURST": burst, "DEPTH": BUFFER_WORDS}
    return lines + _instance("axi_write_master", f"i_write{index}", parameters, pins)


def _monitor(index: int, edge: KernelEdge) -> list[str]:
    pins = _same("clk", "rst_n", "path_rst_n") | {"clear": "load", "count": "running"}
    pins |= {"probe": f"probe[{4 * index}+:4]", "words": f"edges[{128 * index}+:128]"}
    return _instance("edge_monitor", f"i_monitor{index}", {"DEPTH": edge.depth}, pins)

# SPDX-License-Identifier: Apache-2.0
"""The text of a kernel: its pins, the Verilog wrapper, and the core that joins control, masters and design."""

from __future__ import annotations

from dataclasses import dataclass

from gatewright.design.feeds import feeds
from gatewright.design.structure import Structure
from gatewright.emit import rtl
from gatewright.emit.hls_bench import frame_words
from gatewright.ir.types import Stream
from gatewright.runtime.kernel_map import KernelEdge, KernelMap

PAGE_BYTES = 4096
"""No burst crosses a multiple of it."""
LONGEST_BURST = 256
BUFFER_WORDS = 512
"""Of every master: two of the longest bursts, and the depth of a block RAM at its widest, so fewer save nothing."""


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


def reads(kernel: KernelMap, index: int) -> bool:
    """Whether m_axi_gmem<index> is an input's or that of weights, with the channels of reads; an output's writes."""
    return not len(kernel.inputs) <= index < len(kernel.arguments)


def master_pins(kernel: KernelMap, index: int) -> list[Pin]:
    """The pins of m_axi_gmem<index>."""
    bits, reading = kernel.bus_bits, reads(kernel, index)
    letter = "ar" if reading else "aw"
    pins = [Pin(f"{letter}addr", 64, True), Pin(f"{letter}len", 8, True)]
    # Incrementing bursts of whole words; bufferable and modifiable, for a memory; one transaction ID, so in order.
    size = (bits // 8).bit_length() - 1
    constants = [("id", 1, 0), ("size", 3, size), ("burst", 2, 1), ("lock", 1, 0), ("cache", 4, 3), ("prot", 3, 0)]
    pins += [Pin(f"{letter}{n}", width, True, value) for n, width, value in [*constants, ("qos", 4, 0)]]
    pins += [Pin(f"{letter}valid", 1, True), Pin(f"{letter}ready", 1, False)]
    if reading:
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

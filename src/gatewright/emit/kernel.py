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
from pathlib import Path

from gatewright.config import check_bus_bits
from gatewright.design.feeds import Feed, feeds
from gatewright.design.plan import Design
from gatewright.design.structure import Link, Structure
from gatewright.emit import rtl
from gatewright.emit.files import FileSet
from gatewright.emit.hls_axi import ADDRESS_BYTES, registers
from gatewright.emit.hls_bench import argument_names, frame_words
from gatewright.emit.kernel_text import core, wrapper
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
    check_bus_bits("bus_bits", bus_bits)
    name, offsets, edges = design.name, registers(design), probed_links(design)
    weights = _weights(design, bus_bits)
    last = max([offsets["frames"], *(w.register + 4 for w in weights)])
    status = max(LEAST_STATUS, _power_of_two(last + 4))
    control_bytes = max(LEAST_WINDOW, _power_of_two(status + EDGE + EDGE_BYTES * len(edges)))
    text = f"{graph.digest()} bus {bus_bits} kernel 1"
    inputs, outputs = _arguments(graph, design, bus_bits)
    return KernelMap(
        kernel=f"{name}_kernel",
        name=name,
        bus_bits=bus_bits,
        hash=hashlib.sha256(text.encode("ascii")).hexdigest()[:32],
        control_bytes=control_bytes,
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

# SPDX-License-Identifier: Apache-2.0
"""Structure -> an HLS project's top function with AXI4 masters and AXI4-Lite control, and its test bench.

<name>.cpp, .hpp      the top function: an address per input and output, then the number of frames
<name>_tb.cpp, .hpp   its test bench

Registers of the bundle `control`, in the order of the arguments: 0x00 to 0x0c control and interrupts, an address of 64
bits each 12 bytes from 0x10 on, then the number of frames; see `registers`.
"""

from __future__ import annotations

from gatewright.design.structure import End, Structure
from gatewright.emit.files import FileSet
from gatewright.emit.hls import HEADER, LEAST_DEPTH, beat, port_names, space, stream_declaration
from gatewright.emit.hls_bench import argument_names, bench_main, frame_words, inputs_read, outputs_compared

BATCH = 8
"""Frames that the test bench passes at once, and that co-simulation makes room for."""
LATENCY = 64
"""Cycles that a memory takes to answer, for which requests are made ahead; what the Vitis flow assumes, but not the
Vivado flow."""
FIRST_ARGUMENT = 0x10
ADDRESS_BYTES = 12
"""Two words of an address and one that is reserved."""


def emit(design: Structure, bus_bits: int) -> FileSet:
    """The files of the variant; kernels and the dataflow region are those of `hls.emit`.

    Args:
        bus_bits: width of the AXI4 masters; whole bytes, a power of two.
    """
    files, name = FileSet(), design.name
    files.add(f"{name}.hpp", top_header(design, bus_bits))
    files.add(f"{name}.cpp", top_source(design, bus_bits))
    files.add(f"{name}_tb.hpp", bench_header(design, bus_bits))
    files.add(f"{name}_tb.cpp", bench_main(name, argument_names(design)[0][0]))
    return files


def registers(design: Structure) -> dict[str, int]:
    """Where the arguments lie in the register map: offset of the low word by name, 64-bit addresses, then `frames`."""
    ins, outs = argument_names(design)
    return {n: FIRST_ARGUMENT + ADDRESS_BYTES * i for i, n in enumerate([*ins, *outs, "frames"])}


def _prototype(design: Structure, bus_bits: int) -> str:
    ins, outs = argument_names(design)
    arguments = [f"const ap_uint<{bus_bits}>* {n}" for n in ins] + [f"ap_uint<{bus_bits}>* {n}" for n in outs]
    return f"void {design.name}({', '.join(arguments)}, unsigned frames)"


def top_header(design: Structure, bus_bits: int) -> str:
    """The declaration of the top function."""
    return HEADER + f'#pragma once\n\n#include <ap_int.h>\n\nextern "C" {_prototype(design, bus_bits)};\n'


def top_source(design: Structure, bus_bits: int) -> str:
    """The top function: masters, the dataflow region, and what turns words into beats between them."""
    ins, outs = argument_names(design)
    s_axis, m_axis = port_names(design)
    depths = {k.source: k.depth for k in design.links if not k.source.unit}
    ports, streams, loads, stores = [], [], [], []
    for i, (name, axis, s) in enumerate(zip(ins, s_axis, design.inputs, strict=True)):
        words = frame_words(s, bus_bits)
        ports += _master(name, i, words, bus_bits)
        streams += stream_declaration(f"{name}_words", f"ap_uint<{bus_bits}>", LEAST_DEPTH)
        streams += stream_declaration(axis, beat(s), depths[End("", i)])
        loads.append(f"  gatewright::read_memory<{bus_bits}, {words}>({name}, {name}_words, frames);")
        loads.append(f"  gatewright::unpack_words<{bus_bits}, {s.bits}, {int(s.signed)}, {s.lanes}, {s.beats}>"
                     f"({name}_words, {axis}, frames);")  # fmt: skip
    for i, (name, axis, s) in enumerate(zip(outs, m_axis, design.outputs, strict=True)):
        words = frame_words(s, bus_bits)
        ports += _master(name, len(ins) + i, words, bus_bits)
        streams += stream_declaration(f"{name}_words", f"ap_uint<{bus_bits}>", LEAST_DEPTH)
        streams += stream_declaration(axis, beat(s), LEAST_DEPTH)
        stores.append(f"  gatewright::pack_words<{bus_bits}, {s.bits}, {s.lanes}, {s.beats}>"
                      f"({axis}, {name}_words, frames);")  # fmt: skip
        stores.append(f"  gatewright::write_memory<{bus_bits}, {words}>({name}_words, {name}, frames);")
    return "\n".join(
        [
            HEADER + f'#include "{design.name}.hpp"\n\n#include "{design.name}_dataflow.hpp"',
            '#include "gatewright/lib/memory_port.hpp"\n',
            f'extern "C" {_prototype(design, bus_bits)} {{',
            *ports,
            *(f"#pragma HLS interface mode=s_axilite port={n} bundle=control" for n in ("frames", "return")),
            "#pragma HLS dataflow",
            *streams,
            *loads,
            f"  {space(design)}::dataflow({', '.join([*s_axis, *m_axis])}, frames);",
            *stores,
            "}\n",
        ]
    )


def _master(name: str, index: int, words: int, bus_bits: int) -> list[str]:
    """A master of its own, as wide as the board's port, so that no two wait for each other."""
    return [
        f"#pragma HLS interface mode=m_axi port={name} offset=slave bundle=gmem{index} depth={words * BATCH} "
        f"latency={LATENCY} max_widen_bitwidth={bus_bits}",
        f"#pragma HLS interface mode=s_axilite port={name} bundle=control",
    ]


def bench_header(design: Structure, bus_bits: int) -> str:
    """A function that runs all frames of a folder through the top function, and counts those that differ.

    Memories are a batch longer than their frames: co-simulation copies as many words as `depth` says, whatever a call
    takes.
    """
    ins, outs = argument_names(design)
    words = {n: frame_words(s, bus_bits) for n, s in zip(ins + outs, design.inputs + design.outputs, strict=True)}
    here = ", ".join(f"{n}.data() + std::size_t(first) * {words[n]}" for n in ins + outs)
    options = f"bool golden = false, unsigned batch = {BATCH}"
    return "\n".join(
        [
            HEADER + "#pragma once\n",
            f'#include "{design.name}.hpp"',
            '#include "gatewright/testbench.hpp"\n',
            f"inline unsigned {design.name}_bench(const std::string& folder, {options}) {{",
            *inputs_read(design, bus_bits),
            f"  const std::size_t room = std::size_t(frames) + {BATCH};",
            *(f"  {n}.resize(room * {words[n]}, 0);" for n in ins),
            *(f"  gatewright::Memory<{bus_bits}> {n}(room * {words[n]}, 0);" for n in outs),
            "  for (unsigned first = 0; first < frames; first += batch) {",
            f"    ::{design.name}({here}, std::min(batch, frames - first));",
            "  }",
            "  unsigned wrong = 0;",
            *(f"  {n}.resize(std::size_t(frames) * {words[n]});" for n in outs),
            *outputs_compared(design, bus_bits),
            "  return wrong;\n}\n",
        ]
    )  # fmt: skip

# SPDX-License-Identifier: Apache-2.0
"""Structure -> the AXI4-Stream variant of an HLS project: the same dataflow region between ports, free running.

<name>_stream.cpp, .hpp      the top function `<name>_stream`, one frame a call
<name>_stream_tb.cpp, .hpp   its test bench, on the same files as that of the variant with AXI4 masters
"""

from __future__ import annotations

from gatewright.design.structure import End, Structure
from gatewright.emit.files import FileSet
from gatewright.emit.hls import HEADER, beat, port_names, space, stream_declaration
from gatewright.emit.hls_bench import argument_names, bench_main, frame_words, inputs_read, outputs_compared
from gatewright.ir.types import Stream


def emit(design: Structure, bus_bits: int) -> FileSet:
    """The files of the variant; kernels and the dataflow region are those of `hls.emit`.

    Args:
        bus_bits: of the words in which the test bench's files hold frames.
    """
    files, name = FileSet(), f"{design.name}_stream"
    files.add(f"{name}.hpp", top_header(design))
    files.add(f"{name}.cpp", top_source(design))
    files.add(f"{name}_tb.hpp", bench_header(design, bus_bits))
    files.add(f"{name}_tb.cpp", bench_main(name, argument_names(design)[0][0]))
    return files


def word(stream: Stream) -> str:
    """The C++ type of a word of a port; the parameters after the width are those of TUSER, TID and TDEST."""
    return f"ap_axiu<{stream.padded_width}, 0, 0, 0>"


def _prototype(design: Structure) -> str:
    ins, outs = port_names(design)
    ports = [f"hls::stream<{word(s)}>& {n}" for n, s in zip(ins + outs, design.inputs + design.outputs, strict=True)]
    return f"void {design.name}_stream({', '.join(ports)})"


def top_header(design: Structure) -> str:
    """The declaration of the top function."""
    includes = "#include <ap_axi_sdata.h>\n#include <ap_int.h>\n#include <hls_stream.h>\n"
    return HEADER + f'#pragma once\n\n{includes}\nextern "C" {_prototype(design)};\n'


def top_source(design: Structure) -> str:
    """The top function: ports, the dataflow region, and what turns words of ports into beats between them."""
    ins, outs = port_names(design)
    depths = {k.source: k.depth for k in design.links if not k.source.unit}
    streams, reads, writes = [], [], []
    for i, (name, s) in enumerate(zip(ins, design.inputs, strict=True)):
        streams += stream_declaration(f"{name}_beats", beat(s), depths[End("", i)])
        reads.append(f"  gatewright::read_axis<{s.bits}, {int(s.signed)}, {s.lanes}, {s.beats}>"
                     f"({name}, {name}_beats, 1);")  # fmt: skip
    for name, s in zip(outs, design.outputs, strict=True):
        streams += stream_declaration(f"{name}_beats", beat(s), 0)
        writes.append(f"  gatewright::write_axis<{word(s)}, {s.bits}, {s.lanes}, {s.beats}>({name}_beats, {name}, 1);")
    arguments = ", ".join([*(f"{n}_beats" for n in ins + outs), "1"])
    return "\n".join(
        [
            HEADER + f'#include "{design.name}_stream.hpp"\n',
            f'#include "{design.name}_dataflow.hpp"',
            '#include "gatewright/lib/stream_port.hpp"\n',
            f'extern "C" {_prototype(design)} {{',
            *(f"#pragma HLS interface mode=axis port={n}" for n in ins + outs),
            "#pragma HLS interface mode=ap_ctrl_none port=return",
            "#pragma HLS dataflow",
            *streams,
            *reads,
            f"  {space(design)}::dataflow({arguments});",
            *writes,
            "}\n",
        ]
    )


def bench_header(design: Structure, bus_bits: int) -> str:
    """A function that runs all frames of a folder through the top function one by one, and counts those that differ."""
    ins, outs = argument_names(design)
    s_axis, m_axis = port_names(design)
    name = f"{design.name}_stream"
    ports = list(zip(s_axis + m_axis, design.inputs + design.outputs, strict=True))
    return "\n".join(
        [
            HEADER + "#pragma once\n",
            f'#include "{name}.hpp"',
            '#include "gatewright/testbench.hpp"\n',
            f"inline unsigned {name}_bench(const std::string& folder, bool golden = false) {{",
            *inputs_read(design, bus_bits),
            *(f"  gatewright::Memory<{bus_bits}> {n}(std::size_t(frames) * {frame_words(s, bus_bits)}, 0);"
              for n, s in zip(outs, design.outputs, strict=True)),
            *(f'  hls::stream<{word(s)}> {n}("{n}");' for n, s in ports),
            "  unsigned wrong = 0;",
            "  for (unsigned frame = 0; frame < frames; ++frame) {",
            *(f"    gatewright::send_frame<{bus_bits}, {word(s)}, {s.width}, {s.beats}>({n}, frame, {axis});"
              for n, axis, s in zip(ins, s_axis, design.inputs, strict=True)),
            f"    {name}({', '.join(s_axis + m_axis)});",
            *(f'    wrong += gatewright::receive_frame<{bus_bits}, {s.width}, {s.beats}>({axis}, "{n}", {n}, frame);'
              for n, axis, s in zip(outs, m_axis, design.outputs, strict=True)),
            "  }",
            *(f'  wrong += gatewright::left_over({n}, "{n}");' for n, _ in ports),
            *outputs_compared(design, bus_bits),
            "  return wrong;\n}\n",
        ]
    )  # fmt: skip

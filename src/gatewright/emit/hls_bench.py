# SPDX-License-Identifier: Apache-2.0
"""What the C test benches of an HLS project have in common: their files, and what they do with outputs."""

from __future__ import annotations

from gatewright.design.structure import Structure
from gatewright.emit.hls import HEADER
from gatewright.ir.types import Stream
from gatewright.runtime.kernel_map import KernelMap

VECTORS = "data"
"""Folder of the project's own frames: for every input NAME.bin, for every output golden_NAME.bin."""


def argument_names(design: Structure | KernelMap) -> tuple[list[str], list[str]]:
    """What the frames of inputs and of outputs are called: address arguments of the top function, files of a bench."""

    def names(word: str, count: int) -> list[str]:
        return [word] if count == 1 else [f"{word}{i}" for i in range(count)]

    return names("input", len(design.inputs)), names("output", len(design.outputs))


def frame_words(stream: Stream, bus_bits: int) -> int:
    """Words of memory that a frame takes."""
    return -(-stream.width * stream.beats // bus_bits)


def inputs_read(design: Structure, bus_bits: int) -> list[str]:
    """The start of a bench: all inputs, and how many frames they are."""
    ins, _ = argument_names(design)
    words = frame_words(design.inputs[0], bus_bits)
    memory = f"gatewright::Memory<{bus_bits}>"
    return [
        *(f'  {memory} {n} = gatewright::read_words<{bus_bits}>(folder + "/{n}.bin");' for n in ins),
        f"  const unsigned frames = static_cast<unsigned>({ins[0]}.size() / {words});",
    ]


def outputs_compared(design: Structure, bus_bits: int) -> list[str]:
    """The end of a bench: outputs are written, and compared with what is golden."""
    return [
        line
        for n in argument_names(design)[1]
        for line in (
            f'  if (!gatewright::write_words<{bus_bits}>(folder + "/{n}.bin", {n})) return frames + 1;',
            f'  wrong += gatewright::count_wrong<{bus_bits}>(folder, "{n}", {n}, frames, golden);',
        )
    ]


def bench_main(top: str, first_input: str) -> str:
    """`main` of a bench: a folder of frames that is named, else the project's own, which have golden outputs.

    Args:
        top: the top function; its bench is the function `<top>_bench`.
    """
    folder = f'vectors ? gatewright::vector_folder("{VECTORS}", "{first_input}.bin") : argv[1]'
    return HEADER + "\n".join(
        [
            f'#include "{top}_tb.hpp"\n',
            "int main(int argc, char** argv) {",
            "  const bool vectors = argc < 2;",
            f"  return {top}_bench({folder}, vectors) == 0 ? 0 : 1;",
            "}\n",
        ]
    )

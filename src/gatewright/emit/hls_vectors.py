# SPDX-License-Identifier: Apache-2.0
"""Frames that an HLS project is tested on: inputs and golden outputs as they lie in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gatewright.design.structure import Structure
from gatewright.emit.hls_bench import VECTORS, argument_names
from gatewright.ir.packing import frame_images
from gatewright.ir.types import IntArray

VECTOR_FRAMES = 4
"""So few that co-simulation of a network ends, yet enough that frames follow each other."""


def vectors(
    design: Structure, inputs: Sequence[IntArray], golden: Sequence[IntArray], bus_bits: int
) -> Mapping[str, bytes]:
    """Contents of files by their paths in the project; nothing is written.

    Args:
        inputs: integers of shape (frames, ...), one array an input of the graph, at least one frame.
        golden: one array an output of the graph, as `Graph.reference` gives them.
        bus_bits: width of the project's words.
    """
    ins, outs = argument_names(design)
    leaving = [golden[design.leaves.index(i)] for i in range(len(design.outputs))]
    arrays = [*inputs, *leaving]
    names = [*ins, *(f"golden_{n}" for n in outs)]
    return {
        f"{VECTORS}/{name}.bin": frame_images(x[:VECTOR_FRAMES], stream, bus_bits).tobytes()
        for name, x, stream in zip(names, arrays, design.inputs + design.outputs, strict=True)
    }

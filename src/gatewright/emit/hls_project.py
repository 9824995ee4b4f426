# SPDX-License-Identifier: Apache-2.0
"""Structure -> a Vitis HLS project: one dataflow region behind two kinds of ports, test benches and scripts.

`hls`, `hls_axi`, `hls_stream` and `hls_scripts` say which files there are; `hls_vectors` has the frames of the benches.
"""

from __future__ import annotations

from gatewright.boards import Board
from gatewright.design.structure import Structure
from gatewright.emit import hls, hls_axi, hls_scripts, hls_stream
from gatewright.emit.files import FileSet
from gatewright.emit.hls_scripts import PACKAGES, Target


def emit(design: Structure, board: Board, mhz: float) -> FileSet:
    """The whole project but its test vectors; without scripts for a board that Vitis HLS does not know.

    Raises:
        ConfigError: an operator has no HLS kernel.
    """
    files = sources(design, board.memory_bits)
    if board.flow not in PACKAGES:
        return files
    for path, text in hls_scripts.emit(design, Target(board.part, board.flow, mhz)):
        files.add(path, text)
    return files


def sources(design: Structure, bus_bits: int = 64) -> FileSet:
    """All C++ of the project.

    Args:
        bus_bits: width of the AXI4 masters, and of the words in which frames lie in files; whole bytes, a power of two.

    Raises:
        ConfigError: an operator has no HLS kernel.
    """
    files = FileSet()
    for part in (hls.emit(design), hls_axi.emit(design, bus_bits), hls_stream.emit(design, bus_bits)):
        for path, text in part:
            files.add(path, text)
    return files

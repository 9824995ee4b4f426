# SPDX-License-Identifier: Apache-2.0
"""What a bitstream is made of: the kernel of a build, a board and a clock; the emitters of every tool start from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gatewright.boards import Board
from gatewright.runtime.kernel_map import KernelMap

ROOT = ".."
"""The build folder as the scripts see it, which lie in `FOLDER`: a copy of both works anywhere."""
FOLDER = "bitstream"


@dataclass(frozen=True)
class Project:
    """A kernel on a board.

    Attributes:
        kernel: registers, ports and sources.
        board: what the bitstream is for.
        mhz: of the kernel's clock; it may differ from what the design was compiled for.
        memory_files: contents of ROMs, paths relative to the build folder.
        units: instances of the design in the RTL, by which a tool's paths and tables are told.
        needs: resources that the kernel is predicted to take, by name; those that are missing are not known.
    """

    kernel: KernelMap
    board: Board
    mhz: float
    memory_files: tuple[str, ...]
    units: tuple[str, ...]
    needs: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the design."""
        return self.kernel.name

    @property
    def stem(self) -> str:
        """Of the bitstream's files; PYNQ over the network uploads nothing where a file of that name is there."""
        return f"{self.kernel.name}_{self.kernel.hash[:8]}"

    @property
    def sources(self) -> tuple[str, ...]:
        """Verilog in order of compilation, paths relative to the build folder."""
        return tuple(self.kernel.sources)

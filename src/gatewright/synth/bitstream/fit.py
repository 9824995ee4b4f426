# SPDX-License-Identifier: Apache-2.0
"""Whether a design fits its board with the kernel around it, before hours of somebody's time show that it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gatewright.boards import Board
from gatewright.build import Build
from gatewright.errors import DesignError
from gatewright.runtime.kernel_map import KernelMap
from gatewright.synth import report

BLOCK_BYTES = 2048
"""Of a memory bank in a block RAM of an ECP5, without the bits that it has for parity."""


@dataclass(frozen=True)
class Figure:
    """What is needed of a resource, and what there is.

    Attributes:
        name: of the resource.
        design: that the units, FIFOs and forks take; predicted, or as Yosys counted them.
        kernel: that the registers and memory masters around them take; 0 where no model says.
        capacity: of the board.
    """

    name: str
    design: float
    kernel: float
    capacity: float

    @property
    def needed(self) -> float:
        """Both together."""
        return self.design + self.kernel


def kernel_resources(kernel: KernelMap, family: str) -> dict[str, float]:
    """Estimate of what the kernel takes beside the design in it.

    Lines through what Yosys counted around one design at 32 to 512 bits (`benchmarks/bench_kernel_cost.py`), and for
    the ECP5 around two at 32, the only width there, which they meet to 3 %.
    """
    fifos, bits = len(kernel.edges), kernel.bus_bits
    reads, writes = len(kernel.inputs) + len(kernel.weights), len(kernel.outputs)
    if family == "ecp5":
        return {
            "LUT": 1811 + 295 * fifos + 785 * reads + 930 * writes,
            "FF": 631 + 103.3 * fifos + 432 * reads + 538 * writes,
            "EBR": float(reads + writes),
        }
    return {
        "LUT": 980 + 78.1 * fifos + reads * (315 + 1.05 * bits) + writes * (355 + 2.6 * bits),
        "FF": 631 + 103.3 * fifos + reads * (331 + bits) + writes * (343 + 3 * bits),
        "BRAM36": (reads + writes) * bits / 64,
    }


def bridge_resources(kernel: KernelMap, board: Board) -> dict[str, float]:
    """Likewise of what a board without a processor has around the kernel: a bridge to its port, and memory banks."""
    if board.flow != "nextpnr":
        return {}
    banks = len(kernel.ports)
    return {"LUT": 760 + 83 * banks, "FF": 615 + 115 * banks, "EBR": 1 + banks * -(-board.memory_bytes // BLOCK_BYTES)}


def around(kernel: KernelMap, board: Board) -> dict[str, float]:
    """All that a bitstream has beside the design."""
    parts = kernel_resources(kernel, board.family), bridge_resources(kernel, board)
    return {name: sum(part.get(name, 0.0) for part in parts) for name in parts[0]}


def predicted(build: Build, board: Board) -> dict[str, float]:
    """What the build needs by resource, whatever was synthesised since: scripts depend on it, and their digest."""
    design, other = build.summary()["resources"], around(build.kernel, board)
    return {name: design.get(name, 0.0) + other.get(name, 0.0) for name in board.capacity}


def figures(build: Build, board: Board) -> list[Figure]:
    """What the build needs and the board has, by resource.

    The design's own figures are those that Yosys counted, where `gatewright synth` ran on the build as it is.
    """
    measured = report.load(build)
    design: Mapping[str, float] = build.summary()["resources"] if measured is None else measured["total"]
    other = around(build.kernel, board)
    names = dict.fromkeys((*board.capacity, *(n for n in (*design, *other) if design.get(n) or other.get(n))))
    return [Figure(n, design.get(n, 0.0), other.get(n, 0.0), board.capacity.get(n, 0)) for n in names]


def check_fit(build: Build, board: Board) -> None:
    """Refuse a design that does not fit.

    Raises:
        DesignError: a table of what is needed and what there is.
    """
    found = figures(build, board)
    over = [f.name for f in found if f.needed > f.capacity]
    if over:
        raise DesignError(
            f"{build.directory}: the design does not fit {board.title}: too much {' and '.join(over)}:\n"
            f"{_table(found)}\ncompile it for a lower rate (--fps), a larger board, or with --budget; where the "
            "prediction is in doubt, gatewright synth counts what Yosys makes of it, and that count is then taken"
        )


def _table(found: Sequence[Figure]) -> str:
    rows: list[tuple[str, ...]] = [("", "design", "kernel around it", "together", "board has")]
    rows += [(f.name, *(f"{n:,.0f}" for n in (f.design, f.kernel, f.needed, f.capacity))) for f in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  " + "  ".join(f"{c:>{w}}" for c, w in zip(row, widths, strict=True)) for row in rows)

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

FAMILIES = ("xc7", "xcup")
"""Those whose tables have six inputs, for which the kernel was measured."""


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

    Lines through what Yosys counted around one design at 32 to 512 bits (`benchmarks/bench_kernel_cost.py`), which they
    meet to 3 %; empty for a family that was not measured.
    """
    if family not in FAMILIES:
        return {}
    fifos, bits = len(kernel.edges), kernel.bus_bits
    reads, writes = len(kernel.inputs) + len(kernel.weights), len(kernel.outputs)
    return {
        "LUT": 980 + 82 * fifos + reads * (315 + 1.05 * bits) + writes * (355 + 2.6 * bits),
        "FF": 631 + 98.3 * fifos + reads * (331 + bits) + writes * (343 + 3 * bits),
        "BRAM36": (reads + writes) * bits / 64,
    }


def predicted(build: Build, board: Board) -> dict[str, float]:
    """What the build needs by resource, whatever was synthesised since: scripts depend on it, and their digest."""
    design, around = build.summary()["resources"], kernel_resources(build.kernel, board.family)
    return {name: design.get(name, 0.0) + around.get(name, 0.0) for name in board.capacity}


def figures(build: Build, board: Board) -> list[Figure]:
    """What the build needs and the board has, by resource.

    The design's own figures are those that Yosys counted, where `gatewright synth` ran on the build as it is.
    """
    measured = report.load(build)
    design: Mapping[str, float] = build.summary()["resources"] if measured is None else measured["total"]
    around = kernel_resources(build.kernel, board.family)
    names = dict.fromkeys((*board.capacity, *(n for n in (*design, *around) if design.get(n) or around.get(n))))
    return [Figure(n, design.get(n, 0.0), around.get(n, 0.0), board.capacity.get(n, 0)) for n in names]


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

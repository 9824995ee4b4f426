# SPDX-License-Identifier: Apache-2.0
"""From a proven graph to a design: folded, FIFOs sized, cycles and resources predicted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gatewright.boards import Board
from gatewright.design.cycles import Timing, simulate
from gatewright.design.fifos import size_fifos, unit_interval
from gatewright.design.folding import Solver, apply_folding
from gatewright.design.resources import Resources, add_up, unit_resources
from gatewright.design.structure import Structure, structure
from gatewright.errors import DesignError
from gatewright.ir.graph import Graph
from gatewright.progress import Progress, silent

PREDICTED_FRAMES = 5


@dataclass(frozen=True, eq=False)
class Design:
    """A folded graph for a board at a clock.

    Attributes:
        graph: folded, with FIFO depths.
        mhz: clock.
    """

    graph: Graph
    board: Board
    mhz: float

    @cached_property
    def structure(self) -> Structure:
        """Units and FIFOs."""
        return structure(self.graph)

    @cached_property
    def timing(self) -> Timing:
        """Interval and latency from the cycle model, before any RTL runs."""
        return simulate(self.structure, PREDICTED_FRAMES)

    @cached_property
    def units(self) -> dict[str, Resources]:
        """Estimated resources per unit, the FIFOs in front of it included."""
        return unit_resources(self.graph, self.structure)

    @property
    def fps(self) -> float:
        """Frames a second in steady state."""
        return self.mhz * 1e6 / self.timing.interval

    @property
    def bottleneck(self) -> str:
        """The unit that takes longest."""
        intervals = unit_interval(self.graph)
        return max(intervals, key=lambda n: intervals[n])

    def summary(self) -> dict[str, Any]:
        """What `compile` reports: units, rates and resources."""
        intervals = unit_interval(self.graph)
        units = [
            {
                "name": n.name,
                "operator": n.op.name(),
                "folding": {k: int(getattr(n.op, k)) for k in n.op.foldings()},
                "cycles": intervals[n.name],
                "bits": n.op.outputs[0].bits,
                "output": str(n.op.outputs[0]),
                "resources": self.units[n.name],
            }
            for n in self.graph.nodes
        ]
        fifos = [{"name": k.name, "depth": k.depth, "bits": k.bits} for k in self.structure.links if k.depth]
        return {
            "network": self.graph.name,
            "board": self.board.name,
            "mhz": self.mhz,
            "units": units,
            "fifos": fifos,
            "bottleneck": self.bottleneck,
            "interval_cycles": self.timing.interval,
            "latency_cycles": self.timing.latency,
            "fps": self.fps,
            "latency_us": self.timing.latency / self.mhz,
            "resources": add_up(self.units.values()),
            "capacity": dict(self.board.capacity),
            "digest": self.graph.digest(),
        }


def make_design(
    graph: Graph,
    board: Board,
    *,
    fps: float | None = None,
    budget: float | None = None,
    mhz: float | None = None,
    folding: Mapping[str, Any] | None = None,
    source: str = "folding",
    progress: Progress = silent,
) -> Design:
    """Fold a lowered graph, size its FIFOs and predict its cycles.

    Args:
        fps: cheapest design for this rate; None for the fastest that fits.
        budget: fraction of every resource of the board; all of it by default.
        mhz: clock; the board's by default.
        folding: per node, instead of a solved one.
        source: where `folding` comes from, for messages.

    Raises:
        ConfigError: a folding that is none.
        DesignError: out of reach or too large.
    """
    clock = mhz or board.mhz
    progress("folding")
    solver = Solver(graph, board, budget or 1.0)
    if folding is not None:
        folded = apply_folding(graph, folding, source)
    else:
        folded = solver.fastest() if fps is None else solver.for_rate(fps, clock)
    progress("FIFO depths")
    design = Design(size_fifos(folded, progress), board, clock)
    excess = solver.over(add_up(design.units.values()))
    if not excess:
        if fps is not None and design.fps < fps * (1 - 1e-9):
            raise DesignError(
                f"{fps:.6g} frames/s at {clock:.6g} MHz: units wait for one another, and the cycle model shows only "
                f"{design.fps:.6g} frames/s: ask for a little more, so that units are folded less"
            )
        return design
    if folding is None and fps is None:
        # FIFOs turned out deeper than the solver reckoned with: leave them room.
        return _fastest_with_fifos(solver, clock, progress)
    asked = source if fps is None else f"{fps:.6g} frames/s at {clock:.6g} MHz"
    fits = _fastest_with_fifos(solver, clock, progress)
    raise DesignError(
        f"{asked}: the design is too large for {board.name}: {solver.say(excess)}; "
        f"the largest rate that fits is {fits.fps:.6g} frames/s"
    )


def _fastest_with_fifos(solver: Solver, mhz: float, progress: Progress) -> Design:
    """The fastest design that fits with its FIFOs, each try with a twentieth less for the units.

    Raises:
        DesignError: not even the smallest one fits.
    """
    limit = solver.budget
    for tried in range(20):
        solver.budget = limit * (1 - 0.05 * tried)
        folded = solver.fastest()
        solver.budget = limit
        design = Design(size_fifos(folded, progress), solver.board, mhz)
        excess = solver.over(add_up(design.units.values()))
        if not excess:
            return design
    raise DesignError(f"the smallest design is too large for {solver.board.name} with its FIFOs: {solver.say(excess)}")

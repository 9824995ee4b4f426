# SPDX-License-Identifier: Apache-2.0
"""From a proven graph to a design: folded, FIFOs sized, cycles and resources predicted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gatewright.boards import Board
from gatewright.config import Objective
from gatewright.design.cycles import Timing, simulate
from gatewright.design.fifos import let_pass, size_fifos, unit_interval
from gatewright.design.folding import Solver, apply_folding, interval_for
from gatewright.design.resources import Resources, add_up, unit_resources
from gatewright.design.streaming import (
    check_words,
    memory_reads,
    stream_memories,
    streamed_until_it_fits,
    word_limit,
)
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
        return unit_resources(self.graph, self.structure, self.board.family)

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
        outputs = [
            {
                "name": o.name,
                "stream": self.graph.leaving[o.tensor],
                "shape": list(o.shape),
                "bits": self.graph.tensors[o.tensor].bits,
                "host": o.host_functions(),
            }
            for o in self.graph.outputs
        ]
        return {
            "network": self.graph.name,
            "board": self.board.name,
            "mhz": self.mhz,
            "bus_bits": self.board.memory_bits,
            "units": units,
            "fifos": fifos,
            "outputs": outputs,
            "streamed": memory_reads(self.structure, self.fps, self.mhz),
            "bottleneck": self.bottleneck,
            "interval_cycles": self.timing.interval,
            "latency_cycles": self.timing.latency,
            "fps": self.fps,
            "latency_us": self.timing.latency / self.mhz,
            "resources": add_up(self.units.values(), self.board.family),
            "capacity": dict(self.board.capacity),
            "digest": self.graph.digest(),
        }


def make_design(
    graph: Graph,
    board: Board,
    *,
    fps: float | None = None,
    latency_us: float | None = None,
    budget: float | None = None,
    objective: Objective = "throughput",
    mhz: float | None = None,
    folding: Mapping[str, Any] | None = None,
    source: str = "folding",
    stream: Sequence[str] = (),
    may_stream: bool = False,
    progress: Progress = silent,
) -> Design:
    """Fold a lowered graph, size its FIFOs and predict its cycles.

    Args:
        fps: least rate in frames a second. With this or `latency_us` the design is the cheapest that keeps both;
            with neither it is the best that fits, by `objective`.
        latency_us: longest latency in microseconds.
        budget: fraction of every resource of the board; all of it by default.
        objective: what the best design that fits is best at: "throughput", or "latency" (at no less than `fps`).
        mhz: clock; the board's by default.
        folding: per node, instead of a solved one.
        source: where `folding` comes from, for messages.
        stream: nodes whose weights are read from memory off the chip.
        may_stream: where nothing fits with the other weights on the chip, theirs may be read so, too.

    Raises:
        ConfigError: a folding that is none; a node that is not there, or keeps its weights.
        DesignError: out of reach or too large; names what is within reach.
    """
    clock = mhz or board.mhz
    progress("folding")
    graph, limit = stream_memories(graph, stream), word_limit(board, clock)
    solver = Solver(graph, board, budget or 1.0, clock, limit)
    if folding is not None:
        folded = apply_folding(graph, folding, source)
        check_words(folded, limit)
        return _Planner(solver, progress).given(folded, source)
    planner = _Planner(streamed_until_it_fits(solver) if may_stream else solver, progress)
    interval = None if fps is None else interval_for(fps, clock)
    if objective == "latency" or latency_us is not None:
        cycles = None if latency_us is None else math.floor(latency_us * clock * (1 + 1e-12))
        return planner.quick(cycles, interval)
    return planner.fastest() if fps is None else planner.for_rate(fps)


ROUNDS = 20
"""Foldings tried until one fits with its FIFOs, or is as quick with them as it was reckoned without."""


@dataclass(frozen=True, eq=False)
class _Planner:
    """From foldings to designs: the solver reckons with FIFOs of the least depth, and here they get their own."""

    solver: Solver
    progress: Progress

    def sized(self, folded: Graph, cycles: int | None = None) -> Design:
        """A design with FIFOs for its rate, and for a latency where one is given."""
        self.progress("FIFO depths")
        graph = size_fifos(folded, self.progress)
        if cycles is not None:
            graph = let_pass(graph, cycles)
        return Design(graph, self.solver.board, self.solver.mhz)

    def excess(self, design: Design) -> dict[str, tuple[float, float]]:
        """Resources over the budget: needed and available."""
        return self.solver.over(add_up(design.units.values(), design.board.family))

    def given(self, folded: Graph, source: str) -> Design:
        """A folding from a file, if it fits."""
        design = self.sized(folded)
        excess = self.excess(design)
        if excess:
            raise DesignError(
                f"{source}: the design is too large for {self.solver.board.name}: {self.solver.say(excess)}; "
                f"the largest rate that fits is {self.fastest().fps:.6g} frames/s"
            )
        return design

    def fastest(self) -> Design:
        """The fastest design that fits with its FIFOs."""
        for _ in range(ROUNDS):
            design = self.sized(self.solver.fastest())
            if not self.excess(design):
                return design
            self.make_room(design)
        raise DesignError(
            f"the smallest design is too large for {self.solver.board.name} with its FIFOs: "
            f"{self.solver.say(self.excess(design))}; use a larger board or budget, or a smaller network"
        )

    def for_rate(self, fps: float) -> Design:
        """The cheapest design for a rate."""
        design = self.sized(self.solver.for_rate(fps))
        excess = self.excess(design)
        asked = f"{fps:.6g} frames/s at {self.solver.mhz:.6g} MHz"
        if excess:
            raise DesignError(
                f"{asked}: the design is too large for {self.solver.board.name}: {self.solver.say(excess)}; "
                f"the largest rate that fits is {self.fastest().fps:.6g} frames/s"
            )
        if design.fps < fps * (1 - 1e-9):
            raise DesignError(
                f"{asked}: units wait for one another, and the cycle model shows only "
                f"{design.fps:.6g} frames/s: ask for a little more, so that units are folded less"
            )
        return design

    def quick(self, cycles: int | None, interval: int | None) -> Design:
        """The cheapest design within a latency, or without one the design of the shortest latency."""
        wanted, design = cycles, None
        for _ in range(ROUNDS):
            try:
                folded, reckoned = self.solver.for_latency(wanted, interval)
            except DesignError:
                if design is None or wanted == cycles:
                    raise
                break
            design = self.sized(folded, cycles or reckoned)
            late = 0 if cycles is None else design.timing.latency - cycles
            slow = interval is not None and design.timing.interval > interval
            if self.excess(design):
                self.make_room(design)
            elif late > 0 and wanted is not None:
                wanted = reckoned - late
            elif slow:
                break
            else:
                return design
        assert design is not None  # noqa: S101  # the first round made one
        raise DesignError(
            f"units wait for one another, and the cycle model shows only {design.timing.latency / design.mhz:.6g} us "
            f"and {design.fps:.6g} frames/s: ask for a little more, so that units are folded less"
        )

    def make_room(self, design: Design) -> None:
        """Let the solver leave to FIFOs what this design's take beyond the least, and a hundredth of the board more."""
        deep, least = add_up(design.units.values(), design.board.family), self.solver.total(design.graph)
        more = {name: deep[name] - least[name] + 0.01 * room for name, (_, room) in self.excess(design).items()}
        reserve = self.solver.reserve
        self.solver.reserve = {n: max(more.get(n, 0.0), reserve.get(n, 0.0) * 1.05) for n in {*more, *reserve}}

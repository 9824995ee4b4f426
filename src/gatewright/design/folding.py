# SPDX-License-Identifier: Apache-2.0
"""Folding: PE and SIMD of every unit, solved for a frame rate or for the fastest design that fits.

Cost is the sum of the fractions of the board's resources, width adapters and FIFOs of the least depth included. For a
given interval the cheapest folding that meets it and fits is found exactly; the fastest that fits by bisection over the
intervals that some unit can have.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gatewright.boards import Board
from gatewright.design.choices import Choices, Combination, refold
from gatewright.design.fifos import unit_interval
from gatewright.design.latency import Found, LatencySearch, lone_latency
from gatewright.design.resources import Resources, add_up, unit_resources
from gatewright.design.structure import structure
from gatewright.errors import ConfigError, DesignError
from gatewright.ir.graph import Graph
from gatewright.ir.op import Op
from gatewright.ir.types import FloatArray


class Solver:
    """Foldings of one graph for one board.

    Args:
        graph: lowered; its present folding does not matter.
        board: whose resources are to be spent.
        budget: fraction of every resource that the design may take.
        mhz: clock, for rates and latencies; the board's by default.
        word_bits: the widest word of a memory that is streamed; the board's memory port by default.

    Attributes:
        reserve: resources by name to leave to what the solver does not see: FIFOs deeper than the least.
    """

    def __init__(
        self, graph: Graph, board: Board, budget: float = 1.0, mhz: float | None = None, word_bits: int | None = None
    ) -> None:
        self.graph, self.board, self.budget, self.mhz = graph, board, budget, mhz or board.mhz
        self.reserve: Mapping[str, float] = {}
        self.choices = Choices(graph, board, word_bits)
        self.options = dict(zip((n.name for n in graph.nodes), self.choices.options, strict=True))

    def for_interval(self, interval: int) -> Graph:
        """The cheapest folding in which no unit takes longer than `interval` cycles a frame, whether it fits or not.

        Raises:
            DesignError: a unit cannot, however it is folded.
        """
        self._check(interval)
        return self.choices.graph_of(self.choices.cheapest(self.choices.within(interval)).picks)

    def fastest(self) -> Graph:
        """The fastest folding whose resources stay within the budget; of several, the cheapest.

        Raises:
            DesignError: even the smallest design is too large; says which resource and by how much.
        """
        intervals = self._intervals()
        best = self._any(intervals[-1])
        if best is None:
            needs = self.say(self.excess(self.for_interval(intervals[-1]))) or "no room is left for its FIFOs"
            raise DesignError(
                f"even the smallest design is too large for {self.board.name}: {needs}; "
                "use a larger board or budget, or a smaller network"
            )
        low, high = 0, len(intervals) - 1
        while low < high:
            middle = (low + high) // 2
            found = self._any(intervals[middle])
            if found is None:
                low = middle + 1
            else:
                best, high = found, middle
        return self._fitting(intervals[high]) or self.choices.graph_of(best.picks)

    def fits(self) -> bool:
        """Whether any folding stays within the budget."""
        return self._any(self._intervals()[-1]) is not None

    def _intervals(self) -> list[int]:
        """The intervals that some unit can have and all can keep, ascending."""
        floor = max(min(o.interval for o in options) for options in self.options.values())
        return sorted({max(floor, o.interval) for options in self.options.values() for o in options})

    def for_rate(self, fps: float) -> Graph:
        """The cheapest folding for a frame rate.

        Raises:
            DesignError: out of reach, or too large: says which resource, by how much, and the largest rate that fits.
        """
        interval = interval_for(fps, self.mhz)
        cheapest = self.for_interval(interval)
        found = self._fitting(interval)
        if found is None:
            rate = self._rate(max(unit_interval(self.fastest()).values()))
            needs = self.say(self.excess(cheapest))
            raise DesignError(
                f"{fps:.6g} frames/s at {self.mhz:.6g} MHz are beyond {self.board.name}: {needs}; "
                f"the largest rate that fits is {rate} frames/s"
            )
        return found

    def for_latency(self, cycles: int | None, interval: int | None = None) -> tuple[Graph, int]:
        """The cheapest folding that fits for a latency, or the one of the shortest latency, and its latency in cycles.

        Args:
            cycles: longest latency; None for the shortest.
            interval: most cycles a frame; None for as many as the latency.

        Returns:
            the folding, and the latency that it has if no FIFO is ever full: the least that it can have.

        Raises:
            DesignError: out of reach, or too large: says which latency is not.
        """
        if interval is not None:
            self._check(interval)
        found = self._quick(cycles, interval, self.limits)
        if found is not None:
            return self.choices.graph_of(found.picks), found.latency
        if cycles is None:  # not even the cheapest fits: this says what is too large
            self.fastest() if interval is None else self.for_rate(self.mhz * 1e6 / interval)
        least = self._quick(None, interval, self.choices.unlimited)
        fits = self._quick(None, interval, self.limits)
        asked = f"{self._time(cycles)} at {self.mhz:.6g} MHz" if cycles is not None else "the shortest latency"
        if least is not None and (cycles is None or least.latency > cycles):
            rest = "at least, however it is folded" if least.exact else "is the least that was found"
            raise DesignError(f"{asked} is out of reach: latency {self._time(least.latency)} {rest}")
        rest = f"the shortest latency that fits is {self._time(fits.latency)}" if fits else "no folding fits"
        raise DesignError(f"{asked} is beyond {self.board.name}: {rest}")

    def _quick(self, cycles: int | None, interval: int | None, limits: FloatArray) -> Found | None:
        """The cheapest folding for a latency, or the one of the shortest, within limits on the shares."""
        most = min(n for n in (cycles, interval, 1 << 60) if n is not None)
        if cycles is None:
            start = self._quick_start(most, limits)
            if start is None:
                return None
            most = min(most, lone_latency(self.choices, start.picks))
        allowed = self.choices.within(most)
        if not all(a.any() for a in allowed):
            return None
        search = LatencySearch(self.choices, allowed)
        return search.shortest(limits) if cycles is None else search.cheapest(cycles, limits)

    def _quick_start(self, most: int, limits: FloatArray) -> Combination | None:
        """A fast folding within limits, so that foldings slower than its latency need not be tried."""
        pace = max(min(o.interval for o in options) for options in self.choices.options)
        slowest = max(o.interval for options in self.choices.options for o in options)
        found = None
        while found is None and pace < 2 * min(most, slowest):
            found = self.choices.any_within(self.choices.within(min(pace, most)), limits)
            pace *= 2
        return found

    def _check(self, interval: int) -> None:
        """Refuse an interval that some unit cannot keep.

        Raises:
            DesignError: names it, and the largest rate.
        """
        least, slowest = max((min(o.interval for o in options), name) for name, options in self.options.items())
        if least > interval:
            raise DesignError(
                f"{slowest} takes at least {least} cycles a frame however it is folded, more than {interval}: "
                f"ask for at most {self._rate(least)} frames/s at this clock, or raise it"
            )

    def _time(self, cycles: int) -> str:
        return f"{cycles / self.mhz:.6g} us"

    def _any(self, interval: int) -> Combination | None:
        """Some folding for an interval that stays within the budget."""
        return self.choices.any_within(self.choices.within(interval), self.limits)

    def _fitting(self, interval: int) -> Graph | None:
        """The cheapest folding for an interval that stays within the budget."""
        found = self.choices.cheapest_within(self.choices.within(interval), self.limits)
        return None if found is None else self.choices.graph_of(found.picks)

    # --- resources --------------------------------------------------------------------------------------------------

    @property
    def limits(self) -> FloatArray:
        """Largest share of each of the board's resources, in the order of `choices.names`."""
        return self.choices.shares({name: self._room(name) for name in self.choices.names})

    def _room(self, name: str) -> float:
        return self.board.capacity.get(name, 0) * self.budget - self.reserve.get(name, 0.0)

    def total(self, graph: Graph) -> Resources:
        """Estimate of the whole design with FIFOs of the least depth and width adapters."""
        family = self.board.family
        return add_up(unit_resources(graph, structure(replace(graph, depths={})), family).values(), family)

    def cost(self, graph: Graph) -> float:
        """What is minimised: the sum over the resources of the fraction of the board that the design takes."""
        return float(self.choices.shares(self.total(graph)).sum())

    def excess(self, graph: Graph) -> dict[str, tuple[float, float]]:
        """Resources over the budget, FIFOs at their least depth: needed and available, by name."""
        return self.over(self.total(graph))

    def over(self, total: Mapping[str, float]) -> dict[str, tuple[float, float]]:
        """Resources of `total` over the budget: needed and available, by name."""
        room = {name: self.board.capacity.get(name, 0) * self.budget for name in total}
        return {name: (total[name], room[name]) for name in total if total[name] > room[name]}

    def say(self, excess: Mapping[str, tuple[float, float]]) -> str:
        """What `over` gave, for a message."""
        return ", ".join(
            f"{n} needs {need:.0f} of {room:.0f} ({need / max(room, 1) - 1:+.0%})" for n, (need, room) in excess.items()
        )

    def _rate(self, cycles: int) -> str:
        """Frames a second in six digits, rounded down so that the rate itself can be asked for."""
        rate = self.mhz * 1e6 / cycles
        unit = 10.0 ** (math.floor(math.log10(rate)) - 5)
        return f"{math.floor(rate / unit) * unit:.6g}"


def interval_for(fps: float, mhz: float) -> int:
    """Most cycles a frame for a frame rate at a clock.

    Raises:
        DesignError: less than one.
    """
    interval = math.floor(mhz * 1e6 / fps * (1 + 1e-12))
    if interval < 1:
        raise DesignError(
            f"{fps:.6g} frames/s at {mhz:.6g} MHz leave less than one cycle a frame: ask for at most {mhz * 1e6:.6g}"
        )
    return interval


def folding_of(graph: Graph) -> dict[str, dict[str, Any]]:
    """The folding as `folding.json` holds it: per node, the value of every folding field, and `streamed` memories."""
    return {
        n.name: {k: int(getattr(n.op, k)) for k in n.op.foldings()}
        | ({STREAMED: list(n.op.streamed)} if n.op.streamed else {})
        for n in graph.nodes
        if n.op.foldings()
    }


STREAMED = "streamed"
"""Beside the folding fields of a node: its memories that are read from memory off the chip, where there are any."""


def apply_folding(graph: Graph, folding: Mapping[str, Any], source: str) -> Graph:
    """A graph folded as a file says.

    Args:
        folding: per node, values of folding fields; every node that has any must be there. A node may also have
            `streamed`; without it, it streams what it does in `graph`.
        source: the file's name, for messages.

    Raises:
        ConfigError: unknown or missing nodes or fields, values that are no folding; names the legal ones.
    """
    nodes = {n.name: n for n in graph.nodes}
    for name in folding:
        if name not in nodes:
            close = difflib.get_close_matches(name, nodes, n=1)
            raise ConfigError(
                f"{source}: no node {name!r}"
                + (f"; did you mean {close[0]!r}?" if close else "; the nodes are " + ", ".join(nodes))
            )
    ops: dict[str, Op] = {}
    for name, node in nodes.items():
        legal = node.op.foldings()
        if not legal:
            continue
        given = folding.get(name)
        if not isinstance(given, Mapping) or set(given) - {STREAMED} != set(legal):
            raise ConfigError(
                f"{source}: {name} ({node.op.name()}) needs exactly the fields {', '.join(legal)}, got {given!r}"
            )
        values = {field: value for field, value in given.items() if field != STREAMED}
        for field, value in values.items():
            if type(value) is not int or value not in legal[field]:
                raise ConfigError(
                    f"{source}: {name}: {field}={value!r} is no folding: use {', '.join(map(str, legal[field]))}"
                )
        ops[name] = refold(
            _streamed(node.op, name, given[STREAMED], source) if STREAMED in given else node.op, **values
        )
    return graph.with_ops(ops)


def _streamed(op: Op, name: str, memories: object, source: str) -> Op:
    """An operator with these memories streamed.

    Raises:
        ConfigError: they cannot be.
    """
    if not isinstance(memories, list) or memories != [m for m in op.streamable if m in memories]:
        able = f"use a list out of {list(op.streamable)}" if op.streamable else "its kernel has no port for any"
        raise ConfigError(f"{source}: {name} ({op.name()}): {STREAMED}={memories!r}: {able}")
    if not op.streamable:
        return op
    return replace(op, streamed=tuple(memories))  # type: ignore[type-var]  # a dataclass that has the field

# SPDX-License-Identifier: Apache-2.0
"""Folding: PE and SIMD of every unit, solved for a frame rate or for the fastest design that fits.

For a given interval every unit takes the cheapest folding that meets it; cost is the sum of the fractions of the
board's resources. Then units are revisited with their neighbours in view, so that equal costs go to lanes that need no
width adapter. The fastest design that fits is found by bisection over the intervals that some unit can have.
"""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gatewright.boards import Board
from gatewright.design.fifos import unit_interval
from gatewright.design.resources import Resources, add_up, fifo_resources
from gatewright.design.structure import LEAST_DEPTH, adapter_lanes, width_adapter
from gatewright.errors import ConfigError, DesignError
from gatewright.ir.graph import Graph
from gatewright.ir.op import Op
from gatewright.ir.types import Stream

SWEEPS = 3


@dataclass(frozen=True, eq=False)
class Option:
    """One folding of one operator: its cycles a frame, its resources, and their cost."""

    op: Op
    interval: int
    resources: Mapping[str, float]
    cost: float


class Solver:
    """Foldings of one graph for one board.

    Args:
        graph: lowered; its present folding does not matter.
        board: whose resources are to be spent.
        budget: fraction of every resource that the design may take.
    """

    def __init__(self, graph: Graph, board: Board, budget: float = 1.0) -> None:
        self.graph, self.board, self.budget, self.mhz = graph, board, budget, board.mhz
        self.options = {n.name: self._options(n.op) for n in graph.nodes}

    def for_interval(self, interval: int) -> Graph:
        """The cheapest folding in which no unit takes longer than `interval` cycles a frame.

        Raises:
            DesignError: a unit cannot, however it is folded.
        """
        chosen: dict[str, Option] = {}
        least, slowest = max((min(o.interval for o in options), name) for name, options in self.options.items())
        if least > interval:
            raise DesignError(
                f"{slowest} takes at least {least} cycles a frame however it is folded, more than {interval}: "
                f"ask for at most {self._rate(least)} frames/s at this clock, or raise it"
            )
        for name, options in self.options.items():
            chosen[name] = min((o for o in options if o.interval <= interval), key=lambda o: o.cost)
        for _ in range(SWEEPS):
            for name, options in self.options.items():
                fast = [o for o in options if o.interval <= interval and o.cost <= chosen[name].cost * 1.5 + 1e-3]
                chosen[name] = min(fast, key=lambda o, n=name: o.cost + self._adapters(n, o, chosen))  # type: ignore[misc]  # the default binds the loop variable
        return self.graph.with_ops({n: o.op for n, o in chosen.items()})

    def fastest(self) -> Graph:
        """The fastest folding whose resources stay within the budget.

        Raises:
            DesignError: even the smallest design is too large; says which resource and by how much.
        """
        floor = max(min(o.interval for o in options) for options in self.options.values())
        intervals = sorted({max(floor, o.interval) for options in self.options.values() for o in options})
        low, high = 0, len(intervals) - 1
        smallest = self.for_interval(intervals[-1])
        if self.excess(smallest):
            raise DesignError(
                f"even the smallest design is too large for {self.board.name}: {self.say(self.excess(smallest))}; "
                "use a larger board or budget, or a smaller network"
            )
        best = smallest
        while low < high:
            middle = (low + high) // 2
            graph = self.for_interval(intervals[middle])
            if self.excess(graph):
                low = middle + 1
            else:
                best, high = graph, middle
        return best

    def for_rate(self, fps: float, mhz: float) -> Graph:
        """The cheapest folding for a frame rate.

        Raises:
            DesignError: out of reach, or too large: says which resource, by how much, and the largest rate that fits.
        """
        self.mhz = mhz
        interval = math.floor(mhz * 1e6 / fps * (1 + 1e-12))
        if interval < 1:
            raise DesignError(
                f"{fps:.6g} frames/s at {mhz:.6g} MHz leave less than one cycle a frame: "
                f"ask for at most {mhz * 1e6:.6g}"
            )
        graph = self.for_interval(interval)
        excess = self.excess(graph)
        if excess:
            fits = self.fastest()
            rate = self._rate(max(unit_interval(fits).values()))
            raise DesignError(
                f"{fps:.6g} frames/s at {mhz:.6g} MHz are beyond {self.board.name}: {self.say(excess)}; "
                f"the largest rate that fits is {rate} frames/s"
            )
        return graph

    # --- resources --------------------------------------------------------------------------------------------------

    def total(self, graph: Graph) -> Resources:
        """Estimate of the whole design with FIFOs of the least depth and width adapters."""
        parts: list[Mapping[str, float]] = [n.op.resources() for n in graph.nodes]
        writers = {t: s for n in graph.nodes for t, s in zip(n.outputs, n.op.out_streams, strict=True)}
        for node in graph.nodes:
            for tensor, want in zip(node.inputs, node.op.in_streams, strict=True):
                parts.append(_edge_resources(writers.get(tensor, want), want))
        return add_up(parts)

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

    def _cost(self, resources: Mapping[str, float]) -> float:
        return sum(count / self.board.capacity.get(name, 1) for name, count in resources.items() if count)

    def _options(self, op: Op) -> list[Option]:
        """Every folding of an operator."""
        names, values = list(op.foldings()), list(op.foldings().values())
        found = []
        for combination in itertools.product(*values):
            folded = replace(op, **dict(zip(names, combination, strict=True)))  # type: ignore[type-var]  # operators are dataclasses
            interval = max(folded.cycles, *(s.beats for s in (*folded.in_streams, *folded.out_streams)))
            resources = folded.resources()
            found.append(Option(folded, interval, resources, self._cost(resources)))
        return found

    def _adapters(self, name: str, option: Option, chosen: Mapping[str, Option]) -> float:
        """Cost of the width adapters between a node and its neighbours."""
        cost = 0.0
        node = self.graph.node(name)
        for other in self.graph.nodes:
            for port, tensor in enumerate(other.inputs):
                if tensor in node.outputs:
                    have = option.op.out_streams[node.outputs.index(tensor)]
                    cost += self._cost(_edge_resources(have, chosen[other.name].op.in_streams[port]))
                elif other is node:
                    writer = next((w for w in self.graph.nodes if tensor in w.outputs), None)
                    if writer is not None:
                        have = chosen[writer.name].op.out_streams[writer.outputs.index(tensor)]
                        cost += self._cost(_edge_resources(have, option.op.in_streams[port]))
        return cost


def _edge_resources(have: Stream, want: Stream) -> Resources:
    """The FIFO of an edge, and its width adapters with theirs."""
    parts: list[Mapping[str, float]] = [fifo_resources(have, LEAST_DEPTH)]
    for lanes in adapter_lanes(have.lanes, want.lanes):
        adapter = width_adapter("a", have, lanes)
        have = adapter.outs[0]
        wide = max(s.width for s in (*adapter.ins, *adapter.outs))
        parts += [{"LUT": wide * 0.6 + 15, "FF": wide + 15.0}, fifo_resources(have, LEAST_DEPTH)]
    return add_up(parts)


def folding_of(graph: Graph) -> dict[str, dict[str, int]]:
    """The folding as `folding.json` holds it: per node, the value of every folding field."""
    return {n.name: {k: int(getattr(n.op, k)) for k in n.op.foldings()} for n in graph.nodes if n.op.foldings()}


def apply_folding(graph: Graph, folding: Mapping[str, Any], source: str) -> Graph:
    """A graph folded as a file says.

    Args:
        folding: per node, values of folding fields; every node that has any must be there.
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
        if not isinstance(given, Mapping) or set(given) != set(legal):
            raise ConfigError(
                f"{source}: {name} ({node.op.name()}) needs exactly the fields {', '.join(legal)}, got {given!r}"
            )
        for field, value in given.items():
            if type(value) is not int or value not in legal[field]:
                raise ConfigError(
                    f"{source}: {name}: {field}={value!r} is no folding: use {', '.join(map(str, legal[field]))}"
                )
        ops[name] = replace(node.op, **given)  # type: ignore[type-var]  # operators are dataclasses
    return graph.with_ops(ops)

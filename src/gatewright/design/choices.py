# SPDX-License-Identifier: Apache-2.0
"""Every folding of every unit with its cost, and the cheapest combination of them, exactly.

Units meet only in the lanes of the edges between them, where unequal lanes cost width adapters: costs are tables over
the lanes of each unit's ports, and their sum is minimised by elimination. A limit on every resource is kept by
Lagrangian bounds and branch and bound over the same elimination.
"""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from gatewright.boards import Board
from gatewright.design.elimination import Table, elimination_order, minimise
from gatewright.design.resources import Resources, adapter_resources, add_up, fifo_resources, fork_resources
from gatewright.design.structure import LEAST_DEPTH, adapter_lanes
from gatewright.errors import DesignError
from gatewright.ir.graph import Graph
from gatewright.ir.op import Op
from gatewright.ir.primitives import resource_names
from gatewright.ir.schedule import Schedule
from gatewright.ir.types import FloatArray, IntArray, Stream

BoolArray = npt.NDArray[np.bool_]

WORK = 8000
"""Nodes eliminated, over all trials, after which the search within limits takes the best that it has found."""
ROUNDING = 1e-9
"""Sums of shares that differ by less are equal."""
STEPS = 25
"""Prices tried for one Lagrangian bound."""


@dataclass(frozen=True, eq=False)
class Option:
    """One folding of one operator.

    Attributes:
        op: the operator, so folded.
        interval: cycles a frame, of the steps or of the beats of a stream, whichever are more.
        lanes: of its inputs, then of its outputs.
        shares: float64, one per resource of the board: what it takes of it, as a fraction.
    """

    op: Op
    interval: int
    lanes: tuple[int, ...]
    shares: FloatArray

    @property
    def cost(self) -> float:
        """The sum of the shares."""
        return float(self.shares.sum())

    @cached_property
    def schedule(self) -> Schedule:
        """When it takes and gives each beat."""
        return self.op.schedule()


@dataclass(frozen=True, eq=False)
class Combination:
    """An option for every node.

    Attributes:
        picks: which, in the order of the nodes.
        shares: of the whole design, FIFOs of the least depth and width adapters included.
    """

    picks: tuple[int, ...]
    shares: FloatArray

    @property
    def cost(self) -> float:
        """The sum of the shares."""
        return float(self.shares.sum())


def refold(op: Op, **folding: int) -> Op:
    """An operator with other values, out of its `foldings()`, of its folding fields.

    What it has checked and cached is of its contents, costs much on large weights, and is kept: no cached property of
    an operator may depend on its folding.
    """
    folded = copy.copy(op)
    vars(folded).update(folding)
    return folded


def interval_of(op: Op) -> int:
    """Cycles a frame of a unit alone: its steps, or its beats where those are more."""
    return max(op.cycles, *(s.beats for s in (*op.in_streams, *op.out_streams)))


def edge_resources(have: Stream, want: Stream, family: str) -> Resources:
    """The FIFO of an edge at its least depth, and its width adapters with theirs."""
    parts: list[Mapping[str, float]] = [fifo_resources(have, LEAST_DEPTH, family)]
    for lanes in adapter_lanes(have.lanes, want.lanes):
        out = replace(have, lanes=lanes, beats=have.beats * have.lanes // lanes)
        parts += [adapter_resources(have, out, family), fifo_resources(out, LEAST_DEPTH, family)]
        have = out
    return add_up(parts, family)


class Choices:
    """The options of every node of a graph, and what each combination of them takes of a board.

    Args:
        graph: lowered; its present folding does not matter.
        board: what the resources are shares of.
        word_bits: the widest word of a memory that is streamed; what memory gives in a cycle.

    Attributes:
        names: of the resources, in the order in which they stand in every array of shares.
        forks: what the forks take, however the units are folded.
    """

    def __init__(self, graph: Graph, board: Board, word_bits: int | None = None) -> None:
        self.graph, self.family = graph, board.family
        self.word_bits = word_bits or board.memory_bits
        seen = (r for n in graph.nodes for r in n.op.resources(board.family))
        self.names = tuple(dict.fromkeys((*resource_names(board.family), *seen)))
        self.capacity = np.array([max(board.capacity.get(name, 0), 1) for name in self.names], np.float64)
        self._edge_cache: dict[tuple[int, int, int, int], FloatArray] = {}
        self.options = [self._options(n.op) for n in graph.nodes]
        self._sizes: list[int] = []
        self._values: list[tuple[int, ...]] = []
        self._ports = [self._variables(options) for options in self.options]
        self._cells = [self._cell(i) for i in range(len(self.options))]
        self._shares = [np.array([o.shares for o in options]) for options in self.options]
        self._wires = self._find_wires()
        self.forks = self._fork_shares()
        self._edges = self._edge_tables()
        scopes = [tuple(dict.fromkeys(ports)) for ports in self._ports]
        self._order = elimination_order(self._sizes, [*scopes, *(scope for scope, _ in self._edges)])

    # --- tables -----------------------------------------------------------------------------------------------------

    def shares(self, resources: Mapping[str, float]) -> FloatArray:
        """Resources as fractions of the board."""
        return np.asarray(np.array([resources.get(name, 0.0) for name in self.names]) / self.capacity, np.float64)

    @property
    def unlimited(self) -> FloatArray:
        """Limits that nothing breaks."""
        return np.full(len(self.names), 1e9)

    def _options(self, op: Op) -> list[Option]:
        """Every folding of an operator."""
        names, values = list(op.foldings()), list(op.foldings().values())
        found = []
        for combination in itertools.product(*values):
            folded = refold(op, **dict(zip(names, combination, strict=True)))
            if any(folded.memory_shape(name)[1] > self.word_bits for name in folded.streamed):
                continue
            lanes = (*folded.in_lanes, *folded.out_lanes)
            found.append(Option(folded, interval_of(folded), lanes, self.shares(folded.resources(self.family))))
        if not found:
            raise DesignError(
                f"{op.name()}: its weights cannot come from memory, which gives {self.word_bits} bits a cycle, fewer "
                "than one weight has: use a wider port or a slower clock, or keep its weights on chip"
            )
        return found

    def _variables(self, options: Sequence[Option]) -> tuple[int, ...]:
        """The variable of each port of a node; ports that have the same lanes in every option share one."""
        ports, known = [], dict[tuple[int, ...], int]()
        for lanes in zip(*(o.lanes for o in options), strict=True):
            if lanes not in known:
                known[lanes] = len(self._sizes)
                self._values.append(tuple(sorted(set(lanes))))
                self._sizes.append(len(self._values[-1]))
            ports.append(known[lanes])
        return tuple(ports)

    def _cell(self, node: int) -> IntArray:
        """Which entry of the node's table each of its options belongs to."""
        scope = dict(zip(self._ports[node], range(len(self._ports[node])), strict=True))
        cell = np.zeros(len(self.options[node]), np.int64)
        for variable in dict.fromkeys(self._ports[node]):
            index = [self._values[variable].index(o.lanes[scope[variable]]) for o in self.options[node]]
            cell = cell * self._sizes[variable] + np.array(index)
        return cell

    def _find_wires(self) -> list[tuple[str, int, int, int, int]]:
        """Every FIFO of the graph: tensor, node and port that decide its lanes, node and port that read it.

        Ports count as in `Option.lanes`. A graph's input comes as its first reader wants it; a branch of a fork that
        leaves the design reads the lanes that there are, and an output that is no branch has no FIFO.
        """
        source: dict[str, tuple[int, int]] = {}
        wires = []
        for i, node in enumerate(self.graph.nodes):
            for port, tensor in enumerate(node.inputs):
                wires.append((tensor, *source.setdefault(tensor, (i, port)), i, port))
            for port, tensor in enumerate(node.outputs):
                source[tensor] = (i, len(node.inputs) + port)
        inputs = {i.name for i in self.graph.inputs}
        for tensor, count in self._readers().items():
            if tensor in source and (count > 1 or tensor in inputs):
                leaving = tensor in self.graph.leaving
                wires += [(tensor, *source[tensor], *source[tensor])] * leaving
        return wires

    def _readers(self) -> dict[str, int]:
        return dict(Counter(e.tensor for e in self.graph.edges()))

    def _fork_shares(self) -> FloatArray:
        """What all forks take."""
        forks = [fork_resources(count, self.family) for count in self._readers().values() if count > 1]
        return self.shares(add_up(forks, self.family))

    def edge_shares(self, tensor: str, have: int, want: int) -> FloatArray:
        """What an edge between two lane counts takes."""
        carried = self.graph.tensors[tensor]
        key = (carried.bits, carried.size, have, want)
        if key not in self._edge_cache:
            streams = carried.stream(have), carried.stream(want)
            self._edge_cache[key] = self.shares(edge_resources(*streams, self.family))
        return self._edge_cache[key]

    def _edge_tables(self) -> list[tuple[tuple[int, ...], FloatArray]]:
        """Per edge between nodes: its variables, and shares over them with resources as the last axis."""
        tables: list[tuple[tuple[int, ...], FloatArray]] = []
        for tensor, writer, out, reader, port in self._wires:
            have, want = self._ports[writer][out], self._ports[reader][port]
            if have == want:
                rows = [self.edge_shares(tensor, n, n) for n in self._values[have]]
                tables.append(((have,), np.array(rows)))
            else:
                pairs = [[self.edge_shares(tensor, a, b) for b in self._values[want]] for a in self._values[have]]
                tables.append(((have, want), np.array(pairs)))
        return tables

    # --- combinations -----------------------------------------------------------------------------------------------

    def within(self, interval: int) -> list[BoolArray]:
        """Per node, which options take no longer than `interval` cycles a frame."""
        return [np.array([o.interval <= interval for o in options]) for options in self.options]

    def graph_of(self, picks: Sequence[int]) -> Graph:
        """The graph with these options."""
        ops = {n.name: options[k].op for n, options, k in zip(self.graph.nodes, self.options, picks, strict=True)}
        return self.graph.with_ops(ops)

    def combination(self, picks: Sequence[int]) -> Combination:
        """These options and what they take together."""
        total = np.sum([shares[k] for shares, k in zip(self._shares, picks, strict=True)], axis=0) + self.forks
        for tensor, writer, out, reader, port in self._wires:
            have, want = self.options[writer][picks[writer]].lanes[out], self.options[reader][picks[reader]].lanes[port]
            total = total + self.edge_shares(tensor, have, want)
        return Combination(tuple(picks), total)

    def cheapest(self, allowed: Sequence[BoolArray], weights: FloatArray | None = None) -> Combination:
        """The combination of allowed options, at least one a node, whose weighted sum of shares is least.

        Args:
            weights: one per resource; all 1 by default.
        """
        weights = np.ones(len(self.names)) if weights is None else weights
        costs = [np.where(a, s @ weights, np.inf) for s, a in zip(self._shares, allowed, strict=True)]
        tables = [Table(scope, shares @ weights) for scope, shares in self._edges]
        for ports, cell, cost in zip(self._ports, self._cells, costs, strict=True):
            scope = tuple(dict.fromkeys(ports))
            flat = np.full([self._sizes[v] for v in scope], np.inf)
            np.minimum.at(flat.reshape(-1), cell, cost)
            tables.append(Table(scope, flat))
        _, values = minimise(tables, self._order)
        picks = []
        for ports, cell, cost in zip(self._ports, self._cells, costs, strict=True):
            scope = tuple(dict.fromkeys(ports))
            here = np.ravel_multi_index(tuple(values[v] for v in scope), [self._sizes[v] for v in scope])
            picks.append(int(np.where(cell == here, cost, np.inf).argmin()))
        return self.combination(picks)

    def cheapest_within(self, allowed: Sequence[BoolArray], limits: FloatArray) -> Combination | None:
        """The combination of allowed options with the least sum of shares whose every share keeps its limit.

        Exact, unless that takes more than `WORK`; None when there is none.

        Args:
            limits: one per resource, as fractions of the board.
        """
        best = self.any_within(allowed, limits)
        if best is None:
            return None
        boxes, effort = [self._possible(allowed, limits)], WORK // len(self.options)
        while boxes and effort > 0:
            box = boxes.pop()
            if all(a.any() for a in box):
                found, breaking, used = self._improve(box, limits, best.cost)
                best, effort = found or best, effort - used
                boxes += self._branches(box, breaking, limits) if breaking else []
        return best

    def any_within(self, allowed: Sequence[BoolArray], limits: FloatArray) -> Combination | None:
        """Some combination of allowed options whose every share keeps its limit.

        None when there is none, or when none was found within `WORK`.
        """
        boxes, effort = [self._possible(allowed, limits)], WORK // len(self.options)
        while boxes and effort > 0:
            box = boxes.pop()
            if all(a.any() for a in box):
                found, breaking, used = self._find(box, limits)
                if found:
                    return found
                effort -= used
                boxes += self._branches(box, breaking, limits) if breaking else []
        return None

    def _possible(self, allowed: Sequence[BoolArray], limits: FloatArray) -> list[BoolArray]:
        """The allowed options that alone keep the limits."""
        return [a & (s <= limits + ROUNDING).all(axis=1) for a, s in zip(allowed, self._shares, strict=True)]

    def _improve(
        self, allowed: Sequence[BoolArray], limits: FloatArray, ceiling: float
    ) -> tuple[Combination | None, Combination | None, int]:
        """Lagrangian bounds on the cost: prices on what is scarce, raised until nothing below `ceiling` can be left.

        Returns:
            the cheapest combination found below the ceiling; one that breaks a limit, to branch on, unless nothing
            more can be left; eliminations used.
        """
        prices, scale, highest = np.zeros(len(self.names)), 1.0, -np.inf
        found, breaking = None, None
        for used in range(1, STEPS + 1):
            relaxed = self.cheapest(allowed, 1 + prices)
            excess = relaxed.shares - limits
            bound = relaxed.cost + float(prices @ excess)
            candidate, breaking = self._sort_out(relaxed, breaking, limits)
            if candidate and candidate.cost < ceiling - ROUNDING:
                found, ceiling = candidate, candidate.cost
            scale = scale if bound > highest else scale / 2
            highest = max(highest, bound)
            if highest >= ceiling - ROUNDING:
                return found, None, used
            prices = np.maximum(0, prices + scale * (ceiling - bound) / float(excess @ excess) * excess)
        return found, breaking, STEPS

    def _find(
        self, allowed: Sequence[BoolArray], limits: FloatArray
    ) -> tuple[Combination | None, Combination | None, int]:
        """The same for any combination that keeps the limits: none is left when some prices make all cost too much."""
        breaking: Combination | None = None
        relaxed, prices = self.cheapest(allowed), np.zeros(len(self.names))
        for used in range(1, STEPS + 1):
            found, breaking = self._sort_out(relaxed, breaking, limits)
            excess = relaxed.shares - limits
            short = float(prices @ excess)
            if found or short > ROUNDING:
                return found, None, used
            prices = np.maximum(0, prices + (limits.max() / 100 - short) / float(excess @ excess) * excess)
            prices /= prices.sum()
            relaxed = self.cheapest(allowed, prices)
        return None, breaking, STEPS

    def _sort_out(
        self, new: Combination, last: Combination | None, limits: FloatArray
    ) -> tuple[Combination | None, Combination]:
        """What keeps the limits, of a combination and of mixtures of it and the one before; and what breaks them."""
        over = new.shares - limits
        if (over <= ROUNDING).all():
            return new, last or new
        differs = last is not None and over.argmax() != (last.shares - limits).argmax()
        return self._mixed(last, new, limits) if last and differs else None, new

    def _mixed(self, one: Combination, other: Combination, limits: FloatArray) -> Combination | None:
        """The cheapest that keeps the limits of those that begin like one combination and end like another."""
        best = None
        for a, b in ((one, other), (other, one)):
            for cut in range(1, len(a.picks)):
                mixed = self.combination(a.picks[:cut] + b.picks[cut:])
                if (mixed.shares <= limits + ROUNDING).all() and (best is None or mixed.cost < best.cost):
                    best = mixed
        return best

    def _branches(self, allowed: list[BoolArray], relaxed: Combination, limits: FloatArray) -> list[list[BoolArray]]:
        """The same choices split in two: with the option that takes most of what is scarce, and without it."""
        scarce = int((relaxed.shares - limits).argmax())
        open_nodes = [i for i, a in enumerate(allowed) if a.sum() > 1]
        if not open_nodes:
            return []
        node = max(open_nodes, key=lambda i: self._shares[i][relaxed.picks[i]][scarce])
        only = np.arange(len(allowed[node])) == relaxed.picks[node]
        return [[*allowed[:node], mask, *allowed[node + 1 :]] for mask in (only, allowed[node] & ~only)]

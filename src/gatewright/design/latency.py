# SPDX-License-Identifier: Apache-2.0
"""Foldings for a short latency: the cheapest within a latency, or the shortest latency within a budget.

The latency of a design is no sum over its units: their schedules overlap. So partial designs are kept, node after node:
what they cost, and when each beat of every tensor on its way arrives. One that costs no less and gives no beat earlier
than another with the same lanes is dropped; as an earlier beat never makes anything later, no optimum is lost. Lower
bounds on what the units still to come cost and take drop others. Where more are left than a beam is wide, those stay
that are cheapest for their lateness, and the result is then an upper bound of the optimum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gatewright.design.arrival import adapted, departures
from gatewright.design.choices import ROUNDING, BoolArray, Choices, Option
from gatewright.ir.graph import Graph, Node
from gatewright.ir.types import FloatArray, IntArray

Goal = Literal["cost", "latency"]

STEPS = 120_000_000
"""Steps of units computed for one search, about; decides how wide the beam may be."""
SAMPLE = 2048
"""Beats of a tensor that are compared; beyond them the search is not exact."""
WIDTHS = (12, 100, 1000)
"""Widths tried one after the other: what a narrow beam finds bounds the search of a wide one."""


@dataclass(frozen=True, eq=False)
class Partial:
    """Options for the first nodes of a graph.

    Attributes:
        pick: of the last of these nodes.
        shares: of the board's resources that they take.
        live: per tensor that a later node reads, its lanes and the cycle in which each beat is pushed.
        finish: cycle of the last handshake at the outputs so far.
    """

    before: Partial | None
    pick: int
    shares: FloatArray
    live: Mapping[str, tuple[int, IntArray]]
    finish: int

    @property
    def cost(self) -> float:
        """The sum of the shares."""
        return float(self.shares.sum())

    @property
    def picks(self) -> tuple[int, ...]:
        """The options of all nodes so far."""
        return () if self.before is None else (*self.before.picks, self.pick)

    @property
    def times(self) -> IntArray:
        """Times in one row, for comparisons with others of the same lanes: all, or of long tensors a sample."""
        rows = [self.live[t][1] for t in sorted(self.live)]
        parts = [part for r in rows for part in (r[:: -(-len(r) // SAMPLE)], r[-1:])]
        return np.concatenate([np.array([self.finish]), *parts])


@dataclass(frozen=True, eq=False)
class Found:
    """What a search came to.

    Attributes:
        picks: the options, in the order of the nodes.
        latency: in cycles, if no FIFO is ever full: no design with these options has less.
        exact: whether no better combination can exist.
    """

    picks: tuple[int, ...]
    cost: float
    shares: FloatArray
    latency: int
    exact: bool


class LatencySearch:
    """Searches over the options of a graph.

    Args:
        choices: the options and their costs.
        allowed: per node, which options may be taken.
    """

    def __init__(self, choices: Choices, allowed: Sequence[BoolArray]) -> None:
        self.choices, self.graph = choices, choices.graph
        self.options = [
            [(k, o) for k, o in enumerate(options) if a[k]] for options, a in zip(choices.options, allowed, strict=True)
        ]
        self.delay = {o.tensor: _output_delay(self.graph, o.tensor) for o in self.graph.outputs}
        self.tail, self.span = self._bounds()
        least = [np.min([o.shares for _, o in options], axis=0) for options in self.options]
        self.shares_left = [np.sum(least[i:], axis=0) if least[i:] else least[0] * 0 for i in range(len(least) + 1)]
        cheapest = [min(o.cost for _, o in options) for options in self.options]
        self.cost_left = [sum(cheapest[i:]) for i in range(len(cheapest) + 1)]

    def _bounds(self) -> tuple[dict[str, int], dict[str, int]]:
        """Per tensor, cycles that pass at least from its last, and from its first beat to the last of the outputs."""
        tail: dict[str, int] = dict(self.delay)
        span: dict[str, int] = dict(self.delay)
        for node, options in reversed(list(zip(self.graph.nodes, self.options, strict=True))):
            for port, tensor in enumerate(node.inputs):
                for out, given in enumerate(node.outputs):
                    drain, fill = np.min([_least_delays(o, port, out) for _, o in options], axis=0)
                    tail[tensor] = max(tail.get(tensor, 0), int(drain) + tail.get(given, 0))
                    span[tensor] = max(span.get(tensor, 0), int(fill) + tail.get(given, 0))
        return tail, span

    # --- the search -------------------------------------------------------------------------------------------------

    def cheapest(self, latency: int, limits: FloatArray) -> Found | None:
        """The cheapest options whose latency is at most `latency` and whose shares keep their limits."""
        best: Found | None = None
        for width in self._widths():
            ceiling = best.cost if best else float(limits.sum()) + ROUNDING
            found, whole = self._run(width, "cost", latency, ceiling, limits)
            best = found or best
            if whole:
                return best and Found(best.picks, best.cost, best.shares, best.latency, True)
        return best

    def shortest(self, limits: FloatArray) -> Found | None:
        """The options with the least latency whose shares keep their limits; of several, a cheap one."""
        best: Found | None = None
        for width in self._widths():
            latency = best.latency if best else 1 << 60
            found, whole = self._run(width, "latency", latency, float(limits.sum()) + ROUNDING, limits)
            best = found or best
            if whole:
                return best and Found(best.picks, best.cost, best.shares, best.latency, True)
        return best

    def _widths(self) -> list[int]:
        """As many of `WIDTHS` as the length of the schedules allows, at least a narrow one."""
        steps = sum(o.op.cycles for options in self.options for _, o in options)
        most = max(4, STEPS // max(steps, 1))
        return [min(w, most) for w in WIDTHS if w <= most] or [most]

    def _run(
        self, width: int, goal: Goal, latency: int, ceiling: float, limits: FloatArray
    ) -> tuple[Found | None, bool]:
        """One pass over the nodes; the best of the last beam, and whether no partial design was left out for width."""
        start = Partial(None, -1, self.choices.forks, {}, 0)
        beam, whole = [start], True
        for i, node in enumerate(self.graph.nodes):
            grown = [p for b in beam for p in self._grow(b, i, node, latency, ceiling, limits)]
            kept = self._undominated(grown, goal)
            beam = kept if len(kept) <= width else self._spread(kept, width, i + 1)
            sampled = any(len(times) > SAMPLE for p in beam for _, times in p.live.values())
            whole = whole and len(beam) == len(kept) and not sampled
        if not beam:
            return None, whole
        best = min(beam, key=lambda p: (p.finish, p.cost) if goal == "latency" else (p.cost, p.finish))
        return Found(best.picks, best.cost, best.shares, best.finish, False), whole

    def _grow(
        self, partial: Partial, index: int, node: Node, latency: int, ceiling: float, limits: FloatArray
    ) -> list[Partial]:
        """The partial design with each option of the next node that may still lead to something better."""
        arrived: dict[tuple[int, int], IntArray] = {}
        grown = []
        for k, option in self.options[index]:
            shares, live = partial.shares + option.shares, dict(partial.live)
            for port, tensor in enumerate(node.inputs):
                want = option.lanes[port]
                if tensor not in live:
                    live[tensor] = (want, np.arange(self.graph.tensors[tensor].size // want))
                    shares = shares + self._leaving(tensor, want)
                shares = shares + self.choices.edge_shares(tensor, live[tensor][0], want)
            for tensor, have in zip(node.outputs, option.lanes[len(node.inputs) :], strict=True):
                shares = shares + self._leaving(tensor, have)
            if shares.sum() + self.cost_left[index + 1] > ceiling - ROUNDING / 2:
                continue
            if (shares + self.shares_left[index + 1] > limits + ROUNDING).any():
                continue
            arrivals = []
            for port, tensor in enumerate(node.inputs):
                key = (port, option.lanes[port])
                if key not in arrived:
                    have, times = live[tensor]
                    arrived[key] = adapted(times, have, option.lanes[port])
                arrivals.append(arrived[key])
            outs = departures(option.schedule, arrivals)
            next_one = self._advance(partial, index, k, shares, live, outs)
            if self._least_latency(next_one) <= latency:
                grown.append(next_one)
        return grown

    def _leaving(self, tensor: str, lanes: int) -> FloatArray:
        """What the FIFOs take through which a tensor of so many lanes leaves the design."""
        count = self.delay.get(tensor, 0)
        return self.choices.edge_shares(tensor, lanes, lanes) * count

    def _advance(
        self,
        partial: Partial,
        index: int,
        pick: int,
        shares: FloatArray,
        live: dict[str, tuple[int, IntArray]],
        outs: Sequence[IntArray],
    ) -> Partial:
        node = self.graph.nodes[index]
        finish = partial.finish
        lanes = self.choices.options[index][pick].lanes[len(node.inputs) :]
        for tensor, count, times in zip(node.outputs, lanes, outs, strict=True):
            live[tensor] = (count, times)
        for tensor in {*node.inputs, *node.outputs} & self.delay.keys():
            finish = max(finish, int(live[tensor][1][-1]) + self.delay[tensor])
        needed = {t for n in self.graph.nodes[index + 1 :] for t in n.inputs}
        return Partial(partial, pick, shares, {t: v for t, v in live.items() if t in needed}, finish)

    def _least_latency(self, partial: Partial) -> int:
        """No design that begins like this one has less."""
        bounds = [partial.finish]
        for tensor, (_, times) in partial.live.items():
            bounds += [int(times[-1]) + self.tail[tensor], int(times[0]) + self.span[tensor]]
        return max(bounds)

    def _undominated(self, partials: Sequence[Partial], goal: Goal) -> list[Partial]:
        """Those that no other with the same lanes beats in cost and in every time."""
        groups: dict[tuple[tuple[str, int], ...], list[Partial]] = {}
        for p in sorted(partials, key=lambda p: (p.cost, self._least_latency(p))):
            groups.setdefault(tuple(sorted((t, lanes) for t, (lanes, _) in p.live.items())), []).append(p)
        kept = []
        for group in groups.values():
            rows = np.empty((len(group), len(group[0].times)), np.int64)
            costs = np.empty((len(group), len(group[0].shares)))
            count = 0
            for p in group:
                times = p.times
                worse = (rows[:count] <= times).all(axis=1)
                if goal == "latency":
                    worse &= (costs[:count] <= p.shares + ROUNDING).all(axis=1)
                if not worse.any():
                    rows[count], costs[count] = times, p.shares
                    count += 1
                    kept.append(p)
        return kept

    def _spread(self, partials: Sequence[Partial], width: int, index: int) -> list[Partial]:
        """The cheapest of each of `width` classes of lateness."""
        late = np.array([self._least_latency(p) for p in partials], np.float64)
        place = np.minimum(((late - late.min()) / max(float(np.ptp(late)), 1.0) * width).astype(np.int64), width - 1)
        best: dict[int, Partial] = {}
        for p, where in zip(partials, place.tolist(), strict=True):
            if where not in best or p.cost < best[where].cost:
                best[where] = p
        return list(best.values())


def _output_delay(graph: Graph, tensor: str) -> int:
    """Cycles from the push of an output's beat to its handshake: a branch of a fork, or of an input, has a FIFO."""
    alone = sum(e.tensor == tensor for e in graph.edges()) == 1 and all(i.name != tensor for i in graph.inputs)
    return 0 if alone else 1


def _least_delays(option: Option, port: int, out: int) -> tuple[int, int]:
    """Cycles at least from the last, and from the first beat of an input to the last beat of an output."""
    schedule = option.schedule
    need, last = schedule.need[port], int(np.flatnonzero(schedule.produce[out])[-1])
    wait = 1 + schedule.depth + (schedule.after[port] is not None)
    return last - int(np.searchsorted(need, need[-1])) + wait, last - int(np.searchsorted(need, 1)) + wait


def lone_latency(choices: Choices, picks: Sequence[int]) -> int:
    """The latency of these options if no FIFO is ever full, in cycles."""
    allowed = [np.arange(len(o)) == k for o, k in zip(choices.options, picks, strict=True)]
    found = LatencySearch(choices, allowed).shortest(choices.unlimited)
    assert found is not None  # noqa: S101  # one option a node, no limits
    return found.latency

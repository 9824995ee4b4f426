# SPDX-License-Identifier: Apache-2.0
"""FIFO depths: the least that keeps the bottleneck busy and cannot deadlock.

Schedules do not depend on data and every FIFO blocks its writer, so a design that finishes its frames once finishes
them under any stalls; the cycle model shows that it does. Depth is needed where paths meet again (a residual branch
waits for the other one); everywhere else two words do, unless a unit's bursts need more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import numpy as np

from gatewright.design.cycles import Timing, simulate
from gatewright.design.structure import BLOCK_DEPTH, LEAST_DEPTH, structure
from gatewright.errors import DesignError
from gatewright.ir.graph import Edge, Graph
from gatewright.ir.schedule import Schedule
from gatewright.ir.types import IntArray
from gatewright.progress import Progress, silent

FRAMES = 5
"""Frames run to see the interval in steady state, while depths are searched."""
LONG = 10
"""Frames run to be sure of it: where FIFOs fill or empty slowly, fewer do not show it."""
ROUNDS = 4
"""Times that depths are doubled where the estimate from the bursts does not keep the bottleneck busy."""
DEADLOCK = 1 << 60
"""An interval beyond any bound."""

Depths = dict[Edge, int]


def size_fifos(graph: Graph, progress: Progress = silent) -> Graph:
    """The graph with a depth for every edge that needs more than the least.

    Raises:
        DesignError: it deadlocks at any depth.
    """
    goal = max(unit_interval(graph).values())
    bench = _Bench(graph)
    start = burst_depths(graph)
    joins = [e for e in start if sum(f.consumer == e.consumer for f in start) > 1]
    start |= {e: _frame_beats(graph, e) + LEAST_DEPTH for e in joins}
    depths, timing = bench.lively(start, joins, goal)
    depths, best = bench.tightened(depths, timing), timing.interval
    sized = bench.joined(depths, joins, best, FRAMES, progress)
    if sized != depths and bench.interval(sized, LONG) > best:
        sized = bench.joined(depths, joins, best, LONG, progress)
    return replace(graph, depths={e: d for e, d in sized.items() if d > LEAST_DEPTH})


def let_pass(graph: Graph, latency: int) -> Graph:
    """The graph with deeper FIFOs where a lone frame would have to wait for room, if that brings it within `latency`.

    A FIFO for the rate may be too short for the bursts of a frame that comes alone. Only what is needed is raised.
    """
    bench = _Bench(graph)
    depths = {e: graph.depths.get(e, LEAST_DEPTH) for e in bench.edges}
    deep = bench.run({e: _frame_beats(graph, e) + LEAST_DEPTH for e in depths}, 1)
    if deep.latency > latency or bench.interval(depths, 1) <= latency:
        return graph
    held = {k.edge: deep.peak[k.name] + 1 for k in bench.design.links if k.main and k.edge in depths}
    raised = {e: max(d, held[e]) for e, d in depths.items()}
    if bench.interval(raised, 1) > latency:
        return graph
    for edge in sorted(raised, key=lambda e: depths[e] - raised[e]):
        lower = raised | {edge: depths[edge]}
        raised = lower if bench.interval(lower, 1) <= latency else raised
    return replace(graph, depths={e: d for e, d in raised.items() if d > LEAST_DEPTH})


class _Bench:
    """One design run with many depths: its units, and so their schedules, are made once."""

    def __init__(self, graph: Graph) -> None:
        self.design = structure(replace(graph, depths={}))
        self.bits = {k.edge: k.stream.width for k in self.design.links if k.main}
        names = {n.name for n in graph.nodes}
        self.edges = [e for e in graph.edges() if e.consumer in names]

    def run(self, depths: Mapping[Edge, int], frames: int = FRAMES) -> Timing:
        """Its cycles with these depths.

        Raises:
            DesignError: it deadlocks.
        """
        links = (replace(k, depth=max(depths.get(k.edge, 0), k.depth)) if k.main else k for k in self.design.links)
        return simulate(replace(self.design, links=tuple(links)), frames)

    def interval(self, depths: Mapping[Edge, int], frames: int = FRAMES) -> int:
        """Steady-state interval with these depths; of one frame its latency; beyond any bound when it deadlocks."""
        try:
            return self.run(depths, frames).interval
        except DesignError:
            return DEADLOCK

    def lively(self, start: Depths, joins: Collection[Edge], goal: int) -> tuple[Depths, Timing]:
        """Depths from `start` upwards that reach the goal, or come closest to it, and the run that shows it.

        Raises:
            DesignError: all of them deadlock.
        """
        best: tuple[Depths, Timing] | None = None
        for factor in range(ROUNDS + 1):
            wider = {e: d if e in joins else d << factor for e, d in start.items()}
            try:
                timing = self.run(wider, LONG)
            except DesignError:
                if factor == ROUNDS and best is None:
                    raise
                continue
            if best is None or timing.interval < best[1].interval:
                best = wider, timing
            if timing.interval <= goal:
                break
        assert best is not None  # noqa: S101  # else the last round raised
        return best

    def tightened(self, depths: Depths, timing: Timing) -> Depths:
        """Depths without the words that were never held in a run, if without them the interval is no longer."""
        peaks = {k.edge: timing.peak[k.name] for k in self.design.links if k.main}
        tight = {e: min(d, max(LEAST_DEPTH, peaks[e] + 1)) for e, d in depths.items()}
        if all((d > BLOCK_DEPTH) == (tight[e] > BLOCK_DEPTH) for e, d in depths.items()):
            return tight  # no FIFO is ever full, nor faster or slower than before: nothing changes
        return tight if self.interval(tight, LONG) <= timing.interval else depths

    def joined(self, depths: Depths, joins: Collection[Edge], best: int, frames: int, progress: Progress) -> Depths:
        """The least depths in front of joins with which the interval over so many frames still is `best`."""
        shallow = depths | {e: LEAST_DEPTH for e in joins if depths[e] == LEAST_DEPTH + 1}
        depths = shallow if self.interval(shallow, frames) <= best else dict(depths)
        deep = [e for e in joins if depths[e] > LEAST_DEPTH]
        for edge in sorted(deep, key=lambda e: -depths[e] * self.bits[e]):
            progress(f"FIFO depth in front of {edge.consumer}")
            depths[edge] = self.least(edge, depths, best, frames)
        return depths

    def least(self, edge: Edge, depths: Depths, best: int, frames: int) -> int:
        """The least depth of an edge, others as they are, with which the interval still is `best`.

        What a lone frame needs to pass without delay is found with short runs, those that deadlock by far the shortest,
        and is where the search begins.
        """

        def holds(depth: int) -> bool:
            return self.interval(depths | {edge: depth}, frames) <= best

        enough = depths[edge]
        alone = self.interval(depths, 1)
        guess = _least(lambda depth: self.interval(depths | {edge: depth}, 1) <= alone, LEAST_DEPTH, enough, 5)
        low, high, step = (LEAST_DEPTH, guess, -1) if holds(guess) else (guess + 1, enough, 1)
        while low < high:
            probe = max(low, high + step) if step < 0 else min(high, low + step) - 1
            if holds(probe):
                high = probe
            else:
                low = probe + 1
            if (step < 0) != (high == probe):
                break
            step *= 2
        return _least(holds, low, high)


def burst_depths(graph: Graph) -> Depths:
    """Per edge between nodes, the words that it must hold so that bursts of one side do not make the other wait.

    Either the consumer takes in bursts what comes steadily, or the writer gives in bursts what is taken steadily.
    """
    goal = max(unit_interval(graph).values())
    supply, drain = _paces(graph)
    writers = {
        tensor: (produce, lanes)
        for n in graph.nodes
        for tensor, produce, lanes in zip(n.outputs, n.op.schedule().produce, n.op.out_lanes, strict=True)
    }
    depths: Depths = {}
    for node in graph.nodes:
        schedule = node.op.schedule()
        for port, tensor in enumerate(node.inputs):
            edge, elements, depth = Edge(tensor, node.name, port), graph.tensors[tensor].size, LEAST_DEPTH
            if tensor in writers:
                produce, out_lanes = writers[tensor]
                given = np.cumsum(produce) * out_lanes
                words = [_backlog(elements - np.concatenate([[0], given[:-1]])[::-1], drain[edge], goal)]
                if schedule.after[port] is None:
                    words.append(_backlog(schedule.need[port] * node.op.in_lanes[port], supply[tensor], goal))
                depth += -(-max(words) // max(out_lanes, node.op.in_lanes[port]))
            depths[edge] = depth
    return depths


def _paces(graph: Graph) -> tuple[dict[str, float], dict[Edge, float]]:
    """Elements a cycle in which a tensor can come, and in which an edge can be emptied, while a burst lasts.

    A unit that takes and gives evenly and has no buffer is no faster than what is before it and behind it.
    """
    interval = unit_interval(graph)
    even = {n.name: _is_even(n.op.schedule()) for n in graph.nodes}
    supply: dict[str, float] = {i.name: math.inf for i in graph.inputs}
    for node in graph.nodes:
        fed = min(supply[t] / graph.tensors[t].size for t in node.inputs)
        frames = min(1 / interval[node.name], fed if even[node.name] else math.inf)
        supply |= {t: frames * graph.tensors[t].size for t in node.outputs}
    drain: dict[Edge, float] = {}
    for node in reversed(graph.nodes):
        behind = [rate / graph.tensors[e.tensor].size for e, rate in drain.items() if e.tensor in node.outputs]
        frames = min(1 / interval[node.name], *(behind if even[node.name] else ()), math.inf)
        drain |= {Edge(t, node.name, p): frames * graph.tensors[t].size for p, t in enumerate(node.inputs)}
    return supply, drain


def _is_even(schedule: Schedule) -> bool:
    """Whether a unit takes and gives its beats at an even pace, without a buffer."""
    if any(after is not None for after in schedule.after):
        return False
    steps = np.arange(1, schedule.steps + 1) / schedule.steps
    counts = [*schedule.need, *(np.cumsum(p) for p in schedule.produce)]
    return all(np.abs(c - steps * c[-1]).max() <= 1 for c in counts)


def _backlog(taken: IntArray, rate: float, goal: int) -> int:
    """Elements that wait at most, in front of a unit that takes in bursts what comes at a rate.

    Args:
        taken: elements that it has taken after each of its steps.
        rate: elements a cycle. Whoever sends them at more than one frame every `goal` cycles can wait without harm,
            and so can a unit with fewer steps than that.
    """
    steps, elements = len(taken), int(taken[-1])
    step = np.arange(1, steps + 1)
    ahead = max(0, math.ceil(float((taken - rate * goal / steps * step).max()) - 1e-9))
    if rate * goal > elements * (1 + 1e-9):
        return ahead
    # No faster than the design: what comes while nothing is taken waits. Two frames show it, as each begins alike.
    need = np.concatenate([taken + elements * k for k in range(3)])
    ready = np.ceil(need / rate)
    index = np.arange(len(need))
    when = index + np.maximum.accumulate(ready - index)
    before = np.concatenate([[0], need[:-1]])
    return min(ahead, math.ceil(float((np.minimum(when * rate, 3 * elements) - before)[steps:].max())))


def unit_interval(graph: Graph) -> dict[str, int]:
    """Cycles a frame of every node alone: its steps, or its beats where those are more."""
    return {n.name: max(n.op.cycles, *(s.beats for s in (*n.op.in_streams, *n.op.out_streams))) for n in graph.nodes}


def _frame_beats(graph: Graph, edge: Edge) -> int:
    """Beats of a frame on the deep FIFO of an edge, which has the wider side's lanes."""
    lanes = [n.op.out_lanes[n.outputs.index(edge.tensor)] for n in graph.nodes if edge.tensor in n.outputs]
    lanes += [n.op.in_lanes[edge.port] for n in graph.nodes if n.name == edge.consumer]
    return graph.tensors[edge.tensor].size // max(lanes)


def _least(holds: Callable[[int], bool], low: int, high: int, part: int = 2) -> int:
    """The least number from `low` on that holds; `high` does.

    Args:
        part: what is left is split at one `part`-th: 2 is bisection, more where a number that fails is found cheaply.
    """
    while low < high:
        middle = low + (high - low) // part
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return high

# SPDX-License-Identifier: Apache-2.0
"""FIFO depths: the least that keeps the bottleneck busy and cannot deadlock.

Schedules do not depend on data and every FIFO blocks its writer, so a design that finishes its frames once finishes
them under any stalls; the cycle model shows that it does. Depth is needed where paths meet again (a residual branch
waits for the other one); everywhere else two words do, unless a unit's bursts need more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from gatewright.design.cycles import simulate
from gatewright.design.structure import LEAST_DEPTH, structure
from gatewright.errors import DesignError
from gatewright.ir.graph import Edge, Graph
from gatewright.ir.types import IntArray
from gatewright.progress import Progress, silent

FRAMES = 5
"""Frames run to see the interval in steady state."""
ROUNDS = 4
"""Times that all depths are doubled when the estimate from the bursts does not keep the bottleneck busy."""

Depths = dict[Edge, int]


def size_fifos(graph: Graph, progress: Progress = silent) -> Graph:
    """The graph with a depth for every edge that needs more than the least.

    Raises:
        DesignError: it deadlocks at any depth.
    """
    goal = max(unit_interval(graph).values())
    bursts = _bursts(graph)
    joins = [e for e in bursts if sum(f.consumer == e.consumer for f in bursts) > 1]
    depths = bursts | {e: _frame_beats(graph, e) + LEAST_DEPTH for e in joins}
    best = _interval(graph, depths)
    for _ in range(ROUNDS):
        if best <= goal:
            break
        raised = {e: d if e in joins else 2 * d for e, d in depths.items()}
        best, depths = min((best, depths), (_interval(graph, raised), raised), key=lambda pair: pair[0])
    peaks = _peaks(graph, depths)
    tight = {e: min(d, max(LEAST_DEPTH, peaks[e] + 1)) for e, d in depths.items()}
    depths = tight if _interval(graph, tight) <= best else depths
    for edge in sorted(joins, key=lambda e: -depths[e] * graph.tensors[e.tensor].bits):
        progress(f"FIFO depth in front of {edge.consumer}")
        depths[edge] = _least(lambda depth, e=edge: _interval(graph, depths | {e: depth}) <= best, depths[edge])  # type: ignore[misc]  # the default binds the loop variable
    return replace(graph, depths={e: d for e, d in depths.items() if d > LEAST_DEPTH})


def _bursts(graph: Graph) -> Depths:
    """Per edge between nodes, words that wait when one side comes in bursts and the other at its own mean rate.

    A side that is faster than the bottleneck is taken as slowed to its pace: it can wait without harm.
    """
    writers = {t: (n.op, i) for n in graph.nodes for i, t in enumerate(n.outputs)}
    intervals = unit_interval(graph)
    goal = max(intervals.values())
    names = {t: n.name for n in graph.nodes for t in n.outputs}
    depths: Depths = {}
    for node in graph.nodes:
        schedule = node.op.schedule()
        for port, tensor in enumerate(node.inputs):
            depth = LEAST_DEPTH
            if tensor in writers:
                op, out = writers[tensor]
                need, given = schedule.need[port], np.cumsum(op.schedule().produce[out])
                elements = graph.tensors[tensor].size
                lanes = max(node.op.in_lanes[port], op.out_lanes[out])
                taken = need * node.op.in_lanes[port] if schedule.after[port] is None else need * 0
                depth += -(
                    -max(
                        _lead(taken, elements / intervals[names[tensor]] * goal / node.op.cycles),
                        _lead(given * op.out_lanes[out], elements / intervals[node.name] * goal / op.cycles),
                    )
                    // lanes
                )
            depths[Edge(tensor, node.name, port)] = depth
    return depths


def _lead(elements: IntArray, rate: float) -> int:
    """How far a running count of elements, one entry a cycle, gets ahead of a steady rate."""
    return max(0, int(np.ceil((elements - rate * np.arange(1, len(elements) + 1)).max() - 1e-9)))


def unit_interval(graph: Graph) -> dict[str, int]:
    """Cycles a frame of every node alone: its steps, or its beats where those are more."""
    return {n.name: max(n.op.cycles, *(s.beats for s in (*n.op.in_streams, *n.op.out_streams))) for n in graph.nodes}


def _frame_beats(graph: Graph, edge: Edge) -> int:
    """Beats of a frame on the deep FIFO of an edge, which has the wider side's lanes."""
    lanes = [n.op.out_lanes[n.outputs.index(edge.tensor)] for n in graph.nodes if edge.tensor in n.outputs]
    lanes += [n.op.in_lanes[edge.port] for n in graph.nodes if n.name == edge.consumer]
    return graph.tensors[edge.tensor].size // max(lanes)


def _interval(graph: Graph, depths: Mapping[Edge, int]) -> int:
    """Steady-state interval with these depths; beyond any bound when it deadlocks."""
    try:
        return simulate(structure(replace(graph, depths=depths)), FRAMES).interval
    except DesignError:
        return 1 << 60


def _peaks(graph: Graph, depths: Mapping[Edge, int]) -> dict[Edge, int]:
    """Most words held by the deep FIFO of each edge.

    Raises:
        DesignError: it deadlocks.
    """
    design = structure(replace(graph, depths=depths))
    timing = simulate(design, FRAMES)
    return {link.edge: timing.peak[link.name] for link in design.links if link.main}


def _least(holds: Callable[[int], bool], enough: int) -> int:
    """The least depth that holds, by bisection; `enough` does."""
    low, high = LEAST_DEPTH, enough
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return high

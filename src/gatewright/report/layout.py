# SPDX-License-Identifier: Apache-2.0
"""Where the boxes and lines of a layered drawing go.

Layers are longest paths from the inputs (Sugiyama, Tagawa and Toda, 1981). The longest path of all keeps to the first
lane; what is left is taken path by path, longest first, each into the first lane that is free over its layers. A long
drawing breaks into rows of as many layers as fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter


@dataclass(frozen=True)
class Placed:
    """A drawing on a grid.

    Attributes:
        layer, lane: of each node.
        lanes: of each edge.
    """

    layer: tuple[int, ...]
    lane: tuple[int, ...]
    lanes: tuple[int, ...]


def place(count: int, edges: Sequence[tuple[int, int]]) -> Placed:
    """Place the nodes 0 to `count` - 1 of an acyclic graph."""
    order = _sorted(count, edges)
    layer = [0] * count
    for node in order:
        for source, sink in edges:
            if source == node:
                layer[sink] = max(layer[sink], layer[node] + 1)
    lane: dict[int, int] = {}
    lanes: dict[int, int] = {}
    taken: list[list[tuple[int, int]]] = []
    while path := _longest(order, edges, set(lane), set(lanes)):
        nodes = [edges[path[0]][0], *(edges[e][1] for e in path)]
        span = (layer[nodes[0]], layer[nodes[-1]])
        free = next(
            (i for i, spans in enumerate(taken) if all(b <= span[0] or span[1] <= a for a, b in spans)), len(taken)
        )
        if free == len(taken):
            taken.append([])
        taken[free].append(span)
        lanes.update(dict.fromkeys(path, free))
        for node in nodes:
            lane.setdefault(node, free)
    for node in range(count):
        lane.setdefault(node, 0)
    return Placed(
        tuple(layer), tuple(lane[n] for n in range(count)), tuple(lanes[e] for e in range(len(edges)))
    )  # fmt: skip


def _sorted(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The nodes in an order in which every edge goes forward."""
    before = {n: {a for a, b in edges if b == n} for n in range(count)}
    return list(TopologicalSorter(before).static_order())


def _longest(order: Sequence[int], edges: Sequence[tuple[int, int]], fixed: set[int], drawn: set[int]) -> list[int]:
    """The undrawn path of most edges whose inner nodes have no place yet, as edges; empty when all are drawn."""
    best: dict[int, list[int]] = {n: [] for n in order}
    for node in order:
        for e, (source, sink) in enumerate(edges):
            if sink != node or e in drawn:
                continue
            path = [e] if source in fixed else [*best[source], e]
            if len(path) > len(best[node]):
                best[node] = path
    return max(best.values(), key=len)

# SPDX-License-Identifier: Apache-2.0
"""Which memories are read from memory off the chip while the design runs, and what that asks of it.

A unit whose weights are streamed takes a word of them in every step. So a word may be no wider than what memory gives
in a cycle: foldings whose words are wider are none, and units never wait for words longer than memory's first answer.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from gatewright.boards import Board
from gatewright.design.feeds import feeds
from gatewright.design.folding import Solver
from gatewright.design.structure import Structure
from gatewright.errors import ConfigError, DesignError
from gatewright.ir.graph import Graph
from gatewright.ir.op import Op


def word_limit(board: Board, mhz: float) -> int:
    """Bits that a memory port gives in a cycle: its width, or less where the board carries less at this clock."""
    return min(board.memory_bits, int(board.memory_gbytes_per_s * 8000 / mhz))


def stream_memories(graph: Graph, names: Iterable[str]) -> Graph:
    """A lowered graph in which all memories of these nodes that can be are streamed.

    Raises:
        ConfigError: no such node, or one whose kernel cannot; names those that can.
    """
    nodes = {n.name: n.op for n in graph.nodes}
    ops: dict[str, Op] = {}
    for name in names:
        able = [n for n, op in nodes.items() if op.streamable]
        there = f"nodes that can be are {', '.join(able)}" if able else "no node of this model can be"
        if name not in nodes:
            close = difflib.get_close_matches(name, able, n=1)
            hint = f"did you mean {close[0]!r}?" if close else there
            raise ConfigError(f"stream_weights: no node {name!r}; {hint}")
        if not nodes[name].streamable:
            raise ConfigError(
                f"stream_weights: {name} ({nodes[name].name()}) has no weights that can be streamed; {there}"
            )
        ops[name] = streaming(nodes[name])
    return graph.with_ops(ops)


def streaming(op: Op) -> Op:
    """An operator with all memories streamed that can be."""
    return replace(op, streamed=op.streamable)  # type: ignore[type-var]  # a dataclass that has the field


def largest_first(graph: Graph) -> list[str]:
    """Nodes whose memories can be streamed: those first that are read least often a frame, of these the largest."""

    def key(op: Op) -> tuple[int, int]:
        shapes = [op.memory_shape(name) for name in op.streamable]
        return max(op.cycles // words for words, _ in shapes), -sum(words * bits for words, bits in shapes)

    found = [n for n in graph.nodes if n.op.streamable and not n.op.streamed]
    return [n.name for n in sorted(found, key=lambda n: key(n.op))]


def streamed_until_it_fits(solver: Solver) -> Solver:
    """One in whose graph as few weights as needed come from memory; the given one where that does not help either."""
    found = solver
    for name in largest_first(solver.graph):
        if found.fits():
            return found
        graph = stream_memories(found.graph, [name])
        found = Solver(graph, solver.board, solver.budget, solver.mhz, solver.choices.word_bits)
    return found if found.fits() else solver


def check_words(graph: Graph, limit: int) -> None:
    """Refuse words that are wider than what memory gives in a cycle.

    Raises:
        DesignError: names the node.
    """
    for node in graph.nodes:
        for name in node.op.streamed:
            bits = node.op.memory_shape(name)[1]
            if bits > limit:
                folding = ", ".join(f"{k}={getattr(node.op, k)}" for k in node.op.foldings())
                raise DesignError(
                    f"{node.name} ({folding}) takes {bits} bits of weights from memory in every cycle, and a memory "
                    f"port gives {limit}: fold it more, use a wider port or a slower clock, or keep its weights on chip"
                )


def memory_reads(design: Structure, fps: float, mhz: float) -> list[dict[str, Any]]:
    """What `prediction.json` says of memories that are streamed: how much, how often, and bytes a second.

    Returns:
        Per memory its unit and name, bits of a word, words, `bytes` of all of them, `reads_per_frame` of all of them,
        and bytes a second: on average at the predicted rate, and at most, while the unit makes a step in every cycle.
    """
    return [
        {
            "unit": feed.unit,
            "memory": feed.memory,
            "word_bits": feed.stream.width,
            "words": feed.stream.beats,
            "bytes": (size := -(-feed.stream.width * feed.stream.beats // 8)),
            "reads_per_frame": feed.passes,
            "bytes_per_second": size * feed.passes * fps,
            "peak_bytes_per_second": feed.stream.width / 8 * mhz * 1e6,
        }
        for feed in feeds(design)
    ]

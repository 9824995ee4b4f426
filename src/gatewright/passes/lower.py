# SPDX-License-Identifier: Apache-2.0
"""Composite operators become operators that have a kernel, and operators that do nothing go."""

from __future__ import annotations

from collections.abc import Sequence

from gatewright.errors import ProofError
from gatewright.ir.graph import Graph, Node
from gatewright.ir.rewrite import replace_with_chain, rewrite_nodes


def lower(graph: Graph) -> Graph:
    """The graph with every operator replaced by the chain that it says equals it, where it names one.

    Raises:
        ProofError: no integer hardware equals an operator's definition; names the node.
    """

    def rule(node: Node) -> Sequence[Node] | None:
        try:
            ops = node.op.lower()
        except ProofError as error:
            raise ProofError(f"{node.name}: {error}") from error
        return None if ops is None else replace_with_chain(node, ops)

    lowered = rewrite_nodes(graph, rule)
    while [n.op for n in lowered.nodes] != [n.op for n in graph.nodes]:
        graph, lowered = lowered, rewrite_nodes(lowered, rule)
    return lowered

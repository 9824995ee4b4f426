# SPDX-License-Identifier: Apache-2.0
"""Rewriting: a pass is a function graph -> graph in a file of its own, and says nothing when nothing changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gatewright.ir.graph import Graph, Node
from gatewright.ir.op import Op

Pass = Callable[[Graph], Graph]


def replace_with_chain(node: Node, ops: Sequence[Op]) -> tuple[Node, ...]:
    """Nodes that run `ops` one after another in place of a node with one input and one output."""
    nodes, tensor = [], node.inputs[0]
    for i, op in enumerate(ops):
        last = i == len(ops) - 1
        out = node.outputs[0] if last else f"{node.outputs[0]}_{op.name()}"
        name = node.name if last else f"{node.name}_{op.name()}"
        nodes.append(Node(name, op, (tensor,), (out,), node.origin))
        tensor = out
    return tuple(nodes)


def rewrite_nodes(graph: Graph, rule: Callable[[Node], Sequence[Node] | None]) -> Graph:
    """The graph with every node replaced by what `rule` gives for it.

    None keeps a node. Nothing takes out a node with one input and one output; its readers read its input.
    """
    nodes: list[Node] = []
    renamed: dict[str, str] = {}
    for old in graph.nodes:
        node = replace(old, inputs=tuple(renamed.get(t, t) for t in old.inputs))
        new = rule(node)
        nodes.extend([node] if new is None else new)
        if new is not None and not new:
            renamed[node.outputs[0]] = node.inputs[0]
    outputs = tuple(replace(o, tensor=renamed.get(o.tensor, o.tensor)) for o in graph.outputs)
    return replace(graph, nodes=tuple(nodes), outputs=outputs)

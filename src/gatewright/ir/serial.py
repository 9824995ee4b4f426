# SPDX-License-Identifier: Apache-2.0
"""A graph as `graph.json` (structure) and `graph.npz` (arrays), and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from gatewright.errors import ModelError
from gatewright.ir.graph import Edge, Graph, Node
from gatewright.ir.op import Op, discover, field_values
from gatewright.runtime.records import HOST_FORMAT, Arrays, pack, unpack

FORMAT = 2


def graph_to_files(graph: Graph) -> tuple[dict[str, Any], Arrays]:
    """The graph's structure as JSON can hold it, and its arrays by name."""
    arrays: Arrays = {}
    nodes = []
    for node in graph.nodes:
        values = {k: pack(v, f"{node.name}.{k}", arrays) for k, v in field_values(node.op).items()}
        nodes.append(
            {
                "name": node.name,
                "operator": node.op.name(),
                "fields": values,
                "inputs": list(node.inputs),
                "outputs": list(node.outputs),
                "origin": list(node.origin),
            }
        )
    text = {
        "format": FORMAT,
        "name": graph.name,
        "inputs": [pack(i, f"in.{i.name}", arrays) for i in graph.inputs],
        "nodes": nodes,
        "outputs": [pack(o, f"out.{o.name}", arrays) for o in graph.outputs],
        "fifos": [
            {"tensor": e.tensor, "consumer": e.consumer, "port": e.port, "depth": d}
            for e in graph.edges()
            if (d := graph.depths.get(e)) is not None
        ],
    }
    return text, arrays


def host_to_files(graph: Graph) -> tuple[dict[str, Any], Arrays]:
    """What the host does, for a bundle's `host.json` and `host.npz`; `gatewright.runtime.records` reads it back."""
    arrays: Arrays = {}
    text = {
        "format": HOST_FORMAT,
        "inputs": [pack(i, f"in.{i.name}", arrays) for i in graph.inputs],
        "outputs": [pack(o, f"out.{o.name}", arrays) for o in graph.outputs],
    }
    return text, arrays


def graph_from_files(text: dict[str, Any], arrays: Arrays) -> Graph:
    """The inverse of `graph_to_files`.

    Raises:
        ModelError: another format, an operator that is not known here, or a field that is missing.
    """
    if text.get("format") != FORMAT:
        raise ModelError(f"graph format {text.get('format')!r} is not {FORMAT}: compile the model again")
    operators = discover()
    nodes = []
    for entry in text["nodes"]:
        cls: type[Op] | None = operators.get(entry["operator"])
        if cls is None:
            raise ModelError(
                f"{entry['name']}: operator {entry['operator']!r} is not known here; "
                f"known are {', '.join(operators)} (GATEWRIGHT_PATH names folders with further ones)"
            )
        op = cls(**{k: unpack(v, arrays) for k, v in entry["fields"].items()})
        nodes.append(Node(entry["name"], op, tuple(entry["inputs"]), tuple(entry["outputs"]), tuple(entry["origin"])))
    depths = {Edge(f["tensor"], f["consumer"], f["port"]): f["depth"] for f in text["fifos"]}
    inputs = tuple(unpack(i, arrays) for i in text["inputs"])
    outputs = tuple(unpack(o, arrays) for o in text["outputs"])
    return Graph(text["name"], inputs, tuple(nodes), outputs, depths)


def save_graph(graph: Graph, path: Path) -> None:
    """Write `path` (JSON) and the `.npz` beside it; both are byte-identical for equal graphs."""
    text, arrays = graph_to_files(graph)
    path.write_text(json.dumps(text, indent=1) + "\n")
    np.savez_compressed(path.with_suffix(".npz"), **arrays)


def load_graph(path: str | Path) -> Graph:
    """Read what `save_graph` wrote.

    Raises:
        ModelError: a missing or damaged file, named.
    """
    path = Path(path)
    try:
        text = json.loads(path.read_text())
        with path.with_suffix(".npz").open("rb") as file, np.load(file, allow_pickle=False) as data:
            arrays = {k: data[k] for k in data.files}
        return graph_from_files(text, arrays)
    except ModelError:
        raise
    except Exception as error:  # damaged JSON, zip and array files raise many types
        raise ModelError(
            f"{path}: not a readable graph ({type(error).__name__}: {error}); compile the model again"
        ) from error

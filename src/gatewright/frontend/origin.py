# SPDX-License-Identifier: Apache-2.0
"""Where a node of the graph comes from: the model's nodes, and the lines of the program that made them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from gatewright.errors import ModelError
from gatewright.frontend.importer import load_model
from gatewright.frontend.reading import node_names

SOURCE = "gatewright.source"
"""The property of a node that our exports put its line of the program into."""


@dataclass(frozen=True)
class Origin:
    """A node of a model.

    Attributes:
        node: its name in the model; its type and position where it has none.
        op_type: its type.
        outputs: the tensors that it writes.
        source: `file:line: code` of the program that made it; empty for models exported by others.
    """

    node: str
    op_type: str
    outputs: tuple[str, ...]
    source: str = ""

    def __str__(self) -> str:
        return f"{self.op_type} {self.node!r}" + (f" ({self.source})" if self.source else "")


def origins(path: Path) -> Mapping[str, Origin]:
    """Every node of a model file by the name that `Node.origin` has for it; none where the file cannot be read."""
    try:
        return origins_of(load_model(path).graph)
    except ModelError:
        return {}


def origins_of(graph: onnx.GraphProto) -> Mapping[str, Origin]:
    """Every node of a model by the name that `Node.origin` has for it."""
    found = {}
    for i, (name, node) in enumerate(zip(node_names(graph), graph.node, strict=True)):
        source = next((p.value for p in node.metadata_props if p.key == SOURCE), "")
        found[name] = Origin(node.name or f"{node.op_type}_{i}", node.op_type, tuple(node.output), source)
    return found


def resolve(origin: Iterable[str], known: Mapping[str, Origin]) -> tuple[Origin, ...]:
    """The model's nodes behind a node of the graph; one that the model lacks has no type."""
    return tuple(known.get(name, Origin(name, "node", ())) for name in origin)


def shortened(file: str) -> str:
    """A path without the folders above its project, so that an export is the same wherever the project lies.

    The project is the nearest folder above the file that is marked as one or holds installed packages, else the folder
    that holds the file's package.
    """
    path, marks = Path(file), ("pyproject.toml", "setup.py", "setup.cfg", ".git")
    for folder in path.parents:
        if folder.name in ("site-packages", "dist-packages") or any((folder / mark).exists() for mark in marks):
            return path.relative_to(folder).as_posix()
    root = path.parent
    while (root / "__init__.py").is_file():
        root = root.parent
    return path.relative_to(root).as_posix()

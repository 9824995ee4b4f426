# SPDX-License-Identifier: Apache-2.0
"""The importer, the emitters and the simulators name no operator: a new one needs no edit there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gatewright
from gatewright.ir.op import discover

PACKAGE = Path(gatewright.__file__).parent
FILES = [p for folder in ("emit", "sim", "frontend") for p in sorted((PACKAGE / folder).glob("*.py"))]


def words(path: Path) -> set[str]:
    """Identifiers, attributes, imports and whole strings of a module, without its docstrings."""
    tree = ast.parse(path.read_text())
    texts = {
        ast.get_docstring(n, clean=False)
        for n in ast.walk(tree)
        if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.alias):
            found |= set(node.name.split("."))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in texts:
            found.add(node.value)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_no_operator_is_named(path: Path) -> None:
    operators = discover()
    classes = {cls.__name__ for cls in operators.values()}
    # Sets add, arrays reshape, Python slices, nodes have an activation, and `argmax` is an option of an import.
    names = set(operators) - {"activation", "add", "argmax", "reshape", "slice"}
    assert len(names) > 5
    # What goes between torch and ONNX or computes constants names layers and nodes, some of which bear the same names;
    # so do layers of hls4ml, one of which calls its weights `depthwise`.
    names_nodes = path.stem in ("expansion", "export", "folding", "freeze", "hls4ml") or path.stem.startswith("float_")
    names -= {"depthwise"} if path.stem == "hls4ml" else set()
    assert words(path) & (names if names_nodes else names | classes) == set()


def test_the_search_finds_names() -> None:
    assert {"Dense", "Window"} <= words(PACKAGE / "ops" / "conv2d.py")

# SPDX-License-Identifier: Apache-2.0
"""What the host does comes back from a bundle's files and computes the same; the runtime stands alone."""

from __future__ import annotations

import ast
import builtins
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.models import Builder, frames, random_network, small_network

from gatewright import runtime
from gatewright.errors import ConfigError
from gatewright.frontend.importer import from_onnx
from gatewright.ir.graph import Graph
from gatewright.ir.serial import host_to_files
from gatewright.runtime.records import Arrays, read_host

ALLOWED = {"numpy", "pynq", "serial"}


def networks() -> list[Graph]:
    b, y = small_network()
    graphs = [from_onnx(b.model(y))]
    for seed in range(6):
        b = Builder((2, 6, 5))
        graphs.append(from_onnx(b.model(*random_network(b, seed, exact=True)[0])))
    return graphs


def test_the_host_functions_come_back_and_compute_the_same(tmp_path: Path) -> None:
    for graph in networks():
        text, arrays = host_to_files(graph)
        np.savez_compressed(tmp_path / "host.npz", **arrays)
        with np.load(tmp_path / "host.npz") as data:
            read: Arrays = {k: data[k] for k in data.files}
        inputs, outputs = read_host(json.loads(json.dumps(text)), read)
        xs = tuple(frames(i.shape, 5)["x"] for i in inputs)
        integers = graph.reference(*graph.quantize(*xs))
        for x, own, want in zip(xs, inputs, graph.inputs, strict=True):
            np.testing.assert_array_equal(own.quantize(x), want.quantize(x))
        for y, output, expected in zip(integers, outputs, graph.predict(*xs), strict=True):
            np.testing.assert_array_equal(output.dequantize(y), expected)


def test_another_format_is_refused() -> None:
    with pytest.raises(ConfigError, match="host format 9 is not 1: make the bundle again"):
        read_host({"format": 9}, {})


def imports(path: Path) -> set[str]:
    """Packages that a module imports by name; relative imports have none."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(str(node.module).split(".")[0])
    return found


def test_the_runtime_imports_numpy_pynq_and_nothing_else() -> None:
    modules = sorted(Path(runtime.__path__[0]).glob("**/*.py"))
    assert len(modules) > 5
    for path in modules:
        assert imports(path) <= ALLOWED | sys.stdlib_module_names, path


def evaluated(tree: ast.AST) -> list[ast.AST]:
    """Nodes that Python evaluates: all but annotations, which stay text."""
    found, left = [], [tree]
    while left:
        node = left.pop()
        found.append(node)
        skipped = [getattr(node, name, None) for name in ("annotation", "returns")]
        left += [child for child in ast.iter_child_nodes(node) if child not in skipped]
    return found


def test_the_runtime_is_python_3_8() -> None:
    """Its syntax, and no `tuple[int]` or `zip(strict=)` where Python 3.8 would meet it."""
    for path in Path(runtime.__path__[0]).glob("**/*.py"):
        tree = ast.parse(path.read_text(), feature_version=(3, 8))
        assert "from __future__ import annotations" in path.read_text()
        for node in evaluated(tree):
            if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
                assert node.value.id not in dir(builtins), f"{path}:{node.lineno}"
            assert not (isinstance(node, ast.keyword) and node.arg == "strict"), f"{path}:{node.lineno}"

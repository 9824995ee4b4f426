# SPDX-License-Identifier: Apache-2.0
"""The public names, and that importing the package loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import gatewright

NAMES = {
    "Accelerator",
    "Board",
    "Build",
    "GatewrightError",
    "Graph",
    "Op",
    "Tensor",
    "__version__",
    "check",
    "compile_model",
    "export",
    "import_model",
    "load_board",
    "load_graph",
}
HEAVY = ("torch", "numpy", "numba", "onnx", "pynq", "cocotb", "sklearn", "scipy")


def test_public_names_are_these_and_no_others() -> None:
    assert set(gatewright.__all__) == NAMES
    assert set(dir(gatewright)) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_name_is_there(name: str) -> None:
    assert getattr(gatewright, name) is getattr(gatewright, name)


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="module 'gatewright' has no attribute 'compile_modle'"):
        _ = gatewright.compile_modle


def test_package_is_typed() -> None:
    assert Path(gatewright.__file__).with_name("py.typed").is_file()


@pytest.mark.parametrize("statement", ["import gatewright", "from gatewright.cli import app"])
def test_import_loads_nothing_heavy(statement: str) -> None:
    code = f"import sys; {statement}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_compiling_needs_no_torch() -> None:
    code = "import sys, gatewright; gatewright.compile_model; gatewright.check; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"

# SPDX-License-Identifier: Apache-2.0
"""From a PyTorch model to gates that provably compute it.

The public names below are loaded when they are first used, so that importing the package stays quick and needs
neither torch nor a simulator.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatewright.boards import Board, load_board
    from gatewright.build import Build, compile_model
    from gatewright.errors import GatewrightError
    from gatewright.frontend.export import export
    from gatewright.frontend.importer import import_model
    from gatewright.ir.graph import Graph
    from gatewright.ir.op import Op
    from gatewright.ir.serial import load_graph
    from gatewright.ir.types import Tensor
    from gatewright.runtime.accelerator import Accelerator
    from gatewright.verify.check import check

__version__ = "0.1.0"

__all__ = [
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
]

_HOMES = {
    "Accelerator": "gatewright.runtime.accelerator",
    "Board": "gatewright.boards",
    "Build": "gatewright.build",
    "GatewrightError": "gatewright.errors",
    "Graph": "gatewright.ir.graph",
    "Op": "gatewright.ir.op",
    "Tensor": "gatewright.ir.types",
    "check": "gatewright.verify.check",
    "compile_model": "gatewright.build",
    "export": "gatewright.frontend.export",
    "import_model": "gatewright.frontend.importer",
    "load_board": "gatewright.boards",
    "load_graph": "gatewright.ir.serial",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

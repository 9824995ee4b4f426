# SPDX-License-Identifier: Apache-2.0
"""The driver on the board. It stands alone: Python 3.8, NumPy and pynq are all that it needs.

    from gatewright.runtime import Accelerator

    with Accelerator("bundle/") as accelerator:
        y = accelerator.run(x)

A bundle carries a copy of this package under another name, therefore its imports are relative. The names below are
loaded when they are first used: `gatewright.errors` needs this package without NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .accelerator import Accelerator, Job
    from .bundle import Bundle

__all__ = ["Accelerator", "Bundle", "Job"]
_HOMES = {"Accelerator": "accelerator", "Bundle": "bundle", "Job": "accelerator"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)

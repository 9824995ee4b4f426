# SPDX-License-Identifier: Apache-2.0
"""Keeps what the conformance test has shown for `gatewright ops` and the docs, where it is asked to (`make matrix`)."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatewright.ir.op import discover
from gatewright.verify.conformance import RECORD, load, state

ASKED = "GATEWRIGHT_MATRIX"
"""Environment variable that asks for it."""


def note(target: str, name: str, path: Path = RECORD) -> None:
    """All examples of an operator have just been exact on a target. Processes may note at once."""
    cls = discover()[name]
    lock = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shown = load(path)
        shown.setdefault(target, {})[name] = {"exact": len(cls.examples()), "digest": state(target, name, cls)}
        path.write_text(text(shown))
    finally:
        os.close(lock)


def text(shown: Mapping[str, Mapping[str, Any]]) -> str:
    """A line a cell, so that two people's cells are two lines."""
    targets = []
    for target, cells in sorted(shown.items()):
        lines = [f'  "{name}": {json.dumps(cell)}' for name, cell in sorted(cells.items())]
        targets.append(f' "{target}": {{\n' + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(targets) + "\n}\n"

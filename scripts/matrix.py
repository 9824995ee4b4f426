# SPDX-License-Identifier: Apache-2.0
"""Runs the conformance test where the matrix operators x targets has gaps, and writes the matrix into the docs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from gatewright.ir.op import kernel_path
from gatewright.verify.conformance import BEGIN, END, markdown, matrix

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "operators.md"
TEST = "tests/conformance/test_operators.py::test_examples_are_exact"


def fill() -> int:
    """Run every cell that has a kernel and counts for nothing yet; the exit status of pytest."""
    gaps = [(t, row.name) for row in matrix() for t, cell in row.cells.items() if cell.exact is None]
    tests = [f"{TEST}[{target}-{name}]" for target, name in gaps if kernel_path(name, target)]
    if not tests:
        return 0
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", *tests]
    return subprocess.run(command, cwd=ROOT, env=os.environ | {"GATEWRIGHT_MATRIX": "1"}, check=False).returncode


def main() -> int:
    """The exit status is 0 only if no gap is left."""
    status = fill()
    rows = matrix()
    before, rest = DOCS.read_text().split(BEGIN)
    DOCS.write_text(before + BEGIN + markdown(rows) + END + rest.split(END)[1])
    gaps = [f"{row.name}, {t}: {cell}" for row in rows for t, cell in row.cells.items() if cell.exact is None]
    print("\n".join(gaps) or "no gap")
    return 1 if gaps else status


if __name__ == "__main__":
    sys.exit(main())

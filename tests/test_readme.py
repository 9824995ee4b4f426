# SPDX-License-Identifier: Apache-2.0
"""The README's first example runs as it stands, and prints what stands below it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.slow
def test_the_first_example(tmp_path: Path) -> None:
    code, after = README.read_text().split("```python\n")[1].split("```\n", 1)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    promised = after.split("```\n")[1].splitlines()
    printed = done.stdout.splitlines()
    assert len(printed) == len(promised) == 2
    for have, want in zip(printed, promised, strict=True):
        # The accuracy may move with the machine's floating point; everything else may not.
        assert have.split(", accuracy")[0] == want.split(", accuracy")[0]
        assert have.split("%")[1] == want.split("%")[1]


def test_the_first_example_ends_before_line_30() -> None:
    assert README.read_text().splitlines().index("```") < 30

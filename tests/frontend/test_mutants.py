# SPDX-License-Identifier: Apache-2.0
"""Illegal and mutated models: never a traceback, a hang or a wrong answer, and no memory without bound.

The cases run in processes of their own, whose memory and CPU time are limited; `mutants.py` makes and judges them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FEW, MANY, BATCH = 200, 2000, 250
GOOD = {"refused", "equal", "unjudged"}


def judge(first: int, count: int) -> Counter[str]:
    """The outcomes of so many cases; fails on the first that is none of `GOOD`, and on one that ended the process."""
    command = [sys.executable, "-m", "tests.frontend.mutants", str(first), str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    ended = [r for r in rows if "outcome" in r]
    assert len(ended) == count, f"the process ended in case {rows[-1]}: {done.returncode} {done.stderr[-500:]}"
    for row in ended:
        assert row["outcome"] in GOOD, (
            f"case {row['seed']} ({', '.join(row['kinds'])}): {row['outcome']}: {row['reason']}"
        )
        assert row["outcome"] != "refused" or row["reason"]
    return Counter(r["outcome"] for r in ended)


def test_mutants() -> None:
    found = judge(0, FEW)
    assert found["refused"] > FEW / 4
    assert found["equal"] > FEW / 10


@pytest.mark.slow
@pytest.mark.parametrize("first", range(FEW, FEW + MANY, BATCH))
def test_many_mutants(first: int) -> None:
    judge(first, BATCH)

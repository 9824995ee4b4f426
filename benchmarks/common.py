# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: timing, memory, a virtual board, and a table on stdout whose rows also go to
build/benchmarks/ as JSON."""

from __future__ import annotations

import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

OUT = Path(__file__).resolve().parents[1] / "build" / "benchmarks"
T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """The result of `work` and its wall-clock seconds."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def fastest(work: Callable[[], T], runs: int = 7) -> tuple[T, float]:
    """The result of `work` and the least of its wall-clock seconds over several runs, the first not counted."""
    result = work()
    return result, min(timed(work)[1] for _ in range(runs))


def peak_gib() -> float:
    """Peak resident memory of this process in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)


@contextmanager
def served(bundle: Path, *options: str) -> Iterator[int]:
    """A virtual board in a process of its own; its port. `options` are those of `gatewright board serve`."""
    command = [sys.executable, "-m", "gatewright", "board", "serve", str(bundle), "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline().partition(": ")[0].rpartition(":")[2])
        finally:
            process.terminate()


def report(name: str, rows: list[dict[str, Any]]) -> None:
    """Print rows as a table and write them to build/benchmarks/<name>.json."""
    OUT.mkdir(parents=True, exist_ok=True)
    record = {"machine": platform.processor() or platform.machine(), "python": platform.python_version(), "rows": rows}
    (OUT / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    table = Table(*rows[0], title=name)
    for row in rows:
        table.add_row(*(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()))
    Console(width=160).print(table)

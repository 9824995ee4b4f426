# SPDX-License-Identifier: Apache-2.0
"""The clock that every unit of the RTL reaches on ECP5, its levels of logic on every family, and its slowest path.

    python benchmarks/bench_fmax.py                     # all units: about an hour and a half, less what is kept
    python benchmarks/bench_fmax.py --only "8 x 8,uart" # these groups; the docs keep what they say of the others
    python benchmarks/bench_fmax.py --unit window       # units whose name begins so, nothing written
    python benchmarks/bench_fmax.py --each 1            # places of every operator one example

Each unit is placed by itself between FIFOs and registers (gatewright.synth.nextpnr). What was placed before is read
from the cache. The tables go to docs/timing-closure.md; of an operator's examples they have the slowest path of those
placed and the most levels of all.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

from common import report
from rich.console import Console
from timing_units import EXAMPLES, GROUPS, Timed, units

from gatewright.boards import Family
from gatewright.progress import bars
from gatewright.synth.nextpnr import Placed, place
from gatewright.synth.plan import Part
from gatewright.synth.yosys import Netlist, synthesise

DOCS = Path(__file__).resolve().parents[1] / "docs" / "timing-closure.md"
FAMILIES: tuple[Family, ...] = get_args(Family)


def measure(wanted: list[Timed], jobs: int, each: int | None = None) -> list[dict[str, Any]]:
    """A row a unit: its levels on each family, and its clock and slowest path, of an operator's examples for `each`."""
    parts = [unit.part for unit in wanted]
    chosen = [p for u, p in zip(wanted, parts, strict=True) if u.group != EXAMPLES or each is None or number(p) < each]
    with bars(Console(stderr=True)) as progress, ThreadPoolExecutor(jobs) as pool:
        nets = {family: synthesise(parts, family, jobs=jobs, progress=progress) for family in FAMILIES}
        placed: dict[str, Placed] = {}
        for part, found in zip(chosen, pool.map(place, chosen), strict=True):
            placed[part.name] = found
            progress("place and route", len(placed), len(chosen))
    return [_row(part.name, placed.get(part.name), nets) for part in parts]


def number(part: Part) -> int:
    """Of an operator's example."""
    return int(part.name.rpartition(" ")[2])


def _row(name: str, found: Placed | None, nets: dict[Family, dict[str, Netlist]]) -> dict[str, Any]:
    levels = {f"levels {family}": nets[family][name].levels for family in FAMILIES}
    if found is None:
        return {"unit": name, "MHz": None, **levels}
    path = f"`{found.start}` to `{found.end}`" + (f", {found.place}" if found.place else "")
    times = {"cells ns": round(found.logic_ns, 1), "wires ns": round(found.routing_ns, 1)}
    return {"unit": name, "MHz": round(found.mhz), **levels, **times, "slowest path": path}


def of_operators(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of every operator its slowest example of those placed, with the most levels of any of its examples."""
    groups = groupby(rows, key=lambda row: row["unit"].rpartition(" ")[0])
    return [_of_operator(name, list(group)) for name, group in groups]


def _of_operator(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    placed = [row for row in rows if row["MHz"] is not None]
    levels = {key: max(row[key] for row in rows) for key in rows[0] if key.startswith("levels")}
    counts = {"unit": name, "examples": len(rows), "placed": len(placed)}
    return counts | {k: v for k, v in min(placed, key=lambda row: row["MHz"]).items() if k != "unit"} | levels


def write_docs(group: str, rows: list[dict[str, Any]]) -> None:
    """Put a group's table into the docs, between its two marks."""
    head = "| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]) + "\n"
    body = "".join("| " + " | ".join(map(str, row.values())) + " |\n" for row in rows)
    start, end = f"<!-- {group}: benchmarks/bench_fmax.py -->\n", f"<!-- end of {group} -->"
    text = DOCS.read_text()
    before, after = text.index(start) + len(start), text.index(end)
    DOCS.write_text(text[:before] + head + body + text[after:])


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", help="groups, with commas between: " + ", ".join(GROUPS))
    parser.add_argument("--unit", help="units whose name begins so; nothing is written")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 2)
    parser.add_argument(
        "--each", type=int, help="place so many examples of every operator, the first ones; all by default"
    )
    options = parser.parse_args()
    for group in options.only.split(",") if options.only else GROUPS:
        wanted = [u for u in units(group) if u.part.name.startswith(options.unit or "")]
        if not wanted:
            continue
        rows = measure(wanted, options.jobs, options.each)
        rows = of_operators(rows) if group == EXAMPLES and not options.unit else rows
        report(f"fmax_{group.replace(' ', '')}", rows)
        if not options.unit:
            write_docs(group, rows)


if __name__ == "__main__":
    main()

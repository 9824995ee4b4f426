# SPDX-License-Identifier: Apache-2.0
"""Fits the resource model on synthesis: measures random units, keeps what it saw, writes the coefficients.

    python benchmarks/fit_resources.py                    # measure what is missing, fit, write
    python benchmarks/fit_resources.py --only add,window  # measure these modules anew
    python benchmarks/fit_resources.py --fit              # fit on the measurements kept, without Yosys

Measurements are benchmarks/data/resources.csv, one unit a row. LUTs and flip-flops of a module are its structural
counts times coefficients of at least 0 that make the sum of squared relative errors least (NNLS; Lawson and Hanson
1974). LUT RAM is counted, and has no coefficient. Every fourth unit is held out of the fit; errors are those of the
units held out. The fit is on the 7 series; UltraScale+, whose LUTs are the same and whose LUT RAMs are other ones, is
only checked, on the units held out. Units with DSP slices are fitted for each family, because Yosys packs less around a
DSP48E2 than around a DSP48E1. A measurement of RTL that has changed since, or of other Yosys commands, is made anew;
comments do not count.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from common import report
from resource_instances import Instance, held_out, instances, modules
from rich.console import Console
from scipy.optimize import nnls

from gatewright.boards import Family
from gatewright.ir import cost
from gatewright.ir.primitives import resource_names
from gatewright.progress import bars
from gatewright.sim.cache import digest
from gatewright.synth.yosys import script, synthesise

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(__file__).with_name("data") / "resources.csv"
TABLE = Path(cost.__file__).with_name("coefficients.json")
DOCS = ROOT / "docs" / "resources.md"

FITTED: Family = "xc7"
FAMILIES: tuple[Family, ...] = (FITTED, "xcup", "ecp5")
COLUMNS = ("family", "module", "index", "unit", "key", "LUT", "FF", "BLOCK", "DSP", "levels")
SOFT = ("LUT", "FF")
REGISTERS = frozenset(("late", "late_dsp"))
"""Counts of registers that no logic stands in front of: they explain no LUTs."""
LEAST = 20.0
"""Counts below this are weighed as if they were this: a unit of 3 LUTs predicted as 4 is no error of a third."""

Row = dict[str, Any]
Key = tuple[str, str, int]
Table = dict[str, dict[str, float]]


def measure(family: Family, module: str, rows: dict[Key, Row], jobs: int) -> None:
    """Synthesise the instances of a module that are needed and not among the rows yet."""
    found = list(instances(module))
    wanted = [(i, found[i]) for i in needed(family, found)]
    missing = {f"{module}{i}": (i, x) for i, x in wanted if stale(family, module, i, x, rows)}
    with bars(Console(stderr=True)) as progress:
        parts = [replace(x.part, name=name) for name, (_, x) in missing.items()]
        netlists = synthesise(parts, family, jobs=jobs, progress=progress)
    for name, (i, x) in missing.items():
        found = netlists[name]
        rows[family, module, i] = {"family": family, "module": module, "index": i, "unit": x.text} | {
            "key": unit_key(x, family),
            **dict(zip((*SOFT, "BLOCK", "DSP"), (found.resources[k] for k in resource_names(family)), strict=True)),
            "levels": found.levels,
        }


def unit_key(instance: Instance, family: Family) -> str:
    """Changes with all that a measurement depends on: RTL without its comments, parameters, ROMs, Yosys commands."""
    part = instance.part
    code = ["".join(re.sub(r"//.*", "", path.read_text()).split()) for path in part.sources]
    parameters, memories = sorted(part.parameters.items()), sorted(part.memories.items())
    return digest(part.module, parameters, memories, code, script(part, family))[:12]


def stale(family: Family, module: str, index: int, instance: Instance, rows: Mapping[Key, Row]) -> bool:
    """Whether an instance was never measured, or measured when it was another one."""
    row = rows.get((family, module, index))
    return row is None or row["key"] != unit_key(instance, family)


def measured(module: str, rows: Mapping[Key, Row]) -> bool:
    """Whether all that the fit and its errors need of a module was measured."""
    found = list(instances(module))
    return all((family, module, i) in rows for family in FAMILIES for i in needed(family, found))


def needed(family: Family, found: list[Instance]) -> list[int]:
    """Instances to measure: for UltraScale+ those with DSP slices, and those held out but for the largest.

    For ECP5 all but the largest.
    """
    if family == "ecp5":
        return [i for i, x in enumerate(found) if not x.large]
    return [i for i, x in enumerate(found) if family == FITTED or x.features.products or (held_out(i) and not x.large)]


def _fitted(found: list[Instance]) -> tuple[Family, ...]:
    """Families with coefficients of their own."""
    products = any(x.features.products for x in found)
    return tuple(f for f in FAMILIES if f != "xcup" or products)


def load() -> dict[Key, Row]:
    """The measurements kept."""
    if not DATA.exists():
        return {}
    with DATA.open(newline="") as file:
        found = [
            {k: row[k] if k in ("family", "module", "unit", "key") else float(row[k]) for k in COLUMNS}
            for row in csv.DictReader(file)
        ]
    return {(row["family"], row["module"], int(row["index"])): row for row in found}


def save(rows: Mapping[Key, Row]) -> None:
    """Write the measurements, sorted."""
    DATA.parent.mkdir(exist_ok=True)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for key in sorted(rows):
        writer.writerow([f"{v:g}" if isinstance(v, float) else v for v in (rows[key][c] for c in COLUMNS)])
    replace_text(DATA, file.getvalue())


def replace_text(path: Path, text: str) -> None:
    """Write a file in one step: who reads it meanwhile sees the old one or the new one, whole."""
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(text)
    temporary.replace(path)


def fit(x: np.ndarray, y: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Coefficients of at least 0 with the least squared relative error.

    Args:
        x: of shape (units, counts).
        y: of shape (units,), what was measured.
        known: of shape (units,), what of it is counted without a coefficient.
    """
    weight = 1 / np.maximum(y, LEAST)
    return np.asarray(nnls(x * weight[:, None], (y - known) * weight)[0])


def fit_module(module: str, rows: Mapping[Key, Row]) -> tuple[dict[str, Table], list[Row]]:
    """Coefficients of a module by their keys in the table, and its rows of the error table, one a family."""
    found = list(instances(module))
    tables = {family: _fit_family(family, module, found, rows) for family in _fitted(found)}
    lines = [_errors(f, module, found, tables.get(f, tables[FITTED]), rows) for f in FAMILIES]
    return {module if f == FITTED else f"{module}/{f}": table for f, table in tables.items()}, lines


def _fit_family(family: Family, module: str, found: list[Instance], rows: Mapping[Key, Row]) -> Table:
    """Coefficients by resource and count, from the units that are not held out."""
    train = [i for i in range(len(found)) if not held_out(i)]
    if family == "ecp5":
        train = [i for i in train if (family, module, i) in rows]
    # What has no DSP slices counts on UltraScale+ as it does on the 7 series.
    seen = {i: family if (family, module, i) in rows else FITTED for i in train}
    columns = {i: found[i].features.columns(seen[i]) for i in train}
    known_names = sorted({n for c in columns.values() for n in c} - {"ram_luts"})
    table: Table = {}
    for resource in SOFT:
        names = [n for n in known_names if resource == "FF" or n not in REGISTERS]
        x = np.array([[columns[i].get(n, 0.0) for n in names] for i in train])
        known = np.array([columns[i]["ram_luts"] if resource == "LUT" else 0.0 for i in train])
        solution = fit(x, np.array([rows[seen[i], module, i][resource] for i in train]), known)
        table[resource] = {n: round(float(c), 4) for n, c in zip(names, solution, strict=True) if c > 5e-5}
        if resource == "LUT":
            table[resource]["ram_luts"] = 1.0
    return table


def _errors(family: Family, module: str, found: list[Instance], table: Table, rows: Mapping[Key, Row]) -> Row:
    """Relative errors of LUTs and flip-flops on the units held out, and units whose block RAM or DSP slices differ."""
    seen = [(x, rows[family, module, i], i) for i, x in enumerate(found) if (family, module, i) in rows]
    wrong = sum([row["BLOCK"], row["DSP"]] != list(x.features.hard(family).values()) for x, row, _ in seen)
    line: Row = {"family": family, "module": module, "units": len(seen)}
    line["held out"] = sum(held_out(i) for _, _, i in seen)
    for resource in SOFT:
        errors = []
        for x, row, i in seen:
            if held_out(i):
                columns = x.features.columns(family)
                predicted = sum(c * columns.get(n, 0.0) for n, c in table[resource].items())
                errors.append(100 * abs(predicted - row[resource]) / max(row[resource], LEAST))
        line |= {f"{resource} median %": float(np.median(errors)), f"{resource} worst %": float(max(errors))}
    return line | {"block RAM or DSP wrong": wrong}


def fit_any(done: list[str], rows: Mapping[Key, Row]) -> Table:
    """Coefficients over the widths of ports, for operators that say nothing of themselves."""
    units = [(x, rows[FITTED, m, i]) for m in done for i, x in enumerate(instances(m)) if x.part.operator]
    names = ("unit", "in_bits", "out_bits")
    x = np.array([[1.0, *_ports(u)] for u, _ in units])
    found = {r: fit(x, np.array([row[r] for _, row in units]), np.zeros(len(units))) for r in SOFT}
    return {r: {n: round(float(c), 4) for n, c in zip(names, v, strict=True)} for r, v in found.items()}


def _ports(instance: Instance) -> tuple[float, float]:
    """Bits of a beat of all inputs, and of all outputs."""
    p = {k: int(v) for k, v in instance.part.parameters.items() if not isinstance(v, str)}
    sides = []
    for side in ("IN", "OUT"):
        names = [k[: -len("_LANES")] for k in p if k.startswith(side) and k.endswith("_LANES")]
        sides.append(float(sum(p[f"{n}_BITS"] * p[f"{n}_LANES"] for n in names)))
    return sides[0], sides[1]


def write_docs(lines: Iterable[Row]) -> None:
    """Put the error table into docs/resources.md, between its two marks."""
    lines = list(lines)
    head = "| " + " | ".join(lines[0]) + " |\n|" + "---|" * len(lines[0]) + "\n"
    body = "".join("| " + " | ".join(f"{v:.1f}" if isinstance(v, float) else str(v) for v in r.values()) + " |\n"
                   for r in lines)  # fmt: skip
    start, end = "<!-- errors: benchmarks/fit_resources.py -->\n", "<!-- end of errors -->"
    text = DOCS.read_text()
    before, after = text.index(start) + len(start), text.index(end)
    DOCS.write_text(text[:before] + head + body + text[after:])


def main() -> None:
    """Measure, fit, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--fit", action="store_true", help="fit on the measurements kept, without Yosys")
    parser.add_argument("--only", help="modules to measure anew, with commas between")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 2)
    options = parser.parse_args()
    only = options.only.split(",") if options.only else []
    rows = {key: row for key, row in load().items() if key[1] not in only}
    for family in FAMILIES:
        for module in [] if options.fit else only or modules():
            measure(family, module, rows, options.jobs)
            save(rows)
    done = [m for m in modules() if measured(m, rows)]
    for module in sorted(set(modules()) - set(done)):
        print(f"{module}: not measured; its coefficients stay as they are")
    table: dict[str, Table] = json.loads(TABLE.read_text()) | {cost.ANY: fit_any(done, rows)}
    lines: list[Row] = []
    for module in done:
        fitted, found = fit_module(module, rows)
        table |= fitted
        lines += found
    replace_text(TABLE, json.dumps(table, indent=1, sort_keys=True) + "\n")
    lines.sort(key=lambda line: FAMILIES.index(line["family"]))
    report("fit_resources", lines)
    write_docs(lines)


if __name__ == "__main__":
    main()

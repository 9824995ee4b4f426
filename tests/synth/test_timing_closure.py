# SPDX-License-Identifier: Apache-2.0
"""No unit has more levels of logic than its family allows, and the published clocks are of the units that there are."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest

from gatewright.boards import Family
from gatewright.synth.plan import Part
from gatewright.synth.yosys import synthesise

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "timing-closure.md"
FAMILIES: tuple[Family, ...] = get_args(Family)
MOST_LEVELS: Mapping[Family, int] = {"xc7": 8, "xcup": 8, "ecp5": 7}
"""Of any unit in the tables of docs/timing-closure.md, which says what they take in time."""
LEAST_MHZ = 100
REASONS = re.compile(r"^\* \*\*(.+?)\*\*, \d+ MHz: ", re.MULTILINE)


@pytest.fixture
def units(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/timing_units.py."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    for name in ("resource_instances", "timing_units"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import timing_units

    return timing_units


def too_deep(family: Family, found: list[object]) -> list[str]:
    """What has more levels than its own row of the docs says, or where it has none, than its family may."""
    parts = [unit.part for unit in found]  # type: ignore[attr-defined]  # Timed, of a module that is not on mypy's path
    nets, figures = synthesise(parts, family), documented(family)
    most = {p.name: figures.get(row_of(p.name), MOST_LEVELS[family]) for p in parts}
    return [f"{p.name}: {nets[p.name].levels} > {most[p.name]}" for p in parts if nets[p.name].levels > most[p.name]]


def row_of(name: str) -> str:
    """The row of a unit: an operator's examples, "window 7", have one together."""
    return re.sub(r"^([a-z_]+) \d+$", r"\1", name)


def documented(family: Family) -> dict[str, int]:
    """Levels by unit, of all tables."""
    rows = [row for group in re.findall("<!-- end of (.+) -->", PAGE.read_text()) for row in table(group)]
    return {row["unit"]: int(row[f"levels {family}"]) for row in rows}


@pytest.mark.parametrize("family", ["xc7", "ecp5"])
def test_a_few_units_keep_within_the_levels_of_their_family(units: ModuleType, family: Family) -> None:
    few = [unit for group in units.GROUPS for unit in units.units(group) if unit.quick]
    assert {unit.module for unit in few} >= {"dense", "window", "requant", "unpack_words"}
    assert too_deep(family, few) == []


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_all_units_keep_within_the_levels_of_their_family(units: ModuleType, family: Family) -> None:
    assert too_deep(family, [unit for group in units.GROUPS for unit in units.units(group)]) == []


def test_a_register_left_out_breaks_the_bound(units: ModuleType, tmp_path: Path) -> None:
    """An adder tree keeps the bound at any width, and without the registers between its levels it does not."""
    tree = ROOT / "rtl" / "lib" / "adder_tree.sv"
    broken = tmp_path / tree.name
    broken.write_text(
        tree.read_text().replace("always_ff @(posedge clk) if (en) values <= sums;", "assign values = sums;")
    )
    assert broken.read_text() != tree.read_text()
    parameters = {"N": 64, "IN_BITS": 4, "OUT_BITS": 10}
    whole, without = (
        units.Timed(units.LIBRARY, Part(name, "adder_tree", parameters, {}, (path,)))
        for name, path in (("whole", tree), ("without", broken))
    )
    assert [found.partition(":")[0] for found in too_deep("xc7", [whole, without])] == ["without"]


def test_a_register_left_out_breaks_a_units_own_figure(units: ModuleType, tmp_path: Path) -> None:
    """A sum of many bits has a register after every second level of compressors; without them it is too deep."""
    heap = ROOT / "rtl" / "lib" / "bit_heap.sv"
    broken = tmp_path / heap.name
    broken.write_text(heap.read_text().replace("l > 0 && l < LEVELS && l % 2 == 0", "l < 0"))
    assert broken.read_text() != heap.read_text()
    (whole,) = (unit for unit in units.units("8 x 8") if unit.part.name == "dense W4A4")
    paths = tuple(broken if path.name == heap.name else path for path in whole.part.sources)
    without = replace(whole, part=replace(whole.part, sources=paths))
    assert [found.partition(":")[0] for found in too_deep("xc7", [without])] == ["dense W4A4"]


def table(group: str) -> list[dict[str, str]]:
    """A group's table of the docs."""
    rows = PAGE.read_text().partition(f"<!-- {group}: ")[2].partition(f"<!-- end of {group} -->")[0].splitlines()[1:]
    cells = [[c.strip() for c in row.strip("|").split("|")] for row in rows]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def test_the_published_tables_are_of_all_units_and_within_the_bounds(units: ModuleType) -> None:
    for group in units.GROUPS:
        rows, names = table(group), [row_of(unit.part.name) for unit in units.units(group)]
        assert [row["unit"] for row in rows] == list(dict.fromkeys(names))
        for row in rows:
            assert row.get("placed", "1") == row.get("examples", "1") == str(names.count(row["unit"]))
            assert all(0 < int(row[f"levels {family}"]) <= MOST_LEVELS[family] for family in FAMILIES), row


def test_every_unit_below_100_mhz_has_its_reason_in_the_docs(units: ModuleType) -> None:
    reasons = set(REASONS.findall(PAGE.read_text()))
    rows = [row for group in units.GROUPS for row in table(group)]
    assert {row["unit"] for row in rows if int(row["MHz"]) < LEAST_MHZ} == reasons

# SPDX-License-Identifier: Apache-2.0
"""What a tool made of the build: the chip's resources, timing and power after place and route."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gatewright.report.facts import Facts
from gatewright.report.html import Child, Html, el
from gatewright.report.numbers import NONE, count, percent
from gatewright.report.tables import number, table


def lead(facts: Facts) -> Child:
    """What there is."""
    found, current = facts.bitstream or ({}, False)
    if not current:
        return ["The last bitstream is of another state of the build: run gatewright bitstream DIR again. "]
    made = f"{found['title']} {found['version']}, for {found['part']}, after place and route. "
    tag = el("span", "placed and routed", class_="tag")
    return [made, tag] if found["status"] == "ok" else [made, el("strong", f"Failed: {found['reason']}. "), tag]


def bitstream(facts: Facts) -> Child:
    """Tables of the last result, as far as it is of the build as it is now."""
    found, current = facts.bitstream or ({}, False)
    if not current:
        return None
    outcome = found["outcome"]
    parts = [_timing(outcome["timing"], outcome["power_w"]), _resources(found)]
    return [*parts, _units(outcome["units"])] if outcome["units"] else parts


def _rows(pairs: Iterable[tuple[str, str]]) -> list[Html]:
    return [el("tr", el("th", name, scope="row"), number(value)) for name, value in pairs]


def _timing(timing: Mapping[str, Any], power: Mapping[str, float] | None) -> Html:
    worst = timing["worst"]
    pairs = [("clock, MHz", f"{timing['mhz']:.6g}"), ("fastest clock as routed, MHz", f"{timing['fmax_mhz']:.1f}")]
    for name, key in (("worst slack", "wns_ns"), ("sum of negative slacks", "tns_ns"), ("worst hold slack", "whs_ns")):
        if timing[key] is not None:
            pairs.append((f"{name}, ns", f"{timing[key]:.3f}"))
    if worst is not None:
        pairs += [("slowest path in", worst["unit"] or "none of the units")]
        pairs += [("from", worst["source"]), ("to", worst["destination"])]
        pairs += [] if worst["levels"] is None else [("levels of logic on it", count(worst["levels"]))]
    pairs += [(f"{name} power, W (estimated)", f"{watts:.3f}") for name, watts in (power or {}).items()]
    return table("Timing and power", ("", "measured"), _rows(pairs))


def _resources(found: Mapping[str, Any]) -> Html:
    used, rows = found["outcome"]["resources"], []
    for name in dict.fromkeys((*used, *found["predicted"])):
        expected, room, amount = found["predicted"].get(name, {}), found["capacity"].get(name), used.get(name)
        share = NONE if amount is None or not room else percent(amount / room)
        values = (amount, expected.get("needed"), expected.get("design"), room)
        rows.append(el("tr", el("th", name, scope="row"), [_amount(v) for v in values], number(share)))
    return table(
        "The whole chip, with what stands around the kernel",
        ("resource", "used", "predicted, with the kernel", "of it the design", "board", "used of it"), rows,
    )  # fmt: skip


def _units(units: Mapping[str, Mapping[str, float]]) -> Html:
    names = list(dict.fromkeys(name for amounts in units.values() for name in amounts))
    rows = [el("tr", el("th", unit, scope="row"), [_amount(amounts.get(name)) for name in names])
            for unit, amounts in units.items()]  # fmt: skip
    return table("Units, as far as the tool tells them apart", ("unit", *names), rows)


def _amount(value: float | None) -> Html:
    return number(NONE, -1) if value is None else number(f"{value:,.1f}".removesuffix(".0"), value)

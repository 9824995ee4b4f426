# SPDX-License-Identifier: Apache-2.0
"""The tables: units, FIFOs, resources, checks, proofs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gatewright.report.accumulators import widths
from gatewright.report.facts import Facts, Row
from gatewright.report.html import Child, Html, el
from gatewright.report.numbers import NONE, count, percent, scale, significant, span
from gatewright.verify.check import STAGES

MARKS = {"ok": "✓ ok", "failed": "✗ failed", "not_run": "○ not run", "stale": "○ out of date"}


def table(caption: str, columns: Sequence[str], rows: Iterable[Html], *, text: int = 1, tail: int = 0) -> Html:
    """A table in a box that scrolls sideways; its first `text` and last `tail` columns hold words, the rest numbers."""
    numbers = range(text, len(columns) - tail)
    head = [el("th", name, scope="col", class_="num" if i in numbers else None) for i, name in enumerate(columns)]
    body = el("table", el("caption", caption), el("thead", el("tr", head)), el("tbody", rows), class_="sortable")
    return el("div", body, class_="scroll", tabindex="0", role="region", aria_label=caption)


def number(shown: Child, value: float | None = None) -> Html:
    """A cell with a number; `value` is what it sorts by."""
    return el("td", shown, class_="num", data_sort=None if value is None else f"{value:g}")


def bar(share: float, label: str, kind: str = "") -> Html:
    """A horizontal bar with its number beside it."""
    fill = el("span", class_=f"fill {kind}".strip(), style=f"width:{min(100.0, 100 * share):.1f}%")
    return el("span", el("span", fill, class_="bar"), el("span", label), class_="barred")


def _name(row: Row, facts: Facts, *, anchor: bool = False) -> Html:
    flag = el("em", "bottleneck") if row.name == facts.summary["bottleneck"] else None
    target = row.name if anchor else el("a", row.name, href=f"#{row.anchor}")
    return el("th", target, flag, scope="row")


def units(facts: Facts) -> Html:
    """Folding and cycles of every unit, each as a bar against the interval."""
    rows = []
    for row in facts.rows:
        share = row.cycles / facts.interval
        slowest = row.name == facts.summary["bottleneck"]
        cells = [
            el("td", row.operator),
            el("td", ", ".join(o.node for o in row.origin) or NONE, _lines(row)),
            el("td", row.folded or NONE),
            el("td", row.output),
            el("td", NONE if row.scale is None else scale(row.scale)),
            number(count(row.cycles), row.cycles),
            el("td", bar(share, percent(share), "slowest" if slowest else ""), data_sort=f"{share:g}"),
        ]
        kind = "bottleneck" if slowest else None if row.computes else "minor"
        rows.append(el("tr", _name(row, facts, anchor=True), cells, id=row.anchor, class_=kind, data_unit=row.index))
    return table(
        "Units: folding, and cycles of a frame at full speed against the interval",
        ("unit", "operator", "model", "folding", "gives", "scale", "cycles", "utilisation"), rows, text=6,
    )  # fmt: skip


def _lines(row: Row) -> Child:
    """The lines of the program behind a unit."""
    return [el("small", line) for line in dict.fromkeys(o.source for o in row.origin if o.source)]


def fifos(facts: Facts) -> Html:
    """Depth and largest occupancy of every FIFO."""
    rows = []
    for link in facts.structure.links:
        if not link.depth:
            continue
        held = facts.timing.peak[link.name]
        rows.append(
            el(
                "tr", el("th", link.name, scope="row"),
                el("td", f"{link.source.unit or 'input'} → {link.sink.unit or 'output'}"),
                el("td", "block RAM" if link.block else "LUT RAM"),
                number(count(link.depth), link.depth), number(count(link.stream.width + 1), link.stream.width + 1),
                number(count(link.bits), link.bits),
                el("td", bar(held / link.depth, f"{count(held)} of {count(link.depth)}"), data_sort=f"{held:g}"),
                class_=None if link.main else "minor",
            )
        )  # fmt: skip
    return table(
        "FIFOs: depth in words, word width with tlast, and the most words held in the cycle model's run",
        ("FIFO", "from → to", "lies in", "depth", "word bits", "bits", "most held"), rows, text=3,
    )  # fmt: skip


def resources(facts: Facts) -> Html:
    """Predicted resources of every unit, and synthesised ones beside them where there are any."""
    kinds = ("predicted",) if facts.synthesis is None else ("predicted", "synthesised")
    sums = {"predicted": facts.summary["resources"], "synthesised": (facts.synthesis or {}).get("total")}

    def cells(amounts: Mapping[str, Mapping[str, float] | None], levels: int | None) -> list[Html]:
        shown = [_amount((amounts[kind] or {}).get(name)) for name in facts.resource_names for kind in kinds]
        part, whole = ((source[kinds[-1]] or {}).get("LUT", 0.0) for source in (amounts, sums))
        share = part / whole if whole else 0.0
        if facts.synthesis is not None:
            shown.append(_amount(levels))
        return [*shown, el("td", bar(share, percent(share)), data_sort=f"{share:g}")]

    rows = [
        el(
            "tr", _name(row, facts), cells({"predicted": row.predicted, "synthesised": row.synthesised}, row.levels),
            class_=None if row.computes else "minor", data_unit=row.index,
        )
        for row in facts.rows
    ]  # fmt: skip
    rows.append(el("tr", el("th", "total", scope="row"), cells(sums, None), class_="total"))
    columns = [f"{n} {kind}" for n in facts.resource_names for kind in kinds]
    if facts.synthesis is not None:
        columns.append("levels of logic")
    return table(
        "Resources of every unit, with the FIFOs in front of it and the forks behind it",
        ("unit", *columns, f"share of LUTs, {kinds[-1]}"), rows,
    )  # fmt: skip


def _amount(value: float | None) -> Html:
    if value is None:
        return number(NONE, -1)
    return number(count(value) if value == int(value) or value >= 10 else f"{value:.1f}", value)


def checks(facts: Facts) -> Html:
    """The last result of every stage, as far as it is of the build as it is now."""
    return table(
        "Stages of the check chain, each with its last result",
        ("stage", "status", "frames", "exact", "accuracy", "largest float error", "interval (predicted)",
         "latency (predicted)"), [_check_row(name, facts) for name in stages(facts)], text=2,
    )  # fmt: skip


def stages(facts: Facts) -> list[str]:
    """Names of all stages that there are or were, in the order of the chain."""
    return list(dict.fromkeys([*STAGES, *facts.checks]))


def stage_status(name: str, facts: Facts) -> tuple[str, str]:
    """Status of a stage and what is to be said of it; a result of an earlier state of the build counts for nothing."""
    recorded = facts.checks.get(name)
    if recorded is None:
        return "not_run", "run gatewright check DIR"
    if not recorded.current:
        return "stale", "the build changed after this stage ran: run gatewright check DIR"
    status, reason = str(recorded.result["status"]), str(recorded.result.get("reason", ""))
    given = "" if recorded.data == "stored" else "on frames given to check, not the stored ones"
    return status, "; ".join(filter(None, (reason, given)))


def _check_row(name: str, facts: Facts) -> Html:
    status, reason = stage_status(name, facts)
    shown = facts.checks[name].result if name in facts.checks and status in ("ok", "failed") else {}
    frames, exact = shown.get("frames") or None, shown.get("exact")
    mark = el("span", MARKS.get(status, status), class_=f"status {status}")
    cells = [
        el("td", mark, el("small", reason) if reason else None),
        number(count(frames)), number(count(exact)), number(percent(shown.get("accuracy"), 2)),
        number(significant(shown.get("max_float_error"))),
    ]  # fmt: skip
    for what in ("interval", "latency"):
        measured, predicted = shown.get(f"{what}_cycles"), shown.get(f"predicted_{what}_cycles")
        cells.append(number(NONE if measured is None else f"{count(measured)} ({count(predicted)})"))
    return el("tr", el("th", name, scope="row"), cells)


def proofs(facts: Facts) -> Html:
    """One line a certificate."""
    rows = []
    names = {r.name for r in facts.rows}
    for proof in facts.proofs:
        if proof["node"] not in names:
            continue
        row, op = facts.row(proof["node"]), facts.graph.node(proof["node"]).op
        bits = proof.get("accumulator_bits")
        bounds = None if bits is None else widths(op, bits)
        cells = [
            el("td", proof["operator"]),
            el("td", span(proof["lo"], proof["hi"])),
            number(f"{proof['bits_needed']} of {proof['bits_given']}", proof["bits_given"]),
            [
                number(NONE if v is None else str(v), v or 0)
                for v in ((None, None, None) if bounds is None else (bounds.by_type, bounds.by_norm, bounds.exact))
            ],
            el("td", _method(proof)),
        ]
        rows.append(el("tr", _name(row, facts), cells, data_unit=row.index))
    return table(
        "Certificates: output range and bits; accumulator bits by three bounds; how the layer was compared",
        ("unit", "operator", "output range", "bits needed of given", "by data type", "by L1 norm", "exact: built",
         "equal to its definition"), rows, text=3, tail=1,
    )  # fmt: skip


def _method(proof: Mapping[str, Any]) -> str:
    compared, steps = proof.get("compared", 0), proof.get("steps", 0)
    if proof["method"] == "exhaustive":
        return f"every reachable input: {count(compared)} values, {count(steps)} steps"
    if proof["method"] == "steps":
        return f"monotone, every step: {count(steps)} steps, {count(compared)} values"
    return "same integers by construction; range proven"

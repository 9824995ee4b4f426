# SPDX-License-Identifier: Apache-2.0
"""The head of the page: what was built, and its key figures."""

from __future__ import annotations

from typing import Any

from gatewright.report import tables
from gatewright.report.facts import Facts
from gatewright.report.html import Child, Html, el
from gatewright.report.numbers import NONE, count, duration, percent, significant


def figures(facts: Facts) -> dict[str, Any]:
    """The key figures by name."""
    labels = facts.case.labels
    return {
        "network": facts.summary["network"],
        "board": facts.summary["board"],
        "mhz": facts.mhz,
        "fps": float(facts.summary["fps"]),
        "interval_cycles": facts.interval,
        "latency_cycles": int(facts.summary["latency_cycles"]),
        "bottleneck": facts.summary["bottleneck"],
        "digest": facts.summary["digest"],
        "frames": facts.case.frames,
        "accuracy": {
            **{name: facts.case.decision.accuracy(values, labels) for name, values in facts.case.stored.items()},
            "golden": facts.case.decision.accuracy(facts.outputs, labels),
        },
        "stages": {name: tables.stage_status(name, facts)[0] for name in tables.stages(facts)},
    }  # fmt: skip


def header(facts: Facts) -> Html:
    """Name, board, clock, what was asked, key figures, use of the board."""
    summary, board = facts.summary, facts.board
    about = [
        ("board", f"{board.title} ({board.part})"),
        ("clock", f"{facts.mhz:g} MHz"),
        ("asked", _asked(summary.get("asked"))),
        ("design", el("code", summary["digest"][:16], title=summary["digest"])),
        *_left_to_host(facts),
    ]
    return el(
        "header",
        el("h1", summary["network"], el("small", f" on {summary['board']}")),
        el("dl", [el("div", el("dt", k), el("dd", v)) for k, v in about], class_="about"),
        _banner(facts),
        el("div", _cards(facts), class_="figures"),
        el("div", _resource_bars(facts), class_="use"),
        el(
            "p", "Rates and latencies are predicted by the cycle model at the stated clock; checks run in simulation; "
            "resources are predicted" + (" and synthesised unit by unit" if facts.synthesis else "") + ". Nothing here "
            "was placed and routed, or run on a board.", class_="lead",
        ),
    )  # fmt: skip


def _left_to_host(facts: Facts) -> list[tuple[str, str]]:
    """What the host computes of each output, where that is more than a scale and an offset."""
    left = [(o.name, ", ".join(f)) for o in facts.build.model_graph.outputs if (f := o.host_functions())]
    return [("left to the host", "; ".join(f"{name}: {functions}" for name, functions in left))] if left else []


def _asked(asked: Any) -> str:
    """What `compile` was asked for, in words."""
    if not isinstance(asked, dict):
        return NONE
    rate, latency, budget = (asked.get(n) for n in ("fps", "latency_us", "budget"))
    wishes = [] if rate is None else [f"{significant(float(rate), 6)} frames/s"]
    wishes += [] if latency is None else [f"a latency of {significant(float(latency), 6)} µs"]
    if asked.get("folding"):
        text = "a folding of its own"
    elif asked.get("objective") == "latency":
        text = " at ".join(["the shortest latency that fits", *wishes])
    elif wishes:
        text = f"the smallest design of {' and '.join(wishes)}"
    else:
        text = "the fastest that fits"
    if budget is not None:
        text += f" within {percent(float(budget), 0)} of the board"
    return text if asked.get("mhz") is None else f"{text}, at {asked['mhz']:g} MHz"


def _banner(facts: Facts) -> Html | None:
    """What a reader must not overlook."""
    failed = [n for n in facts.checks if tables.stage_status(n, facts)[0] == "failed"]
    lines = []
    if failed:
        lines.append(f"✗ Failed: {', '.join(failed)}. See Checks.")
    if facts.changed:
        more = f" and {len(facts.changed) - 1} more" if len(facts.changed) > 1 else ""
        lines.append(f"✗ Changed since it was compiled: {facts.changed[0]}{more}. Compile the model again.")
    return el("div", [el("p", line) for line in lines], class_="banner", role="alert") if lines else None


def _cards(facts: Facts) -> list[Html]:
    summary = facts.summary
    slowest = facts.row(summary["bottleneck"])
    latency = int(summary["latency_cycles"])
    return [
        _card("throughput", [count(summary["fps"]), el("small", " frames/s")], "predicted"),
        _card("latency", duration(latency, facts.mhz), f"{count(latency)} cycles, predicted"),
        _card("interval", duration(facts.interval, facts.mhz), f"{count(facts.interval)} cycles, predicted"),
        _card(
            "bottleneck", el("a", slowest.name, href=f"#{slowest.anchor}"),
            f"{slowest.operator}, {count(slowest.cycles)} cycles",
        ),
        _accuracy_card(facts),
        _rtl_card(facts),
    ]  # fmt: skip


def _card(name: str, value: Child, note: Child) -> Html:
    return el("div", el("h3", name), el("p", value, class_="value"), el("p", note, class_="note"), class_="figure")


def _accuracy_card(facts: Facts) -> Html:
    found = figures(facts)["accuracy"]
    if found["golden"] is None:
        return _card("accuracy", NONE, "no labels are stored")
    steps = [(n, found[n]) for n in ("float", "qat") if n in found] + [("hardware", found["golden"])]
    value = [
        el("span", el("small", f"→ {name}" if i else name), percent(v, 2), class_="step")
        for i, (name, v) in enumerate(steps)
    ]
    return _card("accuracy", el("span", value, class_="steps"), f"{count(facts.case.frames)} frames")


def _rtl_card(facts: Facts) -> Html:
    status, reason = tables.stage_status("rtl", facts)
    if status in ("ok", "failed"):
        result = facts.checks["rtl"].result
        value = [count(result.get("exact") or 0), el("small", f" of {count(result.get('frames') or 0)} frames")]
        return _card("bit-exact in RTL", value, tables.MARKS[status] + ", Verilator")
    return _card("bit-exact in RTL", tables.MARKS[status], reason)


def _resource_bars(facts: Facts) -> list[Html]:
    total = None if facts.synthesis is None else facts.synthesis["total"]
    bars = []
    for name, capacity in facts.summary["capacity"].items():
        used = facts.summary["resources"].get(name, 0.0)
        lines = [_use("predicted", used, capacity)]
        if total is not None and name in total:
            lines.append(_use("synthesised", total[name], capacity))
        bars.append(el("div", el("h3", name), lines, class_="resource"))
    return bars


def _use(kind: str, used: float, capacity: float) -> Html:
    share = tables.bar(used / capacity, percent(used / capacity), "over" if used > capacity else kind)
    shown = count(used) if used >= 100 else significant(round(used, 1), 4)  # block RAM comes in halves
    return el("p", share, el("small", f"{shown} of {count(capacity)} {kind}"))

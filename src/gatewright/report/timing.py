# SPDX-License-Identifier: Apache-2.0
"""The pipeline in time: when each unit works on each of the first frames."""

from __future__ import annotations

import math

import numpy as np

from gatewright.design.cycles import Trace
from gatewright.report.facts import Facts, Row
from gatewright.report.html import Child, Html, el
from gatewright.report.numbers import count, duration, percent

HEIGHT = 20
"""Of a unit's strip, in the units of its drawing; across it counts cycles."""


def timing(facts: Facts) -> Html:
    """A strip a unit, on one axis of cycles; markup and not one drawing, so that it zooms and text keeps its size."""
    trace, end = facts.timing.trace, facts.timing.cycles
    if trace is None:
        return Html("")
    order = sorted(facts.rows, key=lambda r: int(trace.spans[r.index, 0, 0]))
    strips = [_strip(facts, row, trace, end) for row in order]
    lines = [_ruler(facts, end), _phases(facts, end), _axis(facts, end), *strips, _lines(facts, end)]
    body = el("div", lines, class_="gantt")
    return el("div", body, class_="scroll", tabindex="0", role="region", aria_label="Timing of the pipeline")


def _at(cycle: float, end: int) -> str:
    return f"{100 * cycle / end:.3f}%"


def _ends(facts: Facts) -> list[int]:
    return [int(c) for c in facts.timing.last_out.max(axis=0)]


def steady(facts: Facts) -> int | None:
    """The first frame (from 1) behind whose end every frame ends one interval after the one before; None if none."""
    distances = np.diff(_ends(facts))
    same = distances == facts.interval
    return next((i + 1 for i in range(len(same)) if same[i:].all()), None)


def _line(kind: str, name: Child, track: Child) -> Html:
    """A line of the diagram: what it is of, and its part along the axis."""
    return el("div", el("span", name, class_="who"), el("div", track, class_="track"), class_=f"strip {kind}")


def _ruler(facts: Facts, end: int) -> Html:
    ends, first = _ends(facts), int(facts.timing.first_in[:, 0].min())
    marks = [("latency", first, ends[0], facts.timing.latency)]
    if len(ends) > 1:
        marks.append(("interval", ends[-2], ends[-1], facts.timing.interval))
    spans = [
        el(
            "span", el("span", el("b", name), f" {count(cycles)} cycles = {duration(cycles, facts.mhz)}"),
            class_=f"bracket {name}", style=f"left:{_at(a, end)};width:{_at(b - a, end)}",
        )
        for name, a, b, cycles in marks
    ]  # fmt: skip
    return _line("ruler", "", spans)


def _phases(facts: Facts, end: int) -> Html:
    """Where the pipeline fills and where it is full."""
    ends, full = _ends(facts), steady(facts)
    parts = [el("span", "filling", class_="phase", style=f"left:0;width:{_at(ends[0], end)}")]
    if full is not None:
        start = ends[full - 1]
        place = f"left:{_at(start, end)};width:{_at(ends[-1] - start, end)}"
        parts.append(el("span", "full: a frame every interval", class_="phase steady", style=place))
    return _line("phases", "", parts)


def _axis(facts: Facts, end: int) -> Html:
    step = _nice(end / 8)
    ticks = [
        el("span", count(c), el("i", duration(c, facts.mhz) if c else "0"), style=f"left:{_at(c, end)}")
        for c in range(0, end - step // 3, step)
    ]
    return _line("axis", "cycle", ticks)


def _nice(value: float) -> int:
    """The next 1, 2 or 5 times a power of ten."""
    power = 10 ** math.floor(math.log10(max(value, 1)))
    return int(next(f * power for f in (1, 2, 5, 10) if f * power >= value))


def _lines(facts: Facts, end: int) -> Html:
    """The end of every frame, across all units."""
    lines = [el("span", class_="frame-end", style=f"left:{_at(c, end)}") for c in _ends(facts)]
    return el("div", el("div", lines, class_="lines"), class_="overlay", aria_hidden="true")


def _strip(facts: Facts, row: Row, trace: Trace, end: int) -> Html:
    spans = trace.spans[row.index]
    shares = [row.cycles / (s[2] - s[1] + 1) for s in spans]
    frames = [
        f"frame {i + 1}: first beat in at cycle {count(s[0])}, last out at {count(s[3])}, "
        f"stepping {percent(share, 0)} of its time"
        for i, (s, share) in enumerate(zip(spans, shares, strict=True))
    ]
    slowest = row.name == facts.summary["bottleneck"]
    bars = [
        el(
            "span", class_=f"frame f{i % 3}",
            style=f"left:{_at(s[0], end)};width:{_at(max(s[2], s[3]) + 1 - s[0], end)}",
        )
        for i, s in enumerate(spans)
    ]  # fmt: skip
    drawing = el(
        "svg", [el("path", d=_profile(trace, row.index, i, end), class_=f"s{i % 3}") for i in range(len(spans))],
        viewBox=f"0 0 {end} {HEIGHT}", preserveAspectRatio="none", aria_hidden="true",
    )  # fmt: skip
    name = el("a", row.name, href=f"#{row.anchor}", class_="who", title=row.name)
    about = "\n".join([row.name + (" (bottleneck)" if slowest else ""), *frames])
    numbers = [el("b", str(i + 1), style=f"left:{_at(s[1], end)}") for i, s in enumerate(spans)]
    track = el("div", bars, drawing, numbers, class_="track", role="img", aria_label=about, data_tip=about)
    return el("div", name, track, class_="strip bottleneck" if slowest else "strip", data_unit=row.index)


def _profile(trace: Trace, unit: int, frame: int, end: int) -> str:
    """The share of cycles in which a unit steps for a frame, over time, as an area."""
    width, busy = trace.width, trace.busy[unit]
    first, last = int(trace.spans[unit, frame, 1]), int(trace.spans[unit, frame, 2]) + 1
    parts, level = [f"M{first} {HEIGHT}"], 0.0
    for i in range(first // width, -(-last // width)):
        share = round(int(busy[i]) / min(width, end - i * width), 2)
        if share != level:
            parts.append(f"H{max(i * width, first)}V{HEIGHT * (1 - share):g}")
            level = share
    return "".join([*parts, f"H{last}V{HEIGHT}Z"])

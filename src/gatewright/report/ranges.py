# SPDX-License-Identifier: Apache-2.0
"""The page of `gatewright trace`: what each tensor used of its range."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gatewright.errors import ConfigError
from gatewright.ir.types import Tensor
from gatewright.report.accumulators import drawing
from gatewright.report.html import Child, Html, el
from gatewright.report.numbers import count, percent, shape, span
from gatewright.report.page import document, footer, section
from gatewright.verify.trace import Range, Trace


def write_ranges(trace: Trace, title: str, path: Path) -> None:
    """Write the page.

    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        path.write_text(ranges_page(trace, title), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error}): name another file") from error


def ranges_page(trace: Trace, title: str) -> str:
    """The whole document; the same text for the same integers."""
    frames = f"{count(trace.frames)} frame{'s' if trace.frames != 1 else ''}"
    lead = (
        f"Integers of the stage {trace.stage} over {frames} on a logarithmic count axis; marked are the declared "
        "limits, grey is what the bits hold beyond them."
    )
    main = el(
        "main",
        section("warnings", "Warnings", "Tensors that never move, or that are clipped often.", _warnings(trace.ranges)),
        section("ranges", "Ranges", lead, el("div", [_card(r) for r in trace.ranges], class_="cards")),
        section("tensors", "Tensors", "In the order of the graph.", _table(trace.ranges)),
    )
    return document(title, [el("header", el("h1", title, el("small", " integers"))), main, footer()])


def _warnings(ranges: Sequence[Range]) -> Html:
    rows = [el("p", el("b", r.name), f": {w}") for r in ranges for w in r.warnings]
    return el("div", rows) if rows else el("p", "None.", class_="empty")


def holds(tensor: Tensor) -> tuple[int, int]:
    """Least and greatest integer that a tensor's bits hold."""
    if tensor.encoding == "bipolar":
        return -1, 1
    half = 1 << tensor.bits - 1
    return (-half, half - 1) if tensor.signed else (0, 2 * half - 1)


def _card(item: Range) -> Html:
    tensor, seen = item.tensor, item.histogram
    figure = drawing(seen, (tensor.lo, tensor.hi), holds(tensor), f"values of {item.name}")
    about = [
        ("seen", f"{span(seen.least, seen.greatest)}, {percent(item.used, 0)} of the range"),
        ("declared", span(tensor.lo, tensor.hi)),
        ("model", ", ".join(o.node for o in item.origin)),
    ]
    facts = el("dl", [(el("dt", k), el("dd", v)) for k, v in about], class_="facts")
    return el("figure", el("figcaption", el("b", item.name), _source(item)), figure, facts, class_="card")


def _source(item: Range) -> Child:
    return [el("span", s) for s in dict.fromkeys(o.source for o in item.origin if o.source)]


def _table(ranges: Sequence[Range]) -> Html:
    names = ("tensor", "model", "shape", "bits", "declared", "seen", "used", "at least", "at most", "constant")
    rows = []
    for r in ranges:
        cells = (
            shape(r.tensor.shape), r.tensor.bits, span(r.tensor.lo, r.tensor.hi),
            span(r.histogram.least, r.histogram.greatest), percent(r.used), percent(r.at_lo), percent(r.at_hi),
            f"{len(r.constant)} of {r.tensor.channels}",
        )  # fmt: skip
        model = el("td", ", ".join(o.node for o in r.origin))
        rows.append(el("tr", el("th", r.name, scope="row"), model, [el("td", c, class_="num") for c in cells]))
    head = el("thead", el("tr", [el("th", n, scope="col", class_="num" if n in names[2:] else None) for n in names]))
    return el("div", el("table", head, el("tbody", rows)), class_="scroll")

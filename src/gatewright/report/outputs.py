# SPDX-License-Identifier: Apache-2.0
"""The hardware's outputs against those of the trained models, and against the labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gatewright.ir.host import Values
from gatewright.ir.types import FloatArray, IntArray
from gatewright.report.facts import Facts
from gatewright.report.html import Html, el
from gatewright.report.numbers import NONE, count, percent, significant
from gatewright.verify.decision import Decision

SIZE, PAD = 300, 40
LARGEST = 32
"""Classes up to which the whole confusion matrix is shown."""
TITLES = {"float": "float model", "qat": "quantised model in torch (QAT)"}


@dataclass(frozen=True)
class Agreement:
    """How two sets of real outputs agree, over their finite values.

    Attributes:
        largest, mean: absolute difference.
        correlation: Pearson's; None where a side is constant.
        decisions: share of frames with the same decision.
        left_out: values that are not finite.
    """

    largest: float
    mean: float
    correlation: float | None
    decisions: float
    left_out: int


def agreement(reference: FloatArray, outputs: Values, chosen: Decision) -> Agreement:
    """How `outputs` agree with `reference`, both of shape (frames, ...), where `chosen` decides."""
    a, b = reference.ravel(), outputs.ravel()
    finite = np.isfinite(a) & np.isfinite(b)
    a, b = a[finite], b[finite]
    difference = np.abs(a - b) if len(a) else np.zeros(1)
    varies = len(a) > 1 and a.std() > 0 and b.std() > 0
    return Agreement(
        float(difference.max()),
        float(difference.mean()),
        float(np.corrcoef(a, b)[0, 1]) if varies else None,
        float((chosen.decide(reference) == chosen.decide(outputs)).mean()),
        int((~finite).sum()),
    )


def outputs(facts: Facts) -> Html:
    """Scatter plots against each model whose outputs are stored, and the confusion of classes."""
    parts = [_scatter(name, facts) for name in TITLES if name in facts.case.stored]
    if facts.case.labels is not None:
        parts.append(_confusion(facts))
    if not parts:
        return el(
            "p", "Neither outputs of the trained models nor labels are stored in data/: nothing to compare with.",
            class_="empty",
        )  # fmt: skip
    return el("div", parts, class_="cards wide")


def _scatter(name: str, facts: Facts) -> Html:
    reference, hardware = facts.case.stored[name], facts.outputs
    found = agreement(reference, hardware, facts.case.decision)
    title = TITLES[name]
    rows = [
        ("largest difference", significant(found.largest)),
        ("mean difference", significant(found.mean)),
        ("correlation", significant(found.correlation, 6)),
        ("same decision", f"{percent(found.decisions, 2)} of {count(len(hardware))} frames"),
    ]
    if found.left_out:
        rows.append(("not finite, left out", count(found.left_out)))
    table = el("dl", [(el("dt", k), el("dd", v)) for k, v in rows], class_="facts")
    about = f"Outputs of the hardware against the {title}: correlation {rows[2][1]}, largest difference {rows[0][1]}"
    caption = el("figcaption", el("b", f"Against the {title}"))
    return el("figure", caption, _plot(reference.ravel(), hardware.ravel(), title, about), table, class_="card")


def _plot(a: FloatArray, b: FloatArray, title: str, about: str) -> Html:
    finite = np.isfinite(a) & np.isfinite(b)
    a, b = a[finite], b[finite]
    both = np.concatenate([a, b]) if len(a) else np.zeros(1)
    low, high = float(both.min()), float(both.max())
    room = (high - low) * 0.04 or 1.0
    low, high = low - room, high + room
    inner = SIZE - PAD - 10
    x = np.round(PAD + inner * (a - low) / (high - low), 1)
    y = np.round(10 + inner * (high - b) / (high - low), 1)
    points = "".join(f"M{px:g} {py:g}h0" for px, py in sorted(set(zip(x.tolist(), y.tolist(), strict=True))))
    base = 10 + inner
    ticks = [
        (
            el("text", significant(v, 2), x=PAD + inner * (v - low) / (high - low), y=base + 15),
            el("text", significant(v, 2), x=PAD - 6, y=10 + inner * (high - v) / (high - low) + 3, class_="end"),
        )
        for v in _ticks(low, high)
    ]
    return el(
        "svg", el("title", about),
        el("path", d=f"M{PAD} 10V{base}H{PAD + inner}", class_="axis"),
        el("path", d=f"M{PAD} {base}L{PAD + inner} 10", class_="diagonal"),
        el("path", d=points, class_="points"), ticks,
        el("text", title, x=PAD + inner / 2, y=base + 31, class_="label"),
        el("text", "hardware", x=12, y=10 + inner / 2, transform=f"rotate(-90 12 {10 + inner / 2})", class_="label"),
        viewBox=f"0 0 {SIZE} {SIZE + 2}", role="img", aria_label=about,
    )  # fmt: skip


def _ticks(low: float, high: float) -> list[float]:
    raw = (high - low) / 5
    power = 10 ** np.floor(np.log10(raw))
    step = float(next(f * power for f in (1, 2, 5, 10) if f * power >= raw))
    first = int(np.ceil(low / step))
    return [i * step for i in range(first, int(np.floor(high / step)) + 1)]


def _confusion(facts: Facts) -> Html:
    labels, guess = facts.case.labels, facts.case.decision.decide(facts.outputs)
    if labels is None:
        return Html("")
    classes = max(int(labels.max()) + 1, int(guess.max()) + 1, facts.case.decision.classes)
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, guess), 1)
    body = _matrix(matrix) if classes <= LARGEST else _pairs(matrix)
    caption = el(
        "figcaption", el("b", "Confusion of classes"),
        el("span", f"{count(int(np.trace(matrix)))} of {count(len(labels))} frames right"),
    )  # fmt: skip
    return el("figure", caption, el("div", body, class_="scroll"), class_="card")


def _matrix(matrix: IntArray) -> Html:
    largest = max(int(matrix.max()), 1)
    head = el(
        "tr",
        el("th", "label", scope="col"),
        [el("th", i, scope="col") for i in range(len(matrix))],
        el("th", "right", scope="col"),
    )
    rows = []
    for i, row in enumerate(matrix.tolist()):
        cells = [
            el(
                "td", n or "", class_=("hit" if i == j else "miss") if n else None,
                style=f"--share:{100 * max(n / largest, 0.12):.0f}%" if n else None,
            )
            for j, n in enumerate(row)
        ]  # fmt: skip
        right = percent(row[i] / sum(row), 0) if sum(row) else NONE
        rows.append(el("tr", el("th", i, scope="row"), cells, el("td", right, class_="right")))
    caption = el("caption", "frames by label (row) and class given (column)")
    return el("table", caption, el("thead", head), el("tbody", rows), class_="matrix")


def _pairs(matrix: IntArray, most: int = 12) -> Html:
    """The most frequent confusions, where the matrix is too large to read."""
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    rows = [
        el("tr", el("td", int(i)), el("td", int(j)), el("td", count(int(wrong[i, j]))))
        for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[i, j]
    ]
    head = el("tr", [el("th", t, scope="col") for t in ("label", "taken for", "frames")])
    return el("table", el("caption", "Most frequent confusions"), el("thead", head), el("tbody", rows))

# SPDX-License-Identifier: Apache-2.0
"""Accumulators: the values that the stored frames give, against the proven bounds and the bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewright.ir.op import Op
from gatewright.report.facts import Facts
from gatewright.report.html import Html, el
from gatewright.report.numbers import count, percent, span
from gatewright.verify.trace import Histogram

BARS = 72
WIDTH, HEIGHT, TOP, SIDE = 330, 118, 26, 8
"""Of a drawing, of its bars, above them and at their sides."""


@dataclass(frozen=True)
class Widths:
    """Bits that bounds of an accumulator ask for, from the loosest to the exact.

    Attributes:
        by_type: from the number of terms and the widths alone.
        by_norm: from the L1 norm of each channel's weights.
        exact: from the weights themselves; what the hardware has.
    """

    by_type: int | None
    by_norm: int | None
    exact: int


def type_bits(terms: int, input_bits: int, weight_bits: int, signed: bool) -> int:
    """Data-type bound of A2Q (ICCV 2023): ceil(a + log2(1 + 2^-a) + 1), a = log2(K) + N + M - 1 - 1_signed(x)."""
    return (terms << (input_bits + weight_bits - 1 - signed)).bit_length() + 1


def norm_bits(norm: int, input_bits: int, signed: bool) -> int:
    """Weight-norm bound of A2Q (ICCV 2023): ceil(b + log2(1 + 2^-b) + 1), b = log2(||w||_1) + N - 1_signed(x)."""
    return (norm << (input_bits - signed)).bit_length() + 1


def widths(op: Op, bits: int) -> Widths:
    """The bounds of an operator's accumulator.

    Args:
        bits: what it was given.
    """
    weight, source = getattr(op, "weight", None), op.inputs[0]
    weight_bits = getattr(op, "weight_bits", None)
    if not isinstance(weight, np.ndarray) or weight.ndim != 2 or weight_bits is None or source.encoding != "twos":
        return Widths(None, None, bits)
    norm = int(np.abs(weight).sum(axis=1).max())
    return Widths(
        type_bits(weight.shape[1], source.bits, weight_bits, source.signed),
        norm_bits(norm, source.bits, source.signed),
        bits,
    )


def accumulators(facts: Facts) -> Html:
    """A small drawing a layer."""
    proofs = {p["node"]: p for p in facts.proofs}
    cards = [_card(facts, h, proofs[h.node]) for h in facts.histograms if "accumulator_bits" in proofs.get(h.node, {})]
    if not cards:
        return el("p", "No unit of this network sums products.", class_="empty")
    return el("div", cards, class_="cards")


def _card(facts: Facts, histogram: Histogram, proof: Mapping[str, Any]) -> Html:
    lo, hi, bits = proof["lo"], proof["hi"], proof["accumulator_bits"]
    signed = min(proof["accumulator_lo"], lo) < 0
    holds = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    reach = max(histogram.greatest / hi if hi > 0 else 0.0, histogram.least / lo if lo < 0 else 0.0)
    row = facts.row(histogram.node)
    title = el("figcaption", el("b", el("a", histogram.node, href=f"#{row.anchor}")))
    about = [
        ("seen", f"{span(histogram.least, histogram.greatest)}, {percent(reach, 0)} of the bound"),
        ("proven", span(lo, hi)),
        (f"{bits} bits hold", span(*holds)),
    ]
    table = el("dl", [(el("dt", k), el("dd", v)) for k, v in about], class_="facts")
    values = f"accumulator values of {histogram.node}"
    figure = drawing(histogram, (lo, hi), holds, values)
    return el("figure", title, figure, table, class_="card", data_unit=row.index)


def drawing(histogram: Histogram, limits: tuple[int, int], holds: tuple[int, int], values: str) -> Html:
    """A histogram on a logarithmic count axis, its limits marked, within what its bits hold.

    Args:
        values: what is counted, for the description.
    """
    (lo, hi), (low, high) = limits, holds
    inner = WIDTH - 2 * SIDE

    def at(value: float) -> float:
        return SIDE + inner * (value - low) / (high + 1 - low)

    step = -(-(high + 1 - low) // BARS)
    first = (histogram.start - low) // step
    centres = histogram.start + histogram.width * np.arange(len(histogram.counts)) + (histogram.width - 1) // 2
    counts = np.bincount((centres - low) // step, weights=histogram.counts, minlength=first + 1)
    top = np.log10(counts.max() + 1)
    base = TOP + HEIGHT
    bars, wide = [], inner * step / (high + 1 - low) - 0.6
    for i in np.flatnonzero(counts):
        tall = HEIGHT * np.log10(counts[i] + 1) / top
        bars.append(f"M{at(low + int(i) * step):.1f} {base}v{-tall:.1f}h{wide:.2f}V{base}z")
    marks = [el("path", d=f"M{at(v):.1f} {TOP - 6}V{base}", class_="limit") for v in (lo, hi + 1)]
    labels = [
        el("text", count(lo), x=max(at(lo), 30), y=TOP - 11, class_="limit-text"),
        el("text", count(hi), x=min(at(hi + 1), WIDTH - 30), y=TOP - 11, class_="limit-text"),
        el("text", count(low), x=SIDE, y=base + 15, class_="start"),
        el("text", "0", x=at(0), y=base + 15) if low < 0 < high else "",
        el("text", count(high), x=WIDTH - SIDE, y=base + 15, class_="end"),
    ]
    beyond = [
        el("rect", x=SIDE, y=TOP, width=max(at(lo) - SIDE, 0), height=HEIGHT, class_="beyond"),
        el("rect", x=at(hi + 1), y=TOP, width=max(WIDTH - SIDE - at(hi + 1), 0), height=HEIGHT, class_="beyond"),
    ]
    about = (
        f"Histogram of {count(float(histogram.counts.sum()))} {values}: "
        f"{span(histogram.least, histogram.greatest)} within the limits {span(lo, hi)}"
    )
    axis = el("path", d=f"M{SIDE} {base}H{WIDTH - SIDE}", class_="axis")
    return el(
        "svg", el("title", about), beyond, el("path", d="".join(bars), class_="bars"), axis, marks, labels,
        viewBox=f"0 0 {WIDTH} {base + 22}", role="img", aria_label=about,
    )  # fmt: skip

# SPDX-License-Identifier: Apache-2.0
"""Numbers as people read them, units included."""

from __future__ import annotations

import math
from collections.abc import Sequence

NONE = "–"
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def count(value: float | None) -> str:
    """A count with thousands separated: 12,345."""
    return NONE if value is None else f"{value:,.0f}".replace("-", "−")


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as a percentage."""
    return NONE if value is None else f"{100 * value:.{digits}f} %"


def significant(value: float | None, digits: int = 3) -> str:
    """A real number to some significant digits, powers of ten written out where that is short."""
    if value is None:
        return NONE
    if not math.isfinite(value):
        return "not finite"
    text = f"{value:.{digits}g}"
    if "e" in text:
        mantissa, _, exponent = text.partition("e")
        return f"{mantissa.replace('-', '−')} × 10{str(int(exponent)).translate(RAISED)}"
    return text.replace("-", "−")


def duration(cycles: float, mhz: float) -> str:
    """Cycles of a clock as time: 10.7 µs."""
    seconds = cycles / (mhz * 1e6)
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{_three(seconds / size)} {unit}"
    return f"{_three(seconds * 1e9)} ns"


def _three(value: float) -> str:
    digits = max(0, 2 - int(math.floor(math.log10(value)))) if value > 0 else 0
    return f"{value:,.{digits}f}"


def shape(dims: Sequence[int]) -> str:
    """A shape: 8×8×16."""
    return "×".join(map(str, dims))


def scale(value: float | Sequence[float]) -> str:
    """A scale, or the range of the scales of all channels."""
    if isinstance(value, float):
        return significant(value)
    low, high = min(value), max(value)
    return significant(low) if low == high else f"{significant(low)} … {significant(high)} per channel"


def span(lo: int, hi: int) -> str:
    """An integer range."""
    return f"{count(lo)} … {count(hi)}"

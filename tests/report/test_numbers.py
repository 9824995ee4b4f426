# SPDX-License-Identifier: Apache-2.0
"""How numbers read."""

from __future__ import annotations

import pytest

from gatewright.report import numbers


@pytest.mark.parametrize(
    ("cycles", "mhz", "text"),
    [
        (1, 100, "10.0 ns"),
        (576, 100, "5.76 µs"),
        (1097, 100, "11.0 µs"),
        (98304, 100, "983 µs"),
        (127450, 100, "1.27 ms"),
        (3e8, 200, "1.50 s"),
        (0, 100, "0 ns"),
    ],
)
def test_durations(cycles: float, mhz: float, text: str) -> None:
    assert numbers.duration(cycles, mhz) == text


def test_the_rest() -> None:
    assert numbers.count(1234567) == "1,234,567"
    assert numbers.count(-390) == "−390"
    assert numbers.count(None) == numbers.percent(None) == numbers.significant(None) == "–"
    assert numbers.percent(0.99166, 2) == "99.17 %"
    assert numbers.significant(2.467e-6) == "2.47 × 10⁻⁶"
    assert numbers.significant(-0.5) == "−0.5"
    assert numbers.significant(float("nan")) == "not finite"
    assert numbers.scale(0.0625) == "0.0625"
    assert numbers.scale((0.5, 0.25, 0.5)) == "0.25 … 0.5 per channel"
    assert numbers.span(-8, 7) == "−8 … 7" and numbers.shape((8, 8, 16)) == "8×8×16"

# SPDX-License-Identifier: Apache-2.0
"""Float steps: each one, their direction, the affine form, and the one rounding."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.ir.chain import Step, affine_form, direction, evaluate, quantize

NUMBERS = st.floats(-8, 8, allow_subnormal=False).map(lambda v: round(v * 16) / 16)
FACTORS = NUMBERS.filter(lambda v: v != 0)


def step(kind: str, values: st.SearchStrategy[float]) -> st.SearchStrategy[Step]:
    return st.lists(values, min_size=1, max_size=3).filter(lambda v: len(v) != 2).map(lambda v: Step(kind, tuple(v)))


AFFINE = st.one_of(step("mul", NUMBERS), step("div", FACTORS), step("add", NUMBERS))
CLIP = st.tuples(NUMBERS, NUMBERS).map(lambda v: Step("clip", (min(v), max(v))))
STEPS = st.lists(st.one_of(AFFINE, CLIP, st.just(Step("relu"))), max_size=5)


def test_each_step() -> None:
    x = np.array([[-2.0, 0.5, 3.0]])
    assert Step("relu").apply(x).tolist() == [[0, 0.5, 3]]
    assert Step("clip", (-1, 2)).apply(x).tolist() == [[-1, 0.5, 2]]
    assert Step("mul", (2.0,)).apply(x).tolist() == [[-4, 1, 6]]
    assert Step("add", (1.0, 2.0, 3.0)).apply(x).tolist() == [[-1, 2.5, 6]]
    assert Step("div", (2.0, -1.0, 4.0)).apply(x).tolist() == [[-1, -0.5, 0.75]]
    assert evaluate((Step("mul", (-1.0,)), Step("relu"), Step("add", (1.0,))), x).tolist() == [[3, 1, 1]]
    assert [Step(k, (1.0,)).affine for k in ("mul", "div", "add", "clip", "relu")] == [True, True, True, False, False]


@given(STEPS)
def test_direction_is_that_of_the_values(steps: list[Step]) -> None:
    x = np.linspace(-20, 20, 81)[:, None].repeat(3, axis=1)
    rise = np.diff(evaluate(steps, x), axis=0)
    for channel, sign in enumerate(direction(steps, 3)):
        assert (rise[:, channel] * sign >= 0).all()
        if sign == 0:
            assert (rise[:, channel] == 0).all()


@given(st.lists(AFFINE, max_size=5))
def test_affine_form_is_the_chain(steps: list[Step]) -> None:
    factor, offset = affine_form(steps, 3)
    x = np.linspace(-3, 3, 7)[:, None].repeat(3, axis=1)
    np.testing.assert_allclose(x * factor + offset, evaluate(steps, x), rtol=1e-9, atol=1e-6)


@given(st.integers(-5000, 5000), st.integers(-6, 6))
def test_rounding_is_half_to_even(numerator: int, power: int) -> None:
    # numerator / 4 against a power-of-two scale: every second value or so is a tie, and all are exact in float64.
    want = round(Fraction(numerator, 4) / Fraction(2) ** power)
    assert quantize(np.array([numerator / 4]), 2.0**power, -(1 << 20), 1 << 20).tolist() == [want]


@pytest.mark.parametrize(("x", "y"), [(-9, -2), (-1.5, -2), (-0.5, 0), (0.5, 0), (1.5, 2), (2.5, 2), (9, 3)])
def test_quantize_clips_after_rounding(x: float, y: int) -> None:
    assert quantize(np.array([x]), 1.0, -2, 3).tolist() == [y]

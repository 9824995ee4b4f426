# SPDX-License-Identifier: Apache-2.0
"""How the hardware's outputs are compared with those of the trained models."""

from __future__ import annotations

import numpy as np
import pytest

from gatewright.report.html import Html
from gatewright.report.outputs import _matrix, _pairs, _ticks, agreement
from gatewright.verify.decision import Decision

CHOSEN = Decision(classes=2)


def test_agreement() -> None:
    a = np.array([[1.0, 2.0], [4.0, 3.0], [0.0, 5.0]])
    b = np.array([[1.0, 2.5], [3.0, 3.5], [0.0, 5.0]])
    found = agreement(a, b, CHOSEN)
    assert found.largest == 1.0 and found.mean == pytest.approx(2 / 6) and found.left_out == 0
    assert found.correlation == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    assert found.decisions == pytest.approx(2 / 3)


def test_values_that_are_not_finite_are_left_out_and_counted() -> None:
    a = np.array([[1.0, np.nan], [np.inf, 3.0]])
    found = agreement(a, np.array([[1.5, 0.0], [0.0, 3.0]]), CHOSEN)
    assert (found.largest, found.left_out) == (0.5, 2)


def test_a_constant_has_no_correlation() -> None:
    assert agreement(np.ones((4, 2)), np.arange(8.0).reshape(4, 2), CHOSEN).correlation is None


def test_ticks_are_round_and_inside() -> None:
    assert _ticks(-11.2, 18.9) == [-10, 0, 10]
    assert _ticks(0.013, 0.087) == pytest.approx([0.02, 0.04, 0.06, 0.08])


def test_confusion() -> None:
    matrix = np.array([[5, 2, 0], [0, 7, 0], [1, 0, 0]])
    whole = _matrix(matrix)
    assert whole.count('class="hit"') == 2 and whole.count('class="miss"') == 2
    assert "71 %" in whole and "100 %" in whole and "0 %" in whole
    assert isinstance(whole, Html)
    pairs = _pairs(matrix, most=1)
    assert "<td>0</td><td>1</td><td>2</td>" in pairs and pairs.count("<tr>") == 2

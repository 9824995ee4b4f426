# SPDX-License-Identifier: Apache-2.0
"""Tensors and streams: exact widths, what may feed what, and the check of integer arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.errors import ConfigError, DataError
from gatewright.ir.types import Tensor, bits_for, check_ints

WIDE = st.integers(-(1 << 70), 1 << 70)


def fits(value: int, bits: int, signed: bool) -> bool:
    return -(1 << bits - 1) <= value < 1 << bits - 1 if signed else 0 <= value < 1 << bits


@given(WIDE, WIDE)
def test_bits_are_the_fewest_that_hold_both_limits(a: int, b: int) -> None:
    lo, hi = min(a, b), max(a, b)
    bits, signed = bits_for(lo, hi), lo < 0
    assert fits(lo, bits, signed) and fits(hi, bits, signed)
    assert bits == 1 or not (fits(lo, bits - 1, signed) and fits(hi, bits - 1, signed))


@pytest.mark.parametrize("lo", range(-20, 20))
def test_bits_against_counting(lo: int) -> None:
    for hi in range(lo, 40):
        width = next(n for n in range(1, 99) if all(fits(v, n, lo < 0) for v in range(lo, hi + 1)))
        assert bits_for(lo, hi) == width


def test_a_tensor_on_wires() -> None:
    tensor = Tensor((4, 3, 6), -8, 7)
    assert (tensor.channels, tensor.size, tensor.bits, tensor.signed) == (6, 72, 4, True)
    stream = tensor.stream(3)
    assert (stream.beats, stream.width, stream.padded_width, str(stream)) == (24, 12, 16, "24x3 sint4")
    assert str(tensor) == "4x3x6 int4 [-8, 7]"
    bipolar = Tensor((5,), -1, 1, encoding="bipolar")
    assert (bipolar.bits, bipolar.signed, str(bipolar)) == (1, False, "5 bipolar [-1, 1]")
    with pytest.raises(ConfigError, match=r"lanes=5 does not divide the 72 elements of 4x3x6 int4 \[-8, 7\]"):
        tensor.stream(5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((), 0, 1), r"tensor shape \(\) must have at least one axis"),
        (((3, 0), 0, 1), r"tensor shape \(3, 0\) must have at least one axis, each of at least 1 element"),
        (((3,), 2, 1), "tensor limits lo=2, hi=1: lo must not exceed hi"),
        (((3,), 0, 1, (1.0, 2.0)), "2 scales for 3 channels: give one, or one per channel"),
        (((3,), 0, 1, 1.0, "bipolar"), r"a bipolar tensor holds -1 and \+1 only, not 0..1"),
    ],
)
def test_impossible_tensors(arguments: tuple, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Tensor(*arguments)


def test_what_carries_what() -> None:
    image = Tensor((2, 2, 3), 0, 7, 0.5)
    assert image.carries(image)
    assert image.carries(Tensor((12,), 0, 7, 0.5))
    assert not image.carries(Tensor((2, 2, 3), 0, 6, 0.5))
    assert not image.carries(Tensor((2, 2, 3), 0, 7, 0.25))
    assert not image.carries(Tensor((2, 2, 4), 0, 7, 0.5))
    assert not Tensor((3,), -1, 1).carries(Tensor((3,), -1, 1, encoding="bipolar"))
    scaled = Tensor((2, 3), 0, 7, (1.0, 2.0, 3.0))
    assert scaled.carries(scaled)
    # One scale per channel must be every element's own under another shape, too.
    assert not scaled.carries(Tensor((3, 2, 3), 0, 7, (1.0, 2.0, 3.0)))
    assert scaled.carries(Tensor((2, 1, 3), 0, 7, (1.0, 2.0, 3.0)))
    assert scaled.carries(Tensor((6,), 0, 7, (1.0, 2.0, 3.0) * 2))
    assert not scaled.carries(Tensor((3, 2), 0, 7, (1.0, 2.0)))
    assert not scaled.carries(Tensor((6,), 0, 7, 1.0))


def test_integers_are_checked() -> None:
    tensor = Tensor((3,), -2, 5)
    x = check_ints("x", np.array([[-2, 0, 5]], np.int8), tensor)
    assert x.dtype == np.int64 and x.tolist() == [[-2, 0, 5]]
    assert check_ints("x", np.zeros((0, 3), np.int64), tensor).shape == (0, 3)
    with pytest.raises(DataError, match=r"x: shape \(1, 4\) does not match \(frames, 3\)"):
        check_ints("x", np.zeros((1, 4), np.int64), tensor)
    with pytest.raises(DataError, match="x: dtype float64 where integers are expected; quantise first"):
        check_ints("x", np.zeros((1, 3)), tensor)
    with pytest.raises(DataError, match=r"x: values 0\.\.6 leave the limits -2\.\.5"):
        check_ints("x", np.array([[0, 6, 0]]), tensor)
    with pytest.raises(DataError, match=r"x: values -3\.\.0 leave the limits"):
        check_ints("x", np.array([[0, -3, 0]]), tensor)

# SPDX-License-Identifier: Apache-2.0
"""Matrix-vector unit: gates, bit planes and start values give the products, whatever the encodings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewright.ir.heap import heap
from gatewright.ir.op import Memory, as_int64
from gatewright.ir.types import IntArray, Tensor
from gatewright.ops.dense import Dense

COLS = 6


@st.composite
def sources(draw: st.DrawFn) -> Tensor:
    if draw(st.booleans()):
        return Tensor((COLS,), -1, 1, encoding="bipolar")
    lo = draw(st.integers(-9, 9))
    return Tensor((COLS,), lo, lo + draw(st.integers(0, 20)))


@st.composite
def products(draw: st.DrawFn) -> Dense:
    values = draw(st.sampled_from([[-1, 1], [-1, 0], [0, 1], [-2, -1, 0, 1], [1, 2, 5], [-7, -3, 0, 7], [-1], [0]]))
    weight = np.array(draw(st.lists(st.sampled_from(values), min_size=4 * COLS, max_size=4 * COLS)))
    pe, simd = draw(st.sampled_from([1, 2, 4])), draw(st.sampled_from([1, 2, 3, 6]))
    return Dense(draw(sources()), as_int64(weight.reshape(4, COLS)), pe=pe, simd=simd)


def memory(op: Dense, name: str) -> IntArray:
    item = op.memories()[name]
    assert isinstance(item, Memory)
    return item.words


def as_gates(op: Dense, x: IntArray) -> IntArray:
    """What the kernel computes of one vector, gate by gate from its memories: (rows,)."""
    p = op.parameters()
    nf, sf = op.rows // op.pe, op.cols // op.simd
    planes = memory(op, "weight").reshape(nf, sf, p["planes"], op.simd, op.pe)
    bits = x > 0 if p["in_bipolar"] else x
    y = memory(op, "start").astype(np.int64).copy()
    for j in range(p["in_bits"]):
        bit = (bits.astype(np.int64) >> j & 1).reshape(sf, op.simd)[None, :, :, None]
        top = bool(p["in_signed"]) and j == p["in_bits"] - 1
        for i in range(p["planes"]):
            w = planes[:, :, i]
            if p["weight_bipolar"]:
                gate = (w == bit) != top
            else:
                gate = (w & bit == 1) != (top != (bool(p["weight_signed"]) and i == p["planes"] - 1))
            y += gate.sum(axis=(1, 2)) << i + j + p["in_bipolar"]
    modulus = 1 << p["acc_bits"]
    (out,) = op.outputs
    return ((y.ravel() - out.lo) % modulus) + out.lo


@settings(max_examples=200, deadline=None)
@given(products(), st.integers(0, 1 << 30))
def test_gates_planes_and_starts_give_the_product(op: Dense, seed: int) -> None:
    rng = np.random.default_rng(seed)
    choices = [-1, 1] if op.source.encoding == "bipolar" else np.arange(op.source.lo, op.source.hi + 1)
    x = rng.choice(choices, (8, COLS))
    for row in x:
        np.testing.assert_array_equal(as_gates(op, row), op.weight @ row)
    np.testing.assert_array_equal(op.reference(x)[0], x @ op.weight.T)


def test_widths_of_stored_weights() -> None:
    def dense(*weights: int, source: Tensor | None = None) -> Dense:
        return Dense(source or Tensor((len(weights),), 0, 3), as_int64([weights]))

    assert (dense(-1, 1, 1).weight_bits, dense(-1, 1, 1).weight_bipolar) == (1, True)
    assert (dense(-2, 1, 0).weight_bits, dense(-2, 1, 0).weight_signed) == (2, True)
    assert (dense(0, 3).weight_bits, dense(0, 3).weight_signed) == (2, False)
    wide = dense(127, 3, source=Tensor((2,), 0, 255))
    assert (wide.dsp, wide.weight_bits, wide.weight_signed) == (True, 8, True)


@pytest.mark.parametrize("bits", [(1, 1), (2, 2), (4, 3), (1, 8)])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7, 18, 36, 100])
def test_a_heap_loses_no_bit(n: int, bits: tuple[int, int]) -> None:
    """A compressor of three bits removes one, of six three: LUTs and the carry chain account for every product."""
    shape = heap(n, *bits, 20)
    assert shape.cycles >= 1
    total = n * bits[0] * bits[1]
    # At best a LUT removes one bit of the heap; at worst each bit costs about two.
    assert total - 2 * 20 <= shape.first + shape.rest + shape.chain <= 2.2 * total + 20

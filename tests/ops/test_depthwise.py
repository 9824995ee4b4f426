# SPDX-License-Identifier: Apache-2.0
"""Depthwise product: against torch, its bounds against every input, its ROM against its weights, what it refuses."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional

from gatewright.errors import ConfigError
from gatewright.ir.graph import chain
from gatewright.ir.op import as_int64
from gatewright.ir.types import Tensor, bits_for
from gatewright.ops.depthwise import Depthwise
from gatewright.ops.window import Window


@pytest.mark.parametrize("multiplier", [1, 2, 3])
@pytest.mark.parametrize(("kernel", "stride", "pad"), [((3, 3), (1, 1), 1), ((2, 3), (2, 1), 0), ((1, 1), (1, 2), 0)])
def test_behind_a_window_it_is_torchs_depthwise_convolution(
    kernel: tuple[int, int], stride: tuple[int, int], pad: int, multiplier: int
) -> None:
    rng, channels = np.random.default_rng(0), 5
    window = Window(Tensor((6, 7, channels), -8, 7), *kernel, *stride, pad, pad, pad, pad)
    weight = rng.integers(-7, 8, (channels * multiplier, *kernel))
    op = Depthwise(window.outputs[0], as_int64(weight.reshape(len(weight), -1)), pe=5)
    x = rng.integers(-8, 8, (3, 6, 7, channels))
    image = torch.from_numpy(x).permute(0, 3, 1, 2)
    want = functional.conv2d(image, torch.from_numpy(weight)[:, None], None, stride, pad, groups=channels)
    (have,) = chain([window, op]).reference(x)
    np.testing.assert_array_equal(have, want.permute(0, 2, 3, 1).numpy())
    assert op.multiplier == multiplier and op.out_lanes == (5 * multiplier,)


@pytest.mark.parametrize(("lo", "hi"), [(0, 3), (-2, 1), (1, 3), (-3, -1)])
def test_bounds_are_those_of_every_input_in_every_order(lo: int, hi: int) -> None:
    weight = np.random.default_rng(5).integers(-3, 4, (2, 4))
    op = Depthwise(Tensor((8,), lo, hi), as_int64(weight))
    taps = np.array(list(itertools.product(range(lo, hi + 1), repeat=4)))
    y = op.reference(np.repeat(taps[:, :, None], 2, axis=2).reshape(-1, 8))[0]
    (bounds,) = op.bounds()
    assert (y.min(axis=0).tolist(), y.max(axis=0).tolist()) == (list(bounds.lo), list(bounds.hi))
    orders = [weight[:, list(o)] * taps[:, None, list(o)] for o in itertools.permutations(range(4))]
    partial = np.stack([np.cumsum(terms, axis=2) for terms in orders])
    least, most = min(0, int(partial.min())), max(0, int(partial.max()))
    assert (min(bounds.partial_lo, 0), max(bounds.partial_hi, 0)) == (least, most)
    assert op.acc_bits == max(bits_for(least, most), op.outputs[0].bits)


def test_the_accumulator_has_no_bit_to_spare() -> None:
    op = Depthwise(Tensor((9,), 0, 15), as_int64([[7] * 9]))
    assert (op.acc_bits, op.outputs[0].hi) == (10, 945)
    assert Depthwise(Tensor((9,), 0, 15), as_int64([[-7] * 4 + [7] * 5])).acc_bits == 11


@pytest.mark.parametrize("op", Depthwise.examples(), ids=str)
def test_the_rom_holds_the_weights_in_the_order_of_the_steps(op: Depthwise) -> None:
    words = op.memories()["weight"].words
    x = np.random.default_rng(0).integers(op.source.lo, op.source.hi + 1, (1, *op.source.shape))
    beats = x.reshape(-1, op.words, op.pe)  # a window's beats
    lanes = np.repeat(beats, op.multiplier, axis=2) * words
    sums = lanes.reshape(-1, op.taps, op.channels // op.pe, op.pe * op.multiplier).sum(axis=1)
    np.testing.assert_array_equal(sums.reshape(op.reference(x)[0].shape), op.reference(x)[0])


def test_scales_of_the_weights_are_those_of_the_filters() -> None:
    op = Depthwise(Tensor((4,), 0, 1, 0.5), as_int64([[1, 1], [1, -1]]), (2.0, 4.0))
    assert op.outputs[0].scale == (1.0, 2.0)
    assert Depthwise(Tensor((4,), 0, 1, 0.5), as_int64([[1, 1], [1, -1]]), (2.0,)).outputs[0].scale == 1.0


SOURCE = Tensor((12,), 0, 9)
BAD = [
    (SOURCE, np.ones((3, 5)), 1, r"weight shape \(3, 5\) does not fit 12 uint4 \[0, 9\]: need \(filters, taps\)"),
    (SOURCE, np.ones(3), 1, r"weight shape \(3,\) does not fit"),
    (SOURCE, np.ones((5, 4)), 1, "depthwise: 5 filters are no multiple of 3 channels"),
    (SOURCE, np.ones((3, 4)), 2, "depthwise: pe=2 does not divide 3 channels: use 1 or 3"),
    (Tensor((12,), 0, 9, (1.0,) * 12), np.ones((3, 4)), 1, "one scale per channel; sums need one scale"),
    (Tensor((12,), 0, 1 << 62), np.ones((3, 4)), 1, "depthwise: sums of 65 bits; at most 63 are possible"),
]


@pytest.mark.parametrize(("source", "weight", "pe", "message"), BAD, ids=[b[3][:20] for b in BAD])
def test_refused(source: Tensor, weight: np.ndarray, pe: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Depthwise(source, as_int64(weight), pe=pe)

# SPDX-License-Identifier: Apache-2.0
"""Convolutions in groups and over one axis: against torch, what they are lowered to, bipolar images, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from gatewright.errors import ConfigError
from gatewright.ir.graph import chain
from gatewright.ir.op import as_int64
from gatewright.ir.types import Tensor
from gatewright.ops.conv2d import Conv2d
from gatewright.ops.grouped import Grouped
from gatewright.ops.maxpool import Maxpool
from gatewright.ops.window import Window

SIDE = st.integers(1, 3)


@given(SIDE, SIDE, SIDE, st.tuples(SIDE, SIDE), st.tuples(SIDE, SIDE), st.integers(0, 1), st.integers(0, 99))
def test_groups_are_torchs(
    groups: int, inputs: int, filters: int, kernel: tuple[int, int], stride: tuple[int, int], pad: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.integers(-7, 8, (groups * filters, *kernel, inputs))
    source = Tensor((5, 6, groups * inputs), -8, 7)
    op = Conv2d(source, as_int64(weight), (1.0,), *stride, pad, pad, pad, pad, groups=groups)
    x = rng.integers(-8, 8, (2, *source.shape))
    image, taps = torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(weight).permute(0, 3, 1, 2)
    want = functional.conv2d(image, taps, None, stride, pad, groups=groups).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(op.reference(x)[0], want)
    np.testing.assert_array_equal(chain(op.lower()).reference(x)[0], want)


@given(SIDE, SIDE, SIDE, SIDE, SIDE, st.integers(0, 2), st.integers(1, 2), st.integers(0, 99))
def test_rows_are_torchs(
    groups: int, inputs: int, filters: int, kernel: int, stride: int, pad: int, dilation: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.integers(-7, 8, (groups * filters, 1, kernel, inputs))
    source = Tensor((9, groups * inputs), -8, 7)
    op = Conv2d(source, as_int64(weight), (1.0,), 1, stride, 0, pad, 0, pad, 1, dilation, groups)
    x = rng.integers(-8, 8, (2, *source.shape))
    row, taps = torch.from_numpy(x).permute(0, 2, 1), torch.from_numpy(weight[:, 0]).permute(0, 2, 1)
    want = functional.conv1d(row, taps, None, stride, pad, dilation, groups).permute(0, 2, 1).numpy()
    np.testing.assert_array_equal(op.reference(x)[0], want)
    np.testing.assert_array_equal(chain(op.lower()).reference(x)[0], want)


@pytest.mark.parametrize(
    ("groups", "inputs", "kernel", "units"),
    [
        (1, 6, 3, ["window", "dense"]),
        (6, 1, 3, ["window", "depthwise"]),
        (2, 3, 3, ["window", "grouped"]),
        (3, 2, 1, ["grouped"]),
        (6, 1, 1, ["depthwise"]),
    ],
)
def test_lowered_to_what_multiplies_no_zeros(groups: int, inputs: int, kernel: int, units: list[str]) -> None:
    weight = as_int64(np.ones((6, kernel, kernel, inputs)))
    ops = Conv2d(Tensor((5, 5, 6), 0, 3), weight, groups=groups).lower()
    assert [op.name() for op in ops] == units
    assert ops[-1].memories()["weight"].words.size == weight.size or groups == 1


def test_grouped_reference_beyond_float64() -> None:
    """Sums above 2**53 must not go through floating point."""
    big = (1 << 31) - 1
    op = Grouped(Tensor((4,), -(1 << 30), (1 << 30) - 1), as_int64([[[big, 1]], [[-big, 1]]]))
    x = np.array([[(1 << 30) - 1, 1, -(1 << 30), -1]])
    assert op.reference(x)[0].tolist() == [[((1 << 30) - 1) * big + 1, (1 << 30) * big - 1]]


@pytest.mark.parametrize("op", Grouped.examples(), ids=str)
def test_the_rom_holds_the_weights_in_the_order_of_the_steps(op: Grouped) -> None:
    words = op.memories()["weight"].words.reshape(-1, op.pe, op.simd)
    x = np.random.default_rng(0).integers(op.source.lo, op.source.hi + 1, (1, *op.source.shape))
    nf, sf = op.group_out // op.pe, op.group_in // op.simd
    beats = np.repeat(x.reshape(-1, op.words // nf, op.simd), nf, axis=1)  # every beat is held for nf steps
    sums = np.einsum("vws,wps->vwp", beats, words).reshape(-1, op.taps, op.groups, sf, nf, op.pe).sum(axis=(1, 3))
    np.testing.assert_array_equal(sums.reshape(op.reference(x)[0].shape), op.reference(x)[0])


def test_witness_of_a_group() -> None:
    for op in Grouped.examples():
        (bounds,) = op.bounds()
        for f, (least, most) in enumerate(zip(bounds.lo, bounds.hi, strict=True)):
            group = f // op.group_out
            up = np.full((op.taps, op.groups, op.group_in), op.source.lo)
            up[:, group] = np.where(op.weight[f] > 0, op.source.hi, op.source.lo)
            down = op.source.lo + op.source.hi - up
            y = op.reference(np.stack([np.broadcast_to(v.ravel(), op.source.shape) for v in (up, down)]))[0][..., f]
            assert (y[0] == most).all() and (y[1] == least).all()


BIPOLAR = Tensor((4, 4, 2), -1, 1, encoding="bipolar")


def test_bipolar_images_may_be_padded_with_a_value_that_they_have() -> None:
    window = Window(BIPOLAR, 2, 2, 1, 1, 1, 0, 0, 1, pad_value=-1)
    assert window.outputs[0].encoding == "bipolar" and window.parameters()["pad_value"] == 0
    assert Window(BIPOLAR, 2, 2, 1, 1, 1, pad_value=1).parameters()["pad_value"] == 1
    pool = Maxpool(window.outputs[0], 4)
    x = np.random.default_rng(0).choice([-1, 1], (5, 4, 4, 2))
    image = functional.pad(torch.from_numpy(x).permute(0, 3, 1, 2).double(), [0, 1, 1, 0], value=-1.0)
    want = functional.max_pool2d(image, 2, 1).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(chain([window, pool]).reference(x)[0], want)
    assert pool.outputs[0].encoding == "bipolar"


ONES = as_int64(np.ones((4, 3, 3, 2)))
BAD = [
    (
        lambda: Conv2d(Tensor((5, 5, 6), 0, 3), ONES, groups=2),
        r"conv2d: weight shape \(4, 3, 3, 2\) in groups=2 does not fit",
    ),
    (lambda: Conv2d(Tensor((5, 5, 6), 0, 3), ONES, groups=3), "with groups that divide the filters and the channels"),
    (
        lambda: Conv2d(BIPOLAR, ONES, (1.0,), 1, 1, 1, 1, 1, 1).lower(),
        "padding a bipolar image is not possible with 0, it has no zero: pad with -1 or .1, use no padding",
    ),
    (
        lambda: Window(Tensor((9, 2), 0, 1), 1, 3, pad_top=1),
        "2 rows of windows of one row .*: give it a height",
    ),
    (
        lambda: Grouped(Tensor((9,), 0, 1), as_int64(np.ones((4, 2, 2)))),
        r"shape \(4, 2, 2\) does not fit 9 uint1",
    ),
    (lambda: Grouped(Tensor((8,), 0, 1), as_int64(np.ones((3, 2, 2)))), "grouped: 2 groups do not divide 3 filters"),
    (
        lambda: Grouped(Tensor((8,), 0, 1), as_int64(np.ones((4, 2, 2))), simd=4),
        "simd=4 does not divide 2 channels: use 1 or 2",
    ),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_refused(make, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()

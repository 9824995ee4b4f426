# SPDX-License-Identifier: Apache-2.0
"""References against independent implementations: torch, exact fractions, plain counting."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from gatewright.errors import ConfigError
from gatewright.ir.op import as_int64
from gatewright.ir.types import Tensor
from gatewright.ops.conv2d import Conv2d
from gatewright.ops.dense import Dense
from gatewright.ops.global_avgpool import GlobalAvgpool
from gatewright.ops.maxpool import Maxpool
from gatewright.ops.requant import Requant, shift_round_half_even
from gatewright.ops.threshold import Threshold
from gatewright.ops.window import Window

SIDE = st.integers(1, 3)
PAD = st.integers(0, 2)


@st.composite
def geometries(draw: st.DrawFn) -> dict[str, int]:
    """Stride, padding and dilation by the fields' names."""
    pads = {f"pad_{s}": draw(PAD) for s in ("top", "left", "bottom", "right")}
    return pads | {f"{k}_{a}": draw(st.integers(1, n)) for k, n in (("stride", 3), ("dilation", 2)) for a in "hw"}


def fits(size: tuple[int, int], kernel: tuple[int, int], g: dict[str, int]) -> bool:
    padded = (size[0] + g["pad_top"] + g["pad_bottom"], size[1] + g["pad_left"] + g["pad_right"])
    return all((k - 1) * g[f"dilation_{a}"] < n for n, k, a in zip(padded, kernel, "hw", strict=True))


def padded(x: torch.Tensor, g: dict[str, int], value: float) -> torch.Tensor:
    return functional.pad(x, [g["pad_left"], g["pad_right"], g["pad_top"], g["pad_bottom"]], value=value)


def image(seed: int, shape: tuple[int, ...], lo: int, hi: int) -> tuple[np.ndarray, torch.Tensor]:
    """Frames channels last, and the same for torch."""
    x = np.random.default_rng(seed).integers(lo, hi + 1, (2, *shape))
    return x, torch.from_numpy(x).permute(0, 3, 1, 2).double()


@settings(max_examples=60)
@given(
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.tuples(SIDE, SIDE),
    geometries(),
    st.tuples(SIDE, SIDE),
    st.integers(0, 99),
)
def test_conv2d_is_torchs(size: tuple, kernel: tuple, g: dict, channels: tuple, seed: int) -> None:
    source = Tensor((*size, channels[0]), -8, 7)
    weight = np.random.default_rng(seed).integers(-7, 8, (channels[1], *kernel, channels[0]))
    if not fits(size, kernel, g):
        with pytest.raises(ConfigError, match="window: a kernel spanning .* does not fit the padded image"):
            _ = Conv2d(source, as_int64(weight), (1.0,), **g).outputs
        return
    op = Conv2d(source, as_int64(weight), (1.0,), **g)
    x, t = image(seed, source.shape, -8, 7)
    stride, dilation = (g["stride_h"], g["stride_w"]), (g["dilation_h"], g["dilation_w"])
    w = torch.from_numpy(weight).permute(0, 3, 1, 2).double()
    want = functional.conv2d(padded(t, g, 0), w, stride=stride, dilation=dilation)
    assert np.array_equal(op.reference(x)[0], want.permute(0, 2, 3, 1).numpy())


@settings(max_examples=60)
@given(st.tuples(st.integers(1, 7), st.integers(1, 7)), st.tuples(SIDE, SIDE), geometries(), SIDE, st.integers(-9, 0))
def test_window_is_torchs_unfold_and_pooling_follows(
    size: tuple, kernel: tuple, g: dict, channels: int, pad: int
) -> None:
    if not fits(size, kernel, g):
        return
    source = Tensor((*size, channels), -8, 7)
    op = Window(source, *kernel, **g, pad_value=pad)
    x, t = image(sum(size), source.shape, -8, 7)
    stride, dilation = (g["stride_h"], g["stride_w"]), (g["dilation_h"], g["dilation_w"])
    # torch gives (frames, channels * taps, windows), channels outermost.
    want = functional.unfold(padded(t, g, pad), kernel, dilation=dilation, stride=stride).numpy()
    want = want.reshape(2, channels, kernel[0] * kernel[1], op.out_height, op.out_width)
    (have,) = op.reference(x)
    assert np.array_equal(have, want.transpose(0, 3, 4, 2, 1).reshape(have.shape))
    assert have.min() >= op.outputs[0].lo and have.max() <= op.outputs[0].hi
    pool = Maxpool(op.outputs[0], kernel[0] * kernel[1])
    best = functional.max_pool2d(padded(t, g, pad), kernel, stride, dilation=dilation).permute(0, 2, 3, 1)
    assert np.array_equal(pool.reference(have)[0], best.numpy())


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
def test_global_avgpool_is_torchs_mean_times_pixels(height: int, width: int, seed: int) -> None:
    op = GlobalAvgpool(Tensor((height, width, 3), -8, 7, 0.5))
    x, t = image(seed, (height, width, 3), -8, 7)
    have = op.reference(x)[0] * op.outputs[0].scale
    np.testing.assert_allclose(
        have, 0.5 * functional.adaptive_avg_pool2d(t, 1)[..., 0, 0].numpy(), rtol=1e-12, atol=1e-12
    )


def test_dense_is_torchs_linear() -> None:
    for op in Dense.examples():
        x = np.random.default_rng(1).integers(op.source.lo, op.source.hi + 1, (3, *op.source.shape))
        want = functional.linear(torch.from_numpy(x), torch.from_numpy(op.weight.copy()))
        assert np.array_equal(op.reference(x)[0], want.numpy())


def test_dense_beyond_float64() -> None:
    """Sums above 2**53 must not go through floating point."""
    weight = as_int64([[(1 << 31) - 1, 1], [-(1 << 31) + 1, 1]])
    op = Dense(Tensor((2,), -(1 << 30), (1 << 30) - 1), weight)
    x = np.array([[(1 << 30) - 1, 1], [-(1 << 30), -1]])
    assert op.reference(x)[0].tolist() == [[int(a) * int(w[0]) + int(b) * int(w[1]) for w in weight] for a, b in x]
    with pytest.raises(
        ConfigError, match="dense: sums of 64 bits; at most 63 are possible: use narrower weights or inputs"
    ):
        Dense(Tensor((2,), -(1 << 31), (1 << 31) - 1), as_int64([[(1 << 31) - 1, (1 << 31) - 1]]))


@given(st.integers(-(1 << 55), 1 << 55), st.integers(0, 40))
def test_shift_rounds_half_to_even(x: int, shift: int) -> None:
    assert shift_round_half_even(np.array([x]), shift).tolist() == [round(Fraction(x, 1 << shift))]


@given(st.integers(-200, 200), st.integers(0, 5))
def test_shift_on_ties(x: int, shift: int) -> None:
    tie = (2 * x + 1) << shift
    assert shift_round_half_even(np.array([tie]), shift + 1).tolist() == [round(Fraction(tie, 2 << shift))]


@given(
    st.lists(st.tuples(st.integers(-300, 300), st.integers(-5000, 5000)), min_size=1, max_size=3),
    st.integers(0, 12),
    st.tuples(st.integers(-200, 200), st.integers(-200, 200)),
)
def test_requant_is_exact_for_every_input(pairs: list[tuple[int, int]], shift: int, limits: tuple[int, int]) -> None:
    lo, hi = min(limits), max(limits)
    source = Tensor((len(pairs),), -90, 70)
    op = Requant(source, as_int64([m for m, _ in pairs]), as_int64([a for _, a in pairs]), shift, lo, hi)
    x = np.arange(-90, 71)
    (y,) = op.reference(np.broadcast_to(x[:, None], (161, len(pairs))))
    for c, (mult, add) in enumerate(pairs):
        want = [min(max(round(Fraction(int(v) * mult + add, 1 << shift)), lo), hi) for v in x]
        assert y[:, c].tolist() == want
        assert (op.bounds()[0].lo[c], op.bounds()[0].hi[c]) == (min(want), max(want))
        sums = [int(v) * mult + add for v in x]
        limit = 1 << op.sum_bits - 1
        assert -limit <= min(sums) and max(sums) < limit


@given(st.lists(st.lists(st.integers(-30, 30), min_size=5, max_size=5).map(sorted), min_size=1, max_size=3), st.data())
def test_threshold_counts(table: list[list[int]], data: st.DataObject) -> None:
    falling = data.draw(st.lists(st.integers(0, 1), min_size=len(table), max_size=len(table)))
    op = Threshold(Tensor((len(table),), -20, 20), as_int64(table), as_int64(falling), -2, 3)
    x = np.arange(-20, 21)
    (y,) = op.reference(np.broadcast_to(x[:, None], (41, len(table))))
    for c, row in enumerate(table):
        counts = [sum(t <= v for t in row) for v in x]
        want = [3 - n if falling[c] else n - 2 for n in counts]
        assert y[:, c].tolist() == want
        assert (op.bounds()[0].lo[c], op.bounds()[0].hi[c]) == (min(want), max(want))


SOURCE = Tensor((2,), 0, 9)
BAD = [
    (
        lambda: Threshold(SOURCE, as_int64([[1], [2]]), as_int64([0, 0]), 0, 0),
        "outputs 0..0 need 0 thresholds a channel",
    ),
    (
        lambda: Threshold(SOURCE, as_int64(np.zeros((2, 256))), as_int64([0, 0]), 0, 256),
        "1 to 255 are possible: use requant",
    ),
    (
        lambda: Threshold(SOURCE, as_int64([[1, 2]]), as_int64([0, 0]), 0, 2),
        r"tables of shapes \(1, 2\) and \(2,\), need",
    ),
    (
        lambda: Threshold(SOURCE, as_int64([[2, 1]] * 2), as_int64([0, 0]), 0, 2),
        "the thresholds of a channel must ascend",
    ),
    (
        lambda: Requant(SOURCE, as_int64([1]), as_int64([1, 2]), 0, 0, 1),
        r"mult and add of shapes \(1,\) and \(2,\), need \(2,\)",
    ),
    (
        lambda: Requant(SOURCE, as_int64([1, 1]), as_int64([0, 0]), 63, 0, 1),
        "shift=63 with sums of 5 bits; shifts are 0 to 62",
    ),
    (
        lambda: Requant(SOURCE, as_int64([1 << 60, 1]), as_int64([0, 0]), 1, 0, 1),
        "sums of 65 bits; .* use a smaller multiplier",
    ),
    (lambda: Requant(SOURCE, as_int64([1, 1]), as_int64([0, 0]), 0, 0, 1 << 31), "outputs 0..2147483648 leave 32 bits"),
    (
        lambda: Dense(SOURCE, as_int64([[1, 2, 3]])),
        r"weight shape \(1, 3\) does not fit 2 uint4 \[0, 9\]: need \(rows, 2\)",
    ),
    (lambda: Dense(Tensor((2,), 0, 9, (1.0, 2.0)), as_int64([[1, 2]])), "one scale per channel; sums need one scale"),
    (lambda: Window(SOURCE, 1, 1), r"window: input 2 uint4 \[0, 9\] must have shape \(height, width, channels\)"),
    (lambda: Window(Tensor((3, 3, 1), 0, 1), 0, 1), "kernel_h=0 must be at least 1"),
    (lambda: Window(Tensor((3, 3, 1), 0, 1), 1, 1, pad_top=-1), "negative padding has no hardware: crop the image"),
    (lambda: Window(Tensor((3, 3, 1), 0, 1), 2, 4), "a kernel spanning 2x4 does not fit the padded image 3x3"),
    (
        lambda: Window(Tensor((3, 3, 1), -1, 1, encoding="bipolar"), 1, 1, pad_top=1),
        "padding a bipolar image is not possible",
    ),
    (lambda: Maxpool(Tensor((2, 5), 0, 1), 2), "maxpool: window=2 does not divide the 5 elements of a vector"),
    (lambda: GlobalAvgpool(SOURCE), "global_avgpool: input 2 uint4 .* needs at least one axis besides the channels"),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=lambda v: v if isinstance(v, str) else "")
def test_impossible_operators(make, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()

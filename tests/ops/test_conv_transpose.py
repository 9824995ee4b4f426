# SPDX-License-Identifier: Apache-2.0
"""Transposed convolutions: the definition against torch, exact limits, and what the phases multiply and buffer."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from gatewright.errors import ConfigError
from gatewright.ir.op import as_int64
from gatewright.ir.phases import split_axis
from gatewright.ir.types import Tensor
from gatewright.ops.conv_transpose2d import ConvTranspose2d

EXAMPLES = [pytest.param(op, id=str(i)) for i, op in enumerate(ConvTranspose2d.examples())]


def responses(op: ConvTranspose2d) -> np.ndarray:
    """What each element of the input adds to each output: (elements, outputs, channels)."""
    size = op.source.size
    (out,) = op.reference(np.eye(size, dtype=np.int64).reshape(size, *op.source.shape))
    return out.reshape(size, -1, op.outputs[0].channels)


@pytest.mark.parametrize("seed", range(20))
def test_the_definition_is_that_of_torch(seed: int) -> None:
    """Also with outputs added behind that no pixel reaches, which only a dilated kernel may have in torch."""
    rng = np.random.default_rng(seed)
    kernel, stride, dilation = (rng.integers(1, n, 2).tolist() for n in (5, 4, 4))
    size, groups, filters = rng.integers(2, 6, 2).tolist(), int(rng.integers(1, 3)), int(rng.integers(1, 4))
    pads = [int(rng.integers(0, (k - 1) * d + 1)) for k, d in zip(kernel, dilation, strict=True)]
    extra = [int(rng.integers(0, max(s, d))) for s, d in zip(stride, dilation, strict=True)]
    whole = [s * (n - 1) + (k - 1) * d + 1 + e for n, s, k, d, e in
             zip(size, stride, kernel, dilation, extra, strict=True)]  # fmt: skip
    pads = [p if w > 2 * p else 0 for p, w in zip(pads, whole, strict=True)]
    weight = rng.integers(-7, 8, (2 * groups, filters, *kernel))
    source = Tensor((*size, 2 * groups), -8, 7)
    outputs = [w - 2 * p for w, p in zip(whole, pads, strict=True)]
    taps = as_int64(np.moveaxis(weight, 1, -1))
    op = ConvTranspose2d(source, taps, *outputs, (1.0,), *stride, *pads, *dilation, groups)
    x = rng.integers(-8, 8, (3, *source.shape))
    images, kernels = torch.tensor(np.moveaxis(x, -1, 1)).double(), torch.tensor(weight).double()
    want = functional.conv_transpose2d(images, kernels, None, stride, pads, extra, groups, dilation)
    np.testing.assert_array_equal(op.reference(x)[0], np.moveaxis(want.numpy(), 1, -1))


@pytest.mark.parametrize("op", EXAMPLES)
def test_limits_are_those_that_inputs_reach(op: ConvTranspose2d) -> None:
    """Where some output of every phase reads through all of its taps, as it does in images that are large enough."""
    (bounds,), found = op.bounds(), responses(op)
    lo, hi = op.source.lo, op.source.hi
    most = np.maximum(found * lo, found * hi).sum(axis=0).max(axis=0)
    least = np.minimum(found * lo, found * hi).sum(axis=0).min(axis=0)
    assert (most <= bounds.hi).all() and (least >= bounds.lo).all()
    if min(op.source.shape[:-1]) > 1 and op.pad_top < 3:
        assert (most.tolist(), least.tolist()) == (list(bounds.hi), list(bounds.lo))


@pytest.mark.parametrize(
    ("stride", "pad", "kernel", "size", "taps", "places", "crop"),
    [
        (2, 0, 2, 16, 1, 8, 0),  # no overlap: a 1x1 convolution
        (2, 1, 3, 16, 2, 8, 0),  # doubles exactly: counted from the second phase on, nothing is cropped
        (2, 1, 4, 16, 2, 9, 1),
        (4, 0, 4, 32, 1, 8, 0),
        (3, 0, 2, 24, 1, 8, 0),  # a kernel smaller than the stride
        (1, 1, 3, 8, 3, 8, 0),
    ],
)
def test_an_axis_of_8_pixels(stride: int, pad: int, kernel: int, size: int, taps: int, places: int, crop: int) -> None:
    axis = split_axis(stride, pad, 1, kernel, size)
    assert (axis.taps, axis.places, axis.crop) == (taps, places, crop)


@settings(max_examples=200, deadline=None)
@given(*(st.integers(1, n) for n in (6, 4, 5, 12)), st.integers(0, 7))
def test_no_way_to_count_phases_is_better(stride: int, dilation: int, kernel: int, size: int, pad: int) -> None:
    axis, reach = split_axis(stride, pad, dilation, kernel, size), np.arange(kernel) * dilation
    every = []
    for shift in range(stride):
        found = np.unique((reach - shift) // stride)
        taps = len(
            range(int(found[0]), int(found[-1]) + 1, int(np.gcd.reduce(np.diff(found))) if len(found) > 1 else 1)
        )
        every.append(taps * ((pad + size - 1 - shift) // stride - (pad - shift) // stride + 1))
    assert axis.taps * axis.places == min(every)


@pytest.mark.parametrize("kernel", [2, 4, 6])
def test_no_multiplication_by_zero_where_the_stride_divides_the_kernel(kernel: int) -> None:
    weight = as_int64(np.ones((3, kernel, kernel, 5)))
    op = ConvTranspose2d(Tensor((8, 8, 3), 0, 15), weight, 16, 16, (1.0,), 2, 2, (kernel - 2) // 2, (kernel - 2) // 2)
    (product,) = [o for o in op.lower() if o.name() == "dense"]
    assert (product.weight != 0).all() and product.weight.size == weight.size  # type: ignore[attr-defined]


def test_every_tap_is_multiplied_once_a_place() -> None:
    for kernel, stride, dilation, pad in itertools.product((1, 2, 3, 5), (1, 2, 3), (1, 2), (0, 2)):
        weight = as_int64(np.arange(1, 1 + 2 * kernel * 3).reshape(2, 1, kernel, 3))
        op = ConvTranspose2d(Tensor((7, 2), 0, 3), weight, 1, 9, (1.0,), 1, stride, 0, pad, 1, dilation)
        product = next(o for o in op.lower() if o.name() == "dense")
        filters = product.weight  # type: ignore[attr-defined]
        assert sorted(filters[filters != 0].tolist()) == sorted(weight.ravel().tolist())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": 3}, r"weight shape \(2, 2, 2, 3\) in groups=3 does not fit 3x4x2 .*: need \(channels, height"),
        ({"stride_h": 0}, r"strides 0x1 and dilations 1x1 must be at least 1"),
        ({"pad_top": -1}, r"negative padding has no hardware: pad the output behind it"),
        ({"pad_top": 9}, r"the padding leaves no output that the image reaches: use less padding"),
        ({"source": Tensor((2,), 0, 1)}, r"must have shape \(height, width, channels\) or \(width, channels\)"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict, message: str) -> None:
    fields = {"source": Tensor((3, 4, 2), 0, 15), "weight": as_int64(np.ones((2, 2, 2, 3)))} | change
    with pytest.raises(ConfigError, match=f"conv_transpose2d: .*{message}"):
        ConvTranspose2d(**fields, out_height=4, out_width=5).lower()

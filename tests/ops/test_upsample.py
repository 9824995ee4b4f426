# SPDX-License-Identifier: Apache-2.0
"""Upsampling: what it refuses, its values against torch's, and when it takes its rows."""

from __future__ import annotations

import numpy as np
import pytest

from gatewright.errors import ConfigError
from gatewright.ir.types import Tensor
from gatewright.ops.upsample import Upsample


@pytest.mark.parametrize(
    ("source", "factors", "pe", "message"),
    [
        (Tensor((4, 3), 0, 3), (2, 2), 1, r"input 4x3 uint2 .* must have shape \(height, width, channels\)"),
        (Tensor((4, 4, 3), 0, 3), (0, 2), 1, "factor_h=0 and factor_w=2 must be at least 1: use a pooling layer"),
        (Tensor((4, 4, 3), 0, 3), (2, 2), 2, "pe=2 does not divide 3 channels: use 1 or 3"),
    ],
)
def test_what_does_not_fit_is_refused(source: Tensor, factors: tuple[int, int], pe: int, message: str) -> None:
    with pytest.raises(ConfigError, match=f"upsample: {message}"):
        Upsample(source, *factors, pe)


@pytest.mark.parametrize("factors", [(1, 1), (2, 2), (3, 1), (1, 4)])
def test_values_are_those_of_torch(factors: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).integers(-8, 8, (5, 3, 4, 2))
    image = torch.tensor(np.moveaxis(x, -1, 1), dtype=torch.float64)
    want = torch.nn.functional.interpolate(image, scale_factor=factors, mode="nearest").numpy()
    (have,) = Upsample(Tensor((3, 4, 2), -8, 7), *factors).reference(x)
    np.testing.assert_array_equal(np.moveaxis(have, -1, 1), want)


def test_every_row_is_taken_once_and_read_as_often_as_it_is_given() -> None:
    schedule = Upsample(Tensor((2, 2, 2), 0, 3), 2, 2, 2).schedule()
    assert schedule.need[0].tolist() == [1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 4, 4, 4, 4, 4, 4]
    # A row has its place once the row before the last one is finished: the first from the start of the frame before.
    assert schedule.after[0] is not None and schedule.after[0].tolist() == [-8, -8, 0, 0]


def test_scale_and_encoding_pass() -> None:
    source = Tensor((2, 2, 2), -1, 1, 0.25, "bipolar")
    assert Upsample(source, 3, 1).outputs == (Tensor((6, 2, 2), -1, 1, 0.25, "bipolar"),)
    each = Tensor((2, 2, 2), 0, 1, (0.5, 1.0))
    assert Upsample(each, 1, 2).outputs[0].scale == (0.5, 1.0)

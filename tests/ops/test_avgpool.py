# SPDX-License-Identifier: Apache-2.0
"""Average over windows: against torch, with one scale and one a channel, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from gatewright.errors import ConfigError
from gatewright.ir.graph import chain
from gatewright.ir.types import Tensor
from gatewright.ops.avgpool import Avgpool
from gatewright.ops.window import Window


@pytest.mark.parametrize("scale", [0.5, (0.5, 0.25, 2.0)])
@pytest.mark.parametrize(("kernel", "stride", "pad"), [((3, 3), (2, 2), 1), ((2, 3), (1, 1), 0), ((2, 2), (2, 2), 0)])
def test_behind_a_window_it_is_torchs_average(
    kernel: tuple[int, int], stride: tuple[int, int], pad: int, scale: float | tuple[float, ...]
) -> None:
    window = Window(Tensor((7, 6, 3), -8, 7, scale), *kernel, *stride, pad, pad, pad, pad)
    op = Avgpool(window.outputs[0], kernel[0] * kernel[1], pe=3)
    x = np.random.default_rng(0).integers(-8, 8, (3, 7, 6, 3))
    image = torch.from_numpy(x * np.asarray(scale)).permute(0, 3, 1, 2)
    want = functional.avg_pool2d(image, kernel, stride, pad, count_include_pad=True).permute(0, 2, 3, 1).numpy()
    have = chain([window, op]).reference(x)[0] * np.asarray(op.outputs[0].scale)
    np.testing.assert_allclose(have, want, rtol=1e-12, atol=1e-12)


def test_of_a_row() -> None:
    window = Window(Tensor((9, 2), 0, 15), 1, 4, 1, 2, 0, 1, 0, 0)
    op = Avgpool(window.outputs[0], 4)
    x = np.random.default_rng(0).integers(0, 16, (3, 9, 2))
    row = functional.pad(torch.from_numpy(x).permute(0, 2, 1).double(), [1, 0])
    want = functional.avg_pool1d(row, 4, 2).permute(0, 2, 1).numpy()
    assert window.outputs[0].shape == (4, 8) and op.outputs[0].shape == (4, 2)
    np.testing.assert_array_equal(chain([window, op]).reference(x)[0] / 4, want)


@pytest.mark.parametrize(
    ("window", "pe", "message"),
    [
        (4, 1, "avgpool: window=4 does not divide the 6 elements of a vector"),
        (0, 1, "avgpool: window=0 does not divide"),
        (2, 2, "avgpool: pe=2 does not divide 3 channels: use 1 or 3"),
    ],
)
def test_refused(window: int, pe: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Avgpool(Tensor((5, 6), 0, 1), window, pe)

# SPDX-License-Identifier: Apache-2.0
"""Modules whose inputs share a scale, and upsampling."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gatewright.errors import ConfigError, DataError
from gatewright.nn import QuantAdd, QuantConcat, QuantIdentity, QuantUpsample
from gatewright.train import calibrate


def test_addends_share_one_scale():
    add = QuantAdd(4, max_value=7.0)
    a, b = torch.tensor([[1.4, -20.0]]), torch.tensor([[2.6, 3.0]])
    assert add(a, b).tolist() == [[4.0, -5.0]]
    assert add(a, b, b).tolist() == [[7.0, -2.0]]
    assert len(list(add.parameters())) == 1


def test_concatenation_is_along_the_channels():
    concat = QuantConcat(2, max_value=3.0)
    joined = concat(torch.full((2, 1, 4), 1.2), torch.full((2, 3, 4), 9.0))
    assert joined.shape == (2, 4, 4)
    assert joined[0, :, 0].tolist() == [1, 3, 3, 3]


@pytest.mark.parametrize("kind", [QuantAdd, QuantConcat])
def test_calibration_sees_all_inputs(kind):
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.join = kind(8, signed=True, percentile=100)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.join(x, 3 * x)

    model = Model()
    calibrate(model, torch.linspace(0, 1, 40).view(10, 4).numpy())
    assert model.join.quantizer.scale().item() * 127 == pytest.approx(3.0)


@pytest.mark.parametrize("kind", [QuantAdd, QuantConcat])
def test_one_input_is_no_join(kind):
    with pytest.raises(DataError, match=rf"{kind.__name__} got 1 inputs: pass two or more tensors"):
        kind(4, max_value=1.0)(torch.zeros(1, 2))
    with pytest.raises(ConfigError, match="bits=9 is no activation width"):
        kind(9)


def test_upsampling_keeps_the_integers():
    up, quantizer = QuantUpsample(3), QuantIdentity(4, True, max_value=1.0)
    x = quantizer(torch.randn(2, 3, 4, 5))
    assert torch.equal(up(x), x.repeat_interleave(3, 2).repeat_interleave(3, 3))
    assert torch.equal(up(x[..., 0]), x[..., 0].repeat_interleave(3, 2))


@pytest.mark.parametrize("factor", [1, 0, 1.5, 2.0, True, "2", (2, 2), None])
def test_upsampling_takes_integer_factors_only(factor):
    with pytest.raises(ConfigError, match="scale_factor=.* must be an integer, 2 or more"):
        QuantUpsample(factor)

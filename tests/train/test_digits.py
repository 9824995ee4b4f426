# SPDX-License-Identifier: Apache-2.0
"""The demonstration recipe: what is built, that it learns, and (slow) what accuracy it reaches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gatewright.nn import QuantConv2d, QuantWeightMixin
from gatewright.train.digits import DigitsNet, train_digits


def test_a_short_run_learns_and_repeats():
    first, second = (train_digits(seed=3, float_epochs=3, quant_epochs=3) for _ in range(2))
    assert first.float_accuracy > 0.85
    assert first.quant_accuracy > 0.85
    for key, value in first.quant_model.state_dict().items():
        assert torch.equal(value, second.quant_model.state_dict()[key])
    assert not first.quant_model.training


def test_every_layer_is_bounded_by_fourteen_bits():
    model = DigitsNet(quantized=True)
    layers = [module for module in model.modules() if isinstance(module, QuantWeightMixin)]
    assert len(layers) == 4
    for layer in layers:
        weight, _ = layer.integer_weight()
        greatest = 15 if isinstance(layer, QuantConv2d) else 255
        for channel in weight.reshape(len(weight), -1).tolist():
            positive, negative = (sum(w for w in channel if w > 0), -sum(w for w in channel if w < 0))
            assert max(positive, negative) * greatest <= 2**13 - 1


def test_float_and_quantised_networks_share_their_parameter_names():
    float_names = set(DigitsNet(quantized=False).state_dict())
    quant_names = set(DigitsNet(quantized=True).state_dict())
    assert float_names < quant_names
    assert {name.rpartition(".")[2] for name in quant_names - float_names} == {
        "log2_scale",
        "log2_norm",
        "calibrated",
    }


def test_pixels_pass_the_input_quantiser_unchanged():
    model = DigitsNet(quantized=True)
    sixteenths = torch.arange(16).view(1, 1, 4, 4) / 16
    assert torch.equal(model.input(sixteenths), sixteenths)
    assert not model.input.log2_scale.requires_grad


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_quantised_is_within_a_point_of_float(seed):
    result = train_digits(seed)
    assert result.float_accuracy >= 0.97
    assert result.quant_accuracy >= result.float_accuracy - 0.01
    worst = [
        np.abs(layer.integer_weight()[0]).max()
        for layer in result.quant_model.modules()
        if isinstance(layer, QuantConv2d)
    ]
    assert all(1 <= value <= 7 for value in worst)

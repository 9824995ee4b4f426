# SPDX-License-Identifier: Apache-2.0
"""Quantised layers: values, integer weights, drop-in behaviour, start from a float model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from gatewright.errors import ConfigError, ModelError
from gatewright.nn import QuantConv2d, QuantLinear, QuantReLU, WeightQuant, ep_init, load_float

QUANTS = [
    WeightQuant(bits=4),
    WeightQuant(bits=8),
    WeightQuant(bits=4, kind="a2q", accumulator_bits=12),
    WeightQuant(bits=4, kind="a2q+", accumulator_bits=12),
]


@pytest.mark.parametrize("quant", QUANTS, ids=lambda quant: f"{quant.kind}-{quant.bits}")
def test_integer_weights_are_the_weights_of_the_forward_pass(quant):
    layer = QuantConv2d(6, 8, 3, weight_quant=quant, input_bits=4, stride=2, padding=1, dilation=2, groups=2)
    integers, scale = layer.integer_weight()
    assert integers.dtype == np.int64
    assert integers.shape == (8, 3, 3, 3)
    assert scale.dtype == np.float64
    assert scale.shape == (8,)
    assert 0 < np.abs(integers).max() <= 2 ** (quant.bits - 1) - 1
    weight = torch.from_numpy((integers * scale[:, None, None, None]).astype(np.float32))
    x = torch.rand(2, 6, 9, 9)
    expected = functional.conv2d(x, weight, layer.bias, stride=2, padding=1, dilation=2, groups=2)
    torch.testing.assert_close(layer(x), expected)


def test_symmetric_weights_round_to_the_nearest_even():
    layer = QuantLinear(5, 1, weight_quant=WeightQuant(bits=3), input_bits=4)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 0.5, 1.5, -2.5, -3.6]]))
        layer.weight_quantizer.log2_scale.zero_()
    integers, scale = layer.integer_weight()
    assert integers.tolist() == [[3, 0, 2, -2, -3]]
    assert scale.tolist() == [1.0]


def test_symmetric_scale_starts_from_the_greatest_weight():
    layer = QuantLinear(9, 4, weight_quant=WeightQuant(bits=4), input_bits=4)
    integers, scale = layer.integer_weight()
    np.testing.assert_allclose(scale * 7, np.abs(layer.weight.detach().numpy()).max(axis=1), rtol=1e-6)
    assert (np.abs(integers).max(axis=1) == 7).all()


def test_a_dead_channel_has_zero_weights_and_finite_gradients():
    for quant in QUANTS:
        layer = QuantLinear(4, 2, weight_quant=quant, input_bits=4)
        with torch.no_grad():
            layer.weight[0] = 0
        layer.weight_quantizer.initialize(layer.weight)
        layer(torch.ones(1, 4)).sum().backward()
        assert (layer.integer_weight()[0][0] == 0).all()
        assert all(torch.isfinite(p.grad).all() for p in layer.parameters())


def test_layers_stand_where_torch_layers_stand():
    linear = QuantLinear(3, 2, weight_quant=WeightQuant(), input_bits=4)
    conv = QuantConv2d(3, 2, 3, weight_quant=WeightQuant(), input_bits=4)
    assert isinstance(linear, nn.Linear)
    assert isinstance(conv, nn.Conv2d)
    with pytest.raises(ConfigError, match="padding_mode='reflect' has no hardware: use 'zeros'"):
        QuantConv2d(3, 2, 3, weight_quant=WeightQuant(), input_bits=4, padding_mode="reflect")
    with pytest.raises(ConfigError, match="input_bits=9 is no activation width: use 1 to 8 bits"):
        QuantLinear(3, 2, weight_quant=WeightQuant(), input_bits=9)
    with pytest.raises(ConfigError, match="input_bits=True is no activation width: use 1 to 8 bits, an integer"):
        QuantConv2d(3, 2, 3, weight_quant=WeightQuant(), input_bits=True)


@pytest.mark.parametrize("quant", [None, 4])
def test_weights_need_a_weight_quant(quant):
    with pytest.raises(ConfigError, match=rf"weight_quant={quant} is no WeightQuant: give .*WeightQuant\(bits=4\)"):
        QuantLinear(3, 2, weight_quant=quant, input_bits=4)


def quant_model() -> nn.Sequential:
    quant = WeightQuant(bits=4, kind="a2q+", accumulator_bits=10)
    return nn.Sequential(
        QuantLinear(100, 8, weight_quant=quant, input_bits=4),
        QuantReLU(4),
        QuantLinear(8, 3, weight_quant=quant, input_bits=4),
    )


def test_load_float_starts_scale_and_norm_from_the_checkpoint():
    float_model, model = nn.Sequential(nn.Linear(100, 8), nn.ReLU(), nn.Linear(8, 3)), quant_model()
    load_float(model, float_model.state_dict())
    for mine, theirs in ((model[0], float_model[0]), (model[2], float_model[2])):
        assert torch.equal(mine.weight, theirs.weight)
        torch.testing.assert_close(mine.weight_quantizer.scale() * 7, theirs.weight.abs().amax(1))
        torch.testing.assert_close(mine.weight_quantizer.norm(), theirs.weight.abs().sum(1))


def test_ep_init_brings_every_layer_under_its_cap():
    model = quant_model()
    with torch.no_grad():
        model[0].weight.mul_(10)
    model[0].weight_quantizer.initialize(model[0].weight)
    ep_init(model)
    quantizer = model[0].weight_quantizer
    assert quantizer.penalty().item() == pytest.approx(0, abs=1e-3)
    assert (model[0].weight.abs().sum(1) <= quantizer.scale() * quantizer.cap() * (1 + 1e-5)).all()


def test_load_float_names_what_does_not_fit():
    with pytest.raises(ModelError, match=r"missing \['2.weight', '2.bias'\], unexpected \['3.weight', '3.bias'\]"):
        load_float(quant_model(), nn.Sequential(nn.Linear(100, 8), nn.ReLU(), nn.ReLU(), nn.Linear(8, 3)).state_dict())
    with pytest.raises(ModelError, match=r"(?s)does not fit .*size mismatch for 0.weight"):
        load_float(quant_model(), nn.Sequential(nn.Linear(50, 8), nn.ReLU(), nn.Linear(8, 3)).state_dict())

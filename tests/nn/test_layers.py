# SPDX-License-Identifier: Apache-2.0
"""Quantised layers: values, integer weights, drop-in behaviour, start from a float model."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from gatewright.errors import ConfigError, ModelError
from gatewright.nn import (
    QuantConv1d,
    QuantConv2d,
    QuantIdentity,
    QuantLinear,
    QuantReLU,
    WeightQuant,
    ep_init,
    load_float,
)

QUANTS = [
    WeightQuant(bits=4),
    WeightQuant(bits=8),
    WeightQuant(bits=4, kind="a2q", accumulator_bits=12),
    WeightQuant(bits=4, kind="a2q+", accumulator_bits=12),
    WeightQuant(bits=4, kind="a2q+", accumulator_bits=12, per_channel=False),
    WeightQuant(bits=4, narrow=False, scale="stats"),
    WeightQuant(bits=4, per_channel=False, power_of_two=True),
    WeightQuant(bits=4, scale=0.05),
    WeightQuant(bits=2, kind="ternary"),
    WeightQuant(bits=2, kind="ternary", scale="stats"),
    WeightQuant(bits=1, kind="bipolar"),
    WeightQuant(bits=1, kind="bipolar", scale="stats", per_channel=False),
]


@pytest.mark.parametrize("quant", QUANTS, ids=str)
def test_integer_weights_are_the_weights_of_the_forward_pass(quant):
    layer = QuantConv2d(6, 8, 3, weight_quant=quant, input_bits=4, stride=2, padding=1, dilation=2, groups=2)
    integers, scale = layer.integer_weight()
    assert integers.dtype == np.int64
    assert integers.shape == (8, 3, 3, 3)
    assert scale.dtype == np.float64
    assert scale.shape == (8,)
    assert 0 < np.abs(integers).max() <= max(1, 2 ** (quant.bits - 1) - quant.narrow)
    weight = torch.from_numpy((integers * scale[:, None, None, None]).astype(np.float32))
    x = torch.rand(2, 6, 9, 9)
    expected = functional.conv2d(x, weight, layer.bias, stride=2, padding=1, dilation=2, groups=2)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("quant", QUANTS, ids=str)
@pytest.mark.parametrize(
    ("quantised", "plain", "arguments", "options", "shape"),
    [
        (QuantLinear, nn.Linear, (6, 4), {"bias": False}, (6,)),
        (QuantConv1d, nn.Conv1d, (6, 4, 3), {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}, (6, 11)),
        (QuantConv1d, nn.Conv1d, (6, 6, 3), {"groups": 6, "padding": "same", "bias": False}, (6, 11)),
        (QuantConv2d, nn.Conv2d, (6, 4, (3, 1)), {"stride": (2, 1), "padding": (1, 0), "groups": 2}, (6, 9, 9)),
        (QuantConv2d, nn.Conv2d, (6, 12, 3), {"groups": 6, "dilation": 2}, (6, 9, 9)),
    ],
)
def test_layers_replace_those_of_torch(quant, quantised, plain, arguments, options, shape):
    """A float state dict loads, and the layer is the float one with weights on the grid."""
    torch.manual_seed(0)
    float_layer = plain(*arguments, **options)
    layer = quantised(*arguments, weight_quant=quant, input_bits=4, **options)
    load_float(layer, float_layer.state_dict())
    assert isinstance(layer, plain)
    assert torch.equal(layer.weight, float_layer.weight)
    integers, scale = layer.integer_weight()
    with torch.no_grad():
        float_layer.weight.copy_(torch.from_numpy(integers * scale.reshape(-1, *[1] * (integers.ndim - 1))))
    x = torch.rand(3, *shape)
    torch.testing.assert_close(layer(x), float_layer(x))
    layer(x).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in layer.parameters())


@pytest.mark.parametrize("quant", QUANTS, ids=str)
def test_memory_format_changes_nothing(quant):
    torch.manual_seed(0)
    plain = QuantConv2d(6, 8, 3, weight_quant=quant, input_bits=4)
    turned = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    assert not turned.weight.is_contiguous()
    x, direction = torch.rand(2, 6, 9, 9), torch.randn(2, 8, 7, 7)
    for layer in (plain, turned):
        layer(x).backward(direction)
    for mine, theirs in zip(plain.parameters(), turned.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("quant", QUANTS, ids=str)
def test_mixed_precision_trains(quant):
    """Under autocast activations are bfloat16, and parameters and their gradients stay float32."""
    torch.manual_seed(0)
    first = QuantConv2d(3, 8, 3, weight_quant=quant, input_bits=4, input_signed=True)
    second = QuantConv2d(8, 4, 3, weight_quant=quant, input_bits=4)
    model = nn.Sequential(QuantIdentity(4, True, max_value=2.0), first, QuantReLU(4, max_value=1.0), second)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(torch.randn(4, 3, 9, 9))
    assert output.dtype == torch.bfloat16
    output.float().square().sum().backward()
    for parameter in model.parameters():
        assert parameter.grad.dtype == torch.float32
        assert torch.isfinite(parameter.grad).all()
    assert all(p.grad.any() for p in (first.weight, second.weight, model[0].log2_scale, model[2].log2_scale))


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
        assert (layer.integer_weight()[0][0] == (1 if quant.kind == "bipolar" else 0)).all()
        assert all(torch.isfinite(p.grad).all() for p in layer.parameters())


def test_layers_stand_where_torch_layers_stand():
    linear = QuantLinear(3, 2, weight_quant=WeightQuant(), input_bits=4)
    conv = QuantConv2d(3, 2, 3, weight_quant=WeightQuant(), input_bits=4)
    assert isinstance(linear, nn.Linear)
    assert isinstance(conv, nn.Conv2d)
    with pytest.raises(ConfigError, match="padding_mode='reflect' has no hardware: use 'zeros'"):
        QuantConv2d(3, 2, 3, weight_quant=WeightQuant(), input_bits=4, padding_mode="reflect")
    with pytest.raises(ConfigError, match="padding_mode='circular' has no hardware: use 'zeros'"):
        QuantConv1d(3, 2, 3, weight_quant=WeightQuant(), input_bits=4, padding_mode="circular")
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

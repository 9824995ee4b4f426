# SPDX-License-Identifier: Apache-2.0
"""Activation quantisers: values, gradients, calibration, errors."""

from __future__ import annotations

import math

import pytest
import torch

from gatewright.errors import ConfigError, DataError, ModelError
from gatewright.nn import QuantIdentity, QuantReLU


@pytest.mark.parametrize(
    ("signed", "expected"),
    [(True, [-8, -8, -2, -2, 0, 0, 2, 2, 7, 7]), (False, [0, 0, 0, 0, 0, 0, 2, 2, 8, 15])],
)
def test_rounds_half_to_even_and_clips(signed, expected):
    quantizer = QuantIdentity(4, signed, max_value=7.0 if signed else 15.0)
    x = torch.tensor([-1e9, -8.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 7.5, 1e9])
    assert quantizer(x).tolist() == expected


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("signed", [False, True])
def test_every_code_comes_out_and_is_kept(bits, signed):
    quantizer = QuantIdentity(bits, signed, max_value=1.0)
    low, high = quantizer.limits()
    codes = torch.tensor([-1.0, 1.0]) if (low, high) == (-1, 1) else torch.arange(low, high + 1).float()
    values = codes * quantizer.scale()
    assert torch.equal(quantizer(values), values)
    assert len(quantizer(torch.linspace(-2, 2, 10001)).unique()) == 2**bits


def test_bipolar_gives_the_sign_and_zero_is_positive():
    quantizer = QuantIdentity(1, True, max_value=0.5)
    x = torch.tensor([-3.0, -0.1, 0.0, 0.1, 3.0], requires_grad=True)
    y = quantizer(x)
    assert y.tolist() == [-0.5, -0.5, 0.5, 0.5, 0.5]
    y.sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


def test_relu_is_unsigned():
    quantizer = QuantReLU(2, max_value=3.0)
    assert quantizer(torch.tensor([-5.0, 0.4, 1.6, 9.0])).tolist() == [0, 0, 2, 3]


def test_power_of_two_scale_stays_one():
    quantizer = QuantIdentity(4, False, power_of_two=True, max_value=1.0)
    assert quantizer.scale().item() == 1 / 16
    with torch.no_grad():
        quantizer.log2_scale.add_(0.3)
    assert math.log2(quantizer.scale().item()).is_integer()
    sixteenths = torch.arange(16) / 16
    assert torch.equal(quantizer(sixteenths), sixteenths)


def test_scale_gradient_is_that_of_lsq():
    """LSQ (Esser et al., ICLR 2020), eq. 3: round(x/s) - x/s inside, the limit outside, over sqrt(n * Qp)."""
    quantizer = QuantIdentity(3, True, max_value=3 * 0.7)
    x = torch.tensor([[-9.0, -1.0, 0.3, 0.9, 1.5, 9.0]], requires_grad=True)
    quantizer(x).sum().backward()
    scale = quantizer.scale().item()
    inside = sum(round(v / scale) - v / scale for v in (-1.0, 0.3, 0.9, 1.5))
    step = (inside - 4 + 3) / math.sqrt(6 * 3)
    assert quantizer.log2_scale.grad.item() == pytest.approx(step * scale * math.log(2), rel=1e-4)
    assert x.grad.tolist() == [[0, 1, 1, 1, 1, 0]]


def test_observation_keeps_the_widest_percentile():
    quantizer = QuantIdentity(8, False, percentile=50)
    quantizer.observing = True
    for batch in ([1.0, 2.0, 3.0, 100.0], [-50.0, 0.5, 0.6, 0.7]):
        x = torch.tensor(batch)
        assert quantizer(x) is x
    assert quantizer.scale().item() * 255 == pytest.approx(2.0)


def test_without_a_scale_it_says_what_to_do():
    with pytest.raises(ModelError, match=r"QuantReLU\(bits=4, signed=False\) has no scale yet: run .*calibrate"):
        QuantReLU(4)(torch.ones(1, 2))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_gives_no_scale(value):
    quantizer = QuantIdentity(4, True)
    with pytest.raises(DataError, match=r"QuantIdentity\(bits=4, signed=True\) saw 1 NaN or infinite of 3 .* remove"):
        quantizer.observe(torch.tensor([1.0, value, 2.0]))
    assert not bool(quantizer.calibrated)


def test_calibrated_scale_survives_the_state_dict():
    trained, fresh = QuantReLU(4, max_value=2.5), QuantReLU(4)
    fresh.load_state_dict(trained.state_dict())
    x = torch.linspace(-1, 4, 50)
    assert torch.equal(fresh(x), trained(x))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bits": 0}, "bits=0 is no activation width: use 1 to 8 bits"),
        ({"bits": 9}, "bits=9 is no activation width"),
        ({"bits": 4.5}, "bits=4.5 is no activation width: use 1 to 8 bits, an integer"),
        ({"bits": "4"}, "bits='4' is no activation width"),
        ({"bits": True}, "bits=True is no activation width"),
        ({"bits": None}, "bits=None is no activation width"),
        ({"bits": 4, "percentile": 0}, r"percentile=0 must lie in \(0, 100\]"),
        ({"bits": 4, "max_value": -1.0}, r"max_value=-1.0 must be positive"),
        ({"bits": 4, "max_value": "1"}, r"max_value='1' must be positive and finite"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        QuantReLU(**settings)


@pytest.mark.parametrize(("bits", "signed"), [(1, True), (4, False), (1, False)])
def test_narrow_is_for_signed_ranges(bits, signed):
    with pytest.raises(ConfigError, match=rf"narrow=True with bits={bits}, signed={signed}: only signed ranges"):
        QuantIdentity(bits, signed, narrow=True)


def test_narrow_range_is_symmetric():
    quantizer = QuantIdentity(3, True, narrow=True, max_value=3.0)
    assert quantizer.limits() == (-3, 3)
    assert quantizer(torch.tensor([-9.0, -3.4, 9.0])).tolist() == [-3, -3, 3]


def test_two_narrow_bits_are_ternary_not_bipolar():
    quantizer = QuantIdentity(2, True, narrow=True, max_value=1.0)
    assert quantizer(torch.tensor([-3.0, -0.4, 0.0, 0.6])).tolist() == [-1, 0, 0, 1]


def test_a_frozen_scale_has_no_gradient_and_passes_that_of_the_input():
    quantizer = QuantReLU(4, learned=False, max_value=3.0)
    x = torch.tensor([-1.0, 0.0, 0.1, 2.0, 9.0], requires_grad=True)
    quantizer(x).sum().backward()
    assert quantizer.log2_scale.grad is None
    assert x.grad.tolist() == [0, 0, 1, 1, 0]


def test_lost_calibration_is_noticed():
    quantizer = QuantReLU(4, max_value=3.0)
    quantizer(torch.ones(1, 2))
    quantizer.load_state_dict(QuantReLU(4).state_dict())
    with pytest.raises(ModelError, match="has no scale yet"):
        quantizer(torch.ones(1, 2))
    quantizer = QuantReLU(4, max_value=3.0)
    quantizer(torch.ones(1, 2))
    quantizer.calibrated.fill_(False)
    with pytest.raises(ModelError, match="has no scale yet"):
        quantizer.eval()(torch.ones(1, 2))


def compare_with_brevitas(quantizer, module, exponent, shift):
    """Values bit for bit and gradients, at the exponent of ours; ours divides the scale's by sqrt(n * Qp)."""
    x = torch.randn(16, 50, generator=torch.Generator().manual_seed(2)) * 3
    module.train()
    module(x)
    module(x)
    parameter = next(p for name, p in module.named_parameters() if name.endswith("value"))
    with torch.no_grad():
        quantizer.log2_scale.fill_(exponent)
        parameter.fill_(exponent + shift)
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    actual, expected = quantizer(mine), module(theirs)
    assert torch.equal(actual, expected)
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    actual.backward(direction)
    expected.backward(direction)
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-6, atol=0)
    factor = math.sqrt(50 * quantizer.limits()[1])
    torch.testing.assert_close(quantizer.log2_scale.grad * factor, parameter.grad.view(()), rtol=1e-5, atol=1e-4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_signed_activations_equal_those_of_brevitas(bits):
    import brevitas.nn
    from brevitas.quant import Int8ActPerTensorFloat

    module = brevitas.nn.QuantIdentity(
        act_quant=Int8ActPerTensorFloat, bit_width=bits, restrict_scaling_type="log_fp", collect_stats_steps=1
    )
    compare_with_brevitas(QuantIdentity(bits, True, max_value=1.0), module, -2.75, bits - 1)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("bits", [1, 4, 8])
def test_power_of_two_relus_equal_those_of_brevitas(bits):
    import brevitas.nn
    from brevitas.quant import Uint8ActPerTensorFixedPoint

    module = brevitas.nn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, bit_width=bits, collect_stats_steps=1)
    compare_with_brevitas(QuantReLU(bits, power_of_two=True, max_value=1.0), module, -3.0, bits)


@pytest.mark.filterwarnings("ignore")
def test_bipolar_activations_equal_those_of_brevitas():
    from brevitas.core.quant import ClampedBinaryQuant
    from brevitas.core.scaling import ConstScaling

    x = torch.cat([torch.randn(200), torch.tensor([0.0, -0.0, 1.0, -1.0])])
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    actual, expected = QuantIdentity(1, True, max_value=1.0)(mine), ClampedBinaryQuant(ConstScaling(1.0))(theirs)[0]
    assert torch.equal(actual, expected)
    actual.sum().backward()
    expected.sum().backward()
    assert torch.equal(mine.grad, theirs.grad)

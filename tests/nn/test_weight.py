# SPDX-License-Identifier: Apache-2.0
"""Weight quantisers without an accumulator bound: values, scales, and equality with Brevitas."""

from __future__ import annotations

import math

import pytest
import torch

from gatewright.errors import ConfigError
from gatewright.nn import BipolarWeightQuant, SymmetricWeightQuant, TernaryWeightQuant, WeightQuantizer


def random_weights(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("narrow", [True, False])
@pytest.mark.parametrize("scale", ["learned", "stats", 0.02])
@pytest.mark.parametrize("per_channel", [True, False])
def test_integers_use_the_limits_and_are_those_of_the_forward_pass(bits, narrow, scale, per_channel):
    weight = random_weights(5, 300)
    quantizer = SymmetricWeightQuant(weight, bits, narrow=narrow, scale=scale, per_channel=per_channel)
    low, high = quantizer.limits()
    assert (low, high) == (-(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1)
    integers, scales = quantizer.integers(weight), quantizer.scale(weight)
    assert integers.min() >= low
    assert integers.max() <= high
    assert integers.abs().max() >= high
    assert scales.shape == ((5,) if per_channel and isinstance(scale, str) else (1,))
    assert torch.equal(quantizer(weight), integers * scales[:, None])
    if isinstance(scale, float):
        assert scales.item() == pytest.approx(scale)
        assert not list(quantizer.parameters())


def test_full_range_reaches_its_least_integer():
    weight = torch.tensor([[-1.0, 0.5, 1.0]])
    assert SymmetricWeightQuant(weight, 3, narrow=False).integers(weight).tolist() == [[-4, 2, 3]]
    assert SymmetricWeightQuant(weight, 3).integers(weight).tolist() == [[-3, 2, 3]]


@pytest.mark.parametrize("kind", [SymmetricWeightQuant, TernaryWeightQuant, BipolarWeightQuant])
@pytest.mark.parametrize("scale", ["learned", "stats"])
def test_powers_of_two(kind, scale):
    weight = random_weights(20, 40)
    bits = {"bits": 5} if kind is SymmetricWeightQuant else {}
    quantizer = kind(weight, scale=scale, power_of_two=True, **bits)
    free = kind(weight, scale=scale, **bits).scale(weight)
    steps = (quantizer.scale(weight).log2() - free.log2()).detach()
    assert all(math.log2(s).is_integer() for s in quantizer.scale(weight).tolist())
    low, high = (0, 1) if kind is SymmetricWeightQuant and scale == "stats" else (-0.5, 0.5)
    assert steps.min() >= low
    assert steps.max() <= high
    assert steps.max() > 0.1
    assert torch.equal(quantizer(weight), quantizer.integers(weight) * quantizer.scale(weight)[:, None])


@pytest.mark.parametrize("per_channel", [True, False])
def test_ternary_weights_have_the_threshold_of_their_paper(per_channel):
    weight = random_weights(6, 500)
    quantizer = TernaryWeightQuant(weight, scale="stats", per_channel=per_channel)
    mean = weight.abs().mean(1, keepdim=True) if per_channel else weight.abs().mean()
    expected = torch.sign(weight) * (weight.abs() > 0.7 * mean)
    assert torch.equal(quantizer.integers(weight), expected)
    assert torch.equal(TernaryWeightQuant(weight, per_channel=per_channel).integers(weight), expected)
    assert (quantizer.bits, quantizer.limits()) == (2, (-1, 1))


@pytest.mark.parametrize("per_channel", [True, False])
def test_bipolar_weights_are_signs_scaled_by_the_mean_magnitude(per_channel):
    weight = random_weights(6, 500)
    weight[0, 0] = 0
    quantizer = BipolarWeightQuant(weight, scale="stats", per_channel=per_channel)
    mean = weight.abs().mean(1, keepdim=True) if per_channel else weight.abs().mean()
    assert quantizer.integers(weight)[0, 0] == 1
    assert torch.equal(quantizer.integers(weight), torch.where(weight >= 0, 1.0, -1.0))
    torch.testing.assert_close(quantizer(weight), torch.where(weight >= 0, mean, -mean))


def test_bipolar_gradient_includes_that_of_the_mean():
    """XNOR-Net: through the sign where |w| <= 1, and through mean|w|."""
    weight = torch.tensor([[0.5, -2.0, 0.25, -0.25]], requires_grad=True)
    BipolarWeightQuant(weight, scale="stats")(weight).backward(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    mean, through_mean = 0.75, (1 - 2 + 3 - 4) / 4
    expected = [mean + through_mean, -through_mean, 3 * mean + through_mean, 4 * mean - through_mean]
    assert weight.grad.tolist() == [pytest.approx(expected)]


def test_a_statistical_scale_needs_the_weight():
    quantizer = SymmetricWeightQuant(torch.ones(2, 3), 4, scale="stats")
    with pytest.raises(ConfigError, match="SymmetricWeightQuant with scale='stats' has no scale of its own: pass the"):
        quantizer.scale()


def test_a_subclass_defines_what_is_missing():
    quantizer = WeightQuantizer(torch.ones(2, 3), 4)
    with pytest.raises(NotImplementedError, match="WeightQuantizer defines no integers"):
        quantizer.integers(torch.ones(2, 3))
    with pytest.raises(NotImplementedError, match="WeightQuantizer defines no forward"):
        quantizer(torch.ones(2, 3))


def brevitas_layer(quant_name: str, **options: object):
    import brevitas.nn
    from brevitas import quant

    torch.manual_seed(3)
    return brevitas.nn.QuantConv1d(6, 8, 5, groups=2, weight_quant=getattr(quant, quant_name), **options)


def compare(quantizer: WeightQuantizer, layer) -> torch.Tensor:
    """Values bit for bit, gradients of the weights; returns our weight with its gradient."""
    weight = layer.weight.detach().clone().requires_grad_()
    actual, expected = quantizer(weight), layer.quant_weight().value
    assert torch.equal(actual, expected)
    direction = torch.randn_like(expected)
    expected.backward(direction)
    actual.backward(direction)
    torch.testing.assert_close(weight.grad, layer.weight.grad, rtol=1e-5, atol=1e-6)
    return weight


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("narrow", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
def test_statistical_scales_equal_those_of_brevitas(bits, narrow, per_channel):
    name = "Int8WeightPerChannelFloat" if per_channel else "Int8WeightPerTensorFloat"
    layer = brevitas_layer(name, weight_bit_width=bits, weight_narrow_range=narrow)
    weight = layer.weight.detach()
    compare(SymmetricWeightQuant(weight, bits, narrow=narrow, scale="stats", per_channel=per_channel), layer)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("per_channel", [True, False])
def test_learned_scales_equal_those_of_brevitas(per_channel):
    """At 2 bits, where the scale is the parameter itself: elsewhere Brevitas divides it once more."""
    layer = brevitas_layer(
        "Int8WeightPerChannelFloat" if per_channel else "Int8WeightPerTensorFloat",
        weight_bit_width=2,
        weight_scaling_impl_type="parameter_from_stats",
        weight_restrict_scaling_type="log_fp",
    )
    quantizer = SymmetricWeightQuant(layer.weight.detach(), 2, per_channel=per_channel)
    with torch.no_grad():
        quantizer.log2_scale.sub_(0.7)
        parameter = next(p for name, p in layer.weight_quant.named_parameters() if name.endswith("value"))
        layer.quant_weight()
        parameter.copy_(quantizer.log2_scale.view_as(parameter))
    compare(quantizer, layer)
    assert (quantizer.integers(layer.weight).abs() == 1).any()
    torch.testing.assert_close(quantizer.log2_scale.grad, parameter.grad.flatten(), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_bipolar_and_ternary_equal_those_of_brevitas():
    """Bipolar gradients are defined alike at scale 1; the ternary ones are not clipped there."""
    from brevitas.core.quant import ClampedBinaryQuant, TernaryQuant
    from brevitas.core.scaling import ConstScaling

    weight = random_weights(8, 50)
    weight[0, :3] = torch.tensor([0.0, 1.0, -1.0])
    for scale in (1.0, 0.3):
        ours, theirs = weight.clone().requires_grad_(), weight.clone().requires_grad_()
        actual = BipolarWeightQuant(weight, scale=scale)(ours)
        expected = ClampedBinaryQuant(ConstScaling(scale))(theirs)[0]
        assert torch.equal(actual, expected)
        if scale == 1:
            direction = torch.randn_like(weight)
            actual.backward(direction)
            expected.backward(direction)
            assert torch.equal(ours.grad, theirs.grad)
        ternary = TernaryQuant(ConstScaling(scale), 0.5)(weight)[0]
        assert torch.equal(TernaryWeightQuant(weight, scale=scale)(weight), ternary)

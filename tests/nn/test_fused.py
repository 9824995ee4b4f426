# SPDX-License-Identifier: Apache-2.0
"""The fused functions: values and gradients of the plain formulation, on every grid, and on no device but their own."""

from __future__ import annotations

import math

import pytest
import torch

from gatewright.nn import (
    A2QPlusWeightQuant,
    A2QWeightQuant,
    BipolarWeightQuant,
    QuantIdentity,
    QuantReLU,
    SymmetricWeightQuant,
    TernaryWeightQuant,
)
from gatewright.nn.fused import (
    Grid,
    gradient_range,
    learned_scale,
    quantize,
    quantize_by_max,
    quantize_learned,
    quantize_sign,
)

GRIDS = [
    Grid(-7, 7),
    Grid(-8, 7),
    Grid(0, 15),
    Grid(0, 15, rectified=True),
    Grid(-1, 1),
    Grid(0, 1),
    Grid(-1, 1, bipolar=True),
]


def samples(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def straight_through(rounded: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return y + (rounded - y).detach()


def plain(x: torch.Tensor, scale: torch.Tensor, grid: Grid) -> torch.Tensor:
    """The definition, operation by operation."""
    x = torch.relu(x) if grid.rectified else x
    y = x / scale
    if grid.bipolar:
        y = torch.clamp(y, -1, 1)
        return straight_through(torch.where(y >= 0, 1.0, -1.0), y) * scale
    return torch.clamp(straight_through(torch.round(y), y), grid.low, grid.high) * scale


def gradients(output: torch.Tensor, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
    direction = samples(*output.shape, seed=9).to(output.dtype)
    return torch.autograd.grad(output, inputs, direction, retain_graph=True)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("channels", [None, 1, 6])
@pytest.mark.parametrize("layout", ["contiguous", "channels last"])
def test_quantize_has_the_gradients_of_its_definition(grid, channels, layout):
    x = (samples(6, 5, 4, 3) * 4).requires_grad_()
    wide = x.contiguous(memory_format=torch.channels_last) if layout == "channels last" else x
    exponent = (samples(channels or 1, seed=1) * 0.5 - 1).requires_grad_()
    exponent = exponent if channels else exponent[0]
    view = (-1, 1, 1, 1) if channels else ()
    scale = 2**exponent
    expected = plain(x, scale.view(view), grid)
    for actual, target in ((quantize(wide, scale, grid), scale), (quantize_learned(wide, exponent, grid), exponent)):
        torch.testing.assert_close(actual, expected)
        wanted = gradients(expected, x, target) if target is exponent else gradients(expected, x, scale)
        torch.testing.assert_close(gradients(actual, x, target), wanted, rtol=1e-9, atol=1e-9)


def test_float32_sums_agree_with_the_definition():
    """Dot products, taken for one scale and contiguous float32."""
    x, exponent = samples(64, 1000).float().requires_grad_(), torch.tensor(-2.3, requires_grad=True)
    actual = quantize_learned(x, exponent, Grid(-8, 7))
    expected = plain(x.double(), 2 ** exponent.double(), Grid(-8, 7))
    torch.testing.assert_close(actual, expected.float())
    torch.testing.assert_close(gradients(actual, exponent), gradients(expected, exponent), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_gradient_passes_exactly_where_rounding_stays_inside(grid):
    """Ties included: every half, and its neighbours in float32."""
    halves = torch.arange(-20, 21) / 2
    x = torch.cat([halves, halves.nextafter(torch.tensor(99.0)), halves.nextafter(torch.tensor(-99.0))])
    x.requires_grad_()
    quantize(x, torch.tensor(1.0), grid).sum().backward()
    rounded = x if grid.bipolar else torch.round(x)
    inside = (rounded >= grid.low) & (rounded <= grid.high) & ~((x <= 0) & grid.rectified)
    assert torch.equal(x.grad, inside.float())
    assert gradient_range(grid)[0] < gradient_range(grid)[1]


def test_factor_and_power_of_two_touch_the_exponent_alone():
    x, exponent = samples(4, 5).requires_grad_(), torch.tensor(-1.3, dtype=torch.float64, requires_grad=True)
    grid = Grid(-8, 7)
    rounded = straight_through(torch.round(exponent), exponent)
    wanted = gradients(plain(x, 2**rounded, grid), x, exponent)
    actual = gradients(quantize_learned(x, exponent, grid, power_of_two=True, factor=0.25), x, exponent)
    torch.testing.assert_close(actual[0], wanted[0])
    torch.testing.assert_close(actual[1], wanted[1] * 0.25)


def test_learned_scale_is_at_least_the_smallest():
    exponent = torch.tensor([-1.5, 3.0, -200.0], requires_grad=True)
    assert learned_scale(exponent).tolist() == pytest.approx([2**-1.5, 8, 1e-10])
    assert learned_scale(exponent, True).tolist() == pytest.approx([0.25, 8, 1e-10])
    learned_scale(exponent).sum().backward()
    assert exponent.grad.tolist() == pytest.approx([2**-1.5 * math.log(2), 8 * math.log(2), 0], rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("grid", [Grid(-7, 7), Grid(-8, 7)], ids=str)
@pytest.mark.parametrize("per_channel", [False, True])
def test_scale_by_maximum_sends_its_gradient_to_the_maximum(grid, per_channel):
    x = samples(6, 5, 4).requires_grad_()
    largest = x.flatten(1).abs().amax(1) if per_channel else x.abs().amax().view(1)
    scale = (largest / -grid.low).view(-1, 1, 1)
    y = x / scale
    expected = straight_through(torch.clamp(torch.round(y), grid.low, grid.high), y) * scale
    actual = quantize_by_max(x, per_channel, grid)
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(gradients(actual, x), gradients(expected, x), rtol=1e-9, atol=1e-9)


def test_scale_by_maximum_as_a_power_of_two_clips_nothing():
    x = samples(50, 30).requires_grad_()
    actual = quantize_by_max(x, True, Grid(-7, 7), power_of_two=True)
    scale = 2 ** torch.ceil(torch.log2(x.abs().amax(1) / 7))
    assert torch.equal(actual, torch.round(x / scale[:, None]) * scale[:, None])
    (gradient,) = gradients(actual, x)
    exponent = torch.log2(x.abs().amax(1) / 7)
    soft = straight_through(torch.ceil(exponent), exponent)
    y = x / 2 ** soft[:, None]
    (wanted,) = gradients(straight_through(torch.round(y), y) * 2 ** soft[:, None], x)
    torch.testing.assert_close(gradient, wanted, rtol=1e-9, atol=1e-9)


def test_sign_has_the_gradient_of_a_clipped_identity():
    x = torch.tensor([[-1.5, -1.0, -0.2, -0.0], [0.0, 0.2, 1.0, 1.5]], requires_grad=True)
    scale = torch.tensor([0.5, 3.0], requires_grad=True)
    out = quantize_sign(x, scale)
    assert out.tolist() == [[-0.5, -0.5, -0.5, 0.5], [3.0] * 4]
    out.backward(torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]))
    assert x.grad.tolist() == [[0, 1, 1.5, 2], [15, 18, 21, 0]]
    assert scale.grad.tolist() == [-1 - 2 - 3 + 4, 26]


WEIGHT_QUANTIZERS = [
    lambda w: SymmetricWeightQuant(w, 4),
    lambda w: SymmetricWeightQuant(w, 4, scale="stats"),
    lambda w: SymmetricWeightQuant(w, 4, scale="stats", per_channel=False, power_of_two=True),
    lambda w: SymmetricWeightQuant(w, 4, scale=0.25),
    lambda w: TernaryWeightQuant(w, scale="stats"),
    lambda w: BipolarWeightQuant(w, scale="stats", power_of_two=True),
    lambda w: BipolarWeightQuant(w, per_channel=False),
    lambda w: A2QWeightQuant(w, 4, 12, 4, False),
    lambda w: A2QPlusWeightQuant(w, 4, 12, 4, True, per_channel=False),
]


@pytest.mark.parametrize("make", WEIGHT_QUANTIZERS)
def test_weights_stay_on_their_device_and_are_not_read_back(make):
    """Tensors on "meta" have no values: reading one raises, as does meeting a tensor of another device."""
    weight = torch.empty(8, 5, 3, 3, device="meta", requires_grad=True)
    quantizer = make(weight)
    assert all(p.device.type == "meta" for p in quantizer.parameters())
    quantizer(weight).sum().backward()
    assert weight.grad.device.type == "meta"


@pytest.mark.parametrize("make", [lambda: QuantIdentity(1, True, max_value=1.0), lambda: QuantReLU(4, max_value=1.0)])
def test_activations_stay_on_their_device_and_are_not_read_back(make):
    quantizer = make()
    quantizer(torch.zeros(1, 1))
    quantizer.to("meta")
    x = torch.empty(8, 5, device="meta", requires_grad=True)
    quantizer(x).sum().backward()
    assert x.grad.device.type == quantizer.log2_scale.grad.device.type == "meta"

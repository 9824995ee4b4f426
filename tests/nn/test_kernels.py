# SPDX-License-Identifier: Apache-2.0
"""The compiled loops against torch's own operations: equal bits forward and where a gradient passes, equal sums."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gatewright.nn import A2QPlusWeightQuant, A2QWeightQuant, kernels
from gatewright.nn.fused import Grid, quantize, quantize_by_max, quantize_learned

GRIDS = [Grid(-7, 7), Grid(-8, 7), Grid(0, 15, rectified=True), Grid(0, 1), Grid(-1, 1, bipolar=True)]
SHAPES = [(6, 40), (1, 7), (5, 1), (9, 3, 3, 2), (3, 2500), (70000,)]
AWKWARD = [0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -7.5, 7.5, 15.5, 1e-42, -1e-42, math.inf, -math.inf, math.nan, 3e38]


def samples(shape: tuple[int, ...], seed: int = 0, spread: float = 4.0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * spread


def bits(x: Tensor) -> Tensor:
    """All NaNs are one."""
    return torch.where(x.isnan(), math.nan, x).view(torch.int32)


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[Tensor, ...]]]:
    """Runs a function of tensors in loops and in torch: its value, and the gradients to the tensors."""
    fits = kernels.fits

    def run(function: Callable[..., Tensor], *inputs: Tensor) -> list[tuple[Tensor, ...]]:
        results = []
        for compiled in (True, False):
            asked: list[bool] = []
            monkeypatch.setattr(kernels, "fits", lambda *t, c=compiled, a=asked: a.append(c and fits(*t)) or a[-1])
            leaves = [t.clone().requires_grad_() for t in inputs]
            out = function(*leaves)
            out.backward(samples(tuple(out.shape), 9, 1.0))
            results.append((out.detach(), *(leaf.grad for leaf in leaves)))
            assert asked and all(a is compiled for a in asked)
        return results

    return run


def close(compiled: Tensor, plain: Tensor, of: Tensor) -> None:
    """Within 1e-6 of the greatest of ``of``, which went into the sum."""
    torch.testing.assert_close(compiled, plain, rtol=2e-5, atol=1e-6 * float(of.abs().max()) * of.numel() ** 0.5)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("learned", [False, True])
def test_grid(both, grid, shape, per_channel, learned) -> None:
    if per_channel and len(shape) == 1:
        pytest.skip("no channels")
    scale = samples((shape[0],) if per_channel else (), 1, 0.3).exp()
    function = quantize_learned if learned else quantize
    (out, to_x, to_scale), (out_0, to_x_0, to_scale_0) = both(
        lambda x, s: function(x, s, grid), samples(shape), scale.log2() if learned else scale
    )
    assert torch.equal(bits(out), bits(out_0)) and torch.equal(bits(to_x), bits(to_x_0))
    close(to_scale, to_scale_0, out)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("scale", [1.0, 0.3, 1e-10])
def test_grid_on_awkward_values(both, grid, scale) -> None:
    (out, to_x, to_scale), (out_0, to_x_0, to_scale_0) = both(
        lambda x, s: quantize(x, s, grid), torch.tensor(AWKWARD), torch.tensor(scale)
    )
    assert torch.equal(bits(out), bits(out_0)) and torch.equal(bits(to_x), bits(to_x_0))
    assert to_scale.isnan() and to_scale_0.isnan()


@pytest.mark.parametrize("grid", GRIDS[:2], ids=str)
@pytest.mark.parametrize("shape", SHAPES[:-1], ids=str)
@pytest.mark.parametrize("per_channel", [False, True])
def test_scale_by_maximum(both, grid, shape, per_channel) -> None:
    x = samples(shape)
    (out, to_x), (out_0, to_x_0) = both(lambda x: quantize_by_max(x, per_channel, grid), x)
    assert torch.equal(bits(out), bits(out_0))
    changed = to_x != samples(shape, 9, 1.0)
    assert changed.sum() <= (len(x) if per_channel else 1) and (changed.any() or x[0].numel() == 1)
    assert torch.equal(bits(to_x[~changed]), bits(to_x_0[~changed]))
    close(to_x, to_x_0, to_x)


@pytest.mark.parametrize("per_channel", [False, True])
def test_scale_by_maximum_of_awkward_rows(both, per_channel) -> None:
    """A dead row, equal maxima, one of the last place, infinity, NaN."""
    rows = [[0, -0.0, 0], [1, -2, 2], [0.1, 0.2, -0.3], [1e-12, 0, 0], [1, math.inf, 2], [math.nan, 5, math.inf]]
    for x in (torch.tensor(rows[:4]), torch.tensor(rows)):
        (out, to_x), (out_0, to_x_0) = both(lambda x: quantize_by_max(x, per_channel, Grid(-7, 7)), x)
        assert torch.equal(bits(out), bits(out_0))
        torch.testing.assert_close(to_x, to_x_0, equal_nan=True)


@pytest.mark.parametrize("kind", [A2QWeightQuant, A2QPlusWeightQuant])
@pytest.mark.parametrize("shape", [(6, 40), (20, 4, 3, 3), (2, 300), (8, 1), (9, 2500)], ids=str)
@pytest.mark.parametrize("options", [{}, {"per_channel": False}, {"power_of_two": True}], ids=str)
def test_accumulator_bound(both, kind, shape, options) -> None:
    weight = samples(shape)
    quantizer = kind(weight, 3, 18 if weight[0].numel() > 1000 else 11, 4, False, **options)
    # Some channels at their cap, some below; some weights clipped.
    norm = quantizer.log2_norm.detach() + torch.linspace(-2, 5, len(weight))
    del quantizer.log2_scale, quantizer.log2_norm

    def quantized(w: Tensor, log2_scale: Tensor, log2_norm: Tensor) -> Tensor:
        quantizer.log2_scale, quantizer.log2_norm = log2_scale, log2_norm
        return quantizer(w)

    exponent = samples((1 if "per_channel" in options else len(weight),), 2, 0.5)
    (out, *gradients), (out_0, *gradients_0) = both(quantized, weight, exponent, norm)
    assert torch.equal(bits(out), bits(out_0)) and (out.any() or weight[0].numel() == 1)
    for gradient, gradient_0 in zip(gradients, gradients_0, strict=True):
        close(gradient, gradient_0, torch.cat([out.flatten(), gradient_0.flatten()]))


def test_what_does_not_fit_goes_torch_s_way(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.zeros(4, 6)
    assert kernels.fits(x, torch.nn.Parameter(x), x.view(2, 12))
    wrapped = torch.Tensor._make_subclass(type("Wrapped", (Tensor,), {}), x)
    for other in (x.double(), x.bfloat16(), x.t(), x[:, ::2], x.to("meta"), wrapped, torch.zeros(0, 3)):
        assert not kernels.fits(other)
    large = torch.zeros(kernels.FEW_ELEMENTS + 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: kernels.FEW_THREADS)
    assert kernels.fits(large)
    monkeypatch.setattr(torch, "get_num_threads", lambda: kernels.FEW_THREADS + 1)
    assert not kernels.fits(large) and kernels.fits(large[:-1])


def test_gradients_that_are_no_contiguous_memory() -> None:
    """A sum's gradient is one element, seen everywhere; a transposed product's is transposed."""
    x = samples((4, 6)).requires_grad_()
    quantize_learned(x, torch.tensor(0.0, requires_grad=True), Grid(-100, 100)).sum().backward()
    assert torch.equal(x.grad, torch.ones(4, 6))
    direction = samples((6, 4), 3)
    x.grad = None
    quantize_by_max(x, False, Grid(-7, 7)).t().backward(direction)
    assert (x.grad == direction.t()).sum() == 23

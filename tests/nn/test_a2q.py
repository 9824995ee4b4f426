# SPDX-License-Identifier: Apache-2.0
"""Faithfulness of A2Q and A2Q+: the accumulator bound, rounding, EP-init, and equality with Brevitas."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest
import torch

from gatewright.nn import (
    A2QPlusWeightQuant,
    A2QWeightQuant,
    a2q_cap,
    a2q_plus_cap,
    accumulator_penalty,
    integer_limits,
    project_l1,
)

KINDS = (A2QWeightQuant, A2QPlusWeightQuant)


def random_weights(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def greatest_partial_sum(q: torch.Tensor, input_bits: int, input_signed: bool) -> np.ndarray:
    """Per channel, max |sum of a prefix of q * x| over every prefix and every input vector, by enumeration."""
    low, high = integer_limits(input_bits, input_signed)
    x = np.array(list(itertools.product(range(low, high + 1), repeat=q.shape[1])), dtype=np.int64)
    products = q.detach().numpy().astype(np.int64)[:, None, :] * x[None]
    return np.abs(products.cumsum(axis=2)).max(axis=(1, 2))


@pytest.mark.parametrize(
    ("bits", "inputs", "unsigned", "signed", "plus"),
    [
        (16, 8, 127.996, 255.992, 256.996),
        (16, 4, 2047.94, 4095.88, 4368.93),
        (14, 4, 511.938, 1023.88, 1092.13),
        (12, 4, 127.938, 255.875, 272.93),
        (8, 4, 7.9375, 15.875, 16.933),
    ],
)
def test_caps_have_their_published_values(bits, inputs, unsigned, signed, plus):
    assert a2q_cap(bits, inputs, False) == pytest.approx(unsigned, rel=5e-5)
    assert a2q_cap(bits, inputs, True) == pytest.approx(signed, rel=5e-5)
    assert a2q_plus_cap(bits, inputs) == pytest.approx(plus, rel=5e-5)


@pytest.mark.parametrize(("signed", "accepted"), [(False, 127), (True, 255)])
def test_edge_of_the_norm_is_sharp(signed, accepted):
    """P=16, N=8: a channel of `accepted` ones keeps them all; with one more, none survives the cap."""
    for inputs, norm in ((accepted, accepted), (accepted + 1, 0)):
        quantizer = A2QWeightQuant(torch.ones(1, inputs), 8, 16, 8, signed)
        with torch.no_grad():
            quantizer.log2_scale.fill_(0.0)
            quantizer.log2_norm.fill_(20.0)
        assert quantizer.integers(torch.ones(1, inputs)).abs().sum().item() == norm


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("input_bits", "input_signed", "accumulator_bits"),
    [(1, False, 4), (2, False, 5), (3, False, 6), (3, False, 8), (2, True, 5), (3, True, 6), (3, True, 8)],
)
@pytest.mark.parametrize("attack", ["none", "weights", "norm", "both"])
def test_no_partial_sum_overflows(kind, input_signed, input_bits, accumulator_bits, attack):
    weight = random_weights(64, 5)
    quantizer = kind(weight, 4, accumulator_bits, input_bits, input_signed)
    with torch.no_grad():
        if attack in ("weights", "both"):
            weight = weight * 1e6
        if attack in ("norm", "both"):
            quantizer.log2_norm.fill_(100.0)
        q = quantizer.integers(weight)
    worst = greatest_partial_sum(q, input_bits, input_signed)
    assert worst.max() <= 2 ** (accumulator_bits - 1) - 1
    assert q.abs().sum() > 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("attack", [False, True])
def test_bound_holds_for_bipolar_inputs(kind, attack):
    """An input of -1 or +1 has the range 2, not 2^1 - 1."""
    quantizer = kind(random_weights(64, 6), 4, 4, 1, True)
    if attack:
        with torch.no_grad():
            quantizer.log2_norm.fill_(100.0)
    worst = greatest_partial_sum(quantizer.integers(random_weights(64, 6)), 1, True)
    assert 0 < worst.max() <= 7
    assert a2q_plus_cap(4, 1, True) == a2q_cap(4, 1, True) == 7


@pytest.mark.parametrize(("kind", "input_signed"), [(A2QWeightQuant, True), (A2QPlusWeightQuant, False)])
def test_rounding_to_nearest_would_overflow(kind, input_signed):
    """Rounding toward zero is what carries the proof: the same weights rounded to nearest break it."""
    weight = random_weights(200, 5, seed=1)
    quantizer = kind(weight, 4, 6, 3, input_signed)
    with torch.no_grad():
        quantizer.log2_norm.fill_(100.0)
        nearest = torch.clamp(torch.round(quantizer.prescaled(weight)), -7, 7)
    broken = greatest_partial_sum(nearest, 3, input_signed) > 31
    assert broken.mean() > 0.05
    assert np.array_equal(broken, quantizer.overflows(nearest).numpy())


def test_overflow_is_judged_exactly():
    """T+ is the integer 9362 at P=16, N=3: 4681 a side is the most that fits."""
    quantizer = A2QPlusWeightQuant(torch.ones(1, 2), 8, 16, 3, False)
    assert quantizer.cap() == 9362
    integers = torch.tensor([[4681.0, -4681.0], [4682.0, -4681.0], [4681.0, -4682.0]])
    assert quantizer.overflows(integers).tolist() == [False, True, True]


class Lifted(A2QWeightQuant):
    """A2Q whose division errs upwards, far more than float arithmetic can."""

    def prescaled(self, weight: torch.Tensor) -> torch.Tensor:
        return super().prescaled(weight) * 1.3


def test_integers_stay_within_the_bound_when_division_errs_upwards():
    weight = torch.tensor([[3.1, 3.1, 0.8]])
    quantizer = Lifted(weight, 4, 4, 1, True)
    with torch.no_grad():
        quantizer.log2_scale.fill_(0.0)
    assert quantizer.overflows(torch.trunc(quantizer.prescaled(weight))).all()
    assert quantizer.integers(weight).tolist() == [[3.0, 3.0, 1.0]]
    assert quantizer.eval()(weight).tolist() == [[3.0, 3.0, 1.0]]


@pytest.mark.parametrize("input_signed", [False, True])
def test_wide_accumulator_changes_nothing(input_signed):
    """P=32 and g=||w||_1: bit for bit clip(rtz(w / s)) * s, on weights whose norm and scale are powers of two."""
    units = torch.randint(-200, 201, (32, 29), generator=torch.Generator().manual_seed(3)).float()
    rest = 8192 - 448 - units.abs().sum(1)
    part = torch.floor(rest / 20)
    filler = torch.stack([*[part] * 19, rest - 19 * part], dim=1)
    weight = torch.cat([torch.full((32, 1), 448.0), units, filler], dim=1) / 512
    assert (weight.abs().sum(1) == 16).all()
    quantizer = A2QWeightQuant(weight, 4, 32, 4, input_signed)
    assert (quantizer.scale() == 1 / 8).all()
    assert torch.equal(quantizer(weight), torch.clamp(torch.trunc(weight * 8), -7, 7) / 8)


@pytest.mark.parametrize("kind", KINDS)
def test_narrower_accumulators_only_shrink_weights(kind):
    weight = random_weights(16, 64)
    norms, zeros = [], []
    for accumulator_bits in (32, 16, 14, 12, 10, 8, 6, 4, 2):
        q = kind(weight, 4, accumulator_bits, 4, False).integers(weight)
        norms.append(q.abs().sum(1))
        zeros.append((q == 0).sum(1))
    for wide, narrow in itertools.pairwise(norms):
        assert (narrow <= wide).all()
    for wide, narrow in itertools.pairwise(zeros):
        assert (narrow >= wide).all()
    assert (norms[-1] < norms[0]).all()


def test_ep_init_projects_the_worked_example():
    """radius 4: theta = 2/3, (3, -2, 1, 0.5) -> (2.3333, -1.3333, 0.3333, 0)."""
    projected = project_l1(torch.tensor([[3.0, -2.0, 1.0, 0.5]]), torch.tensor([4.0]))
    torch.testing.assert_close(projected, torch.tensor([[7 / 3, -4 / 3, 1 / 3, 0.0]]))


def test_ep_init_is_idempotent_and_hits_the_radius():
    weight = random_weights(50, 40).double()
    radius = torch.linspace(0.5, 60, 50, dtype=torch.float64)
    once = project_l1(weight, radius)
    torch.testing.assert_close(project_l1(once, radius), once, rtol=0, atol=1e-12)
    expected = torch.minimum(weight.abs().sum(1), radius)
    torch.testing.assert_close(once.abs().sum(1), expected, rtol=0, atol=1e-6)
    inside = weight.abs().sum(1) <= radius
    assert inside.any()
    assert not inside.all()
    assert torch.equal(once[inside], weight[inside])


def test_ep_init_lowers_the_norm_to_the_cap():
    weight = random_weights(8, 200)
    quantizer = A2QWeightQuant(weight, 4, 10, 4, False)
    assert quantizer.penalty() > 0
    projected = quantizer.project(weight)
    assert quantizer.penalty().item() == pytest.approx(0, abs=1e-4)
    torch.testing.assert_close(projected.abs().sum(1), quantizer.scale() * quantizer.cap())


@pytest.mark.parametrize("input_signed", [False, True])
def test_a2q_plus_splits_the_norm_between_the_signs(input_signed):
    weight = random_weights(64, 100) + 0.7
    quantizer = A2QPlusWeightQuant(weight, 4, 10, 4, input_signed)
    q = quantizer.integers(weight)
    half = a2q_plus_cap(10, 4) / 2
    assert q.clamp(min=0).sum(1).max() <= half
    assert (-q).clamp(min=0).sum(1).max() <= half


def test_a2q_plus_ignores_a_constant_shift():
    weight = random_weights(64, 100).double()
    quantizer = A2QPlusWeightQuant(weight, 4, 11, 4, False)
    assert torch.equal(quantizer.integers(weight), quantizer.integers(weight + 0.375))
    assert not torch.equal(
        A2QWeightQuant(weight, 4, 11, 4, False).integers(weight),
        A2QWeightQuant(weight, 4, 11, 4, False).integers(weight + 0.375),
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("input_signed", [False, True])
@pytest.mark.parametrize(
    ("accumulator_bits", "shape"),
    [
        *((bits, "conv2d") for bits in (32, 16, 14, 12, 10)),
        *((bits, shape) for bits in (16, 7) for shape in ("conv1d", "depthwise", "linear")),
    ],
)
def test_equals_brevitas(kind, input_signed, accumulator_bits, shape):
    """Bit-equal values and norm gradients; Brevitas holds the scale twice, so its two gradients are added."""
    import brevitas.nn
    from brevitas import quant

    theirs = quant.Int8AccumulatorAwareWeightQuant
    if kind is A2QPlusWeightQuant:
        theirs = quant.Int8AccumulatorAwareZeroCenterWeightQuant
    torch.manual_seed(accumulator_bits)
    make = {
        "conv2d": partial(brevitas.nn.QuantConv2d, 5, 7, 3),
        "conv1d": partial(brevitas.nn.QuantConv1d, 5, 7, 9),
        "depthwise": partial(brevitas.nn.QuantConv2d, 7, 7, 3, groups=7),
        "linear": partial(brevitas.nn.QuantLinear, 30, 7),
    }[shape]
    layer = make(bias=False, weight_quant=theirs, weight_bit_width=4, weight_accumulator_bit_width=accumulator_bits)
    weight = layer.weight.detach().clone().requires_grad_()
    quantizer = kind(weight.detach(), 4, accumulator_bits, 4, input_signed)
    expected = layer.weight_quant.tensor_quant(layer.weight, torch.tensor(4.0), input_signed)[0]
    actual = quantizer(weight)
    assert torch.equal(actual, expected)

    direction = torch.randn_like(expected)
    expected.backward(direction)
    actual.backward(direction)
    torch.testing.assert_close(weight.grad, layer.weight.grad, rtol=1e-5, atol=1e-6)
    parameters = dict(layer.weight_quant.named_parameters())
    norm = parameters["tensor_quant.pre_scaling_impl.value"]
    scales = [parameters[f"tensor_quant.{name}scaling_impl.value"] for name in ("", "pre_scaling_impl.")]
    assert torch.equal(quantizer.log2_norm, norm.flatten())
    torch.testing.assert_close(quantizer.log2_norm.grad, norm.grad.flatten(), rtol=1e-5, atol=1e-6)
    both = sum(scale.grad.flatten() for scale in scales)
    torch.testing.assert_close(quantizer.log2_scale.grad, both, rtol=1e-5, atol=1e-6)


def test_norm_above_its_cap_is_pulled_back_by_the_penalty_only():
    weight = random_weights(4, 50)
    quantizer = A2QWeightQuant(weight, 4, 8, 4, False)
    quantizer(weight).sum().backward()
    assert torch.equal(quantizer.log2_norm.grad, torch.zeros(4))
    quantizer.penalty().backward()
    assert (quantizer.log2_norm.grad > 0).all()


def plain(quantizer: A2QWeightQuant, weight: torch.Tensor) -> torch.Tensor:
    """The definition, operation by operation."""
    exponent = quantizer.log2_scale
    if quantizer.power_of_two:
        exponent = exponent + (exponent.round() - exponent).detach()
    scale = (2**exponent).expand(len(weight))
    rows = weight.flatten(1)
    center = -rows.mean(1) if quantizer.zero_center else torch.zeros(len(weight), dtype=weight.dtype)
    target = torch.clamp(2**quantizer.log2_norm / scale, max=quantizer.cap())
    divisor = (rows + center[:, None]).abs().sum(1) / target
    y = rows / divisor[:, None] + (center / divisor)[:, None]
    limit = quantizer.limits()[1]
    return (torch.clamp(y + (torch.trunc(y) - y).detach(), -limit, limit) * scale[:, None]).view_as(weight)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(6, 40), (6, 4, 9), (6, 1, 3, 3), (6, 3, 3, 3)])
@pytest.mark.parametrize("options", [{}, {"per_channel": False}, {"power_of_two": True}], ids=str)
@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_those_of_the_definition(kind, shape, options, training):
    weight = random_weights(*shape).double().requires_grad_()
    quantizer = kind(weight.detach(), 3, 10, 4, False, **options).train(training)
    with torch.no_grad():
        # Some channels at their cap, some below; some weights clipped.
        quantizer.log2_norm.add_(torch.linspace(-2, 5, 6))
        quantizer.log2_scale.sub_(1.3)
    assert 0 < (quantizer.norm() > quantizer.cap() * quantizer.scale()).sum() < 6
    actual, expected = quantizer(weight), plain(quantizer, weight)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
    direction = random_weights(*shape, seed=5).double()
    inputs = (weight, quantizer.log2_scale, quantizer.log2_norm)
    torch.testing.assert_close(
        torch.autograd.grad(actual, inputs, direction),
        torch.autograd.grad(expected, inputs, direction),
        rtol=1e-9,
        atol=1e-9,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_one_scale_for_all_channels(kind):
    weight = random_weights(16, 60)
    quantizer = kind(weight, 4, 9, 4, False, per_channel=False)
    assert quantizer.scale().shape == (1,)
    projected = quantizer.project(weight)
    assert (projected.abs().sum(1) <= quantizer.scale() * quantizer.cap() * (1 + 1e-5)).all()
    assert quantizer.penalty().item() == pytest.approx(0, abs=1e-4)
    assert not quantizer.overflows(quantizer.integers(projected)).any()


def test_evaluation_uses_the_integers_that_are_exported():
    weight = random_weights(64, 200)
    quantizer = A2QPlusWeightQuant(weight, 4, 10, 3, False).eval()
    assert torch.equal(quantizer(weight), quantizer.integers(weight) * quantizer.scale()[:, None])


def test_penalty_is_the_sum_over_the_layers_and_stays_on_the_device():
    weight = random_weights(8, 200)
    first, second = A2QWeightQuant(weight, 4, 10, 4, False), A2QPlusWeightQuant(weight, 4, 8, 4, False)
    model = torch.nn.Sequential(first, second)
    torch.testing.assert_close(accumulator_penalty(model), first.penalty() + second.penalty())
    assert accumulator_penalty(torch.nn.Linear(2, 2, device="meta")).device.type == "meta"
    assert accumulator_penalty(torch.nn.ReLU()).item() == 0

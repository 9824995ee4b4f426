# SPDX-License-Identifier: Apache-2.0
"""Accumulator-aware weight quantisers: A2Q (Colbert et al., ICCV 2023) and A2Q+ (Colbert et al., ICML 2024).

Per output channel, with direction v, norm g = 2^t and scale s = 2^d (t and d learned):

    q = clip(rtz(min(g / s, T) * v / ||v||_1))

where rtz rounds toward zero and the cap T bounds ||q||_1 so that no partial sum of q * x leaves
+-(2^(P-1) - 1), whatever the inputs and the order. A2Q+ first subtracts the channel's mean from v, which permits
about twice the norm for unsigned inputs. The order of evaluation is that of Brevitas.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gatewright.nn import kernels
from gatewright.nn.config import check_activation_bits, integer_limits
from gatewright.nn.fused import SMALLEST, aligned, exp2_scale, inside, learned_scale
from gatewright.nn.weight import WeightQuantizer


def a2q_cap(accumulator_bits: int, input_bits: int, input_signed: bool) -> float:
    """Greatest ||q||_1 under A2Q: T = (2^(P-1) - 1) * 2^(1_signed - N)."""
    return float((2 ** (accumulator_bits - 1) - 1) * 2.0 ** (int(input_signed) - input_bits))


def a2q_plus_cap(accumulator_bits: int, input_bits: int, input_signed: bool = False) -> float:
    """Greatest ||q||_1 under A2Q+, for zero-centred weights: T+ = (2^P - 2) / (2^N - 1).

    The divisor is the range of an input, greatest less least integer: 2 for bipolar ones (N = 1, signed).
    """
    low, high = integer_limits(input_bits, input_signed)
    return float((2**accumulator_bits - 2) / (high - low))


def l1_norm(weight: Tensor) -> Tensor:
    """L1 norm of each channel, (C, ...) to (C,)."""
    norm: Tensor = torch.linalg.vector_norm(weight.flatten(1), 1, dim=1)
    return norm


def round_to_zero(x: Tensor) -> Tensor:
    """sign(x) * floor(|x|), out of place; torch.trunc gives the same, but is not vectorised."""
    return torch.div(x, 1, rounding_mode="trunc")


def prescale(weight: Tensor, center: Tensor | None, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weights whose L1 norm is ``target``, before rounding.

    Args:
        weight: (C, K).
        center: (C,), added first; None for nothing.
        target: norms in integer units, (C,).

    Returns:
        The weights in integer units (C, K), the divisors (C,) and the norms before the division (C,).
    """
    shifted = None if center is None else weight + center[:, None]
    length = l1_norm(weight if shifted is None else shifted)
    divisor = (length / target).clamp_(min=SMALLEST)
    y = torch.div(weight, divisor[:, None], out=shifted)
    if center is not None:
        y.add_((center / divisor)[:, None])
    return y, divisor, length


@dataclass(frozen=True)
class _Bound:
    cap: float
    limit: int
    zero_center: bool
    power_of_two: bool


class _A2Q(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, log2_scale: Tensor, log2_norm: Tensor, bound: _Bound, integers: Tensor | None
    ) -> Tensor:
        rows = weight.flatten(1)
        scale, norm = exp2_scale(log2_scale, bound.power_of_two), exp2_scale(log2_norm)
        ctx.bound = bound
        # Torch takes the norm of a long single row in pieces, by its threads.
        ctx.compiled = integers is None and len(rows) > 1 and kernels.fits(weight, scale, norm)
        if ctx.compiled:
            saved = _bounded(rows, scale, norm, bound)
            ctx.save_for_backward(weight, *saved[:-1])
            return saved[-1].view(weight.shape)
        center = -rows.mean(1) if bound.zero_center else None
        ratio = norm / scale
        y, divisor, length = prescale(rows, center, ratio.clamp(max=bound.cap))
        q = round_to_zero(y).clamp_(-bound.limit, bound.limit) if integers is None else integers.flatten(1).clone()
        out = q.mul_(aligned(scale, rows))
        ctx.save_for_backward(weight, scale, ratio, center, y, divisor, length, out)
        return out.view(weight.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.compiled:
            return *_bounded_gradient(grad.contiguous(), ctx.bound, *ctx.saved_tensors), None, None
        weight, scale, ratio, center, y, divisor, length, out = ctx.saved_tensors
        rows, grad = weight.flatten(1), grad.flatten(1)
        # Below limit + 1, rounding toward zero stays within the limit.
        step = inside(grad, y, -(ctx.bound.limit + 1.0), ctx.bound.limit + 1.0).mul_(aligned(scale, rows))
        scratch = step * y
        to_divisor = -scratch.sum(1) / divisor
        step.div_(divisor[:, None])
        target = ratio.clamp(max=ctx.bound.cap)
        to_length = to_divisor / target
        torch.sign(rows if center is None else torch.add(rows, center[:, None], out=scratch), out=scratch)
        step.addcmul_(scratch, to_length[:, None])
        if center is not None:
            step.sub_(step.mean(1, keepdim=True))
        # With respect to logarithms: of the norm, and of the scale.
        to_norm = to_length * length * (ratio <= ctx.bound.cap) * -math.log(2)
        to_scale = torch.mul(grad, out, out=scratch).sum(1) * math.log(2) - to_norm
        to_scale = to_scale if len(scale) > 1 else to_scale.sum().view(1)
        return step.view(weight.shape), to_scale, to_norm, None, None


def _bounded(rows: Tensor, scale: Tensor, norm: Tensor, bound: _Bound) -> tuple[Tensor, ...]:
    """What the gradient needs, and last the quantised weights."""
    # Torch takes the mean: the values depend on the order of its sum.
    mean = rows.mean(1) if bound.zero_center else torch.zeros_like(norm)
    length, out = torch.empty_like(norm), torch.empty_like(rows)
    given = rows.data_ptr(), mean.data_ptr(), norm.data_ptr(), scale.data_ptr()
    columns, limits = rows.shape[1], _limits(scale, bound)
    kernels.bounded(len(rows), columns, *given, *limits, length.data_ptr(), out.data_ptr())
    return mean, norm, scale, length, out


def _bounded_gradient(
    grad: Tensor, bound: _Bound, weight: Tensor, mean: Tensor, norm: Tensor, scale: Tensor, length: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    to_weight, to_scale, to_norm = torch.empty_like(weight), torch.empty_like(scale), torch.empty_like(norm)
    given = grad.data_ptr(), weight.data_ptr(), mean.data_ptr(), norm.data_ptr(), scale.data_ptr()
    settings = *_limits(scale, bound), length.data_ptr(), bound.zero_center
    results = to_weight.data_ptr(), to_norm.data_ptr(), to_scale.data_ptr()
    kernels.bounded_gradient(len(weight), weight.numel() // len(weight), *given, *settings, *results)
    return to_weight, to_scale, to_norm


def _limits(scale: Tensor, bound: _Bound) -> tuple[int, float, float]:
    return len(scale), float(bound.cap), float(bound.limit)


class A2QWeightQuant(WeightQuantizer):
    """A2Q: L1 norm capped at T = (2^(P-1) - 1) * 2^(1_signed - N), rounded toward zero.

    Args:
        weight: float weights (C, ...), from which scale and norm start.
        bits: weight width, 2 to 8.
        accumulator_bits: signed accumulator width P.
        input_bits: width N of the layer's input, 1 to 8.
        input_signed: whether the layer's input is signed; one signed bit is bipolar.
        options: WeightQuantizer's per_channel and power_of_two, of the scale; the norm is always per channel.
    """

    zero_center = False

    def __init__(
        self, weight: Tensor, bits: int, accumulator_bits: int, input_bits: int, input_signed: bool, **options: bool
    ) -> None:
        check_activation_bits(input_bits, "input_bits")
        super().__init__(weight, bits, **options)
        self.log2_norm = nn.Parameter(weight.new_empty(weight.shape[0]))
        self.accumulator_bits = accumulator_bits
        self.input_bits = input_bits
        self.input_signed = input_signed
        self.initialize(weight)

    @torch.no_grad()
    def initialize(self, weight: Tensor) -> None:
        super().initialize(weight)
        self.log2_norm.copy_(l1_norm(weight).clamp(min=SMALLEST).log2())

    def cap(self) -> float:
        """Greatest permitted ||q||_1 of a channel, in integer units."""
        return a2q_cap(self.accumulator_bits, self.input_bits, self.input_signed)

    def norm(self) -> Tensor:
        """Learned norm g per channel in real units, before the cap, shape (C,)."""
        return learned_scale(self.log2_norm)

    @torch.no_grad()
    def prescaled(self, weight: Tensor) -> Tensor:
        """The capped, normalised weights before rounding, in integer units and ``weight``'s shape."""
        rows = weight.flatten(1)
        target = torch.clamp(self.norm() / self.scale(), max=self.cap())
        return prescale(rows, -rows.mean(1) if self.zero_center else None, target)[0].view_as(weight)

    @torch.no_grad()
    def integers(self, weight: Tensor) -> Tensor:
        """Integer weights within the bound, checked exactly: in ``weight``'s shape and float type, no gradient."""
        y = self.prescaled(weight)
        limit = self.limits()[1]
        shrink = 1e-6
        while True:
            q = round_to_zero(y).clamp_(-limit, limit)
            over = self.overflows(q)
            if not bool(over.any()):
                return q
            # The bound holds in exact arithmetic; float division can lift an element just over an integer.
            y = torch.where(aligned(over, y), y * (1 - shrink), y)
            shrink *= 2

    def forward(self, weight: Tensor) -> Tensor:
        """Quantised real weights; in training, float division may lift single elements over the bound by one.

        In evaluation they are scale * ``integers``, as exported.
        """
        integers = None if self.training else self.integers(weight)
        bound = _Bound(self.cap(), self.limits()[1], self.zero_center, self.power_of_two)
        arguments = (weight, self.log2_scale, self.log2_norm, bound, integers)
        return cast(Tensor, _A2Q.apply(*arguments))  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def overflows(self, integers: Tensor) -> Tensor:
        """Which channels can leave +-(2^(P-1) - 1) for some input, shape (C,), evaluated exactly."""
        low, high = integer_limits(self.input_bits, self.input_signed)
        q = integers.flatten(1).double()
        positive, negative = q.clamp(min=0).sum(1), (-q).clamp(min=0).sum(1)
        worst = torch.maximum(high * positive - low * negative, high * negative - low * positive)
        return worst > float(2 ** (self.accumulator_bits - 1) - 1)

    def penalty(self) -> Tensor:
        """Sum over channels of relu(g - T s): pulls a norm above its cap back to where it has a gradient."""
        return torch.relu(self.norm() - self.cap() * self.scale()).sum()

    @torch.no_grad()
    def project(self, weight: Tensor) -> Tensor:
        """Euclidean projection of ``weight`` onto the cap (EP-init), lowering the norm to it; same shape."""
        radius = (self.scale() * self.cap()).expand(weight.shape[0])
        self.log2_norm.copy_(torch.minimum(self.log2_norm, radius.log2()))
        return project_l1(weight.flatten(1), radius).view_as(weight)


class A2QPlusWeightQuant(A2QWeightQuant):
    """A2Q+: channels zero-centred before rounding, L1 norm capped at T+ = (2^P - 2) / (2^N - 1).

    Takes A2Q's arguments.
    """

    zero_center = True

    def cap(self) -> float:
        return a2q_plus_cap(self.accumulator_bits, self.input_bits, self.input_signed)


def project_l1(weight: Tensor, radius: Tensor) -> Tensor:
    """Euclidean projection of each row onto the L1 ball of its radius (soft thresholding).

    Args:
        weight: (C, K).
        radius: (C,), positive.

    Returns:
        (C, K); a row already inside its ball is returned as it is.
    """
    magnitude = weight.abs()
    ordered, _ = magnitude.sort(dim=1, descending=True)
    excess = ordered.cumsum(1) - radius[:, None]
    rank = torch.arange(1, weight.shape[1] + 1, dtype=weight.dtype, device=weight.device)
    support = (rank * ordered > excess).sum(1, keepdim=True).clamp(min=1)
    theta = excess.gather(1, support - 1) / support
    projected = weight.sign() * torch.relu(magnitude - theta)
    return torch.where(magnitude.sum(1, keepdim=True) <= radius[:, None], weight, projected)


def accumulator_penalty(model: nn.Module) -> Tensor:
    """Sum of all A2Q and A2Q+ regularisers in a model, a scalar to be weighted into the loss (1e-3 in the papers)."""
    penalties = [module.penalty() for module in model.modules() if isinstance(module, A2QWeightQuant)]
    if penalties:
        return torch.stack(penalties).sum()
    first = next(model.parameters(), None)
    return torch.zeros(()) if first is None else first.new_zeros(())

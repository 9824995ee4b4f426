# SPDX-License-Identifier: Apache-2.0
"""Quantisation as single autograd functions: few passes over memory, and nothing saved that is not there anyway.

Scales are tensors of shape () or (1,) for one scale, or (C,) for one per slice of the first axis of what is quantised.
No function here reads a value of a tensor back, so a GPU never waits for the host.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gatewright.nn import kernels

# Below this a scale or a norm counts as zero; keeps log2 and the divisions finite for dead channels.
SMALLEST = 1e-10


@dataclass(frozen=True)
class Grid:
    """Integers that a real value can become, and where the gradient passes.

    Attributes:
        low, high: least and greatest integer.
        bipolar: only -1 and +1, by the sign; 0 becomes +1.
        rectified: a ReLU stands before: no gradient at or below zero.
    """

    low: int
    high: int
    bipolar: bool = False
    rectified: bool = False


@lru_cache
def gradient_range(grid: Grid) -> tuple[float, float]:
    """Open interval of x / scale in which the gradient passes: where rounding alone leaves the limits unbroken."""
    if grid.bipolar:
        return _below(-1.0), -_below(-1.0)
    # A tie goes to the even neighbour: into the limits if the limit is even.
    low = _below(grid.low - 0.5) if grid.low % 2 == 0 else grid.low - 0.5
    high = -_below(-grid.high - 0.5) if grid.high % 2 == 0 else grid.high + 0.5
    return (0.0 if grid.rectified else low), high


def _below(value: float) -> float:
    return float(np.nextafter(np.float32(value), np.float32(-math.inf)))


def aligned(scale: Tensor, x: Tensor) -> Tensor:
    """View ``scale`` of shape (), (1,) or (C,) so that it broadcasts over the first axis of ``x``."""
    return scale if scale.dim() == 0 else scale.view(-1, *[1] * (x.dim() - 1))


def inside(grad: Tensor, x: Tensor, low: float, high: float) -> Tensor:
    """``grad`` where low < x < high, else zero: one vectorised pass, without a mask in memory."""
    return cast(Tensor, torch.ops.aten.hardtanh_backward(grad, x, low, high))


class _Quantize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, learned: bool, rounded: bool, grid: Grid, factor: float) -> Tensor:
        if learned:
            scale = exp2_scale(scale, rounded)
        out = _on_grid(x, scale, grid)
        if not any(ctx.needs_input_grad):
            return out
        ctx.grid, ctx.learned, ctx.factor = grid, learned, factor
        ctx.compiled = ctx.needs_input_grad[1] and kernels.fits(x, scale)
        ctx.save_for_backward(x, scale, out if ctx.needs_input_grad[1] and not ctx.compiled else None)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, scale, out = ctx.saved_tensors
        if ctx.compiled:
            return *_quantize_gradient(ctx, grad.contiguous(), x, scale), None, None, None, None
        scratch = x / aligned(scale, x)
        passed = inside(grad, scratch, *gradient_range(ctx.grid))
        if out is None:
            return passed, None, None, None, None, None
        # out = s q(x / s), so s d out / d s = out - x where the gradient passes, and out elsewhere.
        step = _difference(grad, out, passed, x, scale, scratch)
        step = step * (ctx.factor * math.log(2)) if ctx.learned else step * ctx.factor / scale
        return passed, step.to(scale.dtype), None, None, None, None


def _quantize_gradient(ctx: Any, grad: Tensor, x: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    factor = ctx.factor * math.log(2) if ctx.learned else ctx.factor
    to_x, to_scale, rows = torch.empty_like(x), torch.empty_like(scale), scale.numel()
    tensors = grad.data_ptr(), x.data_ptr(), scale.data_ptr()
    settings = *_limits(ctx.grid), ctx.grid.bipolar, *gradient_range(ctx.grid), factor, ctx.learned
    kernels.on_grid_gradient(rows, x.numel() // rows, *tensors, *settings, to_x.data_ptr(), to_scale.data_ptr())
    return to_x, to_scale


def _limits(grid: Grid) -> tuple[float, float]:
    return float(grid.low), float(grid.high)


def exp2_scale(exponent: Tensor, rounded: bool = False) -> Tensor:
    """2^exponent, or 2^round(exponent), at least ``SMALLEST``; without a gradient of its own."""
    return torch.exp2(exponent.round() if rounded else exponent).clamp_(min=SMALLEST)


def _on_grid(x: Tensor, scale: Tensor, grid: Grid, into: Tensor | None = None) -> Tensor:
    if into is None and kernels.fits(x, scale):
        out, rows = torch.empty_like(x), scale.numel()
        tensors = x.data_ptr(), scale.data_ptr(), out.data_ptr()
        kernels.on_grid(rows, x.numel() // rows, *tensors, *_limits(grid), grid.bipolar)
        return out
    wide = aligned(scale, x)
    out = torch.div(x, wide, out=into)
    if grid.bipolar:
        return sign(out).mul_(wide)
    # The limits are integers: clipping first or last is the same.
    return out.round_().clamp_(grid.low, grid.high).mul_(wide)


def _difference(a: Tensor, b: Tensor, c: Tensor, d: Tensor, like: Tensor, scratch: Tensor) -> Tensor:
    """sum(a * b - c * d) over all elements or, for a scale per channel, over each slice of the first axis."""
    if like.numel() == 1 and all(t.is_contiguous() and t.dtype == torch.float32 for t in (a, b, c, d)):
        return (torch.dot(a.view(-1), b.view(-1)) - torch.dot(c.view(-1), d.view(-1))).view(like.shape)
    terms = torch.mul(a, b, out=scratch).addcmul_(c, d, value=-1)
    return _sum_like(terms, like)


def _sum_like(terms: Tensor, like: Tensor) -> Tensor:
    """Sum over each slice of the first axis, or over all for one scale; in ``like``'s shape and type."""
    if like.numel() == 1:
        return terms.sum(dtype=like.dtype).view(like.shape)
    return terms.flatten(1).sum(1, dtype=like.dtype)


def quantize(x: Tensor, scale: Tensor, grid: Grid) -> Tensor:
    """scale * clip(round_half_even(x / scale)), or scale * sign(x) on a bipolar grid, in ``x``'s shape.

    Straight-through gradients: to ``x`` inside the limits, to ``scale`` as in LSQ (Esser et al., ICLR 2020, eq. 3).

    Args:
        x: real values, any shape.
        scale: positive; (), (1,) or (C,).
        grid: the limits.
    """
    return _apply(_Quantize, x, scale, False, False, grid, 1.0)


def quantize_learned(
    x: Tensor, exponent: Tensor, grid: Grid, power_of_two: bool = False, factor: float = 1.0
) -> Tensor:
    """``quantize`` with ``learned_scale(exponent, power_of_two)``; ``factor`` multiplies the exponent's gradient."""
    return _apply(_Quantize, x, exponent, True, power_of_two, grid, factor)


class _QuantizeByMax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, per_channel: bool, power_of_two: bool, grid: Grid) -> Tensor:
        x = x.contiguous()
        if not power_of_two and kernels.fits(x):
            out, place = _quantize_by_max(x, len(x) if per_channel else 1, grid)
            ctx.grid = grid
            ctx.save_for_backward(x, None, place, None)
            return out
        magnitude = x.abs()
        largest, place = _largest(magnitude.flatten(1), per_channel)
        out = _on_grid(x, _scale_of_max(largest, power_of_two, grid), grid, into=magnitude)
        ctx.save_for_backward(x, largest, place, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        x, largest, place, out = ctx.saved_tensors
        if largest is None:
            return _quantize_by_max_gradient(grad.contiguous(), x, place, ctx.grid), None, None, None
        result = torch.sub(out, x).mul_(grad)
        # The scale is proportional to the maximum, so its logarithm moves with that of the maximum.
        step = _sum_like(result, largest) / largest.clamp(min=SMALLEST)
        signs = x.flatten().index_select(0, place).sign_()
        result.copy_(grad).view(-1).index_add_(0, place, step * signs)
        return result, None, None, None


def _quantize_by_max(x: Tensor, scales: int, grid: Grid) -> tuple[Tensor, Tensor]:
    out, place = torch.empty_like(x), torch.empty(scales, dtype=torch.int64)
    tensors = x.data_ptr(), out.data_ptr(), place.data_ptr()
    kernels.by_max(len(x), x.numel() // len(x), *tensors, scales, *_limits(grid))
    return out, place


def _quantize_by_max_gradient(grad: Tensor, x: Tensor, place: Tensor, grid: Grid) -> Tensor:
    to_x = torch.empty_like(x)
    tensors = grad.data_ptr(), x.data_ptr(), place.data_ptr()
    kernels.by_max_gradient(len(x), x.numel() // len(x), *tensors, len(place), *_limits(grid), to_x.data_ptr())
    return to_x


def _largest(magnitude: Tensor, per_channel: bool) -> tuple[Tensor, Tensor]:
    """The greatest of each row, or of all as (1,), and where in the flat tensor it lies."""
    columns = magnitude.shape[1]
    if per_channel:
        largest, place = magnitude.max(1)
        return largest, place + torch.arange(0, magnitude.numel(), columns, device=magnitude.device)
    # Only the row that holds the greatest is searched for its place.
    row = magnitude.amax(1).argmax().view(1)
    largest, place = magnitude.index_select(0, row).max(1)
    return largest, place + row * columns


def _scale_of_max(largest: Tensor, power_of_two: bool, grid: Grid) -> Tensor:
    scale = largest.clamp(min=SMALLEST) / max(grid.high, -grid.low)
    return scale.log2_().ceil_().exp2_() if power_of_two else scale


@torch.no_grad()
def scale_by_max(x: Tensor, per_channel: bool, grid: Grid, power_of_two: bool = False) -> Tensor:
    """Scale that maps max|x| to the integer of greatest magnitude, (C,) or (1,); arguments of ``quantize_by_max``."""
    largest = x.flatten(1).abs().amax(1)
    return _scale_of_max(largest if per_channel else largest.amax().view(1), power_of_two, grid)


def quantize_by_max(x: Tensor, per_channel: bool, grid: Grid, power_of_two: bool = False) -> Tensor:
    """scale * clip(round_half_even(x / scale)), where the scale maps max|x| to the integer of greatest magnitude.

    The gradient passes to all of ``x``; that of the scale goes to the element (the first) that has the maximum.

    Args:
        x: (C, ...).
        per_channel: a maximum for each slice of the first axis, else one for all.
        grid: the limits.
        power_of_two: round the scale up to a power of two.
    """
    return _apply(_QuantizeByMax, x, per_channel, power_of_two, grid)


def sign(x: Tensor) -> Tensor:
    """-1 below zero, +1 from zero on, in ``x``'s type."""
    return (x >= 0).to(x.dtype).mul_(2).sub_(1)


class _QuantizeSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor) -> Tensor:
        out = sign(x).mul_(aligned(scale, x))
        ctx.save_for_backward(x, scale, out if ctx.needs_input_grad[1] else None)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None]:
        x, scale, out = ctx.saved_tensors
        passed = inside(grad, x, _below(-1.0), -_below(-1.0)).mul_(aligned(scale, x))
        if out is None:
            return passed, None
        total = (grad * out).flatten(1).sum(1)
        return passed, (total if scale.numel() > 1 else total.sum().view(scale.shape)) / scale


def quantize_sign(x: Tensor, scale: Tensor) -> Tensor:
    """scale * sign(x), where sign has the gradient of x itself for |x| <= 1 and none beyond (BinaryConnect, XNOR-Net).

    Args:
        x: (C, ...).
        scale: positive; (1,) or (C,).
    """
    return _apply(_QuantizeSign, x, scale)


class _LearnedScale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, exponent: Tensor, power_of_two: bool) -> Tensor:
        scale = exp2_scale(exponent, power_of_two)
        ctx.save_for_backward(scale)
        return scale

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (scale,) = ctx.saved_tensors
        return grad * scale * math.log(2), None


def learned_scale(exponent: Tensor, power_of_two: bool = False) -> Tensor:
    """2^exponent, at least ``SMALLEST``; the exponent is rounded first for a power of two, with its gradient kept."""
    return _apply(_LearnedScale, exponent, power_of_two)


def _apply(function: type[torch.autograd.Function], *arguments: object) -> Tensor:
    return cast(Tensor, function.apply(*arguments))  # type: ignore[no-untyped-call]

# SPDX-License-Identifier: Apache-2.0
"""Rounding and clamping with a straight-through gradient."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor


class _RoundHalfEven(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.round(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


class _RoundTowardZero(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.trunc(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


class _ClampMin(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, minimum: float) -> Tensor:
        return torch.clamp(x, min=minimum)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad * ctx.factor, None


def _apply(function: type[torch.autograd.Function], *arguments: Tensor | float) -> Tensor:
    return cast(Tensor, function.apply(*arguments))  # type: ignore[no-untyped-call]


def round_half_even(x: Tensor) -> Tensor:
    """Round to the nearest integer, ties to even; the gradient passes unchanged."""
    return _apply(_RoundHalfEven, x)


def round_toward_zero(x: Tensor) -> Tensor:
    """sign(x) * floor(|x|); the gradient passes unchanged."""
    return _apply(_RoundTowardZero, x)


def clamp_min(x: Tensor, minimum: float) -> Tensor:
    """max(x, minimum); the gradient passes unchanged on both sides."""
    return _apply(_ClampMin, x, minimum)


def scale_gradient(x: Tensor, factor: float) -> Tensor:
    """``x`` itself; its gradient is multiplied by ``factor``."""
    return _apply(_ScaleGradient, x, factor)

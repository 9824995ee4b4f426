# SPDX-License-Identifier: Apache-2.0
"""Weights of a trained layer as integers: a scale for every output channel, and an accumulator that holds every sum."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from gatewright.errors import ConfigError
from gatewright.nn import QuantWeightMixin, SymmetricWeightQuant, integer_limits, project_l1


def accumulator_width(layer: QuantWeightMixin) -> int:
    """Bits of a signed accumulator that no sum of some of the layer's products leaves, for any input of its type."""
    weights, _ = layer.integer_weight()
    low, high = integer_limits(layer.input_bits, layer.input_signed)
    rows = weights.reshape(len(weights), -1)
    positive, negative = np.maximum(rows, 0).sum(1), np.minimum(rows, 0).sum(1)
    greatest = max(0, int((positive * high + negative * low).max()))
    least = min(0, int((positive * low + negative * high).min()))
    return max(greatest.bit_length(), (-least - 1).bit_length() if least else 0) + 1


def fit_weights(name: str, layer: QuantWeightMixin, width: int | None, search: bool) -> None:
    """Choose a scale for every output channel, and under an accumulator bound new weights, in place.

    Args:
        name: of the layer, for messages.
        layer: with float weights (C, ...).
        width: of the signed accumulator that no sum of some of its products may leave; None for no bound.
        search: for the least squared error, else the scale stays the one of the greatest magnitude.

    Raises:
        ConfigError: the accumulator cannot hold one product.
    """
    quantizer = layer.weight_quantizer
    if not isinstance(quantizer, SymmetricWeightQuant):
        return  # signs have no rounding error to choose a scale by
    weight, start = layer.weight.flatten(1), quantizer.log2_scale.clone()
    # A coarser scale leaves more of the weights within an accumulator's bound.
    steps = torch.linspace(-1.5, 0 if width is None else 4, 46).tolist() if search else []
    best, chosen, kept = torch.full_like(start, math.inf), start, weight
    for step in [0.0, *steps]:
        scale = (2.0 ** (start + step))[:, None]
        rounded = scale * _integers(name, weight / scale, layer, width)
        error = (rounded - weight).square().sum(1)
        better = error < best
        best, chosen = torch.where(better, error, best), torch.where(better, start + step, chosen)
        kept = torch.where(better[:, None], rounded, kept)
    quantizer.log2_scale.copy_(chosen)
    if width is not None:
        layer.weight.copy_(kept.view_as(layer.weight))


def _integers(name: str, y: Tensor, layer: QuantWeightMixin, width: int | None) -> Tensor:
    """Weights (C, K) in units of their scale, rounded so that no sum of products leaves an accumulator of the width."""
    limit = layer.weight_quantizer.limits()[1]
    y = y.clamp(-limit, limit)
    if width is None:
        return y.round()
    low, high = integer_limits(layer.input_bits, layer.input_signed)
    budget = (2 ** (width - 1) - 1) // max(-low, high)
    if not budget:
        raise ConfigError(
            f"{name}: accumulator_bits={width!r} cannot hold one product of a weight 1 and an input of "
            f"{layer.input_bits!r} bits: use at least {layer.input_bits + 1!r}"
        )
    if low < 0:
        return y.sign() * _within(y.abs(), budget)
    # Products of either sign can meet without those of the other, so each has the whole accumulator.
    return _within(y.clamp(min=0), budget) - _within((-y).clamp(min=0), budget)


def _within(y: Tensor, budget: int) -> Tensor:
    """Integers near y >= 0 of shape (C, K), of which no row sums to more than the budget.

    Rows over it are projected onto it first; what rounding then adds is taken off where it rounded up most.
    """
    y = project_l1(y, y.new_full((len(y),), float(budget)))
    q = y.round()
    excess = (q.sum(1) - budget).clamp(min=0)
    rank = (q - y).argsort(1, descending=True).argsort(1)
    return q - (rank < excess[:, None]).to(q.dtype)

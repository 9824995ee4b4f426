# SPDX-License-Identifier: Apache-2.0
"""Weight quantisers: what they share, and the plain symmetric one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gatewright.nn.ste import clamp_min, round_half_even

# Below this a scale or a norm counts as zero; keeps log2 and the divisions finite for dead channels.
SMALLEST = 1e-10


def per_channel(values: Tensor, like: Tensor) -> Tensor:
    """View ``values`` of shape (C,) so that it broadcasts over ``like`` of shape (C, ...)."""
    return values.view(-1, *[1] * (like.dim() - 1))


class WeightQuantizer(nn.Module):
    """Signed narrow-range quantiser with a scale s = 2^d per output channel, d learned.

    Weights have shape (C, ...): output channels first, as in torch's Linear and Conv2d. A subclass defines
    ``integers``.

    Args:
        weight: float weights from which the scale starts: max|w| / (2^(bits-1) - 1).
        bits: weight width, 2 to 8.
    """

    def __init__(self, weight: Tensor, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.log2_scale = nn.Parameter(torch.empty(weight.shape[0], dtype=weight.dtype))
        # Not self.initialize: the parameters of a subclass do not exist yet.
        WeightQuantizer.initialize(self, weight)

    @property
    def limit(self) -> int:
        """Greatest magnitude of an integer weight."""
        return int(2 ** (self.bits - 1) - 1)

    @torch.no_grad()
    def initialize(self, weight: Tensor) -> None:
        """Set the learned parameters afresh from float weights of shape (C, ...)."""
        largest = weight.flatten(1).abs().amax(1)
        self.log2_scale.copy_((largest / self.limit).clamp(min=SMALLEST).log2())

    def scale(self) -> Tensor:
        """Scale per output channel, shape (C,)."""
        return clamp_min(2.0**self.log2_scale, SMALLEST)

    def integers(self, weight: Tensor) -> Tensor:
        """Integer weights, in ``weight``'s shape and float type, with a straight-through gradient."""
        raise NotImplementedError(f"{type(self).__name__} defines no integers()")

    def forward(self, weight: Tensor) -> Tensor:
        """Quantised real weights, scale * integers, in ``weight``'s shape."""
        return self.integers(weight) * per_channel(self.scale(), weight)


class SymmetricWeightQuant(WeightQuantizer):
    """q = clip(round_half_even(w / s)), no accumulator bound."""

    def integers(self, weight: Tensor) -> Tensor:
        y = round_half_even(weight / per_channel(self.scale(), weight))
        return torch.clamp(y, -self.limit, self.limit)

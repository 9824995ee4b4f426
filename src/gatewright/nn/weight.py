# SPDX-License-Identifier: Apache-2.0
"""Weight quantisers: what they share, and those without an accumulator bound."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gatewright.errors import ConfigError
from gatewright.nn.config import integer_limits
from gatewright.nn.fused import (
    SMALLEST,
    Grid,
    aligned,
    learned_scale,
    quantize,
    quantize_by_max,
    quantize_learned,
    quantize_sign,
    scale_by_max,
    sign,
)


class WeightQuantizer(nn.Module):
    """Quantiser of weights of shape (C, ...), output channels first, as in torch's Linear and convolutions.

    A subclass defines ``forward`` and ``integers``.

    Args:
        weight: float weights from which a learned scale starts.
        bits: weight width.
        narrow: leave out the integer -2^(bits-1).
        scale: ``learned`` (s = 2^d, d learned), ``stats`` (``statistic`` of the weights in every pass), or a number.
        per_channel: a scale for each output channel, else one for all.
        power_of_two: restrict the scale to powers of two.
    """

    fixed_scale: Tensor | None

    def __init__(
        self,
        weight: Tensor,
        bits: int,
        *,
        narrow: bool = True,
        scale: str | float = "learned",
        per_channel: bool = True,
        power_of_two: bool = False,
    ) -> None:
        super().__init__()
        self.bits = bits
        self.narrow = narrow
        self.per_channel = per_channel
        self.power_of_two = power_of_two
        self.from_statistics = scale == "stats"
        fixed = None if isinstance(scale, str) else weight.detach().new_full((1,), scale)
        self.register_buffer("fixed_scale", fixed, persistent=False)
        if fixed is None and not self.from_statistics:
            self.log2_scale = nn.Parameter(weight.new_empty(weight.shape[0] if per_channel else 1))
        # Not self.initialize: the parameters of a subclass do not exist yet.
        WeightQuantizer.initialize(self, weight)

    def limits(self) -> tuple[int, int]:
        """Least and greatest integer weight."""
        return integer_limits(self.bits, True, self.narrow)

    @torch.no_grad()
    def initialize(self, weight: Tensor) -> None:
        """Set the learned parameters afresh from float weights of shape (C, ...)."""
        if self.fixed_scale is None and not self.from_statistics:
            self.log2_scale.copy_(self.statistic(weight).log2())

    def grid(self) -> Grid:
        """The integers that a weight can become."""
        return Grid(*self.limits())

    def statistic(self, weight: Tensor) -> Tensor:
        """Scale that suits weights (C, ...): max|w| over the greatest magnitude of an integer; (C,) or (1,)."""
        return scale_by_max(weight, self.per_channel, self.grid(), self.power_of_two and self.from_statistics)

    def scale(self, weight: Tensor | None = None) -> Tensor:
        """Scale of each output channel, (C,), or the one of all, (1,).

        Args:
            weight: (C, ...), needed only where the scale is a statistic of it.

        Raises:
            ConfigError: it is one, and no weight is given.
        """
        if self.fixed_scale is not None:
            return self.fixed_scale
        if not self.from_statistics:
            return learned_scale(self.log2_scale, self.power_of_two)
        if weight is None:
            raise ConfigError(f"{type(self).__name__} with scale='stats' has no scale of its own: pass the weight")
        return self.statistic(weight)

    def integers(self, weight: Tensor) -> Tensor:
        """Integer weights, in ``weight``'s shape and float type, without a gradient."""
        raise NotImplementedError(f"{type(self).__name__} defines no integers()")

    def forward(self, weight: Tensor) -> Tensor:
        """Quantised real weights, scale * integers, in ``weight``'s shape, with a straight-through gradient."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward()")


class SymmetricWeightQuant(WeightQuantizer):
    """q = clip(round_half_even(w / s)); takes WeightQuantizer's arguments.

    A statistical scale that is a power of two is the next greater one.
    """

    @torch.no_grad()
    def integers(self, weight: Tensor) -> Tensor:
        return torch.clamp(torch.round(weight / aligned(self.scale(weight), weight)), *self.limits())

    def forward(self, weight: Tensor) -> Tensor:
        if self.fixed_scale is not None:
            return quantize(weight, self.fixed_scale, self.grid())
        if self.from_statistics:
            return self._by_statistic(weight)
        return quantize_learned(weight, self.log2_scale, self.grid(), self.power_of_two)

    def _by_statistic(self, weight: Tensor) -> Tensor:
        return quantize_by_max(weight, self.per_channel, self.grid(), self.power_of_two)


class TernaryWeightQuant(SymmetricWeightQuant):
    """q = clip(round_half_even(w / s)) in {-1, 0, +1}.

    The scale starts from, or is, 1.4 mean|w|: rounding then has the threshold 0.7 mean|w| of ternary weight networks
    (Li and Liu, 2016). A power of two is the nearest one.

    Args:
        weight: as in WeightQuantizer.
        options: WeightQuantizer's scale, per_channel and power_of_two.
    """

    def __init__(self, weight: Tensor, *, scale: str | float = "learned", **options: bool) -> None:
        super().__init__(weight, 2, scale=scale, **options)

    def statistic(self, weight: Tensor) -> Tensor:
        return _mean_magnitude(self, weight, 1.4)

    def _by_statistic(self, weight: Tensor) -> Tensor:
        return quantize(weight, self.statistic(weight), self.grid())


class BipolarWeightQuant(WeightQuantizer):
    """q = sign(w) in {-1, +1}, 0 becoming +1; the gradient passes the sign where |w| <= 1.

    The scale starts from, or is, mean|w| (XNOR-Net, Rastegari et al., ECCV 2016). A power of two is the nearest one.

    Args:
        weight: as in WeightQuantizer.
        options: WeightQuantizer's scale, per_channel and power_of_two.
    """

    def __init__(self, weight: Tensor, *, scale: str | float = "learned", **options: bool) -> None:
        super().__init__(weight, 1, scale=scale, **options)

    def statistic(self, weight: Tensor) -> Tensor:
        return _mean_magnitude(self, weight, 1.0)

    @torch.no_grad()
    def integers(self, weight: Tensor) -> Tensor:
        return sign(weight)

    def forward(self, weight: Tensor) -> Tensor:
        return quantize_sign(weight, self.scale(weight))


def _mean_magnitude(quantizer: WeightQuantizer, weight: Tensor, factor: float) -> Tensor:
    """factor * mean|w|, (C,) or (1,)."""
    mean = weight.flatten(1).abs().mean(1) if quantizer.per_channel else weight.abs().mean().view(1)
    scale = (factor * mean).clamp(min=SMALLEST)
    return learned_scale(scale.log2(), True) if quantizer.power_of_two and quantizer.from_statistics else scale

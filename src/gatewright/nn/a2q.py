# SPDX-License-Identifier: Apache-2.0
"""Accumulator-aware weight quantisers: A2Q (Colbert et al., ICCV 2023) and A2Q+ (Colbert et al., ICML 2024).

Per output channel, with direction v, norm g = 2^t and scale s = 2^d (t and d learned):

    q = clip(rtz(min(g / s, T) * v / ||v||_1))

where rtz rounds toward zero and the cap T bounds ||q||_1 so that no partial sum of q * x leaves
+-(2^(P-1) - 1), whatever the inputs and the order. A2Q+ first subtracts the channel's mean from v, which permits
about twice the norm for unsigned inputs. The order of evaluation is that of Brevitas.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gatewright.errors import ConfigError
from gatewright.nn.config import check_activation_bits, integer_limits
from gatewright.nn.ste import clamp_min, round_toward_zero
from gatewright.nn.weight import SMALLEST, WeightQuantizer, per_channel


def a2q_cap(accumulator_bits: int, input_bits: int, input_signed: bool) -> float:
    """Greatest ||q||_1 under A2Q: T = (2^(P-1) - 1) * 2^(1_signed - N)."""
    return float((2 ** (accumulator_bits - 1) - 1) * 2.0 ** (int(input_signed) - input_bits))


def a2q_plus_cap(accumulator_bits: int, input_bits: int) -> float:
    """Greatest ||q||_1 under A2Q+, for zero-centred weights: T+ = (2^P - 2) / (2^N - 1)."""
    return float((2**accumulator_bits - 2) / (2**input_bits - 1))


def l1_norm(weight: Tensor) -> Tensor:
    """L1 norm of each channel, (C, ...) to (C,)."""
    norm: Tensor = torch.linalg.vector_norm(weight.flatten(1), 1, dim=1)
    return norm


class A2QWeightQuant(WeightQuantizer):
    """A2Q: L1 norm capped at T = (2^(P-1) - 1) * 2^(1_signed - N), rounded toward zero.

    Args:
        weight: float weights (C, ...), from which scale and norm start.
        bits: weight width, 2 to 8.
        accumulator_bits: signed accumulator width P.
        input_bits: width N of the layer's input, 1 to 8.
        input_signed: whether the layer's input is signed.
    """

    def __init__(self, weight: Tensor, bits: int, accumulator_bits: int, input_bits: int, input_signed: bool) -> None:
        check_activation_bits(input_bits, "input_bits")
        super().__init__(weight, bits)
        self.log2_norm = nn.Parameter(torch.empty_like(self.log2_scale))
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
        return clamp_min(2.0**self.log2_norm, SMALLEST)

    def center(self, weight: Tensor) -> Tensor:
        """What is added to each channel before rounding, shape (C,): nothing in A2Q, -mean in A2Q+."""
        return torch.zeros(weight.shape[0], dtype=weight.dtype)

    def prescaled(self, weight: Tensor) -> Tensor:
        """The capped, normalised weights before rounding, in integer units and ``weight``'s shape."""
        center = self.center(weight)
        length = l1_norm(weight + per_channel(center, weight))
        pre_scale = clamp_min(length / torch.clamp(self.norm() / self.scale(), max=self.cap()), SMALLEST)
        return weight / per_channel(pre_scale, weight) + per_channel(center / pre_scale, weight)

    def integers(self, weight: Tensor) -> Tensor:
        y = self.prescaled(weight)
        shrink = 1e-6
        while True:
            q = torch.clamp(round_toward_zero(y), -self.limit, self.limit)
            over = self.overflows(q)
            if not bool(over.any()):
                return q
            # The bound holds in exact arithmetic; float division can lift an element just over an integer.
            y = torch.where(per_channel(over, y), y * (1 - shrink), y)
            shrink *= 2

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
        radius = self.scale() * self.cap()
        self.log2_norm.copy_(torch.minimum(self.log2_norm, radius.log2()))
        return project_l1(weight.flatten(1), radius).view_as(weight)


class A2QPlusWeightQuant(A2QWeightQuant):
    """A2Q+: channels zero-centred before rounding, L1 norm capped at T+ = (2^P - 2) / (2^N - 1).

    Takes A2Q's arguments.

    Raises:
        ConfigError: for bipolar inputs, whose range 2 is not the 2^N - 1 of the bound.
    """

    def __init__(self, weight: Tensor, bits: int, accumulator_bits: int, input_bits: int, input_signed: bool) -> None:
        if input_bits == 1 and input_signed:
            raise ConfigError("kind='a2q+' has no bound for bipolar inputs (input_bits=1, signed): use kind='a2q'")
        super().__init__(weight, bits, accumulator_bits, input_bits, input_signed)

    def cap(self) -> float:
        return a2q_plus_cap(self.accumulator_bits, self.input_bits)

    def center(self, weight: Tensor) -> Tensor:
        return -weight.flatten(1).mean(1)


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
    rank = torch.arange(1, weight.shape[1] + 1, dtype=weight.dtype)
    support = (rank * ordered > excess).sum(1, keepdim=True).clamp(min=1)
    theta = excess.gather(1, support - 1) / support
    projected = weight.sign() * torch.relu(magnitude - theta)
    return torch.where(magnitude.sum(1, keepdim=True) <= radius[:, None], weight, projected)


def accumulator_penalty(model: nn.Module) -> Tensor:
    """Sum of all A2Q and A2Q+ regularisers in a model, a scalar to be weighted into the loss (1e-3 in the papers)."""
    penalties = [module.penalty() for module in model.modules() if isinstance(module, A2QWeightQuant)]
    return torch.stack(penalties).sum() if penalties else torch.zeros(())

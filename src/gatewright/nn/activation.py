# SPDX-License-Identifier: Apache-2.0
"""Activation quantisers with one learned scale per tensor."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gatewright.errors import ConfigError, DataError, ModelError
from gatewright.nn.config import check_activation_bits, integer_limits
from gatewright.nn.ste import clamp_min, round_half_even, scale_gradient
from gatewright.nn.weight import SMALLEST


class QuantIdentity(nn.Module):
    """q = clip(round_half_even(x / s)), output s * q: for a model's input, a residual branch, a pooled mean.

    Both addends of a residual connection go through ONE such module, so that they share a scale.

    s = 2^d, d learned with the gradient of LSQ (Esser et al., ICLR 2020). The scale starts in a calibration pass
    (``gatewright.train.calibrate``) from a percentile of |x|, or from ``max_value``. One signed bit is bipolar:
    x >= 0 gives +s, else -s; it trains and exports, but the compiler has no hardware for it yet.

    Args:
        bits: width, 1 to 8.
        signed: two's complement (full range) if true, else 0 to 2^bits - 1.
        power_of_two: restrict the scale to powers of two.
        percentile: of |x|, in (0, 100], that calibration maps to the greatest integer.
        max_value: the greatest real value, if known; the module then needs no calibration.

    Raises:
        ConfigError: a setting of the wrong type or out of range.
    """

    calibrated: Tensor

    def __init__(
        self,
        bits: int,
        signed: bool,
        *,
        power_of_two: bool = False,
        percentile: float = 99.9,
        max_value: float | None = None,
    ) -> None:
        super().__init__()
        check_activation_bits(bits, "bits")
        if not 0 < percentile <= 100:
            raise ConfigError(f"percentile={percentile!r} must lie in (0, 100]")
        if max_value is not None and not 0 < max_value < math.inf:
            raise ConfigError(f"max_value={max_value!r} must be positive and finite")
        self.bits = bits
        self.signed = signed
        self.power_of_two = power_of_two
        self.percentile = percentile
        self.observing = False
        self.module_name = ""  # its path in the model while that is calibrated, for messages
        self.log2_scale = nn.Parameter(torch.zeros(()))
        self.register_buffer("calibrated", torch.tensor(False))
        if max_value is not None:
            self._start_from(torch.tensor(max_value))

    def scale(self) -> Tensor:
        """The scale, a scalar tensor."""
        exponent = round_half_even(self.log2_scale) if self.power_of_two else self.log2_scale
        return clamp_min(2.0**exponent, SMALLEST)

    def limits(self) -> tuple[int, int]:
        """Least and greatest integer that comes out."""
        return integer_limits(self.bits, self.signed)

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        """Widen the range to the percentile of |x| (of the positive values, if unsigned); any shape.

        Raises:
            DataError: a value that is NaN or infinite.
        """
        if unfit := int((~torch.isfinite(x)).sum()):
            raise DataError(
                f"{self.module_name or 'a quantiser'}: {self._described()} saw {unfit!r} NaN or infinite of "
                f"{x.numel()!r} values, which give no scale: remove them from the inputs, or mend the layers before it"
            )
        magnitude = (x.abs() if self.signed else x.clamp(min=0)).flatten()
        rank = max(1, math.ceil(self.percentile / 100 * magnitude.numel()))
        largest = magnitude.kthvalue(rank).values
        if bool(self.calibrated):
            largest = torch.maximum(largest, self.scale() * self.limits()[1])
        self._start_from(largest)

    def _start_from(self, largest: Tensor) -> None:
        with torch.no_grad():
            self.log2_scale.copy_((largest / self.limits()[1]).clamp(min=SMALLEST).log2())
            self.calibrated.fill_(True)

    def forward(self, x: Tensor) -> Tensor:
        if self.observing:
            self.observe(x)
            return x
        if not bool(self.calibrated):
            raise ModelError(
                f"{self._described()} has no scale yet: run "
                "gatewright.train.calibrate(model, inputs) first, or give max_value"
            )
        low, high = self.limits()
        scale = self._gradient_scaled(x)
        y = x / scale
        if (low, high) == (-1, 1):
            y = torch.clamp(y, low, high)
            return (y + (torch.where(y >= 0, 1.0, -1.0) - y).detach()) * scale
        return torch.clamp(round_half_even(y), low, high) * scale

    def _described(self) -> str:
        return f"{type(self).__name__}(bits={self.bits!r}, signed={self.signed!r})"

    def _gradient_scaled(self, x: Tensor) -> Tensor:
        # LSQ divides the gradient of the scale by sqrt(elements of a sample * greatest integer).
        elements = max(1, x[:1].numel())
        return scale_gradient(self.scale(), 1 / math.sqrt(elements * self.limits()[1]))


class QuantReLU(QuantIdentity):
    """ReLU, then an unsigned QuantIdentity.

    Args:
        bits: width, 1 to 8.
        power_of_two, percentile, max_value: as in QuantIdentity.
    """

    def __init__(
        self,
        bits: int,
        *,
        power_of_two: bool = False,
        percentile: float = 99.9,
        max_value: float | None = None,
    ) -> None:
        super().__init__(bits, signed=False, power_of_two=power_of_two, percentile=percentile, max_value=max_value)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.relu(x))

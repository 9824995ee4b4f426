# SPDX-License-Identifier: Apache-2.0
"""Activation quantisers with one scale per tensor."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from gatewright.errors import ConfigError, DataError, ModelError
from gatewright.nn.config import check_activation_bits, integer_limits, is_positive_number
from gatewright.nn.fused import SMALLEST, Grid, learned_scale, quantize_learned


class QuantIdentity(nn.Module):
    """q = clip(round_half_even(x / s)), output s * q: for a model's input, a residual branch, a pooled mean.

    s = 2^d, d learned with the gradient of LSQ (Esser et al., ICLR 2020). The scale starts in a calibration pass
    (``gatewright.train.calibrate``) from a percentile of |x|, or from ``max_value``. One signed bit is bipolar:
    x >= 0 gives +s, else -s. A signed quantiser clips as a hard tanh does.

    Args:
        bits: width, 1 to 8.
        signed: two's complement (full range) if true, else 0 to 2^bits - 1.
        narrow: leave out the least integer of a signed range, so that it is symmetric.
        learned: if false, the scale stays as calibrated.
        power_of_two: restrict the scale to powers of two.
        percentile: of |x|, in (0, 100], that calibration maps to the greatest integer.
        max_value: the greatest real value, if known; the module then needs no calibration.

    Raises:
        ConfigError: a setting of the wrong type or out of range.
    """

    calibrated: Tensor
    rectified = False

    def __init__(
        self,
        bits: int,
        signed: bool,
        *,
        narrow: bool = False,
        learned: bool = True,
        power_of_two: bool = False,
        percentile: float = 99.9,
        max_value: float | None = None,
    ) -> None:
        super().__init__()
        check_activation_bits(bits, "bits")
        if narrow and not (signed and bits > 1):
            raise ConfigError(
                f"narrow=True with bits={bits!r}, signed={signed!r}: only signed ranges of 2 bits and more have a "
                "least integer to leave out"
            )
        if not 0 < percentile <= 100:
            raise ConfigError(f"percentile={percentile!r} must lie in (0, 100]")
        if max_value is not None and not is_positive_number(max_value):
            raise ConfigError(f"max_value={max_value!r} must be positive and finite")
        self.bits = bits
        self.signed = signed
        self.narrow = narrow
        self.power_of_two = power_of_two
        self.percentile = percentile
        self.observing = False
        self.module_name = ""  # its path in the model while that is calibrated, for messages
        self.grid = Grid(*self.limits(), bipolar=signed and bits == 1, rectified=self.rectified)
        self.log2_scale = nn.Parameter(torch.zeros(()), requires_grad=learned)
        self.register_buffer("calibrated", torch.tensor(False))
        # What `calibrated` was found to be: reading it in every pass would make the host wait for a GPU.
        self._ready = False
        if max_value is not None:
            self._start_from(torch.tensor(float(max_value)))

    def scale(self) -> Tensor:
        """The scale, a scalar tensor."""
        return learned_scale(self.log2_scale, self.power_of_two)

    def limits(self) -> tuple[int, int]:
        """Least and greatest integer that comes out."""
        return integer_limits(self.bits, self.signed, self.narrow)

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

    @torch.no_grad()
    def _start_from(self, largest: Tensor) -> None:
        self.log2_scale.copy_((largest / self.limits()[1]).clamp(min=SMALLEST).log2())
        self.calibrated.fill_(True)

    def forward(self, x: Tensor) -> Tensor:
        if self.observing:
            self._ready = False
            self.observe(x)
            return torch.relu(x) if self.rectified else x
        if not (self._ready and self.training):
            self._check_calibrated()
        # LSQ divides the gradient of the scale by sqrt(elements of a sample * greatest integer).
        elements = math.prod(x.shape[1:]) or 1
        factor = 1 / math.sqrt(elements * self.grid.high)
        return quantize_learned(x, self.log2_scale, self.grid, self.power_of_two, factor)

    def _check_calibrated(self) -> None:
        self._ready = bool(self.calibrated)
        if not self._ready:
            raise ModelError(
                f"{self._described()} has no scale yet: run "
                "gatewright.train.calibrate(model, inputs) first, or give max_value"
            )

    def _load_from_state_dict(self, *arguments: Any) -> None:
        self._ready = False
        super()._load_from_state_dict(*arguments)

    def _described(self) -> str:
        return f"{type(self).__name__}(bits={self.bits!r}, signed={self.signed!r})"


class QuantReLU(QuantIdentity):
    """ReLU, then an unsigned QuantIdentity.

    Args:
        bits: width, 1 to 8.
        learned, power_of_two, percentile, max_value: as in QuantIdentity.
    """

    rectified = True

    def __init__(
        self,
        bits: int,
        *,
        learned: bool = True,
        power_of_two: bool = False,
        percentile: float = 99.9,
        max_value: float | None = None,
    ) -> None:
        super().__init__(
            bits, False, learned=learned, power_of_two=power_of_two, percentile=percentile, max_value=max_value
        )

# SPDX-License-Identifier: Apache-2.0
"""Modules whose inputs meet on one scale, and upsampling, which keeps it.

Pooling needs no module of its own: torch's MaxPool1d and MaxPool2d keep the type of their input, and AvgPool1d,
AvgPool2d and AdaptiveAvgPool2d(1) are followed by a QuantIdentity.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from gatewright.errors import ConfigError, DataError
from gatewright.nn.activation import QuantIdentity


class QuantAdd(nn.Module):
    """Residual sum: each addend through one shared quantiser, so that integers of one scale are added.

    n addends of b bits give a sum of b + ceil(log2 n) bits.

    Args:
        bits, signed: of the quantiser.
        options: QuantIdentity's narrow, learned, power_of_two, percentile and max_value.

    Raises:
        ConfigError: a setting of the wrong type or out of range.
    """

    def __init__(self, bits: int, signed: bool = True, **options: Any) -> None:
        super().__init__()
        self.quantizer = QuantIdentity(bits, signed, **options)

    def forward(self, *inputs: Tensor) -> Tensor:
        """The sum of two or more tensors of one shape."""
        _check_count(self, inputs)
        total: Tensor = reduce(torch.add, [self.quantizer(x) for x in inputs])
        return total


class QuantConcat(nn.Module):
    """Concatenation along the channels (axis 1): each part through one shared quantiser.

    Args:
        bits, signed: of the quantiser.
        options: QuantIdentity's narrow, learned, power_of_two, percentile and max_value.

    Raises:
        ConfigError: a setting of the wrong type or out of range.
    """

    def __init__(self, bits: int, signed: bool = False, **options: Any) -> None:
        super().__init__()
        self.quantizer = QuantIdentity(bits, signed, **options)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Two or more tensors (N, C_i, ...) as one, (N, sum of C_i, ...)."""
        _check_count(self, inputs)
        return torch.cat([self.quantizer(x) for x in inputs], 1)


class QuantUpsample(nn.Upsample):
    """Nearest-neighbour upsampling of (N, C, L) or (N, C, H, W) by an integer factor: every value is repeated.

    Args:
        scale_factor: 2 or more.

    Raises:
        ConfigError: another factor.
    """

    def __init__(self, scale_factor: int) -> None:
        factor: object = scale_factor
        if not isinstance(factor, int) or isinstance(factor, bool) or factor < 2:
            raise ConfigError(f"scale_factor={factor!r} must be an integer, 2 or more")
        super().__init__(scale_factor=scale_factor, mode="nearest")


def _check_count(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    if len(inputs) < 2:
        raise DataError(f"{type(module).__name__} got {len(inputs)!r} inputs: pass two or more tensors")

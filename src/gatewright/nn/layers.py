# SPDX-License-Identifier: Apache-2.0
"""Drop-in quantised versions of torch's Linear, Conv1d and Conv2d."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from gatewright.errors import ConfigError
from gatewright.nn.a2q import A2QPlusWeightQuant, A2QWeightQuant
from gatewright.nn.config import WeightQuant, check_activation_bits
from gatewright.nn.weight import BipolarWeightQuant, SymmetricWeightQuant, TernaryWeightQuant, WeightQuantizer


def make_weight_quantizer(weight: Tensor, quant: WeightQuant, input_bits: int, input_signed: bool) -> WeightQuantizer:
    """The quantiser that ``quant`` asks for, started from ``weight`` of shape (C, ...)."""
    # A caller without a type checker can pass anything.
    given: object = quant
    if not isinstance(given, WeightQuant):
        raise ConfigError(f"weight_quant={given!r} is no WeightQuant: give gatewright.nn.WeightQuant(bits=4), say")
    check_activation_bits(input_bits, "input_bits")
    shared = {"per_channel": quant.per_channel, "power_of_two": quant.power_of_two}
    if quant.accumulator_bits is not None:
        kind = A2QPlusWeightQuant if quant.kind == "a2q+" else A2QWeightQuant
        return kind(weight, quant.bits, quant.accumulator_bits, input_bits, input_signed, **shared)
    if quant.kind == "ternary":
        return TernaryWeightQuant(weight, scale=quant.scale, **shared)
    if quant.kind == "bipolar":
        return BipolarWeightQuant(weight, scale=quant.scale, **shared)
    return SymmetricWeightQuant(weight, quant.bits, narrow=quant.narrow, scale=quant.scale, **shared)


class QuantWeightMixin:
    """What layers with quantised weights share."""

    weight: Tensor
    weight_quantizer: WeightQuantizer
    input_bits: int
    input_signed: bool

    def _quantize_weights(self, weight_quant: WeightQuant, input_bits: int, input_signed: bool) -> None:
        self.input_bits = input_bits
        self.input_signed = input_signed
        self.weight_quantizer = make_weight_quantizer(self.weight, weight_quant, input_bits, input_signed)

    def quantized_weight(self) -> Tensor:
        """Real-valued weights on the integer grid, in ``weight``'s shape."""
        quantized: Tensor = self.weight_quantizer(self.weight)
        return quantized

    @torch.no_grad()
    def integer_weight(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Integer weights (int64, ``weight``'s shape) and the scale of each output channel (float64, (C,))."""
        integers = self.weight_quantizer.integers(self.weight).cpu().numpy().astype(np.int64)
        scale = self.weight_quantizer.scale(self.weight).expand(len(self.weight))
        return integers, scale.cpu().numpy().astype(np.float64)


class QuantLinear(QuantWeightMixin, nn.Linear):
    """torch.nn.Linear with quantised weights; the bias stays float.

    Inputs of shape (N, in_features) become hardware. Sequences, (N, T, in_features), train and export, as a Transpose
    and a MatMul, which the compiler refuses: there a QuantConv2d with a 1x1 kernel, on (N, in_features, T, 1), does
    the same.

    Args:
        in_features, out_features, bias: as in torch.
        weight_quant: how the weights are quantised.
        input_bits: width of the layer's quantised input, 1 to 8.
        input_signed: whether that input is signed.

    Raises:
        ConfigError: a setting of the wrong type or out of range.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        weight_quant: WeightQuant,
        input_bits: int,
        input_signed: bool = False,
    ) -> None:
        super().__init__(in_features, out_features, bias)
        self._quantize_weights(weight_quant, input_bits, input_signed)

    def forward(self, input: Tensor) -> Tensor:
        return functional.linear(input, self.quantized_weight(), self.bias)


class QuantConv1d(QuantWeightMixin, nn.Conv1d):
    """torch.nn.Conv1d with quantised weights; the bias stays float.

    Args:
        in_channels, out_channels, kernel_size: as in torch.
        weight_quant: how the weights are quantised.
        input_bits: width of the layer's quantised input, 1 to 8.
        input_signed: whether that input is signed.
        options: torch's stride, padding, dilation, groups and bias.

    Raises:
        ConfigError: a setting of the wrong type or out of range, or padding with anything but zeros.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int],
        *,
        weight_quant: WeightQuant,
        input_bits: int,
        input_signed: bool = False,
        **options: Any,
    ) -> None:
        _check_padding(options)
        super().__init__(in_channels, out_channels, kernel_size, **options)
        self._quantize_weights(weight_quant, input_bits, input_signed)

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = self._conv_forward(input, self.quantized_weight(), self.bias)
        return output


class QuantConv2d(QuantWeightMixin, nn.Conv2d):
    """torch.nn.Conv2d with quantised weights; the bias stays float.

    Args:
        in_channels, out_channels, kernel_size: as in torch.
        weight_quant, input_bits, input_signed: as in QuantConv1d.
        options: torch's stride, padding, dilation, groups and bias.

    Raises:
        ConfigError: a setting of the wrong type or out of range, or padding with anything but zeros.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        *,
        weight_quant: WeightQuant,
        input_bits: int,
        input_signed: bool = False,
        **options: Any,
    ) -> None:
        _check_padding(options)
        super().__init__(in_channels, out_channels, kernel_size, **options)
        self._quantize_weights(weight_quant, input_bits, input_signed)

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = self._conv_forward(input, self.quantized_weight(), self.bias)
        return output


def _check_padding(options: dict[str, Any]) -> None:
    if (mode := options.get("padding_mode", "zeros")) != "zeros":
        raise ConfigError(f"padding_mode={mode!r} has no hardware: use 'zeros'")

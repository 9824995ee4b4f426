# SPDX-License-Identifier: Apache-2.0
"""Normalised pixels for training, raw ones for hardware: the first layer takes the normalisation on itself.

A layer with weights W on normalised pixels computes, for pixels q from 0 to ``full``,

    sum W * (q / full - mean) / std + b  =  sum V * q + c,   V = W / (full * std),   c = b - sum V * full * mean

`FirstLayer` trains W, quantises V and computes the right side, so that the layer exported (V and c) is the layer that
was trained, bit for bit. Zero padding stands for q = 0, as in hardware, not for the mean: c is the same at every pixel.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gatewright.errors import ConfigError, ModelError
from gatewright.nn import QuantWeightMixin, ep_init


class FirstLayer(nn.Module):
    """A first layer, float or quantised, that sees normalised pixels while it is given raw ones.

    Args:
        layer: Linear on flattened images, channels first, or Conv2d; quantised or not. It is changed.
        mean, std: of pixels / full: one for all channels, or one for each.
        full: value of the brightest pixel.

    Raises:
        ConfigError: another number of channels, or a deviation that is not above 0.
        ModelError: another kind of layer.
    """

    divisor: Tensor
    offset: Tensor

    def __init__(self, layer: nn.Module, mean: Sequence[float], std: Sequence[float], full: float) -> None:
        super().__init__()
        if not isinstance(layer, (nn.Linear, nn.Conv2d)):
            raise ModelError(
                f"the first layer is a {type(layer).__name__}: pixels are normalised for Linear and Conv2d"
            )
        divisor = _per_input(torch.tensor(std, dtype=torch.float32) * full, layer.weight, "std")
        if not bool((divisor > 0).all()):
            raise ConfigError(f"std={tuple(std)!r} must be above 0")
        offset = _per_input(torch.tensor(mean, dtype=torch.float32) * full, layer.weight, "mean")
        self.register_buffer("divisor", divisor, persistent=False)
        self.register_buffer("offset", offset, persistent=False)
        self.layer = layer
        self.restart()

    def restart(self) -> None:
        """Start the weight quantiser from the weights as they are now."""
        if isinstance(self.layer, QuantWeightMixin):
            self.layer.weight_quantizer.initialize(self.layer.weight / self.divisor)

    def forward(self, x: Tensor) -> Tensor:
        """Raw pixels, as the layer takes them, to what the layer gives."""
        weight, bias = self._weight_and_bias()
        if isinstance(self.layer, nn.Conv2d):
            output: Tensor = self.layer._conv_forward(x, weight, bias)
            return output
        return functional.linear(x, weight, bias)

    def _weight_and_bias(self) -> tuple[Tensor, Tensor]:
        layer, weight = self.layer, self.layer.weight / self.divisor
        if isinstance(layer, QuantWeightMixin):
            weight = layer.weight_quantizer(weight)
        shift = (weight * self.offset).flatten(1).sum(1)
        return weight, -shift if layer.bias is None else layer.bias - shift

    @torch.no_grad()
    def plain(self) -> nn.Module:
        """A layer of the wrapped kind that computes the same without normalisation; the trained one is left alone."""
        _, bias = self._weight_and_bias()
        layer = copy.deepcopy(self.layer)
        layer.weight = nn.Parameter(layer.weight / self.divisor)
        layer.bias = nn.Parameter(bias.clone())
        return layer


def _per_input(values: Tensor, weight: Tensor, name: str) -> Tensor:
    """Values of channels so that they broadcast over a weight (outputs, inputs, ...)."""
    inputs, convolution = weight.shape[1], weight.dim() > 2
    if len(values) > 1 and (inputs != len(values) if convolution else inputs % len(values)):
        raise ConfigError(
            f"{name} has {len(values)} values, where the first layer has {inputs} inputs: give one, or one a channel"
        )
    spread = values.repeat_interleave(inputs // len(values)) if len(values) > 1 else values
    return spread.view(1, -1, *[1] * (weight.dim() - 2))


def fold_normalization(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose first layers are plain ones: what is exported. It computes the same bits."""
    folded = copy.deepcopy(model).eval()
    for name, module in list(folded.named_modules()):
        if isinstance(module, FirstLayer):
            folded.set_submodule(name, module.plain())
    return folded


@torch.no_grad()
def ep_init_all(model: nn.Module) -> None:
    """``ep_init`` that reaches the layers within `FirstLayer` too, in place."""
    first = [module for module in model.modules() if isinstance(module, FirstLayer)]
    for module in first:
        module.layer.weight.div_(module.divisor)
    ep_init(model)
    for module in first:
        module.layer.weight.mul_(module.divisor)

# SPDX-License-Identifier: Apache-2.0
"""The demonstration recipe: a small residual network on 8x8 digits, W4A4 with 14-bit accumulators."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from gatewright.data import DataSet, digits
from gatewright.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU, WeightQuant, ep_init, load_float
from gatewright.progress import Progress, silent
from gatewright.train.loop import TrainConfig, evaluate, fit

WEIGHTS = WeightQuant(bits=4, kind="a2q+", accumulator_bits=14)


class DigitsNet(nn.Module):
    """Convolution, residual block, pooling, convolution, pooling, classifier: (N, 1, 8, 8) in [0, 1] to (N, 10).

    Args:
        quantized: with quantisers, or the float network of the same parameter names.
    """

    def __init__(self, quantized: bool) -> None:
        super().__init__()
        self.quantized = quantized
        self.input = _sixteenths() if quantized else nn.Identity()
        self.conv1, self.bn1, self.relu1 = self._conv(1, 16), nn.BatchNorm2d(16), self._relu()
        self.conv2, self.bn2, self.relu2 = self._conv(16, 16), nn.BatchNorm2d(16), self._relu()
        self.addend = self._identity(4, signed=True)
        self.pool = nn.MaxPool2d(2)
        self.conv3, self.bn3, self.relu3 = self._conv(16, 32), nn.BatchNorm2d(32), self._relu()
        self.average = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.mean = self._identity(8, signed=False)
        self.linear = QuantLinear(32, 10, weight_quant=WEIGHTS, input_bits=8) if quantized else nn.Linear(32, 10)

    def _conv(self, inputs: int, outputs: int) -> nn.Conv2d:
        if not self.quantized:
            return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        return QuantConv2d(inputs, outputs, 3, padding=1, bias=False, weight_quant=WEIGHTS, input_bits=4)

    def _relu(self) -> nn.Module:
        return QuantReLU(4) if self.quantized else nn.ReLU()

    def _identity(self, bits: int, signed: bool) -> nn.Module:
        return QuantIdentity(bits, signed) if self.quantized else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.bn1(self.conv1(self.input(x))))
        x = self.relu2(self.addend(self.bn2(self.conv2(x))) + self.addend(x))
        x = self.relu3(self.bn3(self.conv3(self.pool(x))))
        x = self.mean(self.flatten(self.average(x)))
        return cast(Tensor, self.linear(x))


def _sixteenths() -> QuantIdentity:
    """Scale fixed at 1/16: pixels are sixteenths, all but the brightest (16/16, clipped) are kept exactly."""
    quantizer = QuantIdentity(4, signed=False, power_of_two=True, max_value=15 / 16)
    quantizer.log2_scale.requires_grad_(False)
    return quantizer


@contextmanager
def _one_thread() -> Iterator[None]:
    # So small a network gains nothing from threads, and the result must not depend on the number of cores.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True, eq=False)
class DigitsResult:
    """Both trained models, in evaluation mode, and their accuracy on the 360 test images (fractions)."""

    float_model: DigitsNet
    quant_model: DigitsNet
    float_accuracy: float
    quant_accuracy: float


def train_digits(
    seed: int = 0, float_epochs: int = 20, quant_epochs: int = 50, progress: Progress = silent
) -> DigitsResult:
    """Train the float network, then the quantised one from its weights; the same seed gives the same result.

    Raises:
        ConfigError: a number of epochs below 1.
    """
    with _one_thread():
        return _train(digits.load(), seed, float_epochs, quant_epochs, progress)


def _train(data: DataSet, seed: int, float_epochs: int, quant_epochs: int, progress: Progress) -> DigitsResult:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        float_model, quant_model = DigitsNet(quantized=False), DigitsNet(quantized=True)
    fit(
        float_model,
        data.train,
        data.test,
        TrainConfig(float_epochs, lr=5e-3, seed=seed),
        progress,
        "training the float network",
    )
    load_float(quant_model, float_model.state_dict())
    ep_init(quant_model)
    fit(
        quant_model,
        data.train,
        data.test,
        TrainConfig(quant_epochs, lr=1e-2, seed=seed),
        progress,
        "training the quantised network",
    )
    return DigitsResult(
        float_model.eval(), quant_model.eval(), evaluate(float_model, data.test), evaluate(quant_model, data.test)
    )

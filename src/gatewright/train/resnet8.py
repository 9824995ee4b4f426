# SPDX-License-Identifier: Apache-2.0
"""ResNet-8 in the shape of MLPerf Tiny's image classification: (N, 3, 32, 32) to (N, 10)."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatewright.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU, WeightQuant
from gatewright.train.loop import calibrate


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int, bits: int) -> None:
        super().__init__()

        def conv(channels: int, kernel: int, step: int) -> nn.Module:
            return QuantConv2d(
                channels,
                outputs,
                kernel,
                stride=step,
                padding=kernel // 2,
                bias=False,
                weight_quant=WeightQuant(bits),
                input_bits=bits,
            )

        self.conv1, self.bn1, self.relu1 = conv(inputs, 3, stride), nn.BatchNorm2d(outputs), QuantReLU(bits)
        self.conv2, self.bn2 = conv(outputs, 3, 1), nn.BatchNorm2d(outputs)
        changes = stride != 1 or inputs != outputs
        self.shortcut = nn.Sequential(conv(inputs, 1, stride), nn.BatchNorm2d(outputs)) if changes else nn.Identity()
        self.addend, self.relu2 = QuantIdentity(bits, signed=True), QuantReLU(bits)

    def forward(self, x: Tensor) -> Tensor:
        """Image to image, quantised by the last ReLU."""
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return cast(Tensor, self.relu2(self.addend(y) + self.addend(self.shortcut(x))))


class ResNet8(nn.Module):
    """Stem of 16 channels, blocks of 16, 32 and 64, global average pooling, classifier.

    Args:
        bits: of weights and activations; the image has 8.
    """

    def __init__(self, bits: int = 4) -> None:
        super().__init__()
        self.input = QuantIdentity(8, signed=False, power_of_two=True, max_value=255 / 256)
        self.stem = QuantConv2d(3, 16, 3, padding=1, bias=False, weight_quant=WeightQuant(bits), input_bits=8)
        self.bn, self.relu = nn.BatchNorm2d(16), QuantReLU(bits)
        self.blocks = nn.Sequential(Block(16, 16, 1, bits), Block(16, 32, 2, bits), Block(32, 64, 2, bits))
        self.average, self.flatten, self.mean = nn.AdaptiveAvgPool2d(1), nn.Flatten(), QuantIdentity(8, signed=False)
        self.linear = QuantLinear(64, 10, weight_quant=WeightQuant(bits), input_bits=8)

    def forward(self, x: Tensor) -> Tensor:
        """Images in [0, 1) to class scores."""
        x = self.blocks(self.relu(self.bn(self.stem(self.input(x)))))
        return cast(Tensor, self.linear(self.mean(self.flatten(self.average(x)))))


def untrained(seed: int = 0) -> tuple[ResNet8, NDArray[np.float32]]:
    """A network with random weights and batch norms, calibrated on random images: for speed and size, not accuracy.

    Returns:
        The model in evaluation mode, and 16 images, float32 of shape (16, 3, 32, 32).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, images = ResNet8(), torch.randint(0, 256, (16, 3, 32, 32)) / 256
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.3)
                nn.init.normal_(module.bias, 0.0, 0.3)
        calibrate(model, images.numpy())
        # Batch norms see the images first, then the quantisers see what the batch norms make of them.
        model.train()
        for _ in range(20):
            model(images)
        for module in model.modules():
            if isinstance(module, QuantIdentity) and module is not model.input:
                module.calibrated.fill_(False)
        calibrate(model, images.numpy())
    return model.eval(), images.numpy()

# SPDX-License-Identifier: Apache-2.0
"""The network of hls4ml's first paper (16-64-32-32-5, Duarte et al. 2018), W6A6, on jets that are made up.

The jets themselves are in no package, so five classes of random vectors of the same shape stand for them: their
features are correlated and the classes overlap.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from gatewright import export
from gatewright.build import store_data
from gatewright.data.dataset import DataSet, Split
from gatewright.nn import QuantIdentity, QuantLinear, QuantReLU, WeightQuant
from gatewright.train import TrainConfig, fit

FEATURES, CLASSES, BITS = 16, 5, 6
HIDDEN = (64, 32, 32)


def made_up_jets(train: int = 4000, test: int = 1000, seed: int = 0) -> DataSet:
    """Vectors of 16 features around five centres, scaled to a few units."""
    rng = np.random.default_rng(seed)
    centres, mixing = rng.normal(0, 1, (CLASSES, FEATURES)), rng.normal(0, 0.6, (FEATURES, FEATURES))

    def split(count: int) -> Split:
        y = rng.integers(0, CLASSES, count)
        x = centres[y] + rng.normal(0, 1, (count, FEATURES)) @ mixing
        return Split(x.astype(np.float32), y)

    return DataSet(split(train), split(test))


SCALES = {
    "channel": {"per_channel": True, "power_of_two": False},
    "tensor": {"per_channel": False, "power_of_two": False},
    "power of two": {"per_channel": False, "power_of_two": True},
}
"""What weights and activations are scaled by: a number a channel, a number a tensor, or a power of two a tensor."""


def network(scales: str = "channel") -> nn.Sequential:
    """Quantised, batch-normalised but where all scales are powers of two.

    Args:
        scales: from `SCALES`.
    """
    settings = SCALES[scales]
    power_of_two = settings["power_of_two"]
    weights = WeightQuant(BITS, **settings)
    layers: list[nn.Module] = [QuantIdentity(BITS, signed=True, power_of_two=power_of_two)]
    width, signed = FEATURES, True
    for hidden in HIDDEN:
        linear = QuantLinear(width, hidden, weight_quant=weights, input_bits=BITS, input_signed=signed)
        norm = [] if power_of_two else [nn.BatchNorm1d(hidden)]
        layers += [linear, *norm, QuantReLU(BITS, power_of_two=power_of_two)]
        width, signed = hidden, False
    layers.append(QuantLinear(width, CLASSES, weight_quant=weights, input_bits=BITS, input_signed=signed))
    return nn.Sequential(*layers)


def make(folder: Path, scales: str = "channel", *, epochs: int = 10, seed: int = 0) -> Path:
    """Train, export to `folder`, and leave the test set, its labels and the network's outputs beside the model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = network(scales)
    data = made_up_jets(seed=seed)
    fit(model, data.train, data.test, TrainConfig(epochs=epochs, lr=5e-3, seed=seed))
    model.eval()
    folder.mkdir(parents=True, exist_ok=True)
    path, x = folder / "jets.onnx", torch.from_numpy(data.test.x)
    export(model, path, x[:1])
    with torch.no_grad():
        store_data(folder / "data", inputs=data.test.x, labels=data.test.y, qat=model(x).numpy())
    return path

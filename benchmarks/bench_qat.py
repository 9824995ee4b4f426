# SPDX-License-Identifier: Apache-2.0
"""Cost of a training step (forward, backward, SGD with momentum): float, Gatewright and Brevitas, in one process.

W4A4 on three networks. `symmetric`: a scale per channel from the greatest weight, `per tensor`: one for all, `a2q+`:
16-bit accumulators; learned activation scales on both sides. That of the network's input is fixed, as by its data: to
learn it takes the gradient of the input, a product that the float network does not compute. One thread, whose CPU time
is counted, so that other load does not stretch it; the variants take turns, and the fastest round of each counts.
Bounds: 1.5 times float, and Brevitas.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("BREVITAS_VERBOSE", "0")
warnings.filterwarnings("ignore")

import brevitas.nn as qnn  # noqa: E402
import torch  # noqa: E402
from brevitas import quant  # noqa: E402
from common import report  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from gatewright.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU, WeightQuant  # noqa: E402
from gatewright.train import calibrate  # noqa: E402

BITS, ACCUMULATOR, ROUNDS, SECONDS = 4, 16, 12, 0.05
KINDS = {
    "symmetric": (WeightQuant(BITS, scale="stats"), quant.Int8WeightPerChannelFloat),
    "per tensor": (WeightQuant(BITS, scale="stats", per_channel=False), quant.Int8WeightPerTensorFloat),
    "a2q+": (
        WeightQuant(BITS, "a2q+", accumulator_bits=ACCUMULATOR),
        quant.Int8AccumulatorAwareZeroCenterWeightQuant,
    ),
}


@dataclass(frozen=True)
class Layers:
    """What the networks are made of; the variants differ in nothing else."""

    conv: Callable[..., nn.Module]
    linear: Callable[..., nn.Module]
    relu: Callable[[], nn.Module]
    identity: Callable[..., nn.Module]


def gatewright_layers(weights: WeightQuant) -> Layers:
    """Ours; each layer is told the type of its input."""

    def options(signed: bool) -> dict[str, Any]:
        return {"weight_quant": weights, "input_bits": BITS, "input_signed": signed}

    return Layers(
        lambda *a, signed=False, **k: QuantConv2d(*a, **k, **options(signed)),
        lambda *a, signed=False: QuantLinear(*a, **options(signed)),
        lambda: QuantReLU(BITS),
        lambda signed, learned=True: QuantIdentity(BITS, signed, learned=learned),
    )


def brevitas_layers(weights: type, bounded: bool) -> Layers:
    """Theirs; A2Q+ needs quantised tensors between the layers."""
    options = {"weight_quant": weights, "weight_bit_width": BITS}
    # By default 300 steps collect statistics; the scale is learned from there on.
    act = {"bit_width": BITS, "collect_stats_steps": 1, "return_quant_tensor": bounded}
    if bounded:
        options["weight_accumulator_bit_width"] = ACCUMULATOR

    def identity(signed: bool, learned: bool = True) -> nn.Module:
        kind = quant.Int8ActPerTensorFloat if signed else quant.Uint8ActPerTensorFloat
        return qnn.QuantIdentity(act_quant=kind, **act).requires_grad_(learned)

    return Layers(
        lambda *a, signed=False, **k: qnn.QuantConv2d(*a, **k, **options),
        lambda *a, signed=False: qnn.QuantLinear(*a, bias=True, **options),
        lambda: qnn.QuantReLU(act_quant=quant.Uint8ActPerTensorFloat, **act),
        identity,
    )


FLOAT = Layers(
    lambda *a, signed=False, **k: nn.Conv2d(*a, **k),
    lambda *a, signed=False: nn.Linear(*a),
    nn.ReLU,
    lambda signed, learned=True: nn.Identity(),
)


def mlp(layers: Layers) -> nn.Module:
    """784-256-256-256-10."""
    body: list[nn.Module] = [layers.identity(True, learned=False)]
    for i, (inputs, outputs) in enumerate(((784, 256), (256, 256), (256, 256))):
        body += [layers.linear(inputs, outputs, signed=i == 0), nn.BatchNorm1d(outputs), layers.relu()]
    return nn.Sequential(*body, layers.linear(256, 10))


def vgg(layers: Layers) -> nn.Module:
    """Convolutions 64-64-128-128-256-256 without padding, dense 512-512-10."""

    def conv(inputs: int, outputs: int, signed: bool = False) -> list[nn.Module]:
        return [
            layers.conv(inputs, outputs, 3, bias=False, signed=signed),
            nn.BatchNorm2d(outputs),
            layers.relu(),
        ]

    body: list[nn.Module] = [layers.identity(True, learned=False), *conv(3, 64, True), *conv(64, 64), nn.MaxPool2d(2)]
    body += [*conv(64, 128), *conv(128, 128), nn.MaxPool2d(2), *conv(128, 256), *conv(256, 256), nn.Flatten()]
    for inputs in (256, 512):
        body += [layers.linear(inputs, 512), nn.BatchNorm1d(512), layers.relu()]
    return nn.Sequential(*body, layers.linear(512, 10))


def mobilenet(layers: Layers) -> nn.Module:
    """A 3x3 stem of 32 channels, then depthwise separable blocks to 256 channels at 8x8."""

    def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, signed: bool = False) -> Any:
        options = {"stride": stride, "padding": kernel // 2, "groups": groups, "bias": False}
        return [
            layers.conv(inputs, outputs, kernel, signed=signed, **options),
            nn.BatchNorm2d(outputs),
            layers.relu(),
        ]

    body: list[nn.Module] = [layers.identity(True, learned=False), *conv(3, 32, 3, signed=True)]
    for inputs, outputs, stride in ((32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1)):
        body += [*conv(inputs, inputs, 3, stride, groups=inputs), *conv(inputs, outputs, 1)]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), layers.identity(False), layers.linear(256, 10))


NETWORKS = {"MLP": (mlp, (256, 784)), "VGG": (vgg, (32, 3, 32, 32)), "MobileNet": (mobilenet, (32, 3, 32, 32))}


def stepper(model: nn.Module, x: Tensor, y: Tensor) -> Callable[[], None]:
    """One training step as a call."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def cpu_seconds(step: Callable[[], None], count: int) -> float:
    """CPU time of a step, the mean of several."""
    start = time.process_time()
    for _ in range(count):
        step()
    return (time.process_time() - start) / count


def times(steps: list[Callable[[], None]]) -> list[float]:
    """Seconds of a step of each; the first steps, in which statistics are collected, are not counted."""
    counts = []
    for step in steps:
        cpu_seconds(step, 2)
        counts.append(max(1, round(SECONDS / cpu_seconds(step, 1))))
    rounds = [[cpu_seconds(*pair) for pair in zip(steps, counts, strict=True)] for _ in range(ROUNDS)]
    return [min(column) for column in zip(*rounds, strict=True)]


def rows() -> Iterator[dict[str, Any]]:
    """A row for each network and kind of weights."""
    for name, (network, shape) in NETWORKS.items():
        for kind, (ours, theirs) in KINDS.items():
            torch.manual_seed(0)
            x, y = torch.randn(shape), torch.randint(0, 10, shape[:1])
            bounded = kind == "a2q+"
            models = [network(layers) for layers in (FLOAT, gatewright_layers(ours), brevitas_layers(theirs, bounded))]
            calibrate(models[1], x.numpy())
            plain, gatewright, brevitas = times([stepper(model.train(), x, y) for model in models])
            yield {
                "network": name, "weights": kind, "float ms": plain * 1e3, "gatewright ms": gatewright * 1e3,
                "brevitas ms": brevitas * 1e3, "gatewright / float": gatewright / plain,
                "brevitas / float": brevitas / plain, "gatewright / brevitas": gatewright / brevitas,
            }  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    report("qat", list(rows()))

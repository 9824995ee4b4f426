# SPDX-License-Identifier: Apache-2.0
"""Named float networks: (channels, height, width) of an image and a number of classes to a torch module.

Each is a function whose keyword arguments are the settings that a recipe's [model] may give. A recipe can also name a
function of the user's own, "module:function", with the same two arguments first.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gatewright.errors import ConfigError, ModelError

Shape = tuple[int, ...]
Architecture = Callable[..., nn.Module]


def vgg(
    shape: Shape,
    classes: int,
    *,
    stages: Sequence[Sequence[int]] = ((32, 32), (64, 64)),
    pools: int | None = None,
    dense: Sequence[int] = (128,),
    padding: bool = True,
) -> nn.Module:
    """3x3 convolutions in stages (Simonyan and Zisserman, 2015), then dense layers.

    The first ``pools`` stages, by default all, have a 2x2 max pool behind them.
    """
    layers: list[tuple[str, nn.Module]] = []
    channels, height, width = shape
    number = 0
    for i, stage in enumerate(stages, 1):
        for outputs in stage:
            number += 1
            conv = nn.Conv2d(channels, outputs, 3, padding=int(padding), bias=False)
            layers += [
                (f"conv{number}", conv),
                (f"norm{number}", nn.BatchNorm2d(outputs)),
                (f"relu{number}", nn.ReLU()),
            ]
            channels, height, width = outputs, height - 2 * (not padding), width - 2 * (not padding)
        if pools is None or i <= pools:
            layers.append((f"pool{i}", nn.MaxPool2d(2)))
            height, width = height // 2, width // 2
    if height < 1 or width < 1:
        raise ConfigError(f"stages={stages!r} leave nothing of an image of {shape!r}: use fewer")
    return nn.Sequential(OrderedDict([*layers, *_dense(channels * height * width, dense, classes)]))


def cnv(shape: Shape, classes: int, *, width: int = 64) -> nn.Module:
    """The convolutional network of FINN (Umuroglu et al., FPGA 2017), for 32x32 images: VGG without padding."""
    stages = [(factor * width, factor * width) for factor in (1, 2, 4)]
    return vgg(shape, classes, stages=stages, pools=2, dense=(8 * width, 8 * width), padding=False)


def mlp(shape: Shape, classes: int, *, dense: Sequence[int] = (256, 256)) -> nn.Module:
    """Dense layers with batch norms and ReLUs on the flattened input."""
    inputs = int(torch.tensor(shape).prod())
    return nn.Sequential(OrderedDict(_dense(inputs, dense, classes)))


def tfc(shape: Shape, classes: int) -> nn.Module:
    """The tiny fully connected network of FINN (Umuroglu et al., FPGA 2017): three hidden layers of 64."""
    return mlp(shape, classes, dense=(64, 64, 64))


class _Residual(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1, self.relu1 = nn.BatchNorm2d(outputs), nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2, self.relu2 = nn.BatchNorm2d(outputs), nn.ReLU()
        changes = stride != 1 or inputs != outputs
        shortcut = [nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)]
        self.shortcut = nn.Sequential(*shortcut) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(x)))))
        joined: Tensor = self.relu2(y + self.shortcut(x))
        return joined


def resnet8(shape: Shape, classes: int, *, channels: Sequence[int] = (16, 32, 64)) -> nn.Module:
    """A stem and one residual block for each number of channels: MLPerf Tiny's image classification."""
    layers: list[tuple[str, nn.Module]] = [
        ("stem", nn.Conv2d(shape[0], channels[0], 3, padding=1, bias=False)),
        ("norm", nn.BatchNorm2d(channels[0])),
        ("relu", nn.ReLU()),
    ]
    for i, (inputs, outputs) in enumerate(zip([channels[0], *channels], channels, strict=False), 1):
        layers.append((f"block{i}", _Residual(inputs, outputs, 1 if i == 1 else 2)))
    return nn.Sequential(OrderedDict([*layers, *_pooled(channels[-1], classes)]))


def mobilenet(
    shape: Shape, classes: int, *, stem: int = 16, channels: Sequence[int] = (32, 64, 64, 128),
    strides: Sequence[int] = (1, 2, 1, 2),
) -> nn.Module:  # fmt: skip
    """Depthwise separable convolutions (Howard et al., 2017): a stem, then a 3x3 depthwise and a 1x1 each."""
    if len(channels) != len(strides):
        raise ConfigError(f"strides={strides!r} must be as many as channels={channels!r}")
    layers: list[tuple[str, nn.Module]] = []

    def add(name: str, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        layers.extend([(name, conv), (f"{name}_norm", nn.BatchNorm2d(outputs)), (f"{name}_relu", nn.ReLU())])

    add("stem", shape[0], stem, 3)
    inputs = stem
    for i, (outputs, stride) in enumerate(zip(channels, strides, strict=True), 1):
        add(f"depthwise{i}", inputs, inputs, 3, stride, groups=inputs)
        add(f"pointwise{i}", inputs, outputs, 1)
        inputs = outputs
    return nn.Sequential(OrderedDict([*layers, *_pooled(inputs, classes)]))


def _dense(inputs: int, widths: Sequence[int], classes: int) -> list[tuple[str, nn.Module]]:
    layers: list[tuple[str, nn.Module]] = [("flatten", nn.Flatten())]
    for i, outputs in enumerate(widths, 1):
        layers += [(f"dense{i}", nn.Linear(inputs, outputs, bias=False)), (f"dense{i}_norm", nn.BatchNorm1d(outputs)),
                   (f"dense{i}_relu", nn.ReLU())]  # fmt: skip
        inputs = outputs
    return [*layers, ("classifier", nn.Linear(inputs, classes))]


def _pooled(inputs: int, classes: int) -> list[tuple[str, nn.Module]]:
    return [("average", nn.AdaptiveAvgPool2d(1)), ("flatten", nn.Flatten()), ("classifier", nn.Linear(inputs, classes))]


ARCHITECTURES: Mapping[str, Architecture] = {f.__name__: f for f in (cnv, mlp, mobilenet, resnet8, tfc, vgg)}


def make_model(name: str, settings: Mapping[str, Any], shape: Shape, classes: int) -> nn.Module:
    """A float network by the name of an architecture or as "module:function", modules of the working folder included.

    Raises:
        ConfigError: no such architecture, module, function or setting, or a value that it does not take.
        ModelError: the function gives no torch module.
    """
    make = _import_function(name) if ":" in name else ARCHITECTURES.get(name)
    if make is None:
        raise ConfigError(_unknown("architecture", name, list(ARCHITECTURES)) + ', or name your own "module:function"')
    legal = [p.name for p in list(inspect.signature(make).parameters.values())[2:]]
    for key in settings:
        if key not in legal:
            raise ConfigError(f"[model] {_unknown('setting', key, legal)}")
    try:
        model: object = make(shape, classes, **settings)
    except (TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"[model] {name} does not take {dict(settings)!r} for images of {shape!r}: {error}"
        ) from error
    if not isinstance(model, nn.Module):
        raise ModelError(f"[model] {name} gives a {type(model).__name__}: return a torch module")
    return model


def _import_function(name: str) -> Architecture:
    module_name, _, function = name.partition(":")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: object = getattr(importlib.import_module(module_name), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"[model] name={name!r} cannot be imported ({error}): run where {module_name}.py is"
        ) from error
    if not callable(found):
        raise ConfigError(f"[model] name={name!r} is no function")
    return found


def _unknown(what: str, name: str, legal: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, legal, n=1)
    return f"{what} {name!r} is unknown: " + (f"did you mean {close[0]!r}?" if close else f"use {', '.join(legal)}")

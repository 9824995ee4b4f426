# SPDX-License-Identifier: Apache-2.0
"""What a model gives in evaluation mode, and the pass that gives its quantisers their first scales."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatewright.data import Split
from gatewright.errors import DataError, ModelError
from gatewright.nn import QuantIdentity
from gatewright.train.parallel import ALONE, Ranks

Samples = NDArray[np.float32] | NDArray[np.uint8]


@torch.no_grad()
def predict(model: nn.Module, x: Samples, batch: int = 256) -> NDArray[np.float32]:
    """The model's outputs in evaluation mode, float32, samples first; the training mode is restored.

    Raises:
        DataError: no sample.
        ModelError: the model does not return one tensor.
    """
    outputs = [out.cpu().numpy() for out in _outputs(model, x, batch)]
    if not outputs:
        raise DataError(f"x has shape {x.shape!r}, no sample: give at least one")
    return np.concatenate(outputs)


def evaluate(model: nn.Module, test: Split, batch: int = 256, ranks: Ranks = ALONE) -> float:
    """Fraction of ``test`` that the model classifies right, in evaluation mode; each rank takes its share."""
    share = test[ranks.rank :: ranks.world] if ranks.world > 1 else test
    right = (predict(model, share.x, batch).argmax(1) == share.y).sum()
    return ranks.sum([float(right)], device_of(model))[0] / len(test)


@torch.no_grad()
def calibrate(model: nn.Module, x: Samples, batch: int = 256) -> None:
    """Give every activation quantiser without a scale one from the values it sees in ``x``, samples first.

    Quantisers that have a scale keep it. After an error none has a new one.

    Raises:
        DataError: no sample, or NaN or infinite values at a quantiser; the message names it.
        ModelError: the model does not return one tensor.
    """
    waiting = {n: m for n, m in model.named_modules() if isinstance(m, QuantIdentity) and not bool(m.calibrated)}
    for name, module in waiting.items():
        module.observing, module.module_name = True, name
    try:
        if waiting:
            predict(model, x, batch)
    except Exception:
        for module in waiting.values():
            module.calibrated.fill_(False)
        raise
    finally:
        for module in waiting.values():
            module.observing, module.module_name = False, ""


def device_of(model: nn.Module) -> torch.device:
    """Where the model's parameters are; the CPU if it has none."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def to_input(x: Tensor, device: torch.device) -> Tensor:
    """A batch as a model takes it: float32, on its device."""
    return x.to(device, non_blocking=True).float()


def one_output(model: nn.Module, x: Tensor) -> Tensor:
    """The model's only output.

    Raises:
        ModelError: it returns anything but one tensor.
    """
    output: object = model(x)
    if not isinstance(output, Tensor):
        raise ModelError(
            f"{type(model).__name__} returns a {type(output).__name__}, not one tensor: wrap it in a module whose "
            "forward returns one of its outputs"
        )
    return output


def _outputs(model: nn.Module, x: Samples, batch: int) -> Iterator[Tensor]:
    training, device = model.training, device_of(model)
    model.eval()
    try:
        for start in range(0, len(x), batch):
            yield one_output(model, to_input(torch.from_numpy(x[start : start + batch]), device))
    finally:
        model.train(training)

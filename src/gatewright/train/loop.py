# SPDX-License-Identifier: Apache-2.0
"""The training loop for classifiers, float or quantised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from gatewright.data import Split
from gatewright.errors import ConfigError, DataError, ModelError
from gatewright.nn import QuantIdentity, accumulator_penalty
from gatewright.progress import Progress, silent


@dataclass(frozen=True)
class TrainConfig:
    """Settings of ``fit``.

    Attributes:
        epochs: passes over the training split, at least 1.
        lr: peak learning rate of AdamW; falls to zero along a cosine.
        batch: samples per step, at least 1.
        weight_decay: of weights only, never of biases, norms or scales.
        seed: fixes the order of the samples and everything else random.
        penalty: weight of the A2Q regulariser, 1e-3 in the papers; float models ignore it.

    Raises:
        ConfigError: a value out of range.
    """

    epochs: int = 20
    lr: float = 1e-3
    batch: int = 64
    weight_decay: float = 1e-4
    seed: int = 0
    penalty: float = 1e-3

    def __post_init__(self) -> None:
        for name in ("epochs", "batch"):
            if (value := getattr(self, name)) < 1:
                raise ConfigError(f"{name}={value!r} must be at least 1")
        if not self.lr > 0:
            raise ConfigError(f"lr={self.lr!r} must be positive")
        for name in ("weight_decay", "penalty"):
            if not (value := getattr(self, name)) >= 0:
                raise ConfigError(f"{name}={value!r} must not be negative")


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave: mean loss per sample and both accuracies, fractions in [0, 1]."""

    loss: float
    train_accuracy: float
    test_accuracy: float


def fit(
    model: nn.Module,
    train: Split,
    test: Split,
    config: TrainConfig,
    progress: Progress = silent,
    step: str = "training",
) -> list[Epoch]:
    """Train ``model`` in place with cross entropy; the same seed and thread count give the same weights.

    Quantisers without a scale are calibrated on the first batch first. Accuracy on ``train`` is counted while
    training, on ``test`` afterwards in evaluation mode. ``progress`` hears of ``step`` after every epoch.

    Returns:
        One record per epoch.

    Raises:
        DataError: no training sample, or one that gives NaN or infinite values in calibration.
        ModelError: the model does not return one tensor.
    """
    if not len(train):
        raise DataError("train has 0 samples: give at least one")
    steps = config.epochs * -(-len(train) // config.batch)
    optimizer = torch.optim.AdamW(_groups(model, config.weight_decay), lr=config.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    order = torch.Generator().manual_seed(config.seed)
    history = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        calibrate(model, train.x[: config.batch])
        for epoch in range(config.epochs):
            progress(step, epoch, config.epochs)
            loss, accuracy = _train_epoch(model, train, config, optimizer, schedule, order)
            history.append(Epoch(loss, accuracy, evaluate(model, test)))
    return history


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]


def _train_epoch(
    model: nn.Module,
    train: Split,
    config: TrainConfig,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    order: torch.Generator,
) -> tuple[float, float]:
    model.train()
    x, y = torch.from_numpy(train.x), torch.from_numpy(train.y)
    loss_sum, correct = 0.0, 0
    shuffled = torch.randperm(len(train), generator=order)
    for start in range(0, len(train), config.batch):
        index = shuffled[start : start + config.batch]
        logits = _one_output(model, x[index])
        loss = functional.cross_entropy(logits, y[index])
        optimizer.zero_grad()
        torch.autograd.backward(loss + config.penalty * accumulator_penalty(model))
        optimizer.step()
        schedule.step()
        loss_sum += loss.item() * len(index)
        correct += int((logits.argmax(1) == y[index]).sum())
    return loss_sum / len(train), correct / len(train)


@torch.no_grad()
def predict(model: nn.Module, x: NDArray[np.float32], batch: int = 256) -> NDArray[np.float32]:
    """The model's outputs in evaluation mode, float32, samples first; the training mode is restored.

    Raises:
        DataError: no sample.
        ModelError: the model does not return one tensor.
    """
    outputs = [out.cpu().numpy() for out in _outputs(model, x, batch)]
    if not outputs:
        raise DataError(f"x has shape {x.shape!r}, no sample: give at least one")
    return np.concatenate(outputs)


def evaluate(model: nn.Module, test: Split, batch: int = 256) -> float:
    """Fraction of ``test`` that the model classifies right, in evaluation mode."""
    return float((predict(model, test.x, batch).argmax(1) == test.y).mean())


@torch.no_grad()
def calibrate(model: nn.Module, x: NDArray[np.float32], batch: int = 256) -> None:
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


def _outputs(model: nn.Module, x: NDArray[np.float32], batch: int) -> Iterator[Tensor]:
    training = model.training
    model.eval()
    try:
        for start in range(0, len(x), batch):
            yield _one_output(model, torch.from_numpy(x[start : start + batch]))
    finally:
        model.train(training)


def _one_output(model: nn.Module, x: Tensor) -> Tensor:
    output: object = model(x)
    if not isinstance(output, Tensor):
        raise ModelError(
            f"{type(model).__name__} returns a {type(output).__name__}, not one tensor: wrap it in a module whose "
            "forward returns one of its outputs"
        )
    return output

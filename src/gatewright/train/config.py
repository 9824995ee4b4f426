# SPDX-License-Identifier: Apache-2.0
"""Settings of the training loop, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass

from gatewright.errors import ConfigError

OPTIMIZERS = ("adamw", "sgd")
SCHEDULES = ("cosine", "step", "constant")


@dataclass(frozen=True)
class TrainConfig:
    """Settings of ``fit``.

    Attributes:
        epochs: passes over the training split, at least 1.
        lr: peak learning rate.
        batch: samples per step over all ranks, at least 1.
        weight_decay: of weights only, never of biases, norms or scales.
        seed: fixes the order of the samples and everything else random.
        penalty: weight of the A2Q regulariser, 1e-3 in the papers; float models ignore it.
        optimizer: ``adamw`` or ``sgd`` (with Nesterov momentum).
        momentum: of ``sgd``, in [0, 1).
        schedule: of the learning rate: ``cosine`` (to zero at the last step), ``step`` (times ``gamma`` every
            ``step_epochs``) or ``constant``.
        step_epochs, gamma: of the schedule ``step``.
        warmup: epochs in which the learning rate rises from near zero to its peak, fewer than ``epochs``.
        label_smoothing: of the cross entropy, in [0, 1).

    Raises:
        ConfigError: a value out of range.
    """

    epochs: int = 20
    lr: float = 1e-3
    batch: int = 64
    weight_decay: float = 1e-4
    seed: int = 0
    penalty: float = 1e-3
    optimizer: str = "adamw"
    momentum: float = 0.9
    schedule: str = "cosine"
    step_epochs: int = 10
    gamma: float = 0.1
    warmup: int = 0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "step_epochs"):
            if (value := getattr(self, name)) < 1:
                raise ConfigError(f"{name}={value!r} must be at least 1")
        for name in ("lr", "gamma"):
            if not (value := getattr(self, name)) > 0:
                raise ConfigError(f"{name}={value!r} must be positive")
        for name in ("weight_decay", "penalty", "seed"):
            if not (value := getattr(self, name)) >= 0:
                raise ConfigError(f"{name}={value!r} must not be negative")
        for name in ("momentum", "label_smoothing"):
            if not 0 <= (value := getattr(self, name)) < 1:
                raise ConfigError(f"{name}={value!r} must lie in [0, 1)")
        for name, legal in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            if (value := getattr(self, name)) not in legal:
                raise ConfigError(f"{name}={value!r} is unknown: use one of {', '.join(legal)}")
        if not 0 <= self.warmup < self.epochs:
            raise ConfigError(f"warmup={self.warmup!r} must be at least 0 and less than epochs={self.epochs!r}")

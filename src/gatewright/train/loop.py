# SPDX-License-Identifier: Apache-2.0
"""The training loop for classifiers, float or quantised."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import lr_scheduler

from gatewright.data import Split
from gatewright.errors import ConfigError, DataError
from gatewright.nn import accumulator_penalty
from gatewright.progress import Progress, silent
from gatewright.train.config import TrainConfig
from gatewright.train.inference import calibrate, device_of, evaluate, one_output, predict, to_input
from gatewright.train.parallel import ALONE, Ranks

__all__ = ["Distillation", "Epoch", "TrainConfig", "Trainer", "calibrate", "evaluate", "fit", "predict"]


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave: mean loss per sample and both accuracies, fractions in [0, 1].

    Attributes:
        lr: learning rate of its first step.
    """

    loss: float
    train_accuracy: float
    test_accuracy: float
    lr: float


@dataclass(frozen=True, eq=False)
class Distillation:
    """Learning from a teacher (Hinton et al., 2015): loss = (1 - w) * cross entropy + w * T^2 * KL(teacher, model).

    Attributes:
        teacher: a trained model on the same device, which is not changed; both see the same augmented images.
        weight: w, in [0, 1].
        temperature: T, by which both models' scores are divided.
    """

    teacher: nn.Module
    weight: float
    temperature: float = 4.0

    def mix(self, x: Tensor, scores: Tensor, loss: Tensor) -> Tensor:
        """The whole loss of a batch from its cross entropy."""
        with torch.no_grad():
            wanted = functional.log_softmax(self.teacher.eval()(x) / self.temperature, 1)
        have = functional.log_softmax(scores / self.temperature, 1)
        distance = functional.kl_div(have, wanted, reduction="batchmean", log_target=True)
        return (1 - self.weight) * loss + self.weight * self.temperature**2 * distance


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
    training, on ``test`` afterwards in evaluation mode. ``progress`` hears of ``step`` after every batch.
    `Trainer` does the same and can stop and go on.

    Returns:
        One record per epoch.

    Raises:
        DataError: no training sample, or one that gives NaN or infinite values in calibration.
        ModelError: the model does not return one tensor.
    """
    return Trainer(model, train, test, config).run(progress, step)


@dataclass(eq=False)
class Trainer:
    """A training that can be saved after any epoch, and go on exactly as if it had not been interrupted.

    Attributes:
        model: trained in place, where it is: on a GPU if its parameters are there.
        train, test: samples of one shape; ``test`` only gives an accuracy.
        config: the settings.
        augment: from a batch to one of the same shape, in training only.
        distillation: a teacher, or none.
        ranks: the processes that train together, each with its share of every batch.
        history: a record of every epoch so far.

    Raises:
        ConfigError: a batch that does not give every rank as many samples.
        DataError: no training sample.
    """

    model: nn.Module
    train: Split
    test: Split
    config: TrainConfig
    augment: Callable[[Tensor], Tensor] | None = None
    distillation: Distillation | None = None
    ranks: Ranks = ALONE
    history: list[Epoch] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not len(self.train):
            raise DataError("train has 0 samples: give at least one")
        if self.config.batch % self.ranks.world:
            raise ConfigError(
                f"batch={self.config.batch!r} does not divide among {self.ranks.world!r} processes: make it a multiple"
            )
        self._optimizer = make_optimizer(self.model, self.config)
        self._batches = -(-len(self.train) // self.config.batch)
        self._schedule = make_schedule(self._optimizer, self.config, self._batches)
        self._order = torch.Generator().manual_seed(self.config.seed)
        self._generators: Mapping[str, Tensor] | None = None

    def run(
        self, progress: Progress = silent, step: str = "training", after_epoch: Callable[[], None] | None = None
    ) -> list[Epoch]:
        """Train to the last epoch; ``after_epoch`` is called after each, and may read `state_dict`.

        Returns:
            The whole history.
        """
        with self._random():
            calibrate(self.model, self.train.x[: self.config.batch])
            net = self.ranks.wrap(self.model)
            while len(self.history) < self.config.epochs:
                lr = float(self._schedule.get_last_lr()[0])
                loss, accuracy = self._train_epoch(net, progress, step)
                self.history.append(Epoch(loss, accuracy, evaluate(self.model, self.test, ranks=self.ranks), lr))
                if after_epoch:
                    after_epoch()
        return self.history

    @contextmanager
    def _random(self) -> Iterator[None]:
        """Generators as the seed says, or as they were when the state was saved; the caller's are left alone."""
        device = device_of(self.model)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(self.config.seed + self.ranks.rank)
            if self._generators:
                torch.set_rng_state(self._generators["cpu"])
                if "cuda" in self._generators and device.type == "cuda":
                    torch.cuda.set_rng_state(self._generators["cuda"], device)
            yield

    def _train_epoch(self, net: nn.Module, progress: Progress, step: str) -> tuple[float, float]:
        net.train()
        device = device_of(self.model)
        x, y = torch.from_numpy(self.train.x), torch.from_numpy(self.train.y)
        loss_sum, correct, seen, done = 0.0, 0, 0, len(self.history) * self._batches
        order = torch.randperm(len(self.train), generator=self._order)
        for number, index in enumerate(self.ranks.share(order, self.config.batch)):
            progress(step, done + number, self.config.epochs * self._batches)
            labels = y[index].to(device)
            loss, scores = self._step(net, to_input(x[index], device), labels)
            loss_sum += loss * len(index)
            correct += int((scores.argmax(1) == labels).sum())
            seen += len(index)
        self.ranks.copy_buffers(self.model)
        loss_sum, right, total = self.ranks.sum([loss_sum, correct, seen], device)
        return loss_sum / total, right / total

    def _step(self, net: nn.Module, x: Tensor, y: Tensor) -> tuple[float, Tensor]:
        """One step of the optimiser; the loss without the regulariser, and the scores."""
        x = self.augment(x) if self.augment else x
        scores = one_output(net, x)
        loss = functional.cross_entropy(scores, y, label_smoothing=self.config.label_smoothing)
        if self.distillation:
            loss = self.distillation.mix(x, scores, loss)
        self._optimizer.zero_grad()
        torch.autograd.backward(loss + self.config.penalty * accumulator_penalty(self.model))
        self._optimizer.step()
        self._schedule.step()
        return loss.item(), scores

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next epoch depends on, of tensors and plain values; every rank must call it."""
        generators = {"cpu": torch.get_rng_state()}
        if (device := device_of(self.model)).type == "cuda":
            generators["cuda"] = torch.cuda.get_rng_state(device)
        return {
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "order": self._order.get_state(),
            "generators": self.ranks.gather(generators),
            "history": [asdict(epoch) for epoch in self.history],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `state_dict` gave.

        Raises:
            ConfigError: it is that of another number of processes.
        """
        if len(state["generators"]) != self.ranks.world:
            raise ConfigError(
                f"the training was saved by {len(state['generators'])} processes and there are {self.ranks.world} now: "
                "resume with as many"
            )
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._order.set_state(state["order"])
        self._generators = state["generators"][self.ranks.rank]
        self.history[:] = [Epoch(**epoch) for epoch in state["history"]]


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimiser that the settings name, with decay of weights alone."""
    groups = parameter_groups(model, config.weight_decay)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr)
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """What is decayed (weights), and what is not (biases, norms, scales); frozen parameters are in neither."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]


def make_schedule(optimizer: torch.optim.Optimizer, config: TrainConfig, batches: int) -> lr_scheduler.LRScheduler:
    """The learning rate over all steps, of which an epoch has ``batches``."""
    warm = config.warmup * batches
    main: lr_scheduler.LRScheduler
    if config.schedule == "cosine":
        main = lr_scheduler.CosineAnnealingLR(optimizer, config.epochs * batches - warm)
    elif config.schedule == "step":
        main = lr_scheduler.StepLR(optimizer, config.step_epochs * batches, config.gamma)
    else:
        main = lr_scheduler.ConstantLR(optimizer, factor=1.0)
    if not warm:
        return main
    rising = lr_scheduler.LinearLR(optimizer, 1 / (warm + 1), 1.0, total_iters=warm)
    return lr_scheduler.SequentialLR(optimizer, [rising, main], milestones=[warm])

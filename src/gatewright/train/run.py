# SPDX-License-Identifier: Apache-2.0
"""A recipe from its data to trained networks, with checkpoints from which it goes on exactly as it would have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gatewright.data import DataSet, Split, load_data
from gatewright.errors import ConfigError, ModelError
from gatewright.nn import load_float
from gatewright.nn.convert import Conversion, convert
from gatewright.progress import Progress, silent
from gatewright.train.architectures import make_model
from gatewright.train.augment import Augment
from gatewright.train.checkpoint import load_checkpoint, save_checkpoint, write_atomically
from gatewright.train.config import TrainConfig
from gatewright.train.inference import evaluate
from gatewright.train.loop import Distillation, Trainer
from gatewright.train.normalize import FirstLayer, ep_init_all, fold_normalization
from gatewright.train.parallel import Ranks, choose_device, process_group
from gatewright.train.recipe import Recipe
from gatewright.train.record import Record

LAST, BEST = "last.pt", "best.pt"


@dataclass(frozen=True, eq=False)
class Trained:
    """What a recipe gave.

    Attributes:
        float_model: the float network, or None where the recipe trains none.
        quant_model: the quantised network of its best epoch; takes raw pixels, as its hardware will.
        best_epoch: that epoch, from 1.
        epochs: of the quantised network.
        float_accuracy, quant_accuracy: on the test split, fractions.
        test: that split.
        writes: whether this process is the one that writes files.
    """

    float_model: nn.Module | None
    quant_model: nn.Module
    best_epoch: int
    epochs: int
    float_accuracy: float | None
    quant_accuracy: float
    test: Split
    writes: bool


@dataclass(frozen=True, eq=False)
class Splits:
    """The images of a recipe: trained on, for choosing the best epoch, and for the result."""

    train: Split
    validation: Split
    test: Split


def train_recipe(
    recipe: Recipe, output: str | Path, *, resume: bool = False, device: str = "auto", progress: Progress = silent
) -> Trained:
    """Train the float network, then the quantised one from it; everything is checked before anything is written.

    The same recipe gives the same bits on the CPU with the same number of threads; on a GPU it is seeded, no more.
    Under torchrun, all processes call this, and the first one writes.

    Args:
        recipe: what to do.
        output: gets ``recipe.toml``, ``last.pt``, ``best.pt`` (the quantised network's best epoch), ``log.csv`` and
            ``tensorboard/``.
        resume: go on from ``last.pt``, where there is one.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: called with both trainings, batch by batch.

    Raises:
        GatewrightError: something of the recipe does not fit; the data set is not there; the folder holds a training
            and ``resume`` is not given, or one of another recipe.
    """
    output = Path(output)
    where = choose_device(device)
    data = load_data(recipe.data.name, None if recipe.data.folder is None else Path(recipe.data.folder))
    splits = make_splits(data, recipe)
    float_model, quant_model = make_models(recipe, data)
    saved = _saved(output, recipe, resume)
    with process_group(where) as ranks:
        for model in (float_model, quant_model):
            # The layout in which convolutions are fastest, on CPUs and GPUs.
            model.to(where).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        run = _Run(recipe, splits, float_model, quant_model, output, ranks, progress)
        best = run.train(saved)
    float_trained = float_model.eval() if recipe.train.float_epochs else None
    folded = fold_normalization(quant_model)
    return Trained(
        float_trained,
        folded,
        best,
        len(run.histories["quant"]),
        evaluate(float_trained, splits.test) if float_trained and ranks.writes else None,
        evaluate(folded, splits.test) if ranks.writes else float("nan"),
        splits.test,
        ranks.writes,
    )


def make_splits(data: DataSet, recipe: Recipe) -> Splits:
    """The recipe's share of a data set; what is held out for validation is drawn by the seed.

    Raises:
        ConfigError: nothing would be left to train on, or to validate with.
    """
    section = recipe.data
    order = np.random.default_rng(recipe.train.seed).permutation(len(data.train))[: section.train_samples]
    held = round(section.validation * len(order))
    if section.validation and not 0 < held < len(order):
        raise ConfigError(f"validation={section.validation!r} of {len(order)} images is {held}: use another fraction")
    test = data.test[: section.test_samples]
    return Splits(data.train[order[held:]], data.train[order[:held]] if held else test, test)


def make_models(recipe: Recipe, data: DataSet) -> tuple[nn.Module, nn.Module]:
    """The float network and its quantised twin, both on raw pixels, with the same parameters from the seed.

    Raises:
        ConfigError, ModelError, UnsupportedError: no such model, or it does not fit the images, or has no hardware.
    """
    shape = tuple(data.train.x.shape[1:])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.train.seed)
        float_model = make_model(recipe.model.name, recipe.model.settings, shape, data.classes)
    bits = recipe.quant.input_bits
    coarser = max(0, round(log2(data.full / data.step + 1)) - bits)  # powers of two that the width leaves out
    largest = (2**bits - 1) * data.step * 2**coarser
    made = convert(float_model, replace(recipe.quant, input_signed=False, input_max=largest))
    if made.leading:
        raise ModelError(
            f"[model] {recipe.model.name} computes on its input before the first layer: "
            "leave that to [data] mean and std"
        )
    made.model.get_submodule(made.input_quantizer).requires_grad_(False)
    _quantize_before_views(made)
    for model in (float_model, made.model):
        first = model.get_submodule(made.layers[0])
        model.set_submodule(made.layers[0], FirstLayer(first, recipe.data.mean, recipe.data.std, data.full))
    return float_model, made.model


def _quantize_before_views(made: Conversion) -> None:
    """Put the input's quantiser before what only reshapes the input: the design's input then has the images' shape."""
    graph = made.model.graph
    source = next(node for node in graph.nodes if node.op == "placeholder")
    quantizer = next(node for node in graph.nodes if node.target == made.input_quantizer)
    if quantizer.args[0] is not source:
        quantizer.replace_all_uses_with(quantizer.args[0])
        source.replace_all_uses_with(quantizer)
        quantizer.args = (source,)
        source.append(quantizer)
        made.model.recompile()


def _saved(output: Path, recipe: Recipe, resume: bool) -> Mapping[str, Any]:
    """The checkpoint to go on from; empty for a start."""
    path = output / LAST
    if not path.is_file():
        return {}
    if not resume:
        raise ConfigError(f"{output} holds a training already ({LAST}): give --resume, or another folder")
    saved = load_checkpoint(path)
    if saved.get("recipe") != recipe.digest():
        raise ConfigError(
            f"{path} is of another recipe: resume with the one in {output / 'recipe.toml'}, and under the schedule "
            "'cosine' with as many epochs, or choose another folder"
        )
    return saved


class _Run:
    """Both trainings of a recipe."""

    def __init__(
        self, recipe: Recipe, splits: Splits, float_model: nn.Module, quant_model: nn.Module, output: Path,
        ranks: Ranks, progress: Progress,
    ) -> None:  # fmt: skip
        self.recipe, self.splits, self.output, self.ranks, self.progress = recipe, splits, output, ranks, progress
        self.float_model, self.quant_model = float_model, quant_model
        self.augment = Augment(recipe.data.crop, recipe.data.flip)
        self.states: dict[str, Any] = {}
        self.trainers: dict[str, Trainer] = {}
        self.record: Record | None = None

    @property
    def histories(self) -> dict[str, Any]:
        return {phase: trainer.history for phase, trainer in self.trainers.items()}

    def train(self, saved: Mapping[str, Any]) -> int:
        """Both phases; afterwards the quantised model is that of its best epoch, which is returned."""
        if self.ranks.writes:
            self._start()
            with Record(self.output) as self.record:
                self._phases(saved)
        else:
            self._phases(saved)
        accuracies = [epoch.test_accuracy for epoch in self.trainers["quant"].history]
        self.ranks.gather(None)  # the first rank has written the file
        self.quant_model.load_state_dict(load_checkpoint(self.output / BEST)["quant"]["model"])
        return 1 + accuracies.index(max(accuracies))

    def _start(self) -> None:
        try:
            self.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{self.output} cannot be written ({error}): choose another output folder") from error
        if self.recipe.text:
            write_atomically(self.output / "recipe.toml", lambda file: file.write(self.recipe.text.encode()))

    def _phases(self, saved: Mapping[str, Any]) -> None:
        config = self.recipe.train
        if config.float_epochs:
            self._phase("float", self._trainer(self.float_model, config.of_float()), saved)
        if "quant" not in saved:
            if config.float_epochs:
                load_float(self.quant_model, self.float_model.state_dict())
            for module in self.quant_model.modules():
                if isinstance(module, FirstLayer):
                    module.restart()
            if config.ep_init:
                ep_init_all(self.quant_model)
        teacher = Distillation(self.float_model, config.distillation) if config.distillation else None
        self._phase("quant", self._trainer(self.quant_model, config, teacher), saved)

    def _trainer(self, model: nn.Module, config: TrainConfig, teacher: Distillation | None = None) -> Trainer:
        splits = self.splits
        return Trainer(model, splits.train, splits.validation, config, self.augment, teacher, self.ranks)

    def _phase(self, phase: str, trainer: Trainer, saved: Mapping[str, Any]) -> None:
        self.trainers[phase] = trainer
        if phase in saved:
            trainer.load_state_dict(saved[phase])
            self.states[phase] = saved[phase]
        name = {"float": "training the float network", "quant": "training the quantised network"}[phase]
        trainer.run(self.progress, name, lambda: self._save(phase))

    def _save(self, phase: str) -> None:
        trainer = self.trainers[phase]
        self.states[phase] = trainer.state_dict()
        if not self.ranks.writes or self.record is None:
            return
        state = {"recipe": self.recipe.digest(), "epoch": len(trainer.history), **self.states}
        accuracies = [epoch.test_accuracy for epoch in trainer.history]
        if phase == "quant" and max(accuracies) > max(accuracies[:-1], default=-1.0):
            save_checkpoint(self.output / BEST, state)
        save_checkpoint(self.output / LAST, state)
        self.record.add(phase, self.histories)

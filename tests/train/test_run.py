# SPDX-License-Identifier: Apache-2.0
"""Recipes from data to models: reproducible, resumed exactly, refused before anything is written."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gatewright.data import DataSet, Split, load_data
from gatewright.errors import ConfigError, DataError, ModelError
from gatewright.train import evaluate
from gatewright.train.checkpoint import load_checkpoint
from gatewright.train.recipe import parse_recipe
from gatewright.train.run import make_models, make_splits, train_recipe

from .recipes import TABLES, small_recipe


class Stop(Exception):
    """A training that is broken off."""


def stop_at(phase: str, batch: int) -> Any:
    def progress(step: str, done: int = 0, total: int = 0, /) -> None:
        if phase in step and done == batch:
            raise Stop

    return progress


def same(one: Any, other: Any) -> bool:
    """Whether two checkpoints hold the same, bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that was not interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    trained = train_recipe(small_recipe(), folder)
    assert trained.quant_accuracy == evaluate(trained.quant_model, trained.test)
    return folder


# 300 images, 30 of them held out: six batches an epoch.
@pytest.mark.parametrize(("phase", "batch"), [("float", 7), ("quantised", 0), ("quantised", 6 * 2 + 3)])
def test_a_run_broken_off_goes_on_bit_for_bit(whole: Path, tmp_path: Path, phase: str, batch: int) -> None:
    with pytest.raises(Stop):
        train_recipe(small_recipe(), tmp_path, progress=stop_at(phase, batch))
    torch.rand(5)  # the state of the caller's generator does not matter
    train_recipe(small_recipe(), tmp_path, resume=True)
    for name in ("last.pt", "best.pt"):
        assert same(load_checkpoint(tmp_path / name), load_checkpoint(whole / name))
    assert (tmp_path / "log.csv").read_bytes() == (whole / "log.csv").read_bytes()


def test_two_epochs_resumed_to_four_are_four(tmp_path: Path) -> None:
    def recipe(epochs: int) -> Any:
        return small_recipe(train={"epochs": epochs, "schedule": "step", "step_epochs": 3, "optimizer": "sgd"})

    train_recipe(recipe(4), tmp_path / "four")
    train_recipe(recipe(2), tmp_path / "two")
    train_recipe(recipe(4), tmp_path / "two", resume=True)
    assert same(load_checkpoint(tmp_path / "two" / "last.pt"), load_checkpoint(tmp_path / "four" / "last.pt"))


def test_the_log_and_the_best_epoch_are_true(whole: Path) -> None:
    rows = list(csv.DictReader((whole / "log.csv").read_text().splitlines()))
    assert [(row["phase"], row["epoch"]) for row in rows] == [
        ("float", "1"), ("float", "2"), ("quant", "1"), ("quant", "2"), ("quant", "3"), ("quant", "4"),
    ]  # fmt: skip
    accuracies = [float(row["validation_accuracy"]) for row in rows if row["phase"] == "quant"]
    best = load_checkpoint(whole / "best.pt")
    assert best["epoch"] == 1 + accuracies.index(max(accuracies))
    data, recipe = load_data("digits"), small_recipe()
    _, model = make_models(recipe, data)
    model.load_state_dict(best["quant"]["model"])
    assert evaluate(model, make_splits(data, recipe).validation) == pytest.approx(max(accuracies), abs=1e-6)
    assert list((whole / "tensorboard").glob("events*"))


def test_another_seed_gives_another_model(whole: Path, tmp_path: Path) -> None:
    train_recipe(small_recipe(train={"seed": 1, "epochs": 1, "float_epochs": 1}), tmp_path)
    one, other = (load_checkpoint(folder / "last.pt")["quant"]["model"] for folder in (whole, tmp_path))
    assert not torch.equal(one["conv1.layer.weight"], other["conv1.layer.weight"])


def test_a_folder_with_a_training_is_not_overwritten(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds a training already \(last.pt\): give --resume"):
        train_recipe(small_recipe(), whole)
    with pytest.raises(ConfigError, match="is of another recipe"):
        train_recipe(small_recipe(train={"lr": 0.5}), whole, resume=True)
    with pytest.raises(ConfigError, match="under the schedule 'cosine' with as many epochs"):
        train_recipe(small_recipe(train={"epochs": 9}), whole, resume=True)
    (tmp_path / "last.pt").write_bytes((whole / "last.pt").read_bytes()[:1000])
    with pytest.raises(ConfigError, match="is not a readable checkpoint"):
        train_recipe(small_recipe(), tmp_path, resume=True)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"data": {"name": "digit"}}, ConfigError, "data set 'digit' is unknown: did you mean 'digits'"),
        ({"data": {"folder": "x"}}, ConfigError, "the digits are part of scikit-learn"),
        ({"data": {"name": "fashion_mnist", "folder": "nowhere"}}, DataError, "no Fashion-MNIST files in nowhere"),
        ({"data": {"validation": 0.001}}, ConfigError, "validation=0.001 of 300 images is 0"),
        ({"data": {"mean": [0.1, 0.2]}}, ConfigError, "mean has 2 values, where the first layer has 1 inputs"),
        ({"model": {"stages": [[4]] * 4}}, ConfigError, "leave nothing of an image"),
        ({"quant": {"layers": [{"pattern": "convx", "weight_bits": 3}]}}, ConfigError, "did you mean 'conv1'"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        train_recipe(small_recipe(**changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_that_normalises_itself_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "normalising.py").write_text(
        "from torch import nn\n"
        "def net(shape, classes):\n"
        "    return nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, classes))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    recipe = parse_recipe({**TABLES, "model": {"name": "normalising:net"}})
    with pytest.raises(ModelError, match=r"normalising:net computes on its input before the first layer"):
        make_models(recipe, load_data("digits"))


@pytest.mark.parametrize(("bits", "scale"), [(8, 1 / 16), (4, 1 / 16), (3, 1 / 8)])
def test_the_input_keeps_the_pixels_steps(bits: int, scale: float) -> None:
    _, model = make_models(small_recipe(quant={"input_bits": bits}), load_data("digits"))
    assert model.input_quant.scale().item() == scale
    assert not model.input_quant.log2_scale.requires_grad


def test_splits_are_disjoint_and_drawn_by_the_seed() -> None:
    pixels = np.arange(100, dtype=np.float32).reshape(100, 1, 1, 1)
    labels = np.arange(100) % 3
    data = DataSet(Split(pixels, labels), Split(pixels[:9], labels[:9]))
    recipe = parse_recipe({
        "data": {"name": "x", "validation": 0.25, "train_samples": 80, "test_samples": 5}, "model": {"name": "mlp"},
    })  # fmt: skip
    splits = make_splits(data, recipe)
    train, held = set(splits.train.x.ravel()), set(splits.validation.x.ravel())
    assert (len(train), len(held), len(splits.test), len(train & held)) == (60, 20, 5, 0)
    again = make_splits(data, recipe)
    np.testing.assert_array_equal(again.train.x, splits.train.x)
    none = parse_recipe({"data": {"name": "x", "validation": 0}, "model": {"name": "mlp"}})
    assert len(make_splits(data, none).train) == 100
    assert len(make_splits(data, none).validation) == 9


def test_distillation_and_label_smoothing_train(tmp_path: Path) -> None:
    changes = {"distillation": 0.5, "label_smoothing": 0.1, "warmup": 1, "float_epochs": 6, "epochs": 6}
    trained = train_recipe(small_recipe(train=changes, data={"train_samples": 1000, "crop": 0}), tmp_path)
    assert trained.float_accuracy is not None
    assert trained.float_accuracy > 0.6
    assert trained.quant_accuracy > 0.5


def test_without_float_epochs_there_is_no_float_model(tmp_path: Path) -> None:
    trained = train_recipe(small_recipe(train={"float_epochs": 0, "epochs": 1}), tmp_path)
    assert (trained.float_model, trained.float_accuracy) == (None, None)
    assert set(load_checkpoint(tmp_path / "last.pt")) == {"format", "recipe", "epoch", "quant"}

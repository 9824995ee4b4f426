# SPDX-License-Identifier: Apache-2.0
"""Recipes: what is read, and that everything else is refused by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gatewright.errors import ConfigError
from gatewright.ir.op import package_root
from gatewright.train.recipe import find_recipe, load_recipe, parse_recipe

MINIMAL = {"data": {"name": "digits"}, "model": {"name": "mlp"}}
SHIPPED = sorted((package_root() / "recipes").glob("*.toml"))


def test_every_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(
        """
        [data]
        name = "cifar10"
        folder = "somewhere"
        mean = [0.4914, 0.4822, 0.4465]
        std = [0.25, 0.24, 1]
        crop = 4
        flip = true
        [model]
        name = "vgg"
        stages = [[8], [16, 16]]
        [quant]
        weight_bits = 2
        accumulator_bits = 12
        first_weight_bits = 4
        [[quant.layers]]
        pattern = "conv2"
        weight_bits = 3
        [train]
        epochs = 7
        lr = 1
        optimizer = "sgd"
        schedule = "step"
        float_epochs = 2
        distillation = 0.5
        [export]
        samples = 3
        """
    )
    recipe = load_recipe(path)
    assert recipe.data.std == (0.25, 0.24, 1.0)
    assert (recipe.data.folder, recipe.data.crop, recipe.data.flip) == ("somewhere", 4, True)
    assert recipe.model.settings == {"stages": [[8], [16, 16]]}
    assert recipe.quant.weight_quant("conv2").bits == 3
    assert recipe.quant.weight_quant("conv3").accumulator_bits == 12
    assert recipe.quant.weight_quant("conv1", first=True).bits == 4
    assert (recipe.train.epochs, recipe.train.lr, recipe.train.optimizer) == (7, 1.0, "sgd")
    assert type(recipe.train.lr) is float
    assert recipe.export.samples == 3


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_are_found_by_name(path: Path) -> None:
    assert find_recipe(path.stem) == path
    assert load_recipe(path.stem).train.epochs >= 1


def test_there_is_a_shipped_recipe() -> None:
    assert "fashion_mnist_vgg_w2a2" in [path.stem for path in SHIPPED]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"trian": {}}, "recipe has no key 'trian': did you mean 'train'?"),
        ({"data": {"name": "digits", "mena": [1]}}, "[data] has no key 'mena': did you mean 'mean'?"),
        ({"train": {"epoch": 3}}, "[train] has no key 'epoch': did you mean 'epochs'?"),
        ({"quant": {"wieght_bits": 3}}, "[quant] has no key 'wieght_bits': did you mean 'weight_bits'?"),
        ({"quant": {"input_max": 255}}, "[quant] has no key 'input_max'"),
        ({"quant": {"layers": [{"patern": "x"}]}}, "[[quant.layers]] has no key 'patern': did you mean 'pattern'?"),
        ({"export": {"sample": 3}}, "[export] has no key 'sample': did you mean 'samples'?"),
        ({"train": {"epochs": "5"}}, "[train] epochs='5' must be an integer"),
        ({"train": {"epochs": 2.5}}, "[train] epochs=2.5 must be an integer"),
        ({"train": {"epochs": True}}, "[train] epochs=True must be an integer"),
        ({"data": {"name": "digits", "mean": 0.5}}, "[data] mean=0.5 must be a list of numbers"),
        ({"data": {"name": "digits", "flip": 1}}, "[data] flip=1 must be true or false"),
        ({"data": {"flip": True}}, "[data] 'name' is missing"),
        ({"model": {"channels": 3}}, "[model] name=None must be a string"),
        ({"train": 3}, "train=3 must be a table, [train]"),
        ({"train": {"lr": -1.0}}, "[train] lr=-1.0 must be positive"),
        ({"train": {"distillation": 0.5}}, "[train] distillation=0.5 has no teacher: give float_epochs"),
        ({"train": {"float_epochs": -1}}, "[train] float_epochs=-1 must not be negative"),
        ({"train": {"float_lr": 0.0}}, "[train] float_lr=0.0 must be positive"),
        ({"train": {"distillation": 1.0}}, "[train] distillation=1.0 must lie in [0, 1)"),
        ({"data": {"name": "digits", "validation": 1.0}}, "[data] validation=1.0 is a fraction"),
        ({"data": {"name": "digits", "crop": -1}}, "[data] crop=-1 must not be negative"),
        ({"data": {"name": "digits", "train_samples": 0}}, "[data] train_samples=0 must be at least 1"),
        ({"data": {"name": "digits", "std": [0.0]}}, "deviations above 0"),
        ({"export": {"samples": 0}}, "[export] samples=0 must be at least 1"),
        ({"quant": {"weight_bits": 9}}, "[quant]: bits=9"),
    ],
)
def test_what_is_wrong_is_named(tables: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse_recipe({**MINIMAL, **tables})


def test_missing_tables_and_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the recipe has no \[model\]"):
        parse_recipe({"data": {"name": "digits"}})
    with pytest.raises(ConfigError, match="fashion_mnist_vgg_w2a3: no such file or recipe: did you mean"):
        load_recipe("fashion_mnist_vgg_w2a3")
    (tmp_path / "bad.toml").write_text("[data")
    with pytest.raises(ConfigError, match=r"bad.toml is not a readable TOML file"):
        load_recipe(tmp_path / "bad.toml")
    (tmp_path / "wrong.toml").write_text('[data]\nname = "digits"\n[model]\nname = "mlp"\n[train]\nepochs = 0\n')
    with pytest.raises(ConfigError, match=r"wrong.toml: \[train\] epochs=0 must be at least 1"):
        load_recipe(tmp_path / "wrong.toml")


def test_the_digest_is_of_what_decides_an_epoch() -> None:
    def digest(**train: object) -> str:
        return parse_recipe({**MINIMAL, "train": train}).digest()

    assert digest(lr=0.1) != digest(lr=0.2)
    assert digest(epochs=2) != digest(epochs=4)  # a cosine ends at the last epoch
    assert digest(epochs=2, schedule="constant") == digest(epochs=4, schedule="constant")
    moved = {**MINIMAL, "data": {"name": "digits", "folder": "elsewhere"}, "export": {"samples": 5}}
    assert parse_recipe(moved).digest() == parse_recipe(MINIMAL).digest()


def test_the_float_network_has_its_own_epochs_and_rate() -> None:
    train = parse_recipe({**MINIMAL, "train": {"epochs": 9, "float_epochs": 2, "float_lr": 0.5, "warmup": 3}}).train
    assert (train.of_float().epochs, train.of_float().lr, train.of_float().warmup) == (2, 0.5, 1)
    assert (train.epochs, train.warmup) == (9, 3)

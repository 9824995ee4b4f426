# SPDX-License-Identifier: Apache-2.0
"""A recipe: what to train on what and how, read from TOML and checked."""

from __future__ import annotations

import difflib
import hashlib
import json
import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from gatewright.errors import ConfigError
from gatewright.ir.op import package_root
from gatewright.nn.quantize_config import LayerRule, QuantizeConfig
from gatewright.train.config import TrainConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")
SET_BY_DATA = ("input_signed", "input_max")


@dataclass(frozen=True)
class DataSection:
    """[data]: the images.

    Attributes:
        name: of a data set.
        folder: of its files, where they are not installed.
        mean, std: of pixels / brightest pixel, one for all channels or one for each; they fold into the first layer.
        crop: pixels of padding, with value 0, for random crops; 0 crops nothing.
        flip: mirror half of the images, in training.
        validation: fraction of the training images on which the best epoch is chosen, instead of training on them; with
            0 it is chosen on the test images, and their accuracy is no longer an unbiased one.
        train_samples, test_samples: take only so many images, drawn by the seed, and the first ones of the test split.

    Raises:
        ConfigError: a value out of range.
    """

    name: str
    folder: str | None = None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    crop: int = 0
    flip: bool = False
    validation: float = 0.1
    train_samples: int | None = None
    test_samples: int | None = None

    def __post_init__(self) -> None:
        if self.crop < 0:
            raise ConfigError(f"crop={self.crop!r} must not be negative")
        if not 0 <= self.validation < 1:
            raise ConfigError(f"validation={self.validation!r} is a fraction: it must lie in [0, 1)")
        for name in ("train_samples", "test_samples"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}={value!r} must be at least 1")
        if not self.mean or not self.std or not all(value > 0 for value in self.std):
            raise ConfigError(f"mean={self.mean!r}, std={self.std!r}: give at least one each, deviations above 0")


@dataclass(frozen=True)
class ModelSection:
    """[model]: the float network.

    Attributes:
        name: an architecture, or "module:function".
        settings: its keyword arguments.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainSection(TrainConfig):
    """[train]: the settings of ``fit`` for the quantised network, and how it starts.

    Attributes:
        float_epochs: epochs of the float network, from which the quantised one then starts; 0 trains none.
        float_lr: their peak learning rate; ``lr`` by default.
        ep_init: project accumulator-bounded weights onto their bound before training.
        distillation: weight of the float network's scores in the loss, in [0, 1); needs ``float_epochs``.

    Raises:
        ConfigError: a value out of range.
    """

    float_epochs: int = 0
    float_lr: float | None = None
    ep_init: bool = True
    distillation: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.float_epochs < 0:
            raise ConfigError(f"float_epochs={self.float_epochs!r} must not be negative")
        if self.float_lr is not None and not self.float_lr > 0:
            raise ConfigError(f"float_lr={self.float_lr!r} must be positive")
        if not 0 <= self.distillation < 1:
            raise ConfigError(f"distillation={self.distillation!r} must lie in [0, 1)")
        if self.distillation and not self.float_epochs:
            raise ConfigError(f"distillation={self.distillation!r} has no teacher: give float_epochs")

    def of_float(self) -> TrainSection:
        """The settings of the float network's training."""
        warmup = min(self.warmup, self.float_epochs - 1)
        return replace(self, epochs=self.float_epochs, lr=self.float_lr or self.lr, warmup=warmup)


@dataclass(frozen=True)
class ExportSection:
    """[export]: what is stored with the model.

    Attributes:
        samples: test images, with their labels and both networks' outputs.

    Raises:
        ConfigError: none.
    """

    samples: int = 256

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ConfigError(f"samples={self.samples!r} must be at least 1")


@dataclass(frozen=True)
class Recipe:
    """All that a training depends on, but for the data set's files.

    Attributes:
        text: of the file that it was read from, which is kept with the result.
    """

    data: DataSection
    model: ModelSection
    quant: QuantizeConfig
    train: TrainSection
    export: ExportSection = ExportSection()
    text: str = field(default="", compare=False, repr=False)

    def digest(self) -> str:
        """SHA-256 of what decides the numbers of an epoch, however many are to follow."""
        settings = asdict(self)
        del settings["export"], settings["text"], settings["data"]["folder"]
        if self.train.schedule != "cosine":  # the others do not look ahead
            del settings["train"]["epochs"]
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def load_recipe(path: str | Path) -> Recipe:
    """A recipe from a TOML file, or the one of that name among those that come with Gatewright.

    Raises:
        ConfigError: no such file, no TOML, an unknown key (with the nearest legal one), or a value out of range.
    """
    found = find_recipe(path)
    try:
        text = found.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{found} is not a readable TOML file: {error}") from error
    try:
        return replace(parse_recipe(tables), text=text)
    except ConfigError as error:
        raise ConfigError(f"{found}: {error}") from error


def find_recipe(path: str | Path) -> Path:
    """The file itself, or that of a recipe by name.

    Raises:
        ConfigError: there is neither; lists the names.
    """
    if Path(path).is_file():
        return Path(path)
    known = {found.stem: found for found in sorted((package_root() / "recipes").glob("*.toml"))}
    name = str(path)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigError(f"{name}: no such file or recipe: {hint}The recipes are {', '.join(known)}")
    return known[name]


def parse_recipe(tables: Mapping[str, Any]) -> Recipe:
    """A recipe from the tables of a TOML file.

    Raises:
        ConfigError: an unknown or missing key, or a value of the wrong type or out of range.
    """
    _check_keys(tables, [f.name for f in fields(Recipe) if f.name != "text"], "recipe")
    for name in ("data", "model"):
        if name not in tables:
            raise ConfigError(f"the recipe has no [{name}]: name one")
    for name, table in tables.items():
        if not isinstance(table, Mapping):
            raise ConfigError(f"{name}={table!r} must be a table, [{name}]")
    model = dict(tables["model"])
    name = model.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError(f"[model] name={name!r} must be a string")
    return Recipe(
        data=_section(DataSection, tables["data"], "data"),
        model=ModelSection(name, model),
        quant=_quant(tables.get("quant", {})),
        train=_section(TrainSection, tables.get("train", {}), "train"),
        export=_section(ExportSection, tables.get("export", {}), "export"),
    )


def _quant(table: Mapping[str, Any]) -> QuantizeConfig:
    legal = [f.name for f in fields(QuantizeConfig) if f.name not in SET_BY_DATA]
    _check_keys(table, legal, "[quant]")
    for rule in table.get("layers", ()):
        if isinstance(rule, Mapping):
            _check_keys(rule, [f.name for f in fields(LayerRule)], "[[quant.layers]]")
    return QuantizeConfig.from_mapping(table, "[quant]")


def _section(kind: type[T], table: Mapping[str, Any], name: str) -> T:
    hints = get_type_hints(kind)
    _check_keys(table, list(hints), f"[{name}]")
    try:
        return kind(**{key: _converted(value, hints[key], key) for key, value in table.items()})
    except ConfigError as error:
        raise ConfigError(f"[{name}] {error}") from error
    except TypeError as error:  # a field without a default
        raise ConfigError(f"[{name}] {str(error).rpartition(': ')[2]} is missing") from error


def _check_keys(table: Mapping[str, Any], legal: Sequence[str], where: str) -> None:
    for key in table:
        if key not in legal:
            close = difflib.get_close_matches(key, legal, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"use {', '.join(legal)}"
            raise ConfigError(f"{where} has no key {key!r}: {hint}")


def _converted(value: object, hint: Any, key: str) -> object:
    """A TOML value as a field's type; whole numbers are floats too."""
    if get_origin(hint) is types.UnionType:
        hint = next(kind for kind in get_args(hint) if kind is not types.NoneType)
    if get_origin(hint) is tuple and isinstance(value, list):
        return tuple(_converted(item, get_args(hint)[0], key) for item in value)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        expected = {int: "an integer", float: "a number", bool: "true or false", str: "a string"}
        raise ConfigError(f"{key}={value!r} must be {expected.get(hint, 'a list of numbers')}")
    return value

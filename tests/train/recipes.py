# SPDX-License-Identifier: Apache-2.0
"""A recipe small enough for every test: digits, a few hundred images, a convolution and two dense layers."""

from __future__ import annotations

from typing import Any

from gatewright.train.recipe import Recipe, parse_recipe

TABLES: dict[str, dict[str, Any]] = {
    "data": {"name": "digits", "mean": [0.3], "std": [0.37], "crop": 1, "train_samples": 300, "test_samples": 60},
    "model": {"name": "vgg", "stages": [[4]], "dense": [8]},
    "quant": {"weight_bits": 2, "activation_bits": 2},
    "train": {"float_epochs": 2, "epochs": 4, "lr": 0.01, "batch": 50},
    "export": {"samples": 20},
}


def small_recipe(**changes: dict[str, Any]) -> Recipe:
    """That recipe with other values in its tables."""
    return parse_recipe({name: {**table, **changes.get(name, {})} for name, table in TABLES.items()})


def as_toml(recipe_tables: dict[str, dict[str, Any]]) -> str:
    """The tables as a TOML file."""
    lines = []
    for name, table in recipe_tables.items():
        lines += [f"[{name}]", *(f"{key} = {_value(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')

# SPDX-License-Identifier: Apache-2.0
"""Settings of quantize(): from TOML, by name, checked when they are made."""

from __future__ import annotations

from typing import Any

import pytest

from gatewright.errors import ConfigError
from gatewright.nn import LayerRule, QuantizeConfig, WeightQuant


def test_all_of_it_from_toml(tmp_path) -> None:
    path = tmp_path / "widths.toml"
    path.write_text(
        """
        weight_bits = 4
        activation_bits = 5
        accumulator_bits = 16
        last_weight_bits = 6
        [[layers]]
        pattern = "blocks.2.*"
        weight_bits = 8
        [[layers]]
        pattern = "blocks.2.conv1"
        weight_kind = "a2q"
        """
    )
    config = QuantizeConfig.from_toml(path)
    assert config.layers == (LayerRule("blocks.2.*", weight_bits=8), LayerRule("blocks.2.conv1", weight_kind="a2q"))
    assert config.weight_quant("stem", first=True) == WeightQuant(8)
    assert config.weight_quant("head", last=True) == WeightQuant(6)
    assert config.weight_quant("blocks.1.conv1") == WeightQuant(4, "a2q+", 16)
    assert config.weight_quant("blocks.2.conv1") == WeightQuant(8, "a2q", 16)
    assert config.activation("relu") == 5


@pytest.mark.parametrize(
    "table, message",
    [
        ({"weight_bit": 4}, "unknown setting 'weight_bit': the settings are weight_bits"),
        ({"layers": [{"pattern": "a", "bits": 4}]}, "unknown setting 'bits': the settings are pattern"),
        ({"layers": [{"weight_bits": 4}]}, "has no pattern"),
        ({"layers": {"pattern": "a"}}, "must be a list of tables"),
        ({"layers": [4]}, "4 must be a table"),
        ({"layers": [{"pattern": "a"}]}, "sets nothing"),
        ({"layers": [{"pattern": "", "weight_bits": 4}]}, "pattern='' must be a module name"),
        ({"layers": [{"pattern": "a", "activation_bits": 0}]}, "activation_bits=0"),
        ({"weight_bits": 9}, "bits=9"),
        ({"activation_bits": "8"}, "activation_bits='8'"),
        ({"mean_bits": 0}, "mean_bits=0"),
        ({"input_bits": True}, "input_bits=True"),
        ({"input_signed": 1}, "input_signed=1 must be true or false"),
        ({"input_max": -1.0}, "input_max=-1.0"),
        ({"weight_kind": "symmetric", "accumulator_bits": 16}, "accumulator_bits=16 has no effect"),
        ({"accumulator_bits": 64}, "accumulator_bits=64"),
        ({"first_weight_bits": 1}, "bits=1"),
    ],
)
def test_refusals(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        QuantizeConfig.from_mapping(table, "widths.toml")
    assert str(caught.value).startswith("widths.toml: ")


def test_rules_that_do_not_fit_together_name_the_layer() -> None:
    config = QuantizeConfig(accumulator_bits=16, layers=(LayerRule("fc", weight_kind="symmetric"),))
    with pytest.raises(ConfigError, match="^fc: accumulator_bits=16 has no effect"):
        config.weight_quant("fc")


def test_files_that_are_none(tmp_path) -> None:
    path = tmp_path / "no.toml"
    with pytest.raises(ConfigError, match="not a readable TOML file"):
        QuantizeConfig.from_toml(path)
    path.write_text("weight_bits =")
    with pytest.raises(ConfigError, match="not a readable TOML file"):
        QuantizeConfig.from_toml(path)

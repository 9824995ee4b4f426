# SPDX-License-Identifier: Apache-2.0
"""Settings of ``quantize``: one set for the whole network, and rules for single layers by name."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from gatewright.errors import ConfigError
from gatewright.nn.config import WeightQuant, check_activation_bits

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class LayerRule:
    """Settings of the modules whose name matches; what is None stays as the network has it.

    Attributes:
        pattern: of module names, with shell wildcards: ``blocks.2.*``.
        weight_bits, weight_kind, accumulator_bits: of the layers that match, as in ``WeightQuant``.
        activation_bits: of the activation quantisers that match, 1 to 8.

    Raises:
        ConfigError: a value out of range, no pattern, or nothing set.
    """

    pattern: str
    weight_bits: int | None = None
    weight_kind: str | None = None
    accumulator_bits: int | None = None
    activation_bits: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.pattern, str) or not self.pattern:
            raise ConfigError(f"pattern={self.pattern!r} must be a module name, wildcards allowed")
        if self.activation_bits is not None:
            check_activation_bits(self.activation_bits, "activation_bits")
        if not (self.sets_weights or self.activation_bits is not None):
            raise ConfigError(f"the rule for pattern={self.pattern!r} sets nothing: give it a width, or leave it out")

    @property
    def sets_weights(self) -> bool:
        """Whether the rule has a setting for layers."""
        return (self.weight_bits, self.weight_kind, self.accumulator_bits) != (None, None, None)

    def matches(self, name: str) -> bool:
        """Whether the rule is for the module of this name."""
        return fnmatchcase(name, self.pattern)


@dataclass(frozen=True)
class QuantizeConfig:
    """How ``quantize`` makes a float network a quantised one.

    Attributes:
        weight_bits: of every layer but the first and the last, 2 to 8.
        weight_kind: as in ``WeightQuant``; None is ``symmetric``, or ``a2q+`` where an accumulator width is given.
        accumulator_bits: width of the accumulators of every layer but the first and the last; None leaves them free.
        activation_bits: of every activation quantiser but the input's, 1 to 8.
        mean_bits: of the quantiser behind an average pool, whose values are finer than those it averages.
        input_bits: of the network's input.
        input_signed: whether the input is signed; None lets the calibration data decide, and is signed without any.
        input_max: greatest value at the input's quantiser, if known: 255 keeps uint8 images as they are, scale 1.
        first_weight_bits, last_weight_bits: of the first and the last layers, ``symmetric`` and without accumulator
            bound; None treats them as all others.
        power_of_two: restrict the scales of activations to powers of two.
        layers: rules for modules by name, later ones over earlier ones and over everything above.

    Raises:
        ConfigError: a value out of range.
    """

    weight_bits: int = 8
    weight_kind: str | None = None
    accumulator_bits: int | None = None
    activation_bits: int = 8
    mean_bits: int = 8
    input_bits: int = 8
    input_signed: bool | None = None
    input_max: float | None = None
    first_weight_bits: int | None = 8
    last_weight_bits: int | None = 8
    power_of_two: bool = False
    layers: tuple[LayerRule, ...] = ()

    def __post_init__(self) -> None:
        for name in ("activation_bits", "mean_bits", "input_bits"):
            check_activation_bits(getattr(self, name), name)
        for name in ("input_signed", "power_of_two"):
            value = getattr(self, name)
            if not isinstance(value, bool) and not (name == "input_signed" and value is None):
                raise ConfigError(f"{name}={value!r} must be true or false")
        if self.input_max is not None and (
            isinstance(self.input_max, bool) or not isinstance(self.input_max, (int, float)) or not self.input_max > 0
        ):
            raise ConfigError(f"input_max={self.input_max!r} must be a number above 0")
        object.__setattr__(self, "layers", tuple(self.layers))
        for rule in self.layers:
            if not isinstance(rule, LayerRule):
                raise ConfigError(f"layers holds {rule!r}: give LayerRule(pattern=..., ...)")
        _weight_quant(self.weight_bits, self.weight_kind, self.accumulator_bits)
        for bits in (self.first_weight_bits, self.last_weight_bits):
            if bits is not None:
                WeightQuant(bits)

    @classmethod
    def from_mapping(cls, table: Mapping[str, Any], where: str = "the configuration") -> QuantizeConfig:
        """Settings by name; ``layers`` is a list of such tables, each with its ``pattern``.

        Raises:
            ConfigError: an unknown name, or a value out of range; says ``where``.
        """
        settings = dict(table)
        rules = settings.pop("layers", [])
        if not isinstance(rules, (list, tuple)):
            raise ConfigError(f"{where}: layers={rules!r} must be a list of tables: write [[layers]] above each")
        try:
            return cls(**_known(settings, cls), layers=tuple(LayerRule(**_known(rule, LayerRule)) for rule in rules))
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error

    @classmethod
    def from_toml(cls, path: str | Path) -> QuantizeConfig:
        """The settings in a TOML file; see ``from_mapping``.

        Raises:
            ConfigError: no such file, no TOML, an unknown name, or a value out of range.
        """
        try:
            table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path} is not a readable TOML file: {error}") from error
        return cls.from_mapping(table, str(path))

    def weight_quant(self, name: str, *, first: bool = False, last: bool = False) -> WeightQuant:
        """How the layer of this name is quantised.

        Raises:
            ConfigError: the rules that match do not fit together; names the layer.
        """
        plain = self.first_weight_bits if first else self.last_weight_bits if last else None
        bits, kind, accumulator = (
            (self.weight_bits, self.weight_kind, self.accumulator_bits) if plain is None else (plain, None, None)
        )
        for rule in self.layers:
            if rule.matches(name):
                bits = bits if rule.weight_bits is None else rule.weight_bits
                kind = kind if rule.weight_kind is None else rule.weight_kind
                accumulator = accumulator if rule.accumulator_bits is None else rule.accumulator_bits
        try:
            return _weight_quant(bits, kind, accumulator)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from error

    def activation(self, name: str, default: int | None = None) -> int:
        """Bits of the activation quantiser of this name; ``default`` stands for ``activation_bits``."""
        bits = self.activation_bits if default is None else default
        for rule in self.layers:
            if rule.activation_bits is not None and rule.matches(name):
                bits = rule.activation_bits
        return bits


def _weight_quant(bits: int, kind: str | None, accumulator_bits: int | None) -> WeightQuant:
    default = "symmetric" if accumulator_bits is None else "a2q+"
    return WeightQuant(bits, default if kind is None else kind, accumulator_bits)


def _known(table: object, kind: type[Any]) -> dict[str, Any]:
    """The table, whose keys must all be fields of the class."""
    names = [field.name for field in fields(kind)]
    if not isinstance(table, Mapping):
        raise ConfigError(f"{table!r} must be a table of {', '.join(names)}")
    if unknown := [key for key in table if key not in names]:
        raise ConfigError(f"unknown setting {unknown[0]!r}: the settings are {', '.join(names)}")
    if kind is LayerRule and "pattern" not in table:
        raise ConfigError(f"the rule {dict(table)!r} has no pattern: name the modules that it is for")
    return dict(table)

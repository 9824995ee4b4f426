# SPDX-License-Identifier: Apache-2.0
"""Settings of the quantised layers, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass

from gatewright.errors import ConfigError

WEIGHT_KINDS = ("symmetric", "a2q", "a2q+")


def _is_width(bits: object, low: int, high: int) -> bool:
    # True and False are integers to Python.
    return isinstance(bits, int) and not isinstance(bits, bool) and low <= bits <= high


def check_activation_bits(bits: int, name: str) -> None:
    """Raise ``ConfigError`` unless ``bits`` is an activation width: an integer, 1 to 8."""
    if not _is_width(bits, 1, 8):
        raise ConfigError(f"{name}={bits!r} is no activation width: use 1 to 8 bits, an integer")


def integer_limits(bits: int, signed: bool) -> tuple[int, int]:
    """Least and greatest integer of an activation type; one signed bit is bipolar, {-1, +1}."""
    if signed:
        return (-1, 1) if bits == 1 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return 0, 2**bits - 1


@dataclass(frozen=True)
class WeightQuant:
    """How a layer's weights are quantised: signed, narrow range, one scale per output channel.

    Attributes:
        bits: width of a weight, 2 to 8; integers lie in +-(2^(bits-1) - 1).
        kind: ``symmetric`` (round half to even, no accumulator bound), ``a2q`` or ``a2q+`` (round
            toward zero, L1 norm capped so that ``accumulator_bits`` can never overflow).
        accumulator_bits: width P of the signed accumulator, 2 to 32. Needed by ``a2q`` and ``a2q+``.

    Raises:
        ConfigError: a width that is no integer, a value out of range, or ``accumulator_bits`` missing or without use.
    """

    bits: int = 4
    kind: str = "symmetric"
    accumulator_bits: int | None = None

    def __post_init__(self) -> None:
        if not _is_width(self.bits, 2, 8):
            raise ConfigError(f"bits={self.bits!r} is no weight width: use 2 to 8 bits, an integer")
        if self.kind not in WEIGHT_KINDS:
            raise ConfigError(f"kind={self.kind!r} is no weight quantiser: use one of {', '.join(WEIGHT_KINDS)}")
        if self.kind == "symmetric":
            if self.accumulator_bits is not None:
                raise ConfigError(
                    f"accumulator_bits={self.accumulator_bits!r} has no effect on kind='symmetric': "
                    "use kind='a2q' or 'a2q+', or leave it out"
                )
        elif not _is_width(self.accumulator_bits, 2, 32):
            raise ConfigError(
                f"accumulator_bits={self.accumulator_bits!r} with kind={self.kind!r}: "
                "give a width of 2 to 32 bits, an integer"
            )

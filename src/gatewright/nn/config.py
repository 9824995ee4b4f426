# SPDX-License-Identifier: Apache-2.0
"""Settings of the quantised layers, checked when they are made."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gatewright.errors import ConfigError

WEIGHT_KINDS = ("symmetric", "ternary", "bipolar", "a2q", "a2q+")
SCALES = ("learned", "stats")


def _is_width(bits: object, low: int, high: int) -> bool:
    # True and False are integers to Python.
    return isinstance(bits, int) and not isinstance(bits, bool) and low <= bits <= high


def check_activation_bits(bits: int, name: str) -> None:
    """Raise ``ConfigError`` unless ``bits`` is an activation width: an integer, 1 to 8."""
    if not _is_width(bits, 1, 8):
        raise ConfigError(f"{name}={bits!r} is no activation width: use 1 to 8 bits, an integer")


def is_positive_number(value: object) -> bool:
    """Whether ``value`` is an int or a float, no bool, above zero and finite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def integer_limits(bits: int, signed: bool, narrow: bool = False) -> tuple[int, int]:
    """Least and greatest integer of a type; one signed bit is bipolar, {-1, +1}.

    Args:
        bits: at least 1.
        signed: two's complement if true.
        narrow: leave out the least integer of a signed type, so that the limits are symmetric.
    """
    if not signed:
        return 0, 2**bits - 1
    if bits == 1:
        return -1, 1
    return -(2 ** (bits - 1)) + int(narrow), 2 ** (bits - 1) - 1


@dataclass(frozen=True)
class WeightQuant:
    """How a layer's weights are quantised: signed, zero point 0.

    Attributes:
        bits: width of a weight: 2 to 8; 2 for ``ternary``, 1 for ``bipolar``.
        kind: ``symmetric`` (round half to even); ``ternary`` {-1, 0, +1}; ``bipolar`` {-1, +1}, the sign; ``a2q`` or
            ``a2q+`` (round toward zero, L1 norm capped so that ``accumulator_bits`` can never overflow).
        accumulator_bits: width P of the signed accumulator, 2 to 32. Needed by ``a2q`` and ``a2q+``, and only by them.
        narrow: integers lie in +-(2^(bits-1) - 1); if false, -2^(bits-1) is one too (``symmetric`` alone).
        scale: ``learned``, started from the statistic below; ``stats``: in every pass a statistic of the weights, the
            greatest magnitude (``symmetric``) or a mean magnitude (``ternary``, ``bipolar``); or a number, which stays.
        per_channel: a scale for each output channel, else one for all.
        power_of_two: restrict the scale to powers of two.

    Raises:
        ConfigError: a setting of the wrong type or out of range, or one that the others rule out.
    """

    bits: int = 4
    kind: str = "symmetric"
    accumulator_bits: int | None = None
    narrow: bool = True
    scale: str | float = "learned"
    per_channel: bool = True
    power_of_two: bool = False

    def __post_init__(self) -> None:
        if self.kind not in WEIGHT_KINDS:
            raise ConfigError(f"kind={self.kind!r} is no weight quantiser: use one of {', '.join(WEIGHT_KINDS)}")
        self._check_bits()
        for name in ("narrow", "per_channel", "power_of_two"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name}={getattr(self, name)!r} must be True or False")
        if not self.narrow and self.kind != "symmetric":
            raise ConfigError(f"narrow=False has no meaning for kind={self.kind!r}: use kind='symmetric', or leave it")
        self._check_scale()
        self._check_accumulator()

    @property
    def bounded(self) -> bool:
        """Whether the accumulator is bounded."""
        return self.kind in ("a2q", "a2q+")

    def _check_bits(self) -> None:
        fixed = {"ternary": 2, "bipolar": 1}.get(self.kind)
        if fixed is not None and (isinstance(self.bits, bool) or self.bits != fixed):
            raise ConfigError(f"bits={self.bits!r} with kind={self.kind!r}: its weights have bits={fixed}")
        if fixed is None and not _is_width(self.bits, 2, 8):
            raise ConfigError(
                f"bits={self.bits!r} is no weight width: use 2 to 8 bits, an integer, or bits=1 with kind='bipolar'"
            )

    def _check_scale(self) -> None:
        if not (self.scale in SCALES if isinstance(self.scale, str) else is_positive_number(self.scale)):
            raise ConfigError(f"scale={self.scale!r} must be 'learned', 'stats' or a positive number")
        if self.bounded and self.scale != "learned":
            raise ConfigError(f"scale={self.scale!r} with kind={self.kind!r}: its scale is 'learned'")
        if not isinstance(self.scale, str) and self.power_of_two and math.frexp(self.scale)[0] != 0.5:
            raise ConfigError(f"scale={self.scale!r} is no power of two: give one, or leave out power_of_two")

    def _check_accumulator(self) -> None:
        if not self.bounded:
            if self.accumulator_bits is not None:
                raise ConfigError(
                    f"accumulator_bits={self.accumulator_bits!r} has no effect on kind={self.kind!r}: "
                    "use kind='a2q' or 'a2q+', or leave it out"
                )
        elif not _is_width(self.accumulator_bits, 2, 32):
            raise ConfigError(
                f"accumulator_bits={self.accumulator_bits!r} with kind={self.kind!r}: "
                "give a width of 2 to 32 bits, an integer"
            )

# SPDX-License-Identifier: Apache-2.0
"""General-purpose pins of the processing system: nothing is wired to them, they hold what was driven."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import grpc

from gatewright.board.refusal import Refusal, malformed, quoted, unknown

_DIRECTIONS = ("in", "out")


@dataclass
class Pins:
    """The pins of one GPIO driver.

    Attributes:
        first: number of the first pin, as Linux counts.
        count: of the pins.
        labels: by which a client may ask for this driver; no label asks for it too.
        values: what was driven at last, by pin.
        exported: pin by identifier, and the direction by pin.
    """

    first: int
    count: int
    labels: tuple[str, ...]
    values: dict[int, int] = field(default_factory=dict)
    exported: dict[str, int] = field(default_factory=dict)
    directions: dict[int, str] = field(default_factory=dict)

    def base_path(self, label: str) -> str:
        """Where the driver lies; nothing where there is no driver of this label."""
        return f"/sys/class/gpio/gpiochip{self.first}/" if self._ours(label) else ""

    def pins(self, label: str) -> int:
        """How many pins the driver of a label has.

        Raises:
            Refusal: there is no such driver.
        """
        if not self._ours(label):
            unknown(f"there is no GPIO driver {quoted(label)}: the board has {' and '.join(self.labels)}")
        return self.count

    def export(self, pin: int, direction: str) -> str:
        """Take a pin; its identifier.

        Raises:
            Refusal: no such pin, or no direction.
        """
        if not self.first <= pin < self.first + self.count:
            malformed(f"pin {pin}: the board has {self.first} to {self.first + self.count - 1}")
        if direction not in _DIRECTIONS:
            malformed(f"direction {quoted(direction)} of pin {pin}: use in or out")
        self.directions[pin] = direction
        self.exported[f"gpio{pin}"] = pin
        return f"gpio{pin}"

    def read(self, name: str) -> int:
        """What a pin holds.

        Raises:
            Refusal: it is not taken.
        """
        return self.values.get(self._pin(name), 0)

    def write(self, name: str, value: int) -> None:
        """Drive a pin.

        Raises:
            Refusal: it is not taken, not an output, or the value is no bit.
        """
        pin = self._pin(name)
        if self.directions[pin] != "out":
            raise Refusal(grpc.StatusCode.FAILED_PRECONDITION, f"pin {pin} is an input: take it with direction out")
        if value not in (0, 1):
            malformed(f"value {value} for pin {pin}: give 0 or 1")
        self.values[pin] = value

    def release(self, name: str) -> None:
        """Give a pin back; one that was given back before stays so, as on a board.

        Raises:
            Refusal: no name of a pin.
        """
        if not re.fullmatch(r"gpio\d+", name):
            unknown(f"there is no pin {quoted(name)}")
        pin = self.exported.pop(name, None)
        self.directions.pop(pin or 0, None)

    def release_all(self) -> None:
        """Give all pins back."""
        self.exported.clear()
        self.directions.clear()

    def _ours(self, label: str) -> bool:
        return label in ("", *self.labels)

    def _pin(self, name: str) -> int:
        if name not in self.exported:
            unknown(f"there is no pin {quoted(name)}: it was given back, or its client's connection had ended")
        return self.exported[name]

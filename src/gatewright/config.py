# SPDX-License-Identifier: Apache-2.0
"""Settings, checked when they are made and never changed after."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from gatewright.errors import ConfigError

LARGEST_MHZ = 1000


@dataclass(frozen=True)
class CompileConfig:
    """What a design is to be.

    Attributes:
        board: name of a board record.
        output: the build folder.
        fps: target in frames a second; without it the design is made as fast as fits.
        budget: fraction of the board's resources that the design may take, above 0 and at most 1.
        mhz: clock; None takes the board's.
        folding: JSON file with the folding of every unit, instead of a solved one.

    Raises:
        ConfigError: a value out of range, both `fps` and `budget`, or `folding` with either.
    """

    board: str
    output: Path
    fps: float | None = None
    budget: float | None = None
    mhz: float | None = None
    folding: Path | None = None

    def __post_init__(self) -> None:
        for name in ("fps", "mhz"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and math.isfinite(value) and value > 0):
                raise ConfigError(f"{name}={value!r} must be a number above 0")
        if self.mhz is not None and self.mhz > LARGEST_MHZ:
            raise ConfigError(f"mhz={self.mhz!r}: no FPGA fabric runs at more than {LARGEST_MHZ} MHz")
        if self.budget is not None and not (_is_number(self.budget) and 0 < self.budget <= 1):
            raise ConfigError(f"budget={self.budget!r} is a fraction of the board: use a value above 0 and at most 1")
        given = [n for n in ("folding", "fps", "budget") if getattr(self, n) is not None]
        if len(given) > 1:
            raise ConfigError(
                f"{' and '.join(given)} each decide the folding: give one of them "
                "(fps: smallest design that reaches a rate; budget: fastest within a fraction of the board)"
            )
        if self.output.exists() and not self.output.is_dir():
            raise ConfigError(f"output={str(self.output)!r} is a file: name a folder")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)

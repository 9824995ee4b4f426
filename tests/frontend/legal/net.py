# SPDX-License-Identifier: Apache-2.0
"""A random network in the making, and what draws it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from tests.models import Builder


class Drawer:
    """Draws from hypothesis, which shrinks what fails."""

    def __init__(self, draw: Callable[..., Any]) -> None:
        self._draw = draw

    def pick(self, choices: Sequence[Any]) -> Any:
        return self._draw(st.sampled_from(choices))

    def whole(self, low: int, high: int) -> int:
        return int(self._draw(st.integers(low, high)))


class Roller:
    """Draws from a seed, evenly: for counts, and where hypothesis does not run."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def pick(self, choices: Sequence[Any]) -> Any:
        return choices[int(self._rng.integers(len(choices)))]

    def whole(self, low: int, high: int) -> int:
        return int(self._rng.integers(low, high + 1))


@dataclass
class Net:
    """A network in the making: its last tensor, and what is known of it.

    Attributes:
        chooser: what draws.
        exact: only numbers on which float32 makes no error (powers of two, small integers, no transcendental function).
        x, shape: name and frame shape (channels first) of the last tensor.
        top: about how large its values get.
        step: the grid on which they lie, while they are quantised.
        bipolar: the last tensor holds -1 and +1 only, which cannot be padded with 0.
        seen: how often each operator and attribute was used.
    """

    chooser: Drawer | Roller
    exact: bool
    b: Builder
    x: str = "x"
    shape: tuple[int, ...] = ()
    top: float = 2.0
    step: float = 0.25
    bipolar: bool = False
    seen: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.shape = self.b.shape
        self.rng = np.random.default_rng(self.whole(0, 2**32 - 1))

    # --- draws --------------------------------------------------------------------------------------------------------

    def pick(self, *choices: Any) -> Any:
        return self.chooser.pick(choices)

    def whole(self, low: int, high: int) -> int:
        return self.chooser.whole(low, high)

    def flag(self) -> bool:
        return bool(self.chooser.whole(0, 1))

    def factor(self, low: int, high: int, size: Any = None) -> Any:
        """Positive factors of about 2**low to 2**high."""
        power = self.rng.integers(low, high + 1, size) if self.exact else self.rng.uniform(low, high, size)
        return np.float32(2.0 ** np.asarray(power, np.float64))

    def number(self, size: Any = None) -> Any:
        """Offsets of either sign."""
        if self.exact:
            return np.float32(self.rng.integers(-8, 9, size) / 4)
        return np.float32(self.rng.normal(0, 1, size))

    def see(self, *names: str, **conditions: bool) -> None:
        """Count features; a keyword counts where it is true."""
        self.seen.update([*names, *(k.replace("__", ".") for k, v in conditions.items() if v)])

    def per_channel(self) -> tuple[int, ...]:
        return (self.shape[0], *(1,) * (len(self.shape) - 1))

    @property
    def sides(self) -> tuple[int, ...]:
        return self.shape[1:]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

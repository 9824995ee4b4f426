# SPDX-License-Identifier: Apache-2.0
"""Multi-threshold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gatewright.errors import ConfigError
from gatewright.ir.cost import Features, add_counts, counter_bits, rom_features
from gatewright.ir.hls4ml import Layers, elementwise
from gatewright.ir.op import Bounds, Memory, Op, as_int64, divisors
from gatewright.ir.schedule import Schedule, streaming
from gatewright.ir.types import Encoding, IntArray, Scale, Tensor, bits_for


@dataclass(frozen=True, eq=False)
class Threshold(Op):
    """y = lo + the number of a channel's thresholds that x reaches (falling channels: hi - it), by binary search.

    A bipolar output has one threshold a channel: -1 below it, +1 from it on.

    Attributes:
        source: input of shape (..., channels).
        thresholds: int64 of shape (channels, hi - lo), or (channels, 1) where bipolar; ascending per channel.
        falling: int64 of shape (channels,): 1 where the function falls.
        lo, hi: of the output; at most 8 bits.
        scale: of the output.
        pe: channels processed at once; divides the channels.
    """

    source: Tensor
    thresholds: IntArray
    falling: IntArray
    lo: int
    hi: int
    scale: Scale = 1.0
    pe: int = 1
    bipolar: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.hi - self.lo <= 255:
            raise ConfigError(
                f"threshold: outputs {self.lo}..{self.hi} need {self.hi - self.lo} thresholds a channel; "
                "1 to 255 are possible: use requant for wider outputs"
            )
        want = (self.source.channels, (self.hi - self.lo) // self._step)
        if self.thresholds.shape != want or self.falling.shape != want[:1]:
            raise ConfigError(
                f"threshold: tables of shapes {self.thresholds.shape!r} and {self.falling.shape!r}, "
                f"need {want!r} and {want[:1]!r}"
            )
        if (np.diff(self.thresholds, axis=1) < 0).any():
            raise ConfigError("threshold: the thresholds of a channel must ascend")
        self.check_folding(pe=(self.channels, "channels"))

    @property
    def _step(self) -> int:
        """Distance of one output from the next."""
        return 2 if self.bipolar else 1

    @property
    def channels(self) -> int:
        """Channels, each with thresholds of its own."""
        return self.source.channels

    @cached_property
    def _table(self) -> IntArray:
        """Thresholds clipped to where they can matter: lo (always reached) to hi + 1 (never)."""
        return np.clip(self.thresholds, self.source.lo, self.source.hi + 1)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The codes."""
        encoding: Encoding = "bipolar" if self.bipolar else "twos"
        return (Tensor(self.source.shape, self.lo, self.hi, self.scale, encoding),)

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """Counts thresholds channel by channel."""
        (x,) = xs
        y = np.empty_like(x)
        for c in range(self.channels):
            count = np.searchsorted(self.thresholds[c], x[..., c], side="right") * self._step
            y[..., c] = self.hi - count if self.falling[c] else self.lo + count
        return (y,)

    def bounds(self) -> tuple[Bounds, ...]:
        """The codes at both limits of the input, per channel."""
        at_lo = (self.thresholds <= self.source.lo).sum(axis=1) * self._step
        at_hi = (self.thresholds <= self.source.hi).sum(axis=1) * self._step
        lo = np.where(self.falling == 1, self.hi - at_hi, self.lo + at_lo)
        hi = np.where(self.falling == 1, self.hi - at_lo, self.lo + at_hi)
        return (Bounds(tuple(lo.tolist()), tuple(hi.tolist()), witness="the input's own limits"),)

    def hls4ml(self) -> Layers:
        """Comparisons with every threshold."""
        scalars = {"n_steps": self._table.shape[1], "step": self._step, "lo": self.lo, "hi": self.hi}
        tables = {"thresholds": self._table, "falling": self.falling}
        return elementwise("threshold", self.outputs[0], scalars, tables)

    # --- its hardware -----------------------------------------------------------------------------------------------

    def foldings(self) -> dict[str, tuple[int, ...]]:
        """Divisors of the channels."""
        return {"pe": divisors(self.channels)}

    @property
    def levels(self) -> int:
        """Comparisons of the binary search."""
        return self.thresholds.shape[1].bit_length()

    @property
    def cycles(self) -> int:
        """One beat a step."""
        return self.source.size // self.pe

    def schedule(self) -> Schedule:
        """A register for every comparison and one for the result."""
        return streaming(self.cycles, self.levels + 1)

    @property
    def level_bits(self) -> int:
        """Signed width in which inputs and thresholds are compared."""
        return bits_for(min(self.source.lo, -1), self.source.hi + 1)

    def parameters(self) -> dict[str, int]:
        """Adds the depth of the search; a bipolar output counts as 0 and 1."""
        codes = {"lo": 0, "hi": 1} if self.bipolar else {}
        return super().parameters() | {"channels": self.channels, "levels": self.levels} | codes

    def memories(self) -> dict[str, Memory | tuple[Memory, ...]]:
        """Level i holds, at address {channel group, code prefix of i bits}, the threshold that decides the next bit."""
        full = np.full((self.channels, (1 << self.levels) - 1), self.source.hi + 1)
        full[:, : self._table.shape[1]] = self._table
        groups = self.channels // self.pe

        def level(i: int) -> Memory:
            step = 1 << (self.levels - i)
            columns = full[:, step // 2 - 1 :: step]
            words = columns.reshape(groups, self.pe, 1 << i).transpose(0, 2, 1).reshape(-1, self.pe)
            return Memory(as_int64(words), self.level_bits)

        return {
            "level": tuple(level(i) for i in range(self.levels)),
            "falling": Memory(self.falling.reshape(groups, self.pe), 1),
        }

    def features(self) -> Features:
        """A ROM and a comparator for every level and lane, registers for every level."""
        groups, bits = self.channels // self.pe, self.level_bits
        levels = self.memories()["level"]
        # Each lane reads at an address of its own, and only its own part of the word.
        roms = [
            rom_features("rom", Memory(memory.words[:, lane : lane + 1], bits))
            for memory in (levels if isinstance(levels, tuple) else (levels,))
            for lane in range(self.pe)
        ]
        fixed = self.pe * bits if groups == 1 else 0  # compared with a constant
        counts = {
            **add_counts(*roms),
            "compare": float(self.pe * self.levels * bits - fixed),
            "compare_constant": float(fixed),
            "data": float(self.pe * self.levels * self.source.bits),
            "code": float(self.pe * self.levels * (self.levels - 1) // 2),
            "out": float(self.pe * self.outputs[0].bits),
            "falling": float(self.pe * (groups > 1 and bool(self.falling.any()))),
            "counter": counter_bits(groups, self.cycles),
            "group": float(self.levels * (groups - 1).bit_length()),
        }
        return Features(counts)

    @classmethod
    def examples(cls) -> list[Op]:
        """1 to 8 output bits, output ranges that are no power of two, falling and constant channels."""
        rng = np.random.default_rng(0)

        def example(source: Tensor, lo: int, hi: int, pe: int) -> Threshold:
            table = np.sort(rng.integers(source.lo - 2, source.hi + 3, (source.channels, hi - lo)), axis=1)
            return cls(source, as_int64(table), as_int64(np.arange(source.channels) % 3 == 1), lo, hi, pe=pe)

        return [
            example(Tensor((4,), -100, 90), 0, 15, 2),
            example(Tensor((3, 3, 6), -8192, 8191), 0, 15, 3),
            example(Tensor((5, 2), -128, 127), -8, 7, 1),
            example(Tensor((6,), 0, 255), 0, 3, 6),
            example(Tensor((4, 3), -20, 20), 0, 1, 3),
            example(Tensor((2, 4), -3000, 2999), -128, 127, 2),
            example(Tensor((7, 5), -50, 60), 0, 8, 5),
            example(Tensor((4, 8), -50, 60), -3, 3, 4),
            cls(
                Tensor((4,), -9, 9), as_int64([[0], [3], [-9], [10]]), as_int64([0, 1, 0, 1]), -1, 1, pe=2, bipolar=True
            ),
        ]

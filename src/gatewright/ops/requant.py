# SPDX-License-Identifier: Apache-2.0
"""Re-quantisation by multiply, add and shift."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gatewright.errors import ConfigError
from gatewright.ir.cost import Features, Product, counter_bits, rom_features
from gatewright.ir.hls4ml import WIDEST, Layers, Limits, elementwise, normalization
from gatewright.ir.op import Bounds, Memory, Op, as_int64, divisors
from gatewright.ir.primitives import varying_bits
from gatewright.ir.schedule import Schedule, streaming
from gatewright.ir.types import IntArray, Scale, Tensor, bits_for


def shift_round_half_even(x: IntArray, shift: int) -> IntArray:
    """round(x / 2**shift), ties to even, on int64."""
    if shift == 0:
        return x
    floor, rest, half = x >> shift, x & (1 << shift) - 1, 1 << shift - 1
    return np.asarray(floor + ((rest > half) | ((rest == half) & (floor & 1 == 1))), np.int64)


@dataclass(frozen=True, eq=False)
class Requant(Op):
    """y = clip(round_half_even((x * mult + add) / 2**shift), lo, hi) with `mult` and `add` per channel.

    Attributes:
        source: input of shape (..., channels).
        mult, add: int64 of shape (channels,).
        shift: bits dropped.
        lo, hi, scale: of the output.
        pe: channels processed at once; divides the channels.
    """

    source: Tensor
    mult: IntArray
    add: IntArray
    shift: int
    lo: int
    hi: int
    scale: Scale = 1.0
    pe: int = 1

    def __post_init__(self) -> None:
        if self.mult.shape != (self.channels,) or self.add.shape != (self.channels,):
            raise ConfigError(
                f"requant: mult and add of shapes {self.mult.shape!r} and {self.add.shape!r}, need ({self.channels},)"
            )
        if not 0 <= self.shift <= 62 or self.sum_bits > 63:
            raise ConfigError(
                f"requant: shift={self.shift!r} with sums of {self.sum_bits} bits; "
                "shifts are 0 to 62 and sums at most 63 bits: use a smaller multiplier"
            )
        if not -(1 << 31) <= self.lo <= self.hi < 1 << 31:
            raise ConfigError(f"requant: outputs {self.lo}..{self.hi} leave 32 bits")
        self.check_folding(pe=(self.channels, "channels"))

    @property
    def channels(self) -> int:
        """Channels, each with a factor and an offset of its own."""
        return self.source.channels

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The rounded values."""
        return (Tensor(self.source.shape, self.lo, self.hi, self.scale),)

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """The formula, in int64; `sum_bits` proves that it does not overflow."""
        (x,) = xs
        return (np.clip(shift_round_half_even(x * self.mult + self.add, self.shift), self.lo, self.hi),)

    @cached_property
    def _sums(self) -> tuple[list[int], list[int]]:
        """Exact limits of x * mult + add per channel, in Python integers."""
        pairs = list(zip(self.mult.tolist(), self.add.tolist(), strict=True))
        ends = [(self.source.lo * m + a, self.source.hi * m + a) for m, a in pairs]
        return [min(e) for e in ends], [max(e) for e in ends]

    def bounds(self) -> tuple[Bounds, ...]:
        """The formula at both limits of the input, per channel."""
        lo, hi = (tuple(self._finish(v) for v in side) for side in self._sums)
        return (Bounds(lo, hi, witness="the input's own limits"),)

    def _finish(self, total: int) -> int:
        return min(max(self._rounded(total), self.lo), self.hi)

    def _rounded(self, total: int) -> int:
        half = (1 << self.shift) // 2
        return total if self.shift == 0 else total + half - 1 + (total >> self.shift & 1) >> self.shift

    @property
    def _normalizes(self) -> bool:
        """Whether the range of the output's type is the only limit that is ever met, and doubles hold the constants.

        hls4ml leaves out a normalisation by 1 without offset, whatever its type does.
        """
        full = Limits(self.lo, self.hi).full
        low, high = (self._rounded(f(s)) for f, s in zip((min, max), self._sums, strict=True))
        limits = (self.lo == full.lo or low >= self.lo) and (self.hi == full.hi or high <= self.hi)
        nothing = bool((self.mult == 1 << self.shift).all()) and not self.add.any()
        return limits and not nothing and int(np.abs(self.add).max()) < 1 << WIDEST

    def hls4ml(self) -> Layers:
        """A batch normalisation where its output's type does the rest; else a function of our own.

        That one is given offsets in halves that a double holds.
        """
        if self._normalizes:
            return normalization(self.outputs[0], self.mult, self.add, self.shift)
        low = self.add & (1 << 30) - 1
        tables = {"mult": self.mult, "add_high": self.add - low >> 30, "add_low": low}
        scalars = {"sum_bits": self.sum_bits, "shift": self.shift, "lo": self.lo, "hi": self.hi}
        return elementwise("requant", self.outputs[0], scalars, tables)

    # --- its hardware -----------------------------------------------------------------------------------------------

    def foldings(self) -> dict[str, tuple[int, ...]]:
        """Divisors of the channels."""
        return {"pe": divisors(self.channels)}

    @property
    def cycles(self) -> int:
        """One beat a step."""
        return self.source.size // self.pe

    def schedule(self) -> Schedule:
        """Registers after the ROM, the product, the sum and the rounding."""
        return streaming(self.cycles, 4)

    @cached_property
    def sum_bits(self) -> int:
        """Exact signed width of x * mult + add, and of the product before it."""
        lo, hi = self._sums
        products = [v * m for m in self.mult.tolist() for v in (self.source.lo, self.source.hi)]
        return bits_for(min(-1, *lo, *products), max(0, *hi, *products))

    def parameters(self) -> dict[str, int]:
        """Adds the exact width of the sum."""
        return super().parameters() | {"channels": self.channels, "sum_bits": self.sum_bits}

    def memories(self) -> dict[str, Memory]:
        """Factors and offsets, channel group by channel group."""
        groups = self.channels // self.pe

        def rom(values: IntArray) -> Memory:
            return Memory(values.reshape(groups, self.pe), bits_for(min(-1, int(values.min())), int(values.max())))

        return {"mult": rom(self.mult), "add": rom(self.add)}

    def features(self) -> Features:
        """ROMs, a product a lane in DSP slices that also add, and the rounding and clipping behind them."""
        groups, roms = self.channels // self.pe, self.memories()
        added = varying_bits(roms["add"].words, roms["add"].bits).shape[1]
        planes = roms["add"].words[..., None] >> np.arange(self.sum_bits) & 1
        mult = Product(self.source.bits + (not self.source.signed), roms["mult"].bits, self.sum_bits, self.pe)
        counts = {
            **rom_features("rom", roms["mult"], roms["add"]),
            "add_bits": float(added),
            "add_deep": float(added * (groups > 16)),  # its clock enable no longer fits into the ROM's LUTs
            "round": float(self.pe * (max(self.sum_bits - self.shift, 1) + 1)),
            "data": float(self.pe * self.source.bits),
            "sum": float(self.pe * self.sum_bits),
            "summed": float((planes != planes[:1]).any(axis=0).sum()),  # a bit that is the same for all is no adder
            "dropped": float(self.pe * self.shift),
            "out": float(self.pe * self.outputs[0].bits),
            "counter": counter_bits(groups, self.cycles),
        }
        return Features(counts, (), (mult,))

    @classmethod
    def examples(cls) -> list[Op]:
        """Both signs of the factor, ties, shift 0, narrow and wide outputs."""
        rng = np.random.default_rng(0)

        def example(source: Tensor, mult: tuple[int, int], add: int, shift: int, lo: int, hi: int, pe: int) -> Requant:
            n = source.channels
            return cls(
                source, as_int64(rng.integers(*mult, n)), as_int64(rng.integers(-add, add + 1, n)), shift, lo, hi, pe=pe
            )

        return [
            example(Tensor((4,), -2048, 2047), (1, 200), 3000, 10, 0, 255, 2),
            example(Tensor((3, 6), -500, 400), (-90, 90), 100, 7, -128, 127, 3),
            example(Tensor((5, 2), 0, 240), (1, 2), 0, 0, 0, 240, 1),
            example(Tensor((4, 3), -64, 63), (2, 3), 1, 2, -32, 31, 3),
            example(Tensor((2, 2, 4), -100000, 100000), (-30000, 30000), 1 << 20, 20, -2048, 2047, 4),
            example(Tensor((2, 4), -100000, 100000), (-(1 << 35), 1 << 35), 1 << 50, 44, -128, 127, 2),
        ]

# SPDX-License-Identifier: Apache-2.0
"""Depthwise product: every channel of a window against taps of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gatewright.errors import ConfigError
from gatewright.ir.cost import Features, counter_bits, counters, running_sum
from gatewright.ir.hls4ml import Layers, Windows, depthwise, sums
from gatewright.ir.op import Bounds, Memory, Op, as_int64, divisors
from gatewright.ir.schedule import Schedule
from gatewright.ir.types import IntArray, Tensor, bits_for
from gatewright.ops.grouped import (
    accumulator_bits,
    check_sums,
    in_block_rom,
    sum_bounds,
    sums_tensor,
    weighted_features,
)


@dataclass(frozen=True, eq=False)
class Depthwise(Op):
    """y = the sum over the taps of every window of each channel times its own weights, `pe` channels a cycle.

    Attributes:
        source: vectors of shape (..., taps * channels), tap by tap, as `window` gives them.
        weight: int64 of shape (filters, taps); filter f reads channel f // multiplier.
        weight_scale: real weight = weight_scale * weight; one, or one per filter.
        pe: channels computed at once, with all their filters; divides the channels.
    """

    source: Tensor
    weight: IntArray
    weight_scale: tuple[float, ...] = (1.0,)
    pe: int = 1

    def __post_init__(self) -> None:
        if self.weight.ndim != 2 or self.source.channels % self.weight.shape[1]:
            raise ConfigError(
                f"depthwise: weight shape {self.weight.shape!r} does not fit {self.source}: need (filters, taps)"
            )
        if len(self.weight) % self.channels:
            raise ConfigError(f"depthwise: {len(self.weight)} filters are no multiple of {self.channels} channels")
        check_sums("depthwise", self.source, self.acc_bits)
        self.check_folding(pe=(self.channels, "channels"))

    # --- shape ------------------------------------------------------------------------------------------------------

    @property
    def taps(self) -> int:
        """Taps of a window."""
        return int(self.weight.shape[1])

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return self.source.channels // self.taps

    @property
    def multiplier(self) -> int:
        """Filters of a channel."""
        return len(self.weight) // self.channels

    # --- what it computes -------------------------------------------------------------------------------------------

    @cached_property
    def _output(self) -> Tensor:
        return sums_tensor(self.source, self._bounds, self.weight_scale)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The accumulators, one per filter."""
        return (self._output,)

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """Tap by tap, in int64."""
        (x,) = xs
        x = x.reshape(*x.shape[:-1], self.taps, self.channels, 1)
        weight = self.weight.reshape(self.channels, self.multiplier, self.taps)
        y = np.zeros((*x.shape[:-3], self.channels, self.multiplier), np.int64)
        for tap in range(self.taps):
            y += x[..., tap, :, :] * weight[..., tap]
        return (y.reshape(*y.shape[:-2], -1),)

    def bounds(self) -> tuple[Bounds, ...]:
        """Positive weights against one limit of the input, negative ones against the other, in Python integers."""
        return (self._bounds,)

    @cached_property
    def _bounds(self) -> Bounds:
        return sum_bounds(self.weight, self.source)

    def hls4ml(self) -> Layers | None:
        """Windows of one pixel need no `window` above."""
        return self.hls4ml_of_windows(Windows(self.source)) if self.taps == 1 else None

    def hls4ml_of_windows(self, windows: Windows) -> Layers:
        """A depthwise convolution."""
        limits = sums(self._output, self._bounds.partial_lo, self._bounds.partial_hi)
        return depthwise(windows, self.weight, self._output, limits, self.words)

    # --- its hardware -----------------------------------------------------------------------------------------------

    @cached_property
    def acc_bits(self) -> int:
        """Accumulator width: what the exact bounds of every partial sum need, and not a bit more."""
        return accumulator_bits(self._bounds)

    @cached_property
    def weight_bits(self) -> int:
        """Signed width of a stored weight."""
        return bits_for(min(int(self.weight.min()), -1), int(self.weight.max()))

    @property
    def out_lanes(self) -> tuple[int, ...]:
        """All filters of `pe` channels a beat."""
        return (self.pe * self.multiplier,)

    def foldings(self) -> dict[str, tuple[int, ...]]:
        """Divisors of the channels."""
        return {"pe": divisors(self.channels)}

    @property
    def words(self) -> int:
        """Words of the ROM: steps of a window."""
        return self.taps * (self.channels // self.pe)

    @property
    def cycles(self) -> int:
        """One beat a step."""
        return math.prod(self.source.shape[:-1]) * self.words

    def schedule(self) -> Schedule:
        """The steps of the last tap give the sums."""
        step = np.arange(self.cycles)
        produce = step % self.words >= self.words - self.channels // self.pe
        return Schedule(self.cycles, 3 + (self.block_rom or self.dsp), (step + 1,), (produce,))

    @property
    def block_rom(self) -> bool:
        """Whether the weights go to block RAM."""
        return in_block_rom(self.words, self.pe * self.multiplier * self.weight_bits)

    @property
    def dsp(self) -> bool:
        """Whether products go to DSP slices: wide ones only, narrow ones cost fewer LUTs than they would block."""
        return self.weight_bits + self.source.bits > 12

    def parameters(self) -> dict[str, int]:
        """Adds the shape and the exact widths."""
        names = ("channels", "multiplier", "taps", "acc_bits", "block_rom", "dsp")
        encoding = {"in_bipolar": int(self.source.encoding == "bipolar")}
        return super().parameters() | encoding | {n: int(getattr(self, n)) for n in names}

    def memories(self) -> dict[str, Memory]:
        """One word a step: tap outer, channel group inner; element p * multiplier + m."""
        groups = self.weight.reshape(self.channels // self.pe, self.pe * self.multiplier, self.taps)
        return {"weight": Memory(groups.transpose(2, 0, 1).reshape(self.words, -1), self.weight_bits)}

    def features(self) -> Features:
        """A product a filter and its running sum; weights in LUTs or block RAM."""
        groups, filters = self.channels // self.pe, self.pe * self.multiplier
        sums, store = running_sum(filters * self.acc_bits, groups)
        factor = weighted_features(self.source, self.weight_bits, self.acc_bits, filters, self.words, self.pe)
        counts = {
            "out": float(filters * self.outputs[0].bits),
            "data": float(self.pe * self.source.bits),
            **counters(groups, self.taps, self.words, self.outputs[0].size // filters),
            "place": (2 + (self.block_rom or self.dsp)) * counter_bits(groups),
        }
        return Features({**sums, **counts, **factor.counts}, (*store, *factor.memories), factor.products)

    @classmethod
    def examples(cls) -> list[Op]:
        """1 to 8-bit weights, inputs of every encoding, one channel, one tap, several filters a channel."""
        rng = np.random.default_rng(0)

        def example(source: Tensor, taps: int, bits: int, pe: int = 1, multiplier: int = 1) -> Depthwise:
            limit = max((1 << bits - 1) - 1, 1)
            weight = rng.integers(-limit, limit + 1, (source.channels // taps * multiplier, taps))
            weight.flat[0] = limit
            return cls(source, as_int64(weight), pe=pe)

        return [
            example(Tensor((3, 2, 9 * 4), 0, 15), 9, 4, 2),
            example(Tensor((4, 9 * 6), -8, 7), 9, 3, 6),
            example(Tensor((5, 25), 0, 255), 25, 8),
            example(Tensor((3, 7), -128, 127), 1, 8, 7),
            example(Tensor((2, 2, 4 * 10), 0, 3), 4, 2, 5),
            example(Tensor((2, 9 * 32), 0, 1), 9, 1),
            example(Tensor((3, 6 * 4), 2, 9), 6, 4, 2, 3),
            example(Tensor((3, 4), -8, 7), 2, 4, 1, 2),
            example(Tensor((2, 9 * 8), -1, 1, encoding="bipolar"), 9, 1, 4),
            cls(Tensor((2, 4 * 2), 0, 7), as_int64(-rng.integers(0, 8, (2, 4))), pe=2),
        ]

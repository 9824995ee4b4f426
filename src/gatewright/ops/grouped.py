# SPDX-License-Identifier: Apache-2.0
"""Product with the diagonal blocks of a matrix: a convolution of several groups of channels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gatewright.errors import ConfigError
from gatewright.ir.cost import Features, Product, Ram, counter_bits, counters, rom_counts, running_sum
from gatewright.ir.hls4ml import Layers, Windows, grouped, sums
from gatewright.ir.op import Bounds, Memory, Op, as_int64, divisors
from gatewright.ir.schedule import Schedule
from gatewright.ir.types import IntArray, Tensor, bits_for

BLOCK_ROM_BITS = 1 << 13
"""From this size on a ROM of more than 128 words lies in block RAM: it would take more than 128 LUTs."""

SHARED_WORDS = 8
"""Up to so many words, columns of a ROM are equal or constant so often that products get simpler."""


@dataclass(frozen=True, eq=False)
class Grouped(Op):
    """y = W x on every window, each group of filters on its own group of channels, `pe` filters and `simd` channels
    of one group a cycle.

    Attributes:
        source: vectors of shape (..., taps * channels), tap by tap, as `window` gives them.
        weight: int64 of shape (filters, taps, channels of a group); the groups' filters one after another.
        weight_scale: real weight = weight_scale * weight; one, or one per filter.
        pe: filters computed at once; divides the filters of a group.
        simd: channels multiplied at once; divides the channels of a group.
    """

    source: Tensor
    weight: IntArray
    weight_scale: tuple[float, ...] = (1.0,)
    pe: int = 1
    simd: int = 1

    def __post_init__(self) -> None:
        if self.weight.ndim != 3 or self.source.channels % math.prod(self.weight.shape[1:]):
            raise ConfigError(
                f"grouped: weight shape {self.weight.shape!r} does not fit {self.source}: "
                "need (filters, taps, channels of a group)"
            )
        if self.weight.shape[0] % self.groups:
            raise ConfigError(f"grouped: {self.groups} groups do not divide {self.weight.shape[0]} filters")
        check_sums("grouped", self.source, self.acc_bits)
        self.check_folding(pe=(self.group_out, "filters"), simd=(self.group_in, "channels"))

    # --- shape ------------------------------------------------------------------------------------------------------

    @property
    def taps(self) -> int:
        """Taps of a window."""
        return int(self.weight.shape[1])

    @property
    def group_in(self) -> int:
        """Channels of a group."""
        return int(self.weight.shape[2])

    @property
    def groups(self) -> int:
        """Groups of channels."""
        return self.source.channels // (self.taps * self.group_in)

    @property
    def group_out(self) -> int:
        """Filters of a group."""
        return int(self.weight.shape[0]) // self.groups

    @property
    def vectors(self) -> int:
        """Windows a frame."""
        return math.prod(self.source.shape[:-1])

    # --- what it computes -------------------------------------------------------------------------------------------

    @cached_property
    def _output(self) -> Tensor:
        return sums_tensor(self.source, self._bounds, self.weight_scale)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The accumulators, one per filter."""
        return (self._output,)

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """One exact matrix product a group: float64 when every partial sum stays below 2**53, int64 otherwise."""
        (x,) = xs
        partial = max(-int(self._bounds.partial_lo or 0), int(self._bounds.partial_hi or 0))
        dtype = np.float64 if partial < 1 << 53 else np.int64
        blocks = x.reshape(-1, self.taps, self.groups, self.group_in).transpose(2, 0, 1, 3)
        weight = self.weight.reshape(self.groups, self.group_out, -1).transpose(0, 2, 1)
        y = np.matmul(blocks.reshape(self.groups, -1, weight.shape[1]).astype(dtype), weight.astype(dtype))
        return (y.transpose(1, 0, 2).reshape(*x.shape[:-1], -1).astype(np.int64),)

    def bounds(self) -> tuple[Bounds, ...]:
        """Positive weights against one limit of the input, negative ones against the other, in Python integers."""
        return (self._bounds,)

    @cached_property
    def _bounds(self) -> Bounds:
        return sum_bounds(self.weight.reshape(len(self.weight), -1), self.source)

    def hls4ml(self) -> Layers | None:
        """Windows of one pixel need no `window` above."""
        return self.hls4ml_of_windows(Windows(self.source)) if self.taps == 1 else None

    def hls4ml_of_windows(self, windows: Windows) -> Layers:
        """A convolution of all channels: hls4ml has none of groups."""
        blocks = self.weight.reshape(self.groups, self.group_out, self.taps, self.group_in)
        limits = sums(self._output, self._bounds.partial_lo, self._bounds.partial_hi)
        return grouped(windows, blocks, self._output, limits, self.words)

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
    def in_lanes(self) -> tuple[int, ...]:
        """`simd` channels a beat."""
        return (self.simd,)

    def foldings(self) -> dict[str, tuple[int, ...]]:
        """Divisors of a group's filters and channels."""
        return {"pe": divisors(self.group_out), "simd": divisors(self.group_in)}

    @property
    def words(self) -> int:
        """Words of the ROM: steps of a window."""
        return self.taps * self.groups * (self.group_in // self.simd) * (self.group_out // self.pe)

    @property
    def cycles(self) -> int:
        """Every window visits every word of the ROM once."""
        return self.vectors * self.words

    @property
    def tree_registers(self) -> int:
        """Register levels in the adder tree: one after every two levels of adders."""
        return -(-(self.simd - 1).bit_length() // 2)

    def schedule(self) -> Schedule:
        """A beat is held for all sets of its group's filters; the last beat of every group gives them."""
        nf, sf = self.group_out // self.pe, self.group_in // self.simd
        step = np.arange(self.cycles)
        beat = step // nf
        tap = beat // (sf * self.groups) % self.taps
        produce = (tap == self.taps - 1) & (beat % sf == sf - 1)
        return Schedule(self.cycles, 3 + self.tree_registers + (self.block_rom or self.dsp), (beat + 1,), (produce,))

    @property
    def block_rom(self) -> bool:
        """Whether the weights go to block RAM."""
        return in_block_rom(self.words, self.pe * self.simd * self.weight_bits)

    @property
    def dsp(self) -> bool:
        """Whether products go to DSP slices: wide ones only, narrow ones cost fewer LUTs than they would block."""
        return self.weight_bits + self.source.bits > 12

    def parameters(self) -> dict[str, int]:
        """Adds the shape and the exact widths."""
        names = ("groups", "group_in", "group_out", "taps", "acc_bits", "block_rom", "dsp")
        encoding = {"in_bipolar": int(self.source.encoding == "bipolar")}
        return super().parameters() | encoding | {n: int(getattr(self, n)) for n in names}

    def memories(self) -> dict[str, Memory]:
        """One word a step: tap, group, channels, filters, the last fastest; element p * simd + s."""
        nf, sf = self.group_out // self.pe, self.group_in // self.simd
        blocks = self.weight.reshape(self.groups, nf, self.pe, self.taps, sf, self.simd)
        return {"weight": Memory(blocks.transpose(3, 0, 4, 1, 2, 5).reshape(self.words, -1), self.weight_bits)}

    def features(self) -> Features:
        """Products and an adder tree a filter, and its running sum; weights in LUTs or block RAM."""
        nf, sf = self.group_out // self.pe, self.group_in // self.simd
        sums, store = running_sum(self.pe * self.acc_bits, self.groups << (nf - 1).bit_length())
        macs = self.pe * self.simd
        factor = weighted_features(self.source, self.weight_bits, self.acc_bits, macs, self.words, self.simd)
        levels = self.tree_registers
        product = min(self.source.bits + (not self.source.signed) + self.weight_bits, self.acc_bits)
        counts = {
            "tree_dsp" if self.dsp else "tree": float(self.pe * (self.simd - 1) * (product + 1)),
            "tree_bits": self.pe * sum(-(-self.simd // 4**t) * (product + 2 * t) for t in range(1, levels + 1)),
            "out": float(self.pe * self.outputs[0].bits),
            "data": float(self.simd * self.source.bits),
            **counters(nf, sf, self.groups, self.taps, self.words, self.outputs[0].size // self.pe),
            "place": (2 + levels + (self.block_rom or self.dsp))
            * (counter_bits(self.groups << (nf - 1).bit_length()) + 2),
        }
        return Features({**sums, **counts, **factor.counts}, (*store, *factor.memories), factor.products)

    @classmethod
    def examples(cls) -> list[Op]:
        """Groups of unequal inputs and outputs, one tap and many, every kind of folding, both signs, bipolar inputs."""
        rng = np.random.default_rng(0)

        def example(
            source: Tensor, groups: int, shape: tuple[int, int, int], bits: int, pe: int = 1, simd: int = 1
        ) -> Grouped:
            """Of shape (filters of a group, taps, channels of a group)."""
            limit = max((1 << bits - 1) - 1, 1)
            weight = rng.integers(-limit, limit + 1, (groups * shape[0], *shape[1:]))
            weight.flat[0] = limit
            return cls(source, as_int64(weight), pe=pe, simd=simd)

        return [
            example(Tensor((4, 9 * 8), 0, 15), 2, (4, 9, 4), 4, 2, 2),
            example(Tensor((2, 3, 4 * 6), -8, 7), 3, (3, 4, 2), 3, 3, 1),
            example(Tensor((5, 6), 0, 3), 2, (2, 1, 3), 2, 1, 3),
            example(Tensor((3, 3 * 8), -128, 127), 4, (1, 3, 2), 8, 1, 2),
            example(Tensor((2, 9 * 20), 0, 255), 2, (6, 9, 10), 6, 3, 5),
            example(Tensor((6, 2 * 4), 0, 1), 2, (3, 2, 2), 1),
            example(Tensor((3, 5 * 3), 2, 9), 3, (2, 5, 1), 4, 2),
            example(Tensor((2, 9 * 16), -1, 1, encoding="bipolar"), 2, (4, 9, 8), 1, 4, 8),
        ]


# --- what every operator with weights in groups shares ----------------------------------------------------------------


def sum_bounds(weight: IntArray, source: Tensor) -> Bounds:
    """Exact limits of weight @ x, and of its partial sums in any order, for every x within the limits of `source`.

    Args:
        weight: int64 of shape (rows, terms).
    """
    pairs = [
        (int(p), int(n))
        for p, n in zip(np.maximum(weight, 0).sum(axis=1), np.minimum(weight, 0).sum(axis=1), strict=True)
    ]
    lo, hi = source.lo, source.hi
    # A partial sum lacks some terms: as if those inputs were 0.
    low, high = min(lo, 0), max(hi, 0)
    return Bounds(
        tuple(p * lo + n * hi for p, n in pairs),
        tuple(p * hi + n * lo for p, n in pairs),
        min(p * low + n * high for p, n in pairs),
        max(p * high + n * low for p, n in pairs),
        f"x = {hi} where the weight is positive and {lo} where it is negative reaches hi; the opposite reaches lo",
    )


def accumulator_bits(bounds: Bounds) -> int:
    """Bits that hold the sums and every partial sum."""
    lo, hi = min(bounds.lo), max(bounds.hi)
    partial_lo, partial_hi = min(lo, bounds.partial_lo or 0), max(hi, bounds.partial_hi or 0)
    return max(bits_for(partial_lo, partial_hi), bits_for(lo, hi))


def check_sums(name: str, source: Tensor, acc_bits: int) -> None:
    """Refuse an input whose sums have no one scale, or sums that are too wide.

    Raises:
        ConfigError: says which.
    """
    if isinstance(source.scale, tuple):
        raise ConfigError(
            f"{name}: the input has one scale per channel; sums need one scale: quantise with one, or powers of two"
        )
    if acc_bits > 63:
        raise ConfigError(f"{name}: sums of {acc_bits} bits; at most 63 are possible: use narrower weights or inputs")


def sums_tensor(source: Tensor, bounds: Bounds, weight_scale: tuple[float, ...]) -> Tensor:
    """The type of sums in place of each vector of `source`, with the scales of the weights."""
    rows = len(bounds.lo)
    scale = tuple((float(source.scale) * np.broadcast_to(weight_scale, rows)).tolist())  # type: ignore[arg-type]  # check_sums
    shape = (*source.shape[:-1], rows)
    return Tensor(shape, min(bounds.lo), max(bounds.hi), scale[0] if len(set(scale)) == 1 else scale)


def in_block_rom(words: int, width: int) -> bool:
    """Whether a ROM goes to block RAM: it is deep, and LUTs (64 bits each) would cost more than they are worth."""
    return words > 128 and words * width >= BLOCK_ROM_BITS


def weighted_features(source: Tensor, weight_bits: int, acc_bits: int, macs: int, words: int, lanes: int) -> Features:
    """Products and weights of a unit that multiplies `macs` pairs a cycle of `lanes` inputs and a word of a ROM."""
    width, factor = macs * weight_bits, source.bits + (not source.signed)
    product = min(factor + weight_bits, acc_bits)
    counts: dict[str, float] = {}
    memories: tuple[Ram, ...] = ()
    products: tuple[Product, ...] = ()
    if weight_bits + source.bits > 12:
        products = (Product(factor, weight_bits, product, macs),)
    else:
        kind = "multiply" if words > SHARED_WORDS else "multiply_few" if words > 1 else "multiply_constant"
        # A bipolar input negates, which is more than a gate. Of few words, many bits are the same, half of those 0.
        bits = macs * weight_bits * source.bits * (1.5 if source.encoding == "bipolar" else 1.0)
        counts = {kind: bits * (1 - 0.5 ** (words - 1) if words > 1 else 1), "product": float(macs * product)}
    if in_block_rom(words, width):
        memories = (Ram(width, words, True, "rom"),)
    elif words > 1:
        counts |= rom_counts("rom", width, words)
    if memories or products:  # the register in front of the products, which a DSP slice has inside
        word = counts.get("rom_bits", float(width) if memories else 0.0)
        counts["late_dsp" if products else "late"] = lanes * source.bits + word
    return Features(counts, memories, products)

# SPDX-License-Identifier: Apache-2.0
"""The shape of `rtl/lib/bit_heap.sv`: how many levels it has, and what they cost."""

from __future__ import annotations

import functools
from dataclasses import dataclass


@dataclass(frozen=True)
class Heap:
    """A bit heap of one row.

    Attributes:
        cycles: from the products to the sum.
        first: LUTs of the first level, whose inputs are products: those that reach none of its groups are gates.
        rest: LUTs of the levels behind it.
        parity: those of them that give the lowest bit of the sum.
        chain: bits of the last addition.
        registers: bits between levels, without those of the sum.
    """

    cycles: int
    first: int
    rest: int
    parity: int
    chain: int
    registers: int


def heap(n: int, a_bits: int, b_bits: int, out_bits: int) -> Heap:
    """The heap that adds n products of a_bits x b_bits planes modulo 2**out_bits."""
    return _heap(n, a_bits, b_bits, out_bits)


@functools.lru_cache(maxsize=4096)
def _heap(n: int, a_bits: int, b_bits: int, out_bits: int) -> Heap:
    heights = [0] * (out_bits + 2)
    for i in range(a_bits):
        for j in range(b_bits):
            if i + j < out_bits:
                heights[i + j] += n
    levels = registers = rest = parity = 0
    first = sum(2 * (h // 3) + h % 3 if max(heights) > 2 else h for h in heights)
    while max(heights[:out_bits]) > 2:
        if levels and levels % 2 == 0:
            registers += sum(heights[:out_bits])
        heights, cost, lowest = _level(heights[:out_bits], levels)
        rest, parity = (rest + cost, parity + lowest) if levels else (0, 0)
        levels += 1
    two = next((c for c in range(out_bits) if heights[c] == 2), out_bits)
    top = max((c + 1 for c in range(out_bits) if heights[c]), default=0)
    chain = min(top + 1, out_bits) - two if two < top else 0
    return Heap(1 + max(0, levels - 1) // 2, first, rest, parity, chain, registers)


def _level(heights: list[int], level: int) -> tuple[list[int], int, int]:
    """Heights after a level, with two columns more, its LUTs, and those of them that give bits of the lowest column."""
    after, luts, lowest, most = [0] * (len(heights) + 2), 0, 0, max(heights)
    for c, height in enumerate(heights):
        sixes = 0 if level == 0 or most <= 3 else (height + 1) // 6
        if level == 0:
            threes = height // 3
        elif most <= 3:
            threes = height // 2
        else:
            threes = int(height % 6 in (3, 4))
        after[c] += sixes + threes + max(0, height - 6 * sixes - 3 * threes)
        after[c + 1] += sixes + threes
        after[c + 2] += sixes
        luts += 3 * sixes + 2 * threes
        lowest += sixes + threes if c == 0 else 0
    return after, luts, lowest

# SPDX-License-Identifier: Apache-2.0
"""What memories and products become on the 7 series ("xc7"), UltraScale+ ("xcup") and ECP5: the choices of synthesis.

The costs that decide between shapes of RAM are those of Yosys' libraries of memories, so that block RAM and DSP
slices are predicted exactly; docs/resources.md has the comparison. A row is what one RAM's addresses hold: deeper
memories are several rows, chosen between by a multiplexer.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gatewright.ir.types import IntArray

Kind = Literal["rom", "ram"]

RAM_DEPTH, RAM_BITS = 128, 8192
"""`sdp_ram` lies in block RAM where it is deeper and larger: below, LUTs are the smaller part of any chip here."""


@dataclass(frozen=True)
class _Shape:
    """A way to use a RAM: `2**address_bits` words of `width` bits cost `cost`, and are `size` of the resource."""

    address_bits: int
    width: int
    cost: float
    size: float


BLOCK_RAM: Mapping[str, str] = {"xc7": "BRAM36", "xcup": "BRAM36", "ecp5": "EBR"}
"""What a family's block RAM is called where resources are counted."""


def resource_names(family: str) -> tuple[str, ...]:
    """What a design takes of a chip of a family: LUTs, flip-flops, block RAM and DSP slices."""
    return ("LUT", "FF", BLOCK_RAM[family], "DSP")


def _block_shapes(family: str) -> Iterator[_Shape]:
    """RAMB18 and RAMB36 in every width, and two RAMB36 in cascade, which only the 7 series has as one RAM.

    Of the ECP5 a DP16KD in every width, of which the last has a port to read and a port to write.
    """
    if family == "ecp5":
        for i, width in enumerate((1, 2, 4, 9, 18, 36)):
            yield _Shape(14 - i, width, 128, 1.0)
        return
    for address_bits, cost, size, widths in ((14, 129, 0.5, 6), (15, 257, 1.0, 7)):
        for i, width in enumerate((1, 2, 4, 9, 18, 36, 72)[:widths]):
            yield _Shape(address_bits - i, width, cost, size)
    if family == "xc7":
        yield _Shape(16, 1, 513, 2.0)


@functools.lru_cache(maxsize=65536)
def block_ram(width: int, depth: int, kind: Kind, family: str) -> float:
    """RAMB36 (a RAMB18 is half of one) or DP16KD of a memory in block RAM with a registered read port.

    Args:
        width: bits of a word; of a ROM only those that differ between words (`varying_bits`).
        kind: "rom", or "ram" with a write port of its own.
    """
    if width < 1 or depth < 1:
        return 0.0
    best = (float("inf"), 0.0)
    for shape in _block_shapes(family):
        rows = -(-depth >> shape.address_bits)
        if kind == "rom" or rows == 1:
            units = -(-rows * width // shape.width)
        else:  # rows share a RAM only in lanes that are written apart from one another
            lane = min(shape.width, 9)
            units = -(-rows * -(-width // lane) // (shape.width // lane))
        select = (rows - 1) * width + (rows if rows > 1 and kind == "ram" else 0)
        best = min(best, (units * shape.cost + select / 2, units * shape.size))
    return best[1]


def ram_in_block(width: int, depth: int) -> bool:
    """Whether an `sdp_ram` of this size lies in block RAM: the rule of rtl/lib/sdp_ram.sv."""
    return depth > RAM_DEPTH and width * depth > RAM_BITS


@functools.lru_cache(maxsize=65536)
def lut_ram(width: int, depth: int, family: str) -> tuple[float, float]:
    """LUTs of a LUT RAM with one write port and one port that reads without a clock, and bits of its read multiplexer.

    RAM32M and RAM64M of the 7 series hold 32 words of 6 bits or 64 of 3 in 4 LUTs; RAM32M16 and RAM64M8 of UltraScale+
    32 words of 14 bits or 64 of 7 in 8; both have deeper ones a bit wide. TRELLIS_DPR16X4 of the ECP5 holds 16 words of
    4 bits in 4 LUTs, and its write port takes the place of 2 more.
    """
    # Address bits, width, cost whatever of the width is used, cost by the width used, LUTs.
    shapes = {
        "xc7": ((5, 6, 1.0, 7.0, 4), (6, 3, 1.0, 7.0, 4), (7, 1, 0.0, 8.0, 4)),
        "xcup": ((5, 14, 0.0, 16.0, 8), (6, 7, 0.0, 16.0, 8), (7, 2, 0.0, 16.0, 8), (8, 1, 0.0, 16.0, 8)),
        "ecp5": ((4, 4, 4.0, 0.0, 6),),
    }[family]
    best, found = float("inf"), (0.0, 0.0)
    for address_bits, lanes, fixed, scaled, luts in shapes:
        rows, units = -(-depth >> address_bits), -(-width // lanes)
        cost = rows * (units * fixed + width / lanes * scaled) + (rows - 1) * width / 2 + (rows > 1) * rows / 2
        if cost < best:
            best, found = cost, (float(rows * units * luts), float((rows - 1) * width))
    return found


def varying_bits(words: IntArray, bits: int) -> IntArray:
    """Columns of a ROM that are not the same in all words, each once: int64 of shape (depth, columns), 0 or 1.

    Constant columns cost nothing, and equal ones share what they cost.

    Args:
        words: int64 of shape (depth, elements).
        bits: of an element.
    """
    planes = (words[..., None] >> np.arange(bits) & 1).reshape(len(words), -1)
    planes = planes[:, (planes != planes[:1]).any(axis=0)]
    return distinct_columns(planes)


def distinct_columns(planes: IntArray) -> IntArray:
    """Each column of an array of 0 and 1 once, in the order of its first appearance."""
    packed = np.packbits(planes.astype(np.uint8), axis=0).T
    first = {column.tobytes(): i for i, column in reversed(list(enumerate(packed)))}
    return planes[:, sorted(first.values())]


def rom_luts(columns: float, depth: int, words: int = 64) -> float:
    """LUTs of a ROM of `columns` distinct columns: 64 words each, and a multiplexer beyond 256 words.

    Two words need none: a column is the address bit itself.

    Args:
        words: that a LUT holds: 16 on an ECP5, which needs multiplexers beyond 128.
    """
    if depth <= 2:
        return 0.0
    free, cost = (256, 0.5) if words == 64 else (128, 1.0)
    return columns * (-(-depth // words) + (-(-depth // free) - 1) * cost)


def dsp_slices(a_bits: int, b_bits: int, p_bits: int, family: str) -> int:
    """DSP48 or MULT18X18D of a signed product of which p_bits are needed.

    Products of fewer than 9 bits, and factors of one, stay in LUTs; wider factors than a slice takes are split. On an
    ECP5 every product of parts of 2 bits or more takes a slice, but for those above the bits that are needed.
    """
    a, b = max(a_bits, b_bits), min(a_bits, b_bits)
    if family == "ecp5":
        starts = [(i, j) for i in range(0, min(a, p_bits), 18) for j in range(0, min(b, p_bits), 18)]
        return sum(i + j < p_bits and a - i >= 2 and b - j >= 2 for i, j in starts)
    if b < 2 or min(p_bits, a + b) < 9:
        return 0
    wide = 25 if family == "xc7" else 27
    parts_a = 1 if a <= wide else -(-(a - 1) // (wide - 1))
    parts_b = 1 if b <= 18 else -(-(b - 1) // 17)
    return parts_a * parts_b

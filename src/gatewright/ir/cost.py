# SPDX-License-Identifier: Apache-2.0
"""Resources of a unit from what it is built of: structural counts times coefficients fitted on synthesis.

Block RAM and DSP slices are counted; LUTs and flip-flops are sums of the counts, each with a coefficient of the unit's
module. The coefficients, in coefficients.json, are what benchmarks/fit_resources.py found.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gatewright.ir.primitives import (
    BLOCK_RAM,
    Kind,
    block_ram,
    dsp_slices,
    lut_ram,
    ram_in_block,
    rom_luts,
    varying_bits,
)
from gatewright.ir.types import IntArray

if TYPE_CHECKING:
    from gatewright.ir.op import Memory

ECP5 = "_ecp5"
"""Counts that end so are those of an ECP5, whose LUTs have four inputs, and stand there in place of those without."""
ANY = "*"
"""The module whose coefficients stand for one that was never measured."""


@dataclass(frozen=True)
class Ram:
    """A memory: bits of a word, words, and where it lies.

    Attributes:
        block: whether it lies in block RAM, else in LUT RAM.
        kind: "rom" or "ram"; a ROM in LUTs is no memory here but a count of LUTs.
    """

    width: int
    depth: int
    block: bool = False
    kind: Kind = "ram"


@dataclass(frozen=True)
class Product:
    """A product in DSP slices: bits of the factors, bits of it that are needed, and how often it is there."""

    a_bits: int
    b_bits: int
    p_bits: int
    count: int = 1


@dataclass(frozen=True)
class Features:
    """What a unit is built of.

    Attributes:
        counts: named structural counts, such as bits of adders, on which LUTs and flip-flops depend linearly.
        memories: RAMs, and ROMs in block RAM.
        products: in DSP slices.
    """

    counts: Mapping[str, float]
    memories: tuple[Ram, ...] = field(default=())
    products: tuple[Product, ...] = field(default=())

    def columns(self, family: str) -> dict[str, float]:
        """All counts of a family: those given, one for the unit itself, and what its RAMs in LUTs take."""
        found = {"unit": 1.0, "ram_luts": 0.0, "ram_select": 0.0} | dict(self.counts)
        for ram in self.memories:
            if not ram.block:
                luts, select = lut_ram(ram.width, ram.depth, family)
                found["ram_luts"] += luts
                found["ram_select"] += select
        replaced = {n.removesuffix(ECP5) if family == "ecp5" else n for n in found if n.endswith(ECP5)}
        return {name: count for name, count in found.items() if name not in replaced}

    def hard(self, family: str) -> dict[str, float]:
        """Block RAM and DSP slices."""
        block = sum(block_ram(m.width, m.depth, m.kind, family) for m in self.memories if m.block)
        slices = sum(dsp_slices(p.a_bits, p.b_bits, p.p_bits, family) * p.count for p in self.products)
        return {BLOCK_RAM[family]: float(block), "DSP": float(slices)}


def estimate(module: str, features: Features, family: str = "xc7") -> dict[str, float]:
    """LUT, FF, block RAM and DSP slices of a unit, by the family's `resource_names`.

    Args:
        module: its kernel's name; of one that was never measured, LUTs and flip-flops follow the widths of its ports.
        family: "xc7", "xcup" or "ecp5".
    """
    table, columns = coefficients(), features.columns(family)
    rows = table.get(f"{module}/{family}") or table.get(module) or table[ANY]
    soft = {r: sum(columns.get(n, 0.0) * c for n, c in rows[r].items()) for r in ("LUT", "FF")}
    return soft | features.hard(family)


def counter_bits(*counts: int) -> float:
    """Bits of counters that run through so many values each."""
    return float(sum((count - 1).bit_length() for count in counts))


def counters(*counts: int) -> dict[str, float]:
    """Of counters with so many values each: their bits, and the bits of those that do not start anew by themselves."""
    odd = tuple(n for n in counts if n & (n - 1))
    return {"counter": counter_bits(*counts), "wrap": counter_bits(*odd)}


def address_counts(addresses: IntArray, count: int) -> dict[str, float]:
    """Of rtl/lib/loop_value.sv: bits that change, and bits of what is added that depend on the loop that turns.

    Args:
        addresses: int64 of shape (turns,), from one start of the loops to the next.
        count: of all addresses.
    """
    moves = np.diff(addresses, append=addresses[:1]) & (1 << (count - 1).bit_length()) - 1
    return {"turning": _changing(addresses), "moves": _changing(moves)}


def _changing(values: IntArray) -> float:
    return float(int(np.bitwise_or.reduce(values ^ values[0])).bit_count())


def odd(*counts: int) -> float:
    """Counters of so many values that do not start anew by themselves."""
    return float(sum(n & (n - 1) > 0 for n in counts))


def sdp_ram(width: int, depth: int) -> Ram:
    """The memory of rtl/lib/sdp_ram.sv."""
    return Ram(width, depth, ram_in_block(width, depth))


def rom_features(name: str, *memories: Memory) -> dict[str, float]:
    """Counts of ROMs that are logic and read at one address: LUTs, those of words beyond 64, and registers behind them.

    Args:
        name: what the counts are called: `name`, `name_deep` (on an ECP5 `name_deep_ecp5`) and `name_bits`.
    """
    depth = len(memories[0].words)
    columns = np.unique(np.concatenate([varying_bits(m.words, m.bits) for m in memories], axis=1), axis=1)
    total = columns.shape[1]
    luts = float(total) if depth > 2 else 0.0  # a column of two words is the address bit itself
    deep = (_deep(columns, 64), _deep(columns, 16)) if total else (0.0, 0.0)
    return {name: luts, f"{name}_deep": deep[0], f"{name}_deep{ECP5}": deep[1], f"{name}_bits": float(total)}


def _deep(columns: IntArray, words: int) -> float:
    """LUTs beyond one a column: a LUT for every 64 words that are not all the same and not there already.

    Args:
        columns: int64 of shape (words, columns), 0 or 1.
        words: that a LUT holds, 64 or 16.
    """
    depth, count = columns.shape
    if depth <= words:
        return 0.0
    padded = np.pad(columns, ((0, -depth % words), (0, 0)), "edge")
    parts = np.packbits(padded.astype(np.uint8).reshape(-1, words, count), axis=1).transpose(2, 0, 1)
    luts, size = 0, words // 8
    for column in parts:
        distinct = {part.tobytes() for part in column} - {bytes(size), b"\xff" * size}
        luts += max(1, len(distinct))
    return luts - count + rom_luts(count, depth, words) - count * -(-depth // words)


def rom_counts(name: str, columns: float, depth: int) -> dict[str, float]:
    """The counts of `rom_features` for a ROM of random contents, without a look at them.

    Of short ROMs many columns are the same: of the 2**depth that there can be, two are constant, and what is left is
    taken by so many columns as if each were drawn by chance.
    """
    if depth <= 16:
        possible = float((1 << depth) - 2)
        columns = possible * -math.expm1(-columns / (possible + 2)) if possible else 0.0
    luts = columns if depth > 2 else 0.0
    deep, deep4 = (rom_luts(luts, depth, words) - luts if luts else 0.0 for words in (64, 16))
    return {name: luts, f"{name}_deep": deep, f"{name}_deep{ECP5}": deep4, f"{name}_bits": columns}


def running_sum(width: int, places: int) -> tuple[dict[str, float], tuple[Ram, ...]]:
    """Of rtl/lib/running_sum.sv: adders, and the sums in LUT RAM, or in registers where there is one place."""
    if places == 1:
        return {"sum": float(width), "held": float(width)}, ()
    return {"sum": float(width)}, (Ram(width, places),)


def ping_pong(width: int, block: int) -> tuple[dict[str, float], Ram]:
    """Of rtl/lib/ping_pong.sv: two blocks of memory, the writer's counter, the words ahead and the reader's address."""
    ram = sdp_ram(width, 2 * block)
    address = float(max(1, (block - 1).bit_length()))
    counts = {
        "ahead": float((2 * block).bit_length()),
        "writer": counter_bits(2 * block),
        "address": address,
        "offset": address * odd(block),  # the second block of a power of two needs no addition
        "read": float(0 if ram.block else width),
    }
    return counts, ram


def add_counts(*parts: Mapping[str, float]) -> dict[str, float]:
    """Sums by name."""
    total: dict[str, float] = {}
    for part in parts:
        for name, count in part.items():
            total[name] = total.get(name, 0.0) + count
    return total


@functools.cache
def coefficients() -> Mapping[str, Mapping[str, Mapping[str, float]]]:
    """By module, resource and count; "module/family" where a family's DSP slices take in other logic than the rest."""
    table: dict[str, dict[str, dict[str, float]]] = json.loads(
        Path(__file__).with_name("coefficients.json").read_text()
    )
    return table

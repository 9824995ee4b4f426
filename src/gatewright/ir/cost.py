# SPDX-License-Identifier: Apache-2.0
"""Resources of a unit from what it is built of: structural counts times coefficients fitted on synthesis.

Block RAM and DSP slices are counted; LUTs and flip-flops are sums of the counts, each with a coefficient of the unit's
module. The coefficients, in coefficients.json, are what benchmarks/fit_resources.py found.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gatewright.ir.primitives import Kind, bram36, dsp48, lut_ram, ram_in_block, varying_bits

if TYPE_CHECKING:
    from gatewright.ir.op import Memory

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
        """All counts: those given, one for the unit itself, and what its RAMs in LUTs take."""
        found = {"unit": 1.0, "ram_luts": 0.0, "ram_select": 0.0} | dict(self.counts)
        for ram in self.memories:
            if not ram.block:
                luts, select = lut_ram(ram.width, ram.depth, family)
                found["ram_luts"] += luts
                found["ram_select"] += select
        return found

    def hard(self, family: str) -> dict[str, float]:
        """Block RAM and DSP slices."""
        block = sum(bram36(m.width, m.depth, m.kind, family) for m in self.memories if m.block)
        slices = sum(dsp48(p.a_bits, p.b_bits, p.p_bits, family) * p.count for p in self.products)
        return {"BRAM36": float(block), "DSP": float(slices)}


def estimate(module: str, features: Features, family: str = "xc7") -> dict[str, float]:
    """LUT, FF, BRAM36 and DSP of a unit.

    Args:
        module: its kernel's name; of one that was never measured, LUTs and flip-flops follow the widths of its ports.
        family: "xc7" or "xcup".
    """
    table, columns = coefficients(), features.columns(family)
    rows = table.get(f"{module}/{family}") or table.get(module) or table[ANY]
    soft = {r: sum(columns.get(n, 0.0) * c for n, c in rows[r].items()) for r in ("LUT", "FF")}
    return soft | features.hard(family)


def counter_bits(*counts: int) -> float:
    """Bits of counters that run through so many values each."""
    return float(sum((count - 1).bit_length() for count in counts))


def sdp_ram(width: int, depth: int) -> Ram:
    """The memory of rtl/lib/sdp_ram.sv."""
    return Ram(width, depth, ram_in_block(width, depth))


def rom_features(name: str, *memories: Memory) -> dict[str, float]:
    """Counts of ROMs that are logic and read at one address: LUTs, those of words beyond 64, and registers behind them.

    Args:
        name: what the counts are called: `name`, `name_deep` and `name_bits`.
    """
    depth = len(memories[0].words)
    planes = [varying_bits(m.words, m.bits) for m in memories]
    columns = np.unique(np.concatenate(planes, axis=1), axis=1).shape[1]
    luts = float(columns) if depth > 2 else 0.0  # a column of two words is the address bit itself
    return {name: luts, f"{name}_deep": luts * (-(-depth // 64) - 1), f"{name}_bits": float(columns)}


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

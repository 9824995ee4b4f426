# SPDX-License-Identifier: Apache-2.0
"""Block RAM and DSP slices are predicted exactly: against measured sizes, and against Yosys itself."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from gatewright.boards import Family
from gatewright.ir.op import as_int64, package_root
from gatewright.ir.primitives import BLOCK_RAM, block_ram, dsp_slices, lut_ram, ram_in_block, varying_bits
from gatewright.synth.plan import Part, fifo_part, needed
from gatewright.synth.yosys import synthesise

MEASURED = Path(__file__).resolve().parents[2] / "benchmarks" / "data" / "block_memories.csv"


def test_block_ram_equals_what_was_measured() -> None:
    with MEASURED.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 1500 and {r["family"] for r in rows} == {"xc7", "xcup", "ecp5"}
    wrong = [
        r for r in rows if block_ram(int(r["width"]), int(r["depth"]), r["kind"], r["family"]) != float(r["blocks"])
    ]  # type: ignore[arg-type]
    assert not wrong


def _sources() -> dict[str, Path]:
    return {p.stem: p for p in (package_root() / "rtl" / "lib").glob("*.sv")}


def _rom(width: int, depth: int) -> Part:
    """Words that differ in every column."""
    rng = np.random.default_rng(depth)
    words = [0, (1 << width) - 1, *(int(v) for v in rng.integers(0, 1 << width, depth - 2))]
    text = "\n".join(f"{w:x}" for w in words) + "\n"
    parameters = {"WIDTH": width, "DEPTH": depth, "BLOCK": 1, "FILE": "rom.mem"}
    return Part(f"rom {width}x{depth}", "rom", parameters, {"rom.mem": text}, needed("rom", _sources()))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["xc7", "xcup", "ecp5"])
def test_block_ram_equals_whole_syntheses(family: Family) -> None:
    ram = Part("ram", "sdp_ram", {"WIDTH": 20, "DEPTH": 600}, {}, needed("sdp_ram", _sources()))
    rom, fifo = _rom(31, 1100), fifo_part("fifo", 70, 300, True, _sources())
    found = {name: n.resources[BLOCK_RAM[family]] for name, n in synthesise([ram, rom, fifo], family).items()}
    assert found == {
        "ram": block_ram(20, 600, "ram", family),
        "rom 31x1100": block_ram(31, 1100, "rom", family),
        "fifo": block_ram(71, 300, "ram", family),
    }
    assert found["ram"] == 1.0


def test_products_and_lut_ram_of_an_ecp5_are_what_synthesis_makes() -> None:
    widths = [(2, 2, 4), (1, 4, 5), (18, 18, 36), (19, 18, 37), (24, 16, 40), (36, 18, 54), (37, 18, 55), (20, 20, 30)]
    products = {
        f"m{i}": Part(f"m{i}", "multiplier", {"A_BITS": a, "B_BITS": b, "P_BITS": p, "DSP": 1}, {},
                      needed("multiplier", _sources()))
        for i, (a, b, p) in enumerate(widths)
    }  # fmt: skip
    fifos = [fifo_part(f"f{w}x{d}", w, d, False, _sources()) for w, d in ((6, 32), (7, 16), (3, 40))]
    found = synthesise([*products.values(), *fifos], "ecp5")
    slices = [found[name].resources["DSP"] for name in products]
    assert slices == [dsp_slices(*bits, "ecp5") for bits in widths] == [1, 0, 1, 1, 2, 2, 2, 3]
    rams = [found[f.name].cells["TRELLIS_DPR16X4"] for f in fifos]
    assert [6 * n for n in rams] == [lut_ram(w + 1, d, "ecp5")[0] for w, d in ((6, 32), (7, 16), (3, 40))]
    assert rams == [4, 2, 3]


def test_an_sdp_ram_lies_where_the_rule_says() -> None:
    sizes = [(64, 128), (63, 130), (64, 129), (2, 4096), (2, 4097)]
    parts = [
        Part(f"{w}x{d}", "sdp_ram", {"WIDTH": w, "DEPTH": d}, {}, needed("sdp_ram", _sources())) for w, d in sizes[1:3]
    ]
    found = synthesise(parts, "xc7")
    assert [ram_in_block(w, d) for w, d in sizes] == [False, False, True, False, True]
    assert [found[p.name].resources["BRAM36"] > 0 for p in parts] == [False, True]


def test_lut_ram_of_a_fifo_is_what_synthesis_makes() -> None:
    # RAM32M holds 32 words of 6 bits, RAM64M 64 of 3, RAM128X1D 128 of one; RAM32M16 holds 14.
    assert lut_ram(6, 32, "xc7") == (4, 0) and lut_ram(7, 2, "xc7") == (8, 0)
    assert lut_ram(7, 40, "xc7") == (12, 0)
    assert lut_ram(14, 32, "xcup") == (8, 0) and lut_ram(15, 32, "xcup") == (16, 0)


def test_columns_that_never_change_and_equal_ones_are_left_out() -> None:
    words = as_int64([[1, 5], [1, 4], [1, 5]])
    assert varying_bits(words, 3).shape == (3, 1)  # only bit 0 of the second element changes
    assert varying_bits(as_int64([[3], [3]]), 2).shape[1] == 0
    both = as_int64([[0, 0], [1, 1], [0, 0]])
    assert varying_bits(both, 2).shape[1] == 1


@pytest.mark.parametrize(
    ("bits", "xc7", "xcup"),
    [((8, 8, 16), 1, 1), ((4, 4, 8), 0, 0), ((25, 18, 43), 1, 1), ((27, 18, 45), 2, 1), ((28, 18, 46), 2, 2)],
)
def test_dsp_slices_by_width(bits: tuple[int, int, int], xc7: int, xcup: int) -> None:
    assert (dsp_slices(*bits, "xc7"), dsp_slices(*bits, "xcup")) == (xc7, xcup)

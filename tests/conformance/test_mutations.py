# SPDX-License-Identifier: Apache-2.0
"""Broken hardware is noticed: each test spoils one line of an emitted design and expects the comparison to fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gatewright.errors import SimulationError
from gatewright.ir.graph import Graph, chain
from gatewright.ir.op import as_int64
from gatewright.ir.types import Tensor
from gatewright.ops.argmax import Argmax
from gatewright.ops.dense import Dense
from gatewright.ops.maxpool import Maxpool
from gatewright.ops.reshape import Reshape
from gatewright.ops.slice import Slice
from gatewright.ops.threshold import Threshold
from gatewright.ops.window import Window
from gatewright.sim.model import Traffic

from .support import Bench, check_cycles, check_values, emit_bench, sample

FRAMES = 100


def network() -> Graph:
    """Max pooling, then two matrix-vector products, and thresholds at sums that occur; most seams change the lanes."""
    rng = np.random.default_rng(0)
    window = Window(Tensor((5, 5, 2), -8, 7), 3, 3, 2, 2, 1, 1, 1, 1, pad_value=-8)
    maxpool = Maxpool(window.outputs[0], 9)
    dense = Dense(maxpool.outputs[0], as_int64(rng.integers(-3, 4, (4, 2))), pe=4, simd=2)
    folded = Dense(dense.outputs[0], as_int64(rng.integers(-3, 4, (6, 4))), pe=2, simd=2)
    ops = [window, maxpool, dense, folded]
    (sums,) = chain(ops).reference(sample(window.source, FRAMES, rng))
    table = np.quantile(sums.reshape(-1, 6), np.linspace(0.1, 0.9, 7), axis=0, method="nearest").T
    threshold = Threshold(folded.outputs[0], as_int64(table), as_int64([0, 1, 0, 1, 0, 0]), 0, 7, pe=1)
    return chain([*ops, threshold])


def labels() -> Graph:
    """A pixel shuffle by rows, a crop that leaves channels out, too, and labels of what is left, two beats a vector."""
    rows = np.arange(4 * 6 * 6).reshape(2, 3, 2, 2, 6).transpose(0, 2, 1, 3, 4)
    shuffle = Reshape(Tensor((2, 3, 24), -8, 7), (4, 6, 6), as_int64(rows.ravel()), pe=6)
    cut = Slice(shuffle.outputs[0], (1, 0, 1), (4, 6, 5), (1, 2, 1), pe=6)
    return chain([shuffle, cut, Argmax(cut.outputs[0], pe=2)])


def check(bench: Bench) -> None:
    results = check_values(bench, bench.model(), [FRAMES] * len(bench.graphs), Traffic())
    check_cycles(bench, results)


def replace_text(bench: Bench, file: str, old: str, new: str) -> None:
    path = bench.folder / file
    text = path.read_text()
    assert text.count(old) == 1, f"{file} has {text.count(old)} times {old!r}: the mutation must be written anew"
    path.write_text(text.replace(old, new))


def change_word(bench: Bench, file: str, change: Callable[[int], int]) -> None:
    """Replace the first word of a memory file."""
    path = bench.folder / file
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([f"{change(int(first, 16)):0{len(first)}x}", *rest]) + "\n")


def test_the_sound_design_passes(tmp_path: Path) -> None:
    check(emit_bench([network(), labels()], tmp_path))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("maxpool.sv", "(x ^ FLIP) > (b ^ FLIP)", "(x ^ FLIP) < (b ^ FLIP)"),
        ("maxpool.sv", "IN_BITS'(IN_SIGNED) <<", "IN_BITS'(0) <<"),
        ("dense.sv", "(summed_sf == '0 ? start[p*ACC_BITS+:ACC_BITS] : acc_q)", "acc_q"),
        ("dense.sv", "? ~(w & x) : w & x", "? w & x : w & x"),
        ("bit_heap.sv", "three[0+:WIDTH] ^ three[WIDTH+:WIDTH]", "three[0+:WIDTH] | three[WIDTH+:WIDTH]"),
        ("width_adapter.sv", "(held_q) >> OUT_BITS", "(held_q) >> BITS"),
        ("threshold.sv", "x >= level_q", "x > level_q"),
        ("window.sv", "PAD_VALUE)", "0)"),
    ],
)
def test_wrong_values_are_noticed(file: str, old: str, new: str, tmp_path: Path) -> None:
    bench = emit_bench([network()], tmp_path)
    replace_text(bench, f"kernels/{file}", old, new)
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        check(bench)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("reshape.sv", ".S1(S1)", ".S1(S0)"),
        ("slice.sv", "(LANE_FIRST+p*LANE_STEP)", "(p*LANE_STEP)"),
        ("slice.sv", ".START(FIRST)", ".START(0)"),
        ("argmax.sv", "LAST != 0 ? b >= a : b > a", "b >= a"),
        ("argmax.sv", "LAST != 0 ? value >= best_q : value > best_q", "value >= best_q"),
        ("argmax.sv", "starts || (", "("),
        ("argmax.sv", "base + lane", "lane"),
        ("argmax.sv", "(IN_BITS'(IN_SIGNED) <<", "(IN_BITS'(0) <<"),
    ],
)
def test_wrong_labels_are_noticed(file: str, old: str, new: str, tmp_path: Path) -> None:
    bench = emit_bench([labels()], tmp_path)
    replace_text(bench, f"kernels/{file}", old, new)
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        check(bench)


def test_a_dropped_last_is_noticed(tmp_path: Path) -> None:
    bench = emit_bench([network()], tmp_path)
    port = ".m_tlast(m_axis_tlast)"
    replace_text(bench, "kernels/width_adapter.sv", port, ".m_tlast()")
    replace_text(bench, "kernels/width_adapter.sv", "assign first = ", "assign m_axis_tlast = 1'b0;\n  assign first = ")
    with pytest.raises(SimulationError, match=r"tlast=0 on beat \d+ of a frame"):
        check(bench)


@pytest.mark.parametrize(
    ("memory", "change"),
    [
        ("u2_dense_weight", lambda word: word ^ 1),
        ("u3_dense_weight", lambda word: word ^ 1),
        ("u4_threshold_level0", lambda word: word + 1),
        ("u4_threshold_falling", lambda word: word ^ 1),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_a_wrong_word_in_a_memory_is_noticed(memory: str, change: Callable[[int], int], tmp_path: Path) -> None:
    bench = emit_bench([network()], tmp_path)
    change_word(bench, f"e0_{memory}.mem", change)
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        check(bench)


def test_a_missing_reset_is_noticed(tmp_path: Path) -> None:
    bench = emit_bench([network()], tmp_path)
    replace_text(bench, "kernels/counter.sv", "if (!rst_n) value <= '0;\n    else if", "if")
    with pytest.raises((AssertionError, SimulationError)):
        check(bench)


def test_a_lost_cycle_is_noticed(tmp_path: Path) -> None:
    bench = emit_bench([network()], tmp_path)
    replace_text(bench, "kernels/fifo.sv", "s_tready = count_q != COUNT_BITS'(DEPTH)", "s_tready = count_q == '0")
    results = check_values(bench, bench.model(), [FRAMES], Traffic())
    with pytest.raises(AssertionError):
        check_cycles(bench, results)

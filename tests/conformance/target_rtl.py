# SPDX-License-Identifier: Apache-2.0
"""The target `rtl`: kernels under Verilator, exact in value and in time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gatewright.ir.op import Op
from gatewright.sim.model import Traffic

from .support import check_cycles, check_values, emit_bench, singles

STALLS = (
    Traffic(in_stall=0.5, out_stall=0.2, seed=1),
    Traffic(in_stall=0.05, out_stall=0.7, burst=25, seed=2),
    Traffic(in_stall=0.7, out_stall=0.05, burst=25, seed=3),
    Traffic(in_stall=0.4, out_stall=0.4, burst=3, seed=4),
)
RESETS = (
    Traffic(seed=5, reset_at=(1, 53, 7, 171, 400)),
    Traffic(in_stall=0.3, out_stall=0.5, burst=6, seed=6, reset_at=(29, 260, 3, 611)),
)


def check(ops: Sequence[Op], folder: Path) -> None:
    """All operators in one binary: at full speed, under stalls, after resets in mid-frame, and over many frames."""
    bench = emit_bench(singles(ops), folder)
    model = bench.model()
    check_cycles(bench, check_values(bench, model, bench.frames(20_000), Traffic()))
    for traffic in STALLS:
        check_values(bench, model, bench.frames(3_000), traffic)
    after_reset, stalled = RESETS
    check_cycles(bench, check_values(bench, model, bench.frames(1_000), after_reset))
    check_values(bench, model, bench.frames(1_000), stalled)

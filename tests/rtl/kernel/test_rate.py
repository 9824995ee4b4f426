# SPDX-License-Identifier: Apache-2.0
"""How fast kernels are: the design's own interval, or a word a cycle where a frame has more words than that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.conformance.support import sample
from tests.rtl.kernel.designs import broad, several, small, wide, write_kernel

from gatewright.design.plan import Design
from gatewright.sim.kernel import MemoryModel, build_kernel, run_batch

BASE = 0x9_8765_4000
PATIENCE = 1_000_000
COUNTS = (150, 450)


@pytest.mark.parametrize(
    ("design", "bus_bits", "latency"),
    [(wide, 32, 240), (broad, 512, 440), (small, 64, 240), (several, 32, 80)],
    ids=lambda v: getattr(v, "__name__", v),
)
def test_frames_follow_each_other_as_fast_as_the_slowest_part(
    design: Callable[[], Design], bus_bits: int, latency: int, tmp_path: Path
) -> None:
    made = design()
    kernel = write_kernel(made, bus_bits, tmp_path)
    words = max(a.frame_bytes for a in kernel.arguments) * 8 // bus_bits
    interval = max(words, made.timing.interval)
    xs = [sample(i.tensor, COUNTS[1], np.random.default_rng(0)) for i in made.graph.inputs]
    values = made.graph.run(*xs)
    model = build_kernel(tmp_path, "fast_build")
    for cycles in (1, latency):
        ends = []
        with model.start(MemoryModel(base=BASE, latency_cycles=cycles)) as process:
            for count in COUNTS:
                run = run_batch(process, kernel, [x[:count] for x in xs], PATIENCE)
                ends.append(run.state.last_frame)
                for have, tensor in zip(run.outputs, made.graph.leaving, strict=True):
                    np.testing.assert_array_equal(have, values[tensor][:count].reshape(count, -1))
        assert ends[1] - ends[0] == (COUNTS[1] - COUNTS[0]) * interval, f"{cycles} cycles of latency"

# SPDX-License-Identifier: Apache-2.0
"""Kernels of small networks judged by independent protocol models: cocotbext-axi's, at every bus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.conformance.support import sample
from tests.rtl.kernel.designs import broad, several, small, streamed, wide, write_kernel

from gatewright.design.plan import Design
from gatewright.ir.packing import frame_images
from gatewright.sim.cocotb import run_cocotb

BENCH = Path(__file__).with_name("kernel_bench.py")
TESTS = 20
FRAMES, STEADY = 6, 2


def store_frames(design: Design, bus_bits: int, count: int, folder: Path) -> None:
    """What lies at every port of the kernel, random inputs and what golden makes of them."""
    graph, rng = design.graph, np.random.default_rng(1)
    xs = [sample(i.tensor, count, rng) for i in graph.inputs]
    values = graph.run(*xs)
    arrays = [*xs, *(values[t] for t in graph.leaving)]
    streams = (*design.structure.inputs, *design.structure.outputs)
    images = {f"gmem{i}": frame_images(x, s, bus_bits) for i, (x, s) in enumerate(zip(arrays, streams, strict=True))}
    np.savez(folder / "frames.npz", **images)


def run_bench(design: Design, bus_bits: int, folder: Path, count: int = FRAMES) -> int:
    found = write_kernel(design, bus_bits, folder)
    store_frames(design, bus_bits, count, folder)
    env = {"KERNEL": str(folder / "kernel" / "kernel.json"), "FRAMES": str(folder / "frames.npz")}
    env |= {"INTERVAL": str(design.timing.interval), "STEADY": str(STEADY)}
    return run_cocotb([folder / s for s in found.sources], found.kernel, BENCH, env=env, folder=folder / "rtl")


@pytest.mark.parametrize(
    ("design", "bus_bits"),
    [
        (small, 64),
        (several, 32),
        (wide, 32),
        (streamed, 64),
        *(pytest.param(*v, marks=pytest.mark.slow) for v in ((several, 128), (small, 256), (wide, 512), (broad, 512))),
    ],
    ids=lambda v: getattr(v, "__name__", v),
)
def test_kernels_do_what_their_map_says(design: Callable[[], Design], bus_bits: int, tmp_path: Path) -> None:
    assert run_bench(design(), bus_bits, tmp_path) == TESTS

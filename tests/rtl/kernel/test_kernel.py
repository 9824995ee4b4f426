# SPDX-License-Identifier: Apache-2.0
"""Kernels of small networks judged by independent protocol models: cocotbext-axi's, at every bus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.conformance.support import sample
from tests.models import small_network

from gatewright.boards import load_board
from gatewright.design.plan import Design, make_design
from gatewright.emit import kernel, rtl
from gatewright.frontend.importer import from_onnx
from gatewright.ir.packing import frame_images
from gatewright.passes.lower import lower
from gatewright.runtime.kernel_map import KernelMap
from gatewright.sim.cocotb import run_cocotb

BENCH = Path(__file__).with_name("kernel_bench.py")


def small() -> Design:
    b, y = small_network()
    return make_design(lower(from_onnx(b.model(y), "net")), load_board("pynq-z2"), fps=1e5)


def write_kernel(design: Design, bus_bits: int, folder: Path) -> KernelMap:
    rtl.emit(design.structure).write(folder / "rtl")
    kernel.emit(design, bus_bits).write(folder / "kernel")
    return KernelMap.load(folder / "kernel" / "kernel.json")


def store_frames(design: Design, bus_bits: int, count: int, folder: Path) -> None:
    """What lies at every port of the kernel, random inputs and what golden makes of them."""
    graph, rng = design.graph, np.random.default_rng(1)
    xs = [sample(i.tensor, count, rng) for i in graph.inputs]
    values = graph.run(*xs)
    arrays = [*xs, *(values[t] for t in graph.leaving)]
    streams = (*design.structure.inputs, *design.structure.outputs)
    images = {f"gmem{i}": frame_images(x, s, bus_bits) for i, (x, s) in enumerate(zip(arrays, streams, strict=True))}
    np.savez(folder / "frames.npz", **images)


def run_bench(design: Design, bus_bits: int, folder: Path, count: int = 6) -> int:
    found = write_kernel(design, bus_bits, folder)
    store_frames(design, bus_bits, count, folder)
    env = {"KERNEL": str(folder / "kernel" / "kernel.json"), "FRAMES": str(folder / "frames.npz")}
    return run_cocotb([folder / s for s in found.sources], found.kernel, BENCH, env=env, folder=folder / "rtl")


def test_small_network(tmp_path: Path) -> None:
    assert run_bench(small(), 64, tmp_path) == 1

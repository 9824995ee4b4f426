# SPDX-License-Identifier: Apache-2.0
"""Kernels of small networks judged by independent protocol models: cocotbext-axi's, at every bus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.conformance.support import sample
from tests.models import Builder, small_network

from gatewright.boards import load_board
from gatewright.design.fifos import size_fifos
from gatewright.design.plan import Design, make_design
from gatewright.emit import kernel, rtl
from gatewright.frontend.importer import from_onnx
from gatewright.ir.graph import Graph, single
from gatewright.ir.packing import frame_images
from gatewright.ir.types import Tensor
from gatewright.ops.maxpool import Maxpool
from gatewright.passes.lower import lower
from gatewright.runtime.kernel_map import KernelMap
from gatewright.sim.cocotb import run_cocotb

BENCH = Path(__file__).with_name("kernel_bench.py")
TESTS = 18
FRAMES, STEADY = 6, 2


def designed(graph: Graph, fps: float | None = None) -> Design:
    return make_design(lower(graph), load_board("pynq-z2"), fps=fps)


def small() -> Design:
    b, y = small_network()
    return designed(from_onnx(b.model(y), "net"), 1e5)


def several() -> Design:
    """Two inputs, three outputs, one of them an input, forks, and adapters of two steps."""
    b = Builder((12,))
    b.input("z", (12,))
    x = b.quant("x", 0.5, 3)
    y = b.node("Add", x, b.quant("z", 0.5, 2))
    q = b.quant(y, 1.0, 2)
    graph = lower(from_onnx(b.model(y, q, x), "net"))
    ops = {"add_1": replace(graph.node("add_1").op, pe=4), "quant_3": replace(graph.node("quant_3").op, pe=6)}
    return Design(size_fifos(graph.with_ops(ops)), load_board("pynq-z2"), 100.0)


def wide() -> Design:
    """More bits a frame than the bus brings in the time that the unit takes."""
    tensor = Tensor((4, 4, 12), -4, 3)
    return Design(single(Maxpool(tensor, 1, 12), "net"), load_board("pynq-z2"), 100.0)


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


def run_bench(design: Design, bus_bits: int, folder: Path, count: int = FRAMES) -> int:
    found = write_kernel(design, bus_bits, folder)
    store_frames(design, bus_bits, count, folder)
    env = {"KERNEL": str(folder / "kernel" / "kernel.json"), "FRAMES": str(folder / "frames.npz")}
    env |= {"INTERVAL": str(design.timing.interval), "STEADY": str(STEADY)}
    return run_cocotb([folder / s for s in found.sources], found.kernel, BENCH, env=env, folder=folder / "rtl")


@pytest.mark.parametrize(
    ("design", "bus_bits"),
    [(small, 64), (several, 32), (wide, 32), (wide, 512)],
    ids=lambda v: getattr(v, "__name__", v),
)
def test_kernels_do_what_their_map_says(design: Callable[[], Design], bus_bits: int, tmp_path: Path) -> None:
    assert run_bench(design(), bus_bits, tmp_path) == TESTS

# SPDX-License-Identifier: Apache-2.0
"""Whole top levels of small networks for a board without a processor, driven through their serial pins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.conformance.support import sample
from tests.rtl.kernel.designs import several, small, streamed, write_kernel

from gatewright.boards import load_board
from gatewright.design.plan import Design
from gatewright.design.structure import Structure
from gatewright.emit import ecp5
from gatewright.emit.project import Project
from gatewright.ir.graph import Graph
from gatewright.ir.packing import frame_images
from gatewright.ir.types import IntArray
from gatewright.runtime.kernel_map import KernelMap
from gatewright.sim.cocotb import run_cocotb

BENCH = Path(__file__).with_name("top_bench.py")
FRAMES = 5


def store_frames(graph: Graph, structure: Structure, xs: Sequence[IntArray], folder: Path) -> None:
    """What lies at every port of the kernel, inputs and what golden makes of them."""
    values = graph.run(*xs)
    arrays = [*xs, *(values[t] for t in graph.leaving)]
    streams = (*structure.inputs, *structure.outputs)
    np.savez(folder / "frames.npz", **{
        f"gmem{i}": frame_images(x, s, 32) for i, (x, s) in enumerate(zip(arrays, streams, strict=True))
    })  # fmt: skip


def run_top(folder: Path, mhz: float, **env: str) -> int:
    """The bench on a build's kernel, with frames.npz beside it."""
    board = load_board("ulx3s-85f")
    project = Project(KernelMap.load(folder / "kernel" / "kernel.json"), board, mhz, (), ())
    ecp5.emit(project).write(folder / "bitstream")
    values = {"KERNEL": str(folder / "kernel" / "kernel.json"), "FRAMES": str(folder / "frames.npz")}
    values |= {"MHZ": str(mhz), "BANK": str(board.memory_bytes), **env}
    return run_cocotb(
        [folder / "bitstream" / path for path in ecp5.sources(project)], f"{project.name}_top", BENCH,
        parameters={"SIMULATION": 1}, env=values, folder=folder / "rtl",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("design", "mhz"),
    [(streamed, 10.0), *(pytest.param(*v, marks=pytest.mark.slow) for v in ((small, 60.0), (several, 10.0)))],
    ids=lambda v: getattr(v, "__name__", v),
)
def test_frames_pass_through_the_serial_pins(design: Callable[[], Design], mhz: float, tmp_path: Path) -> None:
    made = design()
    write_kernel(made, 32, tmp_path)
    rng = np.random.default_rng(1)
    store_frames(made.graph, made.structure, [sample(i.tensor, FRAMES, rng) for i in made.graph.inputs], tmp_path)
    assert run_top(tmp_path, mhz) == 4

# SPDX-License-Identifier: Apache-2.0
"""The same operators judged by independent protocol models: cocotbext-axi sends and receives, the reference expects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from gatewright.design.fifos import size_fifos
from gatewright.errors import SimulationError
from gatewright.ir.graph import Graph
from gatewright.ir.op import discover, kernel_path
from gatewright.ir.packing import Bytes, pack_stream
from gatewright.sim.cocotb import run_cocotb

from .support import TOP, Bench, emit_bench, residual_network, singles

BENCH = Path(__file__).with_name("stream_bench.py")
TESTS = 3
NAMES = [name for name, cls in discover().items() if not cls.composite and kernel_path(name, "rtl")]


def frames_of(bench: Bench, frames: Sequence[int]) -> dict[str, Bytes]:
    """What goes into every port and must come out of it, by prefix: uint8 of shape (frames, bytes)."""
    words = {}
    for graph, group, xs in zip(bench.graphs, bench.groups, bench.inputs(frames), strict=True):
        arrays = (*xs, *graph.reference(*xs))
        for port, array in zip(group.ports, arrays, strict=True):
            words[port.prefix] = pack_stream(array, port.stream).reshape(len(array), -1)
    return words


def run(bench: Bench, frames: Mapping[str, Bytes]) -> int:
    np.savez(bench.folder / "frames.npz", **frames)
    ports = [[[p.prefix for p in side] for side in (g.inputs, g.outputs)] for g in bench.groups]
    (bench.folder / "ports.json").write_text(json.dumps(ports))
    env = {"PORTS": str(bench.folder / "ports.json"), "FRAMES": str(bench.folder / "frames.npz")}
    return run_cocotb(bench.sources, TOP, BENCH, env=env, folder=bench.folder)


def check(graphs: Sequence[Graph], folder: Path, cycles: int) -> None:
    bench = emit_bench(graphs, folder)
    assert run(bench, frames_of(bench, bench.frames(cycles, least=2, most=12))) == TESTS


@pytest.mark.parametrize("name", NAMES)
def test_operators(name: str, tmp_path: Path) -> None:
    check(singles(discover()[name].examples()), tmp_path, 600)


def test_residual_network(tmp_path: Path) -> None:
    check([size_fifos(residual_network(6, 1))], tmp_path, 3000)


def test_a_wrong_bit_is_noticed(tmp_path: Path) -> None:
    bench = emit_bench([residual_network(5, 0)], tmp_path)
    frames = frames_of(bench, [5])
    frames["e0_m_axis"][0, -1] ^= 1
    with pytest.raises(SimulationError, match="3 of 3 tests failed:\n.*frame 0 of e0_m_axis"):
        run(bench, frames)

# SPDX-License-Identifier: Apache-2.0
"""What Yosys makes of the kernels computes what they do, in the same cycles; a fault planted in it is noticed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gatewright.errors import SimulationError
from gatewright.ir.graph import Graph
from gatewright.ir.op import Op, as_int64
from gatewright.ir.types import Tensor
from gatewright.ops.add import Add
from gatewright.ops.dense import Dense
from gatewright.ops.threshold import Threshold
from gatewright.sim.model import Traffic
from gatewright.sim.netlist import SIMULATORS

from .gates import gate_model, gates_of, netlist_text
from .support import check_cycles, check_values, emit_bench, network

FRAMES = 30
STALLED = Traffic(in_stall=0.4, out_stall=0.4, burst=3, seed=4, reset_at=(29, 260))


def everything() -> Graph:
    """A fork, FIFOs, width adapters, two operators with memories and a join."""
    rng = np.random.default_rng(0)
    image = Tensor((2, 4), 0, 3)
    dense = Dense(image, as_int64(rng.integers(-3, 4, (4, 4))), pe=2, simd=2)
    (sums,) = dense.outputs
    table = np.sort(rng.integers(sums.lo // 2, sums.hi // 2, (4, 3)), axis=1)
    threshold = Threshold(sums, as_int64(table), as_int64([0, 1, 0, 0]), 0, 3, pe=1)
    nodes: list[tuple[str, Op, str]] = [
        ("dense", dense, "image"),
        ("threshold", threshold, "dense"),
        ("join", Add(threshold.outputs[0], image, 4), "threshold image"),
    ]
    return network({"image": image}, nodes, ["join"])


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_network_as_gates_is_exact_in_every_cycle(simulator: str, tmp_path: Path) -> None:
    bench = emit_bench([everything()], tmp_path)
    gates = gates_of(bench, "xc7")
    modules = {part.part.module for part in gates[0].parts}
    assert modules == {"dense", "threshold", "add", "fifo", "stream_fork", "width_adapter"}
    model = gate_model(bench, gates, simulator)
    check_cycles(bench, check_values(bench, model, [FRAMES], Traffic()))
    check_values(bench, model, [FRAMES], STALLED)


def flip_lut(text: str, module: str) -> str:
    """The lowest bit of the first two-input LUT of a module inverted: its inputs are 0 in some cycle."""
    return _change(text, module, r"LUT2 #\(\s*\.INIT\(4'h(\w)\)", lambda m: m[0][:-2] + f"{int(m[1], 16) ^ 1:x})")


def reset_to_one(text: str, module: str) -> str:
    """A register of a module that is reset to 1 instead of 0."""
    pattern = r"FDRE( #\(\s*\.INIT\(1'h?\w\)\s*\) \w+ \([^;]*?)\.R\((?!1'h0)"
    return _change(text, module, pattern, lambda m: f"FDSE{m[1]}.S(")


def _change(text: str, module: str, pattern: str, new: Callable[[re.Match[str]], str]) -> str:
    start = re.search(rf"^module {module}_", text, re.MULTILINE)
    assert start is not None
    changed, count = re.subn(pattern, new, text[start.start() :], count=1)
    assert count == 1, f"{module} has no {pattern!r}: the fault must be planted anew"
    return text[: start.start()] + changed


@pytest.mark.parametrize(("fault", "simulator"), [(flip_lut, "verilator"), (reset_to_one, "cxxrtl")])
def test_a_fault_in_a_netlist_is_noticed(fault: Callable[[str, str], str], simulator: str, tmp_path: Path) -> None:
    bench = emit_bench([everything()], tmp_path)
    gates = gates_of(bench, "xc7")
    model = gate_model(bench, gates, simulator, fault(netlist_text(gates), "dense"))
    with pytest.raises((AssertionError, SimulationError), match=r"Arrays are not equal|side_by_side: cycle"):
        check_cycles(bench, check_values(bench, model, [FRAMES], Traffic()))

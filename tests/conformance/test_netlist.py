# SPDX-License-Identifier: Apache-2.0
"""What Yosys makes of the kernels computes what they do, in the same cycles; a fault planted in it is noticed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gatewright.boards import Family
from gatewright.errors import SimulationError
from gatewright.ir.graph import Graph, chain, single
from gatewright.ir.op import Op, as_int64, discover
from gatewright.ir.types import Tensor
from gatewright.ops.add import Add
from gatewright.ops.dense import Dense
from gatewright.ops.threshold import Threshold
from gatewright.sim.model import Traffic
from gatewright.sim.netlist import SIMULATORS

from .gates import gate_model, gates_of, netlist_text
from .support import check_cycles, check_values, emit_bench, identity, network, singles

FAMILIES: tuple[Family, ...] = ("xc7", "xcup", "ecp5")
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


@pytest.mark.parametrize(
    ("family", "simulator"), [*(("xc7", simulator) for simulator in SIMULATORS), ("ecp5", "verilator")]
)
def test_a_network_as_gates_is_exact_in_every_cycle(family: Family, simulator: str, tmp_path: Path) -> None:
    bench = emit_bench([everything()], tmp_path)
    gates = gates_of(bench, family)
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


# --- memories -------------------------------------------------------------------------------------------------------


def with_memories() -> list[Graph]:
    """FIFOs and a ROM in block RAM of several shapes: 9, 18 and 36 bits wide, of both sizes, some side by side."""
    fifos = []
    for bits, channels, depth in ((8, 1, 2000), (5, 7, 600), (10, 8, 300), (3, 1, 9000)):
        image = Tensor((64, channels), 0, (1 << bits) - 1)
        graph = chain([identity(image, channels), identity(image, 1)])
        (edge,) = (e for e in graph.edges() if e.consumer == "u1_maxpool")
        fifos.append(replace(graph, depths={**graph.depths, edge: depth}))
    rng = np.random.default_rng(0)
    rom = Dense(Tensor((40,), 0, 3), as_int64(rng.integers(-3, 4, (64, 40))), pe=2, simd=2)
    assert rom.parameters()["block_rom"]
    return [*fifos, single(rom)]


def check_memories(graphs: list[Graph], family: Family, simulator: str, folder: Path) -> set[str]:
    """Exact in every cycle; gives the cells of block RAM that were used."""
    bench = emit_bench(graphs, folder)
    gates = gates_of(bench, family)
    assert all(any(part.modelled or part.part.unblocked for part in gate.parts) for gate in gates)
    model, frames = gate_model(bench, gates, simulator), bench.frames(6_000, most=100)
    check_cycles(bench, check_values(bench, model, frames, Traffic()))
    check_values(bench, model, frames, STALLED)
    return {name for gate in gates for part in gate.parts for name in part.modelled}


def test_block_ram_holds_what_the_rtl_holds(tmp_path: Path) -> None:
    first, *_, rom = with_memories()
    assert check_memories([first, rom], "xc7", "verilator", tmp_path) == {"RAMB18E1"}


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("simulator", SIMULATORS)
def test_block_ram_of_many_shapes(family: Family, simulator: str, tmp_path: Path) -> None:
    kinds = check_memories(with_memories(), family, simulator, tmp_path)
    models = {"xc7": {"RAMB18E1", "RAMB36E1"}, "xcup": {"RAMB18E2", "RAMB36E2"}, "ecp5": set[str]()}
    assert kinds == models[family]


# --- every operator ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", [name for name, cls in discover().items() if not cls.composite])
def test_an_operator_as_gates(name: str, family: Family, tmp_path: Path) -> None:
    """All examples in one binary of each simulator, at full speed and stalled, with resets between."""
    bench = emit_bench(singles(discover()[name].examples()), tmp_path)
    gates = gates_of(bench, family)
    assert not any(part.netlist.resources["DSP"] for gate in gates for part in gate.parts)
    for simulator in SIMULATORS:
        model = gate_model(bench, gates, simulator)
        check_cycles(bench, check_values(bench, model, bench.frames(3_000), Traffic()))
        check_values(bench, model, bench.frames(1_000), STALLED)

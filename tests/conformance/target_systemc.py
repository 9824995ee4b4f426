# SPDX-License-Identifier: Apache-2.0
"""The target `systemc`: the HLS kernels as clocked processes, exact in value and in time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gatewright.design.structure import structure
from gatewright.emit import systemc
from gatewright.emit.files import FileSet
from gatewright.ir.graph import Graph
from gatewright.ir.op import Op
from gatewright.sim.model import Model, Traffic
from gatewright.sim.systemc import compile_systemc

from .support import Bench, check_cycles, check_values, group, labelled, singles
from .target_rtl import STALLS


def check(ops: Sequence[Op], folder: Path) -> None:
    """All operators in one program: at full speed in the very cycles of the schedule, and under stalls."""
    bench, model = systemc_bench(singles(ops), folder)
    check_cycles(bench, check_values(bench, model, bench.frames(6_000), Traffic()))
    for traffic in STALLS:
        check_values(bench, model, bench.frames(1_500), traffic)


def systemc_bench(graphs: Sequence[Graph], folder: Path) -> tuple[Bench, Model]:
    """A SystemC model of every graph, and one program that holds them all behind the ports of `emit_bench`."""
    named = tuple(labelled(g, f"e{i}") for i, g in enumerate(graphs))
    designs = tuple(structure(g) for g in named)
    files = FileSet()
    for design in designs:
        for path, text in systemc.emit(design):
            files.add(path, text)
    files.write(folder)
    bench = Bench(named, designs, tuple(group(d) for d in designs), (), folder)
    return bench, compile_systemc(designs, bench.groups, folder, optimise=False)

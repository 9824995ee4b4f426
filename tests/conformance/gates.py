# SPDX-License-Identifier: Apache-2.0
"""Benches as gates: the parts of several designs synthesised once, joined, and simulated in one binary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gatewright.boards import Family
from gatewright.sim.model import Model
from gatewright.sim.netlist import SIMULATORS
from gatewright.synth.cell_models import cell_models
from gatewright.synth.netlist import GateDesign, gate_design, gate_parts
from gatewright.synth.plan import plan

from .support import TOP, Bench


def gates_of(bench: Bench, family: Family) -> list[GateDesign]:
    """Every design of a bench as netlists."""
    plans = [plan(design, bench.folder / "kernels") for design in bench.designs]
    # Parts of two designs may share a name: all are synthesised in one go under names of their own.
    wanted = [replace(part, name=f"{i}/{part.name}") for i, parts in enumerate(plans) for part in parts]
    made = iter(gate_parts(wanted, family))
    named = [[replace(g, part=p) for p, g in zip(parts, made, strict=False)] for parts in plans]
    return [gate_design(d, parts) for d, parts in zip(bench.designs, named, strict=True)]


def netlist_text(gates: Sequence[GateDesign]) -> str:
    """All designs, every module once."""
    modules = {part.module: part.text for gate in gates for part in gate.parts}
    return "\n".join([*modules.values(), *(gate.top for gate in gates)])


def gate_model(bench: Bench, gates: Sequence[GateDesign], simulator: str = "verilator", text: str = "") -> Model:
    """The compiled simulation of a bench's netlists.

    Args:
        text: what the netlists were changed to.
    """
    cells = cell_models(frozenset[str]().union(*(gate.cells for gate in gates)), simulator, gates[0].family)
    netlist = f"{text or netlist_text(gates)}\n{(bench.folder / f'{TOP}.sv').read_text()}"
    return SIMULATORS[simulator](netlist, cells, TOP, bench.groups)

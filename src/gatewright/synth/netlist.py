# SPDX-License-Identifier: Apache-2.0
"""A design as gates: the netlist of every part, joined as the RTL joins its kernels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gatewright.boards import Family
from gatewright.design.structure import Structure
from gatewright.emit import rtl
from gatewright.progress import Progress, silent
from gatewright.synth.cell_models import own_cells
from gatewright.synth.plan import Part
from gatewright.synth.yosys import SECONDS, Netlist, netlist_file, netlist_module, synthesise


@dataclass(frozen=True, eq=False)
class GatePart:
    """What stands for one part.

    Attributes:
        part: as it was synthesised.
        module: name of its netlist; parts that are the same hardware share it.
        netlist: counts of its cells.
        text: the netlist as a Verilog module.
    """

    part: Part
    module: str
    netlist: Netlist
    text: str

    @property
    def modelled(self) -> dict[str, int]:
        """Its cells whose model is Gatewright's own (block RAM), not Yosys'."""
        return {name: count for name, count in self.netlist.cells.items() if name in own_cells()}

    def to_json(self) -> dict[str, Any]:
        """`name`, `cells` by type, `own_models` among them, `dsp_as_logic` and `ram_as_logic`: what became LUTs."""
        return {
            "name": self.part.name,
            "cells": dict(self.netlist.cells),
            "own_models": self.modelled,
            "dsp_as_logic": self.part.soft,
            "ram_as_logic": self.part.unblocked,
        }


@dataclass(frozen=True, eq=False)
class GateDesign:
    """A design whose parts are netlists.

    Attributes:
        name: of the top level.
        parts: one for each instance of the RTL.
        top: text of the top level.
    """

    name: str
    parts: tuple[GatePart, ...]
    top: str

    @property
    def text(self) -> str:
        """All of it as Verilog, every module once; the cells are those of the vendor's library."""
        modules = {part.module: part.text for part in self.parts}
        return "\n".join([*modules.values(), self.top])

    @property
    def family(self) -> Family:
        """Whose cells they are."""
        return self.parts[0].netlist.family

    @property
    def cells(self) -> frozenset[str]:
        """Types of the cells that it is made of."""
        return frozenset(name for part in self.parts for name in part.netlist.cells)


def gate_parts(
    parts: Iterable[Part],
    family: Family,
    *,
    jobs: int = 2,
    seconds: float = SECONDS,
    progress: Progress = silent,
) -> tuple[GatePart, ...]:
    """The netlists of parts, from the cache where they are there.

    A part is simulated as it was counted, but for what has no free model: a part with DSP slices is synthesised once
    more without, and so is one with block RAM of an ECP5.

    Raises:
        MissingToolError: pyosys is missing.
        ToolError: a part cannot be synthesised.
    """
    wanted = tuple(parts)
    found = synthesise(wanted, family, verilog=True, jobs=jobs, seconds=seconds, progress=progress)
    simulated = [_without(p, found[p.name]) for p in wanted]
    again = [p for p in simulated if p.soft or p.unblocked]
    found |= synthesise(again, family, verilog=True, jobs=jobs, seconds=seconds, progress=progress)
    final = {p.name: p for p in simulated}
    return tuple(_gate_part(final[p.name], found[p.name], family) for p in wanted)


def _without(part: Part, netlist: Netlist) -> Part:
    """A part without what has no model."""
    used = netlist.resources
    return replace(part, soft=part.soft or used["DSP"] > 0, unblocked=used.get("EBR", 0) > 0)


def _gate_part(part: Part, netlist: Netlist, family: Family) -> GatePart:
    return GatePart(part, netlist_module(part, family), netlist, netlist_file(part, family).read_text())


def gate_design(design: Structure, parts: Sequence[GatePart]) -> GateDesign:
    """Join netlists as the design joins its parts.

    Args:
        parts: one for each instance.
    """
    modules: Mapping[str, str] = {part.part.name: part.module for part in parts}
    return GateDesign(design.name, tuple(parts), rtl.top(design, modules))

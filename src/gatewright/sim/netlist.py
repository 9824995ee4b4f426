# SPDX-License-Identifier: Apache-2.0
"""Simulates a design as gates: a netlist and the models of its cells, in place of the kernels."""

from __future__ import annotations

from pathlib import Path

from gatewright.design.structure import Structure
from gatewright.sim.model import Model
from gatewright.sim.rtl import group_of
from gatewright.sim.verilator import compile_model


def build_netlist(design: Structure, netlist: Path, cells: Path) -> Model:
    """Compile a netlist with Verilator.

    Args:
        netlist: Verilog of the design's top level and of everything in it but the cells.
        cells: Verilog models of the cells.

    Raises:
        ToolError: Verilator or g++ is missing, or rejects the netlist.
    """
    return compile_model([cells, netlist], design.name, group_of(design))

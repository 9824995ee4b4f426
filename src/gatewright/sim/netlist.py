# SPDX-License-Identifier: Apache-2.0
"""Compiles a design as gates, a netlist and the models of its cells, with either of two simulators."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gatewright.sim.cxxrtl import compile_cxxrtl
from gatewright.sim.model import Group, Model
from gatewright.sim.verilator import compile_model

Compile = Callable[[str, str, str, Group | Sequence[Group]], Model]
"""Takes Verilog of everything but the cells, models of the cells, the top level's name, and its ports."""


def compile_verilator(netlist: str, cells: str, top: str, groups: Group | Sequence[Group]) -> Model:
    """Compile a netlist with Verilator; arguments and errors are those of `compile_cxxrtl`."""
    with tempfile.TemporaryDirectory(prefix="gatewright-") as name:
        sources = [Path(name) / "cells.v", Path(name) / "netlist.v"]
        for path, text in zip(sources, (cells, netlist), strict=True):
            path.write_text(text)
        model = compile_model(sources, top, groups)
    return replace(model, folder=model.program.parent)  # it reads no files


SIMULATORS: Mapping[str, Compile] = {"verilator": compile_verilator, "cxxrtl": compile_cxxrtl}
"""By name. They share the harness that drives the pins, and nothing else."""

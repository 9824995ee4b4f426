# SPDX-License-Identifier: Apache-2.0
"""Simulation models of the cells of a netlist: those that Yosys ships, and own ones where it ships none.

Yosys has models of LUTs, registers, carry chains, multiplexers, LUT RAM and shift registers. Of block RAM it has the
ports only: `cells.v` beside this file holds Gatewright's own models of AMD's; a netlist for an ECP5 is made without.
`luts.v` and `luts_ecp5.v` have LUTs that Verilator compiles quicker.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from gatewright.boards import Family
from gatewright.errors import ToolError
from gatewright.sim.tools import find_tool

OWN = Path(__file__).with_name("cells.v")
"""Gatewright's models of what Yosys has none of."""

LOOK_UPS: Mapping[Family, Path] = {
    **dict.fromkeys(("xc7", "xcup"), Path(__file__).with_name("luts.v")),
    "ecp5": Path(__file__).with_name("luts_ecp5.v"),
}
"""Gatewright's models of LUTs."""

SHIPPED: Mapping[Family, tuple[str, ...]] = {
    **dict.fromkeys(("xc7", "xcup"), ("xilinx/cells_sim.v",)),
    "ecp5": ("ecp5/common_sim.vh", "ecp5/ccu2c_sim.vh"),
}
"""Yosys' models, below its `share`."""

_PARTS: Mapping[str, tuple[str, ...]] = {"CCU2C": ("LUT4", "LUT2")}
"""Shipped models that are made of others."""

BLOCK_RAM = "gatewright_block_ram"
"""What all own models are made of."""

_MODULE = re.compile(r"^module (\w+)\b.*?^endmodule\n", re.MULTILINE | re.DOTALL)


def own_cells() -> frozenset[str]:
    """Cells that are simulated by a model of Gatewright's own."""
    return frozenset(_read(OWN)) - {BLOCK_RAM}


def cell_models(used: Iterable[str], simulator: str, family: Family = "xc7") -> str:
    """The Verilog models of these cells, and of nothing else.

    Args:
        simulator: from `SIMULATORS`: CXXRTL takes Yosys' own LUTs, Verilator ours.
        family: of the cells, some of which have the same names in several.

    Raises:
        MissingToolError: pyosys is missing, which has the models.
        ToolError: there is no model of a cell.
    """
    models: dict[str, str] = {}
    for name in SHIPPED[family]:
        shipped = find_tool("pyosys").path / "share" / name
        if not shipped.is_file():
            raise ToolError(f"{shipped} is missing, where Yosys' cell models are expected: use pyosys from 0.60 on")
        models |= _read(shipped)
    models |= {**_read(OWN), **(_read(LOOK_UPS[family]) if simulator == "verilator" else {})}
    parts = {**_PARTS, **dict.fromkeys(own_cells(), (BLOCK_RAM,))}
    wanted = set(used) - {"$scopeinfo"}
    wanted.update(*(parts.get(name, ()) for name in wanted))
    if missing := sorted(wanted - models.keys()):
        raise ToolError(f"no simulation model of cells of type {missing[0]!r}: add one to gatewright/synth/cells.v")
    return "\n".join(models[name] for name in sorted(wanted))


def _read(path: Path) -> Mapping[str, str]:
    """The text of every module of a file by name."""
    return _modules(path, path.stat().st_mtime)


@functools.lru_cache(maxsize=8)
def _modules(path: Path, modified: float) -> Mapping[str, str]:
    """Read once per file as it stands."""
    return {match[1]: match[0] for match in _MODULE.finditer(path.read_text())}

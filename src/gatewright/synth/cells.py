# SPDX-License-Identifier: Apache-2.0
"""What the cells of a mapped netlist occupy on a chip, and how deep its logic is.

LUT counts are those of UG474 (7 series) and UG574 (UltraScale+): a LUT RAM takes a LUT for each of its read ports and
64 bits, and one for the write port's address; a shift register takes one LUT. Wide multiplexers (MUXF7 to MUXF9) and
carry chains have places of their own beside the LUTs and count nothing. An INV is taken into the LUT, or the control
input, that it drives, and counts nothing. ECP5 (FPGA-TN-02204, memory; FPGA-DS-02012, slices): a CCU2C is both LUTs of
a slice, a LUT RAM of 16 words and 4 bits has its bits in 4 LUTs and its write port in the place of 2 more, PFUMX and
L6MUX21 have places of their own; an ALU54B comes with the two multipliers that it adds, and counts nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from gatewright.boards import Family
from gatewright.errors import ToolError

_FREE_XILINX = frozenset(
    ("INV", "VCC", "GND", "MUXF5", "MUXF6", "MUXF7", "MUXF8", "MUXF9", "CARRY4", "CARRY8", "BUFG", "$scopeinfo")
)
FREE: Mapping[Family, frozenset[str]] = {
    "xc7": _FREE_XILINX,
    "xcup": _FREE_XILINX,
    "ecp5": frozenset(("PFUMX", "L6MUX21", "VHI", "VLO", "$scopeinfo")),
}
"""Cells that take no LUT, flip-flop, block RAM or DSP slice; $scopeinfo is Yosys' note on what it flattened."""

LUT_RAMS = {
    "RAM16X1S": 1, "RAM32X1S": 1, "RAM64X1S": 1, "RAM32X2S": 2, "RAM128X1S": 2, "RAM256X1S": 4, "RAM512X1S": 8,
    "RAM16X1D": 2, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM256X1D": 8,
    "RAM32M": 4, "RAM64M": 4, "RAM32M16": 8, "RAM64M8": 8, "RAM64X8SW": 8, "RAM32X16DR8": 8,
    "TRELLIS_DPR16X4": 6,
}  # fmt: skip
"""LUTs of each LUT RAM; the third row's eights are whole slices of UltraScale+."""

_XILINX: Mapping[str, tuple[str, float]] = {
    **{f"LUT{n}": ("LUT", 1) for n in range(1, 7)},
    "LUT6_2": ("LUT", 1),
    **{name: ("LUT", count) for name, count in LUT_RAMS.items() if name.startswith("RAM")},
    **dict.fromkeys(("SRL16", "SRL16E", "SRLC16E", "SRLC32E"), ("LUT", 1)),
    **{f"{name}{edge}": ("FF", 1) for name in ("FDRE", "FDSE", "FDCE", "FDPE") for edge in ("", "_1")},
    "LDCE": ("FF", 1),
    "LDPE": ("FF", 1),
    **{f"RAMB36E{n}": ("BRAM36", 1) for n in (1, 2)},
    **{f"RAMB18E{n}": ("BRAM36", 0.5) for n in (1, 2)},
    **{f"DSP48E{n}": ("DSP", 1) for n in (1, 2)},
    "URAM288": ("URAM", 1),
}
WEIGHTS: Mapping[Family, Mapping[str, tuple[str, float]]] = {
    "xc7": _XILINX,
    "xcup": _XILINX,
    "ecp5": {
        "LUT4": ("LUT", 1), "CCU2C": ("LUT", 2), "TRELLIS_DPR16X4": ("LUT", LUT_RAMS["TRELLIS_DPR16X4"]),
        "TRELLIS_FF": ("FF", 1), "DP16KD": ("EBR", 1), "PDPW16KD": ("EBR", 1),
        "MULT18X18D": ("DSP", 1), "ALU54B": ("DSP", 0),
    },
}  # fmt: skip
"""What of which resource a cell takes."""

COUNTED: Mapping[Family, tuple[str, ...]] = {
    family: tuple(dict.fromkeys(resource for resource, _ in weights.values())) for family, weights in WEIGHTS.items()
}
"""What cells of a family occupy: LUT, FF, BRAM36, DSP and URAM; of an ECP5 LUT, FF, EBR and DSP."""


def count(cells: Mapping[str, int], family: Family = "xc7") -> dict[str, float]:
    """What cells occupy, by the names of `COUNTED`.

    Args:
        cells: how many there are of each type.

    Raises:
        ToolError: a type that is not known here; nothing is left out in silence.
    """
    total = dict.fromkeys(COUNTED[family], 0.0)
    for kind, number in cells.items():
        if kind in FREE[family]:
            continue
        if kind not in WEIGHTS[family]:
            raise ToolError(
                f"{number} cells of type {kind!r} in a netlist, whose size is not known: "
                "add the type to gatewright/synth/cells.py"
            )
        resource, weight = WEIGHTS[family][kind]
        total[resource] += weight * number
    return total


def levels(module: Mapping[str, Any]) -> int:
    """LUTs on the longest path between registers, ports, block RAMs and DSP slices.

    A LUT, the read of a LUT RAM or of a shift register, and a whole carry chain are one level each, however long the
    chain is; multiplexers MUXF7 to MUXF9, PFUMX, L6MUX21 and INV are none. Paths inside a DSP slice are not counted.

    Args:
        module: of Yosys' `write_json`: the cells with their connections and port directions.

    Raises:
        ToolError: the logic is a loop.
    """
    cells = [c for c in module["cells"].values() if _is_logic(c["type"])]
    driver = {bit: i for i, cell in enumerate(cells) for _, bit in _pins(cell, "output")}
    readers: dict[int, list[tuple[int, int]]] = defaultdict(list)
    waiting = [0] * len(cells)
    for i, cell in enumerate(cells):
        for pin, bit in _pins(cell, "input"):
            if bit in driver and _passes(cell["type"], pin):
                readers[driver[bit]].append((i, _cost(cell["type"], pin, cells[driver[bit]]["type"])))
                waiting[i] += 1
    depth = [_cost(cell["type"], "", "") for cell in cells]
    ready = [i for i, count in enumerate(waiting) if not count]
    for i in ready:  # grows while it is walked: a topological order
        for reader, cost in readers[i]:
            depth[reader] = max(depth[reader], depth[i] + cost)
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    if len(ready) != len(cells):
        raise ToolError(f"{len(cells) - len(ready)} cells of a netlist form a combinational loop: the RTL has one")
    return max(depth, default=0)


_CHAINS = ("CARRY", "CCU2C")
_MULTIPLEXERS = ("MUXF", "PFUMX", "L6MUX21")


def _is_logic(kind: str) -> bool:
    """Whether a signal passes through a cell without a clock."""
    return kind.startswith(("LUT", *_CHAINS, *_MULTIPLEXERS, "SRL")) or kind == "INV" or kind in LUT_RAMS


def _passes(kind: str, pin: str) -> bool:
    """Whether an input acts on the outputs at once: of memories, only the address does."""
    if kind == "TRELLIS_DPR16X4":
        return pin == "RAD"
    return pin.startswith(("A", "DPRA")) if kind.startswith("SRL") or kind in LUT_RAMS else True


def _cost(kind: str, pin: str, source: str) -> int:
    """Levels that entering a cell adds."""
    if kind.startswith(_MULTIPLEXERS) or kind == "INV":
        return 0
    return 0 if kind.startswith(_CHAINS) and pin in ("CI", "CIN") and source.startswith(_CHAINS) else 1


def _pins(cell: Mapping[str, Any], direction: str) -> Iterator[tuple[str, int]]:
    """Port and net of every connected bit of a direction; constants are no nets."""
    for port, bits in cell["connections"].items():
        if cell["port_directions"][port] == direction:
            yield from ((port, bit) for bit in bits if isinstance(bit, int))

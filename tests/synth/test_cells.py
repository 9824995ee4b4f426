# SPDX-License-Identifier: Apache-2.0
"""Cells are counted by what they occupy, and unknown ones are refused; levels are counted on known netlists."""

from __future__ import annotations

from typing import Any

import pytest

from gatewright.errors import ToolError
from gatewright.synth.cells import count, levels


def test_every_kind_of_cell_is_counted_by_its_size() -> None:
    cells = {
        "LUT2": 3, "LUT6": 5, "INV": 7, "MUXF7": 2, "CARRY4": 4, "$scopeinfo": 1,
        "RAM32M": 2, "RAM64X1D": 1, "SRL16E": 3,
        "FDRE": 10, "FDSE": 1, "RAMB36E1": 2, "RAMB18E1": 3, "DSP48E1": 4,
    }  # fmt: skip
    assert count(cells) == {"LUT": 3 + 5 + 2 * 4 + 2 + 3, "FF": 11, "BRAM36": 3.5, "DSP": 4, "URAM": 0}


def test_ultrascale_cells_have_their_own_sizes() -> None:
    cells = {"RAM32M16": 1, "RAM64M8": 2, "CARRY8": 3, "RAMB18E2": 1, "RAMB36E2": 1, "DSP48E2": 2, "URAM288": 1}
    assert count(cells) == {"LUT": 24, "FF": 0, "BRAM36": 1.5, "DSP": 2, "URAM": 1}


def test_ecp5_cells_are_counted_as_nextpnr_places_them() -> None:
    cells = {
        "LUT4": 7, "PFUMX": 3, "L6MUX21": 2, "CCU2C": 4, "TRELLIS_DPR16X4": 2, "$scopeinfo": 1,
        "TRELLIS_FF": 9, "DP16KD": 2, "PDPW16KD": 1, "MULT18X18D": 3, "ALU54B": 1,
    }  # fmt: skip
    assert count(cells, "ecp5") == {"LUT": 7 + 2 * 4 + 6 * 2, "FF": 9, "EBR": 3, "DSP": 3}


def test_cells_of_another_family_are_unknown() -> None:
    with pytest.raises(ToolError, match=r"1 cells of type 'RAMB36E1'.*cells\.py"):
        count({"RAMB36E1": 1}, "ecp5")
    with pytest.raises(ToolError, match=r"1 cells of type 'DP16KD'.*cells\.py"):
        count({"DP16KD": 1})


def test_an_unknown_cell_is_refused() -> None:
    with pytest.raises(ToolError, match=r"3 cells of type 'GTYE4_CHANNEL'.*cells\.py"):
        count({"LUT2": 1, "GTYE4_CHANNEL": 3})


OUTPUTS = {"O", "CO", "Q", "DOA", "Z", "S0", "COUT", "DO"}


def _module(*cells: tuple[str, dict[str, list[Any]]]) -> dict[str, Any]:
    """A netlist as Yosys writes it."""
    return {
        "cells": {
            f"c{i}": {
                "type": kind,
                "connections": pins,
                "port_directions": {p: "output" if p in OUTPUTS else "input" for p in pins},
            }
            for i, (kind, pins) in enumerate(cells)
        }
    }


def test_levels_of_luts_in_a_row() -> None:
    lut = [("LUT2", {"I0": [i], "I1": ["0"], "O": [i + 1]}) for i in range(5)]
    assert levels(_module(*lut)) == 5


def test_a_carry_chain_is_one_level_however_long() -> None:
    chain = [("CARRY4", {"S": [100 + i], "CI": [i], "CO": [i + 1], "O": [200 + i]}) for i in range(9)]
    first = ("LUT2", {"I0": [1000], "O": [100]})
    last = ("LUT2", {"I0": [208], "O": [300]})
    assert levels(_module(*chain)) == 1
    assert levels(_module(first, *chain, last)) == 3


def test_a_carry_chain_of_an_ecp5_is_one_level_and_its_wide_multiplexers_none() -> None:
    chain = [("CCU2C", {"A0": [100 + i], "CIN": [i], "COUT": [i + 1], "S0": [200 + i]}) for i in range(9)]
    first = ("LUT4", {"A": [1000], "Z": [100]})
    last = ("LUT4", {"A": [208], "Z": [300]})
    wide = (("PFUMX", {"ALUT": [300], "C0": [9], "Z": [301]}), ("L6MUX21", {"D0": [301], "Z": [302]}))
    behind = ("LUT4", {"A": [302], "Z": [303]})
    assert levels(_module(*chain)) == 1
    assert levels(_module(first, *chain, last, *wide)) == 3
    assert levels(_module(first, *chain, last, *wide, behind)) == 4
    assert levels(_module(first, ("CCU2C", {"CIN": [100], "S0": [2]}))) == 2


def test_registers_and_block_ram_of_an_ecp5_end_a_path_and_lut_ram_does_not() -> None:
    lut = ("LUT4", {"A": [1], "Z": [2]})
    for kind in ("TRELLIS_FF", "DP16KD", "MULT18X18D"):
        assert levels(_module(lut, (kind, {"D": [2], "Q": [3]}), ("LUT4", {"A": [3], "Z": [4]}))) == 1
    assert levels(_module(lut, ("TRELLIS_DPR16X4", {"RAD": [2], "DO": [3]}), ("LUT4", {"A": [3], "Z": [4]}))) == 3
    assert levels(_module(lut, ("TRELLIS_DPR16X4", {"DI": [2], "DO": [3]}), ("LUT4", {"A": [3], "Z": [4]}))) == 2


def test_two_carry_chains_in_a_row_are_two_levels() -> None:
    one, two = ("CARRY4", {"S": [1], "O": [2]}), ("CARRY4", {"S": [2], "O": [3]})
    assert levels(_module(two, one)) == 2


def test_registers_and_block_ram_end_a_path_and_lut_ram_does_not() -> None:
    lut = ("LUT1", {"I0": [1], "O": [2]})
    assert levels(_module(lut, ("FDRE", {"D": [2], "Q": [3]}), ("LUT1", {"I0": [3], "O": [4]}))) == 1
    assert levels(_module(lut, ("RAM32M", {"ADDRA": [2], "DOA": [3]}), ("LUT1", {"I0": [3], "O": [4]}))) == 3
    assert levels(_module(lut, ("RAM32M", {"DIA": [2], "DOA": [3]}), ("LUT1", {"I0": [3], "O": [4]}))) == 2


def test_wide_multiplexers_are_no_level() -> None:
    lut = ("LUT6", {"I0": [1], "O": [2]})
    assert levels(_module(lut, ("MUXF7", {"I0": [2], "O": [3]}), ("MUXF8", {"I0": [3], "O": [4]}))) == 1


def test_a_loop_is_refused() -> None:
    loop = (("LUT2", {"I0": [1], "O": [2]}), ("LUT2", {"I0": [2], "O": [1]}))
    with pytest.raises(ToolError, match="2 cells of a netlist form a combinational loop"):
        levels(_module(*loop))

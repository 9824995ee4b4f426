# SPDX-License-Identifier: Apache-2.0
"""Running cocotb test benches: what passes, what fails, and what is said of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from gatewright.errors import SimulationError, ToolError
from gatewright.ir.op import package_root
from gatewright.sim.cocotb import run_cocotb

LIB = [package_root() / "rtl" / "lib" / f"{name}.sv" for name in ("counter", "fifo")]
SOURCES = [*LIB, Path(__file__).with_name("designs.sv")]
BENCH = Path(__file__).with_name("fifo_bench.py")


def test_passing_tests_are_counted_and_nothing_leaks_into_this_process(tmp_path: Path) -> None:
    before, import_path = dict(os.environ), list(sys.path)
    passed = run_cocotb(SOURCES, "fifo_stage", BENCH, parameters={"WIDTH": 16}, env={"EXPECT": "16"}, folder=tmp_path)
    assert passed == 2
    assert "a_frame_passes" in (tmp_path / "cocotb.log").read_text()
    assert (dict(os.environ), sys.path) == (before, import_path)


def test_failing_tests_are_listed() -> None:
    message = r"fifo_bench\.py on fifo_stage: 1 of 2 tests failed:\n  the_width_is_as_expected: another width"
    with pytest.raises(SimulationError, match=message):
        run_cocotb(SOURCES, "fifo_stage", BENCH, parameters={"WIDTH": 16}, env={"EXPECT": "8"})


def test_a_file_without_tests_is_an_error(tmp_path: Path) -> None:
    empty = tmp_path / "empty_bench.py"
    empty.write_text("")
    with pytest.raises(SimulationError, match=r"empty_bench\.py on fifo_stage: "):
        run_cocotb(SOURCES, "fifo_stage", empty, parameters={"WIDTH": 16})


def test_a_top_that_does_not_compile_is_an_error() -> None:
    with pytest.raises(ToolError, match="Verilator rejects the top level 'fifo_stage':\n.*DEPTH=1 must be"):
        run_cocotb(SOURCES, "fifo_stage", BENCH, parameters={"DEPTH": 1})

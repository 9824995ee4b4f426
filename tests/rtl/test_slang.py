# SPDX-License-Identifier: Apache-2.0
"""Every module at its examples and whole kernels in slang, without a warning; nothing that Vivado does not read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.emit.test_ecp5 import write
from tests.rtl.kernel.designs import broad, several, small, streamed, write_kernel
from tests.rtl.test_lint import RTL, SOURCES, _parameter_sets

from gatewright.design.plan import Design
from gatewright.emit import stream_ip

slang = pytest.importorskip("tests.rtl.slang", reason="pyslang is not installed")

FOLDERS = [f"-y {RTL / name}" for name in ("lib", "kernel", "uart")]


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_slang_finds_nothing(source: Path, tmp_path: Path) -> None:
    sets = _parameter_sets(source, tmp_path)
    assert sets
    for parameters in sets:
        assert slang.complaints([source], source.stem, parameters, *FOLDERS) == "", parameters
    assert slang.complaints([source], source.stem, sets[0], *FOLDERS, "-DSYNTHESIS") == ""
    assert slang.complaints([source], source.stem, sets[0], *FOLDERS, "-DYOSYS") == ""


KERNELS: Mapping[str, tuple[Callable[[], Design], int]] = {
    "small": (small, 32),
    "several": (several, 128),
    "broad": (broad, 512),
    "streamed": (streamed, 64),
    "alveo": (lambda: small("alveo-u250"), 512),
}


@pytest.mark.parametrize("name", KERNELS)
def test_slang_finds_nothing_in_a_whole_kernel(name: str, tmp_path: Path) -> None:
    make, bus_bits = KERNELS[name]
    design = make()
    kernel = write_kernel(design, bus_bits, tmp_path)
    files = [tmp_path / path for path in kernel.sources]
    assert slang.complaints(files, kernel.kernel) == ""
    # Without the memory ports around it: the streams of rtl/, as they are packaged.
    stream_ip.emit(design).write(tmp_path / "rtl")
    streams = [tmp_path / "rtl" / f"{kernel.name}{end}" for end in (".sv", "_stream.v")]
    kernels = [tmp_path / path for path in kernel.sources if path.startswith("rtl/")]
    assert slang.complaints([*kernels, *streams], f"{kernel.name}_stream") == ""


@pytest.mark.parametrize("network", ["small", "several"])
def test_slang_finds_nothing_in_the_top_level_of_a_board(network: str, tmp_path: Path) -> None:
    """With the PLL, a primitive that no file has, and without it."""
    chosen, files = write(network, tmp_path)
    top = f"{chosen.name}_top"
    assert slang.complaints(files, top, {"SIMULATION": 1}) == ""
    assert slang.complaints(files, top, {"SIMULATION": 0}, "--ignore-unknown-modules") == ""
    assert "unknown module 'EHXPLLL'" in slang.complaints(files, top, {"SIMULATION": 0})


LEAF = """\
`default_nettype none
module leaf (
  input  wire clk,
  input  wire [3:0] a,
  output logic [3:0] b
);
  always_ff @(posedge clk) b <= a;
endmodule
`default_nettype wire
"""
TOP = """\
`default_nettype none
module top #(
  parameter int BITS = 4
) (
  input  wire clk,
  input  wire [BITS-1:0] a,
  output wire [BITS-1:0] b
);
  leaf i_leaf (.clk(clk), .a(a), .b(b));
endmodule
`default_nettype wire
"""
FAULTS: Mapping[str, tuple[str, str, str]] = {
    "undeclared net": (".a(a)", ".a(c)", "use of undeclared identifier 'c'"),
    "unknown module": ("leaf i_leaf", "leave i_leaf", "unknown module 'leave'"),
    "unknown port": (".a(a)", ".d(a)", "port 'd' does not exist in 'leaf'"),
    "port left open": (", .a(a)", "", "port 'a' has no connection"),
    "port given twice": (".a(a)", ".a(a), .a(a)", "duplicate connection for port 'a'"),
    "port too narrow": ("BITS = 4", "BITS = 5", "port connection truncates from 5 to 4 bits"),
    "port too wide": ("BITS = 4", "BITS = 3", "port connection expands from 3 to 4 bits"),
    "unknown parameter": ("leaf i_leaf", "leaf #(.N(1)) i_leaf", "parameter 'N' does not exist in 'leaf'"),
    "two drivers": ("leaf i_leaf", "assign b = a;\n  leaf i_leaf", "drive"),
    "same name twice": ("leaf i_leaf", "wire i_leaf;\n  leaf i_leaf", "redefinition of 'i_leaf'"),
    "no semicolon": (".b(b));", ".b(b))", "expected ';'"),
    "a part that is not there": (".b(b)", ".b(b[4:1])", "cannot select range of [4:1]"),
    "a latch": ("leaf i_leaf", "logic q;\n  always_comb if (a[0]) q = a[1];\n  leaf i_leaf", "latch inferred for 'q'"),
}


def _pair(folder: Path, top: str) -> list[Path]:
    (folder / "leaf.sv").write_text(LEAF)
    (folder / "top.sv").write_text(top)
    return [folder / "leaf.sv", folder / "top.sv"]


def test_the_pair_is_clean_as_it_is(tmp_path: Path) -> None:
    assert slang.complaints(_pair(tmp_path, TOP), "top") == ""


@pytest.mark.parametrize("fault", FAULTS)
def test_slang_notices(fault: str, tmp_path: Path) -> None:
    old, new, message = FAULTS[fault]
    assert old in TOP
    assert message in slang.complaints(_pair(tmp_path, TOP.replace(old, new)), "top")


def test_a_fatal_of_ours_is_an_error_there_too(tmp_path: Path) -> None:
    said = slang.complaints([RTL / "lib" / "fifo.sv"], "fifo", {"DEPTH": 1}, *FOLDERS)
    assert "error: $fatal encountered: fifo" in said
    assert "DEPTH=1 must be at least 2" in said


# What Vivado's synthesis does not read, or reads in another way (UG901 "SystemVerilog Support"), and Yosys neither.
NOT_READ: Mapping[str, str] = {
    "interface": r"^\s*(?:interface|modport)\b",
    "class": r"^\s*(?:virtual\s+)?class\b",
    "string parameter": r"\bparameter\s+string\b",
    "import": r"^\s*import\b",
    "return": r"\breturn\b",
    "real": r"\b(?:real|shortreal|realtime)\b",
    "dynamic array or queue": r"\b\w+\s*\[\s*\$?\s*\]\s*[;=]",
    "program, checker or clocking": r"^\s*(?:program|checker|clocking|covergroup)\b",
    "fork": r"^\s*fork\b",
    "wait": r"\bwait\s*\(",
    "delay": r"(?:^|[=\s])#\d",
    "force": r"^\s*(?:force|release|deassign)\b",
    "asynchronous reset": r"\bnegedge\b",
    "alias or bind": r"^\s*(?:alias|bind)\b",
    "event": r"->>?\s*\w+\s*;",
}


def _code(text: str) -> str:
    """Without comments and strings."""
    return re.sub(r'"[^"\n]*"', '""', re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL))


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_nothing_that_vivado_does_not_read(source: Path) -> None:
    code = _code(source.read_text())
    assert [what for what, pattern in NOT_READ.items() if re.search(pattern, code, re.MULTILINE)] == []


@pytest.mark.parametrize("name", KERNELS)
def test_nor_in_what_is_emitted(name: str, tmp_path: Path) -> None:
    make, bus_bits = KERNELS[name]
    kernel = write_kernel(make(), bus_bits, tmp_path)
    for path in kernel.sources:
        code = _code((tmp_path / path).read_text())
        assert [what for what, pattern in NOT_READ.items() if re.search(pattern, code, re.MULTILINE)] == [], path


INSTEAD: Mapping[str, str] = {
    "interface": "interface bus; endinterface",
    "class": "class c; endclass",
    "string parameter": 'module m #(parameter string NAME = "x");',
    "import": "  import pkg::*;",
    "return": "    return a;",
    "real": "  real x;",
    "dynamic array or queue": "  int q[$];",
    "program, checker or clocking": "program p;",
    "fork": "  fork",
    "wait": "    wait (a);",
    "delay": "    #5 a = 1;",
    "force": "    force a = 1;",
    "asynchronous reset": "  always_ff @(posedge clk or negedge rst_n)",
    "alias or bind": "  bind a b c ();",
    "event": "    -> done;",
}


def test_every_rule_of_the_subset_bites() -> None:
    assert set(INSTEAD) == set(NOT_READ)
    for what, line in INSTEAD.items():
        assert re.search(NOT_READ[what], _code(line), re.MULTILINE), what

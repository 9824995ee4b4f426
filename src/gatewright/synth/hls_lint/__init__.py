# SPDX-License-Identifier: Apache-2.0
"""The synthesizability lint: whether Vitis HLS 2022.2 or newer can take a C++ file, asked of libclang.

findings.py     what is found, by which rules
table.py        the legal pragmas
pragma_text.py  pragmas as text, and the C++ that asks the parser about them
reading.py      files, read as Vitis HLS sees them
blocks.py       which block a pragma stands in
constructs.py, loops.py, calls.py, interfaces.py, pragmas.py, text.py   the rules
lint.py         all of them over one translation unit
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

from gatewright.errors import ConfigError
from gatewright.ir.op import discover
from gatewright.sim.tools import find_tool
from gatewright.synth.hls_lint.findings import RULES, Finding

__all__ = ["EXEMPT", "RULES", "Finding", "exemption", "lint_library", "lint_project"]

EXEMPT: Mapping[str, str] = {
    "*gatewright/testbench.hpp": "runs on the host, around the top function",
    "*gatewright/systemc.hpp": "runs in a simulation, around kernels",
    "*_systemc.[ch]pp": "runs in a simulation, around kernels",
    "csim/*": "stands in for a header of Vitis HLS that the open types lack, where g++ compiles",
    "*_tb.[ch]pp": "runs on the host, around the top function",
}
"""Files that are no hardware: patterns of their paths, and what each is instead."""


def exemption(path: str) -> str | None:
    """Why a file is not judged; None for one that is."""
    return next((reason for pattern, reason in EXEMPT.items() if fnmatch(path, pattern)), None)


def lint_library(root: Path, only: str = "*") -> list[Finding]:
    """Judge the kernels and their library, each file on its own, whether or not a design uses it.

    Args:
        root: the folder `hls`, with `gatewright/` below it.
        only: pattern of the files to judge, as `gatewright/dense.hpp`; all others are at hand to be included.

    Raises:
        ConfigError: no file is judged.
        MissingToolError: g++, libclang or the headers of hls4ml are missing.
    """
    find_tool("libclang")
    from gatewright.synth.hls_lint.lint import head, judge, read_sources

    sources = read_sources(root, exemption)
    judged = [s for s in sources.values() if fnmatch(s.shown, only)]
    if not judged:
        raise ConfigError(f"no header below {root} to judge: {only!r} should name some")
    include = [root, root / "hls4ml", *hls4ml_layers()]
    found: set[Finding] = set()
    for source in judged:
        found |= judge(source, sources, include, [source], "")
        found |= head(source, any(fnmatch(source.shown, f"gatewright/{name}.hpp") for name in discover()))
    return sorted(found)


def hls4ml_layers() -> list[Path]:
    """Folders of hls4ml's own layers, on which those of `hls/hls4ml` stand."""
    templates = find_tool("ap_types").path.parents[1]
    return [templates / backend / "nnet_utils" for backend in ("vitis", "vivado")]


def lint_project(folder: Path) -> list[Finding]:
    """Judge an emitted project: its files, the kernels in it, and instances of templates that a top function reaches.

    Args:
        folder: to which `emit.hls_project` wrote it; every `.cpp` directly in it that is no test bench defines a top
            function of its own name.

    Raises:
        ConfigError: the folder holds no such project.
        MissingToolError: g++, libclang or the headers of hls4ml are missing.
    """
    find_tool("libclang")
    from gatewright.synth.hls_lint.lint import judge, read_sources

    sources = read_sources(folder, exemption)
    tops = [s for s in sources.values() if fnmatch(s.shown, "*.cpp") and "/" not in s.shown]
    if not tops:
        raise ConfigError(f"{folder} holds no top function: compile the design with --target hls first")
    headers = [s for s in sources.values() if s not in tops]
    found: set[Finding] = set()
    for i, top in enumerate(tops):
        judged = [top] if i else [top, *headers]
        found |= judge(top, sources, [folder / "include", folder], judged, Path(top.shown).stem)
    return sorted(found)

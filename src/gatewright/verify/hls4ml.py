# SPDX-License-Identifier: Apache-2.0
"""The design as a project of hls4ml: another tool's layers, loops and layouts compute what golden does."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace

from gatewright.boards import load_board
from gatewright.build import Build
from gatewright.emit.files import FileSet
from gatewright.emit.hls4ml import Plan, emit, plan
from gatewright.errors import ConfigError, UnsupportedError
from gatewright.sim.hls4ml import compile_project
from gatewright.sim.tools import find_tool
from gatewright.verify.check import Case, StageResult, compare

FOLDER = "hls4ml"
"""Where the project lies in its build folder."""

PRODUCTS = 1_000_000_000
"""Multiplications that are simulated unless a number of frames is asked for: 20 s or so."""


def hls4ml_stage(case: Case, name: str) -> StageResult:
    """Plan, emit, compile, run and compare.

    Raises:
        GatewrightError: a tool is missing or fails, or the simulation breaks off.
    """
    for tool in ("hls4ml", "g++"):
        find_tool(tool)
    build = case.build
    try:
        design = plan(build.design_graph)
    except UnsupportedError as error:
        return StageResult(name, "not_run", str(error))
    case.progress("emitting hls4ml's project")
    summary = build.summary()
    files = emit(design, load_board(summary["board"]).part, 1000 / summary["mhz"])
    _write(build, files)
    case.progress("compiling hls4ml's project")
    model = compile_project(design, files)
    given = case.frames
    case = case.first(case.requested or max(1, PRODUCTS // max(design.products, 1)))
    case.progress("running hls4ml's project")
    outputs = model.run(case.integers)
    result = compare(case, name, tuple(outputs[o.tensor] for o in build.design_graph.outputs))
    return replace(result, note=_note(design, case.frames, given))


def _write(build: Build, files: FileSet) -> None:
    """Leave the project in the build folder.

    Raises:
        ConfigError: the folder cannot be written.
    """
    folder = build.directory / FOLDER
    try:
        if folder.is_dir():
            shutil.rmtree(folder)
        files.write(folder)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written ({error})") from error


def _note(design: Plan, frames: int, given: int) -> str:
    """Whose code computed what, and how much of it, in one sentence."""
    own = Counter(p.layer.function for p in design.layers if p.layer.function)
    theirs = Counter(p.layer.kind for p in design.layers[len(design.inputs) :] if not p.layer.function)
    said = []
    for whose, count in (("layers of hls4ml's own", theirs), ("of Gatewright's extension", own)):
        if count:
            said.append(f"{whose}: {', '.join(f'{n} {kind}' for kind, n in sorted(count.items()))}")
    if frames < given:
        said.append(f"the first {frames} of {given} frames, of {design.products:,} products each: --frames runs more")
    return "; ".join(said)

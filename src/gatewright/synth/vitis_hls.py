# SPDX-License-Identifier: Apache-2.0
"""A build's HLS project in Vitis HLS: what to run and where, running it where the tool is, and what its report says.

The report is `<top>_csynth.xml`, which C synthesis leaves in `syn/report` of a solution. AMD documents no elements of
it; those read here are the ones that hls4ml and others read in the reports of 2020.1 and newer.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatewright import process
from gatewright.boards import load_board
from gatewright.build import Build
from gatewright.emit.hls_scripts import PACKAGES, TOPS
from gatewright.errors import ConfigError, ToolError
from gatewright.progress import Progress, silent
from gatewright.sim.tools import Tool, find_tool

NAME = "vitis-hls"
OLDEST = (2022, 2)
"""The kernels are written for this release and newer ones."""
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "vitis_hls": ("vitis_hls", "-f", "run_hls.tcl"),
    "vitis-run": ("vitis-run", "--mode", "hls", "--tcl", "run_hls.tcl"),
}
"""By program: up to 2024.1 there is the first, from 2023.2 on the second."""


@dataclass(frozen=True)
class HlsPlan:
    """A run of Vitis HLS.

    Attributes:
        folder: of the project, in which it runs.
        top: the top function.
        words: what the project's script is told to do.
        report: what C synthesis leaves.
    """

    folder: Path
    top: str
    words: tuple[str, ...]
    report: Path

    @property
    def commands(self) -> list[str]:
        """For a shell in the folder, by program."""
        return [f'HLS_RUN="{" ".join(self.words)}" {" ".join(command)}' for command in COMMANDS.values()]

    def to_json(self) -> dict[str, Any]:
        """What somebody needs to know to run it."""
        return {"folder": str(self.folder.resolve()), "commands": self.commands, "report": str(self.report)}


def plan(build: Build, ports: str = "axi") -> HlsPlan:
    """How to synthesise a build; nothing runs.

    Args:
        ports: "axi" or "stream", the variant of the top function.

    Raises:
        ConfigError: no such variant, the build has no HLS project, or the project was changed since.
    """
    if ports not in TOPS:
        raise ConfigError(f"ports {ports!r} are unknown: use {' or '.join(TOPS)}")
    folder = build.emitted("hls")
    if changed := [name for name in build.changed() if name.startswith("hls/")]:
        raise ConfigError(f"{build.directory / changed[0]} was changed since it was compiled: compile the model again")
    top = build.structure.name + TOPS[ports]
    board = load_board(build.summary()["board"])
    if board.flow not in PACKAGES:
        raise ConfigError(
            f"board {board.name} has a {board.part}, which Vitis HLS does not know: use --tool yosys, for the RTL"
        )
    report = Path(f"{top}_project") / board.flow / "syn" / "report" / f"{top}_csynth.xml"
    return HlsPlan(folder, top, (ports, "csynth"), report)


def synthesise_hls(
    build: Build, ports: str = "axi", *, seconds: float | None = None, progress: Progress = silent
) -> dict[str, Any]:
    """Run C synthesis, read its report, and keep the result in the build folder.

    Args:
        ports: "axi" or "stream", the variant of the top function.
        seconds: time limit.

    Returns:
        See `result`.

    Raises:
        ConfigError: see `plan`.
        MissingToolError: there is no Vitis HLS.
        ToolError: it is too old, fails, takes too long, or leaves no report.
    """
    run = plan(build, ports)
    tool = find_tool(NAME)
    progress(f"C synthesis in Vitis HLS {tool.version}")
    execute(run, tool, seconds)
    found = result(build, run, run.folder / run.report, tool.version)
    path = build.directory / "synth" / f"vitis_hls_{ports}.json"
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error})") from error
    return found


def execute(run: HlsPlan, tool: Tool, seconds: float | None = None) -> None:
    """Run a plan; a report of an earlier run goes first.

    Raises:
        ToolError: the tool is too old, fails, takes too long, or leaves no report.
    """
    release = tuple(int(n) for n in re.findall(r"\d+", tool.version))
    if release and release < OLDEST:
        raise ToolError(f"{tool.path} is Vitis HLS {tool.version}: the kernels need 2022.2 or newer")
    report = run.folder / run.report
    report.unlink(missing_ok=True)
    command = [str(tool.path), *COMMANDS[tool.path.name][1:]]
    environment = tool.environment() | {"HLS_RUN": " ".join(run.words)}
    code, lines = _run(command, run, environment, seconds)
    if code or not report.is_file():
        said = [line for line in lines if line.startswith("ERROR")][:5] or lines[-5:]
        what = f"ends with code {code}" if code else f"leaves no {run.report}"
        raise ToolError(f"Vitis HLS {what} on {run.top!r} in {run.folder}:\n  " + "\n  ".join(said))


def _run(
    command: list[str], run: HlsPlan, environment: Mapping[str, str], seconds: float | None
) -> tuple[int, list[str]]:
    """A command's exit status and lines; whatever ends the wait also ends all that the command started."""
    try:
        code, lines = process.run(command, run.folder, environment, seconds)
    except TimeoutError as error:
        what = f"Vitis HLS takes more than {seconds:g} s on {run.top!r}"
        raise ToolError(f"{what}: raise --time-limit") from error
    return code, lines


def result(build: Build, run: HlsPlan, report: Path, version: str = "") -> dict[str, Any]:
    """A report beside the prediction.

    Args:
        version: of the tool; that in the report by default.

    Returns:
        `tool`, `status`, `version`, `build` (the state that it is of), what `read_report` finds, `predicted` (of the
        RTL: interval_cycles, latency_cycles, clock_ns and resources) and `capacity` of the board.

    Raises:
        ConfigError: the report is of another design.
        ToolError: it is no report.
    """
    found = read_report(report)
    if found["top"] != run.top:
        raise ConfigError(f"{report} is of top function {found['top']!r}, not of {run.top!r}")
    summary = build.summary()
    predicted = {name: summary[name] for name in ("interval_cycles", "latency_cycles", "resources")}
    return {
        "tool": NAME,
        "status": "ok",
        "build": build.fingerprint(),
        **found,
        "version": version or found["version"],
        "predicted": predicted | {"clock_ns": 1000 / summary["mhz"]},
        "capacity": dict(load_board(summary["board"]).capacity),
    }


_CLOCKS = {
    "target": "UserAssignments/TargetClockPeriod",
    "uncertainty": "UserAssignments/ClockUncertainty",
    "estimated": "PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod",
}
_CYCLES = {
    "latency": ("Best-caseLatency", "Worst-caseLatency"),
    "interval": ("Interval-min", "Interval-max"),
}
_RESOURCES = {"LUT": ("LUT",), "FF": ("FF",), "BRAM36": ("BRAM_18K",), "DSP": ("DSP", "DSP48E"), "URAM": ("URAM",)}


def read_report(path: Path) -> dict[str, Any]:
    """The report of C synthesis on a top function.

    Returns:
        `top`, `part`, `version`, `clock_ns` (target, uncertainty, estimated), `latency_cycles` and `interval_cycles`
        (least and most, None where the tool cannot say) and `resources`, block RAM in 36 Kib.

    Raises:
        ToolError: the file is no such report; names what it lacks.
    """
    try:
        root = ET.parse(path).getroot()
    except (OSError, ET.ParseError) as error:
        raise ToolError(f"{path} is no report of Vitis HLS ({error})") from error

    def text(place: str) -> str:
        found = root.findtext(place)
        if found is None:
            raise ToolError(f"{path} is no report of Vitis HLS: it lacks {place}")
        return found.strip()

    summary = "PerformanceEstimates/SummaryOfOverallLatency"
    try:
        return {
            "top": text("UserAssignments/TopModelName"),
            "part": text("UserAssignments/Part"),
            "version": text("ReportVersion/Version"),
            "clock_ns": {name: float(text(place)) for name, place in _CLOCKS.items()},
            **{f"{k}_cycles": [_count(text(f"{summary}/{tag}")) for tag in tags] for k, tags in _CYCLES.items()},
            "resources": {name: _resource(root, path, name, tags) for name, tags in _RESOURCES.items()},
        }
    except ValueError as error:
        raise ToolError(f"{path} is no report of Vitis HLS ({error})") from error


def _count(text: str) -> int | None:
    """A number of cycles; Vitis HLS says `undef` where a loop's length is not known."""
    return None if text in ("undef", "?", "-") else int(text)


def _resource(root: ET.Element, path: Path, name: str, tags: tuple[str, ...]) -> float:
    found = next((t for tag in tags if (t := root.findtext(f"AreaEstimates/Resources/{tag}")) is not None), None)
    if found is None and name != "URAM":  # which not every family has
        raise ToolError(f"{path} is no report of Vitis HLS: it lacks AreaEstimates/Resources/{tags[0]}")
    return float(found or 0) / (2 if name == "BRAM36" else 1)

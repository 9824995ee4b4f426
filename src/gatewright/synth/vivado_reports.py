# SPDX-License-Identifier: Apache-2.0
"""Reports of Vivado, of 2019.2 to 2024.2, as text: timing, utilisation, utilisation by instance, power.

Formats: UG906 "Timing Analysis" and "Report Utilization", UG907 "Report Power". Between releases the names of rows and
columns differ, a column of prohibited sites is there or not, and the part is written with more or less of its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gatewright.emit.project import Project
from gatewright.errors import ToolError
from gatewright.synth.flow import CriticalPath, Timing

_HEADER = re.compile(r"^\| (Tool Version|Design|Device) *: *(.*?) *$", re.MULTILINE)
_VERSION = re.compile(r"\d{4}\.\d")
_NUMBER = r"-?\d+(?:\.\d+)?"


@dataclass(frozen=True)
class Report:
    """A report that is of the right part.

    Attributes:
        path: where it lies.
        text: all of it.
        version: of Vivado.
    """

    path: Path
    text: str
    version: str

    def lacks(self, what: str) -> ToolError:
        """What to raise where something is not in it."""
        return ToolError(f"{self.path} is cut or no report of Vivado: it lacks {what}; run the tool again")


def load(path: Path, part: str, design: str | None = None) -> Report:
    """Read a report.

    Args:
        part: that it must be of.
        design: name of the top level that it must be of; any by default.

    Raises:
        ToolError: it is missing, no report, or of something else.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ToolError(f"{path} cannot be read ({error}): the tool left no such report; see its log") from error
    header = dict(_HEADER.findall(text))
    found = _VERSION.search(header.get("Tool Version", ""))
    report = Report(path, text, found.group() if found else "")
    for key in ("Tool Version", "Design", "Device"):
        if not header.get(key):
            raise report.lacks(f"a line `| {key} : ...`")
    if not found:
        raise report.lacks("a release in its line `| Tool Version : ...`")
    if not _bare(part).startswith(_bare(header["Device"])):
        raise ToolError(f"{path} is of the part {header['Device']!r}, not of {part!r}: it is another project's")
    if design is not None and header["Design"] != design:
        raise ToolError(f"{path} is of the design {header['Design']!r}, not of {design!r}: it is another project's")
    return report


def _bare(part: str) -> str:
    """A part as old and new releases have in common; the ends, speed grade and temperature, may be missing."""
    return part.lower().replace("-", "").removeprefix("xc")


# --- timing -----------------------------------------------------------------------------------------------------------

_SLACK = re.compile(rf"^Slack(?: \((?:MET|VIOLATED)\))?\s*:\s*({_NUMBER})ns\s+\(required time - arrival time\)")
_CLOCK = re.compile(rf"^\s*(\S+)\s+\{{[^}}]*\}}\s+({_NUMBER})\s+({_NUMBER})\s*$")
_PLACES = ("Source", "Destination", "Requirement", "Logic Levels")


def timing(report: Report, project: Project, clock: str) -> Timing:
    """The timing summary.

    Args:
        project: whose units name the slowest path.
        clock: of the kernel, by the beginning of its name.

    Raises:
        ToolError: the report is cut; registers have no clock; or a clock is too fast for a block of the chip.
    """
    _check_clocked(report)
    row = _summary(report)
    mhz = _frequency(report, clock)
    if row["WPWS(ns)"] < 0:
        raise ToolError(
            f"{report.path}: a clock is too fast for a block of the chip, whatever the routing (pulse width slack "
            f"{row['WPWS(ns)']:g} ns at {mhz:g} MHz): give a lower --mhz"
        )
    wns = row["WNS(ns)"]
    path, requirement = _worst(report, project)
    if abs(path.slack_ns - wns) > 0.0005:
        raise report.lacks(f"the path whose slack is {wns:g} ns; the slowest in it has {path.slack_ns:g} ns")
    fmax = 1000 / (requirement - wns)
    return Timing(mhz, wns, row["TNS(ns)"], row["WHS(ns)"], fmax, path)


def _check_clocked(report: Report) -> None:
    """Registers without a clock are in no figure of the summary."""
    found = re.findall(r"There are (\d+) register/latch pins with no clock", report.text)
    if not found:
        raise report.lacks("the number of register pins with no clock")
    if count := sum(map(int, found)):
        raise ToolError(f"{report.path}: {count} register pins have no clock, so that its timing is not the design's")


def _summary(report: Report) -> dict[str, float]:
    """The row below Design Timing Summary, by column."""
    _, mark, rest = report.text.partition("| Design Timing Summary")
    lines = [line for line in rest.splitlines() if line.strip()]
    heads = next((i for i, line in enumerate(lines) if "WNS(ns)" in line), None)
    if not mark or heads is None or heads + 2 >= len(lines):
        raise report.lacks("the table of its Design Timing Summary")
    names, values = re.split(r"\s{2,}", lines[heads].strip()), lines[heads + 2].split()
    row = dict(zip(names, values, strict=False))
    for name in ("WNS(ns)", "TNS(ns)", "WHS(ns)", "WPWS(ns)"):
        if not re.fullmatch(_NUMBER, row.get(name, "")):
            raise report.lacks(f"a number for {name} in its Design Timing Summary")
    return {name: float(row[name]) for name in ("WNS(ns)", "TNS(ns)", "WHS(ns)", "WPWS(ns)")}


def _frequency(report: Report, clock: str) -> float:
    section = report.text.partition("| Clock Summary")[2].partition("| Intra Clock Table")[0]
    found = [m for m in map(_CLOCK.match, section.splitlines()) if m and m[1].startswith(clock)]
    if not found:
        raise report.lacks(f"the clock {clock} in its Clock Summary")
    return 1000 / float(found[0][2])


def _worst(report: Report, project: Project) -> tuple[CriticalPath, float]:
    """The path with the least slack of setup, and what it has to keep, in nanoseconds."""
    lines = report.text.splitlines()
    starts = [(float(m[1]), i) for i, line in enumerate(lines) if (m := _SLACK.match(line))]
    if not starts:
        raise report.lacks("a path of setup")
    slack, start = min(starts)
    found: dict[str, str] = {}
    for line in lines[start + 1 :]:
        name, colon, value = line.strip().partition(":")
        if colon and name in _PLACES and value.strip():
            found.setdefault(name, value.split()[0])
        if line.split()[:1] == ["slack"]:  # the end of its table
            break
    else:
        raise report.lacks("the end of its slowest path")
    if missing := [name for name in _PLACES if name not in found]:
        raise report.lacks(f"the {missing[0]} of its slowest path")
    needed = re.fullmatch(rf"({_NUMBER})ns", found["Requirement"])
    if needed is None or float(needed[1]) <= slack or not found["Logic Levels"].isdigit():
        raise report.lacks("numbers for its slowest path")
    end = found["Destination"]
    levels = int(found["Logic Levels"])
    return CriticalPath(slack, found["Source"], end, unit_of(end, project), levels), float(needed[1])


def unit_of(name: str, project: Project) -> str:
    """Whose a pin or an instance is, by its name in the hierarchy.

    Returns:
        A unit of the design, else what lies in the kernel (`read0`, `control`, a FIFO), else "".
    """
    found = re.search(rf"(?:^|/){project.kernel.kernel}\w*/(?:.*/)?i_core/(?:i_design/)?i_(\w+)", name)
    return found[1] if found else ""


# --- tables -----------------------------------------------------------------------------------------------------------

_RESOURCES: Mapping[str, tuple[str, ...]] = {
    "LUT": ("Slice LUTs", "CLB LUTs"),
    "FF": ("Slice Registers", "CLB Registers"),
    "BRAM36": ("Block RAM Tile",),
    "DSP": ("DSPs", "DSP Slices"),
    "URAM": ("URAM",),
}
"""Rows of the whole chip, by the names of board records."""
_UNIT_RESOURCES: Mapping[str, Mapping[str, float]] = {
    "LUT": {"Total LUTs": 1},
    "FF": {"FFs": 1},
    "BRAM36": {"RAMB36": 1, "RAMB18": 0.5},
    "DSP": {"DSP Blocks": 1, "DSP48 Blocks": 1, "DSP Slices": 1},
    "URAM": {"URAM": 1},
}
"""Columns by instance, and how much each counts."""


def resources(report: Report, project: Project) -> dict[str, float]:
    """Used resources of the whole chip.

    Raises:
        ToolError: the report lacks one that the board has.
    """
    rows: dict[str, dict[str, str]] = {}
    for name, cells in (row for table in _tables(report) for row in table):
        rows.setdefault(name.rstrip("*"), cells)
    used: dict[str, float] = {}
    for resource in project.board.capacity:
        row = next((rows[name] for name in _RESOURCES.get(resource, ()) if name in rows), None)
        if row is None:
            raise report.lacks(f"a whole table with {' or '.join(_RESOURCES.get(resource, (resource,)))}")
        used[resource] = _count(report, row.get("Used", ""), f"the number of {resource} that are used")
    return used


def units(report: Report, project: Project) -> dict[str, dict[str, float]]:
    """Used resources by unit of the design; a unit whose logic went into its neighbours is left out.

    Raises:
        ToolError: the report has no whole table, or one without the kernel.
    """
    table = next((t for t in _tables(report) if t and "Module" in t[0][1]), None)
    if table is None:
        raise report.lacks("its whole table by instance")
    found: dict[str, dict[str, float]] = {}
    names: list[str] = []
    for name, cells in table:
        depth = (len(cells["Instance"]) - len(cells["Instance"].lstrip())) // 2
        names[depth:] = [name]
        path = "/".join(names)
        if len(names) > 1 and names[-2:-1] == ["i_design"] and unit_of(path, project) in project.units:
            found[unit_of(path, project)] = _unit(report, cells)
    if not any(name.startswith(project.kernel.kernel) for name, _ in table):
        raise report.lacks(f"the kernel {project.kernel.kernel}")
    return found


def _unit(report: Report, cells: Mapping[str, str]) -> dict[str, float]:
    used: dict[str, float] = {}
    for resource, columns in _UNIT_RESOURCES.items():
        there = {column: share for column, share in columns.items() if column in cells}
        if there:
            used[resource] = sum(_count(report, cells[c], f"the number of {c}") * s for c, s in there.items())
    return used


def power(report: Report) -> dict[str, float]:
    """Estimated power in watts: "total", "dynamic" and "static".

    Raises:
        ToolError: the report lacks one.
    """
    rows = {"total": "Total On-Chip Power (W)", "dynamic": "Dynamic (W)", "static": "Device Static (W)"}
    found = {}
    for key, name in rows.items():
        match = re.search(rf"^\| {re.escape(name)} +\| +({_NUMBER}) .*\|$", report.text, re.MULTILINE)
        if match is None:
            raise report.lacks(name)
        found[key] = float(match[1])
    return found


def _count(report: Report, cell: str, what: str) -> float:
    match = re.match(rf" *({_NUMBER})(?: *\(.*\))? *$", cell)
    if match is None:
        raise report.lacks(what)
    return float(match[1])


def _tables(report: Report) -> Iterator[list[tuple[str, dict[str, str]]]]:
    """The rows of every table that is whole: the name in the first column, and its cells by column.

    The first cell keeps its blanks in front, which are its depth in a hierarchy.
    """
    columns: list[str] = []
    rows: list[tuple[str, dict[str, str]]] = []
    for line in report.text.splitlines():
        if line.startswith("|") and line.rstrip().endswith("|"):
            cells = line.rstrip()[1:-1].split("|")
            if not columns:
                columns = [cell.strip() for cell in cells]
            elif len(cells) == len(columns):
                rows.append(
                    (
                        cells[0].strip(),
                        {columns[0]: cells[0][1:].rstrip(), **dict(zip(columns[1:], cells[1:], strict=True))},
                    )
                )
        elif line.startswith("+-"):
            if rows:
                yield rows
                columns, rows = [], []
        else:
            columns, rows = [], []

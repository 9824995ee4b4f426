# SPDX-License-Identifier: Apache-2.0
"""What every tool that makes bitstreams looks like from here: scripts, a command, its log, and what comes out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gatewright.emit.files import FileSet
from gatewright.emit.project import Project
from gatewright.sim.tools import Tool

MORE_MEMORY = "use a machine with more, or run fewer programs beside it"
SHORTAGES: Mapping[str, str] = {
    r"std::bad_alloc|Cannot allocate memory|insufficient memory|[Oo]ut of memory": "it ran out of memory: "
    f"{MORE_MEMORY}",
    r"No space left on device|Disk quota exceeded": "the disk is full: make room where the build folder lies",
}
"""What any program may print that gets no more memory or room, and what to do."""


def meaning(sentences: Mapping[str, str], line: str) -> str | None:
    """The sentence of the first pattern that a line of a log has in it, with its groups; None where none has."""
    for pattern, sentence in sentences.items():
        if found := re.search(pattern, line):
            return sentence.format(*(group or "it does not say which" for group in found.groups()))
    return None


@dataclass(frozen=True)
class Phase:
    """A part of a run that begins: which of how many, and its name."""

    number: int
    count: int
    name: str


@dataclass(frozen=True)
class CriticalPath:
    """The path with the least slack.

    Attributes:
        slack_ns: negative where it is too slow.
        source, destination: registers or pins, as the tool names them.
        unit: of the design, in which it ends; a module of the kernel, or "" where it lies in neither.
        levels: of logic; None where the tool does not say.
    """

    slack_ns: float
    source: str
    destination: str
    unit: str
    levels: int | None = None


@dataclass(frozen=True)
class Timing:
    """Timing after routing.

    Attributes:
        mhz: the clock that was asked for.
        wns_ns: worst slack of a set-up path; negative where timing failed.
        tns_ns: sum of all that is negative; None where the tool does not say.
        whs_ns: worst slack of a hold path; None likewise.
        fmax_mhz: the fastest clock of this routing.
        worst: the path of `wns_ns`.
    """

    mhz: float
    wns_ns: float
    tns_ns: float | None
    whs_ns: float | None
    fmax_mhz: float
    worst: CriticalPath | None = None

    @property
    def met(self) -> bool:
        """Whether every path is fast enough."""
        return self.wns_ns >= 0 and (self.whs_ns is None or self.whs_ns >= 0)


@dataclass(frozen=True)
class Outcome:
    """What a run left.

    Attributes:
        version: of the tool, as its reports say.
        timing: after routing.
        resources: of the whole chip, by the names of the board record.
        units: the same by unit of the design, where the tool tells them apart.
        power_w: "total", "dynamic" and "static", estimated; None where the tool does not say.
        files: "bitstream" and "hwh", paths relative to the project's folder.
    """

    version: str
    timing: Timing
    resources: Mapping[str, float]
    units: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    power_w: Mapping[str, float] | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """For result.json."""
        return asdict(self)


class Flow(Protocol):
    """A tool that makes bitstreams; one module each, with its only instance in FLOW.

    Attributes:
        tool: its name among `sim.tools.REQUIREMENTS`.
        title: for people.
        oldest: release that the scripts need; None for any.
        programs: names under which the tool is looked for on another machine.
        asks: the option that asks such a program for its release.
    """

    tool: str
    title: str
    oldest: tuple[int, int] | None
    programs: tuple[str, ...]
    asks: str

    def emit(self, project: Project) -> FileSet:
        """The scripts, by path from the project's folder.

        Raises:
            ConfigError: the board or the kernel is none for this tool.
        """

    def command(self, project: Project, tool: Tool | None) -> list[str]:
        """What to run in the project's folder; without a tool, as somebody types it who has one."""

    def phase(self, line: str) -> Phase | None:
        """The part of the run that a line of the log begins."""

    def failure(self, line: str) -> str | None:
        """Why the run failed, where a line of the log says so, and what to do."""

    def read(self, folder: Path, project: Project) -> Outcome:
        """What a run left in the project's folder.

        Raises:
            ToolError: a report is missing, cut, or of another design or part.
        """

# SPDX-License-Identifier: Apache-2.0
"""The fastest clock that a build meets on its board, by a bounded number of runs."""

from __future__ import annotations

import math
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gatewright.build import Build
from gatewright.config import LARGEST_MHZ
from gatewright.emit.project import FOLDER
from gatewright.errors import ConfigError, ToolError
from gatewright.progress import Progress, silent
from gatewright.sim.tools import Tool
from gatewright.synth.bitstream.making import make, save
from gatewright.synth.bitstream.planning import plan
from gatewright.synth.bitstream.running import Where

RUNS = 6
"""Of the tool, at most, unless told otherwise."""
CLOSE = 1.02
"""A fastest clock that was met and a slowest one that was not, which are as close as this, end the search."""
_BEYOND = 1.1
"""How far beyond what was met the next try goes where no limit is known: a tool stops improving what is good enough."""


@dataclass(frozen=True)
class Try:
    """A run at a clock.

    Attributes:
        asked, mhz: the clock that was asked for, and that the tool made of it.
        fmax_mhz: the fastest clock of that routing.
        met: whether timing was.
        unit: in which the slowest path ends.
    """

    asked: float
    mhz: float
    fmax_mhz: float
    met: bool
    unit: str


def next_clock(tries: list[Try]) -> float | None:
    """The clock to try after these, or None where the search is over.

    Above what was met the next is a tenth more, or what the routing allows if that is more. Below a clock that failed
    it is what that routing allows, if that lies between, else the geometric mean.
    """
    met = max((t.mhz for t in tries if t.met), default=0.0)
    failed = min((t for t in tries if not t.met), key=lambda t: t.mhz, default=None)
    if failed is None:
        # From what was asked, which a board may have made less of.
        clocks = [max(*(t.fmax_mhz for t in tries), max(max(t.asked, t.mhz) for t in tries) * _BEYOND)]
    elif not met:
        clocks = [failed.fmax_mhz]
    elif failed.mhz / met < CLOSE:
        return None
    else:
        clocks = [failed.fmax_mhz, math.sqrt(met * failed.mhz)]
        clocks = [clock for clock in clocks if met < clock < failed.mhz]
    known = {clock for t in tries for clock in (t.asked, t.mhz)}
    possible = (min(_rounded(clock), LARGEST_MHZ) for clock in clocks)
    return next((clock for clock in possible if clock >= 1 and clock not in known), None)


def _rounded(mhz: float) -> float:
    """Three digits that are not above; tools and boards make their own of it."""
    step = 10.0 ** (math.floor(math.log10(mhz)) - 2)
    return round(math.floor(mhz / step + 1e-9) * step, 6)


def fastest(
    build: Build,
    *,
    where: Where | None = None,
    tool: Tool | None = None,
    runs: int = RUNS,
    seconds: float | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """The bitstream of the fastest clock that is met.

    Args:
        where: the machine; this one by default.
        tool: on it; looked for by default.
        runs: of the tool, at most.
        seconds: time limit of each.

    Returns:
        The result of the best run, which lies in the build's folder, with `tries`: of each run, in order, `asked`,
        `mhz`, `fmax_mhz`, `met` and `unit`. Where none was met it is that of the last, whose `status` is "failed".

    Raises:
        ToolError: a run failed for another reason than timing; the best one before it is kept in the folder.
        ConfigError, DesignError, MissingToolError: see `make`.
    """
    if runs < 1:
        raise ConfigError(f"runs={runs!r} must be at least 1")
    tries: list[Try] = []
    known: list[Try] = []
    projects: dict[str, Try] = {}
    clock: float | None = build.summary()["mhz"]
    folder = build.directory / FOLDER
    with _Best(folder) as best:
        while clock is not None and len(tries) < runs:
            planned = plan(build, clock)
            if planned.digest in projects:  # a board makes the same of several clocks
                known.append(replace(projects[planned.digest], asked=clock))
                clock = next_clock(known)
                continue
            progress(f"run {len(tries) + 1} of {runs} at most: {clock:g} MHz")
            try:
                found = make(planned, where=where, tool=tool, seconds=seconds, progress=progress)
            except ToolError as error:
                if best.mhz:
                    kept = (
                        f"\nthe bitstream of an earlier run, at {best.mhz:g} MHz, is kept: gatewright bundle takes it"
                    )
                    raise ToolError(f"{error}{kept}") from error
                raise
            tries.append(_try(clock, found))
            known.append(tries[-1])
            projects[planned.digest] = tries[-1]
            best.keep(found, tries[-1])
            clock = next_clock(known)
    result: dict[str, Any] = {**(best.result or {}), "tries": [vars(t) for t in tries]}
    save(folder, result)
    return result


def _try(asked: float, found: dict[str, Any]) -> Try:
    timing = found["outcome"]["timing"]
    unit = (timing["worst"] or {}).get("unit", "")
    return Try(asked, timing["mhz"], timing["fmax_mhz"], found["status"] == "ok", unit)


class _Best:
    """Keeps the folder of the best run aside, and puts it in its place at the end, however that comes.

    Attributes:
        result: of that run; of the last one where none was met.
        mhz: its clock; 0 where none was met.
    """

    def __init__(self, folder: Path) -> None:
        self.result: dict[str, Any] | None = None
        self.mhz = 0.0
        self._folder = folder
        self._aside: Path | None = None

    def keep(self, result: dict[str, Any], run: Try) -> None:
        """Take the folder, if this run is no worse than the best before."""
        mhz = run.mhz if run.met else 0.0
        if mhz < self.mhz:
            return
        if self._aside is None:
            self._aside = Path(tempfile.mkdtemp(dir=self._folder.parent, prefix=f"{self._folder.name}."))
        shutil.rmtree(self._aside / "best", ignore_errors=True)
        self._folder.rename(self._aside / "best")
        self.result, self.mhz = result, mhz

    def __enter__(self) -> _Best:
        return self

    def __exit__(self, *error: object) -> None:
        if self._aside is None:
            return
        shutil.rmtree(self._folder, ignore_errors=True)
        (self._aside / "best").rename(self._folder)
        self._aside.rmdir()

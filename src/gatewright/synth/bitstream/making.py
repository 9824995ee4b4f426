# SPDX-License-Identifier: Apache-2.0
"""The bitstream of a build: made, read, judged, and kept with what it is the bitstream of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatewright.build import Build
from gatewright.emit.project import FOLDER
from gatewright.errors import ConfigError, GatewrightError, ToolError
from gatewright.progress import Progress, silent
from gatewright.sim.tools import Tool
from gatewright.synth.bitstream.fit import figures
from gatewright.synth.bitstream.planning import LOG, RECORD, RESULT, Plan, plan, written
from gatewright.synth.bitstream.running import Here, Where, check_release, run_once
from gatewright.synth.flow import CriticalPath, Outcome, Timing

FORMAT = 1


def make(
    plan: Plan,
    *,
    where: Where | None = None,
    tool: Tool | None = None,
    seconds: float | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Run the tool, read what it left, and keep it as result.json.

    Args:
        where: the machine; this one by default.
        tool: on it; looked for by default.
        seconds: time limit.

    Returns:
        See `result`. Its `status` is "failed" where a path is too slow; `reason` says which and what to do.

    Raises:
        MissingToolError: the tool is not there; nothing was written.
        ToolError: the tool is too old, fails, takes too long, or leaves no whole reports.
    """
    where = where or Here()
    tool = tool or where.find(plan.flow)
    check_release(plan.flow, tool)
    run = run_once(plan, where, tool, seconds, progress)
    progress("reading the reports")
    try:
        outcome = read(plan)
    except ToolError as error:
        raise ToolError(run.failure or str(error)) from error
    if run.failure and outcome.timing.met:
        raise ToolError(run.failure)
    return keep(plan, outcome, run.seconds)


def keep(plan: Plan, outcome: Outcome, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Keep what a run left in the folder as result.json.

    Returns:
        See `result`.

    Raises:
        ConfigError: the result cannot be written.
    """
    found = result(plan, outcome, seconds)
    save(plan.folder, found)
    return found


def save(folder: Path, found: Mapping[str, Any]) -> None:
    """Write result.json.

    Raises:
        ConfigError: it cannot be written.
    """
    path = folder / RESULT
    try:
        path.write_text(json.dumps(found, indent=1) + "\n")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error})") from error


def read(plan: Plan) -> Outcome:
    """What a run left in the plan's folder.

    Raises:
        ConfigError: the scripts there are not those of the plan.
        ToolError: a report or a file is missing, cut, or of something else.
    """
    there = written(plan.folder).get("project")
    if there != plan.digest:
        what = f"holds scripts of another state ({RECORD})" if there else f"holds no scripts (no {RECORD})"
        raise ConfigError(f"{plan.folder} {what}: write them with gatewright bitstream --write-only, and run those")
    outcome = plan.flow.read(plan.folder, plan.project)
    if outcome.timing.met and "bitstream" not in outcome.files:
        raise ToolError(f"{plan.flow.title} left no bitstream in {plan.folder}; see {plan.folder / LOG}")
    for kind, name in outcome.files.items():
        path = plan.folder / name
        if not path.is_file() or not path.stat().st_size:
            raise ToolError(f"{plan.flow.title} left no {kind}: {path} is missing or empty; see {plan.folder / LOG}")
    return outcome


def result(plan: Plan, outcome: Outcome, seconds: Mapping[str, float]) -> dict[str, Any]:
    """An outcome beside what was predicted.

    Returns:
        `tool`, `title`, `version`, `board`, `part`, `mhz`, `project` (digest of all that went in), `status` ("ok" or
        "failed"), `reason` ("" where it is ok), `outcome` (see `Outcome`), `predicted` (resources of the design, of the
        kernel around it where a model of it exists, and of both), `capacity`, `seconds` by part of the run, and
        `sha256` of each file.
    """
    needs = figures(plan.build, plan.project.board)
    facts = {k: v for k, v in plan.to_json().items() if k not in ("folder", "command")}
    return {
        "format": FORMAT,
        **facts,
        "version": outcome.version,
        "status": "ok" if outcome.timing.met else "failed",
        "reason": "" if outcome.timing.met else slow(outcome.timing),
        "outcome": outcome.to_json(),
        "predicted": {f.name: {"design": f.design, "kernel": f.kernel, "needed": f.needed} for f in needs},
        "capacity": dict(plan.project.board.capacity),
        "seconds": dict(seconds),
        "sha256": {name: _sha256(plan.folder / name) for name in outcome.files.values()},
    }


def slow(timing: Timing) -> str:
    """Which path is too slow, and what to do."""
    what = f"timing failed at {timing.mhz:g} MHz: "
    if timing.wns_ns >= 0:
        return (
            f"{what}a hold path is {-(timing.whs_ns or 0):.3f} ns short, which no other clock mends: "
            "run it again with another release of the tool"
        )
    return (
        f"{what}the slowest path is {-timing.wns_ns:.3f} ns too long{_place(timing.worst)}; as routed it runs at "
        f"{timing.fmax_mhz:.1f} MHz: give --mhz {_below(timing.fmax_mhz):g}, let --mhz max search, or compile the "
        "model for a lower clock or rate"
    )


def _place(path: CriticalPath | None) -> str:
    if path is None:
        return ""
    levels = "" if path.levels is None else f", {path.levels} levels of logic"
    return f", in {path.unit or 'none of the units'} (slack {path.slack_ns:g} ns{levels}), from {path.source} to " + (
        path.destination
    )


def _below(mhz: float) -> float:
    """A round frequency that is not above."""
    return int(mhz) if mhz >= 10 else int(mhz * 10) / 10


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load(build: Build) -> tuple[dict[str, Any], bool] | None:
    """The last result, and whether it is of the build as it is now; None where there is none.

    Raises:
        ConfigError: the file is damaged.
    """
    path = build.directory / FOLDER / RESULT
    if not path.exists():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        mhz, digest, files = float(found["mhz"]), str(found["project"]), dict(found["sha256"])
        whole = found["format"] == FORMAT and {"status", "outcome", "predicted", "capacity", "seconds"} <= set(found)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{path}: not a readable result: run gatewright bitstream again") from error
    if not whole:
        raise ConfigError(f"{path}: not a whole result: run gatewright bitstream again")
    try:
        current = plan(build, mhz).digest == digest
    except GatewrightError:
        current = False
    for name, sha256 in files.items():
        file = path.parent / name
        current = current and file.is_file() and _sha256(file) == sha256
    return found, current


def current(build: Build) -> dict[str, Any] | None:
    """The last result, where it is a good one of the build as it is now; else None.

    Raises:
        ConfigError: the file is damaged.
    """
    found = load(build)
    return found[0] if found is not None and found[1] and found[0]["status"] == "ok" else None

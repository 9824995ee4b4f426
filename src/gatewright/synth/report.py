# SPDX-License-Identifier: Apache-2.0
"""What a build's design takes on the chip, unit by unit, beside what was predicted; kept as synth/yosys.json."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from gatewright.boards import Family, load_board
from gatewright.build import Build
from gatewright.design.resources import instance_resources
from gatewright.errors import ConfigError
from gatewright.progress import Progress, silent
from gatewright.sim.tools import find_tool
from gatewright.synth.cells import COUNTED
from gatewright.synth.plan import choose, plan
from gatewright.synth.yosys import SECONDS, synthesise

FILE = "synth/yosys.json"
"""Where the last synthesis of the whole design lies in its build folder."""


def synthesise_build(
    build: Build,
    *,
    units: Iterable[str] = (),
    family: Family | None = None,
    jobs: int = 2,
    seconds: float = SECONDS,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Synthesise a build's RTL part by part; a run over all parts is kept in the build folder.

    Args:
        units: names of instances; all by default.
        family: the board's by default.
        jobs: processes at a time.
        seconds: time limit of each part.

    Returns:
        `tool`, `version`, `family`, `build` (the state that it is of), `total`, `predicted`, `capacity` (of the board,
        empty for another family), and `units`: name, operator, LUT, FF, BRAM36, DSP, URAM (ecp5: LUT, FF, EBR, DSP),
        levels, predicted. The total is the sum over the units.

    Raises:
        ConfigError: no such unit, or a build of another state.
        ToolError: pyosys is missing, or a part cannot be synthesised.
    """
    if changed := [name for name in build.changed() if name.startswith("rtl/")]:
        raise ConfigError(f"{build.directory / changed[0]} was changed since it was compiled: compile the model again")
    board = load_board(build.summary()["board"])
    target = family or board.family
    names = tuple(units)
    parts = choose(plan(build.structure, build.rtl / "kernels"), names)
    netlists = synthesise(parts, target, jobs=jobs, seconds=seconds, progress=progress)
    predicted = instance_resources(build.design_graph, build.structure, target)
    rows: list[dict[str, Any]] = [
        {"name": part.name, "operator": part.module, **netlists[part.name].resources}
        | {"levels": netlists[part.name].levels, "predicted": dict(predicted[part.name])}
        for part in parts
    ]
    result = {
        "tool": "yosys",
        "version": find_tool("pyosys").version,
        "family": target,
        "build": build.fingerprint(),
        "total": _sum(rows, target),
        "predicted": _sum((row["predicted"] for row in rows), target),
        "capacity": dict(board.capacity) if target == board.family else {},
        "units": rows,
    }
    if not names:
        _store(build, result)
    return result


def load(build: Build) -> dict[str, Any] | None:
    """The last synthesis of a build, or None where there is none of the build as it is now.

    Raises:
        ConfigError: the file is damaged.
    """
    path = build.directory / FILE
    if not path.exists():
        return None
    try:
        result: dict[str, Any] = json.loads(path.read_text())
        state = result["build"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{path}: not a readable result of synthesis: run gatewright synth again") from error
    return result if state == build.fingerprint() else None


def over(total: Mapping[str, float], capacity: Mapping[str, int]) -> dict[str, tuple[float, int]]:
    """Resources of which a design takes more than a chip has: needed and available, by name."""
    return {
        name: (count, capacity.get(name, 0))
        for name, count in total.items()
        if capacity and count > capacity.get(name, 0)
    }


def _sum(rows: Iterable[Mapping[str, Any]], family: Family) -> dict[str, float]:
    """By resource."""
    total = dict.fromkeys(COUNTED[family], 0.0)
    for row in rows:
        for name in total:
            total[name] += row.get(name, 0.0)
    return total


def _store(build: Build, result: Mapping[str, Any]) -> None:
    """Keep a result.

    Raises:
        ConfigError: the folder cannot be written.
    """
    path = build.directory / FILE
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error})") from error

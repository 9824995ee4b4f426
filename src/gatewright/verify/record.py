# SPDX-License-Identifier: Apache-2.0
"""`check.json`: the last result of every stage, and the state of the build that it was of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gatewright.build import Build
from gatewright.errors import ConfigError
from gatewright.progress import Progress, silent

FILE = "check.json"


@dataclass(frozen=True)
class Recorded:
    """A stage's last result.

    Attributes:
        result: the fields of `StageResult`.
        data: "stored" or "given": whose frames it ran.
        current: whether the build is still, byte for byte, what the stage ran on.
    """

    result: Mapping[str, Any]
    data: str
    current: bool


def store(build: Build, results: Sequence[Mapping[str, Any]], data: str, progress: Progress = silent) -> None:
    """Keep results, each in place of its stage's earlier one; a folder that cannot be written is only said."""
    state = build.fingerprint()
    kept = {row["name"]: row for row in _read(build) or []}
    for result in results:
        kept[result["name"]] = dict(result) | {"data": data, "build": state}
    try:
        (build.directory / FILE).write_text(json.dumps({"stages": list(kept.values())}, indent=1) + "\n")
    except OSError as error:
        progress(f"{FILE} cannot be written ({error}): a report will not know of these results")


def load(build: Build) -> dict[str, Recorded]:
    """The last result of each stage that ever ran, by its name.

    Raises:
        ConfigError: the file is damaged.
    """
    rows = _read(build)
    if rows is None:
        raise ConfigError(f"{build.directory / FILE}: not a readable record of checks: run gatewright check again")
    state = build.fingerprint()
    return {r["name"]: Recorded(r, r["data"], r["build"] == state) for r in rows}


def _read(build: Build) -> list[dict[str, Any]] | None:
    """What the file holds, nothing where there is none; None where it is damaged."""
    path = build.directory / FILE
    if not path.exists():
        return []
    try:
        rows = json.loads(path.read_text())["stages"]
        whole = all({"name", "status", "data", "build"} <= set(row) for row in rows)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return list(rows) if whole else None

# SPDX-License-Identifier: Apache-2.0
"""Holds a script against the model of its tool."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gatewright.sim.tools import find_tool
from gatewright.synth.tcl_model import (
    addresses,
    blocks,
    hls,
    interpreter,
    lookups,
    packager,
    project,
    runs,
    session,
    steps,
    table,
    wiring,
)
from gatewright.synth.tcl_model.model import HANDLERS, Finding, Handler, Model

KNOWING = (session, project, runs, blocks, lookups, wiring, addresses, steps, packager)
"""Modules that know what commands do."""
ToolName = Literal["vivado", "vitis_hls"]
TOOLS: Mapping[ToolName, tuple[str, str, str, Mapping[str, Handler]]] = {
    "vivado": ("Vivado", "UG835 Tcl Commands Listed Alphabetically", "vivado", HANDLERS),
    "vitis_hls": ("Vitis HLS", "UG1399 Vitis HLS Command Reference", "hls", hls.DOES),
}
"""Title, guide, table, and what commands do."""
RELEASE = (2022, 1)
"""Taken where no other is asked for."""


@dataclass(frozen=True)
class Result:
    """What became of a script.

    Attributes:
        findings: in the order in which they were met.
        status: the script ended with.
        said: what it wrote to its console.
        calls: of the tool's commands, in order, with their words.
        files: that lie in the folder afterwards and did not before, by path from it.
    """

    findings: tuple[Finding, ...]
    status: int
    said: tuple[str, ...]
    calls: tuple[tuple[str, ...], ...]
    files: frozenset[str]


def check(
    script: str | Path,
    folder: Path,
    *,
    tool: ToolName = "vivado",
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    release: tuple[int, int] = RELEASE,
    answers: Mapping[str, str] | None = None,
    parts: Iterable[str] | None = None,
) -> list[Finding]:
    """What a tool would have against a script: `run` without the rest.

    Raises:
        MissingToolError: there is no tclsh.
        ToolError: the interpreter broke down.
    """
    return list(
        run(script, folder, tool=tool, arguments=arguments, environment=environment, release=release,
            answers=answers, parts=parts).findings
    )  # fmt: skip


def run(
    script: str | Path,
    folder: Path,
    *,
    tool: ToolName = "vivado",
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    release: tuple[int, int] = RELEASE,
    answers: Mapping[str, str] | None = None,
    fails: Mapping[str, str] | None = None,
    parts: Iterable[str] | None = None,
) -> Result:
    """Run a script on the model, in a copy of the folder, which is left as it was.

    Args:
        script: path from the folder; it begins in its own folder.
        folder: with all that the script reads.
        tool: which tool's commands there are.
        arguments: of the script.
        environment: variables that it may read.
        release: of the tool.
        answers: values of properties that only a real run would know, by name ("SLACK"); each has one that is good.
        fails: commands that fail with a message, to see what the script does then; that is no finding.
        parts: folders and files of `folder` that the script needs; all by default.

    Raises:
        MissingToolError: there is no tclsh.
        ToolError: the interpreter broke down.
    """
    tclsh = find_tool("tclsh")
    with tempfile.TemporaryDirectory(prefix="gatewright-tcl-") as name:
        root = Path(name).resolve()
        copy(folder, root, parts)
        before = files(root)
        path = root / script
        model = make_model(tool, release, answers, path.parent)
        model.fails = dict(fails or {})
        status = interpreter.run(model, tclsh, path, path.parent, arguments, environment or {})
        findings = [replace(f, file=f.file.replace(f"{root}/", "")) for f in model.findings]
        if status and not findings:
            said = "\n".join(model.said).strip().splitlines()
            findings = [Finding(str(script), 0, f"ends with status {status}: {said[-1] if said else ''}", "")]
        return Result(tuple(findings), status, tuple(model.said), tuple(model.calls), files(root) - before)


def make_model(tool: ToolName, release: tuple[int, int], answers: Mapping[str, str] | None, cwd: Path) -> Model:
    """A tool that was just started."""
    title, guide, commands, does = TOOLS[tool]
    return Model(title, guide, table.commands(commands), release, dict(answers or {}), cwd, does)


def copy(folder: Path, target: Path, parts: Iterable[str] | None) -> None:
    """Copy a folder, or parts of it."""
    target.mkdir(exist_ok=True)
    for part in sorted(p.name for p in folder.iterdir()) if parts is None else parts:
        source = folder / part
        if source.is_dir():
            shutil.copytree(source, target / part)
        elif source.is_file():
            (target / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target / part)


def files(folder: Path) -> frozenset[str]:
    """Paths of all files in a folder, from it."""
    return frozenset(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())

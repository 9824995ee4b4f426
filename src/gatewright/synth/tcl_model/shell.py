# SPDX-License-Identifier: Apache-2.0
"""Runs a shell script with models in place of the vendor's programs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gatewright.sim.tools import find_tool
from gatewright.synth.tcl_model import runner, standin, table
from gatewright.synth.tcl_model.model import Finding

PROGRAMS = tuple(table.commands("programs"))


@dataclass(frozen=True)
class Called:
    """A call of a program: its words, the folder it was called in, and what the script had exported by then."""

    words: tuple[str, ...]
    cwd: str
    exported: Mapping[str, str]


@dataclass(frozen=True)
class ShellResult:
    """What became of a shell script.

    Attributes:
        findings: of its calls, and of the scripts and config files that these read.
        status: it ended with.
        calls: of the programs, in order.
        output, errors: what it wrote.
        files: that lie in the folder afterwards and did not before, by path from it.
    """

    findings: tuple[Finding, ...]
    status: int
    calls: tuple[Called, ...]
    output: str
    errors: str
    files: frozenset[str]


def run(
    script: str | Path,
    folder: Path,
    *,
    arguments: Sequence[str] = (),
    programs: Sequence[str] = PROGRAMS,
    environment: Mapping[str, str] | None = None,
    release: tuple[int, int] = runner.RELEASE,
    fails: Sequence[str] = (),
    parts: Iterable[str] | None = None,
) -> ShellResult:
    """Run a shell script in a copy of the folder, with no program of a vendor but the models.

    Args:
        script: path from the folder.
        programs: which there are; any other is missing for the script.
        environment: variables that it may read.
        release: of the tools.
        fails: programs that fail, to see what the script does then.
        parts: as for `runner.run`.

    Raises:
        MissingToolError: there is no tclsh.
        ToolError: an interpreter broke down.
    """
    find_tool("tclsh")
    with tempfile.TemporaryDirectory(prefix="gatewright-sh-") as name:
        root = Path(name).resolve()
        copy, there = root / "files", root / "bin"
        runner.copy(folder, copy, parts)
        before = runner.files(copy)
        variables = _stand_ins(there, programs, root / "calls", release, fails) | dict(environment or {})
        done = subprocess.run(
            ["/bin/sh", str(copy / script), *arguments], cwd=copy, env=variables, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        found, calls = _read(root / "calls", copy, str(script), variables)
        return ShellResult(
            tuple(found), done.returncode, tuple(calls), done.stdout, done.stderr, runner.files(copy) - before
        )


def _stand_ins(
    there: Path, programs: Sequence[str], log: Path, release: tuple[int, int], fails: Sequence[str]
) -> dict[str, str]:
    """Programs of these names that call the model: the variables that a script finds them with."""
    there.mkdir()
    for program in programs:
        # The package's own folder first: it need not be installed.
        path = there / program
        package = Path(runner.__file__).resolve().parents[3]
        path.write_text(
            f"#!/bin/sh\nPYTHONPATH='{package}' exec '{sys.executable}' -m {standin.__name__} '{program}' \"$@\"\n"
        )
        path.chmod(0o755)
    told = {"log": str(log), "release": list(release), "fails": list(fails)}
    return {"PATH": f"{there}:/usr/bin:/bin", standin.VARIABLE: json.dumps(told), "HOME": os.environ.get("HOME", "/")}


def _read(log: Path, copy: Path, script: str, variables: Mapping[str, str]) -> tuple[list[Finding], list[Called]]:
    findings: list[Finding] = []
    calls = []
    for line in log.read_text().splitlines() if log.exists() else ():
        record = json.loads(line)
        exported = {k: v for k, v in record["environment"].items() if k not in (*variables, *_SHELLS_OWN)}
        calls.append(Called(tuple(record["words"]), record["cwd"].replace(str(copy), "").lstrip("/"), exported))
        for finding in (Finding(**f) for f in record["findings"]):
            if not finding.file:
                finding = replace(finding, file=script, line=_line(copy / script, record["words"]))
            inside = finding.file.replace(f"{copy}/", "")
            findings.append(replace(finding, file=inside, what=finding.what.replace(f"{copy}/", "")))
    return findings, calls


_SHELLS_OWN = ("PWD", "OLDPWD", "SHLVL", "_", "PYTHONPATH", "LC_CTYPE")


def _line(script: Path, words: Sequence[str]) -> int:
    """The line of a script that has the most words of a call; it continues over backslashes."""
    text = re.sub(r"\\\n", lambda m: "\\\x00", script.read_text())
    best, number, most = 0, 1, 0
    for line in text.split("\n"):
        shared = sum(w in line for w in words) if re.search(rf"(?<![\w./]){re.escape(words[0])}\s", line) else 0
        if shared > most and not line.lstrip().startswith("#"):
            best, most = number, shared
        number += 1 + line.count("\x00")
    return best

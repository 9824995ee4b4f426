# SPDX-License-Identifier: Apache-2.0
"""Runs a script in tclsh and answers what it asks of the tool."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from gatewright.errors import ToolError
from gatewright.sim.tools import Tool
from gatewright.synth.tcl_model.model import Finding, Model

_DRIVER = Path(__file__).parent / "interpreter.tcl"


def run(
    model: Model, tclsh: Tool, script: Path, cwd: Path, arguments: Sequence[str], environment: Mapping[str, str]
) -> int:
    """Run a script to its end: its status.

    Args:
        cwd: in which it begins.
        environment: variables beside those of this process.

    Raises:
        ToolError: the interpreter broke down.
    """
    process = subprocess.Popen(
        [str(tclsh.path), str(_DRIVER), str(script), *arguments],
        cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**tclsh.environment(), **environment},
    )  # fmt: skip
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise ToolError("tclsh: no pipe to it")
    with process, process.stdin as told, process.stdout as asked:
        model.cwd = cwd
        while (message := _read(asked)) is not None:
            ok, answer = _answer(model, message)
            told.write(b"".join(_packed(w) for w in ("ok" if ok else "error", answer)))
            told.flush()
        errors = process.stderr.read().decode(errors="replace")
    if errors.strip():
        raise ToolError(f"tclsh on {script.name}: {errors.strip()}")
    return process.returncode


def _packed(word: str) -> bytes:
    data = word.encode()
    return b"%d\n%s" % (len(data), data)


def _word(stream: IO[bytes]) -> str | None:
    length = stream.readline()
    return stream.read(int(length)).decode() if length else None


def _read(stream: IO[bytes]) -> list[str] | None:
    """A message: kind, file, line, working directory, and words; None at the end."""
    count = _word(stream)
    if count is None:
        return None
    return [_word(stream) or "" for _ in range(int(count) + 4)]


def _answer(model: Model, message: list[str]) -> tuple[bool, str]:
    kind, file, line, cwd, *words = message
    model.cwd = Path(cwd)
    if kind == "print":
        model.line += words[1]
        if words[2] == "1":
            model.said.append(model.line)
            model.line = ""
        return True, ""
    if kind == "failed":
        _failed(model, *words)
        return True, ""
    model.place = (file, int(line))
    return model.call(words[0], words[1:])


def _failed(model: Model, message: str, trace: str, code: str) -> None:
    """The script broke off. What the model complained of is a finding already."""
    if code.startswith("MODEL") and model.findings:
        return
    found = re.findall(r'\(file "([^"]*)" line (\d+)\)', trace)
    file, line = found[0] if found else ("", "0")
    inner = re.search(r'\(procedure "(?:[^"]*)" line (\d+)\)', trace)
    where = f" (line {inner.group(1)} of a procedure)" if inner else ""
    model.findings.append(Finding(file, int(line), f"Tcl: {message}{where}", "UG894 Using Tcl Scripting"))

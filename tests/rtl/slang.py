# SPDX-License-Identifier: Apache-2.0
"""What slang, a third reader of SystemVerilog, says of a design: it parses, elaborates and looks for drivers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pyslang import TextDiagnosticClient, driver

WARNINGS = "-Wextra -Wpedantic -Wwidth-expand -Wport-width-expand -Wno-useless-cast"
"""Beside those that are on from the start, among them that a width is cut.

The one that is off calls a cast useless that is so for one set of parameters and needed for another.
"""


def complaints(
    files: Iterable[Path], top: str, parameters: Mapping[str, int | str] | None = None, *options: str
) -> str:
    """Errors and warnings of a top module with these parameters; "" where there are none.

    Raises:
        ValueError: slang does not take a file or an option.
    """
    values = [f'-G "{name}={_literal(value)}"' for name, value in (parameters or {}).items()]
    words = ["slang --std 1800-2017", WARNINGS, *options, f"--top {top}", *values, *(f'"{file}"' for file in files)]
    run = driver.Driver()
    run.addStandardArgs()
    if not run.parseCommandLine(" ".join(words)) or not run.processOptions():
        raise ValueError(f"slang does not take {words}")
    read = run.parseAllSources()
    compiled = run.createCompilation()
    said = TextDiagnosticClient()
    run.diagEngine.clearClients()
    run.diagEngine.addClient(said)
    for diagnostic in compiled.getAllDiagnostics():
        run.diagEngine.issue(diagnostic)
    for diagnostic in run.runAnalysis(compiled).getDiagnostics():
        run.diagEngine.issue(diagnostic)
    text = str(said.getString())
    if run.diagEngine.numErrors or run.diagEngine.numWarnings or not read:
        return text or "slang could not read the files"
    return text


def _literal(value: int | str) -> str:
    return str(value) if isinstance(value, int) else f'\\"{value}\\"'

# SPDX-License-Identifier: Apache-2.0
"""`gatewright synth --tool vitis-hls`: what Vitis HLS says of a build's C++, or what to run where it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from gatewright.cli.app import error_console, number, output_console, print_json, status_text
from gatewright.errors import MissingToolError
from gatewright.progress import bars


def synth_hls(directory: Path, ports: str, report: Path | None, seconds: float | None, as_json: bool) -> None:
    """Synthesise, or read a report that was made elsewhere; print a table or JSON.

    Exits with 1 where Vitis HLS is missing: then nothing ran, and what to run is printed.
    """
    from gatewright.build import Build
    from gatewright.synth.vitis_hls import NAME, plan, result, synthesise_hls

    build = Build.open(directory)
    run = plan(build, ports)
    try:
        if report is not None:
            found = result(build, run, report)
        else:
            with bars(error_console()) as progress:
                found = synthesise_hls(build, ports, seconds=seconds, progress=progress)
    except MissingToolError as error:
        missing = {"tool": NAME, "status": "not_run", "reason": str(error), **run.to_json(), "lint": _lint(run.folder)}
        if as_json:
            print_json(missing)
        else:
            _print_plan(missing, directory, ports)
        raise typer.Exit(1) from None
    if as_json:
        print_json(found)
    else:
        _print_result(found)


def _lint(folder: Path) -> list[str] | None:
    """What the lint finds in a project; None where libclang is missing."""
    from gatewright.synth.hls_lint import lint_project

    try:
        return [str(finding) for finding in lint_project(folder)]
    except MissingToolError:
        return None


def _print_plan(missing: Mapping[str, Any], directory: Path, ports: str) -> None:
    up_to, from_on = missing["commands"]
    console = output_console()
    console.print(status_text("not_run"), Text(missing["reason"]), soft_wrap=True)
    for line in (
        "",
        "Where Vitis 2022.2 or newer is installed, source its settings64.sh and run one of these two in the folder",
        f"  {missing['folder']}",
        "or in a copy of it, which needs nothing else:",
        f"  {up_to}",
        f"  {from_on}",
        "The first is for 2022.2 up to 2024.1, the second for 2023.2 and newer. Then",
        f"  gatewright synth {directory} --tool vitis-hls --ports {ports} --report {missing['report']}",
        "reads the report, whose path is from that folder on.",
        "",
        *_lint_lines(missing["lint"]),
    ):
        console.print(line, soft_wrap=True, markup=False)


def _lint_lines(findings: Sequence[str] | None) -> list[str]:
    """What the lint, which stands in for the tool's own refusals, has to say."""
    if findings is None:
        return ["The lint of HLS C++ was not run: it needs libclang (pip install 'gatewright[sim]')."]
    return [*findings] or ["The lint finds nothing in the project that Vitis HLS 2022.2 could not take."]


def _print_result(found: Mapping[str, Any]) -> None:
    """Estimates beside the prediction and the board's capacity."""
    predicted, clock = found["predicted"], found["clock_ns"]
    table = Table("", "estimated", "predicted for RTL", "board", "used")
    for column in table.columns[1:]:
        column.justify = "right"
    for what in ("interval", "latency"):
        table.add_row(f"{what}, cycles", _range(found[f"{what}_cycles"]), number(predicted[f"{what}_cycles"], ",d"))
    table.add_row("clock, ns", f"{clock['estimated']:g}", f"{predicted['clock_ns']:.4g}")
    table.add_section()
    for name, count in found["resources"].items():
        room = found["capacity"].get(name)
        expected = number(predicted["resources"].get(name), ",.1f").removesuffix(".0")
        table.add_row(name, f"{count:,g}", expected, number(room, ","), number(count / room if room else None, ".1%"))
    table.title = f"Vitis HLS {found['version']}, {found['top']}, {found['part']}: C synthesis"
    output_console().print(table)


def _range(cycles: Sequence[int | None]) -> str:
    least, most = (number(n, ",d") or "unknown" for n in cycles)
    return least if least == most else f"{least} to {most}"

# SPDX-License-Identifier: Apache-2.0
"""`gatewright bitstream`: a build's bitstream by its board's tool, or what to run where that is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gatewright.cli.app import Json, app, error_console, number, output_console, print_json, status_text
from gatewright.errors import ConfigError, MissingToolError
from gatewright.progress import bars

if TYPE_CHECKING:
    from gatewright.synth.bitstream import Plan


@app.command()
def bitstream(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="A folder that `compile` wrote.")
    ],
    mhz: Annotated[
        str | None, typer.Option(metavar="N|max", help="Clock of the kernel; that of the build by default.")
    ] = None,
    write_only: Annotated[bool, typer.Option("--write-only", help="Write the scripts, and run nothing.")] = False,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Read what a run elsewhere left in DIR/bitstream; run nothing.")
    ] = False,
    time_limit: Annotated[float | None, typer.Option(min=1, help="Seconds that the tool may take.")] = None,
    as_json: Json = False,
) -> None:
    """Make the bitstream of a compiled model with its board's tool; where that is missing, print what to run.

    Exits with 1 where timing fails, and where the tool is missing: then everything is written and nothing ran.
    """
    from gatewright.build import Build
    from gatewright.synth.bitstream import keep, make, plan, read

    if write_only and report_only:
        raise ConfigError("--write-only and --report-only exclude each other: give one of them")
    planned = plan(Build.open(directory), _clock(mhz))
    if report_only:
        found = keep(planned, read(planned), {})
    elif write_only:
        planned.write()
        _tell(planned, "--write-only: nothing ran", directory, as_json)
        return
    else:
        try:
            with bars(error_console()) as progress:
                found = make(planned, seconds=time_limit, progress=progress)
        except MissingToolError as error:
            planned.write()
            _tell(planned, str(error), directory, as_json)
            raise typer.Exit(1) from None
    if as_json:
        print_json(found)
    else:
        print_result(found)
    if found["status"] != "ok":
        error_console().print(Text(f"error: {found['reason']}", style="bold red"), soft_wrap=True)
        raise typer.Exit(1)


def _clock(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"--mhz {text!r}: give a number of MHz, or max") from None


def _tell(planned: Plan, reason: str, directory: Path, as_json: bool) -> None:
    """What to run, where the tool is."""
    facts = {"status": "not_run", "reason": reason, **planned.to_json()}
    if as_json:
        print_json(facts)
        return
    console, release = output_console(), planned.flow.oldest
    title = planned.flow.title + ("" if release is None else f" {'.'.join(map(str, release))} or newer")
    console.print(status_text("not_run"), Text(reason), soft_wrap=True)
    for line in (
        "",
        f"Where {title} is installed, run this in the folder",
        f"  {facts['folder']}",
        f"or in a copy of {directory}/rtl, {directory}/kernel and {directory}/bitstream, which needs nothing else:",
        f"  {facts['command']}",
        "It leaves reports/ and out/ there. Put them back into that folder; then",
        f"  gatewright bitstream {directory} --mhz {facts['mhz']:g} --report-only",
        "reads them and makes the bundle.",
    ):
        console.print(line, soft_wrap=True, markup=False)


def print_result(found: Mapping[str, Any]) -> None:
    """Resources beside prediction and capacity, timing, power, and seconds by part of the run."""
    console, outcome = output_console(), found["outcome"]
    console.print(_resources(found))
    console.print(_timing(outcome["timing"], outcome["power_w"]))
    if found["seconds"]:
        table = Table("part of the run", "seconds", title="Time")
        table.columns[1].justify = "right"
        for name, seconds in found["seconds"].items():
            table.add_row(name, f"{seconds:,.1f}")
        console.print(table)


def _resources(found: Mapping[str, Any]) -> Table:
    title = f"{found['title']} {found['version']}, {found['board']}, {found['part']}"
    table = Table("", "used", "predicted", "of it the design", "board", "used of it", title=title)
    for column in table.columns[1:]:
        column.justify = "right"
    used = found["outcome"]["resources"]
    for name in dict.fromkeys((*used, *found["predicted"])):
        expected, room, count = found["predicted"].get(name, {}), found["capacity"].get(name), used.get(name)
        share = None if count is None or not room else count / room
        predicted = (number(expected.get(k), ",.1f").removesuffix(".0") for k in ("needed", "design"))
        table.add_row(name, number(count, ",g"), *predicted, number(room, ","), number(share, ".1%"))
    return table


def _timing(timing: Mapping[str, Any], power: Mapping[str, float] | None) -> Table:
    table = Table("", "", title="Timing and power", show_header=False)
    table.columns[1].justify = "right"
    for what, key, form in (
        ("clock, MHz", "mhz", ".6g"),
        ("fastest clock as routed, MHz", "fmax_mhz", ".1f"),
        ("worst slack, ns", "wns_ns", ".3f"),
        ("sum of negative slacks, ns", "tns_ns", ".3f"),
        ("worst hold slack, ns", "whs_ns", ".3f"),
    ):
        if timing[key] is not None:
            table.add_row(what, format(timing[key], form))
    worst = timing["worst"]
    if worst is not None:
        table.add_row("slowest path in", worst["unit"] or "none of the units")
        table.add_row("from", worst["source"])
        table.add_row("to", worst["destination"])
    for name, watts in (power or {}).items():
        table.add_row(f"{name} power, W (estimated)", f"{watts:.3f}")
    return table

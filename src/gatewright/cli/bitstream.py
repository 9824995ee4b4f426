# SPDX-License-Identifier: Apache-2.0
"""`gatewright bitstream`: a build's bitstream by its board's tool, or what to run where that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gatewright.cli.app import Json, app, error_console, number, output_console, print_json, status_text
from gatewright.cli.bundle import told
from gatewright.errors import ConfigError, MissingToolError
from gatewright.progress import Progress, bars

if TYPE_CHECKING:
    from gatewright.board.bundle import BundleFiles
    from gatewright.build import Build
    from gatewright.sim.tools import Tool
    from gatewright.synth.bitstream import Plan, Where


@app.command()
def bitstream(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="A folder that `compile` wrote.")
    ],
    mhz: Annotated[
        str | None,
        typer.Option(metavar="N|max", help="Clock of the kernel; the build's by default. max looks for the fastest."),
    ] = None,
    runs: Annotated[int | None, typer.Option(min=1, help="Runs of the tool that --mhz max may take (6).")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The bundle; DIR/bundle or DIR/bundle.tar.gz by default.")
    ] = None,
    tar: Annotated[bool, typer.Option("--tar", help="Make the bundle one .tar.gz instead of a folder.")] = False,
    write_only: Annotated[bool, typer.Option("--write-only", help="Write the scripts, and run nothing.")] = False,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Take what a run elsewhere left in DIR/bitstream; run nothing.")
    ] = False,
    time_limit: Annotated[float | None, typer.Option(min=1, help="Seconds that a run of the tool may take.")] = None,
    host: Annotated[
        str | None, typer.Option(metavar="USER@HOST", help="Run the tool on this machine, over ssh.")
    ] = None,
    setup: Annotated[
        str | None, typer.Option(metavar="FILE", help="File there that puts the tool on PATH: its settings64.sh.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of ssh there.")] = None,
    identity: Annotated[Path | None, typer.Option(help="Private key for ssh.")] = None,
    ssh_config: Annotated[Path | None, typer.Option(help="Configuration of ssh instead of your own.")] = None,
    as_json: Json = False,
) -> None:
    """Make the bitstream of a compiled model with its board's tool, and the bundle around it.

    Where the tool is missing, everything is written and what to run is printed; then, and where timing fails, the exit
    status is 1, and an earlier bundle stays as it is.
    """
    from gatewright.board.archive import check_target
    from gatewright.build import Build
    from gatewright.synth.bitstream import plan

    options = {"setup": setup, "port": port, "identity": identity, "ssh_config": ssh_config}
    clock = _checked(mhz, runs, write_only, report_only, host, options)
    build = Build.open(directory)
    planned = plan(build, _clock_there(build) if report_only and clock is None else clock)
    if write_only:
        planned.write()
        _tell(planned, "--write-only: nothing ran", directory, as_json)
        return
    target = output or directory / ("bundle.tar.gz" if tar else "bundle")
    check_target(target, tar)
    with bars(error_console()) as progress:
        where = None if report_only else _where(host, options, progress)
        try:
            tool = None if where is None else where.find(planned.flow)
        except MissingToolError as error:
            planned.write()
            _tell(planned, str(error), directory, as_json)
            raise typer.Exit(1) from None
        try:
            found, made = _made(planned, where, tool, mhz == "max", runs, time_limit, progress)
        except KeyboardInterrupt:
            text = f"interrupted: nothing of {planned.flow.title} is left running, and an earlier bundle is as it was"
            error_console().print(text, style="bold red", soft_wrap=True)
            raise
        if made is not None:
            made.archive(target) if tar else made.write(target)
    if as_json:
        print_json({**found, "bundle": None if made is None else str(target)})
    else:
        print_result(found)
        if made is not None:
            told(made, target)
    if made is None:
        error_console().print(Text(f"error: {found['reason']}", style="bold red"), soft_wrap=True)
        raise typer.Exit(1)


def _checked(
    mhz: str | None, runs: int | None, write_only: bool, report_only: bool, host: str | None,
    options: Mapping[str, object],
) -> float | None:  # fmt: skip
    """The clock that was asked for, where the options go together.

    Raises:
        ConfigError: they do not.
    """
    if write_only and report_only:
        raise ConfigError("--write-only and --report-only exclude each other: give one of them")
    if host is not None and (write_only or report_only):
        raise ConfigError("--host runs the tool, and --write-only and --report-only run nothing: leave one out")
    given = [name for name, value in options.items() if value is not None]
    if given and host is None:
        raise ConfigError(f"--{given[0].replace('_', '-')} is about another machine: name it with --host")
    if runs is not None and mhz != "max":
        raise ConfigError("--runs is an option of --mhz max: leave it out")
    if mhz == "max":
        if write_only or report_only:
            raise ConfigError("--mhz max runs the tool, and --write-only and --report-only run nothing: leave one out")
        return None
    try:
        return None if mhz is None else float(mhz)
    except ValueError:
        raise ConfigError(f"--mhz {mhz!r}: give a number of MHz, or max") from None


def _clock_there(build: Build) -> float | None:
    """The clock of the scripts that were written; None where none were."""
    from gatewright.emit.project import FOLDER
    from gatewright.synth.bitstream import written

    mhz = written(build.directory / FOLDER).get("mhz")
    return float(mhz) if isinstance(mhz, (int, float)) else None


def _where(host: str | None, options: Mapping[str, Any], progress: Progress) -> Where:
    from gatewright.ssh import Remote
    from gatewright.synth.bitstream import Here, Host

    if host is None:
        return Here()
    remote = Remote(host, options["port"], options["identity"], options["ssh_config"])
    return Host(remote, options["setup"], progress)


def _made(
    planned: Plan, where: Where | None, tool: Tool | None, search: bool, runs: int | None, seconds: float | None,
    progress: Progress,
) -> tuple[dict[str, Any], BundleFiles | None]:  # fmt: skip
    """The result, and the bundle with it, or None where timing failed."""
    from gatewright.board.bundle import make_bundle, prepare
    from gatewright.synth.bitstream import RUNS, fastest, keep, make, read

    # First, because it may fail too, and a run takes long.
    build, golden = prepare(planned.build.directory, progress=progress)
    if where is None:
        found = keep(planned, read(planned), {})
    elif search:
        found = fastest(build, where=where, tool=tool, runs=runs or RUNS, seconds=seconds, progress=progress)
    else:
        found = make(planned, where=where, tool=tool, seconds=seconds, progress=progress)
    if found["status"] != "ok":
        return found, None
    progress("bundle")
    return found, make_bundle(build, golden)


def _judged(planned: Plan) -> str:
    """What is known of the scripts without the tool, in a sentence."""
    from gatewright.synth.tcl_model import judge

    title, board = planned.flow.title, planned.project.board
    try:
        found = judge(planned.build.directory, planned.files, board)
    except (MissingToolError, ConfigError) as error:
        return f"The scripts were not checked: {error}"
    if found is None:
        return ""
    if not found:
        return f"The scripts ran on a model of {title} without a finding."
    fault = f"an error of Gatewright, or of {board.folder / 'board.toml'}"
    return "\n  ".join([f"On a model of {title} the scripts fail, which is {fault}:", *map(str, found)])


def _tell(planned: Plan, reason: str, directory: Path, as_json: bool) -> None:
    """What to run, where the tool is."""
    facts = {"status": "not_run", "reason": reason, "scripts": _judged(planned), **planned.to_json()}
    if as_json:
        print_json(facts)
        return
    console, release = output_console(), planned.flow.oldest
    title = planned.flow.title + ("" if release is None else f" {'.'.join(map(str, release))} or newer")
    console.print(status_text("not_run"), Text(reason), soft_wrap=True)
    for line in (
        facts["scripts"],
        f"Where {title} is installed, run this in the folder",
        f"  {facts['folder']}",
        f"or in a copy of {directory}/rtl, {directory}/kernel and {directory}/bitstream, which needs nothing else:",
        f"  {facts['command']}",
        "It leaves reports/ and out/ there. Put them back into that folder; then",
        f"  gatewright bitstream {directory} --report-only",
        "reads them and makes the bundle.",
    ):
        console.print(line, soft_wrap=True, markup=False)


def print_result(found: Mapping[str, Any]) -> None:
    """Resources beside prediction and capacity, timing, power, and seconds by part of the run."""
    console, outcome = output_console(), found["outcome"]
    if "tries" in found:
        console.print(_tries(found["tries"]))
    console.print(_resources(found))
    console.print(_timing(outcome["timing"], outcome["power_w"]))
    if found["seconds"]:
        table = Table("part of the run", "seconds", title="Time")
        table.columns[1].justify = "right"
        for name, seconds in found["seconds"].items():
            table.add_row(name, f"{seconds:,.1f}")
        console.print(table)


def _tries(tries: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("asked, MHz", "clock, MHz", "fastest as routed, MHz", "timing", "slowest path in", title="Tries")
    for column in table.columns[:3]:
        column.justify = "right"
    for run in tries:
        clocks = (f"{run['asked']:g}", f"{run['mhz']:.6g}", f"{run['fmax_mhz']:.1f}")
        table.add_row(*clocks, "met" if run["met"] else "failed", run["unit"])
    return table


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

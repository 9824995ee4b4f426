# SPDX-License-Identifier: Apache-2.0
"""Synthesis: what a build's RTL takes on the chip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer
from rich.table import Table
from rich.text import Text

from gatewright.cli.app import Json, app, error_console, number, output_console, print_json
from gatewright.cli.synth_hls import synth_hls
from gatewright.errors import ConfigError
from gatewright.progress import bars


@app.command()
def synth(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a compiled model.")],
    tool: Annotated[str, typer.Option(help="Synthesis tool: yosys (of the RTL) or vitis-hls (of the C++).")] = "yosys",
    unit: Annotated[list[str] | None, typer.Option(help="Only this unit; may be given several times.")] = None,
    family: Annotated[str | None, typer.Option(help="Chips: xc7, xcup or ecp5; the board's by default.")] = None,
    jobs: Annotated[int, typer.Option("-j", "--jobs", min=1, help="Units at a time.")] = 2,
    time_limit: Annotated[
        float | None, typer.Option(min=1, help="Seconds that one unit may take in Yosys (900), or all in Vitis HLS.")
    ] = None,
    ports: Annotated[str | None, typer.Option(help="Vitis HLS: the top function's ports, axi or stream.")] = None,
    report: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Vitis HLS: read this csynth.xml, run nothing.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Synthesise a compiled model: LUTs, flip-flops, block RAM, DSP slices, beside what was predicted."""
    only: dict[str, dict[str, object]] = {
        "yosys": {"--unit": unit, "--family": family},
        "vitis-hls": {"--ports": ports, "--report": report},
    }
    if tool not in only:
        raise ConfigError(f"--tool {tool!r} is unknown: use {' or '.join(only)}")
    for other, options in only.items():
        if wrong := [name for name, value in options.items() if other != tool and value]:
            raise ConfigError(f"{wrong[0]} is an option of --tool {other}: leave it out")
    if tool == "vitis-hls":
        synth_hls(directory, ports or "axi", report, time_limit, as_json)
    else:
        _synth_rtl(directory, unit or (), family, jobs, time_limit, as_json)


def _synth_rtl(
    directory: Path, units: Sequence[str], family: str | None, jobs: int, seconds: float | None, as_json: bool
) -> None:
    from gatewright.boards import Family
    from gatewright.build import Build
    from gatewright.synth.report import over, synthesise_build
    from gatewright.synth.yosys import SECONDS

    if family not in (None, *get_args(Family)):
        raise ConfigError(f"--family {family!r} is unknown: use {' or '.join(get_args(Family))}")
    with bars(error_console()) as progress:
        result = synthesise_build(
            Build.open(directory),
            units=units,
            family=cast("Family | None", family),
            jobs=jobs,
            seconds=SECONDS if seconds is None else seconds,
            progress=progress,
        )
    if as_json:
        print_json(result)
    else:
        _print(result)
    for name, (count, room) in over(result["total"], result["capacity"]).items():
        text = f"warning: the design takes {count:,g} {name} and the board has {room:,}: compile it for a lower rate"
        error_console().print(Text(text, style="bold yellow"), soft_wrap=True)


def _print(result: dict[str, Any]) -> None:
    """Units, their sum beside the prediction, and the board's capacity."""
    from gatewright.ir.primitives import resource_names

    names = resource_names(result["family"])
    table = Table(title=f"Yosys {result['version']}, {result['family']}: measured (predicted)")
    table.add_column("unit")
    table.add_column("operator")
    for name in (*names, "levels"):
        table.add_column(name, justify="right")
    for row in result["units"]:
        cells = (_pair(row[name], row["predicted"].get(name)) for name in names)
        table.add_row(row["name"], row["operator"], *cells, str(row["levels"]))
    total, predicted, capacity = (result[k] for k in ("total", "predicted", "capacity"))
    table.add_section()
    table.add_row("sum of the units", "", *(_pair(total[n], predicted[n]) for n in names), "")
    if capacity:
        table.add_row("board", "", *(number(capacity.get(n), ",") for n in names), "")
        table.add_row("", "", *(number(total[n] / capacity[n] if n in capacity else None, ".1%") for n in names), "")
    output_console().print(table)


def _pair(measured: float, predicted: float | None) -> str:
    """A count and its prediction; halves are those of a block RAM."""
    return f"{measured:,g} ({number(predicted, ',.1f').removesuffix('.0')})"

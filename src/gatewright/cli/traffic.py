# SPDX-License-Identifier: Apache-2.0
"""`gatewright traffic`: what a design does under a slow source or sink."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from gatewright.cli.app import Json, app, error_console, number, output_console, print_json
from gatewright.progress import bars

if TYPE_CHECKING:
    from gatewright.verify.traffic import Observation


@app.command()
def traffic(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="A folder that `compile` wrote.")
    ],
    in_stall: Annotated[float, typer.Option(help="Share of cycles in which the source offers nothing new.")] = 0.0,
    out_stall: Annotated[float, typer.Option(help="Share of cycles in which the sink takes nothing.")] = 0.0,
    burst: Annotated[float | None, typer.Option(help="Mean cycles of a stall; else every cycle by itself.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the stalls.")] = 0,
    data: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Input frames, .npy.")] = None,
    frames: Annotated[int, typer.Option(min=1, help="The first N frames.")] = 8,
    vcd: Annotated[Path | None, typer.Option(dir_okay=False, help="Write all handshakes to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Run the SystemC model under stalls: interval, latency, what every unit waits for, how full every FIFO gets."""
    from gatewright.sim.model import Traffic
    from gatewright.verify.traffic import observe

    stalls = Traffic(in_stall=in_stall, out_stall=out_stall, burst=burst, seed=seed)
    with bars(error_console()) as progress:
        result = observe(directory, stalls, data=data, frames=frames, vcd=vcd, progress=progress)
    if as_json:
        print_json(result.to_json())
        return
    _print(result)
    if vcd is not None:
        output_console().print(f"handshakes: {vcd}", markup=False, soft_wrap=True)


def _print(result: Observation) -> None:
    """Units by what they did, FIFOs by their fill, and the rates."""
    units, run = Table("unit"), result.run
    for column in ("busy", "waits for a beat", "waits for room"):
        units.add_column(column, justify="right")
    for name, use in run.units.items():
        total = max(1, use.busy + use.starved + use.blocked)
        units.add_row(Text(name), *(f"{part / total:.1%}" for part in (use.busy, use.starved, use.blocked)))
    fifos = Table("FIFO in front of")
    fifos.add_column("depth", justify="right")
    fifos.add_column("most held", justify="right")
    for name, fifo in run.fifos.items():
        fifos.add_row(Text(name), f"{fifo.depth:,}", Text(f"{fifo.peak:,}", "bold" if fifo.peak == fifo.depth else ""))
    console = output_console()
    console.print(units, fifos)
    interval = number(run.interval, ",") or "unknown (one frame)"
    console.print(
        f"{result.frames} of {result.frames} frames exact, interval {interval} cycles "
        f"({result.predicted_interval:,} without stalls), latency {run.latency:,} ({result.predicted_latency:,})",
        soft_wrap=True,
    )

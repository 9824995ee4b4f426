# SPDX-License-Identifier: Apache-2.0
"""`gatewright report`."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from gatewright.cli.app import Json, app, error_console, output_console, print_json
from gatewright.progress import bars


@app.command()
def report(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="A folder that `compile` wrote.")
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The file to write; report.html in DIR by default.")
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Use the first N stored frames only.")] = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    as_json: Json = False,
) -> None:
    """Write one HTML page on a build: drawings, timing, resources, checks, proofs."""
    from gatewright.report import write_report

    with bars(error_console()) as progress:
        path, figures = write_report(directory, output, frames=frames, progress=progress)
    if as_json:
        print_json({"report": str(path), **figures})
    else:
        output_console().print(f"{path} ({path.stat().st_size / 1e3:,.0f} kB)", markup=False, soft_wrap=True)
    if show:
        webbrowser.open(path.resolve().as_uri())

# SPDX-License-Identifier: Apache-2.0
"""`gatewright trace` and `gatewright bisect`: what passes inside a network, and where two stages of it part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from gatewright.cli.app import Json, app, error_console, output_console, print_json
from gatewright.errors import ConfigError
from gatewright.progress import bars

if TYPE_CHECKING:
    from gatewright.verify.trace import Trace

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="A folder that `compile` wrote.")
]
Data = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Input frames, .npy.")]


@app.command()
def trace(
    directory: Folder,
    data: Data = None,
    frames: Annotated[int | None, typer.Option(min=1, help="The first N frames only.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The .npz to write; trace.npz in DIR by default.")
    ] = None,
    stage: Annotated[str, typer.Option(help="Whose integers: golden, design or rtl.")] = "golden",
    as_json: Json = False,
) -> None:
    """Write all integers inside the network as .npz, and a page of their ranges; name dead and saturated tensors."""
    from gatewright.report.ranges import write_ranges
    from gatewright.verify.trace import FILE
    from gatewright.verify.trace import trace as run_trace

    path = directory / FILE if output is None else output
    if path.suffix != ".npz":
        raise ConfigError(f"-o {str(path)!r} must end in .npz; the page of the ranges gets .html instead")
    with bars(error_console()) as progress:
        result = run_trace(directory, data=data, frames=frames, stage=stage, progress=progress)
        progress("writing")
        result.save(path)
        write_ranges(result, directory.resolve().name, path.with_suffix(".html"))
    if as_json:
        tensors = [r.to_json() for r in result.ranges]
        print_json({"stage": stage, "frames": result.frames, "file": str(path), "tensors": tensors})
        return
    _print_ranges(result)
    output_console().print(f"{path} and {path.with_suffix('.html').name}", markup=False, soft_wrap=True)


def _print_ranges(result: Trace) -> None:
    table = Table("tensor", "ONNX nodes")
    for column in ("shape", "bits", "declared", "seen", "used", "at lo", "at hi", "constant channels"):
        table.add_column(column, justify="right")
    for r in result.ranges:
        tensor, seen = r.tensor, r.histogram
        table.add_row(
            Text(r.name), Text(", ".join(o.node for o in r.origin)), "x".join(map(str, tensor.shape)), str(tensor.bits),
            f"{tensor.lo}..{tensor.hi}", f"{seen.least}..{seen.greatest}", f"{r.used:.0%}", f"{r.at_lo:.1%}",
            f"{r.at_hi:.1%}", f"{len(r.constant)} of {tensor.channels}",
        )  # fmt: skip
    console = output_console()
    console.print(table)
    for r in result.ranges:
        for warning in r.warnings:
            console.print(Text(f"warning: {r.name}: {warning}", style="yellow"), soft_wrap=True)

# SPDX-License-Identifier: Apache-2.0
"""`gatewright trace` and `gatewright bisect`: what passes inside a network, and where two stages of it part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from gatewright.cli.app import Json, app, error_console, output_console, print_json, split_names, status_text
from gatewright.errors import ConfigError
from gatewright.progress import bars

if TYPE_CHECKING:
    from gatewright.verify.divergence import Bisection, Divergence, Step
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


@app.command()
def bisect(
    directory: Folder,
    stages: Annotated[
        str | None, typer.Option(help="First and last stage to compare, of onnx,golden,design,rtl; else all.")
    ] = None,
    data: Data = None,
    frames: Annotated[int | None, typer.Option(min=1, help="The first N frames only.")] = None,
    as_json: Json = False,
) -> None:
    """Name the first operator, channel, pixel and bit in which two stages differ, or the FIFO that stalls them."""
    from gatewright.verify.bisect import bisect as run_bisect

    wanted = None if stages is None else split_names("--stages", stages, "golden,rtl")
    with bars(error_console()) as progress:
        result = run_bisect(directory, stages=wanted, data=data, frames=frames, progress=progress)
    if as_json:
        print_json(result.to_json())
    else:
        _print_bisection(result)
    ran = [s for s in result.steps if s.status != "not_run"]
    if result.divergence is not None or not ran or (wanted is not None and len(ran) < len(result.steps)):
        raise typer.Exit(1)


def _print_bisection(result: Bisection) -> None:
    console, found = output_console(), result.divergence
    for step in result.steps:
        line = Text(" against ".join(reversed(step.stages)) + ": ")
        line.append_text(status_text(step.status)).append(_about(step))
        console.print(line, soft_wrap=True)
    if result.changed:
        console.print(Text(f"changed since it was compiled: {', '.join(result.changed)}"), soft_wrap=True)
    if found is None:
        missing = [s for s in result.steps if s.status == "not_run"]
        console.print("all stages that ran agree" if missing else "all stages agree")
        return
    for name, text in _said(found):
        console.print(Text(f"{name:>8}  {text}"), soft_wrap=True)


def _about(step: Step) -> str:
    if step.status == "not_run":
        return f": {step.reason}"
    ties = f", {step.ties} rounding ties left out" if step.ties else ""
    what = "streams" if step.stages[1] == "rtl" else "tensors"
    frames = f"{step.frames} frames" if step.status == "agree" else f"the first {step.frames} frames agree"
    return f" ({step.tensors} {what}, {frames}{ties})"


def _said(found: Divergence) -> list[tuple[str, str]]:
    """The difference, a line a fact."""
    first, second = found.stages
    kind = f" ({found.operator})" if found.operator else ""
    rows = [("where", f"{found.part}{kind}" + (f" of {found.node}" if found.node not in ("", found.part) else ""))]
    rows += [("model", str(o)) for o in found.origin]
    rows += [("kind", found.kind), ("seen", found.text)]
    if found.tensor:
        rows.append(("tensor", found.tensor))
    if found.place is not None:
        at = found.place
        bits = f" (bit{'s' * (len(at.bits) > 1)} {', '.join(map(str, at.bits))})" if at.bits else ""
        rows += [("first", str(at)), ("values", f"{at.first} in {first}, {at.second} in {second}{bits}")]
    if found.cycle is not None:
        rows.append(("cycle", str(found.cycle)))
    if found.outputs_equal:
        rows.append(("outputs", "equal all the same"))
    rows += [("found", hint) for hint in found.hints]
    return rows + ([("wave", found.wave)] if found.wave else [])

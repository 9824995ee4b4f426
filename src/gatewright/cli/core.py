# SPDX-License-Identifier: Apache-2.0
"""From a model to a build folder and its checks, and what there is to build with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gatewright.cli.app import (
    Json,
    app,
    error_console,
    number,
    output_console,
    print_json,
    split_names,
    status_text,
)
from gatewright.config import ALL_TARGETS, Objective
from gatewright.progress import bars

if TYPE_CHECKING:
    from gatewright.build import Build
    from gatewright.ir.op import Op
    from gatewright.verify.check import StageResult
    from gatewright.verify.conformance import Cell


@app.command()
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write.")] = Path("build/demo"),
    board: Annotated[str, typer.Option(help="Board to compile for; see `gatewright boards`.")] = "pynq-z2",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the training.")] = 0,
    as_json: Json = False,
) -> None:
    """Train a small model, compile it and check every stage against the golden integers."""
    from gatewright.demo import run_demo

    with bars(error_console()) as progress:
        results = run_demo(output, board=board, seed=seed, progress=progress)
    _report_stages(results, None, as_json)


@app.command(name="compile")
def compile_(
    model: Annotated[Path, typer.Argument(metavar="MODEL", exists=True, dir_okay=False, help="QONNX or QCDQ model.")],
    board: Annotated[str, typer.Option(help="Board to compile for; see `gatewright boards`.")],
    fps: Annotated[float | None, typer.Option(help="Smallest design that reaches this many frames a second.")] = None,
    latency_us: Annotated[
        float | None, typer.Option(help="Smallest design with at most this latency; with --fps both hold.")
    ] = None,
    budget: Annotated[float | None, typer.Option(help="Best design within this fraction of the board.")] = None,
    objective: Annotated[
        Objective, typer.Option(help="What the best design is best at; `latency` keeps the rate of --fps.")
    ] = "throughput",
    mhz: Annotated[float | None, typer.Option(help="Clock; the board's by default.")] = None,
    folding: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="JSON file with the folding of every unit.")
    ] = None,
    argmax: Annotated[
        bool, typer.Option("--argmax", help="Give the top-1 label from the hardware instead of scores.")
    ] = False,
    target: Annotated[str, typer.Option(help="Comma-separated: what the design is written as.")] = ",".join(
        ALL_TARGETS
    ),
    bus_bits: Annotated[
        int | None, typer.Option(help="Width of the ports to memory: 32 to 512; the board's by default.")
    ] = None,
    stream_weights: Annotated[
        str | None, typer.Option(help="Comma-separated nodes whose weights the kernel reads from memory.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The folder to write; build/MODEL by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compile a model: import it, prove it, fold it for a board, write the hardware."""
    from gatewright.build import compile_model

    with bars(error_console()) as progress:
        build = compile_model(
            model,
            board,
            fps=fps,
            latency_us=latency_us,
            budget=budget,
            objective=objective,
            mhz=mhz,
            folding=folding,
            argmax=argmax,
            targets=split_names("--target", target, ",".join(ALL_TARGETS)),  # type: ignore[arg-type]  # CompileConfig refuses others
            bus_bits=bus_bits,
            stream_weights=() if stream_weights is None else split_names("--stream-weights", stream_weights, "dense_1"),
            output=output or Path("build") / model.stem,
            progress=progress,
        )
    if as_json:
        print_json(build.summary())
    else:
        _print_build(build)


@app.command()
def check(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="A folder that `compile` wrote.")
    ],
    data: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Input frames: .npy, or .npz by input name.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Their labels, .npy.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Check the first N frames only.")] = None,
    stages: Annotated[str | None, typer.Option(help="Comma-separated stages, such as golden,rtl; else all.")] = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="HOST[:PORT]", help="A board, or its serial port, for the stage `board`; else it is simulated."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the same frames through every stage and compare with the golden integers."""
    requested = None if stages is None else split_names("--stages", stages, "golden,rtl")
    from gatewright.verify.check import check as run_check

    with bars(error_console()) as progress:
        results = run_check(
            directory, data=data, labels=labels, frames=frames, stages=requested, device=device, progress=progress
        )
    _report_stages(results, requested, as_json)


@app.command()
def ops(as_json: Json = False) -> None:
    """List the operators, and on how many examples each target's kernel has been shown to be bit-exact."""
    from gatewright.ir.op import TARGETS, discover
    from gatewright.verify.conformance import matrix

    cells = {row.name: row.cells for row in matrix()}
    rows = [_describe_operator(name, cls, cells.get(name, {})) for name, cls in discover().items()]
    if as_json:
        print_json(rows)
        return
    table = Table("operator", "examples", *TARGETS, "computes")
    for row in rows:
        shown = ["composite"] * len(TARGETS) if row["composite"] else [str(cells[row["name"]][t]) for t in TARGETS]
        table.add_row(row["name"], str(row["examples"]), *shown, Text(row["summary"]))
    output_console().print(table)


@app.command()
def boards(as_json: Json = False) -> None:
    """List the boards and what their parts hold."""
    from gatewright.boards import Board, list_boards, load_board

    found = [load_board(name) for name in list_boards()]
    if as_json:
        keys = [f.name for f in fields(Board) if f.name not in ("capacity", "folder", "vitis")]
        print_json(
            [
                {k: getattr(b, k) for k in keys} | {"capacity": dict(b.capacity), "vitis": b.vitis and asdict(b.vitis)}
                for b in found
            ]
        )
        return
    resources = list(dict.fromkeys(resource for board in found for resource in board.capacity))
    table = Table("board", "part", "family", "flow", "MHz")
    for resource in resources:
        table.add_column(resource, justify="right")
    for board in found:
        counts = (f"{board.capacity.get(resource, 0):,}" for resource in resources)
        table.add_row(board.name, board.part, board.family, board.flow, f"{board.mhz:g}", *counts)
    output_console().print(table)


def _describe_operator(name: str, cls: type[Op], cells: Mapping[str, Cell]) -> dict[str, Any]:
    from gatewright.ir.op import TARGETS, describe, kernel_path

    return {
        "name": name,
        "summary": describe(cls),
        "composite": cls.composite,
        "kernels": [target for target in TARGETS if kernel_path(name, target)],
        "examples": len(cls.examples()),
        "exact": {target: cell.exact for target, cell in cells.items()},
        "gaps": {target: cell.gap for target, cell in cells.items() if cell.gap},
    }


def _report_stages(results: Sequence[StageResult], requested: Sequence[str] | None, as_json: bool) -> None:
    """Print the stages, and exit with 1 unless something ran, nothing failed and whatever was asked for by name ran."""
    rows = [result.to_json() for result in results]
    if as_json:
        print_json(rows)
    else:
        _print_stages(rows)
    statuses = [row["status"] for row in rows]
    skipped = requested is not None and "not_run" in statuses
    if "failed" in statuses or "ok" not in statuses or skipped:
        raise typer.Exit(1)


def _print_stages(rows: Sequence[Mapping[str, Any]]) -> None:
    table = Table("stage", "status")
    for column in (
        "frames",
        "exact",
        "accuracy",
        "max float error",
        "interval (predicted)",
        "latency (predicted)",
        "s",
    ):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            row["name"],
            status_text(row["status"]),
            number(row["frames"] or None, "d"),
            number(row["exact"], "d"),
            number(row["accuracy"], ".2%"),
            number(row["max_float_error"], ".3g"),
            _cycles(row, "interval"),
            _cycles(row, "latency"),
            number(row["seconds"], ".1f"),
        )
    console = output_console()
    console.print(table)
    for row in rows:
        for text in filter(None, (row["reason"], row["note"])):
            console.print(Text(f"{row['name']}: {text}"), soft_wrap=True)


def _cycles(row: Mapping[str, Any], what: str) -> str:
    measured, predicted = row[f"{what}_cycles"], row[f"predicted_{what}_cycles"]
    return number(measured, ",.6g") + ("" if predicted is None else f" ({predicted:,.6g})")


def _print_build(build: Build) -> None:
    summary = build.summary()
    units = Table("unit", "operator", "folding")
    units.add_column("cycles", justify="right")
    units.add_column("bits", justify="right")
    for unit in summary["units"]:
        folding = " ".join(f"{k}={v}" for k, v in unit["folding"].items())
        units.add_row(unit["name"], unit["operator"], folding, f"{unit['cycles']:,}", str(unit["bits"]))
    resources = Table("resource")
    for column in ("estimated", "board", "used"):
        resources.add_column(column, justify="right")
    for name, total in summary["capacity"].items():
        used = summary["resources"].get(name, 0)
        shown = f"{used:,.0f}" if used >= 100 else f"{round(used, 1):g}"  # block RAM comes in halves
        resources.add_row(name, shown, f"{total:,}", f"{used / total:.1%}")
    console = output_console()
    console.print(units, resources, _rates(summary))
    for line in (*host_lines(summary["outputs"]), *streamed_lines(summary["streamed"])):
        console.print(line, soft_wrap=True, markup=False)
    console.print(
        f"interval {summary['interval_cycles']:,} cycles, latency {summary['latency_cycles']:,} cycles, "
        f"{summary['fps']:,.0f} frames/s: {build.directory}",
        soft_wrap=True, markup=False,
    )  # fmt: skip


def host_lines(outputs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is left to the host, and which outputs leave the hardware together, as `Design.summary` has it."""
    lines = [f"left to the host: output {o['name']!r}: {', '.join(o['host'])}" for o in outputs if o["host"]]
    for stream in dict.fromkeys(o["stream"] for o in outputs):
        names = [o["name"] for o in outputs if o["stream"] == stream]
        if len(names) > 1:
            lines.append(f"outputs {', '.join(map(repr, names))} leave the hardware once, as one stream")
    return lines


def streamed_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the kernel reads from memory while it runs, as `Design.summary` has it."""
    return [_streamed_line(**row) for row in rows]


def _streamed_line(
    *, unit: str, memory: str, bytes: int, reads_per_frame: int, bytes_per_second: float, peak_bytes_per_second: float,
    **_: object,
) -> str:  # fmt: skip
    times = f"{reads_per_frame:,} time{'s' * (reads_per_frame > 1)} a frame"
    average, most = (f"{rate / 1e6:,.4g} MB/s" for rate in (bytes_per_second, peak_bytes_per_second))
    return f"{memory} of {unit} is read from memory: {bytes:,} bytes, {times}, {average} on average, {most} at most"


def _rates(summary: Mapping[str, Any]) -> Table:
    """What was asked for and what is predicted."""
    asked = summary.get("asked", {})
    best = asked.get("objective") if asked.get("latency_us") is None and not asked.get("folding") else None
    table = Table("prediction")
    for column in ("asked", "predicted"):
        table.add_column(column, justify="right")
    fps, latency = number(asked.get("fps"), ",.10g"), number(asked.get("latency_us"), ",.6g")
    budget = f"best within {asked.get('budget') or 1:.0%}"
    table.add_row("frames/s", fps or (budget if best == "throughput" else ""), f"{summary['fps']:,.0f}")
    table.add_row("latency, us", latency or (budget if best == "latency" else ""), f"{summary['latency_us']:,.4g}")
    return table

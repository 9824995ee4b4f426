# SPDX-License-Identifier: Apache-2.0
"""`gatewright doctor`: which tools are there; with a model, what becomes of each of its nodes."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gatewright.cli.app import Json, app, number, output_console, print_json, status_text
from gatewright.errors import ConfigError

if TYPE_CHECKING:
    from gatewright.frontend.doctor import Diagnosis, Fit, Layer, NodeVerdict

SHORT = 60
"""Nodes up to which all are listed unasked."""
FEW = 12
"""Nodes with one verdict that are listed of a larger model."""
ORDER = ("refused", "no quantiser", "not examined", "host", "hardware", "folded")
"""Verdicts in the order in which they are printed: what stands in the way first."""
IN_THE_WAY = ORDER[:3]
STYLES = {"refused": "red", "no quantiser": "red", "not examined": "yellow", "host": "cyan", "hardware": "green"}


@app.command()
def doctor(
    model: Annotated[
        Path | None, typer.Argument(metavar="MODEL", exists=True, dir_okay=False, help="A model to examine.")
    ] = None,
    board: Annotated[str | None, typer.Option(help="Say too whether the smallest design fits this board.")] = None,
    argmax: Annotated[bool, typer.Option("--argmax", help="As for `compile`: labels from the hardware.")] = False,
    every: Annotated[bool, typer.Option("--all", help="List every node of a large model.")] = False,
    as_json: Json = False,
) -> None:
    """List the external tools; with a MODEL say what becomes of every node, and what would make all of it compile.

    Exits with 1 when a tool is missing that is not optional, or when the model does not compile.
    """
    if model is None:
        if board is not None or argmax or every:
            raise ConfigError("--board, --argmax and --all are about a model: name its file")
        _tools(as_json)
        return
    from gatewright.frontend.doctor import diagnose

    diagnosis = diagnose(model, board, argmax=argmax)
    if as_json:
        print_json(diagnosis.to_json())
    else:
        _print(diagnosis, every)
    if not diagnosis.compiles:
        raise typer.Exit(1)


# --- a model ----------------------------------------------------------------------------------------------------------


def _print(found: Diagnosis, every: bool) -> None:
    console = output_console()
    counts = ", ".join(f"{found.counts[v]} {v}" for v in ORDER if v in found.counts)
    console.print(f"{found.model}: {len(found.nodes)} nodes: {counts}", soft_wrap=True, markup=False)
    if found.is_float:
        console.print(Text("It is a float model: no quantiser is in it. Two ways out:", style="bold"))
        console.print(
            f"  gatewright quantize {shlex.quote(found.model)} --data X.npy      quantises it without training\n"
            "  train it with quantisers (gatewright.nn, Brevitas), which loses less at few bits, and export QONNX",
            soft_wrap=True, markup=False,
        )  # fmt: skip
    listed = every or len(found.nodes) <= SHORT
    kinds = {v: [n for n in found.nodes if n.verdict == v] for v in IN_THE_WAY}
    if listed:
        rest = [n for n in found.nodes if n.verdict not in IN_THE_WAY]
        console.print(_node_table([*(n for nodes in kinds.values() for n in nodes), *rest]))
    else:
        console.print(_by_type(found.nodes))
        if any(kinds.values()):
            console.print(_node_table([n for nodes in kinds.values() for n in nodes[:FEW]]))
        more = [f"{len(nodes) - FEW} more {v}" for v, nodes in kinds.items() if len(nodes) > FEW]
        console.print("; ".join([*more, "--all lists every node"]), markup=False)
    if found.layers:
        console.print(_layer_table(found.layers))
    for output in found.outputs:
        said = ", ".join(output.host) or ": ".join(filter(None, (output.reason, output.remedy)))
        if said:
            console.print(f"output {output.output!r}: {'on the host: ' * bool(output.host)}{said}", markup=False,
                          soft_wrap=True)  # fmt: skip
    if found.fit is not None:
        console.print(_fit_line(found.fit), soft_wrap=True, markup=False)
    _print_verdict(found)


def _print_verdict(found: Diagnosis) -> None:
    console = output_console()
    if found.compiles:
        command = f"gatewright compile {shlex.quote(found.model)} --board BOARD"
        console.print(Text(f"It compiles: {command}", style="bold green"), soft_wrap=True)
        return
    console.print(Text("It does not compile. What would make all of it compile:", style="bold red"))
    for i, remedy in enumerate(found.remedies, 1):
        console.print(f"{i:3}. {remedy}", soft_wrap=True, markup=False)
    behind = found.counts.get("not examined", 0)
    if behind:
        console.print(f"Then ask again: {behind} nodes behind these could not be examined.", markup=False)


def _by_type(nodes: Iterable[NodeVerdict]) -> Table:
    """How many nodes of each type have each verdict."""
    counts: dict[str, Counter[str]] = {}
    for node in nodes:
        counts.setdefault(node.op_type, Counter())[node.verdict] += 1
    shown = [v for v in ORDER if any(c[v] for c in counts.values())]
    table = Table("type")
    for verdict in shown:
        table.add_column(verdict, justify="right")
    for kind, row in sorted(counts.items(), key=lambda item: (-sum(item[1][v] for v in IN_THE_WAY), item[0])):
        table.add_row(Text(kind), *(number(row[v] or None, "d") for v in shown))
    return table


def _node_table(nodes: Iterable[NodeVerdict]) -> Table:
    table = Table("node", "type", "verdict", "becomes, or why not", "remedy")
    for node in nodes:
        named = node.node if node.name == node.node else f"{node.node} ({node.name})"
        text = "; ".join(filter(None, (", ".join(node.becomes), node.reason, node.source)))
        verdict = Text(node.verdict, STYLES.get(node.verdict, ""))
        table.add_row(Text(named), Text(node.op_type), verdict, Text(text), Text(node.remedy))
    return table


def _layer_table(layers: Iterable[Layer]) -> Table:
    table = Table("unit", "operator")
    for column in ("bits in", "bits out", "accumulator bits"):
        table.add_column(column, justify="right")
    table.add_column("proof")
    table.add_column("of the nodes")
    for k in layers:
        bits = ", ".join(map(str, k.in_bits))
        proof = Text(k.error, "red") if k.error else Text(k.proof or "not reached")
        table.add_row(Text(k.unit), k.operator, bits, str(k.out_bits), number(k.accumulator_bits, "d"), proof,
                      Text(", ".join(k.nodes)))  # fmt: skip
    return table


def _fit_line(fit: Fit) -> str:
    used = ", ".join(f"{n} {v:,.0f} of {fit.capacity[n]:,.0f}" for n, v in fit.resources.items() if n in fit.capacity)
    said = "the smallest design fits" if fit.fits else fit.reason
    if fit.streamed:
        said += f" with weights of {', '.join(fit.streamed)} in memory"
    return f"{fit.board}: {said}: {used}; {fit.interval_cycles:,} cycles a frame, FIFOs at their least depth"


# --- tools ------------------------------------------------------------------------------------------------------------


def _tools(as_json: bool) -> None:
    from gatewright.sim.tools import doctor as find_all

    rows: list[dict[str, Any]] = []
    for found in find_all():
        required, tool = found.requirement, found.tool
        rows.append({
            "name": required.name,
            "status": "ok" if tool else "missing",
            "optional": required.optional,
            "version": tool.version if tool else None,
            "path": str(tool.path) if tool else None,
            "purpose": required.purpose,
            "remedy": None if tool else required.remedy,
        })  # fmt: skip
    if as_json:
        print_json(rows)
    else:
        _print_tools(rows)
    if any(row["status"] == "missing" and not row["optional"] for row in rows):
        raise typer.Exit(1)


def _print_tools(rows: Sequence[Mapping[str, Any]]) -> None:
    table = Table("tool", "status", "version", "for", "path, or how to get it")
    for row in rows:
        lacking = row["status"] == "missing" and row["optional"]
        status = Text("missing (optional)", "yellow") if lacking else status_text(row["status"])
        table.add_row(row["name"], status, row["version"] or "", row["purpose"], Text(row["path"] or row["remedy"]))
    output_console().print(table)

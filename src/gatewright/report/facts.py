# SPDX-License-Identifier: Apache-2.0
"""What a report tells of a build: read from its folder, and what the model and the cycle model compute from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from gatewright.boards import Board, load_board
from gatewright.build import Build
from gatewright.design.cycles import Timing, simulate
from gatewright.design.plan import PREDICTED_FRAMES
from gatewright.design.resources import Resources, add_up, unit_resources
from gatewright.design.structure import Structure, fork_name
from gatewright.errors import ConfigError
from gatewright.frontend.origin import Origin, origins, resolve
from gatewright.ir.graph import Graph
from gatewright.ir.host import Values
from gatewright.ir.primitives import resource_names
from gatewright.ir.types import IntArray
from gatewright.progress import Progress, silent
from gatewright.synth import report as synthesis
from gatewright.synth.bitstream import load
from gatewright.verify import record
from gatewright.verify.check import Case, load_case
from gatewright.verify.trace import CHUNK, Histogram

BINS = 400
"""Bins of time in the timing diagram."""

_SUMMARY: Mapping[str, type | tuple[type, ...]] = {
    "network": str, "board": str, "mhz": (int, float), "units": list, "bottleneck": str, "interval_cycles": int,
    "latency_cycles": int, "fps": (int, float), "resources": dict, "capacity": dict, "digest": str,
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A unit of the design, infrastructure included.

    Attributes:
        index: in the order of the design; anchors are made of it.
        name, operator: which, and the kernel's name.
        folding: its folding fields.
        cycles: of one frame at full speed.
        predicted, synthesised: resources, the FIFOs in front of it and the forks behind it included; the latter only
            where Yosys ran.
        levels: of logic between registers, in the unit alone.
        output: the type of its first output as `shape type [limits]`.
        scale: of that output; None for infrastructure.
        computes: whether it is an operator of the graph (else a width adapter).
        origin: nodes of the model that it computes, with source lines.
    """

    index: int
    name: str
    operator: str
    folding: Mapping[str, int]
    cycles: int
    predicted: Mapping[str, float]
    synthesised: Mapping[str, float] | None
    levels: int | None
    output: str
    scale: float | tuple[float, ...] | None
    computes: bool
    origin: tuple[Origin, ...] = ()

    @property
    def anchor(self) -> str:
        """Where the unit's row in the table of units is."""
        return f"unit-{self.index}"

    @property
    def folded(self) -> str:
        """The folding in words."""
        return ", ".join(f"{k.upper()} {v}" for k, v in self.folding.items())


@dataclass(frozen=True, eq=False)
class Facts:
    """Everything that the sections draw from.

    Attributes:
        summary: `prediction.json`.
        proofs: `proof.json`.
        checks: the last result of each stage that ever ran.
        synthesis: what Yosys counted; None where nothing was synthesised since the build changed.
        changed: files that are no longer what `compile` wrote.
        timing: the cycle model's run, traced.
        case: the stored frames and the golden integers of the imported graph.
        histograms: of every unit that sums.
        bitstream: the last result of `gatewright bitstream`, and whether it is of the build as it is now.
    """

    build: Build
    summary: Mapping[str, Any]
    proofs: tuple[Mapping[str, Any], ...]
    checks: Mapping[str, record.Recorded]
    synthesis: Mapping[str, Any] | None
    changed: tuple[str, ...]
    timing: Timing
    case: Case
    histograms: tuple[Histogram, ...]
    bitstream: tuple[Mapping[str, Any], bool] | None = None

    @property
    def graph(self) -> Graph:
        """The lowered and folded graph."""
        return self.build.design_graph

    @property
    def structure(self) -> Structure:
        """Units and FIFOs."""
        return self.build.structure

    @property
    def mhz(self) -> float:
        """The clock."""
        return float(self.summary["mhz"])

    @property
    def interval(self) -> int:
        """Predicted cycles between frames."""
        return int(self.summary["interval_cycles"])

    @cached_property
    def board(self) -> Board:
        """The board's record."""
        return load_board(self.summary["board"])

    @cached_property
    def resource_names(self) -> tuple[str, ...]:
        """What the board counts, then what only the family does that was synthesised for."""
        families = (self.board.family, *([] if self.synthesis is None else [self.synthesis.get("family", "xc7")]))
        return tuple(dict.fromkeys(name for family in families for name in resource_names(family)))

    @cached_property
    def outputs(self) -> Values:
        """Values of the output that decides (else of the first), through the golden integers."""
        return self.build.model_graph.dequantize(*self.case.golden)[self.case.decision.output]

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """All units, in the order of the design's."""
        resources = unit_resources(self.graph, self.structure, self.board.family)
        found = {} if self.synthesis is None else _by_unit(self.synthesis, self.structure)
        levels = {} if self.synthesis is None else {u["name"]: u["levels"] for u in self.synthesis["units"]}
        return tuple(
            self._row(i, resources[unit.name], found.get(unit.name), levels.get(unit.name))
            for i, unit in enumerate(self.structure.units)
        )

    def _row(self, index: int, resources: Resources, synthesised: Resources | None, levels: int | None) -> Row:
        unit = self.structure.units[index]
        origin: tuple[Origin, ...] = ()
        if not unit.operator:
            folding, output, scale = {}, str(unit.outs[0]), None
        else:
            op, origin = self.graph.node(unit.name).op, resolve(self.graph.node(unit.name).origin, self._origins)
            folding = {k: int(getattr(op, k)) for k in op.foldings()}
            output, scale = str(op.outputs[0]), op.outputs[0].scale
        return Row(
            index, unit.name, unit.module, folding, unit.schedule.steps, resources, synthesised, levels, output, scale,
            unit.operator, origin,
        )  # fmt: skip

    @cached_property
    def _origins(self) -> Mapping[str, Origin]:
        return origins(self.build.directory / "model.onnx")

    def row(self, name: str) -> Row:
        """The unit of that name."""
        return next(r for r in self.rows if r.name == name)


def collect(build: Build, frames: int | None = None, progress: Progress = silent) -> Facts:
    """Everything that a report needs.

    Args:
        frames: use the first so many of the stored frames; all by default.

    Raises:
        GatewrightError: the folder is damaged: says which file, and what to do.
    """
    summary = _summary(build)
    proofs = _read_list(build, "proof.json", ("node", "operator", "lo", "hi", "bits_needed", "bits_given", "method"))
    checks = record.load(build)
    synthesised = _synthesis(build)
    if build.design_graph.digest() != summary["digest"]:
        raise _damaged(build, "design.json", "its digest is not the one in prediction.json")
    case = load_case(build, frames=frames, progress=progress)
    progress("cycle model")
    timing = simulate(build.structure, PREDICTED_FRAMES, trace_bins=BINS)
    seen = {"interval_cycles": timing.interval, "latency_cycles": timing.latency}
    for name, cycles in seen.items():
        if cycles != summary[name]:
            raise _damaged(build, "prediction.json", f"{name} is {summary[name]}, where the cycle model shows {cycles}")
    histograms = _histograms(build.design_graph, case.integers, progress)
    return Facts(
        build, summary, proofs, checks, synthesised, tuple(build.changed()), timing, case, histograms, load(build),
    )  # fmt: skip


def _damaged(build: Build, name: str, what: str) -> ConfigError:
    return ConfigError(f"{build.directory / name}: {what}; compile the model again")


def _summary(build: Build) -> Mapping[str, Any]:
    summary = build.summary()
    for key, kind in _SUMMARY.items():
        if not isinstance(summary.get(key), kind) or isinstance(summary[key], bool):
            raise _damaged(build, "prediction.json", f"{key} is {summary.get(key)!r}")
    return summary


def _read_list(build: Build, name: str, keys: tuple[str, ...]) -> tuple[Mapping[str, Any], ...]:
    try:
        rows = json.loads((build.directory / name).read_text())
        missing = [k for row in rows for k in keys if k not in row]
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(build, name, f"not readable ({error})") from error
    if missing:
        raise _damaged(build, name, f"an entry lacks {missing[0]!r}")
    return tuple(rows)


def _synthesis(build: Build) -> Mapping[str, Any] | None:
    """What Yosys counted of the build as it is now."""
    result = synthesis.load(build)
    if result is None:
        return None
    keys = {"name", "levels", *resource_names(result.get("family", "xc7"))}
    if not ("total" in result and all(keys <= set(u) for u in result.get("units", [{}]))):
        raise ConfigError(f"{build.directory / synthesis.FILE}: an entry is missing: run gatewright synth again")
    return result


def _by_unit(found: Mapping[str, Any], design: Structure) -> dict[str, Resources]:
    """What was synthesised, each FIFO and fork counted with the unit that `unit_resources` counts it with."""
    owner = {unit.name: unit.name for unit in design.units}
    owner |= {link.name: link.sink.unit or link.source.unit for link in design.links}
    for source, links in design.forks().items():
        owner[fork_name(source)] = source.unit or next((k.sink.unit for k in links if k.sink.unit), "")
    parts: dict[str, list[Mapping[str, float]]] = {unit.name: [] for unit in design.units}
    family = found.get("family", "xc7")
    for entry in found["units"]:
        if owner.get(entry["name"]):
            parts[owner[entry["name"]]].append({name: entry[name] for name in resource_names(family)})
    return {name: add_up(items, family) for name, items in parts.items()}


def _histograms(graph: Graph, integers: tuple[IntArray, ...], progress: Progress) -> tuple[Histogram, ...]:
    """Of every node whose partial sums have limits, over all frames."""
    nodes = [n for n in graph.nodes if n.op.bounds()[0].partial_lo is not None]
    total: dict[str, npt.NDArray[np.int64]] = {}
    limits = {n.name: (n.op.outputs[0].lo, n.op.outputs[0].hi) for n in nodes}
    widths = {name: max(1, -(-(hi - lo + 1) // BINS)) for name, (lo, hi) in limits.items()}
    seen: dict[str, tuple[int, int]] = {}
    frames = len(integers[0])
    for start in range(0, frames, CHUNK):
        progress("accumulators", start, frames)
        values = graph.run(*(x[start : start + CHUNK] for x in integers))
        for node in nodes:
            value, (lo, hi), width = values[node.outputs[0]], limits[node.name], widths[node.name]
            counts = np.bincount((value.ravel() - lo) // width, minlength=(hi - lo) // width + 1)
            total[node.name] = total.get(node.name, 0) + counts
            least, greatest = seen.get(node.name, (hi, lo))
            seen[node.name] = (min(least, int(value.min())), max(greatest, int(value.max())))
    return tuple(Histogram(n.name, limits[n.name][0], widths[n.name], total[n.name], *seen[n.name]) for n in nodes)

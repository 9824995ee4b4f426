# SPDX-License-Identifier: Apache-2.0
"""`gatewright trace`: every integer between a network's input and its output, and how much of its range each uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gatewright.build import Array, Build
from gatewright.errors import ConfigError, GatewrightError
from gatewright.frontend.importer import Examination, examine, load_model
from gatewright.frontend.origin import Origin, origins, resolve
from gatewright.ir.graph import Graph
from gatewright.ir.importing import Value
from gatewright.ir.types import IntArray, Tensor
from gatewright.progress import Progress, silent
from gatewright.verify.check import Case, load_case
from gatewright.verify.divergence import list_some
from gatewright.verify.hardware import passed

Ints = npt.NDArray[np.integer[Any]]
FILE = "trace.npz"
CHUNK = 16
"""Frames whose integers are held as int64 at once."""
BINS = 400
SATURATED = 0.1
"""Share of elements at a limit from which a tensor is called saturated."""
FEWEST_CODES = 8
"""A tensor of fewer codes always has many elements at its limits."""


@dataclass(frozen=True, eq=False)
class Histogram:
    """Values of a tensor over the frames.

    Attributes:
        node: whose.
        start, width: first integer of the first bin, and integers a bin.
        counts: values per bin.
        least, greatest: values seen.
    """

    node: str
    start: int
    width: int
    counts: IntArray
    least: int
    greatest: int


@dataclass(frozen=True, eq=False)
class Range:
    """What the frames used of a tensor's range.

    Attributes:
        name: of the tensor.
        node: that writes it; empty for an input of the network.
        origin: nodes of the model that it comes from.
        tensor: its type, with the declared limits.
        histogram: of its values.
        at_lo, at_hi: shares of the elements at the declared limits.
        constant: channels that have one and the same value throughout.
    """

    name: str
    node: str
    origin: tuple[Origin, ...]
    tensor: Tensor
    histogram: Histogram
    at_lo: float
    at_hi: float
    constant: tuple[int, ...]

    @property
    def used(self) -> float:
        """Share of the declared codes between the least and the greatest that were seen."""
        step = 2 if self.tensor.encoding == "bipolar" else 1
        seen, all_of_them = self.histogram.greatest - self.histogram.least, self.tensor.hi - self.tensor.lo
        return (seen // step + 1) / (all_of_them // step + 1)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is likely to be a fault of the model: nothing moves, or much of it is clipped."""
        if self.histogram.least == self.histogram.greatest:
            return (f"dead: always {self.histogram.least}",)
        found = []
        if self.constant:
            channels = f"{len(self.constant)} of {self.tensor.channels} channels"
            found.append(f"{channels} never change: {list_some(self.constant)}")
        if self.tensor.hi - self.tensor.lo + 1 >= FEWEST_CODES:
            for share, limit in ((self.at_lo, self.tensor.lo), (self.at_hi, self.tensor.hi)):
                if share >= SATURATED and limit != 0:  # at 0 ends what a ReLU cuts off, which is its purpose
                    found.append(f"saturated: {share:.0%} at {limit}")
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """All that the table shows, by name."""
        tensor, seen = self.tensor, self.histogram
        return {
            "tensor": self.name, "node": self.node, "onnx": [o.node for o in self.origin],
            "source": list(dict.fromkeys(o.source for o in self.origin if o.source)), "shape": list(tensor.shape),
            "bits": tensor.bits, "lo": tensor.lo, "hi": tensor.hi, "seen_lo": seen.least, "seen_hi": seen.greatest,
            "used": self.used, "at_lo": self.at_lo, "at_hi": self.at_hi, "constant_channels": list(self.constant),
            "warnings": list(self.warnings),
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Provenance:
    """The model behind a build's tensors, read from its `model.onnx`; empty where that cannot be imported.

    Attributes:
        nodes: the model's nodes by the names that graphs have for them.
        values: the model's tensors by name: integers and layout.
    """

    nodes: Mapping[str, Origin]
    values: Mapping[str, Value]

    @classmethod
    def of(cls, build: Build) -> Provenance:
        """That of a build."""
        try:
            values = imported(build).values
        except GatewrightError:
            values = {}
        return cls(origins(build.directory / "model.onnx"), values)

    @cached_property
    def tensors(self) -> Mapping[str, tuple[str, Value]]:
        """Per tensor of integers the model's tensor whose values they are, and its layout."""
        found: dict[str, tuple[str, Value]] = {}
        written = {name for origin in self.nodes.values() for name in origin.outputs}
        for name, value in self.values.items():
            if name in written and value.type is not None and not value.steps:
                found.setdefault(value.tensor, (name, value))
        return found

    def where(self, graph: Graph, tensor: str) -> tuple[Origin, ...]:
        """The model's nodes and source lines behind a tensor of a graph."""
        for node in graph.nodes:
            if tensor in node.outputs:
                return resolve(node.origin, self.nodes)
        onnx = self.tensors[tensor][0] if tensor in self.tensors else None
        return tuple(o for o in self.nodes.values() if onnx in o.outputs)


def imported(build: Build) -> Examination:
    """A fresh import of a build's model, as it was asked for when it was compiled.

    Raises:
        GatewrightError: the model or the prediction cannot be read.
    """
    argmax = bool(build.summary().get("asked", {}).get("argmax"))
    return examine(load_model(build.directory / "model.onnx"), argmax=argmax)


def where(build: Build, node: str) -> tuple[Origin, ...]:
    """The model's nodes, with their source lines, behind a node of a build's graphs.

    Raises:
        ConfigError: neither graph has a node of that name.
    """
    graph = build.model_graph if any(n.name == node for n in build.model_graph.nodes) else build.design_graph
    return resolve(graph.node(node).origin, origins(build.directory / "model.onnx"))


@dataclass(frozen=True, eq=False)
class Trace:
    """All integers of some frames.

    Attributes:
        stage: what computed them.
        frames: how many.
        ranges: what each tensor used of its range, in the order of the graph.
        values: per tensor, integers of shape (frames, *shape), channels last.
        provenance: the model behind them.
    """

    stage: str
    frames: int
    ranges: tuple[Range, ...]
    values: Mapping[str, Ints]
    provenance: Provenance

    def arrays(self) -> dict[str, Ints]:
        """What the file holds: each tensor channels last, and as `NAME.model` in the model's layout if that differs."""
        out: dict[str, Ints] = {}
        for name, value in self.values.items():
            out[name] = value
            known = self.provenance.tensors.get(name)
            if known is not None and known[1].index.size == value[0].size:
                view = in_model_layout(value, known[1])
                if view.shape != value.shape or not np.array_equal(view, value):
                    out[f"{name}.model"] = view
        return out

    def save(self, path: Path) -> None:
        """Write all integers as one `.npz`; equal ones give equal bytes.

        Raises:
            ConfigError: the file cannot be written.
        """
        try:
            with path.open("wb") as file:
                np.savez_compressed(file, **self.arrays())
        except OSError as error:
            raise ConfigError(f"{path} cannot be written ({error}): name another file") from error


def in_model_layout(x: npt.NDArray[Any], value: Value) -> npt.NDArray[Any]:
    """Frames of a tensor as the model has them: shape (frames, *value.shape)."""
    flat = np.empty((len(x), value.index.size), x.dtype)
    flat[:, value.index.ravel()] = x.reshape(len(x), -1)
    return flat.reshape(len(x), *value.shape)


def trace(
    directory: str | Path,
    *,
    data: str | Path | Array | None = None,
    frames: int | None = None,
    stage: str = "golden",
    progress: Progress = silent,
) -> Trace:
    """All integers of a stage of a build.

    Args:
        directory: a build folder; files that were edited since are taken as they are.
        data: the network's own float inputs, as for `check`; else those in the build.
        frames: the first so many of them.
        stage: "golden" for the imported graph, "design" for the lowered and folded one, "rtl" for what passes between
            the units of the emitted design in Verilator.
        progress: called with what is being done.

    Raises:
        ConfigError: no build folder, or an unknown stage.
        DataError: inputs of the wrong shape, type or number.
        SimulationError: the hardware stalls, or its streams are not whole frames.
    """
    if stage not in STAGES:
        raise ConfigError(f"stage {stage!r}: choose from {', '.join(STAGES)}")
    build = Build.open(Path(directory))
    for name in build.changed():
        progress(f"changed since it was compiled: {name}")
    case = load_case(build, data, frames=frames, progress=progress)
    graph = build.model_graph if stage == "golden" else build.design_graph
    provenance, meters = Provenance.of(build), {n: _Meter(n, t) for n, t in graph.tensors.items()}
    parts: dict[str, list[Ints]] = {}
    for values in STAGES[stage](case):
        for name in (n for n in graph.tensors if n in values):
            parts.setdefault(name, []).append(_narrow(values[name], graph.tensors[name]))
            meters[name].add(values[name])
    whole = {name: np.concatenate(p) for name, p in parts.items()}
    ranges = tuple(meters[n].result(_writer(graph, n), provenance.where(graph, n)) for n in whole)
    return Trace(stage, case.frames, ranges, whole, provenance)


def _writer(graph: Graph, tensor: str) -> str:
    return next((n.name for n in graph.nodes if tensor in n.outputs), "")


def _narrow(x: IntArray, tensor: Tensor) -> Ints:
    """The integers in the smallest type that holds the tensor's limits, and whatever else they are."""
    lo, hi = min(tensor.lo, int(x.min())), max(tensor.hi, int(x.max()))
    kinds = ("u1", "i1", "u2", "i2", "u4", "i4")
    return x.astype(next((k for k in kinds if np.iinfo(k).min <= lo and hi <= np.iinfo(k).max), "i8"))


def _reference(graph: Callable[[Build], Graph], name: str) -> Callable[[Case], Iterator[Mapping[str, IntArray]]]:
    """The integers that a graph's definitions give, some frames at a time."""

    def values(case: Case) -> Iterator[Mapping[str, IntArray]]:
        for start in range(0, case.frames, CHUNK):
            case.progress(name, start, case.frames)
            yield graph(case.build).run(*(x[start : start + CHUNK] for x in case.integers))

    return values


STAGES: Mapping[str, Callable[[Case], Iterator[Mapping[str, IntArray]]]] = {
    "golden": _reference(lambda b: b.model_graph, "golden integers"),
    "design": _reference(lambda b: b.design_graph, "integers of the design"),
    "rtl": passed,
}
"""What computes a network's integers: each gives them by tensor, some frames at a time."""


class _Meter:
    """Measures the range of one tensor, some frames at a time."""

    def __init__(self, name: str, tensor: Tensor) -> None:
        self.name, self.tensor = name, tensor
        self.width = max(1, -(-(tensor.hi - tensor.lo + 1) // BINS))
        self.counts = np.zeros((tensor.hi - tensor.lo) // self.width + 1, np.int64)
        self.least = np.full(tensor.channels, np.iinfo(np.int64).max)
        self.greatest = np.full(tensor.channels, np.iinfo(np.int64).min)
        self.ends, self.elements = [0, 0], 0

    def add(self, x: IntArray) -> None:
        """Frames (frames, *shape); values beyond the declared limits count at them."""
        flat, t = x.reshape(-1, self.tensor.channels), self.tensor
        self.least = np.minimum(self.least, flat.min(axis=0))
        self.greatest = np.maximum(self.greatest, flat.max(axis=0))
        places = (np.clip(flat, t.lo, t.hi).ravel() - t.lo) // self.width
        self.counts += np.bincount(places, minlength=len(self.counts))
        self.ends = [self.ends[0] + int((flat <= t.lo).sum()), self.ends[1] + int((flat >= t.hi).sum())]
        self.elements += flat.size

    def result(self, node: str, origin: tuple[Origin, ...]) -> Range:
        least, greatest = int(self.least.min()), int(self.greatest.max())
        histogram = Histogram(self.name, self.tensor.lo, self.width, self.counts, least, greatest)
        constant = tuple(np.flatnonzero(self.least == self.greatest).tolist())
        at_lo, at_hi = (n / self.elements for n in self.ends)
        return Range(self.name, node, origin, self.tensor, histogram, at_lo, at_hi, constant)

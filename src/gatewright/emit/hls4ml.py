# SPDX-License-Identifier: Apache-2.0
"""Integer graph -> a project of hls4ml's Vitis backend that computes the same integers with hls4ml's own layers.

First a plan, which needs no hls4ml: every node's layers (an operator says itself which they are), joined by reshapes.
Then hls4ml makes its model of the plan and writes its project, which comes back as files.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from gatewright.emit.files import FileSet
from gatewright.errors import ConfigError, MissingToolError, ToolError, UnsupportedError
from gatewright.ir.graph import Graph, Node
from gatewright.ir.hls4ml import WIDEST, Layer, Layers, Windows, limits_of
from gatewright.ir.op import divisors
from gatewright.ir.types import Tensor

STAMP = "gatewright"
"""In place of the random name that hls4ml gives every library it builds: one graph gives one project."""

COPIES = 7
"""Readers of a stream that hls4ml's layer for forks knows."""


@dataclass(frozen=True, eq=False)
class Placed:
    """A layer in its place.

    Attributes:
        name: unique, also when lower-cased.
        reads: names of the layers that it reads.
        node: name of the graph's node that it belongs to.
    """

    name: str
    layer: Layer
    reads: tuple[str, ...]
    node: str


@dataclass(frozen=True, eq=False)
class Plan:
    """Layers in an order in which they can run.

    Attributes:
        name: of the project and of its top function.
        inputs: names of the layers that are the graph's inputs, in order.
        outputs: by tensor that leaves the hardware, the name of the layer that gives it.
        streams: tensors are streams; where there are images, hls4ml unrolls the loops over arrays.
    """

    name: str
    layers: tuple[Placed, ...]
    inputs: tuple[str, ...]
    outputs: Mapping[str, str]
    streams: bool

    def sizes(self, names: Iterable[str]) -> list[int]:
        """Elements a frame of the outputs of layers."""
        return [next(p.layer.result.size for p in self.layers if p.name == name) for name in names]

    @property
    def products(self) -> int:
        """Multiplications of a frame."""
        summing = [p.layer for p in self.layers if p.layer.accumulator is not None]
        return sum(w.size * (x.result.size // x.result.channels) for x in summing for w in x.weights.values())


def plan(graph: Graph) -> Plan:
    """The layers of a lowered graph.

    Raises:
        UnsupportedError: hls4ml has no layer for an operator; names the node.
    """
    planner = _Planner(any(len(t.shape) > 1 for t in graph.tensors.values()))
    for item in graph.inputs:
        planner.enter(item.name, item.tensor)
    for node in graph.nodes:
        planner.add(node)
    outputs = {tensor: planner.leave(tensor, name) for tensor, name in graph.leaving.items()}
    planner.check_forks(outputs)
    return Plan(f"{graph.name}_hls4ml", tuple(planner.placed), tuple(planner.entered), outputs, planner.streams)


@dataclass
class _Planner:
    """Places layers.

    Attributes:
        streams: whether tensors are streams.
        made: by tensor, the layer that gives it.
        windows: by tensor, the windows of that layer's output that it stands for.
    """

    streams: bool
    placed: list[Placed] = field(default_factory=list)
    entered: list[str] = field(default_factory=list)
    made: dict[str, str] = field(default_factory=dict)
    windows: dict[str, Windows] = field(default_factory=dict)

    def enter(self, tensor: str, kind: Tensor) -> None:
        """An input of the graph."""
        layer = Layer("Input", kind, {"input_shape": list(kind.shape)})
        self.made[tensor] = self._place(layer, (), tensor)
        self.entered.append(self.made[tensor])

    def add(self, node: Node) -> None:
        """The layers of a node."""
        windows = next((self.windows[t] for t in node.inputs if t in self.windows), None)
        found = _layers(node, windows)
        made = [self.made[t] for t in node.inputs]
        if windows is None:
            kind = found.layers[0].kind if found.layers else ""
            made = [self._shaped(m, t.shape, kind, node.name) for m, t in zip(made, node.op.inputs, strict=True)]
        for layer in found.layers:
            made = [self._place(layer, tuple(made), node.name)]
        (self.made[node.outputs[0]],) = made
        if found.windows is not None:
            self.windows[node.outputs[0]] = found.windows

    def leave(self, tensor: str, output: str) -> str:
        """The layer that gives a tensor which leaves."""
        if tensor in self.windows:
            raise UnsupportedError(output, "hls4ml has no layer that gives windows themselves")
        if self.made[tensor] in self.entered:
            raise UnsupportedError(output, "it is an input as it came, and hls4ml has no project without layers")
        return self.made[tensor]

    def check_forks(self, outputs: Mapping[str, str]) -> None:
        """Refuse a stream of more readers than hls4ml copies one for."""
        readers = Counter([r for p in self.placed for r in p.reads] + list(outputs.values()))
        for placed in self.placed:
            if self.streams and readers[placed.name] > COPIES:
                raise UnsupportedError(
                    placed.node, f"hls4ml makes at most {COPIES} copies of a stream, not {readers[placed.name]}"
                )

    def _shaped(self, made: str, shape: tuple[int, ...], reader: str, node: str) -> str:
        """The layer, or a reshape behind it."""
        have = next(p.layer.result for p in self.placed if p.name == made)
        if have.shape == shape:
            return made
        # Dense layers gather the words of a stream by themselves; others need words of their own width.
        kind = "Repack" if self.streams and reader != "Dense" else "Reshape"
        return self._place(
            Layer(kind, replace(have, shape=shape, scale=1.0), {"target_shape": list(shape)}), (made,), node
        )

    def _place(self, layer: Layer, reads: tuple[str, ...], node: str) -> str:
        for what, limits in (("its output", layer.limits), *((k, limits_of(v)) for k, v in layer.weights.items())):
            if max(-limits.lo, limits.hi) >= 1 << WIDEST:
                raise UnsupportedError(
                    node,
                    f"{what} of {limits.lo}..{limits.hi}: hls4ml's simulation passes integers as doubles, which hold "
                    f"less than 2**{WIDEST}",
                )
        name = f"l{len(self.placed)}_{layer.function or layer.kind}".lower()
        self.placed.append(Placed(name, layer, reads, node))
        return name


def _layers(node: Node, windows: Windows | None) -> Layers:
    """What a node says of itself, or the refusal."""
    try:
        found = node.op.hls4ml() if windows is None else node.op.hls4ml_of_windows(windows)
    except ConfigError as error:
        raise UnsupportedError(node.name, str(error)) from error
    if found is None:
        what = f"{node.op.name()!r}{'' if windows is None else ' of windows'}"
        raise UnsupportedError(node.name, f"hls4ml has no layer that computes {what}")
    return found


# --- hls4ml's project -------------------------------------------------------------------------------------------------


def emit(design: Plan, part: str, clock_ns: float) -> FileSet:
    """The files of the project that hls4ml writes for a plan.

    Args:
        part: the chip, as the vendor calls it.
        clock_ns: period of the clock in nanoseconds.

    Raises:
        MissingToolError: hls4ml is not installed.
        ToolError: hls4ml rejects the plan.
    """
    try:
        from hls4ml.model import ModelGraph

        from gatewright.emit.hls4ml_extension import registered
    except ImportError as error:
        raise MissingToolError(f"hls4ml cannot be imported ({error}): pip install 'gatewright[hls4ml]'") from error
    said = io.StringIO()
    functions = sorted({p.layer.function for p in design.layers if p.layer.function})
    with registered(functions), tempfile.TemporaryDirectory(prefix="gatewright-") as folder:
        try:
            with contextlib.redirect_stdout(said):
                model = ModelGraph.from_layer_list(
                    _config(design, folder, part, clock_ns),
                    [_description(p) for p in design.layers],
                    list(design.inputs),
                    list(design.outputs.values()),
                )
                model.write()
        except Exception as error:  # hls4ml raises bare exceptions
            raise ToolError(f"hls4ml rejects {design.name!r}: {error}") from error
        return _files(Path(folder), str(model.config.config["Stamp"]))


def _description(placed: Placed) -> dict[str, Any]:
    """A layer as hls4ml's converters describe it."""
    layer = placed.layer
    weights = {f"{n}_data": np.ldexp(values.astype(np.float64), -layer.fraction) for n, values in layer.weights.items()}
    own = {"function": layer.function, "out_shape": list(layer.result.shape)} if layer.function else {}
    return {
        "class_name": layer.kind,
        "name": placed.name,
        "inputs": list(placed.reads),
        **layer.attributes,
        **weights,
        **own,
    }


def _precisions(layer: Layer) -> dict[str, str]:
    """Exact types by hls4ml's names."""
    types = {name: limits_of(values).precision(layer.fraction) for name, values in layer.weights.items()}
    if "depthwise" in types:  # hls4ml names this array otherwise than its type
        types["weight"] = types["depthwise"]
    if layer.accumulator is not None:
        types["accum"] = layer.accumulator.precision()
    return types | {"result": layer.limits.precision(modes=",AP_RND_CONV,AP_SAT" if layer.rounds else "")}


def reuse_factor(inputs: int, outputs: int, wanted: int) -> int:
    """The largest reuse up to `wanted` that hls4ml's matrix products can have.

    It divides the inputs, or is all inputs times a divisor of the outputs. hls4ml would take the nearest one, and
    then a pointwise convolution the one that was asked for after all.
    """
    legal = {*divisors(inputs), *(inputs * d for d in divisors(outputs))}
    return max(n for n in legal if n <= wanted)


def _folding(layer: Layer) -> dict[str, Any]:
    """At least as many multipliers as the design has."""
    if layer.reuse == 1:
        return {}
    ((name, weight),) = layer.weights.items()
    outputs = layer.result.channels
    reuse = reuse_factor(weight.size // (1 if name == "depthwise" else outputs), outputs, layer.reuse)
    return {"ReuseFactor": reuse, "Strategy": "resource"} if reuse > 1 else {}


def _config(design: Plan, folder: str, part: str, clock_ns: float) -> dict[str, Any]:
    by_name = {p.name: {"Precision": _precisions(p.layer)} | _folding(p.layer) for p in design.layers}
    model = {"Precision": {"default": "ap_fixed<32,32>"}, "ReuseFactor": 1, "Strategy": "Latency"}
    return {
        "Backend": "Vitis",
        "ProjectName": design.name,
        "OutputDir": folder,
        "Part": part,
        "ClockPeriod": clock_ns,
        "IOType": "io_stream" if design.streams else "io_parallel",
        "HLSConfig": {"Model": model, "LayerName": by_name},
        "WriterConfig": {"Namespace": None, "WriteWeightsTxt": True, "WriteTar": False, "TBOutputStream": "both"},
    }


def _files(folder: Path, stamp: str) -> FileSet:
    """What lies in a folder, without the names that hls4ml makes up."""
    files = FileSet()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        text = path.read_text().replace(stamp, STAMP).replace(str(folder), ".")
        files.add(str(path.relative_to(folder)), text)
    return files

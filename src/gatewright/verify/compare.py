# SPDX-License-Identifier: Apache-2.0
"""Two stages without hardware, tensor by tensor: the executed model and golden, golden and the design."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from gatewright.build import Build
from gatewright.design.cycles import simulate
from gatewright.design.fifos import size_fifos
from gatewright.design.plan import PREDICTED_FRAMES
from gatewright.design.structure import LEAST_DEPTH
from gatewright.errors import DesignError, ModelError
from gatewright.frontend.importer import load_model
from gatewright.ir.chain import evaluate, quantize
from gatewright.ir.graph import Graph, GraphOutput
from gatewright.ir.importing import Value, output_affine, unique_name
from gatewright.ir.types import FloatArray, IntArray, Tensor
from gatewright.ops.activation import Activation
from gatewright.verify.check import Case
from gatewright.verify.divergence import Divergence, Step, extent, first_place
from gatewright.verify.edits import edited_fields
from gatewright.verify.onnx_values import execute
from gatewright.verify.trace import CHUNK, Provenance

TIE = 1e-6
"""How near a rounding boundary float32 may fall to the other side, relative to the greatest value."""

Frames = npt.NDArray[np.bool_]


def blame(case: Case, provenance: Provenance, graph: Graph, found: Divergence, file: str) -> Divergence:
    """A difference with the node that writes its tensor, what the model calls it, and what was edited about it.

    Args:
        file: of the graph, whose fields may have been edited.
    """
    node = next((n for n in graph.nodes if found.tensor in n.outputs), None)
    name, operator = (found.tensor, "input") if node is None else (node.name, node.op.name())
    hints = edited_fields(case.build, file).get(name, [])
    origin = provenance.where(graph, found.tensor)
    return replace(found, node=name, operator=operator, part=name, origin=origin, hints=(*found.hints, *hints))


def spans(case: Case, name: str) -> Iterator[slice]:
    """The frames, some at a time."""
    for start in range(0, case.frames, CHUNK):
        case.progress(name, start, case.frames)
        yield slice(start, start + CHUNK)


def reordered(first: IntArray, second: IntArray) -> tuple[str, ...]:
    """Whether frames that differ hold the same values in another order."""
    wrong = (first != second).any(axis=1)
    same = np.array_equal(np.sort(first[wrong], axis=1), np.sort(second[wrong], axis=1))
    return ("every frame holds the same values in another order: look at layouts",) if wrong.any() and same else ()


def damaged(build: Build, stages: tuple[str, str], file: str, error: ModelError) -> Step:
    """A graph that cannot be read any more: what in its file is not as it was made."""
    edits = edited_fields(build, file)
    rows = tuple(row for rows in edits.values() for row in rows)
    found = Divergence(stages, "damage", next(iter(edits), ""), "", file, "", str(error), hints=rows)
    return Step(stages, "differ", divergence=found)


# --- golden and the design --------------------------------------------------------------------------------------------


def compare_design(case: Case, provenance: Provenance) -> Step:
    """The lowered and folded graph against the definitions of the imported one, tensor by tensor."""
    stages, golden = ("golden", "design"), case.build.model_graph
    try:
        design = case.build.design_graph
    except ModelError as error:
        return damaged(case.build, stages, "design.json", error)
    shared = [t for t in golden.tensors if t in design.tensors]
    for part in spans(case, "design against golden"):
        integers = [x[part] for x in case.integers]
        want, have = golden.run(*integers), design.run(*integers)
        for tensor in shared:
            first, second = (v[tensor].reshape(len(integers[0]), -1) for v in (want, have))
            place = first_place(first, second, golden.tensors[tensor], part.start)
            if place is not None:
                equal = all(np.array_equal(want[o.tensor].ravel(), have[o.tensor].ravel()) for o in golden.outputs)
                text, order = extent(first, second, golden.tensors[tensor].channels), reordered(first, second)
                found = Divergence(stages, "value", "", "", "", tensor, text, place, hints=order, outputs_equal=equal)
                found = blame(case, provenance, design, found, "design.json")
                return Step(stages, "differ", place.frame, len(shared), divergence=found)
    off = _prediction(case.build, stages)
    return Step(stages, "agree" if off is None else "differ", case.frames, len(shared), divergence=off)


def _prediction(build: Build, stages: tuple[str, str]) -> Divergence | None:
    """A design whose cycles are no longer those of its prediction: which FIFOs are not as deep as they must be."""
    said, graph = build.summary(), build.design_graph
    try:
        timing = simulate(build.structure, PREDICTED_FRAMES)
        if (timing.interval, timing.latency) == (said["interval_cycles"], said["latency_cycles"]):
            return None
        text = f"interval and latency are {timing.interval} and {timing.latency} cycles by the cycle model, "
    except DesignError as error:
        text = f"{error}; "
    text += f"where prediction.json says {said['interval_cycles']} and {said['latency_cycles']}"
    needed = size_fifos(replace(graph, depths={})).depths
    short = [e for e in graph.edges() if graph.depths.get(e, LEAST_DEPTH) < needed.get(e, LEAST_DEPTH)]
    hints = tuple(
        f"design.json gives the FIFO from {e.tensor} to {e.consumer} a depth of {graph.depths.get(e, LEAST_DEPTH)}, "
        f"where {needed[e]} is computed"
        for e in short
    )
    node, tensor = (short[0].consumer, short[0].tensor) if short else ("", "")
    return Divergence(
        stages,
        "timing",
        node,
        "fifo",
        f"{node}_fifo{short[0].port}" if short else "design.json",
        tensor,
        text,
        hints=hints,
    )


# --- the model's own execution and golden -----------------------------------------------------------------------------


def compare_model(case: Case, provenance: Provenance) -> Step:
    """The model, executed by qonnx or onnxruntime, against golden: every tensor that integers stand for."""
    stages, run = ("onnx", "golden"), _ModelRun(case, provenance)
    for part in spans(case, "golden against the model"):
        found = run.compare(part)
        if found is not None:
            frames = part.start if found.place is None else found.place.frame
            return Step(stages, "differ", frames, len(run.tensors), run.ties, divergence=found)
    return Step(stages, "agree", case.frames, len(run.tensors), run.ties)


@dataclass
class _ModelRun:
    """Ties are counted and left out, and their frames with them in all that follows."""

    case: Case
    provenance: Provenance
    ties: int = 0
    tensors: set[str] = field(default_factory=set)

    @property
    def graph(self) -> Graph:
        return self.case.build.model_graph

    @cached_property
    def model(self) -> Any:
        return load_model(self.case.build.directory / "model.onnx")

    @cached_property
    def known(self) -> Mapping[str, list[tuple[str, Value]]]:
        """Per tensor of integers the model's tensors that are it but for a scale and an offset."""
        found: dict[str, list[tuple[str, Value]]] = {}
        written = {name for origin in self.provenance.nodes.values() for name in origin.outputs}
        for name, value in sorted(self.provenance.values.items(), key=lambda item: len(item[1].steps)):
            affine = output_affine(value) if name in written else None
            if affine is not None and np.all(affine[0] != 0):
                found.setdefault(value.tensor, []).append((name, value))
        return found

    def compare(self, part: slice) -> Divergence | None:
        """The first difference in some frames."""
        theirs = execute(self.model, [x[part] for x in self.case.inputs])
        ours = self.graph.run(*(x[part] for x in self.case.integers))
        clean = np.ones(len(self.case.integers[0][part]), np.bool_)
        for tensor, type_ in self.graph.tensors.items():
            codes = self._codes(tensor, theirs, len(clean) * type_.size)
            if codes is None:
                continue
            self.tensors.add(tensor)
            found = self._tensor(tensor, type_, ours, codes, clean, part)
            if found is not None:
                return found
        return self._outputs(theirs, ours, clean, part.start)

    def _codes(self, tensor: str, theirs: Mapping[str, npt.NDArray[Any]], size: int) -> FloatArray | None:
        """What the model has for a tensor, in steps; None where it has nothing, or only codes of its own."""
        for name, value in self.known.get(tensor, []):
            real = theirs.get(name)
            if real is not None and real.size == size and real.dtype.kind == "f":
                return _codes(real, value)
        return None

    def _tensor(
        self, tensor: str, type_: Tensor, ours: Mapping[str, IntArray], theirs: FloatArray, clean: Frames, part: slice
    ) -> Divergence | None:
        """The first difference of a tensor that is no tie; `clean` loses the frames that have ties."""
        mine = ours[tensor].reshape(len(clean), -1)
        wrong = _beyond(theirs, mine) & clean[:, None]
        if wrong.any():
            tie = wrong & self._ties(tensor, ours, np.rint(theirs), part)
            self.ties += int(tie.sum())
            clean &= ~tie.any(axis=1)
            wrong &= clean[:, None]
        if not wrong.any():
            return None
        other = np.where(wrong, np.rint(theirs), mine).astype(np.int64)
        place, text = first_place(other, mine, type_, part.start), extent(other, mine, type_.channels)
        hints = reordered(other, mine)
        found = Divergence(("onnx", "golden"), "value", "", "", "", tensor, text, place, hints=hints)
        return blame(self.case, self.provenance, self.graph, found, "graph.json")

    def _ties(self, tensor: str, ours: Mapping[str, IntArray], theirs: FloatArray, part: slice) -> Frames:
        """Where golden's quantiser would give what the model has, had its operand been off by float32's error."""
        node = next((n for n in self.graph.nodes if tensor in n.outputs), None)
        if node is not None and not isinstance(node.op, Activation):
            return np.zeros(theirs.shape, np.bool_)
        if node is None:
            item = next(i for i in self.graph.inputs if i.name == tensor)
            x = self.case.inputs[self.graph.inputs.index(item)][part].astype(np.float64)
            ends = [item.quantize(x + sign * TIE * max(1.0, float(np.abs(x).max()))) for sign in (-1, 1)]
        else:
            op = node.op
            assert isinstance(op, Activation)  # noqa: S101  # by the test above
            source = ours[node.inputs[0]].reshape(-1, *op.source.shape)
            real = evaluate(op.steps, source.astype(np.float64) * np.asarray(op.source.scale))
            error = TIE * max(float(np.max(op.scale)), float(np.abs(real).max()))
            settings = (op.scale, op.quant_lo, op.quant_hi, op.bipolar, op.rounding)
            ends = [quantize(real + sign * error, *settings) for sign in (-1, 1)]
        low, high = (end.reshape(theirs.shape) for end in ends)
        return (np.minimum(low, high) <= theirs) & (theirs <= np.maximum(low, high))

    def _outputs(
        self, theirs: Mapping[str, npt.NDArray[Any]], ours: Mapping[str, IntArray], clean: Frames, start: int
    ) -> Divergence | None:
        """The first difference of the model's own outputs, where they are integers but for a scale and an offset."""
        for info in self.model.graph.output:
            item = next((o for o in self.graph.outputs if o.name == unique_name(info.name, set())), None)
            real = theirs.get(info.name)
            if item is None or item.steps or item.host or real is None or real.shape[1:] != item.frame:
                continue
            mine = ours[item.tensor].reshape(len(clean), -1)
            codes = _output_codes(real, item)
            wrong = _beyond(codes, mine) & clean[:, None]
            if wrong.any():
                other = np.where(wrong, np.rint(codes), mine).astype(np.int64)
                type_ = self.graph.tensors[item.tensor]
                text = f"{extent(other, mine, type_.channels)} of the output {item.name!r}: its scale, offset or layout"
                place = first_place(other, mine, type_, start)
                found = Divergence(("onnx", "golden"), "output", "", "", "", item.tensor, text, place)
                found = blame(self.case, self.provenance, self.graph, found, "graph.json")
                hints = edited_fields(self.case.build, "graph.json").get(item.name, [])
                return replace(found, part=item.name, operator="output", hints=(*found.hints, *hints))
        return None


def _beyond(codes: FloatArray, mine: IntArray) -> Frames:
    """Where float32 values, in steps, are not the integers: its sums are off by parts of a step, wrong ones by one."""
    return np.asarray(np.abs(codes - mine) > 0.5 + TIE * np.abs(codes).max(initial=0.0))


def _codes(real: npt.NDArray[Any], value: Value) -> FloatArray:
    """A model's tensor in steps and in the layout of its integers: float64 of shape (frames, elements)."""
    affine = output_affine(value)
    assert affine is not None  # noqa: S101  # others are not known
    flat = real.reshape(len(real), -1)[:, value.index.ravel()].reshape(len(real), *value.index.shape)
    return np.asarray(((flat.astype(np.float64) - affine[1]) / affine[0]).reshape(len(real), -1))


def _output_codes(real: npt.NDArray[Any], item: GraphOutput) -> FloatArray:
    flat = real.reshape(len(real), -1)[:, item.index.ravel()].reshape(len(real), *item.index.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        codes = (flat.astype(np.float64) - item.offset) / item.scale
    return np.asarray(np.nan_to_num(codes).reshape(len(real), -1))

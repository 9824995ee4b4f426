# SPDX-License-Identifier: Apache-2.0
"""A model's golden integers against what others' tools compute, and its RTL against golden."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from gatewright.build import compile_model
from gatewright.frontend.importer import from_onnx
from gatewright.ir.graph import Graph
from gatewright.sim.model import Traffic
from gatewright.sim.rtl import run_rtl

from . import execute

Array = npt.NDArray[Any]
SAME = 1e-6
"""Of the largest output: the most that outputs of equal integers differ by, through the host's arithmetic."""


@dataclass(frozen=True)
class Difference:
    """How far golden is from another tool's outputs.

    Attributes:
        outputs, differing: elements compared, and those that differ.
        frames, frames_differing: the same by frame.
        largest: difference, in the other tool's units.
    """

    outputs: int
    differing: int
    frames: int
    frames_differing: int
    largest: float


def predict(graph: Graph, frames: Array) -> Array:
    """The first output of an imported graph."""
    parts = [graph.predict(frames[i : i + execute.CHUNK])[0] for i in range(0, len(frames), execute.CHUNK)]
    return np.concatenate(parts)


def difference(golden: Array, other: Array, tolerance: float) -> Difference:
    """Elements that differ by more than `tolerance` times the largest output."""
    assert golden.shape == other.shape
    far = np.abs(golden - other)
    differing = far > tolerance * np.abs(other).max()
    per_frame = differing.reshape(len(far), -1).any(axis=1)
    return Difference(far.size, int(differing.sum()), len(far), int(per_frame.sum()), float(far.max()))


def against_definition(model: onnx.ModelProto, frames: Array) -> Difference:
    """Golden against the model's own meaning in float64; no difference is allowed."""
    return difference(predict(from_onnx(model), frames), execute.run_exactly(model, frames), SAME)


def against_float32(model: onnx.ModelProto, frames: Array) -> Difference:
    """Golden against onnxruntime or qonnx in float32; rounding ties may fall on the other side."""
    return difference(predict(from_onnx(model), frames), execute.run(model, frames), 1e-5)


@dataclass(frozen=True)
class Hardware:
    """What RTL gave: frames, exact ones among them, cycles and their predictions."""

    frames: int
    exact: int
    interval: int | None
    predicted_interval: int
    latency: int
    predicted_latency: int


def run_hardware(
    model: onnx.ModelProto, frames: Array, folder: Path, *, board: str, fps: float, stall: float = 0.0
) -> Hardware:
    """Compile, and run frames through the RTL, with random stalls if wanted."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(folder / "model.onnx"))
    build = compile_model(folder / "model.onnx", board, fps=fps, output=folder / "build")
    integers = build.model_graph.quantize(frames)
    golden = build.model_graph.reference(*integers)
    run = run_rtl(build.structure, build.rtl, integers, Traffic(in_stall=stall, out_stall=stall, seed=1))
    pairs = zip(run.outputs, golden, strict=True)
    same = [(a.reshape(len(a), -1) == b.reshape(len(b), -1)).all(axis=1) for a, b in pairs]
    predicted = build.summary()
    return Hardware(
        len(frames), int(np.logical_and.reduce(same).sum()), run.interval, predicted["interval_cycles"], run.latency,
        predicted["latency_cycles"],
    )  # fmt: skip

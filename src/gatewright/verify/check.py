# SPDX-License-Identifier: Apache-2.0
"""`gatewright check`: one table that says of every stage what ran and whether its integers equal golden's."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gatewright.build import Array, Build, load_array, load_inputs
from gatewright.design.plan import PREDICTED_FRAMES
from gatewright.errors import ConfigError, DataError, GatewrightError, MissingTargetError, MissingToolError
from gatewright.ir.graph import Graph
from gatewright.ir.host import Values
from gatewright.ir.types import FloatArray, IntArray
from gatewright.progress import Progress, silent
from gatewright.sim.csim import run_csim
from gatewright.sim.rtl import RtlRun, run_rtl
from gatewright.sim.systemc import run_systemc
from gatewright.verify import record
from gatewright.verify.decision import Decision, decision

Status = Literal["ok", "failed", "not_run"]


@dataclass(frozen=True)
class StageResult:
    """What one stage showed.

    Attributes:
        name: of the stage.
        status: "ok" only if it ran and every integer equals golden's.
        reason: why it failed or did not run.
        frames: frames it ran.
        exact: frames all of whose output integers equal golden's; None where a stage has no integers.
        first_mismatch: output, position in the frame and both values of the first difference.
        accuracy: fraction of labels met; None without labels.
        max_float_error: largest difference of a real output from the trained model's; None where that is unknown.
        interval_cycles, latency_cycles: measured, with the predictions beside them.
        seconds: wall-clock time.
        parts: of a netlist, what each part of the design was made of.
        note: what a reader of an "ok" must know.
    """

    name: str
    status: Status
    reason: str = ""
    frames: int = 0
    exact: int | None = None
    first_mismatch: dict[str, Any] | None = None
    accuracy: float | None = None
    max_float_error: float | None = None
    interval_cycles: int | None = None
    latency_cycles: int | None = None
    predicted_interval_cycles: int | None = None
    predicted_latency_cycles: int | None = None
    seconds: float = 0.0
    parts: tuple[Mapping[str, Any], ...] | None = None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """All fields by name."""
        return asdict(self)

    def __str__(self) -> str:
        parts = [f"{self.name}: {self.status}"]
        if self.exact is not None:
            parts.append(f"{self.exact} of {self.frames} frames exact")
        if self.accuracy is not None:
            parts.append(f"accuracy {self.accuracy:.2%}")
        for what in ("interval", "latency"):
            measured, predicted = getattr(self, f"{what}_cycles"), getattr(self, f"predicted_{what}_cycles")
            if measured is not None:
                parts.append(f"{what} {measured} cycles (predicted {predicted})")
        return ", ".join(parts) + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, eq=False)
class Case:
    """What a stage runs on.

    Attributes:
        build: the build folder.
        inputs: float frames, one array an input.
        integers: the same, quantised as the host does it.
        golden: integer outputs of the imported graph.
        stored: the reference models' values of the output that decides (else of the first) for these frames, by name.
        labels: int64 classes, or None.
        requested: how many frames were asked for, or None: then a slow stage runs a few.
        asked: whether stages were asked for by name: then none is left out for what it costs.
        device: of the stage `board`, as `Accelerator` takes it; None simulates one.
    """

    build: Build
    inputs: tuple[npt.NDArray[np.generic], ...]
    integers: tuple[IntArray, ...]
    golden: tuple[IntArray, ...]
    stored: Mapping[str, FloatArray]
    labels: IntArray | None
    progress: Progress = silent
    requested: int | None = None
    asked: bool = True
    device: str | None = None

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.integers[0])

    def first(self, frames: int) -> Case:
        """The same with at most so many frames."""
        return replace(
            self,
            inputs=tuple(x[:frames] for x in self.inputs),
            integers=tuple(x[:frames] for x in self.integers),
            golden=tuple(x[:frames] for x in self.golden),
            stored={name: x[:frames] for name, x in self.stored.items()},
            labels=None if self.labels is None else self.labels[:frames],
        )

    @cached_property
    def decision(self) -> Decision:
        """The output that tells classes apart; the first where none does."""
        return decision(self.build.model_graph) or Decision()


def check(
    directory: str | Path,
    *,
    data: str | Path | Array | None = None,
    labels: str | Path | Array | None = None,
    frames: int | None = None,
    stages: Sequence[str] | None = None,
    device: str | None = None,
    progress: Progress = silent,
) -> list[StageResult]:
    """Run the same inputs through every stage of a build, and keep each stage's result in its `check.json`.

    Args:
        directory: a build folder.
        data: the network's own float inputs (frames, ...): an array, a `.npy`, or a `.npz` by input name; else those in
            the build.
        labels: integer classes, one a frame: an array or a `.npy`; else those in the build, where `data` is not given.
        frames: run at most so many.
        stages: names from `STAGES`; all by default.
        device: of the stage `board`, HOST or HOST:PORT of a board that serves PYNQ.remote, or a serial port; else it is
            simulated.
        progress: called with the name of each stage and its steps.

    Raises:
        ConfigError: no build folder, or an unknown stage.
        DataError: inputs or labels of the wrong shape, type or number.
    """
    names = [stages] if isinstance(stages, str) else stages
    wanted = tuple(STAGES) if names is None else tuple(dict.fromkeys(names))
    unknown = [s for s in wanted if s not in STAGES]
    if unknown or not wanted:
        raise ConfigError(f"stages {unknown or list(wanted)!r}: choose from {', '.join(STAGES)}")
    build = Build.open(Path(directory))
    for name in build.changed():
        progress(f"changed since it was compiled: {name}")
    case = replace(load_case(build, data, labels, frames, progress), asked=names is not None, device=device)
    results = [_run_stage(name, case) for name in wanted]
    record.store(build, [r.to_json() for r in results], "stored" if data is None else "given", progress)
    return results


def load_case(
    build: Build,
    data: str | Path | Array | None = None,
    labels: str | Path | Array | None = None,
    frames: int | None = None,
    progress: Progress = silent,
) -> Case:
    """What stages run on; arguments and errors are those of `check`."""
    if frames is not None and (not isinstance(frames, int) or frames < 1):
        raise ConfigError(f"frames={frames!r} must be an integer of at least 1")
    inputs = tuple(np.atleast_1d(x)[:frames] for x in load_inputs(build, data))
    integers = build.model_graph.quantize(*inputs)
    count = len(integers[0])
    if count < 1 or any(len(x) != count for x in integers):
        counts = [len(x) for x in integers]
        raise DataError(f"inputs hold {counts!r} frames: need at least one, equally many on every input")
    stored: dict[str, FloatArray] = {}
    if data is None:
        labels = build.data / "labels.npy" if labels is None and (build.data / "labels.npy").is_file() else labels
        stored = {n: _load_reference(build, n, count) for n in REFERENCES if (build.data / f"{n}.npy").is_file()}
    progress("golden")
    golden = build.model_graph.reference(*integers)
    classes = None if labels is None else _load_labels(labels, count, build.model_graph, capped=frames is not None)
    return Case(build, inputs, integers, golden, stored, classes, progress, frames)


def _load_reference(build: Build, name: str, frames: int) -> FloatArray:
    """Stored outputs of a reference model, of the shape of the output that decides."""
    path, graph = build.data / f"{name}.npy", build.model_graph
    array, shape = load_array(path), graph.outputs[(decision(graph) or Decision()).output].shape
    fits = isinstance(array, np.ndarray) and np.issubdtype(array.dtype, np.number) and array.shape[1:] == shape
    if not fits or len(array) < frames:
        raise DataError(f"{path}: need numbers of shape ({frames}, {', '.join(map(str, shape))}); remove or replace it")
    return np.asarray(array[:frames], np.float64)


def _load_labels(labels: str | Path | Array, frames: int, graph: Graph, *, capped: bool) -> IntArray:
    source = str(labels) if isinstance(labels, (str, Path)) else "labels"
    array = load_array(Path(labels)) if isinstance(labels, (str, Path)) else np.asarray(labels)
    if not isinstance(array, np.ndarray) or array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        what = f"shape {array.shape!r} and dtype {array.dtype}" if isinstance(array, np.ndarray) else "an .npz archive"
        raise DataError(f"{source}: {what}: need integer classes of shape (frames,)")
    if len(array) < frames or (len(array) > frames and not capped):
        raise DataError(f"{source}: {len(array)} labels for {frames} frames: give one label a frame")
    found = decision(graph)
    if found is None:
        names = ", ".join(o.name for o in graph.outputs)
        raise DataError(f"{source}: no output of the network ({names}) tells classes apart: check it without labels")
    classes = found.classes
    used = np.asarray(array[:frames], np.int64)
    if used.min() < 0 or used.max() >= classes:
        raise DataError(f"{source}: classes {used.min()}..{used.max()}, where the network tells 0..{classes - 1} apart")
    return used


def _run_stage(name: str, case: Case) -> StageResult:
    case.progress(name)
    start = time.perf_counter()
    try:
        result = STAGES[name](case)
    except (MissingTargetError, MissingToolError) as error:
        result = StageResult(name, "not_run", str(error))
    except GatewrightError as error:
        result = StageResult(name, "failed", str(error))
    return replace(result, seconds=round(time.perf_counter() - start, 3))


# --- stages ---------------------------------------------------------------------------------------------------------


def _reference(name: str) -> Callable[[Case], StageResult]:
    """A stage that reads the outputs which a trained model gave for the stored inputs."""

    def stage(case: Case) -> StageResult:
        outputs = case.stored.get(name)
        if outputs is None:
            return StageResult(name, "not_run", f"no outputs of the {name} model are stored for these inputs")
        return StageResult(name, "ok", frames=len(outputs), accuracy=case.decision.accuracy(outputs, case.labels))

    return stage


def _golden(case: Case) -> StageResult:
    """The folded design's integers, operator by operator, against the imported definitions."""
    outputs = case.build.design_graph.reference(*case.integers)
    return compare(case, "golden", outputs)


def _csim(case: Case) -> StageResult:
    """The emitted HLS project in C simulation: its values; a C program has no cycles."""
    build = case.build
    folder, bus = build.emitted("hls"), build.bus_bits
    return compare(case, "csim", run_csim(build.structure, folder, case.integers, bus, progress=case.progress))


def _systemc(case: Case) -> StageResult:
    """The emitted SystemC model at full speed, its cycles those of `sc_time`."""
    build = case.build
    run = run_systemc(build.structure, build.emitted("systemc"), case.integers, progress=case.progress)
    return timed(case, "systemc", run)


def _rtl(case: Case) -> StageResult:
    """The emitted Verilog in Verilator, at full speed."""
    return timed(case, "rtl", run_rtl(case.build.structure, case.build.rtl, case.integers, progress=case.progress))


def _netlist(name: str, simulator: str) -> Callable[[Case], StageResult]:
    """The design as Yosys' gates in one of the simulators of netlists."""

    def stage(case: Case) -> StageResult:
        from gatewright.verify.netlist import netlist_stage  # which uses what stands here

        return netlist_stage(case, name, simulator)

    return stage


def _kernel(case: Case) -> StageResult:
    """The kernel in Verilator, between a host and the board's memory."""
    from gatewright.verify.kernel import kernel_stage  # which uses what stands here

    return kernel_stage(case, "kernel")


def _hls4ml(case: Case) -> StageResult:
    """The design as a project of hls4ml, in its C simulation."""
    from gatewright.verify.hls4ml import hls4ml_stage  # which uses what stands here

    return hls4ml_stage(case, "hls4ml")


def _board(case: Case) -> StageResult:
    """The driver on a virtual board, or on a real one."""
    from gatewright.verify.board import board_stage  # which uses what stands here

    return board_stage(case, "board")


def timed(case: Case, name: str, run: RtlRun) -> StageResult:
    """A stage's result from what the hardware gave, its cycles against their prediction too."""
    predicted = case.build.summary()
    result = replace(
        compare(case, name, run.outputs),
        interval_cycles=run.interval,
        latency_cycles=run.latency,
        predicted_interval_cycles=predicted["interval_cycles"],
        predicted_latency_cycles=predicted["latency_cycles"],
    )
    return judged(result)


TOLERANCE = 0.02
"""How far measured cycles may be from their prediction, relatively."""


def judged(result: StageResult) -> StageResult:
    """A stage's result, failed where its cycles are not as predicted."""
    for what in ("interval", "latency"):
        measured, predicted = getattr(result, f"{what}_cycles"), getattr(result, f"predicted_{what}_cycles")
        settled = what == "latency" or result.frames >= PREDICTED_FRAMES
        if settled and (wrong := mispredicted(what, measured, predicted)):
            return replace(result, status="failed", reason=wrong) if result.status == "ok" else result
    return result


def mispredicted(what: str, measured: float | None, predicted: float | None) -> str:
    """Why cycles are not as predicted, where both are known; an interval counts once the pipeline is full."""
    if measured is None or predicted is None or abs(measured - predicted) <= TOLERANCE * predicted:
        return ""
    return f"{what} of {measured} cycles, where {predicted} were predicted: this hardware is not the design's"


def compare(case: Case, name: str, outputs: tuple[IntArray, ...]) -> StageResult:
    """A stage's result from its integer outputs."""
    same = np.ones(case.frames, np.bool_)
    first: dict[str, Any] | None = None
    for item, want, have in zip(case.build.model_graph.outputs, case.golden, outputs, strict=True):
        have = have.reshape(want.shape)
        wrong = np.argwhere(want != have)
        same[np.unique(wrong[:, 0])] = False
        if len(wrong) and first is None:
            at = tuple(int(i) for i in wrong[0])
            first = {"output": item.name, "frame": at[0], "index": at[1:], "golden": int(want[at]), name: int(have[at])}
    shaped = tuple(h.reshape(w.shape) for h, w in zip(outputs, case.golden, strict=True))
    real = case.build.model_graph.dequantize(*shaped)[case.decision.output]
    exact = int(same.sum())
    reason = f"{case.frames - exact} of {case.frames} frames differ from golden; first: {first}" if first else ""
    return StageResult(
        name,
        "failed" if first else "ok",
        reason,
        case.frames,
        exact,
        first,
        case.decision.accuracy(real, case.labels),
        _error(case, real),
    )


def _error(case: Case, outputs: Values) -> float | None:
    """Largest difference from the quantised model as it was trained; labels have none."""
    reference = case.stored.get("qat")
    if reference is None or reference.shape != outputs.shape or case.decision.labels:
        return None
    return float(np.abs(outputs - reference).max())


REFERENCES = ("float", "qat")
"""Models whose outputs a build may hold beside its inputs."""

STAGES: Mapping[str, Callable[[Case], StageResult]] = {
    **{n: _reference(n) for n in REFERENCES},
    "golden": _golden,
    "csim": _csim,
    "systemc": _systemc,
    "rtl": _rtl,
    "kernel": _kernel,
    "board": _board,
    "netlist": _netlist("netlist", "verilator"),
    "netlist_cxxrtl": _netlist("netlist_cxxrtl", "cxxrtl"),
    "hls4ml": _hls4ml,
}
"""Every stage by name, in the order of the chain."""

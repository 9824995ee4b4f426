# SPDX-License-Identifier: Apache-2.0
"""Runs an emitted design in Verilator: whole data sets through its AXI4-Stream ports."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from gatewright.design.feeds import feeds
from gatewright.design.structure import Structure
from gatewright.emit.rtl import top_ports
from gatewright.emit.taps import Tap, taps, watched_top
from gatewright.ir.graph import Graph
from gatewright.ir.types import IntArray
from gatewright.progress import Progress, silent
from gatewright.sim.model import DEFAULT_TIMEOUT, Group, MemoryPort, Model, Port, RunResult, Traffic
from gatewright.sim.verilator import Optimise, compile_model

PATIENCE = 4
"""Times the steps of all units, which no frame's latency exceeds at full speed."""

LONG_RUN = 2_000_000
"""Cycles times units from which the time of an optimised build comes back in the run."""


@dataclass(frozen=True, eq=False)
class RtlRun:
    """What the hardware gave.

    Attributes:
        outputs: per output of the graph, int64 of shape (frames, elements).
        result: all handshakes.
    """

    outputs: tuple[IntArray, ...]
    result: RunResult

    @property
    def latency(self) -> int:
        """First input handshake to last output handshake of the first frame, in cycles."""
        return int(self.result.last_output_cycle[0] - self.result.first_input_cycle[0])

    @property
    def interval(self) -> int | None:
        """Distance of the last two frames' last output handshakes in cycles; None for one frame."""
        ends = self.result.last_output_cycle
        return int(ends[-1] - ends[-2]) if len(ends) > 1 else None


def build_rtl(design: Structure, folder: Path, optimise: Optimise = "fast_run") -> Model:
    """Compile an emitted design.

    Args:
        folder: where the emitter's files lie.

    Raises:
        ToolError: Verilator or g++ is missing, or rejects the design.
    """
    sources = [*sorted((folder / "kernels").glob("*.sv")), folder / f"{design.name}.sv"]
    return compile_model(sources, design.name, group_of(design), folder=folder, optimise=optimise)


def group_of(design: Structure) -> Group:
    """The ports of a design's top level."""
    inputs, outputs = top_ports(design)
    memories = tuple(MemoryPort(f.prefix, f.stream, f.content, f.passes) for f in feeds(design))
    return Group(tuple(Port(*p) for p in inputs), tuple(Port(*p) for p in outputs), memories)


def build_watched(
    graph: Graph, design: Structure, folder: Path, *, trace: bool = False
) -> tuple[Model, tuple[Tap, ...]]:
    """Compile an emitted design as it lies in a folder, with every stream inside it on a monitor.

    Args:
        trace: able to write waveforms, which takes several times as long to compile.

    Raises:
        ConfigError: its top level is no longer what the emitter writes.
        ToolError: Verilator or g++ is missing, or rejects the design.
    """
    watched = taps(graph, design)
    with tempfile.TemporaryDirectory(prefix="gatewright-") as name:
        top = Path(name) / f"{design.name}.sv"
        top.write_text(watched_top((folder / top.name).read_text(), design.name, watched))
        model = compile_model(
            [*sorted((folder / "kernels").glob("*.sv")), top], design.name, group_of(design), folder=folder,
            trace=trace, monitors=[Port(t.prefix, t.stream) for t in watched],
        )  # fmt: skip
    return model, watched


def run_rtl(
    design: Structure,
    folder: Path,
    inputs: tuple[IntArray, ...],
    traffic: Traffic | None = None,
    progress: Progress = silent,
) -> RtlRun:
    """Compile an emitted design and stream integer frames through it.

    Args:
        inputs: per input, int64 of shape (frames, ...) in stream order.
        traffic: stalls and resets; full speed by default.
        progress: called with what is being done.

    Raises:
        ToolError: Verilator or g++ is missing.
        SimulationError: the design stalls or breaks the protocol.
    """
    progress("compiling the RTL")
    work = len(inputs[0]) * max(u.schedule.steps for u in design.units) * len(design.units)
    model = build_rtl(design, folder, "fast_run" if work > LONG_RUN else "fast_build")
    return stream(design, model, inputs, traffic, "running the RTL", progress)


def stream(
    design: Structure,
    model: Model,
    inputs: tuple[IntArray, ...],
    traffic: Traffic | None,
    label: str,
    progress: Progress = silent,
) -> RtlRun:
    """Stream integer frames through a compiled design; arguments and errors are those of `run_rtl`."""
    flat = [x.reshape(len(x), -1) for x in inputs]
    result = model.run(
        flat, patient(traffic or Traffic(), design), progress=lambda done, total: progress(label, done, total)
    )
    return RtlRun(tuple(result.outputs[i] for i in design.leaves), result)


def patient(traffic: Traffic, design: Structure) -> Traffic:
    """Traffic that waits for the longest frames of a design, also under stalls, unless it says how long to wait."""
    if traffic.timeout_cycles != DEFAULT_TIMEOUT:
        return traffic
    return replace(traffic, timeout_cycles=max(DEFAULT_TIMEOUT, PATIENCE * sum(u.schedule.steps for u in design.units)))

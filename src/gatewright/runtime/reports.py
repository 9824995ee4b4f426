# SPDX-License-Identifier: Apache-2.0
"""What `verify` and `benchmark` find, and how."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Sequence

import numpy as np
import numpy.typing as npt

from .bundle import Golden
from .errors import DataError
from .power import Sampler, power_rails, read_watts
from .state import link_lines

if TYPE_CHECKING:
    from .accelerator import Accelerator

FLOAT_TOLERANCE = 1e-9
"""Of functions on the host, relative to the size of a value: exp and its like differ in the last bits between
libraries. Scales and offsets do not."""
BATCHES = (1, 10, 100, 1000)
LEAST_RUNS, LEAST_SECONDS, MOST_RUNS = 3, 0.5, 200


@dataclass(frozen=True)
class OutputReport:
    """One output against its golden values.

    Attributes:
        exact: frames all of whose integers are golden's.
        first_mismatch: [frame, element, found, golden], or None.
        max_float_error: greatest difference of the model's own outputs; None where only positions come out.
    """

    name: str
    exact: int
    first_mismatch: tuple[int, int, int, int] | None
    max_float_error: float | None
    ok: bool


@dataclass(frozen=True)
class VerifyReport:
    """Golden frames, replayed.

    Attributes:
        frames: that were run.
        inputs_exact: whether this machine quantises the golden inputs to the golden integers.
        outputs: one entry an output.
        cycles_per_frame, latency_cycles: by the kernel's counters; None for a single frame.
        seconds: of the run.
    """

    name: str
    frames: int
    inputs_exact: bool
    outputs: tuple[OutputReport, ...]
    cycles_per_frame: float | None
    latency_cycles: int
    predicted_interval_cycles: int
    predicted_latency_cycles: int
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether everything is what golden says."""
        return self.inputs_exact and all(o.ok for o in self.outputs)

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"ok": self.ok, **asdict(self)}

    def __str__(self) -> str:
        lines = [f"{self.name}: {'ok' if self.ok else 'FAILED'}"]
        if not self.inputs_exact:
            lines.append("  inputs: this machine quantises them to other integers than golden's")
        for o in self.outputs:
            text = f"  {o.name}: {o.exact} of {self.frames} frames exact"
            if o.first_mismatch is not None:
                frame, element, found, golden = o.first_mismatch
                text += f"; first mismatch in frame {frame}, element {element}: {found}, golden {golden}"
            if o.max_float_error is not None:
                text += f", largest float error {o.max_float_error:.3g}"
            lines.append(text)
        if self.cycles_per_frame is not None:
            lines.append(
                f"  {self.cycles_per_frame:.1f} cycles a frame ({self.predicted_interval_cycles} predicted), the first "
                f"after {self.latency_cycles} (design alone: {self.predicted_latency_cycles})"
            )
        return "\n".join(lines)


@dataclass(frozen=True)
class Measurement:
    """A batch size.

    Attributes:
        runs: that were measured; times are medians.
        seconds: of one call of `run`.
        frames_per_second: by that.
        own_seconds: of it neither in pynq nor waiting for the kernel.
        pynq_seconds: in calls of pynq; of a board on a serial port, from requests to their answers.
        pynq_calls: in one call of `run`.
        kernel_seconds: by the kernel's cycle counter, of the batch's last piece.
        cycles_per_frame: likewise, between its first frame and its last; None for a single one.
        latency_cycles: likewise, until its first frame had left.
    """

    frames: int
    runs: int
    seconds: float
    frames_per_second: float
    own_seconds: float
    pynq_seconds: float
    pynq_calls: int
    kernel_seconds: float
    cycles_per_frame: float | None
    latency_cycles: int


@dataclass(frozen=True)
class BenchmarkReport:
    """Batches of several sizes.

    Attributes:
        watts: mean of every power rail while the largest batch ran; empty where the board measures none.
        idle_watts: before that.
        link: what went wrong on a serial line so far and was done again, by name; empty where there is none.
    """

    name: str
    mhz: float
    predicted_interval_cycles: int
    predicted_latency_cycles: int
    batches: tuple[Measurement, ...]
    watts: dict[str, float]
    idle_watts: dict[str, float]
    link: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            f"{self.name} at {self.mhz:g} MHz; predicted: {self.predicted_interval_cycles} cycles a frame, "
            f"{self.mhz * 1e6 / self.predicted_interval_cycles:,.0f} frames/s, latency {self.predicted_latency_cycles}",
            f"{'frames':>8} {'ms':>10} {'frames/s':>12} {'own us':>9} {'line us' if self.link else 'pynq us':>10} "
            f"{'calls':>6} {'cycles':>9}",
        ]
        for b in self.batches:
            cycles = "" if b.cycles_per_frame is None else f"{b.cycles_per_frame:.1f}"
            lines.append(
                f"{b.frames:>8} {b.seconds * 1e3:>10.3f} {b.frames_per_second:>12,.0f} {b.own_seconds * 1e6:>9.0f} "
                f"{b.pynq_seconds * 1e6:>10.0f} {b.pynq_calls:>6} {cycles:>9}"
            )
        for rail, watts in self.watts.items():
            lines.append(f"{rail}: {watts:.3f} W while running, {self.idle_watts.get(rail, 0.0):.3f} W before")
        return "\n".join(lines + link_lines(self.link))


def verify(accelerator: Accelerator, frames: int | None = None) -> VerifyReport:
    """Replay golden frames: integers must be equal, the model's outputs too but for the last bits of host functions.

    Args:
        frames: the first so many; None for all.
    """
    bundle = accelerator.bundle
    inputs, integers_in = bundle.golden("inputs"), bundle.golden("integers_in")
    integers_out, float_out = bundle.golden("integers_out"), bundle.golden("float_out")
    count = _count(inputs, frames)
    xs = {i.name: inputs[i.name][:count] for i in bundle.inputs}
    same = all(np.array_equal(i.quantize(xs[i.name]), integers_in[i.name][:count]) for i in bundle.inputs)
    began = time.perf_counter()
    found = accelerator.run(xs, integers_out=True)
    seconds = time.perf_counter() - began
    state = accelerator.state()
    reports = []
    for output in bundle.outputs:
        y = found[output.name]  # type: ignore[call-overload]  # a dict, because xs is one
        reports.append(_output_report(output.name, y, output.dequantize(y), integers_out, float_out, count))
    return VerifyReport(
        name=bundle.name,
        frames=count,
        inputs_exact=same,
        outputs=tuple(reports),
        cycles_per_frame=state.cycles_per_frame,
        latency_cycles=state.first_frame,
        predicted_interval_cycles=bundle.interval_cycles,
        predicted_latency_cycles=bundle.latency_cycles,
        seconds=seconds,
    )


def _count(inputs: Golden, frames: int | None) -> int:
    have = min(len(x) for x in inputs.values())
    if frames is not None and not frames > 0:
        raise DataError(f"frames={frames!r} must be at least 1")
    return have if frames is None else min(frames, have)


def _output_report(
    name: str, y: npt.NDArray[Any], real: npt.NDArray[Any], integers: Golden, floats: Golden, count: int
) -> OutputReport:
    golden = integers[name][:count].reshape(count, -1)
    flat = y.reshape(count, -1)
    wrong = flat != golden
    first = None
    if wrong.any():
        frame, element = np.argwhere(wrong)[0].tolist()
        first = (frame, element, int(flat[frame, element]), int(golden[frame, element]))
    want = floats[name][:count]
    error, close = None, bool(np.array_equal(real, want))
    if np.issubdtype(real.dtype, np.floating):
        with np.errstate(invalid="ignore"):  # infinite values, which are equal
            difference = np.where((real == want) | (np.isnan(real) & np.isnan(want)), 0.0, np.abs(real - want))
        error = float(difference.max()) if difference.size else 0.0
        close = bool(((difference == 0) | (difference <= FLOAT_TOLERANCE * np.maximum(1.0, np.abs(want)))).all())
    return OutputReport(name, int((~wrong.any(axis=1)).sum()), first, error, first is None and close)


def benchmark(accelerator: Accelerator, batches: Sequence[int] = BATCHES) -> BenchmarkReport:
    """Run golden inputs, repeated as needed, in batches of these sizes.

    Args:
        batches: frames.
    """
    bundle = accelerator.bundle
    if not batches or min(batches) < 1:
        raise DataError(f"batches={batches!r} must be numbers of at least 1")
    rails = power_rails() if accelerator.local else {}
    idle, watts = read_watts(rails), {}
    measured = []
    for frames in batches:
        xs = {i.name: _repeated(bundle.golden("inputs")[i.name], frames) for i in bundle.inputs}
        with Sampler(rails) as sampler:
            measured.append(_measure(accelerator, xs, frames))
        watts = sampler.mean()
    return BenchmarkReport(
        name=bundle.name,
        mhz=bundle.mhz,
        predicted_interval_cycles=bundle.interval_cycles,
        predicted_latency_cycles=bundle.latency_cycles,
        batches=tuple(measured),
        watts=watts,
        idle_watts=idle,
        link=dict(accelerator.state().link),
    )


def _repeated(x: npt.NDArray[Any], frames: int) -> npt.NDArray[Any]:
    return np.ascontiguousarray(x[np.arange(frames) % len(x)])


def _measure(accelerator: Accelerator, xs: Golden, frames: int) -> Measurement:
    accelerator.run(xs)  # allocates the buffers
    rows: list[tuple[float, float, float]] = []
    calls, spent = 0, 0.0
    while len(rows) < LEAST_RUNS or (spent < LEAST_SECONDS and len(rows) < MOST_RUNS):
        calls_before, pynq_before, waited_before = accelerator.counters
        began = time.perf_counter()
        accelerator.run(xs)
        seconds = time.perf_counter() - began
        calls_now, pynq_now, waited_now = accelerator.counters
        calls, pynq = calls_now - calls_before, pynq_now - pynq_before
        rows.append((seconds, seconds - pynq - (waited_now - waited_before), pynq))
        spent += seconds
    state = accelerator.state()
    seconds, own, pynq = (statistics.median(column) for column in zip(*rows))
    return Measurement(
        frames=frames,
        runs=len(rows),
        seconds=seconds,
        frames_per_second=frames / seconds,
        own_seconds=own,
        pynq_seconds=pynq,
        pynq_calls=calls,
        kernel_seconds=state.cycles / (accelerator.bundle.mhz * 1e6),
        cycles_per_frame=state.cycles_per_frame,
        latency_cycles=state.first_frame,
    )

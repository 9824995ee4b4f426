# SPDX-License-Identifier: Apache-2.0
"""The kernel as a board runs it: registers written, frames fetched from memory and written back, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from gatewright.boards import Board, load_board
from gatewright.design.plan import PREDICTED_FRAMES
from gatewright.emit.kernel_text import BUFFER_WORDS
from gatewright.runtime.kernel_map import KernelMap
from gatewright.runtime.types import Stream
from gatewright.sim.kernel import (
    KernelProcess,
    KernelRun,
    MemoryModel,
    buffer_bytes,
    build_kernel,
    check_hash,
    load_weights,
    run_batch,
)
from gatewright.sim.rtl import LONG_RUN, PATIENCE
from gatewright.sim.verilator import Optimise
from gatewright.verify.check import TOLERANCE, Case, StageResult, compare, judged, mispredicted

BATCH = 1000
"""Frames of a batch at most; the first is of one frame, whose latency is that of an empty pipe."""
START_CYCLES = 6
"""From the start of a batch of one frame to its first beat, where memory answers at once."""
LEAST_IMAGE = 8
"""Words of memory that a read master asks for as quickly as they can come, again and again."""
SPARE_CYCLES = 100_000
"""Beyond the prediction, before a batch is given up."""


def kernel_stage(case: Case, name: str) -> StageResult:
    """Compile the kernel, run all frames in batches and compare.

    Raises:
        GatewrightError: the build has no kernel or another design's; a tool is missing; the simulation breaks off.
    """
    build, summary = case.build, case.build.summary()
    kernel = build.kernel
    case.progress("compiling the kernel")
    model = build_kernel(build.directory, optimise(case))
    board = load_board(summary["board"])
    memory = MemoryModel.of_board(board, summary["mhz"])
    if board.memory_banked:
        memory = replace(memory, bytes=memory.bytes * len(kernel.ports))
    with model.start(memory) as process:
        check_hash(process, kernel)
        taken = load_weights(process, kernel, build.directory)
        runs = list(_batches(case, kernel, process, _room(board, kernel, len(process.memory) - taken), board))
    outputs = [np.concatenate(parts) for parts in zip(*(r.outputs for r in runs), strict=True)]
    longest = max(runs, key=lambda r: r.state.frames)
    interval = longest.interval if longest.state.frames >= PREDICTED_FRAMES else None
    predicted = predicted_pace(case, kernel, memory, longest.state.frames)
    result = replace(
        compare(case, name, tuple(outputs[i] for i in build.structure.leaves)),
        latency_cycles=runs[0].state.first_frame,
        predicted_latency_cycles=predicted_latency(kernel, memory, build.structure.inputs, summary["latency_cycles"]),
    )
    return paced(result, interval, predicted)


def optimise(case: Case) -> Optimise:
    """How a kernel is compiled for so many frames; the same for all stages, so that it is compiled once."""
    units = case.build.structure.units
    work = case.frames * max(u.schedule.steps for u in units) * len(units)
    return "fast_run" if work > LONG_RUN else "fast_build"


def paced(result: StageResult, interval: float | None, predicted: float | None) -> StageResult:
    """A result with its interval, which failed where that is not as predicted."""
    wrong = mispredicted("interval", interval, predicted)
    result = replace(result, status="failed", reason=wrong) if wrong and result.status == "ok" else judged(result)
    return replace(result, interval_cycles=_whole(interval), predicted_interval_cycles=_whole(predicted))


def _whole(cycles: float | None) -> int | None:
    return None if cycles is None else round(cycles)


def _room(board: Board, kernel: KernelMap, free: int) -> int:
    """Frames of a batch that a board's memory holds, of which so many bytes are free: all of it, or a bank a port."""
    if board.memory_banked:
        return min(board.memory_bytes // a.frame_bytes for a in kernel.arguments)
    return free // sum(buffer_bytes(a, 1) for a in kernel.arguments)


def _batches(case: Case, kernel: KernelMap, process: KernelProcess, room: int, board: Board) -> Iterator[KernelRun]:
    """All frames of a case: the first alone, the others in as few batches as the board's memory and `BATCH` allow."""
    summary = case.build.summary()
    banks = [process.base + i * board.memory_bytes for i in range(len(kernel.arguments))]
    most, done = 1, 0
    while done < case.frames:
        case.progress("running the kernel", done, case.frames)
        frames = min(most, case.frames - done)
        patience = PATIENCE * (summary["latency_cycles"] + frames * summary["interval_cycles"]) + SPARE_CYCLES
        inputs = [x[done : done + frames] for x in case.integers]
        yield run_batch(process, kernel, inputs, patience, banks if board.memory_banked else None)
        done += frames
        most = max(1, min(BATCH, room))


def predicted_pace(case: Case, kernel: KernelMap, memory: MemoryModel, frames: int) -> float | None:
    """`predicted_interval` of a build's design."""
    summary = case.build.summary()
    return predicted_interval(kernel, memory, summary["interval_cycles"], frames, case.build.streamed_bytes())


def predicted_interval(
    kernel: KernelMap, memory: MemoryModel, interval: int, frames: int, weights: Sequence[int] = ()
) -> float | None:
    """Cycles between frames of a batch: those of the design, or of the port whose frames take longest to pass.

    None where that is an output and the batch is short: its first frames leave the design for a buffer. None, too,
    where weights are so few that beginning with the first of them again may take longer than they last.

    Args:
        weights: bytes that a port reads for every frame, one number a port.
    """
    word = kernel.bus_bits // 8
    if any(w.image_bytes < LEAST_IMAGE * word for w in kernel.weights):
        return None
    inputs, outputs = memory.pace(kernel, weights)
    buffered = BUFFER_WORDS * word
    short = TOLERANCE / 2 * frames * max(a.frame_bytes for a in kernel.outputs) < buffered
    return None if outputs > max(interval, inputs) and short else max(interval, inputs, outputs)


def predicted_latency(kernel: KernelMap, memory: MemoryModel, inputs: Sequence[Stream], latency: int) -> int | None:
    """Cycles from the start of a batch of one frame to its last beat out of the design.

    Exact where memory gives every beat in the cycle in which the design could take it, as its own latency assumes; None
    where a port is narrower than a beat, or memory slower than the port.
    """
    word = kernel.bus_bits // 8
    if any(s.width > kernel.bus_bits for s in inputs) or (memory.bytes_per_cycle or word) < word:
        return None
    return START_CYCLES + memory.latency_cycles + latency

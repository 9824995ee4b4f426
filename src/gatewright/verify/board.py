# SPDX-License-Identifier: Apache-2.0
"""The stage `board`: the driver out of a bundle, with pynq or over a serial port, on a board or on a virtual one."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gatewright.board.bundle import BundleFiles, Golden, make_bundle
from gatewright.board.serving import virtual_board
from gatewright.boards import Board, load_board
from gatewright.build import Build
from gatewright.design.plan import PREDICTED_FRAMES
from gatewright.errors import ToolError
from gatewright.runtime.serial_protocol import BITS
from gatewright.sim.kernel import MemoryModel
from gatewright.sim.tools import find_tool, find_verilator
from gatewright.verify.check import Case, StageResult, compare
from gatewright.verify.kernel import optimise, paced, predicted_pace

CYCLES = 10_000_000
"""Of the board's clock that are simulated unless a number of frames is asked for: 30 s or so."""
DRIVER = """
import json, sys
import numpy as np
bundle, device, results = sys.argv[1:]
sys.path.insert(0, bundle)
from gatewright_runtime import Accelerator
from gatewright_runtime.errors import GatewrightError
try:
    with Accelerator(bundle, device) as accelerator:
        found = accelerator.run(accelerator.bundle.golden("inputs"), integers_out=True)
        state = accelerator.state()
except GatewrightError as error:
    print(json.dumps({"error": str(error)}))
    sys.exit(1)
np.savez(results, *found.values())
measured = [state.cycles_per_frame, state.first_frame, state.frames_done, state.cycles]
print(json.dumps({"outputs": list(found), "measured": measured}))
"""
"""What a user of the driver writes; it takes the bundle's own copy of it. Arguments: bundle, device, results (.npz)."""


def board_stage(case: Case, name: str) -> StageResult:
    """Make a bundle, serve it unless a device is named, run the driver in a process of its own, compare.

    Raises:
        GatewrightError: a target or a tool is missing, or the driver fails.
    """
    build, given = case.build, case.frames
    board = load_board(build.summary()["board"])
    for tool in ("pynq", "grpc") if board.uart_baud is None else ("pyserial",):
        find_tool(tool)
    if case.device is None:
        find_verilator()
        case = case.first(case.requested or max(1, CYCLES // cycles_a_frame(build, board)))
    golden = Golden(case.inputs, case.integers, case.golden)
    files = make_bundle(build, golden, virtual=case.device is None)
    if files.record["bitstream"] is None:
        title = files.record["title"]
        return StageResult(name, "not_run", f"{title} is no Zynq: its driver needs an .xclbin, which only Vitis links")
    with tempfile.TemporaryDirectory(prefix="gatewright-") as folder:
        files.write(Path(folder) / "bundle")
        with _device(case, Path(folder) / "bundle") as device:
            case.progress(f"running the driver on {device}")
            outputs, measured = _drive(Path(folder), device)
    return _result(case, name, files, outputs, measured, given)


def cycles_a_frame(build: Build, board: Board) -> int:
    """Cycles that a frame takes a simulation at least: those of the design, or of its bytes on a serial line."""
    interval, baud = max(1, int(build.summary()["interval_cycles"])), board.uart_baud
    if baud is None:
        return interval
    bits = BITS * sum(a.frame_bytes for a in build.kernel.arguments)
    return max(interval, round(bits * float(build.summary()["mhz"]) * 1e6 / baud))


@contextmanager
def _device(case: Case, bundle: Path) -> Iterator[str]:
    """The board that was asked for, as the driver is told it, or a virtual one."""
    if case.device is not None:
        yield case.device
        return
    board = virtual_board(bundle, optimise(case))
    board.start(case.progress)
    try:
        yield board.address
    finally:
        board.close()


def _drive(folder: Path, device: str) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """Integers by output, and what the kernel counted: cycles a frame, until the first, frames, cycles in all."""
    results = folder / "results.npz"
    command = [sys.executable, "-c", DRIVER, str(folder / "bundle"), device, str(results)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    last = (done.stdout.splitlines() or [""])[-1]
    said = (
        json.loads(last) if last.startswith("{") else {"error": done.stderr.strip() or f"exit status {done.returncode}"}
    )
    if "error" in said:
        raise ToolError(f"the driver on {device}: {said['error']}")
    with np.load(results, allow_pickle=False) as arrays:
        return {n: arrays[f"arr_{i}"] for i, n in enumerate(said["outputs"])}, tuple(said["measured"])


def _result(
    case: Case, name: str, files: BundleFiles, outputs: dict[str, Any], measured: tuple[Any, ...], given: int
) -> StageResult:
    pace, first, frames, cycles = measured
    result = compare(case, name, tuple(outputs[o.name] for o in case.build.model_graph.outputs))
    interval = pace if frames >= PREDICTED_FRAMES else None
    summary = case.build.summary()
    memory = MemoryModel.of_board(load_board(summary["board"]), summary["mhz"])
    designed = summary["interval_cycles"]
    predicted = predicted_pace(case, case.build.kernel, memory, frames)
    notes = [f"cycles by the kernel's own counters; {frames} frames in {cycles:,} cycles, the first after {first:,}"]
    if predicted is None or predicted > designed:
        notes.append(f"memory sets the pace: the design alone would take {designed:,} cycles a frame")
    if case.frames < given:
        notes.append(f"the first {case.frames} of {given} frames: --frames runs more")
    return paced(replace(result, note="; ".join(notes)), interval, predicted)

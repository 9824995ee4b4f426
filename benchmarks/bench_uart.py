# SPDX-License-Identifier: Apache-2.0
"""The driver over a serial port: the demonstration on a ULX3S, whose whole top level is simulated behind a
pseudo-terminal, pin by pin at its own baud rate.

Rates at the board's baud are those of the simulated clock, from the first bit of a batch to the last; the time that
USB and the operating system take between requests is not in them. The wire's own limit: nothing but frames, with no
gap between bytes and one direction at a time, as the protocol has it.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import OUT, report

from gatewright.board.bundle import bundle
from gatewright.board.serving import virtual_board
from gatewright.board.uart import SerialBoard
from gatewright.build import Build, compile_model
from gatewright.demo import run_demo
from gatewright.runtime import Accelerator
from gatewright.runtime.serial_protocol import BITS

BOARD = "ulx3s-85f"
BATCHES = (1, 10, 100, 360)


def row(accelerator: Accelerator, board: SerialBoard, build: Build, x: np.ndarray, frames: int) -> dict[str, Any]:
    """A batch, once its buffers are there and its registers written."""
    want = build.model_graph.predict(x[:frames])[0]
    accelerator.run(x[:frames])
    before, cycles, began = accelerator.state().link["bytes"], board.running.cycles, time.perf_counter()
    found = accelerator.run(x[:frames])
    seconds, cycles = time.perf_counter() - began, board.running.cycles - cycles
    link = accelerator.state().link
    assert np.array_equal(found, want)
    assert not any(count for what, count in link.items() if what not in ("requests", "bytes", "stray bytes")), link
    kernel, baud, mhz = accelerator.bundle.kernel, board.board.uart_baud, accelerator.bundle.mhz
    assert baud is not None
    payload = sum(a.frame_bytes for a in kernel.arguments)
    rate, limit = frames * mhz * 1e6 / cycles, baud / (BITS * payload)
    spent = accelerator.state().link["bytes"] - link["bytes"]
    return {
        "frames": frames, "exact": f"{int((found == want).all(axis=1).sum())} of {frames}",
        "bytes a frame": payload, "on the wire": (link["bytes"] - before - spent) / frames,
        "frames/s at the board's baud": rate, "limit of the wire": limit, "share": rate / limit,
        "frames/s simulated": frames / seconds,
    }  # fmt: skip


def main() -> None:
    """Compile the demonstration for the board, and run all its test images in batches of several sizes."""
    run_demo(OUT / "demo")
    build = compile_model(OUT / "demo" / "digits.onnx", BOARD, targets=["rtl", "kernel"], output=OUT / "demo-uart")
    data = np.load(next((OUT / "demo" / "data").glob("inputs.np*")))
    x = data if isinstance(data, np.ndarray) else data[data.files[0]]
    with tempfile.TemporaryDirectory() as folder:
        bundle(build.directory, data=x).write(Path(folder) / "bundle")
        with virtual_board(Path(folder) / "bundle", "fast_run") as board:
            assert isinstance(board, SerialBoard)
            with Accelerator(Path(folder) / "bundle", board.address) as accelerator:
                assert accelerator.verify().ok
                report("uart", [row(accelerator, board, build, x, frames) for frames in BATCHES])


if __name__ == "__main__":
    main()

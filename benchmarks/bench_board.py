# SPDX-License-Identifier: Apache-2.0
"""The virtual board through the real pynq library: one access to a register, buffers of several sizes, programming; and
cycles per frame of whole networks by the kernel's own counters.

Times are of the client's calls, on this machine's loopback interface; the network has little to do with them.
Cycles: as predicted, of the RTL alone, of the kernel between host and memory, and as the driver reads them on a board.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import OUT, fastest, report, served

from gatewright.board.bundle import bundle
from gatewright.board.serving import served as served_by_driver
from gatewright.build import Build, compile_model, store_data
from gatewright.demo import run_demo
from gatewright.verify import check
from networks import make

ACCESSES = 2000
SIZES = (4 << 10, 256 << 10, 4 << 20, 64 << 20)
BYTES = 256 << 20
"""Moved for each size, but at least three times and at most 200."""
BOARD, FPS = "pynq-z2", 20_000
DEMO_FRAMES, CNV_FRAMES = 360, 20


def median_us(work: Callable[[], object], times: int = ACCESSES) -> dict[str, float]:
    """Microseconds of a call: median, and the 95th of 100."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return {"median us": statistics.median(seconds) * 1e6, "95 % us": statistics.quantiles(seconds, n=20)[-1] * 1e6}


def calls(device: Any, record: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each kind of small call."""
    import pynq

    registers = pynq.MMIO(record["base_address"], record["kernel"]["control_bytes"], device=device)
    clocks = pynq.MMIO(0xF800_0000, 0x200, device=device)
    argument = record["kernel"]["inputs"][0]["register"]
    return [
        {"call": "MMIO read, kernel", **median_us(lambda: registers.read(argument))},
        {"call": "MMIO write, kernel", **median_us(lambda: registers.write(argument, 0))},
        {"call": "MMIO read, clock", **median_us(lambda: clocks.read(0x170))},
        {"call": "exists_file", **median_us(lambda: device.exists_file("/proc/version"))},
        {"call": "allocate and free", **median_us(lambda: pynq.allocate((4096,), "u1", target=device).freebuffer())},
    ]


def buffers(device: Any) -> list[dict[str, Any]]:
    """Megabytes a second of `flush` and `invalidate` for each size."""
    import pynq

    rows = []
    for size in SIZES:
        times = min(200, max(3, BYTES // size))
        with pynq.allocate((size,), "u1", target=device) as buffer:
            buffer[:] = np.random.default_rng(0).integers(0, 256, size, np.uint8)
            sent = np.array(buffer)
            flush, invalidate = (median_us(f, times)["median us"] for f in (buffer.flush, buffer.invalidate))
            assert np.array_equal(buffer, sent)
        rows.append({"bytes": size, "flush MB/s": size / flush, "invalidate MB/s": size / invalidate})
    return rows


# --- cycles -----------------------------------------------------------------------------------------------------------


def cycles(name: str, build: Build, frames: int) -> dict[str, Any]:
    """A network's row: every stage is exact, and its cycles agree within 2 %."""
    results = {r.name: r for r in check(build.directory, frames=frames, stages=["rtl", "kernel", "board"])}
    assert all(r.status == "ok" and r.exact == r.frames == frames for r in results.values()), results
    intervals = {stage: r.interval_cycles for stage, r in results.items()}
    predicted, mhz = build.summary()["interval_cycles"], build.summary()["mhz"]
    assert all(abs(measured - predicted) <= 0.02 * predicted for measured in intervals.values()), intervals
    with tempfile.TemporaryDirectory() as folder:
        bundle(build.directory, frames=frames).write(Path(folder) / "bundle")
        with served_by_driver(Path(folder) / "bundle") as accelerator:
            x = accelerator.bundle.golden("inputs")
            seconds = fastest(lambda: accelerator.run(x), 1)[1]
    return {
        "network": name, "frames exact": f"{frames} of {frames}", "predicted": predicted, **intervals,
        f"frames/s at {mhz:g} MHz": mhz * 1e6 / intervals["board"], "frames/s simulated": frames / seconds,
    }  # fmt: skip


def networks() -> list[dict[str, Any]]:
    """The demonstration with all its test images, and CNV W1A1."""
    run_demo(OUT / "demo")
    path, frames = make("cnv-w1a1", OUT / "networks")
    cnv = OUT / "networks" / "cnv-w1a1-kernel"
    build = compile_model(path, BOARD, fps=3000, targets=["rtl", "kernel"], output=cnv)
    store_data(build.data, inputs=np.resize(frames, (CNV_FRAMES, *frames.shape[1:])))
    return [cycles("demo", Build.open(OUT / "demo"), DEMO_FRAMES), cycles("cnv-w1a1", build, CNV_FRAMES)]


def main() -> None:
    """Compile TFC W1A1, serve it, and be its client; then cycles of whole networks."""
    warnings.simplefilter("ignore")
    import pynq
    from pynq.pl_server.remote_device import RemoteDevice

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, frames = make("tfc-w1a1", folder)
        compile_model(path, BOARD, fps=FPS, targets=["rtl", "kernel"], output=folder / "build")
        made = bundle(folder / "build", data=frames)
        made.write(folder / "bundle")
        with served(folder / "bundle") as port:
            start = time.perf_counter()
            device = RemoteDevice(0, "127.0.0.1", port)
            connected = time.perf_counter()
            pynq.Overlay(str(folder / "bundle" / made.record["bitstream"]["file"]), device=device)
            loaded = time.perf_counter()
            report("board_calls", calls(device, dict(made.record)))
            report("board_buffers", buffers(device))
            report("board_start", [{"connect s": connected - start, "Overlay s": loaded - connected}])
    report("board_cycles", networks())


if __name__ == "__main__":
    main()

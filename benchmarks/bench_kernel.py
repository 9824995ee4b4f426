# SPDX-License-Identifier: Apache-2.0
"""Kernels under stress, and how quickly they are simulated.

kernels        10,000 frames and more on 16 kernels: under stalls of every channel, errors of memory, silence and aborts
               between the batches; all of device memory is compared with golden's frames and what lay there before
kernel_speed   the demonstration's kernel beside its plain RTL, on the same frames: cycles in a second of processor time

Run with the checkout on PYTHONPATH, whose tests hold the networks.
"""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import OUT, report
from tests.sim.kernel_networks import CONFIGURATIONS
from tests.sim.kernel_stress import Stress

from gatewright.boards import load_board
from gatewright.build import Build
from gatewright.demo import BOARD, run_demo
from gatewright.runtime.kernel_map import KernelMap
from gatewright.sim.kernel import MemoryModel, build_kernel, run_batch
from gatewright.sim.rtl import build_rtl, stream

REPEATS = 10
"""Times the demonstration's 360 images."""


def kernels() -> list[dict[str, object]]:
    """A row per configuration."""
    rows: list[dict[str, object]] = []
    for name, configuration in CONFIGURATIONS.items():
        with tempfile.TemporaryDirectory() as folder:
            tally = Stress(configuration, Path(folder)).run(configuration.frames, seed=1)
        assert tally.interval is not None
        rows.append(
            {
                "kernel": name, "bus": configuration.bus_bits, "base": f"{configuration.base:#x}",
                "frames": tally.frames, "batches": tally.batches, "exact": tally.frames,
                "cycles/frame": round(tally.interval, 2), "predicted": round(tally.predicted, 2),
                "faults": sum(tally.faults.values()),
                **{k: tally.faults.get(k, 0) for k in ("error", "outside", "refused", "silent", "abandoned")},
            }
        )  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def processor_seconds(work: Callable[[], int]) -> tuple[int, float]:
    """What `work` returns, and the processor time of the processes that ended in it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    result = work()
    return result, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def speed() -> list[dict[str, object]]:
    """The fastest of five runs of each."""
    folder = OUT / "demo"
    if not (folder / "kernel").is_dir():
        run_demo(folder)
    build = Build.open(folder)
    images = np.load(build.data / "inputs.npy")
    frames = tuple(np.concatenate([x] * REPEATS) for x in build.model_graph.quantize(images))
    kernel, memory = KernelMap.load(folder / "kernel" / "kernel.json"), MemoryModel.of_board(load_board(BOARD))
    rtl, model = build_rtl(build.structure, build.rtl), build_kernel(folder)

    def plain() -> int:
        return stream(build.structure, rtl, frames, None, "").result.cycles

    def whole() -> int:
        with model.start(memory) as process:
            run_batch(process, kernel, frames, 10**9)
            return process.cycles

    rates = {}
    for name, work in (("plain RTL", plain), ("kernel", whole)):
        runs = [processor_seconds(work) for _ in range(5)]
        rates[name] = max(cycles / seconds for cycles, seconds in runs)
    return [
        {"simulation": name, "frames": len(frames[0]), "cycles/s": round(rate), "share": rate / rates["plain RTL"]}
        for name, rate in rates.items()
    ]


def main() -> None:
    """Both tables."""
    report("kernel_speed", speed())
    rows = kernels()
    report("kernels", rows)
    print(f"{sum(int(str(r['frames'])) for r in rows):,} frames, {sum(int(str(r['faults'])) for r in rows):,} faults")


if __name__ == "__main__":
    main()

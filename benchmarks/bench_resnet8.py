# SPDX-License-Identifier: Apache-2.0
"""ResNet-8 (CIFAR shape, W4A4) for zcu104 at 1,000 frames/s: compile time and memory, and RTL against its prediction.

Bounds in the same run: the bottleneck unit's steps are the least interval that this folding allows, 20 s and 2 GiB are
what import, proof, folding and emission may take.
"""

from __future__ import annotations

import shutil

import numpy as np
import torch
from common import OUT, peak_gib, report, timed

from gatewright.build import compile_model
from gatewright.design.cycles import simulate
from gatewright.frontend.export import export
from gatewright.sim.model import Traffic
from gatewright.sim.rtl import build_rtl, run_rtl
from gatewright.train.resnet8 import untrained

FRAMES = 7  # pipeline fill, then five


def main() -> None:
    """Export, compile in a fresh folder, simulate with and without stalls."""
    folder = OUT / "resnet8"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model, images = untrained()
    export(model, folder / "resnet8.onnx", torch.from_numpy(images[:1]))
    before = peak_gib()
    build, seconds = timed(lambda: compile_model(folder / "resnet8.onnx", "zcu104", fps=1000, output=folder / "build"))
    memory = peak_gib()
    summary = build.summary()
    steps = max(u["cycles"] for u in summary["units"])
    integers = build.model_graph.quantize(images[:FRAMES])
    golden = build.model_graph.reference(*integers)
    simulate(build.structure, 1)  # numba compiles or loads
    _, model_seconds = timed(lambda: simulate(build.structure, 5))
    _, verilate = timed(lambda: build_rtl(build.structure, build.rtl))
    rows = []
    for name, traffic in (("free", None), ("stalled", Traffic(in_stall=0.3, out_stall=0.3, seed=1))):
        run, wall = timed(lambda traffic=traffic: run_rtl(build.structure, build.rtl, integers, traffic))
        same = [
            (a.reshape(b.shape) == b).reshape(FRAMES, -1).all(axis=1) for a, b in zip(run.outputs, golden, strict=True)
        ]
        exact = int(np.all(same, axis=0).sum())
        rows.append(
            {
                "source and sink": name, "exact": f"{exact} of {FRAMES}", "interval": run.interval,
                "predicted": summary["interval_cycles"], "latency": run.latency,
                "predicted latency": summary["latency_cycles"],
                "bottleneck busy": steps / (run.interval or 1), "kcycles/s": run.result.cycles / wall / 1e3,
            }
        )  # fmt: skip
    report("resnet8_rtl", rows)
    report(
        "resnet8_compile",
        [
            {"what": "import, proof, folding, FIFO depths, emission", "measured": seconds, "bound": 20.0, "unit": "s"},
            {
                "what": "peak memory (with torch loaded: before)",
                "measured": memory,
                "bound": f"2 ({before:.2f})",
                "unit": "GiB",
            },
            {"what": "cycle model, five frames", "measured": model_seconds, "bound": "", "unit": "s"},
            {"what": "Verilator build, cold or cached", "measured": verilate, "bound": "", "unit": "s"},
            {"what": "frames/s at 100 MHz", "measured": summary["fps"], "bound": 1000, "unit": "1/s"},
        ],
    )


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Predicted against measured cycles: one network folded for eight frame rates, each through RTL.

The bound in the same run is the bottleneck unit's steps: no design of that folding can have a shorter interval.
"""

from __future__ import annotations

import torch
from common import OUT, report

from gatewright.build import compile_model
from gatewright.data import digits
from gatewright.frontend.export import export
from gatewright.sim.rtl import run_rtl
from gatewright.train import calibrate
from gatewright.train.digits import DigitsNet

RATES = (500, 1500, 4000, 8000, 20000, 45000, 80000, 150000)


def main() -> None:
    """Compile for every rate, run eight frames."""
    torch.manual_seed(0)
    model, images = DigitsNet(quantized=True), digits.load().test.x
    calibrate(model, images)
    folder = OUT / "prediction"
    folder.mkdir(parents=True, exist_ok=True)
    export(model.eval(), folder / "digits.onnx", torch.from_numpy(images[:1]))
    rows = []
    for fps in RATES:
        build = compile_model(folder / "digits.onnx", "pynq-z2", fps=fps, output=folder / f"fps{fps}")
        summary = build.summary()
        run = run_rtl(build.structure, build.rtl, build.model_graph.quantize(images[:8]))
        steps = max(u["cycles"] for u in summary["units"])
        rows.append(
            {
                "frames/s asked": fps, "interval": run.interval, "predicted": summary["interval_cycles"],
                "bottleneck": steps, "latency": run.latency, "predicted latency": summary["latency_cycles"],
                "interval error": (run.interval or 0) / summary["interval_cycles"] - 1,
                "latency error": run.latency / summary["latency_cycles"] - 1,
            }
        )  # fmt: skip
    report("prediction", rows)


if __name__ == "__main__":
    main()

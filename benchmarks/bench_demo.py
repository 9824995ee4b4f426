# SPDX-License-Identifier: Apache-2.0
"""The demonstration from training to RTL: seconds, accuracy, cycles against their predictions, golden against qonnx.

Golden and qonnx run the same model on the same images in the same process, each the fastest of seven runs; their ratio
is a peer comparison, above 1 where golden is faster.
"""

from __future__ import annotations

import shutil

import numpy as np
from common import OUT, fastest, report, timed

from gatewright.build import Build
from gatewright.demo import run_demo


def qonnx_speed(build: Build, frames: int) -> tuple[float, int]:
    """Seconds that qonnx takes for `frames` images, and on how many it differs from golden by more than 1e-4."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.util.cleanup import cleanup_model

    images = np.load(build.data / "inputs.npy")[:frames]
    shape = images.shape
    model = cleanup_model(ModelWrapper(str(build.directory / "model.onnx")), override_inpsize=shape)
    name = model.graph.input[0].name
    outputs, seconds = fastest(lambda: execute_onnx(model, {name: images}))
    golden = build.model_graph.predict(images)[0]
    return seconds, int((np.abs(next(iter(outputs.values())) - golden) > 1e-4).any(axis=1).sum())


def main() -> None:
    """Run the demonstration in a fresh folder."""
    folder = OUT / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    results, seconds = timed(lambda: run_demo(folder))
    _, again = timed(lambda: run_demo(folder))
    rows = [
        {
            "stage": r.name, "status": r.status, "frames": r.frames, "exact": r.exact, "accuracy": r.accuracy,
            "interval": r.interval_cycles, "predicted": r.predicted_interval_cycles,
            "latency": r.latency_cycles, "predicted latency": r.predicted_latency_cycles, "seconds": r.seconds,
        }
        for r in results
    ]  # fmt: skip
    report("demo", rows)
    build = Build.open(folder)
    images = np.load(build.data / "inputs.npy")
    integers = build.model_graph.quantize(images)
    _, golden = fastest(lambda: build.design_graph.reference(*integers))
    peer, differing = qonnx_speed(build, len(images))
    report(
        "demo_speed",
        [
            {"what": "whole demonstration", "seconds": seconds, "frames/s": "", "ratio to qonnx": ""},
            {"what": "again, nothing changed", "seconds": again, "frames/s": "", "ratio to qonnx": ""},
            {
                "what": "golden, 360 images",
                "seconds": golden,
                "frames/s": 360 / golden,
                "ratio to qonnx": peer / golden,
            },
            {"what": "qonnx execution", "seconds": peer, "frames/s": 360 / peer, "ratio to qonnx": 1.0},
        ],
    )
    print(f"outputs that differ between golden and qonnx by more than 1e-4: {differing} of {len(images)} images")


if __name__ == "__main__":
    main()

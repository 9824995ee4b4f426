# SPDX-License-Identifier: Apache-2.0
"""hls4ml as a judge: the jet tagger's shape and the demonstration as hls4ml projects with types from our proofs.

Beside each stands what hls4ml's own import of the same QONNX file computes, with its default types and with wide ones.
Errors are the largest difference from the network as torch computes it.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import jets
import numpy as np
import numpy.typing as npt
from common import OUT, report, timed

from gatewright.build import Build, compile_model
from gatewright.demo import run_demo
from gatewright.emit.hls4ml import emit, plan
from gatewright.sim.hls4ml import compile_project
from gatewright.verify.check import load_case

OWN_TYPES = ("fixed<16,6>", "fixed<32,16>")
"""Default types of hls4ml's own import: what its configuration starts with, and one that is wide everywhere."""
COLUMNS = ("network", "project", "frames", "exact", "max error", "compile s", "frames/s")


def row(**values: Any) -> dict[str, Any]:
    """A row with all columns."""
    return {c: values.get(c.replace(" ", "_").replace("/", "_"), "") for c in COLUMNS}


def judged(name: str, build: Build) -> dict[str, Any]:
    """Our plan of a build, all of its frames, which must be exact."""
    case = load_case(build)
    design = plan(build.design_graph)
    (model, seconds) = timed(lambda: compile_project(design, emit(design, "xc7z020clg400-1", 10.0)))
    outputs, running = timed(lambda: model.run(case.integers))
    (item,) = build.design_graph.outputs
    have = outputs[item.tensor].reshape(case.golden[0].shape)
    exact = int((have == case.golden[0]).reshape(case.frames, -1).all(axis=1).sum())
    assert exact == case.frames, f"{name}: {exact} of {case.frames}"
    error = float(np.abs(build.model_graph.dequantize(have)[0] - case.stored["qat"]).max())
    return row(
        network=name, project="types from proofs", frames=case.frames, exact=exact, max_error=error,
        compile_s=seconds, frames_s=case.frames / running,
    )  # fmt: skip


def imported(name: str, build: Build, types: str) -> dict[str, Any]:
    """What hls4ml's own import makes of the model, or why it makes nothing."""
    x = np.load(build.data / "inputs.npy")
    given = row(network=name, project=f"own import, {types}")
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            warnings.catch_warnings(),
            tempfile.TemporaryDirectory() as folder,
        ):
            warnings.simplefilter("ignore")
            model, seconds = timed(lambda: own_model(build.directory / "model.onnx", x, types, Path(folder)))
            outputs, running = timed(lambda: model.predict(frames_of(x)))
    except Exception as error:
        return given | {"exact": f"fails: {error!r}"}
    reference = build.model_graph.predict(x)[0]
    wrong = np.abs(np.asarray(outputs).reshape(reference.shape) - np.load(build.data / "qat.npy"))
    smallest = float(np.min(build.model_graph.outputs[0].scale))
    exact = int((wrong.reshape(len(x), -1).max(axis=1) < smallest / 2).sum())
    return given | {
        "frames": len(x), "exact": exact, "max error": float(wrong.max()), "compile s": seconds,
        "frames/s": len(x) / running,
    }  # fmt: skip


def frames_of(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Frames as hls4ml wants them: channels last."""
    return np.ascontiguousarray(np.moveaxis(x, 1, -1) if x.ndim == 4 else x, np.float32)


def own_model(path: Path, x: npt.NDArray[np.float32], types: str, folder: Path) -> Any:
    """The model cleaned as hls4ml's documentation says, converted and compiled by hls4ml."""
    import hls4ml
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.channels_last import ConvertToChannelsLastAndClean
    from qonnx.transformation.gemm_to_matmul import GemmToMatMul
    from qonnx.util.cleanup import cleanup_model

    model = ModelWrapper(str(path))
    model.set_tensor_shape(model.graph.input[0].name, [1, *x.shape[1:]])
    model = cleanup_model(model)
    if x.ndim == 4:
        model = model.transform(ConvertToChannelsLastAndClean())
    model = cleanup_model(model.transform(GemmToMatMul()))
    config = hls4ml.utils.config_from_onnx_model(model, "name", "Vitis", types)
    made = hls4ml.converters.convert_from_onnx_model(
        model, output_dir=str(folder), backend="Vitis", io_type="io_stream" if x.ndim == 4 else "io_parallel",
        hls_config=config,
    )  # fmt: skip
    made.compile()
    return made


def main() -> None:
    """Train, compile, and let hls4ml compute."""
    builds = {}
    for scales in jets.SCALES:
        folder = OUT / f"jets_{scales.replace(' ', '_')}"
        builds[f"jets, scale a {scales}"] = compile_model(
            jets.make(folder, scales), "pynq-z2", fps=1e6, output=folder / "build"
        )
    run_demo(OUT / "demo")
    builds["demo"] = Build.open(OUT / "demo")
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        os.environ["GATEWRIGHT_CACHE"] = cache
        for name, build in builds.items():
            rows += [judged(name, build), *(imported(name, build, types) for types in OWN_TYPES)]
    report("hls4ml", rows)


if __name__ == "__main__":
    main()

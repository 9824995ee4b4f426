# SPDX-License-Identifier: Apache-2.0
"""ResNet-8 in CIFAR shape, W4A4, for zcu104 at 1,000 frames/s: from torch to RTL, with and without stalls."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gatewright.build import Build, compile_model
from gatewright.frontend.export import export
from gatewright.sim.model import Traffic
from gatewright.sim.rtl import run_rtl
from gatewright.train.resnet8 import untrained

FRAMES = 7
"""Pipeline fill, then five."""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("resnet8")
    model, images = untrained()
    export(model, folder / "resnet8.onnx", torch.from_numpy(images[:1]))
    with torch.no_grad():
        np.save(folder / "expected.npy", model(torch.from_numpy(images)).numpy())
    np.save(folder / "images.npy", images)
    return compile_model(folder / "resnet8.onnx", "zcu104", fps=1000, output=folder / "build")


def _load(build: Build, name: str) -> np.ndarray:
    path: Path = build.directory.parent / f"{name}.npy"
    return np.load(path)


@pytest.mark.slow
def test_golden_is_the_torch_model(build: Build) -> None:
    images, expected = _load(build, "images"), _load(build, "expected")
    (outputs,) = build.model_graph.predict(images)
    # Float32 against exact integers: rounding ties of the batch norms may fall either way, and none does here.
    np.testing.assert_allclose(outputs, expected, atol=1e-4)
    assert expected.std(axis=0).min() > 0


@pytest.mark.slow
@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_rtl_is_exact_and_as_predicted(build: Build, stall: float) -> None:
    integers = build.model_graph.quantize(_load(build, "images")[:FRAMES])
    (golden,) = build.model_graph.reference(*integers)
    run = run_rtl(build.structure, build.rtl, integers, Traffic(in_stall=stall, out_stall=stall, seed=1))
    np.testing.assert_array_equal(run.outputs[0].reshape(golden.shape), golden)
    predicted = build.summary()
    assert predicted["fps"] >= 1000
    steps = max(u["cycles"] for u in predicted["units"])
    ends = run.result.last_output_cycle
    intervals = np.diff(ends)[-5:]
    # A unit that needs so many steps a frame is busy in this share of the cycles between frames.
    assert (steps / intervals >= 0.98).all()
    assert intervals.mean() == pytest.approx(predicted["interval_cycles"], rel=0.02)
    if stall == 0:
        assert run.latency == pytest.approx(predicted["latency_cycles"], rel=0.02)


@pytest.mark.slow
def test_every_layer_has_a_certificate(build: Build) -> None:
    certificates = {c["node"]: c for c in json.loads((build.directory / "proof.json").read_text())}
    assert set(certificates) == {n.name for n in build.design_graph.nodes}
    for node in build.design_graph.nodes:
        certificate = certificates[node.name]
        assert certificate["bits_needed"] == certificate["bits_given"]
        if node.op.name() in ("threshold", "requant"):
            assert certificate["method"] in ("exhaustive", "steps")
            assert certificate["compared"] > 0

# SPDX-License-Identifier: Apache-2.0
"""Whole networks as projects of hls4ml: the jet tagger's shape, the demonstration, published topologies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from benchmarks import jets
from benchmarks.networks import NETWORKS, make

from gatewright.build import compile_model
from gatewright.demo import run_demo
from gatewright.emit.hls4ml import emit, plan
from gatewright.frontend.export import export
from gatewright.frontend.importer import import_model
from gatewright.passes.lower import lower
from gatewright.sim.hls4ml import compile_project
from gatewright.train.resnet8 import untrained
from gatewright.verify import check


def jet_tagger(folder: Path, scales: str, epochs: int) -> None:
    build = compile_model(jets.make(folder, scales, epochs=epochs), "pynq-z2", fps=1e6, output=folder / "build")
    (result,) = check(build.directory, stages=["hls4ml"])
    assert (result.status, result.frames, result.exact) == ("ok", 1000, 1000), result
    assert result.note == "layers of hls4ml's own: 3 BatchNormalization, 4 Dense"
    assert result.max_float_error is not None and result.max_float_error < 1e-4


def test_the_jet_tagger(tmp_path: Path) -> None:
    jet_tagger(tmp_path, "channel", epochs=1)


@pytest.mark.slow
@pytest.mark.parametrize("scales", sorted(jets.SCALES))
def test_the_jet_tagger_trained(tmp_path: Path, scales: str) -> None:
    jet_tagger(tmp_path, scales, epochs=10)


@pytest.mark.slow
def test_the_demonstration(tmp_path: Path) -> None:
    result = next(r for r in run_demo(tmp_path) if r.name == "hls4ml")
    assert (result.status, result.frames, result.exact) == ("ok", 360, 360), result


def exact_unfolded(path: Path, images: npt.NDArray[np.float32]) -> None:
    """A vector or a window at a time on one multiplier."""
    graph = import_model(path)
    lowered, inputs = lower(graph), graph.quantize(images)
    design = plan(lowered)
    have = compile_project(design, emit(design, "xczu7ev-ffvc1156-2-e", 10.0)).run(inputs)
    for item, want in zip(lowered.outputs, graph.reference(*inputs), strict=True):
        assert len(np.unique(want, axis=0)) > 1
        assert (have[item.tensor] == want.reshape(len(want), -1)).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_published_topologies(tmp_path: Path, name: str) -> None:
    path, images = make(name, tmp_path)
    exact_unfolded(path, images[:4])


@pytest.mark.slow
def test_resnet8(tmp_path: Path) -> None:
    model, images = untrained()
    export(model, tmp_path / "resnet8.onnx", torch.from_numpy(images[:1]))
    exact_unfolded(tmp_path / "resnet8.onnx", images[:4])

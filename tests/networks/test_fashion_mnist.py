# SPDX-License-Identifier: Apache-2.0
"""The Fashion-MNIST recipe made small (few images, one epoch, narrow): from the files to cycle-exact RTL."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gatewright.build import Build, compile_model, store_data
from gatewright.data import DataSet, fetch_data, load_data
from gatewright.errors import ToolError
from gatewright.frontend.export import export
from gatewright.train import predict
from gatewright.train.recipe import ModelSection, load_recipe
from gatewright.train.run import Trained, train_recipe
from gatewright.verify.check import check

RTL_FRAMES = 5


@pytest.fixture(scope="module")
def data() -> DataSet:
    try:
        fetch_data("fashion_mnist")
    except ToolError as error:
        pytest.skip(f"Fashion-MNIST is not here: {error}")
    return load_data("fashion_mnist")


@pytest.fixture(scope="module")
def trained(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    recipe = load_recipe("fashion_mnist_vgg_w2a2")
    small = replace(
        recipe,
        data=replace(recipe.data, train_samples=1500, test_samples=300),
        model=ModelSection("vgg", {"stages": [[6], [8]], "dense": [16]}),
        train=replace(recipe.train, epochs=1, float_epochs=1, batch=32, lr=0.01),
    )
    return train_recipe(small, tmp_path_factory.mktemp("fashion"))


@pytest.fixture(scope="module")
def build(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("build")
    export(trained.quant_model, folder / "fashion.onnx", torch.from_numpy(trained.test.x[:1]).float())
    store_data(
        folder / "data", inputs=trained.test.x, labels=trained.test.y, qat=predict(trained.quant_model, trained.test.x)
    )
    return compile_model(folder / "fashion.onnx", "pynq-z2", fps=2000, output=folder / "build")


def test_it_learns(trained: Trained) -> None:
    assert trained.float_accuracy is not None
    assert trained.float_accuracy > 0.6
    assert trained.quant_accuracy > 0.5


def test_the_hardware_takes_raw_pixels_and_two_bits(build: Build) -> None:
    (item,) = build.model_graph.inputs
    assert (item.tensor.lo, item.tensor.hi, item.tensor.scale, item.steps) == (0, 255, 1.0, ())
    widths = [node.op.outputs[0].bits for node in build.design_graph.nodes if node.op.name() == "threshold"]
    assert widths
    assert max(widths) <= 2


def test_golden_is_the_trained_model(trained: Trained, build: Build) -> None:
    qat, golden = check(build.directory, stages=["qat", "golden"])
    assert golden.status == "ok"
    assert golden.exact == golden.frames == 300
    outputs = build.model_graph.predict(trained.test.x)[0]
    expected = predict(trained.quant_model, trained.test.x)
    # A float32 sum may fall on the other side of a rounding tie; that is rare.
    differing = (np.abs(outputs - expected) > 1e-3 * np.abs(expected).max()).any(axis=1)
    assert differing.sum() <= 3
    assert qat.accuracy == trained.quant_accuracy


def test_rtl_is_exact_and_as_predicted(build: Build) -> None:
    (rtl,) = check(build.directory, frames=RTL_FRAMES, stages=["rtl"])
    assert rtl.status == "ok", rtl.reason
    assert rtl.exact == RTL_FRAMES
    assert (rtl.interval_cycles, rtl.latency_cycles) == (rtl.predicted_interval_cycles, rtl.predicted_latency_cycles)

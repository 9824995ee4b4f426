# SPDX-License-Identifier: Apache-2.0
"""The MLPerf Tiny ResNet-8 as ONNX against LiteRT, layer by layer and on all test images of CIFAR-10."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.real import compare, kernels, tflite
from benchmarks.real.archives import mltk_model
from benchmarks.real.catalog import MODELS
from benchmarks.real.litert import run_litert

from gatewright.errors import ToolError
from gatewright.frontend.importer import from_onnx

RESNET = ("tinyml", "image_classification")
SCORES, PROBABILITIES = 36, 37
"""Tensors of the file: what its Softmax reads, and what it writes."""


@pytest.fixture(scope="module")
def content() -> bytes:
    try:
        return mltk_model(*RESNET)
    except ToolError as error:
        pytest.skip(str(error))


def litert(content: bytes, codes: np.ndarray, *tensors: int, fast: bool = False) -> dict[int, np.ndarray]:
    try:
        return run_litert(content, codes, tensors, "fast" if fast else "plain")
    except ToolError as error:
        pytest.skip(str(error))


def test_all_integers_of_the_file_are_in_the_onnx_model(content: bytes) -> None:
    model = tflite.read(content)
    written = tflite.to_onnx(tflite.without_softmax(model))
    constants = {c.name: tflite.numpy_helper.to_array(c) for c in written.graph.initializer}
    convolutions = [n for n in model.nodes if n.kind == "CONV_2D"]
    assert len(convolutions) == 9
    for node in convolutions:
        weight, bias = (model.tensors[i] for i in node.inputs[1:])
        assert constants[f"t{weight.index}"].dtype == np.int8
        np.testing.assert_array_equal(constants[f"t{weight.index}"], weight.data.transpose(0, 3, 1, 2))
        assert constants[f"t{bias.index}"].dtype == np.int32
        np.testing.assert_array_equal(constants[f"t{bias.index}"], bias.data)
        np.testing.assert_array_equal(constants[f"t{weight.index}_scale"], weight.scale)
    zeros = {int(t.zero[0]) for t in model.tensors if t.zero is not None and t.dtype == "int8"}
    assert len(zeros) > 4  # so that a forgotten zero point shows


@pytest.mark.slow
def test_litert_rounds_as_is_said_and_by_no_more_than_one(content: bytes) -> None:
    model = tflite.read(content)
    codes = np.random.default_rng(0).integers(-128, 128, (20, 32, 32, 3)).astype(np.int8)
    layers = [n for n in model.nodes if n.kind == "CONV_2D"]
    found = litert(content, codes, *{t for n in layers for t in (n.inputs[0], n.outputs[0])})
    apart = total = 0
    for node in layers:
        fixed, meant = kernels.convolution(model, node, found[node.inputs[0]])
        np.testing.assert_array_equal(fixed, found[node.outputs[0]])
        assert np.abs(fixed - meant).max() == 1
        apart, total = apart + int((fixed != meant).sum()), total + fixed.size
    assert 0 < apart < 0.005 * total


@pytest.mark.slow
def test_accuracy_is_litert_s_on_all_test_images(content: bytes) -> None:
    resnet = MODELS["mlperf-resnet8"]
    try:
        x, labels = resnet.frames(10_000), resnet.labels(10_000)
    except ToolError as error:
        pytest.skip(str(error))
    codes = np.rint(x * 128).astype(np.int8)
    plain = litert(content, codes, SCORES)[SCORES]
    fast = litert(content, codes, PROBABILITIES, fast=True)[PROBABILITIES]
    golden = compare.predict(from_onnx(resnet.make()), x)
    right = {"plain": plain, "fast": fast, "golden": golden}
    accuracy = {name: float((y.argmax(axis=1) == labels).mean()) for name, y in right.items()}
    assert accuracy["fast"] == pytest.approx(0.8155, abs=1e-4)
    # Two sets of kernels of one runtime are apart by as much as golden is from either.
    assert abs(accuracy["golden"] - accuracy["plain"]) < 0.002
    assert abs(accuracy["golden"] - accuracy["fast"]) < 0.002
    assert (golden.argmax(axis=1) == plain.argmax(axis=1)).mean() > 0.97

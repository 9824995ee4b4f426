# SPDX-License-Identifier: Apache-2.0
"""The QKeras network as QONNX against its own layers written in torch, on all of MNIST's test images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from benchmarks.real import qkeras
from benchmarks.real.catalog import MODELS
from benchmarks.real.execute import run
from torch.nn import functional

from gatewright.errors import ToolError


def quantized_bits(x: torch.Tensor) -> torch.Tensor:
    """quantized_bits(6, 0, alpha=1): steps of 1/32 in [-1, 31/32]."""
    return (x * 32).round().clamp(-32, 31) / 32


def quantized_relu(x: torch.Tensor) -> torch.Tensor:
    """quantized_relu(6, 0): steps of 1/64 in [0, 63/64]."""
    return (x * 64).round().clamp(0, 63) / 64


def emulate(weights: dict[str, np.ndarray], images: np.ndarray) -> np.ndarray:
    """Scores of the network of `qkeras_mnist_cnn.json` for channels-last images in [0, 1]."""
    w = {k: quantized_bits(torch.from_numpy(v)) for k, v in weights.items()}
    x = torch.from_numpy(images).permute(0, 3, 1, 2)
    for layer in ("q_conv2d", "q_conv2d_1"):
        x = functional.conv2d(x, w[f"{layer}/kernel"].permute(3, 2, 0, 1), w[f"{layer}/bias"])
        x = functional.max_pool2d(quantized_relu(x.relu()), 2)
    x = x.permute(0, 2, 3, 1).flatten(1)
    return (x @ w["q_dense/kernel"] + w["q_dense/bias"]).numpy()


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    try:
        return qkeras.weights_of("qkeras_mnist_cnn")
    except ToolError as error:
        pytest.skip(str(error))


def compare(weights: dict[str, np.ndarray], count: int) -> np.ndarray:
    try:
        images = MODELS["qkeras-mnist-cnn"].frames(count)
    except ToolError as error:
        pytest.skip(str(error))
    emulated = emulate(weights, images)
    written = run(qkeras.make("qkeras_mnist_cnn", 1 / 255, 8), images)
    # The emulation's input is not rounded to 8 bits, and 1/255 is no float32: sums may round to the other side.
    assert (np.abs(written - emulated) > 1e-5).mean() < 1e-3
    return emulated


def test_a_few_images(weights: dict[str, np.ndarray]) -> None:
    compare(weights, 100)


@pytest.mark.slow
def test_all_images_have_the_accuracy_that_is_known(weights: dict[str, np.ndarray]) -> None:
    labels = MODELS["qkeras-mnist-cnn"].labels(10_000)
    assert (compare(weights, 10_000).argmax(axis=1) == labels).mean() == pytest.approx(0.9886, abs=1e-4)


def test_unknown_quantisers_and_layers_are_refused() -> None:
    with pytest.raises(KeyError, match="quantized_po2"):
        qkeras.width({"class_name": "quantized_po2", "config": {"bits": 4, "integer": 0}})
    with pytest.raises(KeyError, match="alpha"):
        config = {"bits": 4, "integer": 0, "alpha": "auto", "keep_negative": True, "symmetric": 0}
        qkeras.width({"class_name": "quantized_bits", "config": config})


def test_weights_biases_and_activations_are_quantised(weights: dict[str, np.ndarray]) -> None:
    model = qkeras.make("qkeras_mnist_cnn", 1 / 255, 8)
    assert [n.op_type for n in model.graph.node].count("Quant") == 9  # input, 3 weights, 3 biases, 2 activations

# SPDX-License-Identifier: Apache-2.0
"""Matrix products on sequences, and images that were transposed: equal to onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from tests.frontend.agreement import agree, operators
from tests.models import Builder


@pytest.mark.parametrize("seed", range(6))
def test_mlp_mixer(seed: int) -> None:
    """Matrix products along both axes of a sequence."""

    def make(b: Builder) -> str:
        rng = np.random.default_rng(seed)
        t, f = b.shape
        x = b.quant("x", 0.25, 4)
        y = b.node("MatMul", x, b.weight(rng.integers(-7, 8, (f, 5)), 0.125))
        y = b.node("Add", y, b.constant(np.float32(rng.integers(-4, 5, 5) / 8)))
        y = b.quant(b.node("Relu", y), 0.25, 4, signed=False)
        z = b.node("Transpose", y, perm=[0, 2, 1])
        z = b.node("MatMul", z, b.weight(rng.integers(-7, 8, (t, t)), 0.125))
        z = b.node("Transpose", b.quant(z, 0.5, 5), perm=[0, 2, 1])
        return b.node("Add", y, z)

    g = agree(make, (3 + seed, 4), seed)
    assert "reshape" in operators(g)


def test_patches() -> None:
    def make(b: Builder) -> str:
        rng = np.random.default_rng(0)
        x = b.node("Conv", b.quant("x", 0.25, 4), b.weight(rng.integers(-7, 8, (6, 2, 2, 2)), 0.125), strides=[2, 2])
        x = b.quant(x, 0.5, 4)
        x = b.node("Transpose", b.node("Reshape", x, b.constant([0, 6, -1], np.int64)), perm=[0, 2, 1])
        x = b.quant(b.node("MatMul", x, b.weight(rng.integers(-7, 8, (6, 4)), 0.125)), 0.5, 4)
        return b.node("MatMul", b.node("Flatten", x), b.weight(rng.integers(-7, 8, (36, 4)), 0.125))

    assert operators(agree(make, (2, 6, 6))) == ["conv2d", "activation", "dense", "activation", "dense"]


def test_image_columns() -> None:
    """Linear over width of an image (C,H,W)."""

    def make(b: Builder) -> str:
        rng = np.random.default_rng(0)
        x = b.quant("x", 0.25, 4)
        x = b.quant(b.node("Conv", x, b.weight(rng.integers(-7, 8, (3, 2, 1, 1)), 0.125)), 0.25, 4)
        y = b.node("MatMul", x, b.weight(rng.integers(-7, 8, (5, 4)), 0.125))
        return y

    assert "reshape" in operators(agree(make, (2, 3, 5)))


@pytest.mark.parametrize("layer", ["Conv", "MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean"])
@pytest.mark.parametrize("perm", [[0, 1, 3, 2], [0, 3, 2, 1], [0, 2, 3, 1]])
def test_transposed_images(layer: str, perm: list[int]) -> None:
    def make(b: Builder) -> str:
        rng = np.random.default_rng(0)
        x = b.quant("x", 0.25, 4)
        x = b.quant(b.node("Conv", x, b.weight(rng.integers(-7, 8, (4, 2, 1, 1)), 0.125)), 0.25, 4)
        x = b.node("Transpose", x, perm=perm)
        if layer == "Conv":
            return b.node("Conv", x, b.weight(rng.integers(-7, 8, (3, 4, 3, 3)), 0.125))
        if layer.endswith("Pool") and not layer.startswith("Global"):
            return b.node(layer, x, kernel_shape=[2, 2])
        return b.node(layer, x) if layer != "ReduceMean" else b.node(layer, x, axes=[2, 3], keepdims=0)

    g = agree(make, (2, 4, 4))
    assert "reshape" in operators(g)


@pytest.mark.parametrize("kind", ["BatchNormalization", "Mul", "Sub", "PRelu"])
def test_constants_per_token_of_a_product_over_features(kind: str) -> None:
    """The product leaves features last on the wire, and the constants are one per token: elements are moved."""

    def make(b: Builder) -> str:
        rng = np.random.default_rng(0)
        y = b.node("MatMul", b.quant("x", 0.25, 4), b.weight(rng.integers(-7, 8, (6, 4)), 0.125))
        vector = 2.0 ** rng.integers(-1, 2, 3)
        if kind == "BatchNormalization":
            y = b.batch_norm(y, vector, [1, -2, 0.5], [0.25, 0, -1], vector**2, epsilon=0.0)
        else:
            y = b.node(kind, y, b.constant(vector[:, None]))
        return b.quant(y, 0.5, 4)

    assert "reshape" in operators(agree(make, (3, 6)))

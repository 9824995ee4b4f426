# SPDX-License-Identifier: Apache-2.0
"""`Concat` of activations: golden equals onnxruntime, whatever the axis, the scales and the layouts."""

from __future__ import annotations

import numpy as np
import pytest
from tests.frontend.agreement import Make, agree, imported, operators
from tests.models import Builder

from gatewright.errors import UnsupportedError


def branches(b: Builder, seed: int, count: int, scales: tuple[float, ...], channels: tuple[int, ...]) -> list[str]:
    """Convolutions of one image, each behind its own quantiser."""
    rng = np.random.default_rng(seed)
    x = b.quant("x", 0.25, 4)
    parts = []
    for i in range(count):
        weight = b.weight(rng.integers(-7, 8, (channels[i % len(channels)], b.shape[0], 3, 3)), 0.125)
        y = b.node("Conv", x, weight, pads=[1, 1, 1, 1])
        parts.append(b.quant(y, scales[i % len(scales)], 3 + i % 3, signed=i % 2 == 0))
    return parts


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("axis", [1, 2, 3, -1, -3])
def test_images(seed: int, axis: int) -> None:
    """Two to four branches; along the channels they may have different numbers of them."""
    count = 2 + seed % 3
    scales = (0.5,) if seed % 2 else (0.5, 0.125, 1.0)
    channels = (2, 3, 4) if axis in (1, -3) else (2,)

    def make(b: Builder) -> str:
        y = b.node("Concat", *branches(b, seed, count, scales, channels), axis=axis)
        joined = sum(channels[i % len(channels)] for i in range(count)) if axis in (1, -3) else channels[0]
        weight = np.random.default_rng(seed).integers(-7, 8, (3, joined, 3, 3))
        return b.node("Conv", y, b.weight(weight, 0.0625))

    graph = agree(make, (2, 6, 5), seed)
    assert operators(graph).count("concat") == count - 1
    assert operators(graph).count("requant") == (0 if seed % 2 else sum(scales[i % 3] != 0.125 for i in range(count)))


@pytest.mark.parametrize("axis", [1, 2])
def test_behind_it_float_steps_and_a_quantiser(axis: int) -> None:
    def make(b: Builder) -> str:
        y = b.node("Concat", *branches(b, 3, 2, (0.5, 0.25), (2,)), axis=axis)
        gain = [1, -1, 0.5, 2][: 4 if axis == 1 else 2]
        y = b.batch_norm(y, gain, np.ones(len(gain)), np.zeros(len(gain)), np.ones(len(gain)), epsilon=0.0)
        return b.quant(b.node("Relu", y), 0.5, 4, signed=False)

    agree(make, (1, 4, 4))


def test_accumulators_keep_their_own_scales() -> None:
    """No quantiser stands before it: the channels' scales are joined like the channels."""

    def make(b: Builder) -> str:
        rng = np.random.default_rng(0)
        x = b.quant("x", 0.25, 4)
        scales = (0.5, np.float32([0.25, 1, 2]).reshape(3, 1, 1, 1))
        parts = [b.node("Conv", x, b.weight(rng.integers(-7, 8, (3, 2, 1, 1)), s)) for s in scales]
        return b.quant(b.node("Concat", *parts, axis=1), 2.0, 5)

    graph = agree(make, (2, 3, 3))
    assert operators(graph) == ["conv2d", "conv2d", "concat", "activation"]


@pytest.mark.parametrize("seed", range(3))
def test_vectors_of_any_layout(seed: int) -> None:
    """Flattened images and vectors: nothing is moved, the matrix behind them is."""

    def make(b: Builder) -> str:
        rng = np.random.default_rng(seed)
        x = b.quant("x", 0.25, 4)
        flat = b.node("Flatten", b.node("Transpose", x, perm=[0, *(1 + rng.permutation(3)).tolist()]))
        y = b.quant(b.node("MatMul", flat, b.weight(rng.integers(-7, 8, (24, 5)), 0.125)), 0.25, 4)
        z = b.node("Concat", flat, y, b.node("Flatten", x), axis=-1)
        return b.node("MatMul", z, b.weight(rng.integers(-7, 8, (53, 3)), 0.5))

    graph = agree(make, (2, 3, 4), seed)
    assert "reshape" not in operators(graph)


def test_a_transposed_side_is_moved() -> None:
    def make(b: Builder) -> str:
        y = b.quant(b.node("Conv", b.quant("x", 0.25, 4), b.weight(np.ones((2, 2, 1, 1)), 0.5)), 0.25, 4)
        return b.node("Concat", y, b.node("Transpose", y, perm=[0, 1, 3, 2]), axis=1)

    assert operators(agree(make, (2, 4, 4))).count("reshape") == 1


def test_transposed_accumulators_keep_their_scales() -> None:
    def make(b: Builder) -> str:
        rng, scale = np.random.default_rng(0), np.float32([0.25, 1, 2]).reshape(3, 1, 1, 1)
        y = b.node("Conv", b.quant("x", 0.25, 4), b.weight(rng.integers(-7, 8, (3, 2, 1, 1)), scale))
        z = b.node("Concat", y, b.node("Transpose", y, perm=[0, 1, 3, 2]), axis=1)
        return b.quant(z, 2.0, 5)

    assert operators(agree(make, (2, 4, 4))) == ["conv2d", "reshape", "concat", "activation"]


def test_one_part_is_the_part_itself() -> None:
    def make(b: Builder) -> str:
        y = b.node("Concat", b.quant("x", 0.25, 4), axis=1)
        return b.node("MatMul", y, b.weight(np.eye(4), 1.0))

    assert operators(agree(make, (4,))) == ["dense"]


REFUSED: list[tuple[str, Make, str]] = [
    (
        "steps",
        lambda b: b.node("Concat", b.node("Relu", b.quant("x", 0.5, 4)), b.quant("x", 0.5, 4), axis=1),
        r"concat_1: Concat reads 'relu_1_out' after float steps \(relu\) that no quantiser follows: put a Quant node",
    ),
    (
        "batch",
        lambda b: b.node("Concat", b.quant("x", 0.5, 4), b.quant("x", 0.5, 4), axis=0),
        r"concat_1: Concat along axis=0 has no hardware for frames of shape \(2, 4, 4\): the batch cannot be joined",
    ),
    (
        "shapes",
        lambda b: b.node(
            "Concat", b.quant("x", 0.5, 4), b.node("MaxPool", b.quant("x", 0.5, 4), kernel_shape=[2, 2]), axis=1
        ),
        r"concat_1: Concat of frames \(2, 4, 4\), \(2, 3, 3\): all but axis=1 must be equal",
    ),
    (
        "constant",
        lambda b: b.node("Concat", b.quant("x", 0.5, 4), b.constant(np.ones((1, 1, 4, 4))), axis=1),
        r"concat_1: Concat with the constant 'c\d+' has no hardware: fold it into the layers behind",
    ),
    (
        "scales",
        lambda b: b.node("Concat", b.quant("x", 0.5, 4), b.quant(b.node("MaxPool", b.quant("x", 0.5, 4),
                         kernel_shape=[1, 1]), 1e-9, 4), axis=1),
        r"concat_1: Concat of scales 0.5 and 9.99.*e-10: no factors up to 65536 bring both to one scale",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), [pytest.param(m, t, id=i) for i, m, t in REFUSED])
def test_what_has_no_hardware_is_refused(make: Make, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        imported(make, (2, 4, 4))

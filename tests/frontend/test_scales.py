# SPDX-License-Identifier: Apache-2.0
"""Factors and offsets that float through a model are moved behind layers: golden equals onnxruntime in every bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.frontend.agreement import agree, imported, operators
from tests.models import Builder

from gatewright.errors import UnsupportedError

RNG = np.random.default_rng(0)
CONV = RNG.integers(-7, 8, (4, 3, 3, 3))
GROUPED = RNG.integers(-7, 8, (6, 1, 2, 2))
MATRIX = RNG.integers(-7, 8, (5, 4))
Piece = Callable[[Builder, str], str]


def channels(b: Builder, *values: float) -> str:
    return b.constant(np.reshape(values, (-1, 1, 1)))


def conv(b: Builder, x: str, **attributes: object) -> str:
    return b.node("Conv", x, b.weight(CONV, np.float32([0.25, 0.5, 1, 0.125]).reshape(4, 1, 1, 1)),
                  b.constant([1, 2, 3, 4]), **attributes)  # fmt: skip


FRONT: list[tuple[str, Piece]] = [
    ("factor", lambda b, x: b.node("Mul", x, b.constant(0.5))),
    ("factor on the left", lambda b, x: b.node("Mul", b.constant(4.0), x)),
    ("negative factor", lambda b, x: b.node("Div", x, b.constant(-2.0))),
    ("negation", lambda b, x: b.node("Neg", x)),
    ("several", lambda b, x: b.node(
        "Div", b.node("Mul", b.node("Mul", x, b.constant(8.0)), b.constant(-1.0)), b.constant(2.0))),
    ("offset", lambda b, x: b.node("Add", x, b.constant(1.5))),
    ("subtraction", lambda b, x: b.node("Sub", b.constant(2.0), b.node("Mul", x, b.constant(0.5)))),
    ("batch norm of one factor", lambda b, x: b.batch_norm(
        x, [2, 2, 2], [1, -1, 0.5], [0, 1, 0], [1, 1, 1], epsilon=0.0)),
    ("offset per channel", lambda b, x: b.node("Add", b.node("Mul", x, b.constant(0.5)), channels(b, 1, -2, 0.5))),
]  # fmt: skip
LAYERS: list[tuple[str, Piece]] = [
    ("conv", conv),
    ("matrix", lambda b, x: b.node("Gemm", b.node("Flatten", x), b.weight(RNG_MATRIX, 0.25), b.constant([1, 2]))),
    ("sequence", lambda b, x: b.node("MatMul", b.node("Transpose", b.node(
        "Reshape", x, b.constant([0, 3, 25], np.int64)), perm=[0, 2, 1]), b.weight(MATRIX[:3], 0.25))),
    ("average", lambda b, x: b.node("AveragePool", x, kernel_shape=[2, 2])),
    ("resize", lambda b, x: b.node("Upsample", x, b.constant([1, 1, 2, 2])) if b.opset < 10 else b.node(
        "Resize", x, "", b.constant([1, 1, 2, 2]), coordinate_transformation_mode="asymmetric", nearest_mode="floor")),
]  # fmt: skip
RNG_MATRIX = RNG.integers(-7, 8, (75, 2))


@pytest.mark.parametrize("layer", [m for _, m in LAYERS], ids=[i for i, _ in LAYERS])
@pytest.mark.parametrize("front", [m for _, m in FRONT], ids=[i for i, _ in FRONT])
def test_in_front_of_a_layer(front: Piece, layer: Piece) -> None:
    graph = agree(lambda b: b.quant(layer(b, front(b, b.quant("x", 0.25, 4))), 0.5, 6), (3, 5, 5))
    assert "requant" not in operators(graph)


def test_a_factor_in_front_of_padding() -> None:
    agree(lambda b: conv(b, b.node("Mul", b.quant("x", 0.25, 4), b.constant(-0.5)), pads=[1, 2, 0, 1]), (3, 5, 5))


@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 0, 0, 1]])
def test_factors_in_front_of_a_depthwise_layer(pads: list[int]) -> None:
    """Two filters a channel."""

    def model(b: Builder) -> str:
        x = b.node("Mul", b.quant("x", 0.25, 4), channels(b, 0.5, -1, 4))
        x = x if any(pads) else b.node("Add", x, channels(b, 1, 2, -3))
        return b.quant(b.node("Conv", x, b.weight(GROUPED, 0.25), group=3, pads=pads), 0.5, 6)

    agree(model, (3, 5, 5))


@pytest.mark.parametrize("factors", [(1, 2, -0.5), (1, 3, 0.75)], ids=["powers", "whole ratios"])
def test_factors_a_channel_in_front_of_a_layer(factors: tuple[float, ...]) -> None:
    """They go into the weights, which grow by a few bits."""

    def model(b: Builder) -> str:
        x = b.node("Add", b.node("Mul", b.quant("x", 0.25, 4), channels(b, *factors)), channels(b, 1, -1, 0.5))
        x = b.quant(conv(b, x), 0.5, 5)
        x = b.node("Flatten", b.node("Mul", x, channels(b, 1, -2, 4, 0.5)))
        return b.node("MatMul", x, b.weight(RNG_VECTOR, 0.25))

    assert "requant" not in operators(agree(model, (3, 5, 5)))


RNG_VECTOR = RNG.integers(-7, 8, (36, 2))


def test_factors_in_front_of_groups() -> None:
    """One factor a group, offsets of every channel."""

    def model(b: Builder) -> str:
        x = b.node("Mul", b.quant("x", 0.25, 4), channels(b, 0.5, 0.5, -2, -2))
        x = b.node("Add", x, channels(b, 1, 2, -3, 0.5))
        return b.node("Conv", x, b.weight(RNG_GROUPS, 0.25), group=2)

    agree(model, (4, 5, 5))


RNG_GROUPS = RNG.integers(-7, 8, (6, 2, 2, 2))

# --- joins ------------------------------------------------------------------------------------------------------------

JOINED: list[tuple[str, Piece, Piece]] = [
    ("factors", lambda b, x: b.node("Mul", x, b.constant(0.5)), lambda b, x: b.node("Mul", x, b.constant(2.0))),
    ("one factor", lambda b, x: b.node("Mul", x, b.constant(3.0)), lambda b, x: b.node("Mul", x, b.constant(3.0))),
    ("left", lambda b, x: b.node("Div", x, b.constant(-4.0)), lambda b, x: x),
    ("right", lambda b, x: x, lambda b, x: b.node("Neg", x)),
    ("both negative", lambda b, x: b.node("Neg", x), lambda b, x: b.node("Mul", x, b.constant(-0.5))),
    ("offsets", lambda b, x: b.node("Add", x, b.constant(1.0)), lambda b, x: b.node("Mul", b.node(
        "Add", x, channels(b, 1, 2, 3)), b.constant(2.0))),
    ("factor per channel", lambda b, x: b.node("Mul", x, channels(b, 0.5, -1, 2)), lambda b, x: x),
]  # fmt: skip


@pytest.mark.parametrize("kind", ["Add", "Sub"])
@pytest.mark.parametrize(("left", "right"), [j[1:] for j in JOINED], ids=[j[0] for j in JOINED])
@pytest.mark.parametrize("scale", [0.25, 0.5, 0.375], ids=["equal", "double", "three halves"])
def test_in_front_of_a_sum(kind: str, left: Piece, right: Piece, scale: float) -> None:
    def model(b: Builder) -> str:
        x = b.quant("x", 0.25, 4)
        y = b.quant(b.node("Relu", x), scale, 3)
        return b.quant(b.node(kind, left(b, x), right(b, y)), 0.5, 6)

    agree(model, (3, 4, 4))


def test_accumulators_of_several_scales_are_added() -> None:
    def model(b: Builder) -> str:
        x = b.quant("x", 0.25, 4)
        return b.quant(b.node("Add", conv(b, x, pads=[1] * 4), conv(b, b.node("Relu", x), pads=[1] * 4)), 0.5, 8)

    def relu(b: Builder) -> str:
        x = b.quant("x", 0.25, 4)
        y = b.quant(b.node("Relu", x), 0.25, 4)
        return b.quant(b.node("Add", conv(b, x, pads=[1] * 4), conv(b, y, pads=[1] * 4)), 0.5, 8)

    agree(relu, (3, 4, 4))
    with pytest.raises(UnsupportedError, match="conv_2: Conv reads 'relu_1_out' after float steps"):
        imported(model, (3, 4, 4))


@pytest.mark.parametrize("axis", [1, 2, -1])
@pytest.mark.parametrize(("left", "right"), [j[1:] for j in JOINED[:5]], ids=[j[0] for j in JOINED[:5]])
def test_in_front_of_a_concatenation(axis: int, left: Piece, right: Piece) -> None:
    def model(b: Builder) -> str:
        x = b.quant("x", 0.25, 4)
        y = b.quant(b.node("Relu", x), 0.5, 3)
        x = b.node("Concat", left(b, x), right(b, y), left(b, x), axis=axis)
        return b.quant(b.node("AveragePool", x, kernel_shape=[2, 2]), 0.5, 6)

    agree(model, (3, 4, 4))


def test_offsets_in_front_of_a_concatenation_of_channels() -> None:
    def model(b: Builder) -> str:
        x = b.quant("x", 0.25, 4)
        x = b.node("Concat", b.node("Add", x, channels(b, 1, 2, 3)), b.node("Mul", x, channels(b, -1, 2, 0.5)), axis=1)
        return b.quant(x, 0.5, 6)

    agree(model, (3, 4, 4))

    def vectors(b: Builder) -> str:
        x = b.quant("x", 0.25, 4)
        y = b.node("Flatten", b.node("Add", x, channels(b, 1, 2, 3)))
        return b.quant(b.node("Concat", y, b.node("Flatten", x), axis=1), 0.5, 6)

    agree(vectors, (3, 4, 4))


# --- products ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [1.0, 0.5, -2.0])
@pytest.mark.parametrize("beta", [1.0, 0.25])
@pytest.mark.parametrize("bias", [np.arange(4), np.arange(4)[None], 2.0, np.float32([3])], ids=["n", "1n", "0", "1"])
def test_alpha_and_beta(alpha: float, beta: float, bias: object) -> None:
    def model(b: Builder) -> str:
        x = b.node("Add", b.quant("x", 0.25, 4), b.constant([1, 2, 3, 4, 5]))
        return b.node("Gemm", x, b.weight(MATRIX, 0.25), b.constant(bias), alpha=alpha, beta=beta)

    agree(model, (5,))


@pytest.mark.parametrize("leading", [(), (1,)])
def test_a_matrix_from_the_left(leading: tuple[int, ...]) -> None:
    """With a scale a row, an offset in front, and another matrix behind."""
    scale = np.float32([0.25, 0.5, 1, 2]).reshape(*leading, 4, 1)

    def model(b: Builder) -> str:
        x = b.node("Add", b.quant("x", 0.25, 4), b.constant(1.0))
        x = b.node("MatMul", b.weight(MATRIX.T.reshape(*leading, 4, 5), scale), x)
        return b.node("MatMul", b.quant(b.node("Relu", x), 0.5, 5), b.weight(MATRIX[:3], 0.5))

    agree(model, (5, 3))

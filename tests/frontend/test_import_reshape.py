# SPDX-License-Identifier: Apache-2.0
"""Reshapes and transpositions: free while only a matrix reads them, a buffer where a layer needs another order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.frontend.agreement import Make, agree, imported, operators
from tests.models import Builder

from gatewright.errors import UnsupportedError
from gatewright.ops.reshape import Reshape


def image(b: Builder, channels: int = 3) -> str:
    """A quantised convolution of the input."""
    rng = np.random.default_rng(channels)
    y = b.node("Conv", b.quant("x", 0.25, 4), b.weight(rng.integers(-7, 8, (channels, b.shape[0], 1, 1)), 0.125))
    return b.quant(y, 0.25, 4)


def reshape(b: Builder, x: str, *shape: int) -> str:
    return b.node("Reshape", x, b.constant([0, *shape], np.int64))


def shuffle(b: Builder, x: str) -> str:
    """Channel shuffle of four channels in two groups."""
    x = b.node("Transpose", reshape(b, x, 2, 2, *b.shape[1:]), perm=[0, 2, 1, 3, 4])
    return reshape(b, x, 4, *b.shape[1:])


@pytest.mark.parametrize("seed", range(8))
def test_random_views_before_an_addition(seed: int) -> None:
    """Golden and onnxruntime agree wherever the views lead, and the output needs no order of its own."""

    def make(b: Builder) -> str:
        rng = np.random.default_rng(seed)
        x = image(b, 4)
        y, shape = x, [4, 6, 4]
        for _ in range(int(rng.integers(1, 4))):
            if rng.random() < 0.5:
                perm = rng.permutation(len(shape))
                y, shape = b.node("Transpose", y, perm=[0, *(1 + perm).tolist()]), [shape[i] for i in perm]
            else:
                shape = [[96], [8, 12], [2, 6, 8], [2, 2, 4, 6]][int(rng.integers(4))]
                y = reshape(b, y, *shape)
        return b.node("Add", reshape(b, y, 4, 6, 4), x)

    agree(make, (2, 6, 4), seed)


def test_a_sum_with_the_transposed_image() -> None:
    def make(b: Builder) -> str:
        x = image(b)
        return b.node("Add", x, b.node("Transpose", x, perm=[0, 1, 3, 2]))

    graph = agree(make, (2, 4, 4))
    assert operators(graph) == ["conv2d", "activation", "reshape", "add"]
    (op,) = [n.op for n in graph.nodes if isinstance(n.op, Reshape)]
    assert op.foldings()["pe"] == (1, 3), "whole pixels move together"


def test_channel_shuffle_before_an_upsampling() -> None:
    def make(b: Builder) -> str:
        return b.node("Resize", shuffle(b, image(b, 4)), "", b.constant([1, 1, 2, 2]), mode="nearest")

    assert operators(agree(make, (2, 3, 4))) == ["conv2d", "activation", "reshape", "upsample"]


def test_one_buffer_serves_all_readers() -> None:
    def make(b: Builder) -> str:
        x = image(b)
        y = b.node("Transpose", x, perm=[0, 1, 3, 2])
        return b.node("Concat", b.node("Add", x, y), b.node("Concat", x, y, axis=1), axis=1)

    assert operators(agree(make, (2, 4, 4))).count("reshape") == 1


def test_graph_outputs_need_no_order() -> None:
    def make(b: Builder) -> str:
        return b.node("Transpose", shuffle(b, image(b, 4)), perm=[0, 3, 1, 2])

    assert operators(agree(make, (2, 3, 4))) == ["conv2d", "activation"]


def test_the_host_sends_an_input_in_the_order_of_its_first_reader() -> None:
    def make(b: Builder) -> str:
        x = b.node("Transpose", b.quant("x", 0.25, 4), perm=[0, 3, 2, 1])
        y = b.node("Resize", x, "", b.constant([1, 1, 2, 1]), mode="nearest")
        return b.node("MatMul", b.node("Flatten", y), b.weight(np.random.default_rng(0).integers(-7, 8, (48, 2)), 0.5))

    graph = agree(make, (2, 3, 4))
    assert operators(graph) == ["upsample", "dense"]
    assert graph.inputs[0].tensor.shape == (3, 2, 4)

    def twice(b: Builder) -> str:
        x = b.quant("x", 0.25, 4)
        return b.node("Add", x, b.node("Transpose", x, perm=[0, 1, 3, 2]))

    assert operators(agree(twice, (2, 3, 3))) == ["reshape", "add"], "one operand keeps its order, the other moves"


def test_an_input_with_a_step_per_channel_is_moved_in_hardware() -> None:
    def make(b: Builder) -> str:
        x = b.quant(b.node("Mul", "x", b.constant(np.float32([1, 2, -1]).reshape(3, 1, 1))), 0.25, 4)
        y = b.node("Transpose", x, perm=[0, 2, 1, 3])
        return b.node("Resize", y, "", b.constant([1, 1, 1, 2]), mode="nearest")

    assert operators(agree(make, (3, 2, 4))) == ["reshape", "upsample"]


def test_steps_move_with_their_channels() -> None:
    """A batch norm before a transposition of rows and columns is still one per channel behind it."""

    def make(b: Builder) -> str:
        x = b.batch_norm(image(b), [1, -1, 2], [1, 2, 3], [0, 0, 0], [1, 1, 1], epsilon=0.0)
        y = b.node("Resize", b.node("Transpose", x, perm=[0, 1, 3, 2]), "", b.constant([1, 1, 2, 2]), mode="nearest")
        return b.quant(y, 0.5, 4)

    agree(make, (2, 3, 2))


def squeezed(op_type: str, axes: list[int], *, attribute: bool = False) -> Any:
    return lambda b, x: b.node(op_type, x, *([] if attribute else [b.constant(axes, np.int64)]),
                               **({"axes": axes} if attribute else {}))  # fmt: skip


@pytest.mark.parametrize(
    ("view", "shape"),
    [
        (squeezed("Unsqueeze", [1]), (1, 2, 3, 4)),
        (squeezed("Unsqueeze", [-1, 2]), (2, 1, 3, 4, 1)),
        (squeezed("Squeeze", [2]), (2, 4)),
        (squeezed("Squeeze", [-2]), (2, 4)),
    ],
)
def test_axes_of_one(view: Any, shape: tuple[int, ...]) -> None:
    def make(b: Builder) -> str:
        x = b.quant("x", 0.25, 4)
        return view(b, x)

    def summed(b: Builder) -> str:
        y = make(b)
        return b.node("Add", y, y)

    frame = (2, 1, 4) if len(shape) == 2 else (2, 3, 4)
    assert agree(summed, frame).outputs[0].shape == shape


REFUSED: list[tuple[str, Make, str]] = [
    ("accumulator",
     lambda b: b.node("Resize", b.node("Transpose", b.node("Conv", b.quant("x", 0.5, 4), b.weight(np.ones((2, 2, 1, 1)),
        np.float32([1, 2]).reshape(2, 1, 1, 1))), perm=[0, 2, 1, 3]), "", b.constant([1, 1, 2, 2]), mode="nearest"),
     "resize_1: Resize reads a transposed or reshaped accumulator with one scale per channel: put a Quant node"),
    ("steps",
     lambda b: b.node("Resize", b.node("Transpose", b.node("Mul", image(b, 2), b.constant(np.float32([1, 2]).reshape(
        2, 1, 1))), perm=[0, 2, 1, 3]), "", b.constant([1, 1, 2, 2]), mode="nearest"),
     "resize_1: Resize reads a transposed or reshaped tensor after a mul per channel: put a Quant node before the tr"),
    ("squeeze", lambda b: b.node("Squeeze", b.quant("x", 0.5, 4), b.constant([1], np.int64)),
     r"squeeze_1: Squeeze of axes=\[1\] of a frame \(2, 3, 3\): not all are 1"),
    ("squeeze all", lambda b: b.node("Squeeze", b.quant("x", 0.5, 4)), "squeeze_1: Squeeze without axes .*: name the"),
    ("batch", lambda b: b.node("Unsqueeze", b.quant("x", 0.5, 4), b.constant([0], np.int64)),
     r"unsqueeze_1: Unsqueeze axes=\[0\] changes the batch axis: keep it first"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), [pytest.param(m, t, id=i) for i, m, t in REFUSED])
def test_what_has_no_hardware_is_refused(make: Make, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        imported(make, (2, 3, 3))

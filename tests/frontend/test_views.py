# SPDX-License-Identifier: Apache-2.0
"""Nodes that leave every element what it is: all forms against onnxruntime, and those that are refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from onnx import TensorProto
from tests.frontend.agreement import agree, operators
from tests.models import Builder

from gatewright.errors import UnsupportedError
from gatewright.frontend.importer import from_onnx

SHAPE = (4, 2, 6)
View = Callable[[Builder, str], str]


def ints(b: Builder, *values: int) -> str:
    return b.constant(list(values), np.int64)


def axes(b: Builder, op_type: str, x: str, *given: int) -> str:
    """The axes as the opset wants them."""
    return b.node(op_type, x, axes=given) if b.opset < 13 else b.node(op_type, x, ints(b, *given))


def layer(b: Builder, x: str, features: int) -> str:
    """A product, so that the order of the elements matters."""
    rng = np.random.default_rng(features)
    return b.node("MatMul", b.node("Flatten", x), b.weight(rng.integers(-7, 8, (features, 3)), 0.25))


VIEWS: list[tuple[str, View]] = [
    ("identity", lambda b, x: b.node("Identity", x)),
    ("cast", lambda b, x: b.node("Cast", b.node("Cast", x, to=TensorProto.DOUBLE), to=TensorProto.FLOAT)),
    ("cast to half floats", lambda b, x: b.node("Cast", b.node("Cast", x, to=TensorProto.FLOAT16), to=1)),
    ("dropout", lambda b, x: b.node("Dropout", x)),
    ("squeeze", lambda b, x: axes(b, "Squeeze", axes(b, "Unsqueeze", x, 1, -1), -1, 1)),
    ("transpose", lambda b, x: b.node("Transpose", x, perm=[0, 3, 1, 2])),
    ("flatten", lambda b, x: b.node("Flatten", x, axis=-3 if b.opset >= 11 else 1)),
    ("flatten at axis 2", lambda b, x: b.node("Flatten", axes(b, "Unsqueeze", x, 1), axis=2)),
    ("flatten at the end", lambda b, x: b.node("Reshape", x, ints(b, 0, -1))),
    ("reshape with zeros", lambda b, x: b.node("Reshape", x, ints(b, 0, 0, 12))),
    ("reshape by -1", lambda b, x: b.node("Reshape", x, ints(b, -1, 8, 6))),
    ("reshape of all zeros", lambda b, x: b.node("Reshape", x, ints(b, 0, 0, 0, 0))),
    ("depth to space", lambda b, x: b.node("DepthToSpace", x, blocksize=2)),
    ("space to depth", lambda b, x: b.node("SpaceToDepth", x, blocksize=2)),
]


SHAPED = ("reshape with zeros", "reshape by -1", "cast to half floats")
"""Those that fit one shape only, or change float values."""


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 21])
@pytest.mark.parametrize("view", [v for _, v in VIEWS], ids=[i for i, _ in VIEWS])
def test_views(view: View, opset: int) -> None:
    agree(lambda b: layer(b, view(b, b.quant("x", 0.25, 4)), 48), SHAPE, opset=opset)


@pytest.mark.parametrize("shape", [SHAPE, (4, 4, 4)], ids=str)
@pytest.mark.parametrize("view", [v for i, v in VIEWS if i not in SHAPED])
def test_views_of_the_float_input(view: View, shape: tuple[int, ...]) -> None:
    """The host takes the model's own frames; with sides of one length a wrong order would not show in the shape."""
    agree(lambda b: layer(b, b.quant(view(b, "x"), 0.25, 4), int(np.prod(shape))), shape)


def test_a_float_input_quantised_as_it_is_and_transposed() -> None:
    def both(b: Builder) -> str:
        turned = b.quant(b.node("Transpose", "x", perm=[0, 2, 1, 3]), 0.25, 4)
        return b.node("Add", layer(b, b.quant("x", 0.25, 4), 64), layer(b, turned, 64))

    agree(both, (4, 4, 4))


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize("shape", [(8, 2, 3), (18, 1, 2)])
def test_depth_to_space(mode: str, shape: tuple[int, ...]) -> None:
    """And a convolution that reads the result."""
    block = 2 if shape[0] == 8 else 3

    def model(b: Builder) -> str:
        x = b.node("DepthToSpace", b.quant("x", 0.25, 4), blocksize=block, mode=mode)
        return b.node("Conv", x, b.weight(np.random.default_rng(0).integers(-7, 8, (3, 2, 2, 2)), 0.25))

    agree(model, shape)


def test_views_of_a_fixed_batch() -> None:
    """The batch by its own number, and Squeeze without axes, which leaves a batch of more than one."""

    def model(b: Builder) -> str:
        x = b.node("Reshape", b.quant("x", 0.25, 4), ints(b, 5, 1, 48))
        return layer(b, b.node("Squeeze", x), 48)

    agree(model, SHAPE, batch=5)
    agree(lambda b: layer(b, b.node("Flatten", b.quant("x", 0.25, 4), axis=0), 48), SHAPE, batch=1)


@pytest.mark.parametrize("inputs", [(), (0.5,), (0.5, False), (0.0, True)])
def test_dropout_with_operands(inputs: tuple[float, ...]) -> None:
    def model(b: Builder) -> str:
        operands = [b.constant(v, np.bool_ if i else np.float32) for i, v in enumerate(inputs)]
        return layer(b, b.node("Dropout", b.quant("x", 0.25, 4), *operands), 48)

    graph = agree(model, SHAPE)
    assert operators(graph) == ["dense"]


def test_the_mask_of_a_dropout_is_all_true() -> None:
    def model(b: Builder) -> str:
        b.node("Dropout", b.quant("x", 0.25, 4), outputs=["kept", "mask"])
        x = b.node("Mul", "kept", b.node("Cast", "mask", to=TensorProto.FLOAT))
        return layer(b, b.quant(x, 0.25, 4), 48)

    agree(model, SHAPE)


REFUSED: list[tuple[str, View, str]] = [
    ("training", lambda b, x: b.node("Dropout", x, b.constant(0.5), b.constant(True, bool)),
     "dropout_1: Dropout with training_mode set is random, which has no hardware: export in evaluation mode"),
    ("cast that cuts", lambda b, x: b.node("Cast", x, to=TensorProto.INT8),
     "cast_1: Cast to ONNX type 3 may change values, which has no hardware: remove it, or cast to float32"),
    ("cast to bool", lambda b, x: b.node("Cast", x, to=TensorProto.BOOL), "cast_1: Cast to ONNX type 9 may change"),
    ("cast that rounds", lambda b, x: b.node("Cast", b.quant(x, 0.1, 4), to=TensorProto.FLOAT16),
     "cast_1: Cast to ONNX type 10 may change values"),
    ("cast of a function", lambda b, x: b.node("Cast", b.node("Relu", x), to=TensorProto.FLOAT16),
     "cast_1: Cast to ONNX type 10 may change values"),
    ("empty reshape", lambda b, x: b.node("Reshape", x, ints(b, -1, 0), allowzero=1),
     r"reshape_1: Reshape to \[-1, 0\] with allowzero=1 is empty"),
    ("half the batch", lambda b, x: b.node("Reshape", x, ints(b, -1, 24)),
     r"reshape_1: Reshape to \[-1, 24\] changes the batch axis: keep it first"),
    ("two open axes", lambda b, x: b.node("Reshape", x, ints(b, 0, -1, -1)),
     r"reshape_1: Reshape of a frame \(4, 2, 6\) to \[0, -1, -1\] does not keep its 48 elements"),
    ("negative axis", lambda b, x: b.node("Reshape", x, ints(b, 0, -2, -24)),
     r"reshape_1: Reshape of a frame \(4, 2, 6\) to \[0, -2, -24\] does not keep"),
    ("open squeeze", lambda b, x: b.node("Squeeze", b.node("Reshape", x, ints(b, 0, 1, 48))),
     "squeeze_1: Squeeze without axes takes out a batch of 1 too: name the axes"),
    ("uneven blocks", lambda b, x: b.node("DepthToSpace", x, blocksize=3),
     "depthtospace_1: DepthToSpace blocksize=3 does not divide 4 channels twice"),
    ("uneven image", lambda b, x: b.node("SpaceToDepth", x, blocksize=4),
     "spacetodepth_1: SpaceToDepth blocksize=4 does not divide an image of 2x6: crop or pad it"),
    ("blocks of a row", lambda b, x: b.node("SpaceToDepth", b.node("Flatten", x), blocksize=2),
     r"spacetodepth_1: SpaceToDepth on frames of shape \(48,\): only \(channels, height, width\) has hardware"),
]  # fmt: skip


@pytest.mark.parametrize(("view", "message"), [pytest.param(v, m, id=i) for i, v, m in REFUSED])
def test_refused(view: View, message: str) -> None:
    b = Builder(SHAPE)
    with pytest.raises(UnsupportedError, match=message):
        from_onnx(b.model(layer(b, view(b, b.quant("x", 0.25, 4)), 48)))


def test_another_batch_than_that_of_the_file() -> None:
    b = Builder(SHAPE, batch=5)
    with pytest.raises(
        UnsupportedError, match=r"reshape_1: Reshape to \[1, 48\] changes the batch axis: keep it first"
    ):
        from_onnx(b.model(layer(b, b.node("Reshape", b.quant("x", 0.25, 4), ints(b, 1, 48)), 48)))

# SPDX-License-Identifier: Apache-2.0
"""Constants and shapes are computed at import: what is left equals onnxruntime; what is too large is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.frontend.agreement import Make, agree, imported, operators
from tests.models import Builder

from gatewright.errors import UnsupportedError
from gatewright.frontend.importer import from_onnx

RNG = np.random.default_rng(0)
WEIGHT = RNG.integers(-7, 8, (6, 5))


def ints(b: Builder, *values: int) -> str:
    return b.constant(list(values), np.int64)


def matmul(b: Builder, x: str, weight: str) -> str:
    return b.node("MatMul", x, weight)


# --- constants --------------------------------------------------------------------------------------------------------


def constant_of_shape(b: Builder) -> str:
    value = helper.make_tensor("v", TensorProto.FLOAT, [1], [0.5])
    return b.node("ConstantOfShape", ints(b, 6), value=value)


FOLDED: list[tuple[str, Callable[[Builder], str]]] = [
    ("sum", lambda b: b.node("Add", b.constant(np.arange(6)), b.constant(0.5))),
    ("relu", lambda b: b.node("Relu", b.constant(np.arange(-3, 3)))),
    ("expand", lambda b: b.node("Expand", b.constant(0.25), ints(b, 6))),
    ("tile", lambda b: b.node("Tile", b.constant([1, 2]), ints(b, 3))),
    ("constant of shape", constant_of_shape),
    ("range", lambda b: b.node("Range", b.constant(0.0), b.constant(3.0), b.constant(0.5))),
    ("pad", lambda b: b.node("Pad", b.constant([1, 2, 3]), ints(b, 1, 2), b.constant(0.5))),
    ("gather", lambda b: b.node("Gather", b.constant(np.arange(9)), ints(b, 1, 3, 5, 7, 8, 0))),
    ("where", lambda b: b.node("Where", b.constant([1, 0, 1, 0, 1, 1], bool), b.constant(1.0), b.constant(-2.0))),
    ("product", lambda b: b.node("MatMul", b.constant(np.arange(3)), b.constant(np.eye(6)[:3]))),
    ("reduce", lambda b: b.node("ReduceSum", b.constant(np.arange(12).reshape(2, 6) / 4), ints(b, 0), keepdims=0)),
    ("node", lambda b: b.node("Constant", value=numpy_helper.from_array(np.float32([1, 2, 3, 4, 5, 6])))),
    ("floats", lambda b: b.node("Constant", value_floats=[0.5, 1, 1.5, 2, 2.5, 3])),
    ("float", lambda b: b.node("Constant", value_float=0.5)),
    ("cast int", lambda b: b.node("Cast", b.node("Constant", value_int=2), to=TensorProto.FLOAT)),
    ("cast ints", lambda b: b.node("Cast", b.node("Constant", value_ints=[1, 2, 3, 4, 5, 6]), to=TensorProto.FLOAT)),
    ("split", lambda b: b.node("Split", b.constant(np.arange(12)), outputs=["left", "right"], axis=0)),
    ("sqrt of epsilon", lambda b: b.node("Sqrt", b.node("Add", b.constant(np.arange(6) ** 2), b.constant(0.0)))),
]


@pytest.mark.parametrize("make", [m for _, m in FOLDED], ids=[i for i, _ in FOLDED])
def test_constants_are_computed(make: Callable[[Builder], str]) -> None:
    """The constant is added in front of a quantiser."""

    def model(b: Builder) -> str:
        x = b.node("Add", b.quant("x", 0.25, 4), make(b))
        return matmul(b, b.quant(x, 0.5, 5), b.weight(WEIGHT, 0.25))

    assert operators(agree(model, (6,))) == ["activation", "dense"]


def sparse(b: Builder) -> str:
    values = numpy_helper.from_array(np.float32([2, 3]), "values")
    indices = numpy_helper.from_array(np.int64([1, 4]), "indices")
    return b.node("Constant", sparse_value=helper.make_sparse_tensor(values, indices, [6]))


def test_sparse_constants() -> None:
    agree(lambda b: matmul(b, b.quant(b.node("Add", "x", sparse(b)), 0.25, 5), b.weight(WEIGHT, 0.25)), (6,))


VIEWED: list[tuple[str, Callable[[Builder, str], str]]] = [
    ("transpose", lambda b, w: b.node("Transpose", b.node("Transpose", w, perm=[1, 0]), perm=[1, 0])),
    ("reshape", lambda b, w: b.node("Reshape", b.node("Reshape", w, ints(b, 30)), ints(b, 6, -1))),
    ("identity", lambda b, w: b.node("Identity", w)),
    ("cast", lambda b, w: b.node("Cast", w, to=TensorProto.FLOAT)),
    ("squeeze", lambda b, w: b.node("Squeeze", b.node("Unsqueeze", w, ints(b, 0)), ints(b, 0))),
    ("flatten", lambda b, w: b.node("Flatten", b.node("Reshape", w, ints(b, 6, 5, 1)))),
    ("slice", lambda b, w: b.node("Slice", w, ints(b, 0), ints(b, 4), ints(b, 1))),
    ("gather", lambda b, w: b.node("Gather", w, ints(b, 4, 0, 2), axis=1)),
    ("mul", lambda b, w: b.node("Mul", w, b.constant(0.5))),
    ("div by channel", lambda b, w: b.node("Div", w, b.constant([1, -2, 4, 0.5, -1]))),
    ("neg", lambda b, w: b.node("Neg", w)),
]


@pytest.mark.parametrize("make", [m for _, m in VIEWED], ids=[i for i, _ in VIEWED])
@pytest.mark.parametrize("scale", [0.25, np.float32([0.25, 0.5, 1, 2, 0.125])], ids=["one scale", "per channel"])
def test_a_weight_stays_quantised(make: Callable[[Builder, str], str], scale: object) -> None:
    agree(lambda b: matmul(b, b.quant("x", 0.25, 4), make(b, b.weight(WEIGHT, scale))), (6,))


def test_a_weight_that_is_transposed_to_be_multiplied_from_the_other_side() -> None:
    agree(lambda b: matmul(b, b.quant("x", 0.25, 4), b.node("Transpose", b.weight(WEIGHT.T, 0.25))), (6,))


# --- shapes -----------------------------------------------------------------------------------------------------------


def gathered(b: Builder, x: str, axis: int) -> str:
    return b.node("Gather", b.node("Shape", x), b.constant(axis, np.int64), axis=0)


def as_vector(b: Builder, x: str) -> str:
    """Shape, Gather, Unsqueeze, Concat and Reshape, as torch writes `x.view(x.shape[0], -1)`."""
    batch = b.node("Unsqueeze", gathered(b, x, 0), ints(b, 0))
    return b.node("Reshape", x, b.node("Concat", batch, ints(b, -1), axis=0))


def as_rows(b: Builder, x: str) -> str:
    """The product of two sides, behind a batch that a Slice takes out of the shape."""
    shape = b.node("Shape", x)
    batch = b.node("Slice", shape, ints(b, 0), ints(b, 1))
    pixels = b.node("Unsqueeze", b.node("Mul", gathered(b, x, 2), gathered(b, x, 3)), ints(b, 0))
    x = b.node("Reshape", x, b.node("Concat", batch, b.node("Gather", shape, ints(b, 1)), pixels, axis=0))
    return b.node("Flatten", x)


def by_cast(b: Builder, x: str) -> str:
    batch = b.node("Cast", b.node("Cast", gathered(b, x, 0), to=TensorProto.INT32), to=TensorProto.INT64)
    batch = b.node("Squeeze", b.node("Unsqueeze", b.node("Identity", batch), ints(b, 0, 1)), ints(b, 1))
    return b.node("Reshape", x, b.node("Concat", b.node("Reshape", batch, ints(b, 1)), ints(b, 48), axis=0))


SHAPES: list[tuple[str, Callable[[Builder, str], str]]] = [
    ("vector", as_vector), ("rows", as_rows), ("cast", by_cast),
    ("from the end", lambda b, x: b.node("Reshape", x, b.node("Concat", ints(b, 0), b.node(
        "Mul", b.node("Shape", x, start=1, end=2), b.node("Mul", b.node("Shape", x, start=-2, end=-1), ints(b, 4))),
        axis=0))),
]  # fmt: skip


@pytest.mark.parametrize("batch", ["batch", 3, 1])
@pytest.mark.parametrize("make", [m for _, m in SHAPES], ids=[i for i, _ in SHAPES])
def test_shape_arithmetic_vanishes(make: Callable[[Builder, str], str], batch: int | str) -> None:
    rng = np.random.default_rng(1)
    weight = rng.integers(-7, 8, (48, 4))
    graph = agree(lambda b: matmul(b, make(b, b.quant("x", 0.25, 4)), b.weight(weight, 0.25)), (3, 4, 4), batch=batch)
    assert operators(graph) == ["dense"]


def test_size_of_a_fixed_batch() -> None:
    """Size is 6 times the batch, which is 2."""

    def model(b: Builder) -> str:
        count = b.node("Cast", b.node("Size", "x"), to=TensorProto.FLOAT)
        x = b.quant(b.node("Div", b.node("Mul", "x", count), b.constant(3.0)), 0.5, 6)
        return matmul(b, x, b.weight(WEIGHT, 0.25))

    agree(model, (6,), batch=2)


# --- refusals ---------------------------------------------------------------------------------------------------------

OPEN = "computes with the size of the batch.*, which the file leaves open: export the model with a fixed batch"
REFUSED: list[tuple[str, Make, str]] = [
    ("batch times two", lambda b: b.node("Reshape", "x", b.node("Mul", b.node("Shape", "x"), ints(b, 2))),
     f"mul_1: Mul {OPEN}"),
    ("size", lambda b: b.node("Reshape", "x", b.node("Unsqueeze", b.node("Size", "x"), ints(b, 0))),
     f"size_1: Size {OPEN}"),
    ("zeros like", lambda b: b.node("Add", "x", b.node("ConstantOfShape", b.node("Shape", "x"))),
     f"constantofshape_1: ConstantOfShape {OPEN}"),
    ("as a float", lambda b: b.node("Mul", "x", b.node("Cast", b.node("Shape", "x"), to=TensorProto.FLOAT)),
     f"cast_1: Cast {OPEN}"),
    ("as an index", lambda b: b.node("Gather", b.constant(np.arange(9)), gathered(b, "x", 0)),
     f"gather_2: Gather {OPEN}"),
    ("batch elsewhere", lambda b: b.node("Reshape", "x", b.node("Concat", ints(b, 6), gathered_row(b), axis=0)),
     r"reshape_1: Reshape to \[6, 'batch'\] changes the batch axis"),
    ("large constant", lambda b: b.node("ConstantOfShape", ints(b, 1 << 20, 1 << 20)),
     "constantofshape_1: ConstantOfShape of constants with 1099511627776 elements is not computed at import: fold"),
    ("overflow", lambda b: b.node("ConstantOfShape", ints(b, 1 << 62, 4)),
     "constantofshape_1: ConstantOfShape of constants with .* elements is not computed at import"),
    ("expand", lambda b: b.node("Expand", b.constant(1.0), ints(b, 1 << 40)),
     "expand_1: Expand of constants with 109951"),
    ("tile", lambda b: b.node("Tile", b.constant(np.ones(1 << 12)), ints(b, 1 << 20)),
     "tile_1: Tile of constants with"),
    ("range", lambda b: b.node("Range", *(b.constant(n, np.int64) for n in (0, 1 << 40, 1))),
     "range_1: Range of constants with 1099511627776 elements"),
    ("pad", lambda b: b.node("Pad", b.constant(np.ones(2)), ints(b, 0, 1 << 40)), "pad_1: Pad of constants with 1099"),
    ("outer sum", lambda b: b.node("Add", b.constant(np.ones((1 << 14, 1))), b.constant(np.ones((1, 1 << 14)))),
     "add_1: Add of constants with 268435456 elements"),
    ("resize", lambda b: b.node("Resize", b.constant(np.ones((1, 1, 9, 9))), "", b.constant([1, 1, 99, 99])),
     "resize_1: Resize of constants with 793881 elements"),
    ("product", lambda b: b.node("MatMul", b.constant(np.ones((1 << 12, 1 << 12))), b.constant(np.ones((4096, 4096)))),
     "matmul_1: MatMul of constants with 16777216 elements"),
    ("no fit", lambda b: b.node("Add", b.constant(np.ones(3)), b.constant(np.ones(4))),
     "add_1: Add of constants whose shapes do not fit one another: the file is damaged"),
    ("no index", lambda b: b.node("Gather", b.constant(np.ones(3)), ints(b, 7)),
     "gather_1: Gather of constants cannot be computed .*: fold constants before export"),
    ("text", lambda b: b.node("Constant", value_string="text"), "constant_1: a Constant that holds no numbers"),
]  # fmt: skip


def gathered_row(b: Builder) -> str:
    return b.node("Unsqueeze", gathered(b, "x", 0), ints(b, 0))


@pytest.mark.parametrize(("make", "message"), [pytest.param(m, t, id=i) for i, m, t in REFUSED])
def test_refused(make: Make, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        imported(lambda b: b.node("Relu", make(b)), (6,))


@pytest.mark.parametrize("taken", [False, True])
@pytest.mark.parametrize("computed", [False, True])
def test_the_branch_that_a_constant_takes(taken: bool, computed: bool) -> None:
    """As torch writes a squeeze: whether an axis has length 1 is computed from the shape."""

    def branch(kind: str) -> onnx.GraphProto:
        constant = numpy_helper.from_array(np.float32(2 if kind == "Mul" else 0.5), "inner")
        nodes = [helper.make_node(kind, ["quantised", "inner"], ["t"]), helper.make_node("Relu", ["t"], ["y"])]
        out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
        return helper.make_graph(nodes, kind, [], [out], [constant])

    def model(b: Builder) -> str:
        b.node("Identity", b.quant("x", 0.25, 4), outputs=["quantised"])
        side = b.node("Gather", b.node("Shape", "x"), b.constant(1 if computed else 2, np.int64), axis=0)
        condition = b.node("Equal", side, b.constant(6 if taken == computed else 5, np.int64))
        condition = condition if computed else b.node("Not", condition)
        y = b.node("If", condition, then_branch=branch("Mul"), else_branch=branch("Add"))
        return matmul(b, b.quant(b.node("Flatten", y), 0.5, 5), b.weight(RNG_MATRIX, 0.25))

    graph = agree(model, (6, 5))
    assert operators(graph) == ["activation", "dense"]


RNG_MATRIX = RNG.integers(-7, 8, (30, 3))


@pytest.mark.parametrize("op_type", ["If", "Loop", "Scan"])
def test_control_flow_is_refused_by_name(op_type: str) -> None:
    b = Builder((6,))
    with pytest.raises(UnsupportedError, match=rf"{op_type.lower()}_1: {op_type} is control flow, which has no"):
        from_onnx(b.model(b.node(op_type, b.quant("x", 0.25, 4))))


@pytest.mark.parametrize("op_type", ["RandomNormal", "Einsum"])
def test_what_is_no_bounded_function_is_not_folded(op_type: str) -> None:
    b = Builder((6,))
    y = b.node(op_type, b.constant(1.0))
    with pytest.raises(
        UnsupportedError, match=rf"{op_type.lower()}_1: operator {op_type} on frames of shape \(\) has no"
    ):
        from_onnx(b.model(y))


def test_damaged_opset() -> None:
    b = Builder((6,))
    model = b.model(matmul(b, b.quant("x", 0.25, 4), b.node("Neg", b.weight(WEIGHT, 0.25))))
    for version in (-5, 0, 1 << 60):
        model.opset_import[0].version = version
        assert from_onnx(model).nodes
    del model.opset_import[:]
    assert isinstance(model, onnx.ModelProto)
    assert from_onnx(model).nodes

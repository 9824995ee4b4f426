# SPDX-License-Identifier: Apache-2.0
"""Forms of convolutions, pools, paddings, reductions and resizes of many opsets, against onnxruntime."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from tests.conformance.support import check_cycles, check_values, emit_bench
from tests.frontend.agreement import agree, imported, operators
from tests.models import Builder

from gatewright.errors import UnsupportedError
from gatewright.frontend.importer import from_onnx
from gatewright.passes.lower import lower
from gatewright.sim.model import Traffic

Piece = Callable[[Builder, str], str]
RNG = np.random.default_rng(0)


def ints(b: Builder, *values: int) -> str:
    return b.constant(list(values), np.int64)


def piece(op_type: str, *constants: Any, **attributes: Any) -> Piece:
    return lambda b, x: b.node(op_type, x, *(b.constant(c) for c in constants), **attributes)


def run(make: Piece, shape: tuple[int, ...], opset: int = 17, **settings: Any) -> list[str]:
    """Agreement of a quantised input, the piece, and a quantiser behind it; the operators between."""
    graph = agree(lambda b: b.quant(make(b, b.quant("x", 0.25, 4)), 0.5, 6), shape, opset=opset, **settings)
    return operators(graph)[:-1] if operators(graph)[-1] == "activation" else operators(graph)


# --- convolutions -----------------------------------------------------------------------------------------------------


def conv(filters: int, channels: int, *kernel: int, **attributes: Any) -> Piece:
    weight = RNG.integers(-7, 8, (filters, channels, *kernel))
    return lambda b, x: b.node("Conv", x, b.weight(weight, 0.125), **attributes)


CONVS: list[tuple[str, tuple[int, ...], Piece]] = [
    ("1x1", (3, 5, 4), conv(2, 3, 1, 1)),
    ("kernel as large as the image", (2, 4, 5), conv(3, 2, 4, 5)),
    ("even kernel, odd strides", (2, 7, 9), conv(2, 2, 2, 4, strides=[3, 2])),
    ("asymmetric pads", (2, 5, 6), conv(2, 2, 3, 3, pads=[2, 0, 1, 3])),
    ("dilation", (2, 9, 8), conv(2, 2, 3, 2, dilations=[2, 3], pads=[1, 0, 0, 2])),
    ("kernel named", (2, 5, 5), conv(2, 2, 3, 3, kernel_shape=[3, 3])),
    ("same upper", (2, 5, 8), conv(2, 2, 3, 4, auto_pad="SAME_UPPER", strides=[2, 3])),
    ("same lower", (2, 5, 8), conv(2, 2, 4, 3, auto_pad="SAME_LOWER", strides=[2, 3])),
    ("valid", (2, 5, 5), conv(2, 2, 3, 3, auto_pad="VALID")),
    ("row", (3, 11), conv(2, 3, 4, strides=[2], pads=[3, 1])),
    ("same of a row", (3, 11), conv(2, 3, 4, strides=[3], auto_pad="SAME_LOWER")),
    ("row as an image", (3, 1, 11), conv(2, 3, 1, 4, strides=[1, 2], pads=[0, 3, 0, 1])),
    ("column as an image", (3, 11, 1), conv(2, 3, 4, 1, strides=[2, 1], pads=[3, 0, 1, 0])),
    ("groups", (6, 5, 5), conv(4, 3, 3, 3, group=2, pads=[1, 1, 1, 1])),
    ("two filters a channel", (3, 5, 5), conv(6, 1, 3, 3, group=3, strides=[2, 2])),
]


@pytest.mark.parametrize(("shape", "make"), [c[1:] for c in CONVS], ids=[c[0] for c in CONVS])
@pytest.mark.parametrize("opset", [9, 13, 21])
def test_convolutions(shape: tuple[int, ...], make: Piece, opset: int) -> None:
    run(make, shape, opset)


# --- channels last ----------------------------------------------------------------------------------------------------


def test_channels_last_with_transpositions() -> None:
    """As Keras models come from their converter: the stream never changes its order."""

    def model(b: Builder) -> str:
        x = b.quant(b.node("Sub", "x", b.constant([0.5, 0.25, 1])), 0.25, 4)
        for weight in (RNG_WEIGHTS[:, :3], RNG_WEIGHTS):
            x = b.node("Transpose", x, perm=[0, 3, 1, 2])
            x = b.node("Conv", x, b.weight(weight, 0.125), pads=[1, 1, 1, 1])
            x = b.node("Transpose", x, perm=[0, 2, 3, 1])
            x = b.node("Add", b.node("Mul", x, b.constant([0.5, 1, -1, 2])), b.constant([1, 0, 0.5, -1]))
            x = b.quant(b.node("Relu", x), 0.5, 4, signed=False)
        x = b.node("ReduceMean", b.node("MaxPool", b.node("Transpose", x, perm=[0, 3, 1, 2]), kernel_shape=[2, 2],
                                        strides=[2, 2]), axes=[2, 3], keepdims=0)  # fmt: skip
        return b.node("MatMul", x, b.weight(RNG_WEIGHTS[:, :, 0, 0], 0.25))

    assert "reshape" not in operators(agree(model, (8, 8, 3)))


RNG_WEIGHTS = RNG.integers(-7, 8, (4, 4, 3, 3))


# --- padding ----------------------------------------------------------------------------------------------------------


def pad(*pads: int, value: float | None = None, axes: list[int] | None = None) -> Piece:
    """In the form of the opset."""

    def make(b: Builder, x: str) -> str:
        if b.opset < 11:
            return b.node("Pad", x, pads=pads, mode="constant", **({} if value is None else {"value": value}))
        operands = [ints(b, *pads), "" if value is None else b.constant(value), "" if axes is None else ints(b, *axes)]
        while not operands[-1]:
            operands.pop()
        return b.node("Pad", x, *operands)

    return make


PADS: list[tuple[str, tuple[int, ...], Piece, list[str]]] = [
    ("zeros", (2, 4, 5), pad(0, 0, 1, 2, 0, 0, 3, 0), ["window"]),
    ("a number", (2, 4, 5), pad(0, 0, 1, 2, 0, 0, 3, 0, value=-1.5), ["window"]),
    ("beyond the quantiser", (2, 4, 5), pad(0, 0, 1, 2, 0, 0, 3, 0, value=7.0), ["window"]),
    ("row", (3, 7), pad(0, 0, 2, 0, 0, 1), ["window"]),
    ("nothing", (2, 4, 5), pad(*[0] * 8), []),
    ("crop", (2, 5, 6), pad(0, 0, -1, -2, 0, 0, -1, 0), ["slice"]),
    ("crop and pad", (2, 5, 6), pad(0, 0, -1, 2, 0, 0, 1, -3, value=0.5), ["slice", "window"]),
    ("crop of channels", (4, 3, 3), pad(0, -1, 0, 0, 0, -1, 1, 1), ["slice", "window"]),
    ("first axes", (4, 5, 2), pad(0, 1, 2, 0, 0, 2, 0, 0), ["reshape", "window"]),
]


@pytest.mark.parametrize(("shape", "make", "want"), [c[1:] for c in PADS], ids=[c[0] for c in PADS])
@pytest.mark.parametrize("opset", [9, 11, 17])
def test_pads(shape: tuple[int, ...], make: Piece, want: list[str], opset: int) -> None:
    have = run(make, shape, opset)
    assert [o for o in have if o != "reshape"] == [o for o in want if o != "reshape"]


def test_pads_of_named_axes() -> None:
    assert run(pad(1, 0, 0, 2, axes=[3, -2]), (2, 4, 5), 18) == ["window"]


@pytest.mark.parametrize("value", [0.0, 1.25])
def test_pads_behind_functions(value: float) -> None:
    """Behind factors, an offset, and a function that keeps 0."""
    fronts = [piece("Add", 0.75)]
    if not value:
        fronts += [piece("Mul", np.float32([0.5, -1]).reshape(2, 1, 1)), piece("Relu")]
    for front in fronts:
        run(lambda b, x, f=front: pad(0, 0, 1, 0, 0, 0, 0, 2, value=value)(b, f(b, x)), (2, 4, 4))


PLUS = piece("Add", 0.75)

BEHIND: list[tuple[str, Piece, float, list[str]]] = [
    ("convolution", conv(3, 2, 3, 3, pads=[1, 0, 0, 1]), 0.0, ["conv2d"]),
    ("convolution behind a number", conv(3, 2, 3, 3, pads=[1, 0, 0, 1]), 0.5, ["window", "conv2d"]),
    ("maximum", piece("MaxPool", kernel_shape=[2, 3]), 0.0, ["window", "maxpool"]),
    ("maximum of a number", piece("MaxPool", kernel_shape=[2, 3]), 0.5, ["window", "maxpool"]),
    ("maximum with pads", piece("MaxPool", kernel_shape=[2, 3], pads=[1, 1, 1, 1]), 0.0,
     ["window", "window", "maxpool"]),
    ("average", piece("AveragePool", kernel_shape=[2, 2]), 0.0, ["window", "avgpool"]),
    ("average of a number", piece("AveragePool", kernel_shape=[2, 2]), 0.5, ["window", "avgpool"]),
    ("average with pads", piece("AveragePool", kernel_shape=[2, 2], pads=[0, 1, 1, 0], count_include_pad=1), 0.0,
     ["window", "avgpool"]),
]  # fmt: skip


@pytest.mark.parametrize(("make", "value", "want"), [c[1:] for c in BEHIND], ids=[c[0] for c in BEHIND])
@pytest.mark.parametrize("factor", [1.0, -0.5])
def test_a_layer_takes_over_the_padding_in_front_of_it(
    make: Piece, value: float, want: list[str], factor: float
) -> None:
    first = pad(0, 0, 2, 1, 0, 0, 1, 1, value=value)

    def model(b: Builder, x: str) -> str:
        x = b.node("Mul", x, b.constant(abs(factor) if "maxpool" in want else factor))
        return make(b, first(b, x))

    assert run(model, (2, 5, 5)) == want


def test_an_offset_in_front_of_padding() -> None:
    """Zeros behind the offset are another integer in front of it."""
    layers = conv(3, 2, 3, 3), piece("AveragePool", kernel_shape=[2, 2]), piece("MaxPool", kernel_shape=[2, 2])
    for layer in layers:
        for value in (0.0, 0.75):
            run(lambda b, x, v=value, f=layer: f(b, pad(0, 0, 1, 1, 0, 0, 1, 1, value=v)(b, PLUS(b, x))), (2, 4, 4))


@pytest.mark.parametrize("offset", [0.75, -2.5])
@pytest.mark.parametrize("factor", [1.0, -0.5])
def test_padding_of_a_layer_behind_an_offset(offset: float, factor: float) -> None:
    """Its zeros are another integer in front of the offset."""

    def front(b: Builder, x: str) -> str:
        return b.node("Add", b.node("Mul", x, b.constant(factor)), b.constant(offset))

    layers = [
        conv(3, 2, 3, 3, pads=[1, 0, 2, 1]),
        conv(4, 1, 3, 3, group=2, auto_pad="SAME_UPPER"),
        piece("AveragePool", kernel_shape=[2, 2], pads=[1, 0, 0, 1], count_include_pad=1),
    ]
    for layer in layers:
        run(lambda b, x, f=layer: f(b, front(b, x)), (2, 4, 5))


# --- pools ------------------------------------------------------------------------------------------------------------

CEIL = list(itertools.product([(5, 5), (6, 7), (7, 4)], [(2, 2), (3, 3), (3, 2)], [(2, 2), (3, 2)], [0, 1]))


@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), CEIL)
def test_partial_windows_of_a_maximum(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: int
) -> None:
    pads = [padding, 0, 0, padding]
    run(piece("MaxPool", kernel_shape=kernel, strides=stride, pads=pads, ceil_mode=1), (2, *size))


@pytest.mark.parametrize("size", range(4, 10))
def test_partial_windows_of_a_row(size: int) -> None:
    for kernel, stride, dilation in ((2, 2, 1), (3, 2, 1), (2, 3, 2)):
        attributes = {"kernel_shape": [kernel], "strides": [stride], "dilations": [dilation], "ceil_mode": 1}
        run(piece("MaxPool", **attributes), (2, size))


POOLS: list[tuple[str, tuple[int, ...], Piece]] = [
    ("same", (2, 5, 6), piece("MaxPool", kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_UPPER")),
    ("same lower", (2, 5, 6), piece("MaxPool", kernel_shape=[2, 3], strides=[2, 2], auto_pad="SAME_LOWER")),
    ("valid", (2, 5, 6), piece("MaxPool", kernel_shape=[2, 3], auto_pad="VALID")),
    ("counted", (2, 5, 6), piece("AveragePool", kernel_shape=[2, 4], pads=[1, 1, 0, 2], count_include_pad=1)),
    ("whole windows", (2, 4, 6), piece("AveragePool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)),
    ("global maximum", (3, 4, 5), piece("GlobalMaxPool")),
    ("global maximum of a row", (3, 7), piece("GlobalMaxPool")),
    ("global mean", (3, 4, 4), piece("GlobalAveragePool")),
]


@pytest.mark.parametrize(("shape", "make"), [c[1:] for c in POOLS], ids=[c[0] for c in POOLS])
@pytest.mark.parametrize("opset", [10, 13, 21])
def test_pools(shape: tuple[int, ...], make: Piece, opset: int) -> None:
    run(make, shape, opset)


def reduce(b: Builder, kind: str, x: str, axes: list[int], keepdims: int) -> str:
    late = 13 if kind == "ReduceSum" else 18
    if b.opset >= late:
        return b.node(kind, x, ints(b, *axes), keepdims=keepdims)
    return b.node(kind, x, axes=axes, keepdims=keepdims)


@pytest.mark.parametrize("kind", ["ReduceMean", "ReduceSum", "ReduceMax"])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [[2, 3], [-1, -2], [1], [3], [1, 2], [1, 2, 3]], ids=str)
@pytest.mark.parametrize("opset", [9, 13, 18])
def test_reductions(kind: str, keepdims: int, axes: list[int], opset: int) -> None:
    run(lambda b, x: reduce(b, kind, x, axes, keepdims), (4, 2, 8), opset)


@pytest.mark.parametrize("kind", ["ReduceMean", "ReduceSum", "ReduceMax"])
def test_reductions_of_rows_and_of_nothing(kind: str) -> None:
    run(lambda b, x: reduce(b, kind, x, [2], 0), (3, 8))
    run(lambda b, x: reduce(b, kind, x, [1], 1), (8,))
    run(lambda b, x: b.node(kind, b.node("Mul", x, b.constant(2.0)), noop_with_empty_axes=1), (3, 4), 18)


# --- resizes ----------------------------------------------------------------------------------------------------------


def resize(b: Builder, x: str, *factors: float, **attributes: Any) -> str:
    scales = [1.0, 1.0, *factors]
    if b.opset < 9:
        return b.node("Upsample", x, scales=scales, mode="nearest")
    if b.opset < 10:
        return b.node("Upsample", x, b.constant(scales), mode="nearest")
    if b.opset < 11:
        return b.node("Resize", x, b.constant(scales), mode="nearest")
    form = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor", "mode": "nearest"} | attributes
    return b.node("Resize", x, b.constant(np.zeros(0)) if b.opset < 13 else "", b.constant(scales), **form)


@pytest.mark.parametrize("opset", [7, 9, 10, 11, 13, 18, 19])
@pytest.mark.parametrize("factors", [(2, 2), (3, 1), (1, 4)])
def test_resizes(factors: tuple[int, int], opset: int) -> None:
    assert run(lambda b, x: resize(b, x, *factors), (2, 3, 4), opset) == ["upsample"]


@pytest.mark.parametrize("batch", ["batch", 3])
def test_resizes_to_a_size(batch: int | str) -> None:
    """Computed from the shape, as torch writes it."""

    def model(b: Builder, x: str) -> str:
        shape = b.node("Shape", x)
        sizes = b.node("Mul", b.node("Slice", shape, ints(b, 2), ints(b, 4), ints(b, 0)), ints(b, 2, 3))
        sizes = b.node("Concat", b.node("Slice", shape, ints(b, 0), ints(b, 2), ints(b, 0)), sizes, axis=0)
        return b.node("Resize", x, "", "", sizes, coordinate_transformation_mode="asymmetric", nearest_mode="floor")

    assert run(model, (2, 3, 4), batch=batch) == ["upsample"]


@pytest.mark.parametrize("transform", ["half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric"])
@pytest.mark.parametrize("nearest", ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
@pytest.mark.parametrize("factor", [2, 3])
def test_resizes_that_repeat_every_pixel_or_are_refused(transform: str, nearest: str, factor: int) -> None:
    form = {"coordinate_transformation_mode": transform, "nearest_mode": nearest}
    opset = 11 if transform.startswith("tf") else 17
    try:
        imported(lambda b: resize(b, b.quant("x", 0.25, 4), factor, factor, **form), (2, 3, 4), opset=opset)
    except UnsupportedError as error:
        assert "does not repeat every pixel" in str(error)  # either is right
        return
    run(lambda b, x: resize(b, x, factor, factor, **form), (2, 3, 4), opset)


# --- sums, extremes and functions of several nodes --------------------------------------------------------------------

SEVERAL: list[tuple[str, Piece, int]] = [
    ("sum of one", piece("Sum"), 17),
    ("sum of three", lambda b, x: b.node("Sum", x, b.quant(b.node("Relu", x), 0.5, 3), b.constant(0.5)), 17),
    ("max of three", lambda b, x: b.node("Max", x, b.constant(-0.5), b.constant([[[0.25]], [[-1]]])), 17),
    ("min of one", piece("Min"), 17),
    ("min of three", lambda b, x: b.node("Min", x, b.constant(0.5), b.constant([[[0.25]], [[-1]]])), 17),
]  # fmt: skip


@pytest.mark.parametrize(("make", "opset"), [c[1:] for c in SEVERAL], ids=[c[0] for c in SEVERAL])
def test_nodes_that_stand_for_several(make: Piece, opset: int) -> None:
    run(make, (2, 3, 4), opset)


# --- refusals ---------------------------------------------------------------------------------------------------------

REFUSED: list[tuple[str, Piece, str]] = [
    ("reflection", piece("Pad", mode="reflect", pads=[0] * 8),
     "pad_1: Pad with mode='reflect' has no hardware: pad with constants, or inside the convolution"),
    ("padding of the batch", pad(1, 0, 0, 0, 0, 0, 0, 0), "pad_1: Pad by .* pads the batch, which has no hardware"),
    ("padding of channels and rows", pad(0, 1, 0, 1, 0, 0, 0, 0), "pad_1: Pad by .*: only the axes of an image have"),
    ("padding of another length", pad(0, 0, 1, 1), r"pad_1: Pad by \[0, 0, 1, 1\] of 4 axes: two numbers an axis are"),
    ("padding off the grid", pad(0, 0, 1, 1, 0, 0, 1, 1, value=0.3),
     "pad_1: Pad with 0.3.* adds numbers that are no integers of 'quant_1_out': pad with 0, or with a multiple"),
    ("padding behind a function", lambda b, x: pad(0, 0, 1, 1, 0, 0, 1, 1)(b, b.node("Exp", x)),
     "pad_1: Pad with 0.0 adds numbers that are no integers of 'exp_1_out'"),
    ("partial windows of a mean", piece("AveragePool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
     "averagepool_1: ceil_mode=1 adds partial windows, which have no hardware: use ceil_mode=0 or pad"),
    ("same mean", piece("AveragePool", kernel_shape=[3, 3], auto_pad="SAME_UPPER"),
     "averagepool_1: AveragePool with padding that is not counted divides by another number at the border"),
    ("norm", piece("LpPool", kernel_shape=[2, 2]), r"lppool_1: operator LpPool on frames of shape \(2, 6, 6\) has no"),
    ("another kernel", conv(2, 2, 3, 3, kernel_shape=[2, 2]),
     r"conv_1: kernel_shape=\(2, 2\) is not that of the weight, \(3, 3\): the file is damaged"),
    ("linear", lambda b, x: resize(b, x, 2, 2, mode="linear"), "resize_1: Resize with mode='linear' has no hardware"),
    ("a huge factor", lambda b, x: resize(b, x, 1 << 40, 1),
     "resize_1: Resize to 6597069766656 pixels along an axis: at most 65536 have hardware"),
    ("part of a factor", lambda b, x: resize(b, x, 1.5, 2), "resize_1: Resize of 6 pixels by 1.5: only whole factors"),
    ("mean of a function", lambda b, x: b.node("ReduceMean", b.node("Relu", x), axes=[1]),
     r"reducemean_1: GlobalAveragePool reads 'relu_1_out' after float steps \(relu\) that no quantiser follows"),
    ("minimum over axes", lambda b, x: b.node("ReduceMin", x, axes=[2, 3]),
     "reducemin_1: operator ReduceMin on frames"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), [pytest.param(m, t, id=i) for i, m, t in REFUSED])
def test_refused(make: Piece, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        imported(lambda b: b.quant(make(b, b.quant("x", 0.25, 4)), 0.5, 4), (2, 6, 6))


def test_attributes_of_old_opsets() -> None:
    for opset in (6, 17):
        b = Builder((3, 4, 4), opset=opset)
        y = b.node("Add", b.quant("x", 0.25, 4), b.constant([1, 2, 3]), broadcast=1, axis=1)
        with pytest.raises(
            UnsupportedError, match="broadcast' of opset 6 means" if opset == 6 else "varies within a ch"
        ):
            from_onnx(b.model(b.quant(y, 0.5, 4)))


def test_initialisers_among_the_inputs() -> None:
    """As old exporters list them."""
    shape = (2, 5, 5)
    b = Builder(shape)
    model = b.model(conv(3, 2, 3, 3)(b, b.quant("x", 0.25, 4)))
    wanted = from_onnx(model)
    for constant in model.graph.initializer:
        info = helper.make_tensor_value_info(constant.name, constant.data_type, list(constant.dims))
        model.graph.input.append(info)
    assert from_onnx(model).digest() == wanted.digest()


# --- hardware ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_rtl_of_what_only_these_forms_need(tmp_path: Path) -> None:
    """Padding with a number by a window of one pixel, a negative factor on a sum's operand, filled up windows, a mean
    over channels, to the integer and to the cycle."""

    def padded(b: Builder) -> str:
        x = pad(0, 0, 1, 2, 0, 0, 0, 1, value=-1.5)(b, b.quant("x", 0.25, 4))
        x = b.node("MaxPool", x, kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1)
        return b.quant(reduce(b, "ReduceMean", x, [1], 1), 0.25, 4)

    def difference(b: Builder) -> str:
        x = b.quant("x", 0.25, 4)
        y = b.quant(b.node("Relu", x), 0.5, 3)
        return b.quant(b.node("Sub", b.node("Mul", x, b.constant(3.0)), b.node("Add", y, b.constant(1.0))), 0.5, 6)

    graphs = [lower(imported(make, shape)) for make, shape in ((padded, (2, 5, 4)), (difference, (3, 4)))]
    assert {"window", "maxpool", "reshape", "global_avgpool", "requant", "add"} <= {
        n.op.name() for g in graphs for n in g.nodes
    }
    bench = emit_bench(graphs, tmp_path)
    model = bench.model()
    check_cycles(bench, check_values(bench, model, [8, 8], Traffic()))
    check_values(bench, model, [4, 4], Traffic(in_stall=0.4, out_stall=0.4, burst=5, seed=1))

# SPDX-License-Identifier: Apache-2.0
"""Every form of `QuantizeLinear` and `DequantizeLinear` gives what onnxruntime gives, on ties too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from tests.frontend.agreement import operators, run, same_as
from tests.models import DOMAIN, Builder

from gatewright.errors import UnsupportedError
from gatewright.frontend.importer import from_onnx
from gatewright.ir.graph import Graph
from gatewright.passes.lower import lower
from gatewright.passes.prove import prove

EVERY = np.arange(-128, 128, dtype=np.float32)[None] / 16
"""Every value of an 8-bit quantiser of scale 1/16, in one frame."""
TYPES = [(np.int8, 17), (np.uint8, 17), (np.int16, 21), (np.uint16, 21), (ml_dtypes.int4, 21), (ml_dtypes.uint4, 21)]
MICROSOFT = "com.microsoft"


def same_as_runtime(b: Builder, outputs: list[str], x: np.ndarray) -> Graph:
    """Golden and the lowered graph equal onnxruntime in every output."""
    model = b.model(*outputs)
    return same_as(model, x, run(model, x))


def zeros(dtype: type) -> list[int]:
    """Both ends of a type, and numbers of both parities between."""
    info = ml_dtypes.iinfo(dtype)
    return [int(info.min), int(info.max), (info.min + info.max) // 2, (info.min + info.max) // 2 + 1, max(info.min, 0)]


@pytest.mark.parametrize(("dtype", "opset"), TYPES)
@pytest.mark.parametrize("domain", ["", MICROSOFT])
def test_types_and_zero_points(dtype: type, opset: int, domain: str) -> None:
    """In hardware, behind a quantised input; ties fall as if the zero point were not there."""
    b = Builder((256,), opset=opset)
    x = b.dequantize(b.quantize("x", 1 / 16, 0, np.int8), 1 / 16, 0, np.int8)
    outputs = []
    for zero in zeros(dtype):
        for scale in (0.25, 0.5):
            q = b.quantize(x, scale, zero, dtype, domain=domain)
            outputs.append(b.dequantize(q, scale, zero, dtype, domain=domain))
    same_as_runtime(b, outputs, EVERY)


@pytest.mark.parametrize("dtype", [ml_dtypes.int2, ml_dtypes.uint2])
def test_two_bits(dtype: type) -> None:
    """Which onnxruntime does not know: against ONNX' own evaluator."""
    b = Builder((256,), opset=25)
    x = b.dequantize(b.quantize("x", 1 / 16, 0, np.int8), 1 / 16, 0, np.int8)
    y = b.dequantize(b.quantize(x, 0.5, 1, dtype), 0.5, 1, dtype)
    weight = b.dequantize(b.constant(np.arange(512).reshape(256, 2) % 2, dtype), 0.25, None)
    model = b.model(y, b.node("MatMul", y, weight))
    same_as(model, EVERY, ReferenceEvaluator(model).run(None, {"x": EVERY}))


@pytest.mark.parametrize(("dtype", "opset"), TYPES)
def test_on_the_host(dtype: type, opset: int) -> None:
    x = np.arange(-600, 600, dtype=np.float32)[None] / 16
    for zero in zeros(dtype):
        b = Builder((1200,), opset=opset)
        y = b.dequantize(b.quantize("x", 0.25, zero, dtype), 0.25, zero, dtype)
        y = b.node("MaxPool", b.node("Reshape", y, b.constant([0, 1, 1200], np.int64)), kernel_shape=[2], strides=[2])
        graph = same_as_runtime(b, [y], x)
        info = ml_dtypes.iinfo(dtype)
        assert (graph.inputs[0].tensor.lo, graph.inputs[0].tensor.hi) == (info.min - zero, info.max - zero)


def test_defaults() -> None:
    """Without zero point codes are uint8; DequantizeLinear has none then."""
    b = Builder((256,), opset=10)
    x = b.dequantize(b.quantize("x", 1 / 16, None), 1 / 16, None)
    same_as_runtime(b, [b.dequantize(b.quantize(x, 0.5, None), 0.5, None)], EVERY)
    b = Builder((256,), opset=21)
    x = b.dequantize(b.quantize("x", 1 / 16, None, output_dtype=TensorProto.INT8), 1 / 16, None)
    same_as_runtime(b, [b.dequantize(b.quantize(x, 0.5, None, output_dtype=TensorProto.INT8), 0.5, None)], EVERY)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_limits_on_codes(dtype: type) -> None:
    """As Brevitas writes its narrow ranges and few bits; one quantiser comes of each."""
    low = int(np.iinfo(dtype).min)
    b = Builder((256,))

    def limited(x: str, scale: float, zero: int, lo: int, hi: int) -> str:
        q = b.quantize(x, scale, zero, dtype)
        return b.dequantize(b.node("Clip", q, b.constant(lo, dtype), b.constant(hi, dtype)), scale, zero, dtype)

    x = limited("x", 1 / 8, 0, low + 1, 63)
    outputs = [limited(x, 0.5, zero, lo, hi) for zero in (0, 3) for lo, hi in ((low, 7), (low + 1, 9), (1, 1), (5, 9))]
    graph = same_as_runtime(b, outputs, EVERY)
    assert operators(graph) == ["activation"] * len(outputs)
    assert graph.inputs[0].tensor.hi == 63


def test_relu_max_and_min_of_codes() -> None:
    b = Builder((256,))
    x = b.dequantize(b.quantize("x", 1 / 16, 0, np.int8), 1 / 16, 0, np.int8)
    outputs = []
    for zero, scale in ((0, 0.25), (5, 0.25), (-5, 1 / 32)):  # the last reaches both ends of its type
        for kind in ("Relu", "Max", "Min"):
            q = b.quantize(x, scale, zero, np.int8)
            q = b.node(kind, q, *([b.constant(2, np.int8)] if kind != "Relu" else []))
            outputs.append(b.dequantize(q, scale, zero, np.int8))
    graph = same_as_runtime(b, outputs, EVERY)
    assert operators(graph) == ["activation"] * 9


def test_codes_with_and_without_limits() -> None:
    """Both are read: two quantisers in hardware; a graph input has one, so that its limits become hardware."""
    b = Builder((256,))
    x = b.dequantize(b.quantize("x", 1 / 16, 0, np.int8), 1 / 16, 0, np.int8)
    q = b.quantize(x, 0.25, 5)
    limited = b.node("Clip", q, b.constant(2, np.uint8), b.constant(20, np.uint8))
    outputs = [b.dequantize(v, 0.25, 5) for v in (q, limited)]
    assert operators(same_as_runtime(b, outputs, EVERY)) == ["activation", "activation"]
    b = Builder((256,))
    q = b.quantize("x", 0.25, 5)
    wide = b.dequantize(b.quantize(b.dequantize(q, 0.25, 5), 0.5, 3), 0.5, 3)
    limited = b.dequantize(b.node("Clip", q, b.constant(2, np.uint8), b.constant(20, np.uint8)), 0.25, 5)
    assert operators(same_as_runtime(b, [wide, limited], EVERY)) == ["activation", "activation"]


def test_limits_on_an_input_that_is_read_without_them_later() -> None:
    b = Builder((256,))
    q = b.quantize("x", 0.25, 5)
    limited = b.dequantize(b.node("Clip", q, b.constant(2, np.uint8), b.constant(20, np.uint8)), 0.25, 5)
    wide = b.dequantize(b.quantize(b.dequantize(q, 0.25, 5), 0.5, 3), 0.5, 3)
    with pytest.raises(UnsupportedError, match="input 'x' is quantised in two ways, which has no hardware: share one"):
        from_onnx(b.model(limited, wide))


def test_activations_with_a_scale_per_channel() -> None:
    """Codes keep their own scales; where they are dequantised, whole factors bring them to one."""
    scale = np.float32([0.25, 0.5, 1.0])
    b = Builder((3, 4, 4))
    rng = np.random.default_rng(8)
    q = b.quantize("x", scale, np.full(3, 9), axis=1)
    x = b.dequantize(b.node("MaxPool", q, kernel_shape=[2, 2]), scale, np.full(3, 9), axis=-3)
    weight = b.dequantize(b.constant(rng.integers(-8, 8, (2, 3, 2, 2)), np.int8), 0.5, None)
    y = b.node("Conv", x, weight)
    b.types[q] = TensorProto.UINT8
    graph = same_as_runtime(b, [y, q], np.float32(rng.integers(-80, 160, (6, 3, 4, 4)) / 16))
    assert operators(graph) == ["window", "maxpool", "requant", "conv2d"]


def test_constants_that_are_scales_of_nothing() -> None:
    """A weight of one code, and biases whose codes have more bits than a float32 holds exactly."""
    b = Builder((4,))
    x = b.dequantize(b.quantize("x", 0.25, 3), 0.25, 3)
    weight = b.dequantize(b.constant(np.full((4, 2), 7), np.int8), 0.5, 7, np.int8)
    bias = b.dequantize(b.constant([(1 << 24) + 1, -5], np.int32), 0.125, None)
    y = b.node("Add", b.node("MatMul", x, weight), bias)
    same_as_runtime(b, [y], np.float32(np.random.default_rng(9).integers(-80, 80, (6, 4)) / 16))


def test_codes_through_views_and_pools() -> None:
    """Codes stay codes through what moves them; also as an output of the model."""
    b = Builder((2, 4, 4))
    q = b.quantize("x", 0.25, 3, np.uint8)
    pooled = b.node("MaxPool", q, kernel_shape=[2, 2], strides=[2, 2])
    flat = b.node("Flatten", b.node("Transpose", pooled, perm=[0, 2, 3, 1]))
    y = b.node(
        "MatMul",
        b.dequantize(flat, 0.25, 3),
        b.dequantize(b.constant(np.arange(24).reshape(8, 3) - 12, np.int8), 0.5, None),
    )
    b.types[pooled] = TensorProto.UINT8
    x = np.float32(np.random.default_rng(0).integers(-80, 80, (6, 2, 4, 4)) / 16)
    same_as_runtime(b, [y, pooled], x)


def test_weights_and_biases() -> None:
    """Codes with a scale per channel along any axis, zero points too; weights quantised in the file; int32 biases."""
    rng = np.random.default_rng(1)
    x = np.float32(rng.integers(-80, 80, (5, 4, 5, 5)) / 16)
    b = Builder((4, 5, 5))
    a = b.dequantize(b.quantize("x", 0.25, 128), 0.25, 128)
    scale = np.float32(2.0 ** rng.integers(-4, 0, 3))
    codes = b.constant(rng.integers(-128, 128, (3, 4, 3, 3)), np.int8)
    weight = b.dequantize(codes, scale, [0, 3, -7], np.int8, axis=0)
    bias = b.dequantize(b.constant([1000, -2000, 3], np.int32), scale / 4, None, axis=0)
    y = b.node("Conv", a, weight, bias, pads=[1, 1, 1, 1])
    a = b.dequantize(b.quantize(b.node("Relu", y), 2.0, 0), 2.0, 0)
    real = b.constant(rng.integers(-200, 201, (75, 4)) / 64)
    q = b.quantize(real, np.float32([0.25, 0.125, 0.5, 0.25]), np.int8([0, 1, 2, 3]), np.int8, axis=-1)
    q = b.node("Clip", q, b.constant(-7, np.int8), b.constant(7, np.int8))
    weight = b.dequantize(q, np.float32([0.25, 0.125, 0.5, 0.25]), np.int8([0, 1, 2, 3]), np.int8, axis=1)
    y = b.node("MatMul", b.node("Flatten", a), weight)
    graph = same_as_runtime(b, [y], x)
    assert operators(graph) == ["conv2d", "activation", "dense"]


def test_narrow_weights() -> None:
    """int4 and uint4 weights, blocks of one scale, and 16-bit ones."""
    rng = np.random.default_rng(2)
    b = Builder((6,), opset=21)
    a = b.dequantize(b.quantize("x", 0.25, 0, np.int8), 0.25, 0, np.int8)
    outputs = []
    for dtype, zero in ((ml_dtypes.int4, 0), (ml_dtypes.uint4, 5), (np.int16, None), (np.uint16, 1)):
        info = ml_dtypes.iinfo(dtype)
        codes = b.constant(rng.integers(info.min, info.max + 1, (6, 3)), dtype)
        outputs.append(b.node("MatMul", a, b.dequantize(codes, 0.5, zero, dtype)))
    codes = b.constant(rng.integers(-8, 8, (6, 3)), ml_dtypes.int4)
    blocks = np.float32(2.0 ** rng.integers(-3, 0, (3, 3)))
    outputs.append(b.node("MatMul", a, b.dequantize(codes, blocks, None, axis=0, block_size=2)))
    same_as_runtime(b, outputs, np.float32(rng.integers(-80, 80, (9, 6)) / 16))


@pytest.mark.parametrize(
    ("dtype", "kind", "opset"),
    [
        (np.int8, TensorProto.INT8, 17),
        (np.uint8, TensorProto.UINT8, 17),
        (np.int16, TensorProto.INT16, 21),
        (np.uint16, TensorProto.UINT16, 21),
    ],
)
def test_integer_inputs(dtype: type, kind: int, opset: int) -> None:
    """A model of integers alone: the host sends the codes as they are."""
    info = np.iinfo(dtype)
    x = np.random.default_rng(3).integers(info.min, info.max + 1, (7, 8)).astype(dtype)
    x[0], x[1] = info.min, info.max
    b = Builder((8,), dtype=kind, opset=opset)
    weight = b.dequantize(b.constant(np.arange(24).reshape(8, 3) - 9, np.int8), 0.5, None)
    y = b.node("MatMul", b.dequantize("x", 0.125, 100, dtype), weight)
    graph = same_as_runtime(b, [y], x)
    (given,) = graph.inputs
    assert (given.tensor.lo, given.tensor.hi, given.tensor.scale) == (info.min - 100, info.max - 100, 0.125)
    np.testing.assert_array_equal(given.quantize(x), x.astype(np.int64) - 100)


def test_integer_input_read_in_two_ways() -> None:
    """Once as codes of one scale, once of another, once as a number."""
    x = np.random.default_rng(4).integers(0, 256, (7, 8)).astype(np.uint8)
    b = Builder((8,), dtype=TensorProto.UINT8)
    outputs = []
    for scale, zero in ((0.125, 7), (0.25, 9)):
        y = b.dequantize("x", scale, zero)
        outputs.append(b.dequantize(b.quantize(y, 2.0, 3), 2.0, 3))
    real = b.node("Mul", b.node("Sub", b.node("Cast", "x", to=TensorProto.FLOAT), b.constant(11.0)), b.constant(0.5))
    outputs.append(b.dequantize(b.quantize(real, 4.0, 3), 4.0, 3))
    same_as_runtime(b, outputs, x)


@pytest.mark.parametrize("to", [TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT32, TensorProto.INT64])
@pytest.mark.parametrize("hardware", [False, True])
def test_dequantised_by_hand(to: int, hardware: bool) -> None:
    """Cast, Sub and Mul in place of DequantizeLinear: nothing of it is left."""
    b = Builder((8,))
    x = b.dequantize(b.quantize("x", 1 / 16, 3), 1 / 16, 3) if hardware else "x"
    kind = helper.tensor_dtype_to_np_dtype(to)
    number = b.node("Sub", b.node("Cast", b.quantize(x, 0.25, 5), to=to), b.constant(5, kind))
    number = b.node("Cast", number, to=TensorProto.FLOAT)
    y = b.node(
        "MatMul", b.node("Mul", number, b.constant(0.25)), b.dequantize(b.constant(np.eye(8), np.int8), 0.5, None)
    )
    graph = same_as_runtime(b, [y], np.float32(np.random.default_rng(5).integers(-80, 80, (9, 8)) / 16))
    assert operators(graph) == ["activation"] * hardware + ["dense"]


@pytest.mark.parametrize("kind", ["Round", "Floor", "Ceil"])
@pytest.mark.parametrize("zero", [0, 3, 4])
@pytest.mark.parametrize("first", ["rounded", "limited", "onnx"])
def test_quantisers_written_out(kind: str, zero: int, first: str) -> None:
    """On the host and in hardware: the zero point before rounding (QONNX) or after it (ONNX), limits on either side."""
    b = Builder((256,))

    def quantiser(x: str, scale: float, lo: int, hi: int) -> str:
        y = b.node("Div", x, b.constant(scale))
        limits = b.constant(lo), b.constant(hi)
        if first == "onnx":
            y = b.node("Clip", b.node("Add", b.node(kind, y), b.constant(zero)), *limits)
        else:
            y = b.node("Add", y, b.constant(zero))
            y = (
                b.node("Clip", b.node(kind, y), *limits)
                if first == "rounded"
                else b.node(kind, b.node("Clip", y, *limits))
            )
        return b.node("Mul", b.node("Sub", y, b.constant(zero)), b.constant(scale))

    x = quantiser("x", 0.125, -64, 63)
    y = quantiser(x, 0.5, -8, 7)
    z = b.node("MatMul", y, b.dequantize(b.constant(np.eye(256), np.int8), 0.5, None))
    graph = same_as_runtime(b, [y, z], EVERY)
    assert operators(graph) == ["activation", "dense"]


class Calibration(CalibrationDataReader):
    """Normally distributed frames."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        rng = np.random.default_rng(0)
        self.left = [{"x": np.float32(rng.normal(0, 1, (8, *shape)))} for _ in range(4)]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self.left.pop() if self.left else None


def float_network(b: Builder) -> str:
    """A residual network with pools, as a trainer would leave it."""
    rng = np.random.default_rng(6)

    def conv(x: str, inputs: int, outputs: int, kernel: int) -> str:
        weight = b.constant(rng.normal(0, 1 / kernel, (outputs, inputs, kernel, kernel)))
        return b.node("Conv", x, weight, b.constant(rng.normal(0, 0.3, outputs)), pads=[kernel // 2] * 4)

    x = b.node("Relu", conv("x", 3, 6, 3))
    x = b.node("Relu", b.node("Add", x, conv(x, 6, 6, 3)))
    x = conv(b.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), 6, 8, 1)
    x = b.node("Flatten", b.node("GlobalAveragePool", x))
    return b.node("Gemm", x, b.constant(rng.normal(0, 0.5, (8, 4))), b.constant(rng.normal(0, 0.3, 4)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("activations", "weights", "per_channel"),
    [
        (QuantType.QUInt8, QuantType.QInt8, False),
        (QuantType.QInt8, QuantType.QInt8, True),
        (QuantType.QUInt8, QuantType.QUInt8, False),
    ],
)
def test_the_quantiser_of_onnxruntime(
    tmp_path: Path, activations: QuantType, weights: QuantType, per_channel: bool
) -> None:
    """A float network that it quantised: the same integers come out but for ties of float32, which are counted."""
    b = Builder((3, 8, 8))
    path, quantised = b.save(tmp_path / "float.onnx", float_network(b)), tmp_path / "quantised.onnx"
    settings = {"activation_type": activations, "weight_type": weights, "per_channel": per_channel}
    quantize_static(path, quantised, Calibration((3, 8, 8)), quant_format=QuantFormat.QDQ, **settings)
    model = onnx.load(quantised)
    graph = from_onnx(model)
    lowered = lower(graph)
    prove(graph, lowered)
    x = np.float32(np.random.default_rng(7).normal(0, 1, (64, 3, 8, 8)))
    (golden,) = lowered.reference(*lowered.quantize(x))
    wanted = np.rint(run(model, x)[0].astype(np.float64) / graph.outputs[0].scale)
    assert np.array_equal(golden, graph.reference(*graph.quantize(x))[0])
    # Another processor may sum float32 in another order; where this was written, none of 256 differed.
    assert np.abs(golden - wanted).max() <= 1 and (golden != wanted).sum() <= 2
    assert operators(graph)[-1] == "activation"


# --- refusals ---------------------------------------------------------------------------------------------------------


def model(make: Callable[[Builder], str], shape: tuple[int, ...] = (4,), **settings: Any) -> onnx.ModelProto:
    b = Builder(shape, **settings)
    return b.model(make(b))


def coded(b: Builder) -> str:
    return b.quantize("x", 0.25, 3)


def product(b: Builder, codes: str, weight: str = "") -> str:
    """A product of what codes stand for with a matrix of codes."""
    weight = weight or b.constant(np.eye(4), np.int8)
    return b.node("MatMul", b.dequantize(codes, 0.25, 3), b.dequantize(weight, 1.0, None))


REFUSED: list[tuple[str, onnx.ModelProto, str]] = [
    (
        "dynamic",
        model(lambda b: b.node("DynamicQuantizeLinear", "x", outputs=["q", "s", "z"])),
        "dynamicquantizelinear_1: DynamicQuantizeLinear takes its scale from the data, which has no hardware: quantise "
        "statically, with calibration data",
    ),
    (
        "zero points of channels",
        model(lambda b: b.quantize("x", np.ones(4), np.arange(4))),
        r"quantizelinear_1: zero points \[0.0, 1.0, 2.0, 3.0\] of an activation's channels differ: use one for all",
    ),
    (
        "scale of another length",
        model(lambda b: b.quantize("x", np.ones(3), np.zeros(3))),
        r"quantizelinear_1: a scale of shape \(3,\) with axis=1 and block_size=0 does not fit an operand of shape "
        r"\(1, 4\): give one, or one for each element of the axis",
    ),
    (
        "axis",
        model(lambda b: b.quantize("x", np.ones(4), np.zeros(4), axis=2)),
        r"quantizelinear_1: a scale of shape \(4,\) with axis=2 and block_size=0 does not fit",
    ),
    (
        "float codes",
        model(lambda b: b.quantize("x", 1.0, None, output_dtype=TensorProto.FLOAT8E4M3FN), opset=21),
        "quantizelinear_1: codes of ONNX type 17 have no hardware: quantise to integers of up to 16 bits",
    ),
    (
        "float zero point",
        model(lambda b: b.quantize("x", 1.0, 0, ml_dtypes.float8_e4m3fn), opset=21),
        "quantizelinear_1: codes float8_e4m3fn have no hardware: quantise to integers of up to 16 bits",
    ),
    (
        "precision",
        model(lambda b: b.quantize("x", 1.0, precision=TensorProto.FLOAT16), opset=23),
        r"quantizelinear_1: precision=10 has no hardware: leave it out, or use float32 \(1\)",
    ),
    (
        "zero scale",
        model(lambda b: b.dequantize(b.quantize("x", 0.5), [1.0, 0.0, np.nan, 1.0], None)),
        r"dequantizelinear_1: scale \[0.0, nan\] must be positive and finite: calibrate or train again",
    ),
    (
        "computed zero point",
        model(lambda b: b.node("QuantizeLinear", "x", b.constant(1.0), b.quantize("x", 1.0))),
        r"quantizelinear_2: QuantizeLinear needs a constant as input 2 \('quantizelinear_1_out'\)",
    ),
    (
        "codes of a float input",
        model(lambda b: b.dequantize("x", 1.0)),
        "dequantizelinear_1: DequantizeLinear reads the float input 'x': put a QuantizeLinear before it",
    ),
    (
        "arithmetic on codes",
        model(lambda b: b.node("Sub", coded(b), b.constant(3, np.uint8))),
        "sub_1: Sub computes with the codes 'quantizelinear_1_out', which have few bits and may wrap: put a "
        "DequantizeLinear, or a Cast to float32, before it",
    ),
    (
        "arithmetic on pooled codes",
        model(lambda b: b.node("Add", b.node("MaxPool", coded(b), kernel_shape=[2]), b.constant(3, np.uint8)), (2, 4)),
        "add_1: Add computes with the codes 'maxpool_1_out'",
    ),
    (
        "division of integers",
        model(lambda b: b.node("Div", b.node("Cast", coded(b), to=TensorProto.INT32), b.constant(3, np.int32))),
        r"div_1: Div of integers \(int32\) cuts off or wraps: cast the operands to float32 before it",
    ),
    (
        "limits of elements",
        model(lambda b: product(b, b.node("Max", coded(b), b.constant([1, 2, 3, 4], np.uint8)))),
        "max_1: Max of codes with one limit per element: use one for all",
    ),
    (
        "NaN weight",
        model(lambda b: product(b, coded(b), b.quantize(b.constant(np.full((4, 4), np.nan)), 1.0))),
        r"quantizelinear_2: the constant \(float32\) is not made of finite floats: export it again",
    ),
    (
        "float codes of a weight",
        model(lambda b: product(b, coded(b), b.constant(np.eye(4), ml_dtypes.float8_e4m3fn))),
        "dequantizelinear_2: codes of type float8_e4m3fn have no hardware: quantise to integers of up to 16 bits",
    ),
    (
        "truncation of a float input",
        model(lambda b: b.node("Trunc", "x", *(b.constant(v) for v in (0.5, 0.0, 8.0, 4.0)), domain=DOMAIN)),
        "trunc_1: Trunc reads the float input 'x', on which it sets no limits: put a Quant before it",
    ),
    (
        "truncation without limits",
        model(
            lambda b: b.node("Trunc", product(b, coded(b)), *(b.constant(v) for v in (1e-9, 0, 8, 7)), domain=DOMAIN)
        ),
        "trunc_1: Trunc sets no limits and gives integers of more than 32 bits here .*: put a Quant before it",
    ),
    (
        "zero point of a truncation",
        model(lambda b: b.node("Trunc", "x", *(b.constant(v) for v in (0.5, 3.0, 8.0, 2.0, 4.0)), domain=DOMAIN)),
        "trunc_1: zero point 3 divided by 4.0 is no whole number, or bits vary: use zero point 0 and one bit width",
    ),
    (
        "rows of thresholds",
        model(lambda b: b.node("MultiThreshold", "x", b.constant(np.ones((3, 2))), domain=DOMAIN)),
        r"multithreshold_1: 3 rows of thresholds do not fit axis 1 \(data_layout 'NC'\) of frames \(4,\): give one row",
    ),
    (
        "thresholds that are no numbers",
        model(lambda b: b.node("MultiThreshold", "x", b.constant([[np.nan]]), domain=DOMAIN)),
        r"multithreshold_1: thresholds of shape \(1, 1\) must be numbers of shape \(channels, steps\): train again",
    ),
    (
        "no scale of thresholds",
        model(lambda b: b.node("MultiThreshold", "x", b.constant([[1.0]]), domain=DOMAIN, out_scale=0.0)),
        "multithreshold_1: out_scale=0.0 makes every output the same",
    ),
]


@pytest.mark.parametrize(("refused", "message"), [pytest.param(m, t, id=i) for i, m, t in REFUSED])
def test_what_has_no_hardware(refused: onnx.ModelProto, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        from_onnx(refused)

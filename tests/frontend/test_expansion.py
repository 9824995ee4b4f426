# SPDX-License-Identifier: Apache-2.0
"""Composite nodes of ONNX, onnxruntime and qonnx give what those give; scales are powers of two, ties included."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.channels_last import ConvertToChannelsLastAndClean
from qonnx.transformation.infer_shapes import InferShapes
from tests.frontend.agreement import frames, operators, run, same_as
from tests.models import Builder

from gatewright.errors import UnsupportedError
from gatewright.frontend.importer import examine, from_onnx
from gatewright.ir.graph import Graph
from gatewright.passes.lower import lower
from gatewright.passes.prove import prove

MICROSOFT, LAST = "com.microsoft", "qonnx.custom_op.channels_last"
RNG = np.random.default_rng(0)
X = (0.125, 3, np.uint8)
Y = (0.5, 121, np.uint8)
Z = (0.5, 2, np.uint8)
SIGNED = ((0.125, -3, np.int8), (0.5, 9, np.int8))
Settings = tuple[float, int, type]
Piece = Callable[[Builder, str], str]


def codes(b: Builder, x: str, settings: Settings) -> str:
    return b.quantize(x, settings[0], settings[1], settings[2])


def real(b: Builder, y: str, settings: Settings) -> str:
    return b.dequantize(y, settings[0], settings[1], settings[2])


def pair(b: Builder, scale: Any, zero: Any, dtype: Any) -> tuple[str, str]:
    """Scale and zero point as operands."""
    return b.constant(scale), b.constant(np.broadcast_to(zero, np.shape(scale)), dtype)


def same(shape: tuple[int, ...], make: Piece, x: Settings = X, y: Settings | None = Y, **settings: Any) -> Graph:
    """A piece from codes to codes (or to reals: `y` None) between quantisers equals onnxruntime."""
    b = Builder(shape, **settings)
    out = make(b, codes(b, "x", x))
    model = b.model(out if y is None else real(b, out, y))
    frame = frames(shape)
    graph = same_as(model, frame, run(model, frame))
    names = {n.name for n in b.nodes}
    assert all(set(n.origin) <= names for n in graph.nodes), "hardware comes from the model's own nodes"
    return graph


# --- QLinear of ONNX --------------------------------------------------------------------------------------------------


def qlinear_conv(
    b: Builder, x: str, *kernel: int, w: Settings = (0.25, 0, np.int8), many: bool = False, bias: bool = True,
    channels: int = 3, domain: str = "", of: tuple[Settings, Settings] = (X, Y), **attributes: Any
) -> str:  # fmt: skip
    info, filters = np.iinfo(w[2]), 4
    weight = RNG_CONV.integers(max(info.min, -7) + w[1], 8 + w[1], (filters, channels, *kernel))
    scale = np.float32([0.25, 0.5, 0.125, 1]) if many else w[0]
    operands = [b.constant(weight, w[2]), *pair(b, scale, w[1], w[2]), *pair(b, *of[1])]
    if bias:
        operands.append(b.constant([100, -50, 0, 7], np.int32))
    return b.node("QLinearConv", x, *pair(b, *of[0]), *operands, domain=domain, **attributes)


RNG_CONV = np.random.default_rng(1)


@pytest.mark.parametrize("many", [False, True], ids=["one scale", "a scale a filter"])
@pytest.mark.parametrize("bias", [False, True], ids=["no bias", "bias"])
@pytest.mark.parametrize(
    "attributes",
    [{}, {"pads": [1, 0, 2, 1], "strides": [2, 1]}, {"auto_pad": "SAME_UPPER"}, {"dilations": [2, 1]}],
    ids=["plain", "pads", "same", "dilated"],
)
def test_qlinear_conv(many: bool, bias: bool, attributes: dict[str, Any]) -> None:
    graph = same((3, 6, 5), lambda b, x: qlinear_conv(b, x, 3, 3, many=many, bias=bias, **attributes))
    assert operators(graph)[0] == "conv2d"


def test_qlinear_conv_of_unsigned_weights_with_a_zero_point() -> None:
    same((3, 6, 5), lambda b, x: qlinear_conv(b, x, 2, 2, w=(0.25, 5, np.uint8), pads=[1, 1, 1, 1]))


def test_qlinear_conv_of_signed_codes() -> None:
    same((3, 6, 5), lambda b, x: qlinear_conv(b, x, 3, 3, of=SIGNED, pads=[1, 1, 1, 1]), *SIGNED)


def test_qlinear_conv_of_groups_and_of_rows() -> None:
    same((4, 5, 5), lambda b, x: qlinear_conv(b, x, 3, 3, channels=1, group=4))
    same((3, 9), lambda b, x: qlinear_conv(b, x, 4, strides=[2], pads=[1, 2]))


@pytest.mark.parametrize("many", [False, True], ids=["one scale", "a scale a column"])
@pytest.mark.parametrize("shape", [(6,), (3, 6)])
def test_qlinear_matmul(many: bool, shape: tuple[int, ...]) -> None:
    def make(b: Builder, x: str) -> str:
        scale = np.float32([0.25, 0.5, 0.125, 1]) if many else 0.25
        weight = b.constant(np.random.default_rng(0).integers(-7, 8, (6, 4)) + 1, np.int8)
        return b.node("QLinearMatMul", x, *pair(b, *X), weight, *pair(b, scale, 1, np.int8), *pair(b, *Y))

    same(shape, make)


@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_conv_integer(zeros: int) -> None:
    """And what a model does with its int32 result."""

    def make(b: Builder, x: str) -> str:
        weight = b.constant(np.random.default_rng(0).integers(0, 15, (4, 3, 3, 3)), np.uint8)
        operands = [b.constant(X[1], np.uint8), b.constant(7, np.uint8)][:zeros]
        y = b.node("ConvInteger", x, weight, *operands, pads=[1, 1, 0, 0] if zeros else [0, 0, 0, 0])
        return b.node("Mul", b.node("Cast", y, to=1), b.constant(0.03125))

    same((3, 5, 5), make, y=None)


@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
def test_matmul_integer(zeros: int) -> None:
    """Without zero points, with them, and with one a column."""

    def make(b: Builder, x: str) -> str:
        weight = b.constant(np.random.default_rng(0).integers(0, 15, (6, 4)), np.uint8)
        columns = b.constant([7, 6, 0, 3], np.uint8) if zeros == 3 else b.constant(7, np.uint8)
        y = b.node("MatMulInteger", x, weight, *[b.constant(X[1], np.uint8), columns][:zeros])
        return b.node("Mul", b.node("Cast", y, to=1), b.constant([0.5, 0.25, 1, 2]))

    same((6,), make, y=None)


# --- onnxruntime's own ------------------------------------------------------------------------------------------------


def test_qlinear_conv_of_the_other_domain() -> None:
    same((3, 6, 5), lambda b, x: qlinear_conv(b, x, 3, 3, domain=MICROSOFT))


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("form", ["codes", "no bias", "reals", "many"])
@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_qgemm(transposed: int, form: str, alpha: float) -> None:
    def make(b: Builder, x: str) -> str:
        weight = np.random.default_rng(0).integers(-7, 8, (6, 4))
        scale = np.float32([0.25, 0.5, 0.125, 1]) if form == "many" else 0.25
        operands = [b.constant(weight.T if transposed else weight, np.int8), *pair(b, scale, 0, np.int8)]
        operands += ["" if form == "no bias" else b.constant([9, -30, 0, 100], np.int32)]
        operands += [] if form == "reals" else pair(b, *Y)
        return b.node("QGemm", x, *pair(b, *X), *operands, domain=MICROSOFT, transB=transposed, alpha=alpha)

    same((6,), make, y=None if form == "reals" else Y)


def other(b: Builder, x: str) -> tuple[str, str, str]:
    """A second operand of another scale and zero point: a maximum of the first."""
    y = b.node("MaxPool", real(b, x, X), kernel_shape=[1, 1])
    return codes(b, y, (0.25, 1, np.uint8)), *pair(b, 0.25, 1, np.uint8)


def constant(b: Builder, *values: int) -> tuple[str, str, str]:
    return b.constant(np.reshape(values, (-1, 1, 1)), np.uint8), *pair(b, 0.25, 1, np.uint8)


def own(b: Builder, op_type: str, *operands: str, **attributes: Any) -> str:
    return b.node(op_type, *operands, domain=MICROSOFT, **attributes)


OWN: list[tuple[str, Piece]] = [
    ("add", lambda b, x: own(b, "QLinearAdd", x, *pair(b, *X), *other(b, x), *pair(b, *Z))),
    ("add constant", lambda b, x: own(b, "QLinearAdd", x, *pair(b, *X), *constant(b, 3, 0, 7), *pair(b, *Z))),
    ("mul constant", lambda b, x: own(b, "QLinearMul", x, *pair(b, *X), *constant(b, 3, 0, 7), *pair(b, *Z))),
    ("concat", lambda b, x: own(b, "QLinearConcat", *pair(b, *Z), x, *pair(b, *X), *other(b, x), axis=1)),
    (
        "average",
        lambda b, x: own(b, "QLinearAveragePool", x, *pair(b, *X), *pair(b, *Z), kernel_shape=[2, 2], strides=[2, 1]),
    ),
    (
        "global average",
        lambda b, x: own(b, "QLinearGlobalAveragePool", x, *pair(b, *X), *pair(b, *Z), channels_last=0),
    ),
    ("leaky", lambda b, x: own(b, "QLinearLeakyRelu", x, *pair(b, *X), *pair(b, *Z), alpha=0.125)),
]


@pytest.mark.parametrize("make", [m for _, m in OWN], ids=[i for i, _ in OWN])
def test_operators_of_onnxruntime(make: Piece) -> None:
    same((3, 4, 4), make, y=Z)


def test_sigmoid() -> None:
    fine = (1 / 256, 0, np.uint8)
    same((3, 4, 4), lambda b, x: own(b, "QLinearSigmoid", x, *pair(b, *X), *pair(b, *fine)), y=fine)


def test_pools_with_channels_last() -> None:
    same(
        (4, 4, 3),
        lambda b, x: b.node(
            "QLinearGlobalAveragePool", x, *pair(b, *X), *pair(b, *Z), channels_last=1, domain=MICROSOFT
        ),
        y=Z,
    )


def fused(**attributes: Any) -> Piece:
    return lambda b, x: own(b, "FusedConv", x, b.weight(WEIGHT, 0.25), b.constant([1, 2]), **attributes)


FUSED: list[tuple[str, Piece]] = [
    ("relu", fused(activation="Relu")),
    ("leaky", fused(activation="LeakyRelu", activation_params=[0.25], pads=[1, 1, 1, 1])),
    ("clip", fused(activation="Clip", activation_params=[-1.0, 2.0])),
]
WEIGHT = RNG.integers(-7, 8, (2, 3, 3, 3))


@pytest.mark.parametrize("make", [m for _, m in FUSED], ids=[i for i, _ in FUSED])
def test_fused_operators(make: Piece) -> None:
    def model(b: Builder) -> str:
        return b.quant(make(b, b.quant("x", 0.25, 4)), 0.5, 6)

    b, plain = Builder((3, 5, 5)), Builder((3, 5, 5), expand=True)
    frame = frames((3, 5, 5))
    (have,) = from_onnx(b.model(model(b))).predict(frame)
    np.testing.assert_array_equal(have, run(plain.model(model(plain)), frame)[0])


@pytest.mark.parametrize("kind", ["Gelu", "FastGelu", "BiasGelu", "QuickGelu"])
def test_gelus_of_onnxruntime(kind: str) -> None:

    def model(b: Builder) -> str:
        x = b.quant("x", 0.25, 4)
        operands = [b.constant([0.5, -0.25, 0, 1])] if kind in ("BiasGelu", "FastGelu") else []
        return b.quant(b.node(kind, x, *operands, domain=MICROSOFT), 0.0625, 7)

    b, plain = Builder((4,)), Builder((4,), expand=True)
    frame = frames((4,), 40)
    (have,) = from_onnx(b.model(model(b))).predict(frame)
    np.testing.assert_array_equal(have, run(plain.model(model(plain)), frame)[0])


# --- qonnx's channels last --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make_input_last", [False, True])
def test_channels_last_nodes_of_qonnx(make_input_last: bool) -> None:
    """A network that the qonnx package itself turned, against onnxruntime on the one before."""

    def model(b: Builder) -> str:
        x = b.quant("x", 0.25, 4)
        x = b.node("Conv", x, b.weight(WEIGHTS, 0.25), kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1],
                   dilations=[1, 1], group=1)  # fmt: skip
        x = b.batch_norm(x, [1, -1, 2, 0.5], [0, 1, -1, 0.25], [0.5, 0, 0, 1], [1, 4, 1, 1], epsilon=0.0)
        x = b.quant(b.node("Relu", x), 0.5, 4, signed=False)
        return b.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 0, 0])

    b, plain = Builder((3, 6, 6), batch=1), Builder((3, 6, 6), batch=1, expand=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own
        turned = ModelWrapper(b.model(model(b))).transform(InferShapes())
        turned = turned.transform(ConvertToChannelsLastAndClean(make_input_channels_last=make_input_last))
    assert {"Conv", "MaxPool"} <= {n.op_type for n in turned.graph.node if n.domain == LAST}
    graph, x = from_onnx(turned.model), frames((3, 6, 6), 1)
    have = graph.predict(x.transpose(0, 2, 3, 1) if make_input_last else x)[0]
    wanted = run(plain.model(model(plain)), x)[0]
    np.testing.assert_array_equal(have, wanted if have.shape == wanted.shape else wanted.transpose(0, 2, 3, 1))
    assert operators(graph) == ["conv2d", "activation", "window", "maxpool"]


WEIGHTS = RNG.integers(-7, 8, (4, 3, 3, 3))

# --- what is not taken ------------------------------------------------------------------------------------------------

REFUSED: list[tuple[str, Piece, str]] = [
    ("product of two activations", lambda b, x: b.node(
        "QLinearMul", x, *pair(b, *X), *other(b, x), *pair(b, *Z), domain=MICROSOFT),
     r"qlinearmul_1: operator Mul on frames of shape \(3, 4, 4\), \(3, 4, 4\) has no hardware"),
    ("other activation", lambda b, x: b.node("FusedConv", real(b, x, X), b.weight(WEIGHT, 0.25), domain=MICROSOFT,
                                             activation="Softsign"),
     "fusedconv_1: FusedConv with activation='Softsign' has no hardware: split the node"),
    ("mean that is not counted", lambda b, x: b.node(
        "QLinearAveragePool", x, *pair(b, *X), *pair(b, *Z), kernel_shape=[2, 2], pads=[1, 1, 0, 0],
        domain=MICROSOFT), "qlinearaveragepool_1: AveragePool with padding that is not counted"),
    ("no scale", lambda b, x: b.node("QLinearAdd", x, domain=MICROSOFT),
     "qlinearadd_1: QLinearAdd lacks an input or attribute that its definition requires"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), [pytest.param(m, t, id=i) for i, m, t in REFUSED])
def test_refused(make: Piece, message: str) -> None:
    b = Builder((3, 4, 4))
    y = b.node("Relu", make(b, codes(b, "x", X)))
    with pytest.raises((UnsupportedError, Exception), match=message):
        from_onnx(b.model(y))


def test_findings_are_on_the_models_own_nodes() -> None:
    b = Builder((3, 6, 5))
    y = real(b, qlinear_conv(b, codes(b, "x", X), 3, 3), Y)
    findings = examine(b.model(y)).findings
    assert [f.node for f in findings] == [n.name for n in b.nodes]
    assert [f.reason for f in findings if f.op_type == "QLinearConv"] == ["conv2d, activation"]


@pytest.mark.parametrize("form", ["one node", "between quantisers"])
def test_a_softmax_at_the_end_of_a_quantised_classifier(form: str) -> None:
    """The host computes it with the quantisers around it."""
    b, fine = Builder((6,)), (1 / 256, 0, np.uint8)
    weight = b.constant(np.random.default_rng(0).integers(-7, 8, (6, 4)), np.int8)
    x = codes(b, "x", X)
    y = b.node("QLinearMatMul", x, *pair(b, *X), weight, *pair(b, 0.25, 0, np.int8), *pair(b, *Y))
    if form == "one node":
        y = own(b, "QLinearSoftmax", y, *pair(b, *Y), *pair(b, *fine), axis=-1, opset=13)
    else:
        y = codes(b, b.node("Softmax", real(b, y, Y)), fine)
    model, x = b.model(real(b, y, fine)), frames((6,), 40)
    examination = examine(model)
    assert {"host"} == {f.verdict for f in examination.findings[-2:]}
    assert examination.graph is not None
    have, wanted = examination.graph.predict(x)[0], run(model, x)[0]
    assert np.abs(have - wanted).max() <= 1 / 256, "both round the float32 or float64 exponential"
    assert (have == wanted).mean() > 0.98


# --- whole networks ---------------------------------------------------------------------------------------------------


class Calibration(CalibrationDataReader):
    """Random frames, in eight batches."""

    def __init__(self, x: np.ndarray) -> None:
        self.batches = iter([{"x": part} for part in np.split(x, 8)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)


def float_network(b: Builder) -> str:
    """Every layer that onnxruntime's quantiser knows an operator of its own for, and a shape chain."""
    rng = np.random.default_rng(0)

    def some(*shape: int) -> str:
        return b.constant(rng.normal(0, 0.3, shape))

    x = b.node("Relu", b.node("Conv", "x", some(8, 3, 3, 3), some(8), pads=[1, 1, 1, 1]))
    y = b.node("Conv", x, some(8, 1, 3, 3), some(8), group=8, pads=[1, 1, 1, 1])
    x = b.node("Add", x, b.node("LeakyRelu", y, alpha=0.1))
    x = b.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = b.node("Concat", x, b.node("Sigmoid", b.node("Conv", x, some(8, 8, 1, 1))), axis=1)
    x = b.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = b.node("Conv", x, some(6, 16, 3, 3), some(6), auto_pad="SAME_UPPER", strides=[2, 2])
    x = b.node("GlobalAveragePool", b.node("Clip", x, b.constant(0.0), b.constant(6.0)))
    batch = b.node("Gather", b.node("Shape", x), b.constant(0, np.int64))
    batch = b.node("Unsqueeze", batch, b.constant([0], np.int64))
    x = b.node("Reshape", x, b.node("Concat", batch, b.constant([-1], np.int64), axis=0))
    return b.node("Softmax", b.node("Gemm", x, some(5, 6), some(5), transB=1))


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("kind", [QuantType.QUInt8, QuantType.QInt8])
def test_networks_in_operators_of_onnxruntime(tmp_path: Path, per_channel: bool, kind: QuantType) -> None:
    """Scales are not powers of two: ties may fall otherwise, and the float32 of the softmax may round otherwise."""
    b, path = Builder((3, 12, 12)), tmp_path / "quantised.onnx"
    x = np.float32(np.random.default_rng(1).normal(0, 1, (64, 3, 12, 12)))
    settings = {"activation_type": kind, "weight_type": QuantType.QInt8, "per_channel": per_channel}
    source = b.save(tmp_path / "float.onnx", float_network(b))
    quantize_static(source, path, Calibration(x), quant_format=QuantFormat.QOperator, **settings)
    model = onnx.load(path)
    assert {"QLinearConv", "QGemm", "QLinearAdd", "QLinearConcat"} <= {n.op_type for n in model.graph.node}
    graph = from_onnx(model)
    lowered = lower(graph)
    prove(graph, lowered)
    have, wanted = lowered.predict(x)[0], run(model, x)[0]
    np.testing.assert_array_equal(have, graph.predict(x)[0])
    # Another processor may round float32 otherwise; where this was written, all 64 frames were exact.
    assert (have == wanted).all(axis=1).mean() >= 0.95
    assert (have.argmax(axis=1) == wanted.argmax(axis=1)).all()

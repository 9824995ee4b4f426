# SPDX-License-Identifier: Apache-2.0
"""Float functions before a quantiser: golden equals onnxruntime; the hardware is what the width and shape allow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tests.frontend.agreement import Make, agree, imported, operators, runtime
from tests.models import Builder

from gatewright.errors import ProofError, UnsupportedError
from gatewright.frontend.importer import from_onnx
from gatewright.ir.chain import evaluate
from gatewright.ops.activation import Activation
from gatewright.passes.lower import lower
from gatewright.passes.prove import prove

Function = Callable[[Builder, str], str]
TIE = 1e-6


def node(op_type: str, *constants: Any, **attributes: Any) -> Function:
    return lambda b, x: b.node(op_type, x, *(b.constant(c) for c in constants), **attributes)


def slopes(*values: float) -> np.ndarray:
    return np.float32(values).reshape(-1, 1, 1)


PIECEWISE: dict[str, tuple[Function, str]] = {
    "leaky": (node("LeakyRelu", alpha=0.125), "threshold"),
    "leaky falling": (node("LeakyRelu", alpha=-0.5), "lut"),
    "prelu": (node("PRelu", slopes(0.25, 0.5)), "threshold"),
    "prelu of one slope": (node("PRelu", np.float32([0.25])), "threshold"),
    "prelu falling in a channel": (node("PRelu", slopes(-0.25, 0.5)), "lut"),
    "clip": (node("Clip", -0.5, 0.75), "threshold"),
    "clip below": (lambda b, x: b.node("Clip", x, b.constant(-0.5)), "threshold"),
    "clip above": (lambda b, x: b.node("Clip", x, "", b.constant(0.5)), "threshold"),
    "hard sigmoid": (node("HardSigmoid", alpha=0.25, beta=0.5), "threshold"),
    "abs": (node("Abs"), "lut"),
    "neg": (node("Neg"), "threshold"),
    "abs, neg and relu": (lambda b, x: b.node("Relu", b.node("Neg", b.node("Abs", x))), "lut"),
    "square": (node("Pow", 2.0), "lut"),
    "one over the square": (node("Pow", -2.0), "lut"),
    "power of nothing": (node("Pow", 0.0), "lut"),
    "reciprocal": (lambda b, x: b.node("Reciprocal", b.node("Add", x, b.constant(0.0625))), "lut"),
    "division of constants": (
        lambda b, x: b.node("Div", b.constant(slopes(0.75, -3)), b.node("Add", x, b.constant(0.0625))),
        "lut",
    ),
    "max": (node("Max", slopes(-0.5, 0.25)), "threshold"),
    "min": (lambda b, x: b.node("Min", b.constant(0.5), b.node("Neg", x)), "threshold"),
    "floor": (node("Floor"), "threshold"),
    "ceil": (node("Ceil"), "threshold"),
    "round": (node("Round"), "threshold"),
    "product with itself": (lambda b, x: b.node("Mul", x, x), "lut"),
    "polynomial": (
        lambda b, x: b.node(
            "Add", b.node("Mul", b.node("Mul", x, x), b.constant(0.25)), b.node("Mul", x, b.constant(-0.5))
        ),
        "lut",
    ),
    "sum of rising functions": (lambda b, x: b.node("Add", b.node("Relu", x), x), "threshold"),
    "difference": (lambda b, x: b.node("Sub", b.node("Relu", x), x), "lut"),
}
"""Functions that float32 computes exactly on the grid, and what they become behind 5 bits."""


@pytest.mark.parametrize(("function", "hardware"), PIECEWISE.values(), ids=list(PIECEWISE))
def test_exact_functions_of_a_narrow_input(function: Function, hardware: str) -> None:
    def make(b: Builder) -> str:
        return b.quant(function(b, b.quant("x", 0.125, 5)), 0.25, 4)

    graph = agree(make, (2, 3, 3))
    assert operators(graph) == ["activation"]
    assert operators(lower(graph)) == [hardware]


@pytest.mark.parametrize("kind", ["Mul", "Sub"])
def test_constants_of_an_input_with_channels_last(kind: str) -> None:
    """Normalised before the transposition that a convolution needs."""

    def make(b: Builder) -> str:
        x = b.node(kind, "x", b.constant([0.5, 1, 2]))
        x = b.node("Transpose", b.quant(x, 0.25, 4), perm=[0, 3, 1, 2])
        return b.node("Conv", x, b.weight(np.random.default_rng(0).integers(-7, 8, (2, 3, 3, 3)), 0.25))

    assert operators(agree(make, (5, 4, 3))) == ["conv2d"]


@pytest.mark.parametrize("name", ["leaky", "prelu", "clip", "hard sigmoid", "neg", "sum of rising functions"])
@pytest.mark.parametrize("bits", [4, 8])
def test_monotone_functions_of_a_wide_accumulator(name: str, bits: int) -> None:
    def make(b: Builder) -> str:
        rng = np.random.default_rng(1)
        x = b.node("Conv", b.quant("x", 0.125, 8), b.weight(rng.integers(-7, 8, (2, 2, 3, 3)), 0.125))
        x = b.batch_norm(x, [1, -2], [0.5, 1], [0, 0], [1, 1], epsilon=0.0)
        return b.quant(PIECEWISE[name][0](b, x), 0.125, bits)

    graph = agree(make, (2, 5, 5))
    assert graph.nodes[-1].op.inputs[0].bits > 10
    assert operators(lower(graph))[-1] in ("threshold", "requant")


SMOOTH: dict[str, tuple[Function, str]] = {
    "sigmoid": (node("Sigmoid"), "threshold"),
    "tanh": (node("Tanh"), "threshold"),
    "elu": (node("Elu", alpha=0.7), "threshold"),
    "selu": (node("Selu"), "threshold"),
    "softplus": (node("Softplus"), "threshold"),
    "exp": (node("Exp"), "threshold"),
    "log": (lambda b, x: b.node("Log", b.node("Max", x, b.constant(0.0625))), "threshold"),
    "sine": (node("Sin"), "lut"),
    "cosine": (node("Cos"), "lut"),
    "root by a power": (lambda b, x: b.node("Pow", b.node("Abs", x), b.constant(0.3)), "lut"),
    "erf": (node("Erf"), "threshold"),
    "square root": (lambda b, x: b.node("Sqrt", b.node("Relu", x)), "threshold"),
    "hard swish": (node("HardSwish"), "lut"),
    "silu": (lambda b, x: b.node("Mul", x, b.node("Sigmoid", x)), "lut"),
    "silu, other way round": (lambda b, x: b.node("Mul", b.node("Sigmoid", x), x), "lut"),
    "gelu": (
        lambda b, x: b.node(
            "Mul", b.node("Mul", x, b.constant(0.5)), b.node("Add", b.node("Erf", b.node("Div", x, b.constant(
                np.sqrt(2)))), b.constant(1.0))
        ),
        "lut",
    ),
    "mish": (lambda b, x: b.node("Mul", x, b.node("Tanh", b.node("Softplus", x))), "lut"),
}  # fmt: skip


def differences_are_ties(make: Make, shape: tuple[int, ...]) -> Activation:
    """Golden equals onnxruntime but where the definition lies on a rounding boundary; returns the last activation."""
    graph = imported(make, shape)
    x = np.float32(np.random.default_rng(0).integers(-80, 81, (60, *shape)) / 16)
    op = graph.nodes[-1].op
    assert isinstance(op, Activation)
    values = graph.run(*graph.quantize(x))
    source, have = values[graph.nodes[-1].inputs[0]], values[graph.nodes[-1].outputs[0]]
    want = np.rint(np.moveaxis(runtime(make, x), 1, -1) / op.scale).astype(np.int64)
    real = evaluate(op.steps, source * np.asarray(op.source.scale)) / op.scale
    tie = np.abs(np.abs(real - np.floor(real)) - 0.5) < TIE
    assert (have == want)[~tie].all()
    lowered = lower(graph)
    prove(graph, lowered)
    np.testing.assert_array_equal(lowered.reference(*graph.quantize(x))[0], have)
    return op


@pytest.mark.parametrize(("function", "hardware"), SMOOTH.values(), ids=list(SMOOTH))
def test_smooth_functions(function: Function, hardware: str) -> None:
    def make(b: Builder) -> str:
        return b.quant(function(b, b.quant("x", 0.125, 6)), 0.07, 4)

    op = differences_are_ties(make, (3, 2, 2))
    assert [o.name() for o in op.lower()] == [hardware]


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "elu", "softplus", "exp"])
def test_smooth_functions_of_a_wide_accumulator(name: str) -> None:
    def make(b: Builder) -> str:
        x = b.node("Conv", b.quant("x", 0.125, 8), b.weight(np.arange(-8, 8).reshape(2, 2, 2, 2), 0.03125, 5))
        return b.quant(SMOOTH[name][0](b, x), 0.04, 4)

    op = differences_are_ties(make, (2, 4, 4))
    assert op.source.bits > 10 and [o.name() for o in op.lower()] == ["threshold"]


def test_wide_outputs_of_a_narrow_input_are_a_table() -> None:
    def make(b: Builder) -> str:
        return b.quant(b.node("Sigmoid", b.quant("x", 0.125, 8)), 2.0**-10, 10, signed=False)

    (table,) = differences_are_ties(make, (3, 2, 2)).lower()
    assert table.name() == "lut" and table.shared  # type: ignore[attr-defined]


@pytest.mark.parametrize(("op_type", "attributes"), [("Gelu", {}), ("Gelu", {"approximate": "tanh"}), ("Mish", {})])
def test_functions_of_newer_models(op_type: str, attributes: dict[str, str]) -> None:
    """Operators of opset 20, whose models the builder does not write: the tables against onnxruntime."""
    b = Builder((1,))
    x = b.quant("x", 0.125, 6)
    graph = from_onnx(b.model(b.quant(b.node(op_type, x, **attributes), 0.05, 6)))
    plain = Builder((1,))
    model = plain.model(plain.node(op_type, "x", **attributes))
    model.opset_import[0].version, model.ir_version = 20, 9
    grid = np.float32(np.arange(-32, 32)[:, None] / 8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (want,) = session.run(None, {"x": grid})
    np.testing.assert_array_equal(graph.reference(*graph.quantize(grid))[0], np.clip(np.rint(want / 0.05), -32, 31))


def pooled(b: Builder, x: str) -> str:
    """Something behind that needs hardware."""
    return b.node("MaxPool", b.quant(x, 0.5, 4), kernel_shape=[2, 2])


REFUSED: list[tuple[str, Make, str]] = [
    ("wide", lambda b: b.quant(b.node("Abs", b.node("Conv", b.quant("x", 0.5, 8), b.weight(np.ones((1, 2, 3, 3)),
                                                                                           1.0))), 1.0, 4),
     r"quant_3: a function that may rise and fall \(abs\) of 13 bits has no hardware: "
     "quantise to at most 10 bits before it"),
    ("no number", lambda b: b.quant(b.node("Sqrt", b.quant("x", 0.5, 4)), 0.5, 4),
     "quant_2: the steps before the quantiser are no number for some inputs of 3x3x2 int4 .* clip them to where"),
    ("exponent", lambda b: pooled(b, b.node("Pow", b.quant("x", 0.5, 4), b.constant(slopes(1, 2)))),
     r"pow_1: Pow by \[1.0, 2.0\]: use one finite exponent for all channels"),
    ("division by 0", lambda b: b.quant(b.node("Reciprocal", b.quant("x", 0.5, 4)), 0.5, 4),
     "quant_2: the steps before the quantiser are no number for some inputs of .*: clip them to where the function is"),
    ("root of negative numbers", lambda b: b.quant(b.node("Pow", b.quant("x", 0.5, 4), b.constant(0.5)), 0.5, 4),
     "quant_2: the steps before the quantiser are no number for some inputs of .*: clip them to where the function is"),
    ("limits", lambda b: b.node("Clip", b.quant("x", 0.5, 4), b.constant(1.0), b.constant(0.0)),
     r"clip_1: Clip to 1.0..0.0: the limits must ascend"),
    ("slope", lambda b: pooled(b, b.node("PRelu", b.quant("x", 0.5, 4), b.constant(np.arange(9).reshape(3, 3)))),
     r"prelu_1: slope of shape \(3, 3\) varies within a channel: use one value, or one per channel"),
    ("NaN slope", lambda b: b.node("LeakyRelu", b.quant("x", 0.5, 4), alpha=float("nan")),
     "leakyrelu_1: leaky by constants that are not finite or 0: train the model again"),
    ("two tensors", lambda b: b.node("Mul", b.quant("x", 0.5, 4), b.quant(b.quant("x", 0.5, 4), 1.0, 4)),
     r"mul_1: operator Mul on frames of shape \(2, 3, 3\), \(2, 3, 3\) has no hardware"),
    ("gelu", lambda b: b.node("Gelu", b.quant("x", 0.5, 4), approximate="some"),
     "gelu_1: Gelu with approximate='some' has no hardware: use 'none' or 'tanh'"),
    ("no quantiser behind", lambda b: b.node("MaxPool", b.node("Abs", b.quant("x", 0.5, 4)), kernel_shape=[2, 2]),
     r"maxpool_1: MaxPool reads .abs_1_out. after float steps \(abs\) that no quantiser follows"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), [pytest.param(m, t, id=i) for i, m, t in REFUSED])
def test_what_has_no_hardware_is_refused(make: Make, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        imported(make, (2, 3, 3))


def test_too_many_inputs_to_compare_are_refused() -> None:
    b = Builder((1,))
    x = b.node("MatMul", b.quant("x", 0.5, 16), b.weight(np.ones((1, 1)) * 3000, 1e-4, 13))
    graph = from_onnx(b.model(b.quant(b.node("Tanh", x), 0.25, 4)))
    with pytest.raises(ProofError, match="the steps tanh of 1 int28 .* cannot be compared for every input: quantise"):
        lower(graph)

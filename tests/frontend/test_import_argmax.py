# SPDX-License-Identifier: Apache-2.0
"""`ArgMax` in hardware, where it is asked for: labels equal onnxruntime's, ties included."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto
from tests.frontend.agreement import Make, frames, operators
from tests.models import Builder

from gatewright.errors import UnsupportedError
from gatewright.frontend.importer import from_onnx
from gatewright.ir.graph import Graph
from gatewright.passes.lower import lower
from gatewright.passes.prove import prove

SCALES = 2.0 ** np.float32([-3, -4, -3, -2, -4])


def asked(make: Make, shape: tuple[int, ...]) -> Graph:
    b = Builder(shape)
    return from_onnx(b.model(make(b)), argmax=True)


def agree(make: Make, shape: tuple[int, ...], count: int = 200) -> Graph:
    """Labels equal onnxruntime's, and those of the lowered graph; no label is computed by the host."""
    graph, x = asked(make, shape), frames(shape, count)
    b = Builder(shape, expand=True)
    model = b.model(make(b))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    want = session.run(None, {"x": x})[0]
    (have,) = graph.predict(x)
    assert have.shape == want.shape
    np.testing.assert_array_equal(have, want)
    lowered = lower(graph)
    prove(graph, lowered)
    np.testing.assert_array_equal(lowered.predict(x)[0], want)
    assert "argmax" in operators(graph) and len(np.unique(want)) > 1
    return graph


def scores(b: Builder, scale: Any = 0.125, low: int = -2) -> str:
    """Few values, so that many are equal."""
    weight = np.random.default_rng(5).integers(low, 3, (b.shape[0], 5))
    return b.node("MatMul", b.quant("x", 0.5, 2), b.weight(weight, scale))


def per_pixel(b: Builder) -> str:
    weight = np.random.default_rng(6).integers(-2, 3, (4, b.shape[0], 1, 1))
    return b.node("Conv", b.quant("x", 0.5, 3), b.weight(weight, 0.25))


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("kind", ["ArgMax", "ArgMin"])
def test_labels_of_vectors(kind: str, keep: int, last: int) -> None:
    def make(b: Builder) -> str:
        return b.node(kind, scores(b), axis=-1, keepdims=keep, select_last_index=last)

    assert operators(agree(make, (6,))) == ["dense", *["requant"] * (kind == "ArgMin"), "argmax"]


@pytest.mark.parametrize("axis", [1, 2, 3])
@pytest.mark.parametrize("keep", [0, 1])
def test_a_map_along_any_axis(axis: int, keep: int) -> None:
    def make(b: Builder) -> str:
        return b.node("ArgMax", per_pixel(b), axis=axis, keepdims=keep)

    assert operators(agree(make, (2, 3, 5))).count("reshape") == (axis != 1 and axis != 2 or axis == 2)


def test_of_a_flattened_image() -> None:
    def make(b: Builder) -> str:
        return b.node("ArgMax", b.node("Flatten", b.quant("x", 0.25, 3)), axis=1)

    agree(make, (2, 3, 4))


def test_bipolar_scores() -> None:
    def make(b: Builder) -> str:
        x = scores(b)
        if b.expand:
            y = b.node("Where", b.node("GreaterOrEqual", x, b.constant(0.0)), b.constant(1.0), b.constant(-1.0))
        else:
            y = b.node("BipolarQuant", x, b.constant(1.0), domain="qonnx.custom_op.general")
        return b.node("ArgMax", y, axis=1)

    agree(make, (6,))


@pytest.mark.parametrize("sign", [1, -1])
def test_scales_and_offsets_come_in_by_whole_factors(sign: int) -> None:
    """Per channel; all are multiples of the least scale, so that the comparison is exact."""

    def make(b: Builder) -> str:
        y = b.node("Add", scores(b, SCALES), b.constant([0, 0.25, -0.5, 0.25, 0]))
        y = b.node("Mul", y, b.constant(np.float32([1, 2, 1, 0, -1]) * sign))
        return b.node("ArgMax", y, axis=1)

    assert operators(agree(make, (6,))) == ["dense", "requant", "argmax"]


def test_a_common_offset_needs_no_hardware() -> None:
    def make(b: Builder) -> str:
        return b.node("ArgMax", b.node("Add", scores(b), b.constant(np.full(5, 0.3))), axis=1)

    assert operators(agree(make, (6,))) == ["dense", "argmax"]


REFUSED: list[tuple[str, Make, str]] = [
    (
        "scales",
        lambda b: b.node("ArgMax", scores(b, np.float32([1, 1.3, 1, 1, 1])), axis=1),
        r"argmax_1: ArgMax compares channels whose scales \[0.5, 0.6.* are not whole multiples of one scale: put a",
    ),
    (
        "offsets",
        lambda b: b.node("ArgMax", b.node("Add", scores(b), b.constant([0, 0.1, 0, 0, 0])), axis=1),
        r"argmax_1: ArgMax compares channels whose offsets \[0.0, 0.1.* are not whole multiples of one scale: put a",
    ),
    (
        "wide",
        lambda b: b.node("ArgMax", b.node("Add", scores(b), b.constant([0, 2.0**30, 0, 0, 0])), axis=1),
        r"argmax_1: ArgMax compares channels whose offsets .*|argmax_1: ArgMax of scores that are too wide to compare",
    ),
    (
        "steps",
        lambda b: b.node("ArgMax", b.node("Relu", scores(b)), axis=1),
        r"argmax_1: ArgMax reads 'relu_1_out' after float steps \(relu\) that no quantiser follows",
    ),
    (
        "flag",
        lambda b: b.node("ArgMax", scores(b), axis=1, keepdims=2),
        "argmax_1: attribute keepdims=2 of ArgMax: set it to 0 or 1",
    ),
    (
        "batch",
        lambda b: b.node("ArgMax", scores(b), axis=0),
        r"argmax_1: ArgMax along axis=0 of a batch of frames of shape \(5,\): use axes 1 to 1, the batch stays whole",
    ),
]


@pytest.mark.parametrize(("make", "message"), [pytest.param(m, t, id=i) for i, m, t in REFUSED])
def test_what_cannot_be_compared_is_refused(make: Make, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        asked(make, (6,))


def test_the_host_takes_it_unless_hardware_is_asked_for() -> None:
    b = Builder((6,))
    graph = from_onnx(b.model(b.node("ArgMax", scores(b), axis=1)))
    assert operators(graph) == ["dense"]

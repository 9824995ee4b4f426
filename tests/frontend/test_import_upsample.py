# SPDX-License-Identifier: Apache-2.0
"""`Resize` and `Upsample` by the nearest pixel: golden equals onnxruntime, or the form is refused with the remedy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from tests.frontend.agreement import Make, agree, frames, imported, operators
from tests.models import Builder

from gatewright.errors import UnsupportedError
from gatewright.frontend.importer import from_onnx

TRANSFORMS = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def resize(b: Builder, x: str, factors: tuple[float, ...], **attributes: Any) -> str:
    return b.node("Resize", x, "", b.constant([1, 1, *factors]), **attributes)


def asymmetric(b: Builder, x: str, *factors: float) -> str:
    form = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return resize(b, x, factors, mode="nearest", **form)


@pytest.mark.parametrize("factors", [(2, 2), (3, 1), (1, 4), (1, 1), (2, 5)])
def test_between_convolutions(factors: tuple[int, int]) -> None:
    def make(b: Builder) -> str:
        rng = np.random.default_rng(0)
        x = b.node("Conv", b.quant("x", 0.25, 4), b.weight(rng.integers(-7, 8, (3, 2, 3, 3)), 0.125))
        x = asymmetric(b, b.quant(x, 0.5, 4), *factors)
        return b.node("Conv", x, b.weight(rng.integers(-7, 8, (2, 3, 2, 1)), 0.25))

    (op,) = [n.op for n in agree(make, (2, 4, 5)).nodes if n.op.name() == "upsample"]
    assert (op.factor_h, op.factor_w) == factors  # type: ignore[attr-defined]


def test_sizes_and_axes() -> None:
    def sizes(b: Builder) -> str:
        return b.node("Resize", b.quant("x", 0.25, 4), "", "", b.constant([12, 2, 8, 9], np.int64), mode="nearest")

    assert operators(agree(sizes, (2, 4, 3))) == ["upsample"]

    def last(b: Builder) -> str:
        return b.node("Resize", b.quant("x", 0.25, 4), "", b.constant([3.0]), axes=[-1])

    b = Builder((2, 4, 3))
    model = b.model(last(b))
    model.opset_import[0].version = 18  # axes are younger than the other models here
    x = frames(b.shape)
    have = from_onnx(model).predict(x)[0]
    np.testing.assert_array_equal(have, np.clip(np.rint(x / 0.25), -8, 7).repeat(3, axis=3) * 0.25)


def test_rows() -> None:
    """Frames of (channels, length)."""

    def make(b: Builder) -> str:
        y = b.node("Resize", b.quant("x", 0.25, 4), "", b.constant([1, 1, 3]), mode="nearest")
        return b.node("Add", y, y)

    agree(make, (3, 5))


def test_float_steps_move_behind_it() -> None:
    def make(b: Builder) -> str:
        y = b.node("Conv", b.quant("x", 0.25, 4), b.weight(np.ones((2, 2, 1, 1)), 0.5))
        y = b.batch_norm(y, [1, -1], [1, 2], [0, 0], [1, 1], epsilon=0.0)
        return b.quant(asymmetric(b, b.node("Relu", y), 2, 2), 0.5, 4, signed=False)

    assert operators(agree(make, (2, 3, 3))) == ["conv2d", "upsample", "activation"]


def test_a_transposed_image_is_moved() -> None:
    def make(b: Builder) -> str:
        y = b.quant(b.node("Conv", b.quant("x", 0.25, 4), b.weight(np.ones((2, 2, 1, 1)), 0.5)), 0.25, 4)
        return asymmetric(b, b.node("Transpose", y, perm=[0, 3, 1, 2]), 2, 1)

    assert operators(agree(make, (2, 3, 5))).count("reshape") == 1


def test_upsample_of_old_models() -> None:
    x = frames((2, 3, 3))
    want = np.clip(np.rint(x / 0.25), -8, 7).repeat(2, axis=2).repeat(3, axis=3) * 0.25
    for attributes in ({"scales": [1.0, 1.0, 2.0, 3.0]}, {}):
        b = Builder((2, 3, 3))
        operands = () if attributes else (b.constant([1, 1, 2, 3]),)
        model = b.model(b.node("Upsample", b.quant("x", 0.25, 4), *operands, **attributes))
        np.testing.assert_array_equal(from_onnx(model).predict(x)[0], want)


def accepted(model: onnx.ModelProto) -> bool:
    try:
        from_onnx(model)
    except UnsupportedError as error:
        assert "use 'asymmetric' and 'floor'" in str(error)
        return False
    return True


@pytest.mark.parametrize(("transform", "nearest"), list(itertools.product(TRANSFORMS, NEAREST)))
def test_a_form_is_taken_where_it_repeats_every_pixel(transform: str, nearest: str) -> None:
    """The reference implementation of ONNX says what each form does."""
    from onnx.reference import ReferenceEvaluator

    for size, factor in itertools.product((1, 3, 4), (1, 2, 3, 4)):
        form = {"coordinate_transformation_mode": transform, "nearest_mode": nearest}
        b = Builder((1, 1, size))
        model = b.model(resize(b, b.quant("x", 1.0, 4), (1, factor), mode="nearest", **form))
        model.opset_import[0].version = 19
        row = np.arange(size, dtype=np.float32).reshape(1, 1, 1, size)
        node = helper.make_node("Resize", ["x", "", "s"], ["y"], mode="nearest", **form)
        inner = helper.make_graph(
            [node],
            "g",
            [helper.make_tensor_value_info("x", 1, None), helper.make_tensor_value_info("s", 1, None)],
            [helper.make_tensor_value_info("y", 1, None)],
        )
        evaluator = ReferenceEvaluator(helper.make_model(inner, opset_imports=[helper.make_opsetid("", 19)]))
        want = evaluator.run(None, {"x": row, "s": np.float32([1, 1, 1, factor])})[0]
        repeats = np.array_equal(want, row.repeat(factor, axis=3))
        if not accepted(model):
            assert not repeats, (transform, nearest, size, factor)
            continue
        assert repeats, (transform, nearest, size, factor)


REFUSED: list[tuple[str, Make, str]] = [
    ("linear", lambda b: resize(b, b.quant("x", 0.5, 4), (2, 2), mode="linear"),
     r"resize_1: Resize with mode='linear' has no hardware: use 'nearest', with a convolution behind it"),
    ("fraction", lambda b: asymmetric(b, b.quant("x", 0.5, 4), 1.5, 2),
     r"resize_1: Resize of 4 pixels by 1.5: only whole factors have hardware; use a pooling layer to reduce an image"),
    ("smaller", lambda b: asymmetric(b, b.quant("x", 0.5, 4), 0.5, 1), r"resize_1: Resize of 4 pixels by 0.5: only"),
    ("channels", lambda b: b.node("Resize", b.quant("x", 0.5, 4), "", b.constant([1, 2, 1, 2]), mode="nearest"),
     r"resize_1: Resize by \[1.0, 2.0, 1.0, 2.0\]: batch and channels must keep their size"),
    ("float input", lambda b: asymmetric(b, "x", 2, 2), "resize_1: Resize reads the float input 'x': put a quantiser"),
    ("infinite", lambda b: asymmetric(b, b.quant("x", 0.5, 4), np.inf, 1), r"resize_1: scales \[1.0, 1.0, inf, 1.0\]"),
    ("huge", lambda b: asymmetric(b, b.quant("x", 0.5, 4), 8192, 8192), "resize_1: output .* has more than 67108864"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), [pytest.param(m, t, id=i) for i, m, t in REFUSED])
def test_what_has_no_hardware_is_refused(make: Make, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        imported(make, (2, 4, 4))


def test_a_channels_last_image() -> None:
    """Rows and columns are the axes 1 and 2, as between the channels-last layers of other tools."""

    def model(b: Builder) -> str:
        x = b.quant("x", 0.25, 4)
        x = b.node("Transpose", x, perm=[0, 2, 3, 1])
        x = b.node("Resize", x, "", b.constant([1, 2, 3, 1]), mode="nearest", nearest_mode="floor",
                   coordinate_transformation_mode="asymmetric")  # fmt: skip
        x = b.node("Transpose", x, perm=[0, 3, 1, 2])
        weight = b.weight(np.random.default_rng(0).integers(-7, 8, (3, 2, 3, 3)), 0.25)
        return b.node("Conv", x, weight)

    graph = agree(model, (2, 4, 5))
    assert operators(graph) == ["upsample", "conv2d"]

# SPDX-License-Identifier: Apache-2.0
"""`ConvTranspose`: golden and its lowering equal onnxruntime, whatever the geometry, the groups and the scales."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.frontend.agreement import Make, agree, imported, operators
from tests.models import Builder

from gatewright.errors import UnsupportedError


def layer(b: Builder, filters: int, kernel: tuple[int, ...], scale: Any = 0.125, bias: bool = True, **form: Any) -> str:
    """A transposed convolution of the quantised input; `form` are its attributes."""
    rng = np.random.default_rng(filters + sum(kernel))
    groups = form.get("group", 1)
    weight = b.weight(rng.integers(-7, 8, (b.shape[0], filters // groups, *kernel)), scale)
    extra = [b.constant(rng.integers(-8, 9, filters) / 4)] if bias else []
    return b.node("ConvTranspose", b.quant("x", 0.25, 4), weight, *extra, **form)


@pytest.mark.parametrize("seed", range(60))
def test_random_geometry(seed: int) -> None:
    """One or two axes; kernels larger and smaller than the stride; every attribute."""
    rng = np.random.default_rng(seed)
    axes, groups = 1 + seed % 2, int(rng.choice([1, 1, 2, 4]))
    channels, filters = 4, groups * int(rng.integers(1, 4))
    size = tuple(rng.integers(2, 6, axes).tolist())
    kernel, stride, dilation = (tuple(rng.integers(1, n, axes).tolist()) for n in (5, 4, 3))
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    pads = [int(rng.integers(0, s)) for s in spans * 2]
    extra = [int(rng.integers(0, s)) for s in stride]
    whole = [s * (n - 1) + span + e for n, s, span, e in zip(size, stride, spans, extra, strict=True)]
    pads = pads if all(w > a + z for w, a, z in zip(whole, pads[:axes], pads[axes:], strict=True)) else [0] * 2 * axes
    form = {"strides": stride, "dilations": dilation, "pads": pads, "output_padding": extra, "group": groups}
    graph = agree(lambda b: layer(b, filters, kernel, bias=seed % 3 == 0, **form), (channels, *size), seed)
    assert operators(graph) == ["conv_transpose2d"]


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("auto", ["VALID", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("kernel", [2, 3, 5])
def test_automatic_padding(auto: str, kernel: int, axes: int) -> None:
    form = {"auto_pad": auto, "strides": [2] * axes}
    agree(lambda b: layer(b, 3, (kernel,) * axes, **form), (2, 5, 4)[: axes + 1])


@pytest.mark.parametrize("wanted", [[9, 8], [10, 9], [11, 7]])
def test_a_wanted_output_shape(wanted: list[int]) -> None:
    agree(lambda b: layer(b, 3, (3, 3), output_shape=wanted, strides=[2, 2]), (2, 5, 4))


def test_a_scale_and_a_bias_for_every_filter() -> None:
    """And between the layer and its quantiser a batch norm of either sign."""

    def make(b: Builder) -> str:
        scale = 2.0 ** np.float32([-4, -2, -3, -5, -3, -1]).reshape(1, 6, 1, 1)
        y = layer(b, 6, (3, 3), scale, strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])
        y = b.batch_norm(y, [1, -1, 0.5, 2, 1, -4], np.arange(6), np.zeros(6), np.ones(6), epsilon=0.0)
        y = b.quant(b.node("Relu", y), 0.5, 4, signed=False)
        return b.node("ConvTranspose", y, b.weight(np.ones((6, 2, 2, 2)), 0.5), strides=[2, 2])

    agree(make, (3, 4, 4))


def test_rows_with_a_scale_for_every_filter() -> None:
    """Nothing moves: the phases of a place lie side by side already, and their scales with them."""

    def make(b: Builder) -> str:
        scale = np.float32([0.5, 0.125, 0.25]).reshape(1, 3, 1)
        y = layer(b, 3, (2,), scale, strides=[2])
        return b.quant(b.node("Relu", y), 0.5, 4, signed=False)

    agree(make, (2, 6))


def test_weights_and_inputs_as_raw_codes() -> None:
    """QuantizeLinear and DequantizeLinear on both, a zero point on the input; the weight's scale is along axis 1."""

    def make(b: Builder) -> str:
        rng = np.random.default_rng(2)
        scale, zero = b.constant(0.25), b.constant(-3, np.int8)
        x = b.node("DequantizeLinear", b.node("QuantizeLinear", "x", scale, zero), scale, zero)
        taps = b.constant(rng.integers(-7, 8, (2, 3, 3, 3)), np.int8)
        scales = b.constant(2.0 ** np.float32([-3, -1, -2]))
        weight = b.node("DequantizeLinear", taps, scales, b.constant([0, 0, 0], np.int8), axis=1)
        return b.node("ConvTranspose", x, weight, strides=[2, 2], pads=[1, 1, 0, 1])

    assert operators(agree(make, (2, 4, 4))) == ["conv_transpose2d"]


def test_a_transposed_input_is_laid_out_first() -> None:
    def make(b: Builder) -> str:
        y = b.quant(b.node("Conv", b.quant("x", 0.25, 4), b.weight(np.eye(2).reshape(2, 2, 1, 1), 0.5)), 0.25, 4)
        y = b.node("Transpose", y, perm=[0, 1, 3, 2])
        return b.node("ConvTranspose", y, b.weight(np.arange(-4, 4).reshape(2, 1, 2, 2), 0.5), strides=[2, 2])

    assert operators(agree(make, (2, 3, 4))) == ["conv2d", "activation", "reshape", "conv_transpose2d"]


REFUSED: list[tuple[str, Make, str]] = [
    (
        "channels",
        lambda b: b.node("ConvTranspose", b.quant("x", 0.25, 4), b.weight(np.ones((3, 2, 2, 2)), 0.5)),
        r"convtranspose_1: weight of shape \(3, 2, 2, 2\) does not fit an image of 2 channels",
    ),
    (
        "scale",
        lambda b: layer(b, 3, (2, 2), np.float32([0.5, 0.25]).reshape(2, 1, 1, 1)),
        r"convtranspose_1: the weight's scale varies within a filter: use one scale per output channel",
    ),
    (
        "pads",
        lambda b: layer(b, 3, (2, 2), pads=[0, -1, 0, 0]),
        r"convtranspose_1: ConvTranspose with pads \(0, -1, 0, 0\), .*: pads must not be negative",
    ),
    (
        "axes",
        lambda b: layer(b, 3, (2, 2), strides=[2]),
        r"convtranspose_1: ConvTranspose with kernel \(2, 2\), strides \(2,\), .* on 2 image axes: give one of each an",
    ),
    (
        "nothing",
        lambda b: layer(b, 3, (2, 2), pads=[3, 3, 3, 3]),
        r"convtranspose_1: ConvTranspose with pads \(3, 3, 3, 3\), .* nor the output empty",
    ),
    (
        "more than there is",
        lambda b: layer(b, 3, (2, 2), strides=[2, 2], output_padding=[2, 0]),
        r"convtranspose_1: .*output_padding \(2, 0\) and an output of \[10, 8\]: .* less than stride or dilation",
    ),
    (
        "same",  # on which onnxruntime and ONNX' own evaluator disagree
        lambda b: layer(b, 3, (1, 1), strides=[2, 2], auto_pad="SAME_UPPER"),
        r"convtranspose_1: ConvTranspose with pads \(-1, -1, 0, 0\), .* pads must not be negative",
    ),
    (
        "wanted shape",
        lambda b: layer(b, 3, (2, 2), strides=[2, 2], output_shape=[9, 8]),
        r"convtranspose_1: ConvTranspose with pads \(0, 0, -1, 0\), .* pads must not be negative",
    ),
    *(
        (
            f"extent {i}",
            lambda b, form=form: layer(b, 3, (2, 2), **form),
            r"convtranspose_1: ConvTranspose with strides .* handles more than 67108864 numbers: use smaller ones",
        )
        for i, form in enumerate(
            (
                {"strides": [1 << 40, 1]},
                {"dilations": [1, 1 << 33], "pads": [0, 1 << 32, 0, (1 << 32) - 2]},
                {"strides": [1 << 20, 1 << 20], "pads": [3 << 19, 3 << 19, 3 << 19, 3 << 19]},
            )
        )
    ),
    (
        "bipolar",
        lambda b: b.node(
            "ConvTranspose",
            b.node("BipolarQuant", "x", b.constant(1.0), domain="qonnx.custom_op.general"),
            b.weight(np.ones((2, 2, 3, 3)), 0.5),
            strides=[2, 2],
        ),
        r"convtranspose_1: window: padding a bipolar image is not possible",
    ),
    (
        "no quantiser",
        lambda b: b.node("ConvTranspose", "x", b.weight(np.ones((2, 2, 3, 3)), 0.5)),
        r"convtranspose_1: ConvTranspose reads the float input 'x': put a quantiser on the model's input",
    ),
]


@pytest.mark.parametrize(("make", "message"), [pytest.param(m, t, id=i) for i, m, t in REFUSED])
def test_what_has_no_hardware_is_refused(make: Make, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        imported(make, (2, 4, 4))

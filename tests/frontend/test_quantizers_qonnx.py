# SPDX-License-Identifier: Apache-2.0
"""Every form of a QONNX quantiser gives what the qonnx package gives, on ties too."""

from __future__ import annotations

import numpy as np
import pytest
from tests.frontend.agreement import agree_with_qonnx, frames, operators, run, same_as
from tests.models import DOMAIN, Builder

from gatewright.errors import UnsupportedError
from gatewright.frontend.importer import from_onnx
from gatewright.passes.lower import lower

MODES = ["ROUND", "half_even", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN"]
EVERY = np.arange(-128, 128, dtype=np.float32)[None] / 16
"""Every value of an 8-bit quantiser of scale 1/16, in one frame."""


def on_every_value() -> tuple[Builder, str]:
    b = Builder((256,), batch=1)
    return b, b.quant("x", 1 / 16, 8)


@pytest.mark.parametrize("mode", MODES)
def test_rounding_modes_signs_ranges_and_zero_points(mode: str) -> None:
    """Half of all values of the coarsest are ties; zero points of both parities, and some on either side."""
    b, x = on_every_value()
    outputs = [
        b.quant(x, scale, bits, signed, narrow, zero, mode)
        for scale, bits in ((0.125, 4), (0.5, 3), (0.125, 8), (0.25, 6))
        for signed in (False, True)
        for narrow in (False, True)
        for zero in (0.0, 1.0, 2.0, 5.0, -3.0, 300.0)
        if not (bits == 8 and zero not in (0.0, 5.0))
    ]
    graph = agree_with_qonnx(b, outputs, EVERY)
    assert len(operators(graph)) >= len(outputs) - 4


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("zero", [0.0, 3.0, 4.0])
@pytest.mark.parametrize("signed", [False, True])
def test_on_the_host(mode: str, zero: float, signed: bool) -> None:
    """The quantiser of the model's input."""
    x = np.arange(-300, 300, dtype=np.float32)[None] / 32
    b = Builder((600,), batch=1)
    y = b.quant(b.quant("x", 0.25, 4, signed, zero=zero, mode=mode), 1.0, 2)
    graph = agree_with_qonnx(b, [y], x)
    assert (graph.inputs[0].tensor.lo, graph.inputs[0].tensor.hi) == (
        (-8 if signed else 0) - zero,
        (7 if signed else 15) - zero,
    )


@pytest.mark.parametrize("mode", MODES)
def test_weights(mode: str) -> None:
    """Ties, zero points of either sign, all in the precision of the file; one signed bit is bipolar."""
    b = Builder((4,), batch=5)
    x = b.quant("x", 0.25, 4)
    rng = np.random.default_rng(0)
    outputs = []
    for bits, signed, narrow, zero in (
        (4, True, False, 0.0),
        (4, True, True, 1.0),
        (3, False, False, 3.0),
        (3, False, True, 4.0),
        (2, True, False, [0.0, 1.0, 2.0]),
        (1, True, False, 0.0),
        (1, False, False, 1.0),
    ):
        scale = [0.5, 0.25, 1.0]
        constant = b.constant(rng.integers(-40, 41, (4, 3)) / 8)
        outputs.append(b.node("MatMul", x, b.quant(constant, scale, bits, signed, narrow, zero, mode)))
    agree_with_qonnx(b, outputs, np.float32(rng.integers(-40, 41, (5, 4)) / 16))


def int_quant(constant: np.ndarray, scale: np.ndarray, bits: np.ndarray, mode: str) -> np.ndarray:
    """The qonnx package on one element after the other: on whole tensors of bit widths it fails."""
    from qonnx.custom_op.general.intquant import int_quant as one

    def element(w: float, s: float, n: float) -> np.ndarray:
        return one(*(np.float32(v) for v in (w, s, 0, n)), 1, 0, mode)

    return np.vectorize(element)(constant, *np.broadcast_arrays(scale, bits)).astype(np.float32)


@pytest.mark.parametrize("mode", MODES)
def test_weights_each_with_a_scale_and_a_width_of_its_own(mode: str) -> None:
    """As HGQ writes them: powers of two, no bits at all for weights that are cut."""
    rng = np.random.default_rng(1)
    scale = np.float32(2.0 ** rng.integers(-6, 0, (6, 3)))
    bits = np.float32(rng.integers(2, 7, (6, 3)))
    if mode in ("ROUND", "half_even"):
        bits[0] = 0
    constant = np.float32(rng.integers(-200, 201, (6, 3)) / 128)
    b = Builder((6,))
    y = b.node("MatMul", b.quant("x", 0.25, 4), b.quant(b.constant(constant), scale, bits, mode=mode))
    plain = Builder((6,), expand=True)
    weight = plain.constant(int_quant(constant, scale, bits, mode))
    reference = plain.model(plain.node("MatMul", plain.quant("x", 0.25, 4), weight))
    x = np.float32(rng.integers(-40, 41, (20, 6)) / 16)
    graph = same_as(b.model(y), x, run(reference, x))
    (dense,) = (n.op for n in graph.nodes)
    assert len(dense.weight_scale) == 3 and np.abs(dense.weight).max() < 1 << 11


def test_filters_with_a_scale_per_input_channel() -> None:
    b = Builder((2, 4, 4), batch=3)
    rng = np.random.default_rng(2)
    weight = b.weight(rng.integers(-7, 8, (3, 2, 3, 3)), np.float32([0.5, 0.125]).reshape(1, 2, 1, 1))
    y = b.node("Conv", b.quant("x", 0.25, 4), weight, pads=[1, 1, 1, 1])
    agree_with_qonnx(b, [y], np.float32(rng.integers(-40, 41, (3, 2, 4, 4)) / 16))


def test_scales_and_widths_per_channel() -> None:
    """On the host and in hardware; whole-number ratios come to one scale, so that a convolution can read them."""
    rng = np.random.default_rng(3)
    b = Builder((3, 4, 4), batch=4)
    channels = (1, 3, 1, 1)
    scale = np.float32([0.25, 0.75, 1.0]).reshape(channels)
    x = b.quant("x", scale, 4)
    x = b.node("Conv", x, b.weight(rng.integers(-7, 8, (3, 3, 3, 3)), 0.125), pads=[1, 1, 1, 1])
    x = b.quant(b.node("Relu", x), np.float32([0.5, 2.0, 1.0]).reshape(channels), 4, signed=False, zero=1.0)
    y = b.node("Conv", x, b.weight(rng.integers(-7, 8, (2, 3, 1, 1)), 0.125))
    y = b.node("Mul", y, b.constant(1.0))
    graph = agree_with_qonnx(b, [x, y], np.float32(rng.integers(-80, 81, (4, 3, 4, 4)) / 16))
    assert operators(graph) == ["requant", "conv2d", "activation", "requant", "conv2d"]
    assert graph.inputs[0].tensor.scale == (0.25, 0.75, 1.0)


@pytest.mark.parametrize("zero", [0.0, 3.0])
@pytest.mark.parametrize("mode", MODES)
def test_bits_per_channel(mode: str, zero: float) -> None:
    bits = np.float32([2, 4, 6]).reshape(1, 3, 1, 1)
    x = np.tile(np.arange(-96, 96, dtype=np.float32) / 8, 3).reshape(1, 3, 12, 16)
    wanted = np.concatenate([one_width(x[:, i : i + 1], float(n), mode, zero) for i, n in enumerate(bits.ravel())], 1)
    for hardware in (False, True):
        b = Builder((3, 12, 16))
        y = b.quant(b.quant("x", 0.125, 8) if hardware else "x", 0.5, bits, zero=zero, mode=mode)
        y = b.quant(y, 0.5, 8)
        y = y if hardware else b.quant(y, 0.5, 7, narrow=True)
        y = b.node("MaxPool", y, kernel_shape=[1, 1])
        same_as(b.model(y), x, [wanted])


def one_width(x: np.ndarray, bits: float, mode: str, zero: float) -> np.ndarray:
    from qonnx.custom_op.general.intquant import int_quant as one

    return np.float32(one(x, np.float32(0.5), np.float32(zero), np.float32(bits), 1, 0, mode))


def test_scales_per_channel_without_a_common_one() -> None:
    """Good for outputs and pools; a layer that sums over channels needs one scale."""
    scale = np.float32([0.1, 0.37, 0.21]).reshape(1, 3, 1, 1)
    b = Builder((3, 2, 2))
    x = b.quant("x", scale, 4)
    y = b.node("Conv", x, b.weight(np.ones((2, 3, 1, 1)), 1.0))
    with pytest.raises(
        UnsupportedError,
        match="conv_1: Conv reads .* with one scale per channel, which no quantiser of one scale follows: put",
    ):
        from_onnx(b.model(y))
    b = Builder((3, 2, 2))
    graph = from_onnx(b.model(b.node("MaxPool", b.quant("x", scale, 4), kernel_shape=[2, 2])))
    x = np.float32(np.random.default_rng(0).normal(0, 1, (5, 3, 2, 2)))
    want = np.clip(np.rint(x.astype(np.float64) / scale), -8, 7) * scale.astype(np.float64)
    np.testing.assert_array_equal(graph.predict(x)[0], want.max(axis=(2, 3), keepdims=True))


@pytest.mark.parametrize("mode", MODES)
def test_truncation(mode: str) -> None:
    """Both versions: bits go and the scale stays, or an own scale with limits; of integers and of sums."""
    for version in (1, 2):
        b, x = on_every_value()
        outputs = []
        for zero in (0.0, 4.0) if version == 2 else (0.0, 3.0):
            for bits in (3, 5):
                y = b.quant(x, 0.125, 6, zero=zero)
                operands = [0.125, zero, 6.0, bits] if version == 1 else [0.125, zero, 6.0, 0.5, bits]
                settings = {} if version == 1 else {"signed": int(bits == 3), "narrow": int(zero == 0)}
                constants = (b.constant(v) for v in operands)
                outputs.append(b.node("Trunc", y, *constants, domain=DOMAIN, rounding_mode=mode, **settings))
        agree_with_qonnx(b, outputs, EVERY, version)


def test_truncation_on_the_host_and_of_sums() -> None:
    b = Builder((256,), batch=1)

    def truncated(x: str, mode: str, *operands: float) -> str:
        return b.node("Trunc", x, *(b.constant(v) for v in operands), domain=DOMAIN, rounding_mode=mode)

    x = truncated("x", "FLOOR", 0.125, 0.0, 8.0, 0.5, 4.0)  # which halves the input's grid: ties come first
    y = b.node("MatMul", x, b.weight(np.random.default_rng(0).integers(-7, 8, (256, 6)), 0.5))
    y = truncated(y, "ROUND", 0.5, 0.0, 16.0, 8.0, 8.0)
    graph = agree_with_qonnx(b, [x, y], EVERY, 2)
    assert operators(graph) == ["dense", "activation"]


@pytest.mark.parametrize("layout", ["NCHW", "NHWC", ""])
def test_thresholds(layout: str) -> None:
    """Per channel and shared, on either layout, with every kind of scale and bias; some are never or always reached."""
    rng = np.random.default_rng(4)
    shape = (4, 5, 3) if layout == "NHWC" else (3, 4, 5)
    b = Builder(shape, batch=6)
    x = b.quant("x", 0.125, 6)
    outputs = []
    for steps, scale, bias in (
        (7, 1.0, 0.0),
        (3, 0.5, -1.0),
        (1, 2.0, -1.0),
        (1, -0.5, 0.25),
        (15, 2.0, -15.0),
        (2, 1.0, 2.0**-20),
    ):
        for rows in (3, 1):
            table = np.sort(rng.integers(-40, 40, (rows, steps)) / 8, axis=1)
            table[0, -1] = np.inf if steps > 3 else table[0, -1]
            settings = {"out_dtype": "INT8", "out_scale": scale, "out_bias": bias, "data_layout": layout}
            outputs.append(b.node("MultiThreshold", x, b.constant(table), domain=DOMAIN, **settings))
    x = np.float32(rng.integers(-40, 41, (6, *shape)) / 16)
    graph = agree_with_qonnx(b, outputs, x)
    assert "bipolar" in {n.op.outputs[0].encoding for n in graph.nodes}


def test_two_bits_behind_a_bipolar_quantiser_can_be_padded() -> None:
    b = Builder((2, 5, 5), batch=4)
    x = b.quant(b.node("BipolarQuant", "x", b.constant(0.5), domain=DOMAIN), 0.5, 2)
    y = b.node("Conv", x, b.weight(np.arange(36).reshape(2, 2, 3, 3) % 7 - 3, 0.5), pads=[1, 1, 1, 1])
    x = np.float32(np.random.default_rng(0).integers(-8, 8, (4, 2, 5, 5)) / 8)
    graph = agree_with_qonnx(b, [y], x)
    assert operators(graph) == ["activation", "conv2d"]


def test_thresholds_between_layers() -> None:
    """As FINN has networks: integer weights, thresholds on sums, the first ones on the host."""
    rng = np.random.default_rng(5)
    b = Builder((2, 5, 5), batch=4)
    table = np.sort(rng.integers(-20, 20, (2, 7)) / 4, axis=1)
    settings = {"out_dtype": "INT4", "out_bias": -4.0, "data_layout": "NCHW"}
    x = b.node("MultiThreshold", "x", b.constant(table), domain=DOMAIN, **settings)
    x = b.node("Conv", x, b.weight(rng.integers(-7, 8, (3, 2, 3, 3)), 1.0), pads=[1, 1, 1, 1])
    table = np.sort(rng.integers(-60, 60, (3, 15)), axis=1)
    y = b.node("MultiThreshold", x, b.constant(table), domain=DOMAIN, out_dtype="UINT4")
    y = b.node("MatMul", b.node("Flatten", y), b.weight(rng.integers(-7, 8, (75, 4)), 1.0))
    graph = agree_with_qonnx(b, [y], np.float32(rng.integers(-40, 41, (4, 2, 5, 5)) / 8))
    assert operators(graph) == ["conv2d", "activation", "dense"]
    assert operators(lower(graph))[-2:] == ["threshold", "dense"]


def test_scales_of_the_last_axis_of_an_input() -> None:
    """The host sends the frame so that they are one per channel."""

    b = Builder((5, 4, 3), batch=6)
    x = b.node("Transpose", b.quant("x", np.float32([0.25, 0.5, 1]), 4), perm=[0, 3, 1, 2])
    y = b.node("Conv", x, b.weight(np.random.default_rng(0).integers(-7, 8, (2, 3, 3, 3)), 0.25))
    agree_with_qonnx(b, [y], frames((5, 4, 3), 6))

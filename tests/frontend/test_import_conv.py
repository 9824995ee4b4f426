# SPDX-License-Identifier: Apache-2.0
"""Convolutions in groups and over one axis, pools of every kind: golden equals onnxruntime and the qonnx package."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from tests.conformance.support import check_cycles, check_values, emit_bench
from tests.models import DOMAIN, Builder, frames

from gatewright.errors import UnsupportedError
from gatewright.frontend.importer import from_onnx
from gatewright.passes.lower import lower
from gatewright.passes.prove import prove
from gatewright.sim.model import Traffic

SEEDS = range(80)
SHAPES = [(4, 7, 6), (4, 12), (6, 5, 8), (2, 16)]
KINDS = {
    "AveragePool", "GlobalAveragePool", "MaxPool", "ReduceMean", "auto_pad", "bias", "conv 1d", "conv 2d", "dense",
    "depthwise", "dilation", "grouped", "multiplier", "residual",
}  # fmt: skip


@dataclass
class Grower:
    """A random network of convolutions and pools, the same for equal seeds; every number is exact in float32.

    Attributes:
        shape: of the frame that `x` names.
    """

    b: Builder
    seed: int
    seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.shape = self.b.shape
        self.x = self.b.quant("x", 0.25, 4)

    def pick(self, *choices: Any) -> Any:
        return choices[self.rng.integers(len(choices))]

    def geometry(self, kernel: list[int], dilate: bool) -> dict[str, Any]:
        """Strides, dilations and padding of a node; moves `shape` to that of its output."""
        axes = range(len(kernel))
        strides = [int(self.pick(1, 1, 2)) for _ in axes]
        auto = str(self.pick("NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"))
        if any(k < s for k, s in zip(kernel, strides, strict=True)):
            auto = "NOTSET"  # onnxruntime finds negative padding
        dilations = [1 + int(dilate and auto == "NOTSET" and 2 * k <= n and self.rng.random() < 0.4)
                     for k, n in zip(kernel, self.shape[1:], strict=True)]  # fmt: skip
        pads = [int(self.rng.integers(0, k)) for k in kernel * 2]
        self.seen |= {"auto_pad"} if auto != "NOTSET" else set()
        self.seen |= {"dilation"} if max(dilations) > 1 else set()
        sides = []
        for i, n in enumerate(self.shape[1:]):
            span, extra = (kernel[i] - 1) * dilations[i] + 1, pads[i] + pads[i + len(kernel)]
            valid = (n + (extra if auto == "NOTSET" else 0) - span) // strides[i] + 1
            sides.append(-(-n // strides[i]) if auto.startswith("SAME") else valid)
        self.shape = (self.shape[0], *sides)
        settings = {"kernel_shape": kernel, "strides": strides}
        return settings | ({"auto_pad": auto} if auto != "NOTSET" else {"pads": pads, "dilations": dilations})

    def conv(self, same: bool = False) -> str:
        channels, axes = self.shape[0], len(self.shape) - 1
        groups, filters = self.pick((1, 4), (2, 4), (channels, channels), (channels, 2 * channels), (2, 6))
        filters = channels if same else filters
        if channels % groups or filters % groups:
            groups = 1
        kernel = [3 if same else int(self.rng.integers(1, min(4, n + 1))) for n in self.shape[1:]]
        integers = self.rng.integers(-7, 8, (filters, channels // groups, *kernel))
        weight = self.b.weight(integers, 2.0 ** self.rng.integers(-4, -1, (filters, *(1,) * (axes + 1))))
        bias = [self.b.constant(self.rng.integers(-8, 9, filters) / 4)] if self.rng.random() < 0.4 else []
        kind = "dense" if groups == 1 else "depthwise" if groups == channels else "grouped"
        self.seen |= {f"conv {axes}d", kind} | ({"bias"} if bias else set())
        self.seen |= {"multiplier"} if 1 < groups == channels < filters else set()
        settings = {"pads": [1] * 2 * axes} if same else self.geometry(kernel, dilate=True)
        self.shape = (filters, *self.shape[1:])
        return self.b.node("Conv", self.x, weight, *bias, group=groups, **settings)

    def quant(self, x: str) -> str:
        return self.b.quant(x, 2.0 ** self.rng.integers(-1, 3), int(self.pick(3, 4)))

    def pool(self) -> str:
        """A pool whose windows hold a power of two of elements: their mean is exact in float32."""
        kernel = [min(n, int(self.pick(1, 2, 2))) for n in self.shape[1:]]
        kind = str(self.pick("MaxPool", "AveragePool"))
        self.seen.add(kind)
        more = {"count_include_pad": 1} if kind == "AveragePool" else {}
        settings = self.geometry(kernel, dilate=False)
        settings.pop("dilations", None)  # which AveragePool has not before opset 19
        return self.b.node(kind, self.x, **settings, **more)

    def mean(self) -> str:
        kind = str(self.pick("GlobalAveragePool", "ReduceMean"))
        self.seen.add(kind)
        if kind == "GlobalAveragePool":
            return self.b.node(kind, self.x)
        return self.b.node(kind, self.x, axes=[*range(2, 1 + len(self.shape))], keepdims=int(self.pick(0, 1)))

    def grow(self) -> str:
        for _ in range(int(self.rng.integers(1, 4))):
            kind = self.pick("conv", "conv", "pool", "residual")
            if kind == "conv":
                self.x = self.quant(self.conv())
            elif kind == "pool":
                self.x = self.pool()
            else:
                self.seen.add("residual")
                step, kept = 2.0 ** int(self.rng.integers(0, 3)), self.x
                side = self.b.quant(self.conv(same=True), step, 4)
                self.x = self.quant(self.b.node("Add", side, self.b.quant(kept, step, 4)))
        return self.mean() if math.prod(self.shape[1:]).bit_count() == 1 else self.x


def network(seed: int, **settings: Any) -> tuple[Builder, str, set[str]]:
    grower = Grower(Builder(SHAPES[seed % len(SHAPES)], **settings), seed)
    return grower.b, grower.grow(), grower.seen


def runtime(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_equal_to_onnxruntime_for_power_of_two_scales(seed: int) -> None:
    b, y, _ = network(seed)
    plain, wanted, _ = network(seed, expand=True)
    graph, x = from_onnx(b.model(y)), frames(b.shape, 6, seed)["x"]
    (have,) = graph.predict(x)
    np.testing.assert_array_equal(have, runtime(plain.model(wanted), x))
    lowered = lower(graph)
    prove(graph, lowered)
    np.testing.assert_array_equal(lowered.predict(x)[0], have)


def test_the_random_networks_hold_every_kind_of_node() -> None:
    seen = Counter(kind for seed in SEEDS for kind in network(seed)[2])
    assert set(seen) == KINDS and min(seen.values()) >= 3


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(100, 106))
def test_equal_to_the_qonnx_package(seed: int) -> None:
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.util.cleanup import cleanup_model

    b, y, _ = network(seed, batch=3)
    x = frames(b.shape, 3, seed)["x"]
    model = cleanup_model(ModelWrapper(b.model(y)))  # renames the input
    (want,) = execute_onnx(model, {model.graph.input[0].name: x}).values()
    np.testing.assert_array_equal(from_onnx(b.model(y)).predict(x)[0], want)


def run(b: Builder, y: str, x: np.ndarray) -> np.ndarray:
    return from_onnx(b.model(y)).predict(x)[0]


@pytest.mark.parametrize("kind", ["AveragePool", "GlobalAveragePool"])
@pytest.mark.parametrize("shape", [(3, 9, 7), (3, 11)])
def test_means_that_are_not_exact_in_float32(kind: str, shape: tuple[int, ...]) -> None:
    """Behind a batch norm, which moves behind the mean, and with one scale a channel, that of a convolution."""
    outputs = []
    for expand in (False, True):
        b, rng, axes = Builder(shape, expand=expand), np.random.default_rng(0), len(shape) - 1
        scale = 2.0 ** -np.arange(4).reshape(4, *[1] * (axes + 1))
        x = b.node("Conv", b.quant("x", 0.25, 4), b.weight(rng.integers(-7, 8, (4, 3, *[3] * axes)), scale))
        x = b.batch_norm(x, [1, -1, 2, 0.5], [0, 1, -1, 0.25], [0.5, 0, 0, 1], [1, 4, 1, 1], epsilon=0.0)
        attributes = {} if kind == "GlobalAveragePool" else {"kernel_shape": [3] * axes, "strides": [2] * axes}
        outputs.append((b, b.node(kind, x, **attributes)))
    x = frames(shape, 8)["x"]
    (b, y), (plain, wanted) = outputs
    np.testing.assert_allclose(run(b, y, x), runtime(plain.model(wanted), x), rtol=1e-6, atol=1e-6)


def test_max_of_a_row_with_one_scale_a_channel() -> None:
    outputs = []
    for expand in (False, True):
        b, rng = Builder((2, 12), expand=expand), np.random.default_rng(0)
        scale = 2.0 ** -np.arange(3).reshape(3, 1, 1)
        x = b.node("Conv", b.quant("x", 0.25, 4), b.weight(rng.integers(-7, 8, (3, 2, 4)), scale), pads=[2, 1])
        outputs.append((b, b.quant(b.node("MaxPool", x, kernel_shape=[3], strides=[2], pads=[1, 1]), 0.5, 4)))
    (b, y), (plain, wanted) = outputs
    x = frames((2, 12), 8)["x"]
    assert from_onnx(b.model(y)).outputs[0].shape == (3, 6)
    np.testing.assert_array_equal(run(b, y, x), runtime(plain.model(wanted), x))


def bipolar(b: Builder, x: str) -> str:
    return b.node("BipolarQuant", x, b.constant(0.5), domain=DOMAIN)


def test_bipolar_images_go_through_windows_products_and_pools() -> None:
    b, rng = Builder((4, 6, 6)), np.random.default_rng(0)
    x = bipolar(b, "x")
    weight = b.weight(rng.integers(0, 2, (4, 2, 3, 3)) * 2 - 1, 1.0, 2)
    y = b.node("Conv", b.node("MaxPool", x, kernel_shape=[2, 2], pads=[1, 0, 0, 1]), weight, group=2)
    y = b.node("AveragePool", bipolar(b, y), kernel_shape=[2, 2])
    graph, frame = from_onnx(b.model(y)), frames((4, 6, 6), 8)["x"]
    signs = np.where(frame >= 0, 0.5, -0.5).astype(np.float32)
    float_b = Builder((4, 6, 6))
    z = float_b.node("MaxPool", "x", kernel_shape=[2, 2], pads=[1, 0, 0, 1])
    integers = np.random.default_rng(0).integers(0, 2, (4, 2, 3, 3)) * 2 - 1
    z = float_b.node("Conv", z, float_b.constant(integers), group=2)
    z = float_b.node("Where", float_b.node("GreaterOrEqual", z, float_b.constant(0.0)),
                     float_b.constant(0.5), float_b.constant(-0.5))  # fmt: skip
    want = runtime(float_b.model(float_b.node("AveragePool", z, kernel_shape=[2, 2])), signs)
    np.testing.assert_array_equal(graph.predict(frame)[0], want)


def test_rtl_of_separable_networks(tmp_path: Path) -> None:
    """Depthwise and grouped convolutions on two axes and on one, to the integer and to the cycle."""
    graphs = []
    for shape in ((4, 6, 6), (4, 14)):
        b, rng, axes = Builder(shape), np.random.default_rng(1), len(shape) - 1
        x = b.quant("x", 0.25, 4)
        for filters, inputs, side, group in ((4, 1, 3, 4), (6, 4, 1, 1), (4, 3, 3, 2)):
            weight = b.weight(rng.integers(-7, 8, (filters, inputs, *[side] * axes)), 0.125)
            x = b.node("Conv", x, weight, group=group, pads=[side // 2] * 2 * axes)
            x = b.quant(b.node("Relu", x), 0.5, 4, signed=False)
        x = b.node("AveragePool", x, kernel_shape=[2] * axes, strides=[2] * axes)
        graphs.append(lower(from_onnx(b.model(x))))
    units = {n.op.name() for g in graphs for n in g.nodes}
    assert {"window", "depthwise", "dense", "grouped", "avgpool"} <= units
    bench = emit_bench(graphs, tmp_path)
    model = bench.model()
    check_cycles(bench, check_values(bench, model, [8, 8], Traffic()))
    check_values(bench, model, [4, 4], Traffic(in_stall=0.4, out_stall=0.4, burst=5, seed=1))


# --- refusals ---------------------------------------------------------------------------------------------------------

Make = Callable[[Builder, str], str]


def weight(b: Builder, *shape: int) -> str:
    return b.weight(np.ones(shape), 0.5)


REFUSED: list[tuple[str, tuple[int, ...], Make, str]] = [
    (
        "padding not counted",
        (2, 6, 6),
        lambda b, x: b.node("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        "averagepool_1: AveragePool with padding that is not counted divides by another number at the border, which "
        "has no hardware: use count_include_pad=1, or no padding",
    ),
    (
        "ceil_mode",
        (2, 6, 6),
        lambda b, x: b.node("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        "averagepool_1: ceil_mode=1 adds partial windows, which have no hardware: use ceil_mode=0 or pad",
    ),
    (
        "padding after an offset",
        (2, 6, 6),
        lambda b, x: b.node(
            "AveragePool", b.node("Add", x, b.constant(0.3)), kernel_shape=[2, 2], pads=[1] * 4, count_include_pad=1
        ),
        "averagepool_1: AveragePool pads with 0 behind an offset, where 0 is no integer: put a Quant node in front",
    ),
    (
        "mean of a Relu",
        (2, 6, 6),
        lambda b, x: b.node("AveragePool", b.node("Relu", x), kernel_shape=[2, 2]),
        r"averagepool_1: AveragePool reads 'relu_1_out' after float steps \(relu\) that no quantiser follows: put a "
        "Quant node in front of AveragePool",
    ),
    (
        "groups of unequal size",
        (4, 6, 6),
        lambda b, x: b.node("Conv", x, weight(b, 4, 1, 3, 3), group=3),
        r"conv_1: weight of shape \(4, 1, 3, 3\) does not fit an image of 4 channels in 3 groups",
    ),
    (
        "filters that groups do not divide",
        (4, 6, 6),
        lambda b, x: b.node("Conv", x, weight(b, 3, 2, 3, 3), group=2),
        r"conv_1: weight of shape \(3, 2, 3, 3\) does not fit an image of 4 channels in 2 groups",
    ),
    (
        "two axes on a row",
        (2, 6),
        lambda b, x: b.node("Conv", x, weight(b, 3, 2, 3, 3)),
        r"conv_1: weight of shape \(3, 2, 3, 3\) does not fit an image of 2 channels",
    ),
    (
        "strides of another number of axes",
        (2, 6),
        lambda b, x: b.node("MaxPool", x, kernel_shape=[2], strides=[2, 2]),
        r"maxpool_1: MaxPool with kernel \(2,\), strides \(2, 2\), dilations \(1,\) and pads \(0, 0\) on 1 image axes",
    ),
    (
        "three axes",
        (2, 4, 4, 4),
        lambda b, x: b.node("Conv", x, weight(b, 3, 2, 3, 3, 3)),
        r"conv_1: Conv on frames of shape \(2, 4, 4, 4\): only images \(channels, height, width\) and rows",
    ),
    (
        "unknown auto_pad",
        (2, 6, 6),
        lambda b, x: b.node("MaxPool", x, kernel_shape=[2, 2], auto_pad="SAME"),
        "maxpool_1: auto_pad='SAME' has no hardware: export explicit pads",
    ),
    (
        "zero-padded bipolar image",
        (2, 6, 6),
        lambda b, x: b.node("Conv", bipolar(b, x), weight(b, 2, 1, 3, 3), group=2, pads=[1, 1, 1, 1]),
        "conv_1: window: padding a bipolar image is not possible with 0, it has no zero: pad with -1 or .1, use no",
    ),
]


@pytest.mark.parametrize(("shape", "make", "message"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_refused(shape: tuple[int, ...], make: Make, message: str) -> None:
    b = Builder(shape)
    with pytest.raises(UnsupportedError, match=message):
        from_onnx(b.model(make(b, b.quant("x", 0.5, 4))))

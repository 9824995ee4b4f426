# SPDX-License-Identifier: Apache-2.0
"""Builds small QONNX models node by node, fixed ones and random ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DOMAIN = "qonnx.custom_op.general"


@dataclass
class Builder:
    """A model in the making; every method that adds a node returns the name of its first output.

    Attributes:
        shape: of one frame of the first input.
        batch: size of the batch axis, or its name.
        expand: write quantisers as Div, Round, Clip and Mul, which every ONNX runtime knows.
        opset: version of ONNX' own operators.
        dtype: of the first input, as ONNX numbers types.
        types: of outputs that are not float32.
    """

    shape: tuple[int, ...]
    batch: int | str = "batch"
    expand: bool = False
    opset: int = 17
    dtype: int = TensorProto.FLOAT
    types: dict[str, int] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    taken: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.input("x", self.shape, self.dtype)

    def fresh(self, base: str) -> str:
        """A name that is not used yet."""
        count = self.taken[base] = self.taken.get(base, 0) + 1
        return f"{base}{count}"

    def input(self, name: str, shape: Sequence[int | str], dtype: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, dtype, [self.batch, *shape]))
        return name

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = self.fresh("c")
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, op_type: str, *inputs: str, domain: str = "", outputs: Sequence[str] = (), **attributes: Any) -> str:
        name = self.fresh(f"{op_type.lower()}_")
        out = list(outputs) or [f"{name}_out"]
        self.nodes.append(helper.make_node(op_type, list(inputs), out, name=name, domain=domain, **attributes))
        return out[0]

    def quant(self, x: str, scale: Any, bits: Any, signed: bool = True, narrow: bool = False, zero: Any = 0.0,
              mode: str = "ROUND") -> str:  # fmt: skip
        """A quantiser of an activation or of a constant."""
        if self.expand:
            lo = -(1 << bits - 1) + narrow if signed else 0
            hi = (1 << bits - 1) - 1 if signed else (1 << bits) - 1 - narrow
            step = self.constant(scale)
            ratio = self.node("Div", x, step)
            if self.opset < 11:  # which has no Round: float32 itself rounds half to even beyond 2**23
                large = self.constant(1.5 * 2**23)
                rounded = self.node("Sub", self.node("Add", ratio, large), large)
                return self.node("Mul", self.node("Clip", rounded, min=float(lo), max=float(hi)), step)
            clipped = self.node("Clip", self.node("Round", ratio), self.constant(lo), self.constant(hi))
            return self.node("Mul", clipped, step)
        operands = (self.constant(v) for v in (scale, zero, bits))
        settings = {"signed": int(signed), "narrow": int(narrow), "rounding_mode": mode}
        return self.node("Quant", x, *operands, domain=DOMAIN, **settings)

    def weight(self, integers: Any, scale: Any, bits: int = 4) -> str:
        """A quantised constant of those integers."""
        real = np.asarray(integers, np.float32) * np.asarray(scale, np.float32)
        return self.quant(self.constant(real), scale, bits)

    def quantize(self, x: str, scale: Any, zero: Any = 0, dtype: Any = np.uint8, **attributes: Any) -> str:
        """A QuantizeLinear; a zero point of None is left out, and the type with it."""
        operands = [self.constant(scale)] + ([] if zero is None else [self.constant(zero, dtype)])
        return self.node("QuantizeLinear", x, *operands, **attributes)

    def dequantize(self, x: str, scale: Any, zero: Any = 0, dtype: Any = np.uint8, **attributes: Any) -> str:
        """A DequantizeLinear; a zero point of None is left out."""
        operands = [self.constant(scale)] + ([] if zero is None else [self.constant(zero, dtype)])
        return self.node("DequantizeLinear", x, *operands, **attributes)

    def batch_norm(self, x: str, gamma: Any, beta: Any, mean: Any, variance: Any, epsilon: float = 1e-5) -> str:
        operands = (self.constant(v) for v in (gamma, beta, mean, variance))
        return self.node("BatchNormalization", x, *operands, epsilon=epsilon)

    def model(self, *outputs: str) -> onnx.ModelProto:
        types = [self.types.get(name, TensorProto.FLOAT) for name in outputs]
        infos = [helper.make_tensor_value_info(*info, None) for info in zip(outputs, types, strict=True)]
        graph = helper.make_graph(self.nodes, "model", self.inputs, infos, self.constants)
        opsets = [helper.make_opsetid("", self.opset)]
        opsets += [helper.make_opsetid(d, 1) for d in {n.domain: None for n in self.nodes if n.domain}]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9 if self.opset < 21 else 10)

    def save(self, path: Path, *outputs: str) -> Path:
        onnx.save(self.model(*outputs), path)
        return path


def small_network(shape: tuple[int, ...] = (2, 6, 6), classes: int = 3, expand: bool = False) -> tuple[Builder, str]:
    """Convolution, batch norm, ReLU, a residual addition, pooling and a matrix product; scales are powers of two."""
    rng = np.random.default_rng(0)
    b = Builder(shape, expand=expand)
    x = b.quant("x", 0.25, 4)
    channels = 4
    x = b.node("Conv", x, b.weight(rng.integers(-7, 8, (channels, shape[0], 3, 3)), 0.125), pads=[1, 1, 1, 1])
    x = b.batch_norm(x, [1, -1, 2, 0.5], [0, 1, -1, 0.25], [0.5, 0, 0, 1], [1, 4, 1, 1], epsilon=0.0)
    x = b.quant(b.node("Relu", x), 0.5, 4, signed=False)
    y = b.node("Conv", x, b.weight(rng.integers(-7, 8, (channels, channels, 3, 3)), 0.0625), pads=[1, 1, 1, 1])
    y = b.quant(y, 0.5, 4)
    x = b.quant(b.node("Relu", b.node("Add", x, y)), 1.0, 4, signed=False)
    x = b.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = b.node("Flatten", x)
    features = channels * (shape[1] // 2) * (shape[2] // 2)
    x = b.node(
        "Gemm", x, b.weight(rng.integers(-7, 8, (classes, features)), 0.25), b.constant(np.arange(classes)), transB=1
    )
    return b, x


def two_layers(features: int = 8, hidden: int = 12, classes: int = 3) -> tuple[Builder, str]:
    """Two matrix products with a ReLU between: the smallest network with everything a design needs."""
    rng = np.random.default_rng(1)
    b = Builder((features,))
    x = b.quant("x", 0.125, 4)
    x = b.node("MatMul", x, b.weight(rng.integers(-7, 8, (features, hidden)), 0.25))
    x = b.quant(b.node("Relu", x), 0.5, 3, signed=False)
    return b, b.node("MatMul", x, b.weight(rng.integers(-7, 8, (hidden, classes)), 0.5))


# --- random networks --------------------------------------------------------------------------------------------------


@dataclass
class Grower:
    """Grows one random network; the same seed gives the same network whatever the builder's settings.

    Attributes:
        exact: only numbers on which float32 makes no error (powers of two, small integers).
    """

    b: Builder
    seed: int
    exact: bool

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.seen: set[str] = set()

    def pick(self, *choices: Any) -> Any:
        return choices[self.rng.integers(len(choices))]

    def chance(self, share: float = 0.5) -> bool:
        return bool(self.rng.random() < share)

    def factor(self, low: int, high: int, size: Any = None) -> Any:
        """Positive factors of about 2**low to 2**high."""
        power = self.rng.integers(low, high + 1, size) if self.exact else self.rng.uniform(low, high, size)
        return np.float32(2.0 ** np.asarray(power, np.float64))

    def number(self, size: Any = None, spread: int = 8) -> Any:
        """Offsets of either sign."""
        if self.exact:
            return np.float32(self.rng.integers(-spread, spread + 1, size) / 4)
        return np.float32(self.rng.normal(0, spread / 8, size))

    def signs(self, size: int) -> Any:
        return self.rng.choice([-1, 1], size) if self.chance() else np.ones(size)

    # --- pieces -------------------------------------------------------------------------------------------------------

    def weight(self, shape: tuple[int, ...], out_axis: int) -> tuple[str, float]:
        """A quantised constant and the rough size of its elements."""
        bits = int(self.pick(2, 3, 4, 6))
        limit = (1 << bits - 1) - 1
        per_channel = [1] * len(shape)
        per_channel[out_axis] = shape[out_axis]
        scale = self.factor(-4, -2, tuple(per_channel) if self.chance() else ())
        return self.b.weight(self.rng.integers(-limit, limit + 1, shape), scale, bits), limit * float(scale.max())

    def normalise(self, x: str, channels: int) -> str:
        gain, variance = self.factor(-1, 1, channels) * self.signs(channels), self.factor(-1, 1, channels) ** 2
        numbers = (self.number(channels), self.number(channels))
        return self.b.batch_norm(x, gain, *numbers, variance, epsilon=0.0 if self.exact else 1e-3)

    def elementwise(self, x: str, shape: tuple[int, ...], scalar: bool = False) -> str:
        """A constant operand on either side, one number or (unless `scalar`) one per channel."""
        kind = str(self.pick("Mul", "Div", "Add", "Sub", "SubFrom"))
        self.seen.add(kind)
        size = (shape[0], *(1,) * (len(shape) - 1)) if self.chance() and not scalar else ()
        value = self.number(size) if kind in ("Add", "Sub", "SubFrom") else self.factor(-1, 1, size)
        if kind in ("Mul", "Div") and self.chance(0.3):
            value = -value
        operand = self.b.constant(value)
        return self.b.node("Sub", operand, x) if kind == "SubFrom" else self.b.node(kind, x, operand)

    def steps(self, x: str, shape: tuple[int, ...]) -> str:
        if self.chance(0.6):
            self.seen.add("BatchNormalization")
            x = self.normalise(x, shape[0])
        for _ in range(int(self.rng.integers(0, 3))):
            x = self.elementwise(x, shape)
        if self.chance(0.6):
            self.seen.add("Relu")
            x = self.b.node("Relu", x)
        return x

    def activation(self, x: str, size: float) -> tuple[str, float]:
        """A quantiser whose range is about that of values of a given size; returns its largest value too."""
        bits, signed = int(self.pick(2, 3, 4, 5, 8)), self.chance()
        top = (1 << bits - signed) - 1
        scale = (
            np.float32(2.0 ** np.round(np.log2(size / top)))
            if self.exact
            else np.float32(size / top * self.rng.uniform(0.7, 1.4))
        )
        return self.b.quant(x, scale, bits, signed, narrow=signed and self.chance()), float(scale) * top

    def conv(
        self, x: str, shape: tuple[int, ...], size: float, same: bool = False
    ) -> tuple[str, tuple[int, ...], float]:
        c, h, w = shape
        kernel = (
            (3, 3) if same else (int(self.rng.integers(1, min(4, h + 1))), int(self.rng.integers(1, min(4, w + 1))))
        )
        stride = (1, 1) if same else (int(self.pick(1, 1, 2)), int(self.pick(1, 2)))
        dilation = (
            (1, 1)
            if same
            else tuple(
                2 if k > 1 and n >= 2 * k and self.chance(0.3) else 1 for k, n in zip(kernel, (h, w), strict=True)
            )
        )
        pads = [1, 1, 1, 1] if same else [int(self.rng.integers(0, k)) for k in (*kernel, *kernel)]
        filters = c if same else int(self.rng.integers(1, 6))
        self.seen |= {
            n for n, v in (("stride", max(stride) > 1), ("dilation", max(dilation) > 1), ("pads", any(pads))) if v
        }
        weight, limit = self.weight((filters, c, *kernel), 0)
        bias = [self.b.constant(self.number(filters))] if self.chance(0.3) else []
        out = self.b.node("Conv", x, weight, *bias, kernel_shape=kernel, strides=stride, pads=pads, dilations=dilation)
        sides = [
            (n + pads[i] + pads[i + 2] - (kernel[i] - 1) * dilation[i] - 1) // stride[i] + 1
            for i, n in enumerate((h, w))
        ]
        return out, (filters, *sides), size * limit * np.sqrt(c * kernel[0] * kernel[1])

    def block(self, x: str, shape: tuple[int, ...], size: float) -> tuple[str, tuple[int, ...], float]:
        kind = str(self.pick("conv", "conv", "residual", "pool"))
        self.seen.add(kind)
        if kind == "conv":
            y, shape, size = self.conv(x, shape, size)
            return (*_at(self.activation(self.steps(y, shape), 2 * size), shape),)
        if kind == "residual":
            y, _, grown = self.conv(x, shape, size, same=True)
            ratio = float(self.pick(0.5, 1.0, 2.0, 4.0))
            self.seen.add("equal scales" if ratio == 1 else "unequal scales")
            step = np.float32(2.0 ** np.round(np.log2(grown / 4))) if self.exact else np.float32(grown / 4 * 1.1)
            y = self.b.quant(self.steps(y, shape), step, 4)
            z = self.b.quant(x, step * np.float32(ratio), 4)
            total = self.b.node("Add", *((y, z) if self.chance() else (z, y)))
            return (*_at(self.activation(self.b.node("Relu", total), 16 * float(step)), shape),)
        pads = [int(self.rng.integers(0, 2)) for _ in range(4)]
        if min(shape[1] + pads[0] + pads[2], shape[2] + pads[1] + pads[3]) < 2:
            return x, shape, size
        if any(pads):
            self.seen.add("padded pool")
        stride = (int(self.pick(1, 2)), int(self.pick(1, 2)))
        y = self.b.node("MaxPool", x, kernel_shape=[2, 2], strides=stride, pads=pads)
        sides = [(n + pads[i] + pads[i + 2] - 2) // stride[i] + 1 for i, n in enumerate(shape[1:])]
        return y, (shape[0], *sides), size

    def vector(self, x: str, shape: tuple[int, ...], size: float) -> tuple[str, int, float]:
        """An image as a vector, in one of the ways in which models do it."""
        power = (shape[1] * shape[2]).bit_count() == 1
        ways = ["Flatten", "Reshape", "Transpose"] + (
            ["GlobalAveragePool", "ReduceMean"] if power or not self.exact else []
        )
        way = str(self.pick(*ways))
        self.seen.add(way)
        if way == "GlobalAveragePool":
            x = self.b.node("Flatten", self.b.node("GlobalAveragePool", x))
            return x, shape[0], size
        if way == "ReduceMean":
            return self.b.node("ReduceMean", x, axes=[-1, -2], keepdims=0), shape[0], size
        if way == "Transpose":
            x = self.b.node("Transpose", x, perm=[0, *(int(i) for i in 1 + self.rng.permutation(3))])
        x = (
            self.b.node("Flatten", x)
            if way != "Reshape"
            else self.b.node("Reshape", x, self.b.constant([0, -1], np.int64))
        )
        return x, int(np.prod(shape)), size

    def matrix(self, x: str, features: int, rows: int) -> str:
        kind = str(self.pick("Gemm", "GemmT", "MatMul"))
        self.seen.add(kind)
        if kind == "GemmT":
            return self.b.node(
                "Gemm", x, self.weight((rows, features), 0)[0], self.b.constant(self.number(rows)), transB=1
            )
        weight, _ = self.weight((features, rows), 1)
        if kind == "Gemm":
            return self.b.node("Gemm", x, weight)
        return self.b.node("Add", self.b.node("MatMul", x, weight), self.b.constant(self.number(rows)))


def _at(activation: tuple[str, float], shape: tuple[int, ...]) -> tuple[str, tuple[int, ...], float]:
    return activation[0], shape, activation[1]


def random_network(b: Builder, seed: int, exact: bool) -> tuple[list[str], set[str]]:
    """Outputs of a random network on `b` (frames of three axes), and the kinds of node that it holds."""
    g = Grower(b, seed, exact)
    x, shape = "x", b.shape
    if g.chance(0.3):
        x = g.elementwise(x, shape)
    x = b.quant(x, g.factor(-3, -2), 4, signed=True)
    size, outputs = 2.0, []
    for _ in range(int(g.rng.integers(1, 4))):
        x, shape, size = g.block(x, shape, size)
    if g.chance(0.2):
        outputs.append(x)
    x, features, size = g.vector(x, shape, size)
    if g.chance(0.4):
        x, size = g.activation(g.elementwise(x, (features,), scalar=True), size)
    x = g.matrix(x, features, int(g.rng.integers(1, 6)))
    if g.chance(0.3):
        x = b.node("Mul", x, b.constant(g.factor(-1, 1)))
    return [*outputs, x], g.seen


def frames(shape: tuple[int, ...], count: int, seed: int = 0) -> Mapping[str, np.ndarray]:
    """Float frames over the whole range of the random networks' input quantiser, ties included."""
    rng = np.random.default_rng(seed)
    return {"x": np.float32(rng.integers(-40, 41, (count, *shape)) / 16)}

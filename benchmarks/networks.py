# SPDX-License-Identifier: Apache-2.0
"""Published topologies with random weights, as QONNX: for cycles and gates, which do not depend on what was learned.

Weights are uniform over their full range. Every batch norm has the statistics of what it sees on random frames, so
every level of every activation occurs and the outputs vary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional

Floats = npt.NDArray[np.float64]
DOMAIN = "qonnx.custom_op.general"
SAMPLES = 8


@dataclass
class Grower:
    """A QONNX model in the making, and what its last tensor is on some random frames.

    Attributes:
        shape: of one input frame, channels first.
        input_bits: of the input, unsigned; 1 means bipolar.
        signed: the input is signed.
    """

    shape: tuple[int, ...]
    input_bits: int
    signed: bool = False
    seed: int = 0
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        low = -(1 << self.input_bits - 1) if self.signed else 0
        frames = self.rng.integers(low, low + (1 << self.input_bits), (SAMPLES, *self.shape)).astype(np.float64)
        self.frames: Floats = 2 * frames - 1 if self.input_bits == 1 else frames
        self.x, self.name = torch.from_numpy(self.frames), "x"
        if self.input_bits == 1:
            self.node("BipolarQuant", self.constant(1.0), domain=DOMAIN)
        else:
            self.quant_node(1.0, self.input_bits, self.signed)

    # --- nodes ------------------------------------------------------------------------------------------------------

    def constant(self, value: object) -> str:
        """A float32 initialiser."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def node(self, op_type: str, *operands: str, domain: str = "", **attributes: object) -> None:
        """A node behind the last tensor."""
        name = f"{op_type.lower()}{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(op_type, [self.name, *operands], [f"{name}_out"], name=name, domain=domain, **attributes)
        )
        self.name = f"{name}_out"

    def quant_node(self, scale: object, bits: int, signed: bool) -> None:
        """A Quant node behind the last tensor."""
        operands = (self.constant(v) for v in (scale, 0.0, bits))
        self.node("Quant", *operands, domain=DOMAIN, signed=int(signed), narrow=0, rounding_mode="ROUND")

    def weight(self, shape: tuple[int, ...], bits: int) -> tuple[str, torch.Tensor]:
        """A quantised weight of scale 1: its name and its values."""
        limit = 1 << bits - 1
        values = self.rng.integers(0, 2, shape) * 2 - 1 if bits == 1 else self.rng.integers(-limit, limit, shape)
        before, self.name = self.name, self.constant(values)
        if bits == 1:
            self.node("BipolarQuant", self.constant(1.0), domain=DOMAIN)
        else:
            self.quant_node(1.0, bits, True)
        name, self.name = self.name, before
        return name, torch.from_numpy(values.astype(np.float64))

    # --- layers -----------------------------------------------------------------------------------------------------

    def conv(self, filters: int, kernel: int, bits: int, pad: int = 0, stride: int = 1, group: int = 1) -> Grower:
        """A convolution without bias; ``filters`` of -1 keep the channels, one group each."""
        channels = self.x.shape[1]
        filters, group = (channels, channels) if filters < 0 else (filters, group)
        name, values = self.weight((filters, channels // group, kernel, kernel), bits)
        self.node("Conv", name, kernel_shape=[kernel] * 2, pads=[pad] * 4, strides=[stride] * 2, group=group)
        self.x = functional.conv2d(self.x, values, padding=pad, stride=stride, groups=group)
        return self

    def dense(self, outputs: int, bits: int) -> Grower:
        """A matrix product without bias."""
        name, values = self.weight((self.x.shape[1], outputs), bits)
        self.node("MatMul", name)
        self.x = self.x @ values
        return self

    def activation(self, bits: int) -> Grower:
        """Batch norm and quantiser: bipolar for one bit, else ReLU and unsigned, all levels in use."""
        axes = [i for i in range(self.x.dim()) if i != 1]
        mean, deviation = self.x.mean(axes), self.x.std(axes) + 1e-3
        gamma = self.rng.choice([-1.0, 1.0], mean.shape) * self.rng.uniform(0.75, 1.5, mean.shape)
        beta = self.rng.normal(0, 0.25, mean.shape)
        self.node("BatchNormalization", *(self.constant(v) for v in (gamma, beta, mean, deviation**2)), epsilon=0.0)
        shape = [1, -1, *[1] * (self.x.dim() - 2)]
        view = [torch.as_tensor(v).view(shape) for v in (mean, deviation, gamma, beta)]
        z = (self.x - view[0]) / view[1] * view[2] + view[3]
        if bits == 1:
            self.node("BipolarQuant", self.constant(1.0), domain=DOMAIN)
            self.x = torch.where(z >= 0, 1.0, -1.0).double()
            return self
        scale = 2.5 / (2**bits - 1)
        self.node("Relu")
        self.quant_node(scale, bits, False)
        self.x = torch.clamp(torch.round(z / np.float32(scale)), 0, 2**bits - 1)
        levels = len(self.x.unique())
        assert levels == 2**bits, f"{levels} of {2**bits} levels occur in {self.name}"
        return self

    def pool(self) -> Grower:
        """A 2x2 maximum."""
        self.node("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
        self.x = functional.max_pool2d(self.x, 2)
        return self

    def average(self) -> Grower:
        """The mean of the image, quantised to 8 bits, as a vector."""
        self.node("GlobalAveragePool")
        self.x = self.x.mean((2, 3), keepdim=True)
        scale = float(self.x.max()) / 255
        self.quant_node(scale, 8, False)
        self.x = torch.clamp(torch.round(self.x / scale), 0, 255)
        return self.flatten()

    def flatten(self) -> Grower:
        """All elements as one vector."""
        self.node("Flatten")
        self.x = self.x.flatten(1)
        return self

    def save(self, path: Path) -> Path:
        """Write the model; its outputs must vary."""
        assert (self.x.std(0) > 0).all(), "an output is constant"
        ends = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *self.shape])
        out = helper.make_tensor_value_info(self.name, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, path.stem, [ends], [out], self.constants)
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)]
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
        return path


def mlp(inputs: int, hidden: int, layers: int, outputs: int, bits: int, input_bits: int, signed: bool) -> Grower:
    """Dense layers of one width."""
    net = Grower((inputs,), input_bits, signed)
    for _ in range(layers):
        net.dense(hidden, bits).activation(bits)
    return net.dense(outputs, bits)


def vgg(bits: int, pad: int, stages: tuple[tuple[int, int], ...], pools: int) -> Grower:
    """Pairs of 3x3 convolutions on a CIFAR-10 image of 8 bits, dense 512-512-10."""
    net = Grower((3, 32, 32), 8)
    for i, stage in enumerate(stages):
        for filters in stage:
            net.conv(filters, 3, bits, pad).activation(bits)
        if i < pools:
            net.pool()
    net.flatten()
    return net.dense(512, bits).activation(bits).dense(512, bits).activation(bits).dense(10, bits)


def mobilenet(bits: int = 4) -> Grower:
    """Depthwise separable convolutions on a CIFAR-10 image (after MobileNet-v1), the first with stride 1."""
    net = Grower((3, 32, 32), 8).conv(32, 3, bits, 1).activation(bits)
    for filters, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        net.conv(-1, 3, bits, 1, stride).activation(bits).conv(filters, 1, bits).activation(bits)
    return net.average().dense(10, bits)


STAGES = ((64, 64), (128, 128), (256, 256))

NETWORKS: dict[str, Callable[[], Grower]] = {
    "cnv-w1a1": lambda: vgg(1, 0, STAGES, 2),
    "cnv-w2a2": lambda: vgg(2, 0, STAGES, 2),
    "tfc-w1a1": lambda: mlp(784, 64, 3, 10, 1, 1, False),
    "cybersecurity-w2a2": lambda: mlp(600, 64, 3, 1, 2, 1, False),
    "keyword-w3a3": lambda: mlp(490, 256, 3, 12, 3, 8, True),
    "vgg-w2a2": lambda: vgg(2, 1, STAGES, 3),
    "mobilenet-w4a4": mobilenet,
}
"""By name: CNV and TFC of FINN (FPGA 2017), its cybersecurity and keyword networks, and two of CIFAR-10's shape."""


def make(name: str, folder: Path) -> tuple[Path, npt.NDArray[np.float32]]:
    """Write a network and return its file and random frames, float32 of shape (8, *input shape)."""
    net = NETWORKS[name]()
    return net.save(folder / f"{name}.onnx"), net.frames.astype(np.float32)

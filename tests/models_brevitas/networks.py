# SPDX-License-Identifier: Apache-2.0
"""Small Brevitas networks, one for each thing that users of Brevitas build, trained for some steps."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import brevitas.nn as qnn
import numpy as np
import onnx
import torch
from brevitas import quant
from brevitas.quant.binary import SignedBinaryActPerTensorConst, SignedBinaryWeightPerTensorConst
from brevitas.quant.fixed_point import Int8WeightPerChannelFixedPoint
from brevitas.quant.scaled_int import Int8AccumulatorAwareWeightQuant, Int8AccumulatorAwareZeroCenterWeightQuant
from brevitas.quant.ternary import SignedTernaryActPerTensorConst, SignedTernaryWeightPerTensorConst
from onnx import numpy_helper
from torch import Tensor, nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Brevitas imports a module of its own that it calls deprecated
    from brevitas.export import export_onnx_qcdq, export_qonnx

CHANNELS = {"weight_quant": quant.Int8WeightPerChannelFloat}
STEPS, BATCH = 4, 16


@dataclass(frozen=True)
class Network:
    """How to make one, and the shape of its frames.

    Attributes:
        qcdq: Brevitas can write it as QCDQ, by torch's older exporter.
    """

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    qcdq: bool = True


def identity(bits: int = 8, kind: Any = quant.Int8ActPerTensorFloat) -> nn.Module:
    return qnn.QuantIdentity(act_quant=kind, bit_width=bits, return_quant_tensor=True)


def relu(bits: int = 4, **settings: Any) -> nn.Module:
    return qnn.QuantReLU(bit_width=bits, return_quant_tensor=True, **settings)


def linear(inputs: int, outputs: int, bits: int = 4, **settings: Any) -> nn.Module:
    return qnn.QuantLinear(inputs, outputs, True, weight_bit_width=bits, **settings)


def conv(inputs: int, outputs: int, side: int, bits: int = 4, **settings: Any) -> nn.Module:
    return qnn.QuantConv2d(inputs, outputs, side, weight_bit_width=bits, **settings)


class Residual(nn.Module):
    """Two convolutions beside a skip; one quantiser for both sides of the sum, as Brevitas wants it."""

    def __init__(self) -> None:
        super().__init__()
        self.entry, self.shared, self.first, self.last = identity(), identity(4), relu(), relu()
        self.conv1 = conv(2, 4, 3, padding=1, bias=False, **CHANNELS)
        self.conv2 = conv(4, 4, 3, padding=1, bias=False, **CHANNELS)
        self.norm1, self.norm2 = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.scores = linear(4, 3, **CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(self.norm1(self.conv1(self.entry(x))))
        y = self.shared(self.norm2(self.conv2(x)))
        x = self.last(y + self.shared(x))
        return self.scores(values(x).mean((2, 3)))


class Joins(nn.Module):
    """A sum of two branches with scales of their own by QuantEltwiseAdd, and a concatenation of one scale."""

    def __init__(self) -> None:
        super().__init__()
        eight = quant.Int8ActPerTensorFloat
        self.entry, self.rectify = identity(), relu()
        self.left, self.right = conv(2, 4, 3, padding=1, bias=False), conv(2, 4, 1, bias=False)
        self.add = qnn.QuantEltwiseAdd(input_quant=eight, output_quant=eight, return_quant_tensor=True)
        self.last = conv(8, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.entry(x)
        left, right = self.left(x), self.right(x)
        both = [values(self.rectify(self.add(left, right))), values(self.rectify(right))]
        return self.last(torch.cat(both, dim=1))


def values(x: Any) -> Tensor:
    """A quantised tensor's real values; exporters hand on plain tensors."""
    return x.value if hasattr(x, "value") else x


def mlp() -> nn.Module:
    return nn.Sequential(identity(), linear(16, 12), nn.BatchNorm1d(12), relu(), linear(12, 5))


def quantised_biases() -> nn.Module:
    return nn.Sequential(
        identity(), linear(16, 12, bias_quant=quant.Int32Bias), relu(), linear(12, 5, bias_quant=quant.Int16Bias)
    )


def cnn() -> nn.Module:
    return nn.Sequential(
        identity(), conv(2, 4, 3, **CHANNELS), nn.BatchNorm2d(4), relu(), nn.MaxPool2d(2),
        conv(4, 6, 3, bits=3, padding=1, bias=False, **CHANNELS), nn.BatchNorm2d(6), relu(3),
        nn.Flatten(), linear(54, 5),
    )  # fmt: skip


def depthwise() -> nn.Module:
    return nn.Sequential(
        identity(), conv(4, 4, 3, padding=1, groups=4, bias=False, **CHANNELS), nn.BatchNorm2d(4), relu(),
        conv(4, 6, 1, bias=False, **CHANNELS), relu(), conv(6, 6, 3, groups=2, stride=2),
    )  # fmt: skip


def a2q() -> nn.Module:
    bound = {"weight_accumulator_bit_width": 12}
    return nn.Sequential(
        identity(4, quant.Uint8ActPerTensorFloat),
        linear(16, 12, weight_quant=Int8AccumulatorAwareWeightQuant, **bound), relu(),
        linear(12, 5, weight_quant=Int8AccumulatorAwareZeroCenterWeightQuant, **bound),
    )  # fmt: skip


def asymmetric() -> nn.Module:
    shifted = quant.ShiftedUint8ActPerTensorFloat
    return nn.Sequential(
        identity(8, shifted), conv(2, 4, 3, padding=1, **CHANNELS), identity(6, shifted), conv(4, 3, 3, padding=1)
    )


def asymmetric_weights() -> nn.Module:
    return nn.Sequential(
        identity(), linear(16, 12, weight_quant=quant.ShiftedUint8WeightPerTensorFloat), relu(),
        linear(12, 5, weight_quant=quant.ShiftedUint8WeightPerChannelFloat),
    )  # fmt: skip


def one_bit(activations: Any, weights: Any) -> nn.Module:
    """Bipolar or ternary."""

    def layer(inputs: int, outputs: int) -> nn.Module:
        return qnn.QuantLinear(inputs, outputs, False, weight_quant=weights)

    def entry() -> nn.Module:
        return qnn.QuantIdentity(act_quant=activations, return_quant_tensor=True)

    return nn.Sequential(entry(), layer(16, 12), nn.BatchNorm1d(12), entry(), layer(12, 5))


def fixed_point() -> nn.Module:
    return nn.Sequential(
        identity(8, quant.Int8ActPerTensorFixedPoint),
        conv(2, 4, 3, bits=5, weight_quant=quant.Int8WeightPerTensorFixedPoint),
        relu(5, act_quant=quant.Uint8ActPerTensorFixedPoint),
        conv(4, 3, 3, bits=5, weight_quant=Int8WeightPerChannelFixedPoint),
    )


def one_axis() -> nn.Module:
    four = {"weight_bit_width": 4}
    return nn.Sequential(
        identity(), qnn.QuantConv1d(2, 4, 3, padding=1, **four, **CHANNELS), nn.BatchNorm1d(4), relu(),
        qnn.QuantConv1d(4, 5, 3, stride=2, **four),
    )  # fmt: skip


def functions() -> nn.Module:
    return nn.Sequential(
        identity(), linear(16, 12), qnn.QuantHardTanh(bit_width=4, max_val=1.0, min_val=-1.0), linear(12, 12),
        qnn.QuantSigmoid(bit_width=4), linear(12, 5), qnn.QuantTanh(bit_width=8),
    )  # fmt: skip


def upsampled() -> nn.Module:
    return nn.Sequential(identity(), conv(2, 4, 3, padding=1), relu(), nn.Upsample(scale_factor=2), conv(4, 3, 3))


def averaged() -> nn.Module:
    """The average of a quantised tensor, cut to fewer bits."""
    return nn.Sequential(
        identity(), conv(2, 4, 3, padding=1, bias=False), relu(),
        qnn.TruncAvgPool2d(2, bit_width=4, return_quant_tensor=True), conv(4, 3, 1),
    )  # fmt: skip


def transposed() -> nn.Module:
    return nn.Sequential(
        identity(), qnn.QuantConvTranspose2d(2, 4, 2, stride=2, weight_bit_width=4), relu(), conv(4, 3, 1)
    )


NETWORKS: Mapping[str, Network] = {
    "mlp": Network(mlp, (16,)),
    "quantised biases": Network(quantised_biases, (16,)),
    "cnn": Network(cnn, (2, 8, 8)),
    "residual": Network(Residual, (2, 6, 6)),
    "depthwise": Network(depthwise, (4, 6, 6)),
    "a2q": Network(a2q, (16,)),
    "asymmetric": Network(asymmetric, (2, 6, 6)),
    "asymmetric weights": Network(asymmetric_weights, (16,)),
    "bipolar": Network(
        partial(one_bit, SignedBinaryActPerTensorConst, SignedBinaryWeightPerTensorConst), (16,), qcdq=False
    ),
    "ternary": Network(partial(one_bit, SignedTernaryActPerTensorConst, SignedTernaryWeightPerTensorConst), (16,)),
    "fixed point": Network(fixed_point, (2, 8, 8)),
    "one axis": Network(one_axis, (2, 12)),
    "functions": Network(functions, (16,)),
    "joins": Network(Joins, (2, 6, 6)),
    "upsampled": Network(upsampled, (2, 4, 4)),
    "averaged": Network(averaged, (2, 8, 8), qcdq=False),
    "transposed": Network(transposed, (2, 4, 4)),
}


@cache
def trained(name: str) -> nn.Module:
    """The network after some steps, so that batch norms and learned scales have moved; for inference."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = NETWORKS[name].make().train()
        optimizer = torch.optim.SGD(model.parameters(), 1e-2)
        for _ in range(STEPS):
            y = values(model(torch.randn(BATCH, *NETWORKS[name].shape)))
            loss = y.square().mean() - y.mean() / 10
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def frames(name: str, count: int) -> np.ndarray:
    """Normal random frames."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn((count, *NETWORKS[name].shape), generator=generator).numpy()


def outputs(name: str, x: np.ndarray) -> np.ndarray:
    """What Brevitas itself computes."""
    with torch.no_grad():
        return values(trained(name)(torch.from_numpy(x))).numpy()


def exported(name: str, folder: Path, *, qcdq: bool = False, dynamo: bool = False) -> onnx.ModelProto:
    """The network as Brevitas writes it."""
    path, export = folder / f"{name.replace(' ', '_')}.onnx", export_onnx_qcdq if qcdq else export_qonnx
    settings = {"optimize": True} if dynamo else {"opset_version": 17}
    model = trained(name)
    export(model, torch.zeros(1, *NETWORKS[name].shape), str(path), dynamo=dynamo, **settings)
    written = onnx.load(str(path))
    return _with_final_weights(written, model) if name == "a2q" and not qcdq else written


def _with_final_weights(written: onnx.ModelProto, model: nn.Module) -> onnx.ModelProto:
    """With the weights that A2Q computes with: Brevitas 0.13.4 writes those that they are computed from."""
    x = torch.zeros(1, 16)
    final: dict[str, np.ndarray] = {}
    for name, layer in model.named_children():
        if isinstance(layer, qnn.QuantLinear):
            final[f"{name}.weight"] = layer.quant_weight(x).value.detach().numpy()
        x = layer(x)
    for tensor in written.graph.initializer:
        if tensor.name in final:
            tensor.CopyFrom(numpy_helper.from_array(final.pop(tensor.name), tensor.name))
    assert not final
    return written

# SPDX-License-Identifier: Apache-2.0
"""Export of every layer, weight kind and activation: qonnx gives torch's numbers, the file holds torch's integers."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx.numpy_helper import to_array
from tests.frontend.test_export import run_in_qonnx
from torch import nn

from gatewright.errors import ModelError
from gatewright.frontend.export import export
from gatewright.nn import (
    QuantAdd,
    QuantConcat,
    QuantConv1d,
    QuantConv2d,
    QuantIdentity,
    QuantLinear,
    QuantReLU,
    QuantUpsample,
    WeightQuant,
)
from gatewright.train import calibrate, predict

EXACT = WeightQuant(bits=3, power_of_two=True)
WEIGHTS = {
    "per-tensor": WeightQuant(bits=5, per_channel=False),
    "statistics": WeightQuant(bits=8, scale="stats"),
    "statistics-per-tensor": WeightQuant(bits=3, scale="stats", per_channel=False, power_of_two=True),
    "full-range": WeightQuant(bits=4, narrow=False, scale="stats"),
    "fixed": WeightQuant(bits=4, scale=0.11),
    "ternary": WeightQuant(bits=2, kind="ternary"),
    "ternary-statistics": WeightQuant(bits=2, kind="ternary", scale="stats", per_channel=False),
    "bipolar": WeightQuant(bits=1, kind="bipolar"),
    "bipolar-statistics": WeightQuant(bits=1, kind="bipolar", scale="stats", per_channel=False),
    "bipolar-fixed": WeightQuant(bits=1, kind="bipolar", scale=0.3),
    "a2q": WeightQuant(bits=4, kind="a2q", accumulator_bits=9),
    "a2q+": WeightQuant(bits=4, kind="a2q+", accumulator_bits=9, per_channel=False, power_of_two=True),
}


class Heads(nn.Module):
    """One linear layer for each kind of weights, on the same input."""

    def __init__(self) -> None:
        super().__init__()
        self.input = QuantIdentity(4, True, max_value=2.0)
        self.heads = nn.ModuleList(
            QuantLinear(12, 3, weight_quant=quant, input_bits=4, input_signed=True) for quant in WEIGHTS.values()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.input(x)
        return torch.cat([head(x) for head in self.heads], 1)


@pytest.mark.filterwarnings("ignore")
def test_every_kind_of_weights(tmp_path):
    torch.manual_seed(0)
    model = Heads().eval()
    x = np.random.default_rng(0).normal(size=(16, 12)).astype(np.float32)
    export(model, tmp_path / "model.onnx", torch.from_numpy(x))
    theirs, ours = run_in_qonnx(tmp_path / "model.onnx", x), predict(model, x)
    np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-5)
    graph = onnx.load(tmp_path / "model.onnx").graph
    constants = {tensor.name: to_array(tensor) for tensor in graph.initializer}
    nodes = {node.name: node for node in graph.node}
    for i, (kind, quant) in enumerate(WEIGHTS.items()):
        op_type = "BipolarQuant" if quant.kind == "bipolar" else "Quant"
        node = nodes[f"heads.{i}.weight_quantizer.{op_type}"]
        grid, scale = constants[node.input[0]], constants[node.input[1]]
        integers, _ = model.heads[i].integer_weight()
        np.testing.assert_array_equal(np.round(grid / scale), integers, err_msg=kind)
        assert scale.size == (3 if quant.per_channel and not isinstance(quant.scale, float) else 1)
        if op_type == "Quant":
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            assert attributes == {"signed": 1, "narrow": int(quant.narrow), "rounding_mode": b"ROUND"}
            assert constants[node.input[3]] == quant.bits


def quantizer(bits: int, signed: bool, **options: object) -> QuantIdentity:
    return QuantIdentity(bits, signed, power_of_two=True, **options)


class Image(nn.Module):
    """Every 2-d layer; all scales are powers of two, so that no rounding depends on the order of float sums."""

    def __init__(self) -> None:
        super().__init__()
        options = {"weight_quant": EXACT, "bias": False}
        self.input = quantizer(4, True, narrow=True)
        self.grouped = QuantConv2d(4, 8, 3, groups=2, padding=1, input_bits=4, input_signed=True, **options)
        self.relu1 = QuantReLU(4, power_of_two=True)
        self.depthwise = QuantConv2d(8, 8, 3, groups=8, padding=2, dilation=2, input_bits=4, **options)
        self.add = QuantAdd(4, power_of_two=True)
        self.pool, self.relu2 = nn.AvgPool2d(2), QuantReLU(3, power_of_two=True, learned=False)
        self.up = QuantUpsample(2)
        self.concat = QuantConcat(5, signed=True, power_of_two=True)
        self.strided = QuantConv2d(16, 6, (3, 1), stride=2, input_bits=5, input_signed=True, **options)
        self.output = quantizer(8, True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu1(self.grouped(self.input(x)))
        y = self.add(self.depthwise(x), x)
        y = self.up(self.relu2(self.pool(y)))
        return self.output(self.strided(self.concat(y, x)))


class Signal(nn.Module):
    """Every 1-d layer, with the same scales."""

    def __init__(self) -> None:
        super().__init__()
        options = {"weight_quant": EXACT, "bias": False}
        self.input = quantizer(4, True)
        self.conv = QuantConv1d(3, 8, 5, stride=2, padding=2, input_bits=4, input_signed=True, **options)
        self.relu = QuantReLU(4, power_of_two=True)
        self.depthwise = QuantConv1d(8, 8, 3, groups=8, padding=2, dilation=2, input_bits=4, **options)
        self.mean, self.greatest = nn.AvgPool1d(2), nn.MaxPool1d(2)
        self.concat = QuantConcat(4, signed=True, power_of_two=True)
        self.up, self.average = QuantUpsample(3), nn.AdaptiveAvgPool1d(1)
        self.output = quantizer(8, True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.conv(self.input(x)))
        y = self.concat(self.mean(self.depthwise(x)), self.greatest(x))
        return self.output(self.average(self.up(y)))


class Bipolar(nn.Module):
    """Bipolar weights and activations."""

    def __init__(self) -> None:
        super().__init__()
        weights = WeightQuant(bits=1, kind="bipolar", scale=0.5)
        options = {"weight_quant": weights, "input_bits": 1, "input_signed": True, "bias": False}
        self.input, self.hidden = quantizer(1, True, max_value=1.0), quantizer(1, True, max_value=1.0)
        self.conv, self.flatten = QuantConv2d(3, 5, 3, **options), nn.Flatten()
        self.linear = QuantLinear(5 * 4 * 4, 7, **options)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.flatten(self.hidden(self.conv(self.input(x)))))


OPERATORS = {
    Image: {"Quant": 11, "Conv": 3, "Add": 1, "Relu": 2, "AveragePool": 1, "Resize": 1, "Concat": 1},
    Signal: {
        **dict.fromkeys(("Relu", "AveragePool", "MaxPool", "Resize", "Concat", "GlobalAveragePool"), 1),
        "Quant": 7,
        "Conv": 2,
    },
    Bipolar: {"BipolarQuant": 4, "Conv": 1, "Reshape": 1, "Gemm": 1},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("network", "shape"), [(Image, (4, 10, 10)), (Signal, (3, 32)), (Bipolar, (3, 6, 6))])
def test_every_layer_gives_the_same_integers(network, shape, tmp_path):
    torch.manual_seed(1)
    model = network()
    x = np.random.default_rng(1).normal(size=(16, *shape)).astype(np.float32)
    calibrate(model, x)
    export(model, tmp_path / "model.onnx", torch.from_numpy(x))
    ours = predict(model, x)
    assert len(np.unique(ours)) > 10
    np.testing.assert_array_equal(run_in_qonnx(tmp_path / "model.onnx", x), ours)
    operators = [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
    assert {name: operators.count(name) for name in operators} == OPERATORS[network]


def test_upsampling_repeats_values(tmp_path):
    model = nn.Sequential(QuantIdentity(4, True, max_value=1.0), QuantUpsample(2))
    export(model, tmp_path / "model.onnx", torch.zeros(1, 2, 3, 3))
    node = next(n for n in onnx.load(tmp_path / "model.onnx").graph.node if n.op_type == "Resize")
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    expected = {"mode": b"nearest", "coordinate_transformation_mode": b"asymmetric", "nearest_mode": b"floor"}
    assert expected.items() <= attributes.items()


def test_inputs_are_checked_through_a_concatenation(tmp_path):
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.join = QuantConcat(5, max_value=1.0)
            self.conv = QuantConv1d(4, 2, 3, weight_quant=EXACT, input_bits=4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(self.join(x, x))

    with pytest.raises(
        ModelError, match=r"conv: input_bits=4, .* but join.quantizer.Quant before it gives input_bits=5"
    ):
        export(Model(), tmp_path / "model.onnx", torch.zeros(1, 2, 8))
    with pytest.raises(ModelError, match="0: Conv1d has float weights: use gatewright.nn.QuantConv1d"):
        export(nn.Sequential(nn.Conv1d(2, 2, 3)), tmp_path / "model.onnx", torch.zeros(1, 2, 8))

# SPDX-License-Identifier: Apache-2.0
"""quantize(): the same function where nothing is rounded, every type carried along, refusals by name."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from tests.nn.networks import KINDS, made
from torch import nn

from gatewright.data import Split
from gatewright.errors import ConfigError, ModelError, UnsupportedError
from gatewright.frontend.export import export
from gatewright.frontend.importer import from_onnx
from gatewright.nn import LayerRule, QuantConv2d, QuantizeConfig, QuantLinear, QuantReLU, QuantWeightMixin, quantize
from gatewright.nn.convert import convert
from gatewright.train import TrainConfig, calibrate, fit


def float_again(model: nn.Module, caps: dict[str, float]) -> nn.Module:
    """A converted model with its quantisers taken out, so that only its structure is left."""
    for name, module in list(model.named_modules()):
        if isinstance(module, QuantWeightMixin):
            module.weight_quantizer = nn.Identity()
        elif hasattr(module, "observing"):
            low = 0.0 if isinstance(module, QuantReLU) else -caps.get(name, float("inf"))
            model.set_submodule(name, nn.Hardtanh(low, caps.get(name, float("inf"))))
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_without_rounding_it_is_the_float_network(kind: str) -> None:
    model, x = made(kind)
    before = copy.deepcopy(model.state_dict())
    conversion = convert(model, QuantizeConfig())
    with torch.no_grad():
        want = model(x)
        got = float_again(conversion.model, conversion.caps)(x)
    got = torch.softmax(got, 1) if kind == "residual" else got
    torch.testing.assert_close(got, want)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_weights_are_kept(kind: str) -> None:
    model, _ = made(kind)
    state = quantize(model).state_dict()
    for key, value in model.state_dict().items():
        assert torch.equal(state[key], value)


@pytest.mark.parametrize("kind", KINDS)
def test_it_exports_with_every_type_agreed(kind: str, tmp_path) -> None:
    model, x = made(kind)
    quantised = quantize(model, QuantizeConfig(weight_bits=4, activation_bits=5, input_bits=7)).eval()
    calibrate(quantised, x.numpy())
    # The exporter refuses a layer whose input is not of the type that the layer was given.
    graph = from_onnx(export(quantised, tmp_path / "model.onnx", x))
    with torch.no_grad():
        np.testing.assert_allclose(graph.predict(x.numpy())[0], quantised(x), atol=1e-4)


def test_what_becomes_of_each_module() -> None:
    model = quantize(made("residual")[0], QuantizeConfig(weight_bits=4, activation_bits=5, accumulator_bits=16))
    layers = {n: (m.weight_quantizer.bits, m.input_bits, m.input_signed) for n, m in model.named_modules()
              if isinstance(m, QuantWeightMixin)}  # fmt: skip
    assert layers == {"conv1": (8, 8, True), "conv2": (4, 5, False), "conv3": (4, 5, False), "fc": (8, 5, False)}
    assert type(model.conv2.weight_quantizer).__name__ == "A2QPlusWeightQuant"
    assert type(model.conv1.weight_quantizer).__name__ == "SymmetricWeightQuant"
    assert not any(isinstance(m, nn.Dropout | nn.Softmax) for m in model.modules())


def test_both_sides_of_an_addition_share_a_quantiser() -> None:
    conversion = convert(made("residual")[0], QuantizeConfig())
    sides = [n for n in conversion.model.graph.nodes if n.target == "add_side"]
    (add,) = (n for n in conversion.model.graph.nodes if n.name == "add")
    assert set(add.args) == set(sides) and len(sides) == 2
    # Neither side is below zero, so nothing is lost to a sign.
    assert not conversion.model.add_side.signed
    assert conversion.notes == ("softmax: left to the host, the quantised model returns what it reads",)
    assert conversion.leading


class Shortcut(nn.Module):
    """The sum of a ReLU and of a layer without one, which has values of either sign."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        return self.second(x) + x


def test_a_sum_of_either_sign_is_signed() -> None:
    model = quantize(Shortcut())
    assert model.add_side.signed and not model.relu.signed


def test_relu6_keeps_its_limit() -> None:
    model = quantize(made("joined")[0])
    assert model.six(torch.tensor([7.0, 5.0])).tolist() == pytest.approx([6.0, 5.0], abs=6 / 255)


def test_a_rectifier_goes_in_front_of_the_max_pool() -> None:
    model = quantize(made("sequence")[0])
    targets = [str(node.target) for node in model.graph.nodes if node.op == "call_module"]
    assert targets.index("3") < targets.index("2")


def test_rules_go_over_the_rest() -> None:
    rules = (
        LayerRule("conv*", weight_bits=3),
        LayerRule("conv1", accumulator_bits=20),
        LayerRule("relu*", activation_bits=3),
    )
    model = quantize(made("residual")[0], QuantizeConfig(layers=rules))
    assert [model.get_submodule(n).weight_quantizer.bits for n in ("conv1", "conv2", "fc")] == [3, 3, 8]
    assert model.conv1.weight_quantizer.accumulator_bits == 20
    assert model.fc.input_bits == 3


def test_a_rule_that_fits_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"pattern='conv9' fits no module.*did you mean 'conv"):
        quantize(made("residual")[0], QuantizeConfig(layers=(LayerRule("conv9", weight_bits=3),)))
    with pytest.raises(ConfigError, match="pattern='conv1' fits no module that it has a setting for"):
        quantize(made("residual")[0], QuantizeConfig(layers=(LayerRule("conv1", activation_bits=3),)))


def test_first_and_last_can_be_like_the_others() -> None:
    config = QuantizeConfig(weight_bits=4, first_weight_bits=None, last_weight_bits=5)
    model = quantize(made("sequence")[0], config)
    assert [m.weight_quantizer.bits for m in model.modules() if isinstance(m, QuantWeightMixin)] == [4, 4, 5]


def test_it_can_be_trained() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(512, 12)).astype(np.float32)
    data = Split(x, (x[:, :6].sum(1) > x[:, 6:].sum(1)).astype(np.int64))
    model = quantize(nn.Sequential(nn.Linear(12, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2)),
                     QuantizeConfig(weight_bits=4, activation_bits=4, input_bits=4))  # fmt: skip
    history = fit(model, data, data, TrainConfig(epochs=6, lr=1e-2))
    assert history[-1].test_accuracy > 0.9


class Product(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.relu(x)


class Part(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :2]


class Branch(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


class Pair(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x, x


class Rows(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, x], 0)


SHARED = nn.Linear(4, 4)


def behind(*modules: nn.Module) -> nn.Module:
    """The modules behind a Linear."""
    return nn.Sequential(nn.Linear(4, 4), *modules)


@pytest.mark.parametrize(
    "model, message",
    [
        (behind(nn.GELU()), "1: GELU has no hardware: train the network with nn.ReLU"),
        (behind(nn.LayerNorm(4)), "1: LayerNorm has no hardware.*BatchNorm"),
        (behind(nn.LSTM(4, 4)), "1: LSTM has no hardware: use Linear"),
        (behind(nn.ConvTranspose2d(1, 1, 2)), "1: ConvTranspose2d has no hardware.*Upsample"),
        (behind(nn.Hardtanh(-1, 2)), r"1: a clip to \[-1, 2\] has no hardware"),
        (behind(nn.Conv2d(1, 1, 3, padding_mode="reflect")), "1: padding_mode='reflect'"),
        (behind(nn.Softmax(1), nn.Linear(4, 4)), "1: a softmax or sigmoid inside"),
        (behind(nn.Upsample(scale_factor=2, mode="bilinear")), "1: mode='bilinear'"),
        (behind(nn.ZeroPad2d(1), nn.MaxPool2d(2)), "1: padding has hardware in front"),
        (behind(nn.ConstantPad2d(1, 2.0), nn.Conv2d(1, 1, 1)), "1: padding with 2.0 has no hardware"),
        (nn.Sequential(SHARED, nn.ReLU(), SHARED), "0: Linear is called more than once"),
        (behind(Product()), "mul of two activations has no hardware"),
        (behind(Part()), "taking a part of a tensor has no hardware"),
        (behind(Rows()), "cat with dim=0 has no hardware"),
    ],
)
def test_what_has_no_hardware_is_named_with_a_remedy(model: nn.Module, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        quantize(model)


@pytest.mark.parametrize(
    "model, message",
    [
        (behind(Branch()), "cannot be traced by torch.fx"),
        (behind(Pair()), "not one computed tensor"),
        (nn.Sequential(nn.ReLU()), "no Linear or convolution"),
        (behind().double(), "0: its weights are torch.float64: give the model in float32"),
        (behind(QuantReLU(4)), "1: QuantReLU is quantised already"),
    ],
)
def test_models_that_are_none_of_ours_are_refused(model: nn.Module, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        quantize(model)


def test_the_twins() -> None:
    model = quantize(nn.Sequential(nn.Conv2d(4, 8, 3, 2, 1, groups=2, bias=False), nn.Flatten(), nn.Linear(8, 2)))
    conv, linear = model.get_submodule("0"), model.get_submodule("2")
    assert isinstance(conv, QuantConv2d) and isinstance(linear, QuantLinear)
    assert (conv.stride, conv.padding, conv.groups, conv.bias) == ((2, 2), (1, 1), 2, None)
    # A layer behind another needs a quantised input, whose values may have either sign.
    assert linear.input_signed and linear.input_bits == 8

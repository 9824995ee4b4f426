# SPDX-License-Identifier: Apache-2.0
"""Post-training quantisation: what it costs in accuracy, what each step is worth, and that hardware computes it."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gatewright.build import compile_model
from gatewright.data import DataSet, Split, digits
from gatewright.errors import ConfigError, DataError
from gatewright.frontend.export import export
from gatewright.frontend.importer import from_onnx
from gatewright.ir.op import Bounds
from gatewright.nn import LayerRule, QuantizeConfig
from gatewright.train import PtqConfig, TrainConfig, evaluate, fit, post_training_quantize
from gatewright.train.digits import DigitsNet
from gatewright.train.ptq_weights import accumulator_width

W4A4 = QuantizeConfig(weight_bits=4, activation_bits=4)


@pytest.fixture(scope="module")
def data() -> DataSet:
    return digits.load()


@pytest.fixture(scope="module")
def model(data: DataSet) -> nn.Module:
    """A float convolutional network on digits, trained for two seconds."""
    torch.manual_seed(0)
    net = DigitsNet(quantized=False)
    fit(net, data.train, data.test, TrainConfig(12, lr=5e-3))
    return net.eval()


def outputs(model: nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model(torch.from_numpy(x)).numpy()


def test_eight_bits_cost_less_than_a_point(model: nn.Module, data: DataSet) -> None:
    before = copy.deepcopy(model.state_dict())
    result = post_training_quantize(model, data.train.x)
    whole = Split(*(np.concatenate(parts) for parts in ((data.train.x, data.test.x), (data.train.y, data.test.y))))
    assert evaluate(model, data.test) > 0.97
    assert evaluate(result.model, whole) > evaluate(model, whole) - 0.01
    assert result.report.output_sqnr_after > 30
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("bits", [(4, 4), (3, 4)])
def test_bias_correction_is_worth_its_name(model: nn.Module, data: DataSet, bits: tuple[int, int]) -> None:
    config = QuantizeConfig(weight_bits=bits[0], activation_bits=bits[1])
    without = post_training_quantize(model, data.train.x, config, PtqConfig(bias_correction=False))
    with_it = post_training_quantize(model, data.train.x, config)
    assert with_it.report.output_sqnr_before == without.report.output_sqnr_after
    # 3.7 dB and 4.8 dB were measured.
    assert with_it.report.output_sqnr_after > without.report.output_sqnr_after + 1.5
    assert evaluate(with_it.model, data.test) > 0.97


def test_after_correction_no_channel_is_off_on_average(model: nn.Module, data: DataSet) -> None:
    x = data.train.x[:128]
    result = post_training_quantize(model, x, W4A4)
    want, got = outputs(model, x).mean(0), outputs(result.model, x).mean(0)
    np.testing.assert_allclose(got, want, atol=1e-4)
    for name, value in result.model.state_dict().items():
        if "running" in name:
            assert torch.equal(value, model.state_dict()[name])


def test_searched_scales_are_better_than_the_greatest_weight(model: nn.Module, data: DataSet) -> None:
    config = QuantizeConfig(weight_bits=3, activation_bits=8)
    plain = PtqConfig(weight_search=False, bias_correction=False)
    searched = PtqConfig(bias_correction=False)
    # With activations of four bits, 4.4 dB and 9.1 dB were measured.
    assert (
        post_training_quantize(model, data.train.x, config, searched).report.output_sqnr_after
        > post_training_quantize(model, data.train.x, config, plain).report.output_sqnr_after + 2
    )


@pytest.mark.parametrize("width", [10, 12])
def test_no_sum_leaves_the_accumulator(model: nn.Module, data: DataSet, width: int, tmp_path: Path) -> None:
    rules = tuple(LayerRule(name, accumulator_bits=18) for name in ("conv1", "linear"))
    config = QuantizeConfig(weight_bits=4, activation_bits=4, accumulator_bits=width, layers=rules)
    result = post_training_quantize(model, data.train.x, config)
    bounds = {"conv1": 18, "conv2": width, "conv3": width, "linear": 18}
    for row in result.report.layers:
        layer = result.model.get_submodule(row.name)
        assert row.accumulator_bits == accumulator_width(layer) <= bounds[row.name]
        weights, greatest = layer.integer_weight()[0], 2**layer.input_bits - 1
        for channel in weights.reshape(len(weights), -1).tolist():
            positive, negative = sum(w for w in channel if w > 0), sum(w for w in channel if w < 0)
            limit = 2 ** (bounds[row.name] - 1)
            assert positive * greatest <= limit - 1 and negative * greatest >= -limit
    # The bound costs accuracy, but no more than it must.
    assert evaluate(result.model, data.test) > 0.95
    graph = from_onnx(export(result.model, tmp_path / "digits.onnx", torch.from_numpy(data.test.x[:1])))
    proven = {n.name: n.op.bounds()[0] for n in graph.nodes if n.op.name() in ("conv2d", "dense")}
    for row, bound in zip(result.report.layers, proven.values(), strict=True):
        assert _bits(bound) <= row.accumulator_bits


def _bits(bound: Bounds) -> int:
    least, greatest = min(bound.lo), max(bound.hi)
    return max(greatest.bit_length(), (-least - 1).bit_length() if least < 0 else 0) + 1


def test_a_signed_input_keeps_the_accumulator_too() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(16, 8), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
    x = np.random.default_rng(0).normal(size=(64, 16)).astype(np.float32)
    config = QuantizeConfig(accumulator_bits=14, first_weight_bits=None, last_weight_bits=None)
    result = post_training_quantize(net, x, config)
    for row, signed in zip(result.report.layers, (True, True, False), strict=True):
        assert row.input_signed is signed
        layer = result.model.get_submodule(row.name)
        low, high = (-128, 127) if signed else (0, 255)
        for channel in layer.integer_weight()[0].tolist():
            assert sum(w * (high if w > 0 else low) for w in channel) <= 2**13 - 1
            assert sum(w * (low if w > 0 else high) for w in channel) >= -(2**13)


def test_qonnx_and_golden_compute_the_torch_model(model: nn.Module, data: DataSet, tmp_path: Path) -> None:
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    config = QuantizeConfig(weight_bits=4, activation_bits=4, power_of_two=True)
    quantised = post_training_quantize(model, data.train.x, config).model
    x = data.test.x[:64]
    want = outputs(quantised, x)
    path = tmp_path / "digits.onnx"
    export(quantised, path, torch.from_numpy(x[:1]))
    wrapped = ModelWrapper(str(path))
    wrapped.set_tensor_shape(wrapped.graph.input[0].name, x.shape)
    wrapped = wrapped.transform(InferShapes())
    got = execute_onnx(wrapped, {wrapped.graph.input[0].name: x})[wrapped.graph.output[0].name]
    np.testing.assert_allclose(got, want, atol=1e-4)
    build = compile_model(path, "pynq-z2", output=tmp_path / "build")
    np.testing.assert_allclose(build.model_graph.predict(x)[0], want, atol=1e-4)
    np.testing.assert_array_equal(build.design_graph.predict(x)[0], build.model_graph.predict(x)[0])


def net_on_bytes() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU6(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(16, 3))


@pytest.mark.parametrize("dtype, low, high", [(np.uint8, 0, 256), (np.int8, -128, 128)])
def test_bytes_stay_as_they_are(dtype: type, low: int, high: int) -> None:
    x = np.random.default_rng(0).integers(low, high // 2, (32, 3, 8, 8)).astype(dtype)
    report = post_training_quantize(net_on_bytes(), x).report
    assert (report.activations[0].scale, report.activations[0].signed) == (1.0, dtype is np.int8)
    fewer = post_training_quantize(net_on_bytes(), x, QuantizeConfig(input_bits=6)).report
    assert fewer.activations[0].scale > 1


def test_the_sign_is_that_of_what_the_input_quantiser_reads() -> None:
    class Normalised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net_on_bytes()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net((x - 128) / 64)

    x = np.random.default_rng(0).integers(0, 256, (32, 3, 8, 8)).astype(np.uint8)
    (first, *_) = post_training_quantize(Normalised(), x).report.activations
    assert first.signed and first.range == pytest.approx(2, rel=0.05)


def test_relu6_is_not_wider_than_six() -> None:
    x = (np.random.default_rng(0).normal(size=(32, 3, 8, 8)) * 40).astype(np.float32)
    for ranges in ("mse", "percentile", "max"):
        report = post_training_quantize(net_on_bytes(), x, settings=PtqConfig(ranges=ranges)).report
        assert report.activations[1].name == "1" and report.activations[1].range == pytest.approx(6, rel=0.2)
        assert report.activations[1].range <= 6.0001 and report.activations[1].largest == 6


def test_the_report_is_json(model: nn.Module, data: DataSet) -> None:
    report = post_training_quantize(model, data.train.x, settings=PtqConfig(samples=16, batch=5)).report
    content = report.to_json()
    assert content["samples"] == 16 and len(content["layers"]) == 4
    assert content["layers"][0]["name"] == "conv1" and content["layers"][0]["sqnr_after"] > 20
    exact = nn.Sequential(nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        exact[0].weight.copy_(torch.eye(2) * 127)
    known = post_training_quantize(exact, np.array([[0, 255], [3, 7]], np.uint8)).report
    assert math.isinf(known.output_sqnr_after) and known.to_json()["output_sqnr_after"] is None


def test_it_repeats_itself(model: nn.Module, data: DataSet) -> None:
    first, second = (post_training_quantize(model, data.train.x, W4A4).model.state_dict() for _ in range(2))
    assert all(torch.equal(value, second[key]) for key, value in first.items())


BAD = np.full((2, 3, 8, 8), np.nan, np.float32)


@pytest.mark.parametrize(
    "x, message",
    [
        (np.zeros((0, 3, 8, 8), np.float32), "at least one sample"),
        (np.zeros(5, np.float32), r"shape \(5,\)"),
        (np.zeros((2, 3, 8, 8), np.int64), "the inputs are int64: give an array of float32"),
        ([[1.0]], "the inputs are list"),
        (BAD, "384 NaN or infinite"),
        (np.zeros((2, 1, 8, 8), np.float32), r"inputs of shape \(2, 1, 8, 8\) do not run in the model.*samples first"),
    ],
)
def test_unfit_inputs_are_refused(x: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        post_training_quantize(net_on_bytes(), x)


def test_a_float_model_that_overflows_is_named() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    with torch.no_grad():
        net[0].weight.fill_(3e38)
    with pytest.raises(DataError, match="^0: the float model computes NaN or infinite"):
        post_training_quantize(net, np.full((2, 2), 10, np.float32))


@pytest.mark.parametrize("settings", [{"ranges": "best"}, {"percentile": 0}, {"samples": 0}, {"batch": 1.5}])
def test_settings_are_checked(settings: dict[str, object]) -> None:
    name = next(iter(settings))
    with pytest.raises(ConfigError, match=f"{name}={settings[name]!r}"):
        PtqConfig(**settings)  # type: ignore[arg-type]


def test_an_accumulator_that_holds_no_product_is_refused(model: nn.Module, data: DataSet) -> None:
    with pytest.raises(ConfigError, match=r"conv2: accumulator_bits=8 cannot hold one product.*use at least 9"):
        post_training_quantize(model, data.train.x, QuantizeConfig(accumulator_bits=8))
    post_training_quantize(model, data.train.x, QuantizeConfig(accumulator_bits=9))

# SPDX-License-Identifier: Apache-2.0
"""Normalisation in the first layer: the formula, padding with raw zeros, and that exported equals trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from gatewright.data import DataSet, Split
from gatewright.errors import ConfigError, ModelError
from gatewright.frontend.export import export
from gatewright.frontend.importer import import_model
from gatewright.nn import QuantConv2d, WeightQuant
from gatewright.train import TrainConfig, fit, predict
from gatewright.train.normalize import FirstLayer, ep_init_all, fold_normalization
from gatewright.train.recipe import parse_recipe
from gatewright.train.run import make_models

MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)


def pixels(count: int = 8, size: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, size, size), generator=generator).float()


def channel(values: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(values).view(1, -1, 1, 1)


@pytest.mark.parametrize("bias", [False, True])
def test_padding_is_raw_zero_and_everything_else_the_formula(bias: bool) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(3, 5, 3, padding=1, bias=bias)
    weight, offset = plain.weight.detach().clone(), 0 if plain.bias is None else plain.bias.detach().clone()
    first = FirstLayer(plain, MEAN, STD, 255.0)
    # Raw zeros around the image, normalised with it: what hardware pads with is pixel 0.
    normalised = (functional.pad(pixels(), [1] * 4) / 255 - channel(MEAN)) / channel(STD)
    expected = functional.conv2d(normalised, weight) + torch.as_tensor(offset).view(
        -1, *[1] * bool(bias), *[1] * bool(bias)
    )
    torch.testing.assert_close(first(pixels()), expected, rtol=1e-4, atol=1e-4)
    mean_padded = functional.conv2d((pixels() / 255 - channel(MEAN)) / channel(STD), weight, padding=1)
    assert (first(pixels()) - mean_padded).abs().amax() > 0.1


def test_a_linear_layer_on_flattened_images() -> None:
    torch.manual_seed(0)
    plain = nn.Linear(3 * 36, 4)
    weight, bias = plain.weight.detach().clone(), plain.bias.detach().clone()
    first = FirstLayer(plain, MEAN, STD, 255.0)
    expected = functional.linear(((pixels() / 255 - channel(MEAN)) / channel(STD)).flatten(1), weight, bias)
    torch.testing.assert_close(first(pixels().flatten(1)), expected, rtol=1e-4, atol=1e-4)


def test_the_weights_trained_are_those_of_normalised_pixels() -> None:
    plain = nn.Conv2d(3, 5, 3, bias=False)
    first = FirstLayer(plain, MEAN, STD, 255.0)
    (trained,) = [p for p in first.parameters() if p.dim() == 4]
    assert 0.05 < trained.abs().max() < 1  # not divided by 255


@pytest.mark.parametrize(
    ("layer", "mean", "std", "error", "message"),
    [
        (nn.Conv2d(3, 2, 3), (0.5, 0.5), (1.0,), ConfigError, "mean has 2 values, where the first layer has 3 inputs"),
        (nn.Linear(7, 2), (0.5,), (1.0, 1.0, 1.0), ConfigError, "std has 3 values, where the first layer has 7 inputs"),
        (nn.Conv2d(3, 2, 3), (0.5,), (0.0,), ConfigError, r"std=\(0.0,\) must be above 0"),
        (nn.Conv1d(3, 2, 3), (0.5,), (1.0,), ModelError, "the first layer is a Conv1d"),
    ],
)
def test_what_does_not_fit_is_refused(layer, mean, std, error, message) -> None:
    with pytest.raises(error, match=message):
        FirstLayer(layer, mean, std, 255.0)


def test_ep_init_bounds_the_first_layer_too() -> None:
    torch.manual_seed(0)
    quant = WeightQuant(bits=8, kind="a2q", accumulator_bits=14)
    layer = QuantConv2d(3, 5, 3, weight_quant=quant, input_bits=8)
    first = FirstLayer(layer, MEAN, STD, 255.0)
    quantizer = layer.weight_quantizer

    def norms() -> torch.Tensor:
        return ((layer.weight / first.divisor).flatten(1).abs().sum(1) / quantizer.scale()).detach()

    before = layer.weight.detach().clone()
    assert (norms() > quantizer.cap()).all()
    ep_init_all(nn.Sequential(first))
    assert (norms() <= quantizer.cap() * 1.0001).all()
    assert (layer.weight.abs() <= before.abs() * 1.0001).all()


@pytest.fixture(scope="module")
def data() -> DataSet:
    """Colour images of three classes, told apart by their brightest channel."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 240)
    images = rng.integers(0, 160, (240, 3, 8, 8))
    images[np.arange(240), labels] += 95
    split = Split(images.astype(np.uint8), labels.astype(np.int64))
    return DataSet(split[:180], split[180:])


@pytest.mark.parametrize("model", [{"name": "vgg", "stages": [[6], [6]], "dense": []}, {"name": "mlp", "dense": [12]}])
def test_exported_on_raw_pixels_equals_trained(data: DataSet, model: dict[str, object], tmp_path: Path) -> None:
    tables = {
        "data": {"name": "none", "mean": list(MEAN), "std": list(STD)},
        "model": model,
        "quant": {"weight_bits": 3, "activation_bits": 3, "first_weight_bits": 4},
    }
    _, trained = make_models(parse_recipe(tables), data)
    history = fit(trained, data.train, data.test, TrainConfig(epochs=6, lr=1e-2, batch=30))
    assert history[-1].test_accuracy > 0.8
    folded = fold_normalization(trained)
    assert not any(isinstance(module, FirstLayer) for module in folded.modules())
    np.testing.assert_array_equal(predict(folded, data.test.x), predict(trained, data.test.x))

    export(folded, tmp_path / "m.onnx", torch.from_numpy(data.test.x[:1]).float())
    graph = import_model(tmp_path / "m.onnx")
    (item,) = graph.inputs
    assert (item.tensor.lo, item.tensor.hi, item.tensor.scale, item.steps) == (0, 255, 1.0, ())
    np.testing.assert_array_equal(graph.quantize(data.test.x)[0], np.moveaxis(data.test.x, 1, -1))
    outputs = graph.predict(data.test.x)[0]
    # Float32 in torch, exact integers here: sums of up to 200 terms differ in the last digits.
    np.testing.assert_allclose(outputs, predict(trained, data.test.x), rtol=1e-3, atol=1e-3)

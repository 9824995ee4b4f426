# SPDX-License-Identifier: Apache-2.0
"""A network trained on real digits and quantised by onnxruntime in all its forms: golden is what the file means."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from benchmarks.real import compare, execute
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import nn

from gatewright.data import load_data
from gatewright.errors import UnsupportedError
from gatewright.frontend.importer import from_onnx

U8, S8 = QuantType.QUInt8, QuantType.QInt8
FORMS = [
    pytest.param(kind, activations, weights, each, id=f"{kind.name} {activations.name} {weights.name} {each}")
    for kind in (QuantFormat.QDQ, QuantFormat.QOperator)
    for activations, weights in ((U8, S8), (S8, S8), (U8, U8))
    for each in (False, True)
]


class Network(nn.Module):
    """A residual sum, a concatenation, pools and a matrix product."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.third, self.scores = nn.Conv2d(16, 12, 3, stride=2), nn.Linear(12, 10)
        self.pool, self.mean = nn.MaxPool2d(2, 1), nn.AdaptiveAvgPool2d(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x).relu()
        x = torch.cat([(x + self.second(x)).relu(), x], 1)
        return self.scores(self.mean(self.third(self.pool(x)).relu()).flatten(1))


class Digits(CalibrationDataReader):
    """Some training images, one by one."""

    def __init__(self) -> None:
        self.rows: Iterator[np.ndarray] = iter(load_data("digits").train.x[:64, None])

    def get_next(self) -> dict[str, np.ndarray] | None:
        x = next(self.rows, None)
        return None if x is None else {"x": x}


@cache
def float_model() -> bytes:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        data, model, file = load_data("digits").train, Network(), io.BytesIO()
        x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        for step in range(60):
            some = slice(step * 128 % 1280, step * 128 % 1280 + 128)
            loss = nn.functional.cross_entropy(model(x[some]), y[some])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's older exporter says that it is
        torch.onnx.export(
            model.eval(), (torch.zeros(1, 1, 8, 8),), file, dynamo=False, opset_version=17, input_names=["x"],
            output_names=["scores"], dynamic_axes={"x": {0: "batch"}, "scores": {0: "batch"}},
        )  # fmt: skip
    return file.getvalue()


def quantised(folder: Path, kind: QuantFormat, activations: QuantType, weights: QuantType, per_channel: bool,
              **options: bool) -> onnx.ModelProto:  # fmt: skip
    source, target = folder / "float.onnx", folder / "quantised.onnx"
    source.write_bytes(float_model())
    logging.disable(logging.WARNING)  # it recommends preprocessing
    try:
        quantize_static(
            str(source), str(target), Digits(), quant_format=kind, activation_type=activations, weight_type=weights,
            per_channel=per_channel, extra_options=options,
        )  # fmt: skip
    finally:
        logging.disable(logging.NOTSET)
    return onnx.load(str(target))


def agrees(model: onnx.ModelProto) -> None:
    """Golden against onnxruntime's own execution on all test images: float32 ties aside, and few."""
    data = load_data("digits").test
    golden, theirs = compare.predict(from_onnx(model), data.x), execute.run(model, data.x)
    found = compare.difference(golden, theirs, 1e-5)
    assert found.frames_differing <= 0.02 * found.frames, found
    assert found.largest <= 0.05 * np.abs(theirs).max(), found
    right = [float((y.argmax(axis=1) == data.y).mean()) for y in (golden, theirs)]
    assert min(right) > 0.5
    assert right[0] == pytest.approx(right[1], abs=0.003)


@pytest.mark.parametrize(("kind", "activations", "weights", "per_channel"), FORMS)
def test_every_form(kind: QuantFormat, activations: QuantType, weights: QuantType, per_channel: bool,
                    tmp_path: Path) -> None:  # fmt: skip
    agrees(quantised(tmp_path, kind, activations, weights, per_channel))


def test_symmetric_activations(tmp_path: Path) -> None:
    agrees(quantised(tmp_path, QuantFormat.QDQ, S8, S8, True, ActivationSymmetric=True))


def test_a_relu_that_no_quantiser_follows_is_named(tmp_path: Path) -> None:
    """With symmetric activations onnxruntime leaves the pool behind a ReLU in float."""
    model = quantised(tmp_path, QuantFormat.QOperator, S8, S8, True, ActivationSymmetric=True)
    with pytest.raises(
        UnsupportedError, match=r"GlobalAveragePool reads .* after float steps \(relu\) .* put a Quant node"
    ):
        from_onnx(model)


def test_qdq_is_the_definition_exactly(tmp_path: Path) -> None:
    model = quantised(tmp_path, QuantFormat.QDQ, U8, S8, True)
    assert compare.against_definition(model, load_data("digits").test.x[:40]).differing == 0

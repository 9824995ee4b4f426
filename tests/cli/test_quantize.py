# SPDX-License-Identifier: Apache-2.0
"""gatewright quantize: from a float model to a QONNX file that compiles; bad input writes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from click.testing import Result
from tests.models import Builder
from typer.testing import CliRunner

from gatewright.cli import app
from gatewright.frontend.importer import import_model

SHAPE = (1, 6, 6)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["quantize", *map(str, arguments)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float network that tells bright left halves from bright right ones, images as bytes, and their classes."""
    folder = tmp_path_factory.mktemp("float")
    rng = np.random.default_rng(0)
    b = Builder(SHAPE, expand=True)
    x = b.node("Conv", "x", b.constant(rng.uniform(0, 0.01, (4, 1, 3, 3))), pads=[1, 1, 1, 1])
    x = b.node("MaxPool", b.node("Relu", x), kernel_shape=[2, 2], strides=[2, 2])
    side = np.tile([1.0, 0.0, -1.0], 12)
    x = b.node("MatMul", b.node("Flatten", x), b.constant(np.stack([side, -side], 1)))
    b.save(folder / "net.onnx", b.node("Softmax", x))
    images = rng.integers(0, 100, (80, *SHAPE))
    classes = rng.integers(0, 2, 80)
    images[classes == 0, ..., :3] += 120
    images[classes == 1, ..., 3:] += 120
    np.save(folder / "x.npy", images.astype(np.uint8))
    np.save(folder / "y.npy", classes)
    return folder


def test_json_says_all_and_the_file_compiles(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "made" / "net.onnx"
    given = ["--data", folder / "x.npy", "--labels", folder / "y.npy", "--samples", 30]
    done = run(folder / "net.onnx", *given, "-o", target, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["model"] == str(target)
    assert [(row["weight_bits"], row["input_bits"], row["input_signed"]) for row in result["layers"]] == [
        (8, 8, False)
    ] * 2
    assert result["accuracy"]["samples"] == 50 and not result["accuracy"]["calibrated_on_them"]
    assert result["accuracy"]["float"] > 0.95 and result["accuracy"]["quantized"] > result["accuracy"]["float"] - 0.03
    assert result["activations"][0]["scale"] == 1.0
    assert "left to the host" in result["notes"][0]
    graph = import_model(target)
    x, y = np.load(folder / "x.npy")[30:], np.load(folder / "y.npy")[30:]
    session = onnxruntime.InferenceSession(folder / "net.onnx", providers=["CPUExecutionProvider"])
    scores = session.run(None, {"x": x.astype(np.float32)})[0]
    assert float((scores.argmax(1) == y).mean()) == result["accuracy"]["float"]
    golden = graph.predict(x.astype(np.float32))[0]
    assert float((golden.argmax(1) == y).mean()) == result["accuracy"]["quantized"]


def test_a_table_of_a_python_model_with_settings_from_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_net.py").write_text(
        "from torch import manual_seed, nn\n"
        "def trained():\n"
        "    manual_seed(0)\n"
        "    return nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2))\n"
    )
    (tmp_path / "widths.toml").write_text("weight_bits = 5\nactivation_bits = 6\n")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(20, 5)))
    monkeypatch.chdir(tmp_path)
    done = run("own_net:trained", "--data", "x.npy", "--config", "widths.toml", "--weight-bits", 3)
    assert done.exit_code == 0, done.output
    row = next(line for line in done.stdout.splitlines() if line.startswith("│ 2 "))
    assert "3 bits" in row and "6 bits" in row
    assert (tmp_path / "trained_quantized.onnx").is_file()
    assert "accuracy" not in done.stdout


def test_accuracy_says_when_it_saw_the_data_before(folder: Path, tmp_path: Path) -> None:
    done = run(
        folder / "net.onnx", "--data", folder / "x.npy", "--labels", folder / "y.npy", "-o", tmp_path / "net.onnx"
    )
    assert done.exit_code == 0, done.output
    assert "(80 the calibration samples themselves)" in done.stdout


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["{f}/none.onnx", "--data", "{f}/x.npy"], "none.onnx: no such file"),
        (["{f}/net.onnx", "--data", "{f}/none.npy"], "none.npy: not a readable array file"),
        (
            ["{f}/net.onnx", "--data", "{f}/flat.npy"],
            r"flat.npy has shape (80, 36), but the model takes (samples, 1, 6, 6)",
        ),
        (["{f}/net.onnx", "--data", "{f}/long.npy"], "long.npy holds int64: save float32, float64, uint8 or int8"),
        (["{f}/net.onnx", "--data", "{f}/x.npy", "--labels", "{f}/few.npy"], "one integer class for each of the 80"),
        (["{f}/net.onnx", "--data", "{f}/x.npy", "--labels", "{f}/far.npy"], "the labels go from 0 to 7"),
        (["{f}/net.onnx", "--data", "{f}/x.npy", "--weight-bits", "9"], "bits=9 is no weight width"),
        (["{f}/net.onnx", "--data", "{f}/x.npy", "--config", "{f}/bad.toml"], "bad.toml: unknown setting 'bits'"),
        (["{f}/net.onnx", "--data", "{f}/x.npy", "--ranges", "best"], "ranges='best'"),
        (["{f}/erf.onnx", "--data", "{f}/x.npy"], "erf_1: Erf: no hardware"),
        (["math:pi", "--data", "{f}/x.npy"], "math:pi returned a float"),
        (["no_such_module:net", "--data", "{f}/x.npy"], "No module named 'no_such_module'"),
        (["net", "--data", "{f}/x.npy"], "model 'net' is neither an .onnx file nor MODULE:FUNCTION"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    folder: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    np.save(folder / "flat.npy", np.load(folder / "x.npy").reshape(80, 36))
    np.save(folder / "long.npy", np.load(folder / "x.npy").astype(np.int64))
    np.save(folder / "few.npy", np.zeros(3, np.int64))
    np.save(folder / "far.npy", np.arange(80) % 8)
    (folder / "bad.toml").write_text("bits = 4")
    b = Builder(SHAPE, expand=True)
    b.save(folder / "erf.onnx", b.node("Erf", "x"))
    target = tmp_path / "made.onnx"
    done = run(*(a.format(f=folder) for a in arguments), "-o", target)
    assert done.exit_code == 1
    assert message in " ".join(done.stderr.split())
    assert not target.exists()


def test_the_float_model_is_not_overwritten(folder: Path) -> None:
    before = (folder / "net.onnx").read_bytes()
    done = run(folder / "net.onnx", "--data", folder / "x.npy", "-o", folder / "net.onnx")
    assert done.exit_code == 1 and "is the float model itself" in done.stderr
    assert (folder / "net.onnx").read_bytes() == before

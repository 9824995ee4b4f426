# SPDX-License-Identifier: Apache-2.0
"""`gatewright train` and `gatewright data`: what they write and print, and their exit status."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from gatewright.build import compile_model
from gatewright.cli import app
from gatewright.data import data_sets, load_data
from gatewright.verify.check import check

TOML = """
[data]
name = "digits"
mean = [0.3]
std = [0.37]
train_samples = 400
test_samples = 50
[model]
name = "mlp"
dense = [16]
[quant]
weight_bits = 3
activation_bits = 3
[train]
float_epochs = 2
epochs = 2
lr = 0.01
schedule = "constant"
[export]
samples = 30
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "small.toml"
    path.write_text(TOML)
    return path


@pytest.fixture(scope="module")
def trained(recipe: Path) -> Path:
    folder = recipe.parent / "out"
    result = run("train", str(recipe), "-o", str(folder))
    assert result.exit_code == 0, result.output
    assert f"gatewright compile {folder / 'model.onnx'} --board BOARD" in result.stdout
    assert "training the quantised network" in result.stderr
    return folder


def test_the_folder_holds_what_the_next_steps_need(trained: Path) -> None:
    names = {p.name for p in trained.iterdir()}
    assert names == {
        "best.pt", "last.pt", "data", "log.csv", "model.onnx", "recipe.toml", "result.json", "tensorboard",
    }  # fmt: skip
    assert (trained / "recipe.toml").read_text() == TOML
    arrays = {path.stem: np.load(path) for path in (trained / "data").iterdir()}
    assert {name: array.shape for name, array in arrays.items()} == {
        "inputs": (30, 1, 8, 8), "labels": (30,), "float": (30, 10), "qat": (30, 10),
    }  # fmt: skip
    np.testing.assert_array_equal(arrays["inputs"], load_data("digits").test.x[:30])


def test_compiled_it_is_checked_on_the_images_stored_with_it(trained: Path, tmp_path: Path) -> None:
    build = compile_model(trained / "model.onnx", "pynq-z2", fps=1000, output=tmp_path / "build")
    results = {result.name: result for result in check(build.directory, stages=["float", "qat", "golden"])}
    assert [r.status for r in results.values()] == ["ok"] * 3
    assert results["golden"].frames == results["golden"].exact == 30
    assert results["golden"].accuracy == results["qat"].accuracy
    assert results["golden"].max_float_error < 1e-3
    # Trained again, compiled into the same folder: the new images and outputs come along.
    np.save(trained / "data" / "labels.npy", np.zeros(30, np.int64))
    compile_model(trained / "model.onnx", "pynq-z2", fps=1000, output=tmp_path / "build")
    assert not np.load(build.data / "labels.npy").any()


def test_json_and_resume(recipe: Path, tmp_path: Path) -> None:
    first = run("train", str(recipe), "-o", str(tmp_path), "--epochs", "1", "--json", "--device", "cpu")
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout)["epochs"] == 1
    again = run("train", str(recipe), "-o", str(tmp_path))
    assert again.exit_code == 1
    assert "error: " in again.stderr
    assert "give --resume, or another folder" in again.stderr
    resumed = run("train", str(recipe), "-o", str(tmp_path), "--resume", "--json")
    result = json.loads(resumed.stdout)
    assert (result["epochs"], result["test_images"]) == (2, 50)
    assert json.loads((tmp_path / "result.json").read_text()) == result
    copied = run("train", str(tmp_path / "recipe.toml"), "-o", str(tmp_path), "--resume")
    assert copied.exit_code == 0, copied.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no_such_recipe"], "no_such_recipe: no such file or recipe"),
        (["RECIPE", "--epochs", "0"], "epochs=0 must be at least 1"),
        (["RECIPE", "--device", "tpu"], "device='tpu' is unknown: use one of auto, cpu, cuda"),
    ],
)
def test_wrong_use_is_one_line(recipe: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    given = [str(recipe) if argument == "RECIPE" else argument for argument in arguments]
    result = run("train", *given, "-o", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_data_sets_are_listed_and_fetched() -> None:
    assert run("data").stdout.split() == list(data_sets())
    assert json.loads(run("data", "--json").stdout) == list(data_sets())
    assert json.loads(run("data", "digits", "--json").stdout) == {"name": "digits", "folder": None}
    assert "part of an installed package, nothing to fetch" in run("data", "digits").stdout
    unknown = run("data", "fashion-minst")
    assert unknown.exit_code == 1
    assert "did you mean 'fashion_mnist'" in unknown.stderr

# SPDX-License-Identifier: Apache-2.0
"""Several inputs and outputs, what is left to the host, and labels from the hardware, through the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from tests.models import Builder, frames, small_network
from typer.testing import CliRunner, Result

from gatewright.build import Build
from gatewright.cli import app


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def two_inputs(path: Path) -> Path:
    """Scores, their softmax and the best two of two inputs whose names no file could have."""
    b = Builder((6,))
    b.inputs[0].name = "serving/x:0"
    other = b.input("serving/y:0", (6,))
    y = b.quant(b.node("Add", b.quant("serving/x:0", 0.25, 4), b.quant(other, 0.25, 4)), 0.5, 4)
    y = b.node("MatMul", y, b.weight(np.random.default_rng(0).integers(-7, 8, (6, 5)), 0.5))
    p = b.node("Softmax", y)
    b.node("TopK", p, b.constant([2], np.int64), outputs=["best", "places"])
    return b.save(path, y, p, "best", "places")


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    folder = tmp_path / "build"
    result = run("compile", two_inputs(tmp_path / "two.onnx"), "--board", "pynq-z2", "--fps", "1000", "-o", folder)
    assert result.exit_code == 0, result.stderr
    assert "left to the host: output 'softmax_1_out': softmax over axis 1\n" in result.stdout
    assert (
        "left to the host: output 'places': softmax over axis 1, positions of the top 2 over axis 1\n" in result.stdout
    )
    assert (
        "outputs 'matmul_1_out', 'softmax_1_out', 'best', 'places' leave the hardware once, as one stream"
        in result.stdout
    )
    assert sorted(p.name for p in (folder / "data").glob("*.npy")) == [
        "inputs_serving_x_0.npy", "inputs_serving_y_0.npy",
    ]  # fmt: skip
    data = {f"serving/{n}:0": frames((6,), 20, i)["x"] for i, n in enumerate("xy")}
    np.savez(tmp_path / "data.npz", **data)
    scores = Build(folder).model_graph.predict(*data.values())[0]
    np.save(tmp_path / "labels.npy", np.where(np.arange(20) < 5, scores.argmin(axis=1), scores.argmax(axis=1)))
    given = ("--data", tmp_path / "data.npz", "--labels", tmp_path / "labels.npy", "--stages", "golden", "--json")
    checked = run("check", folder, *given)
    assert checked.exit_code == 0, checked.stderr
    (golden,) = json.loads(checked.stdout)
    assert (golden["exact"], golden["accuracy"]) == (20, 0.75)
    np.savez(tmp_path / "half.npz", **{"serving/x:0": data["serving/x:0"]})
    lacking = run("check", folder, "--data", tmp_path / "half.npz")
    assert re.search(r"half.npz has no array 'serving/y:0'; the network's inputs are", lacking.stderr)

    assert run("report", folder).exit_code == 0
    page = (folder / "report.html").read_text()
    assert "<dt>left to the host</dt><dd>softmax_1_out: softmax over axis 1; best: softmax over axis 1, values" in page


def test_labels_from_the_hardware(tmp_path: Path) -> None:
    """RTL gives the class of the largest score; asking for it is another build than not."""
    b, y = small_network()
    model, folder = b.save(tmp_path / "net.onnx", b.node("Softmax", y)), tmp_path / "build"
    options = ("--board", "pynq-z2", "--fps", "1000", "-o", folder)
    assert "left to the host" in run("compile", model, *options).stdout
    x = np.load(folder / "data" / "inputs.npy")
    (scores,) = Build(folder).model_graph.predict(x)

    result = run("compile", model, *options, "--argmax")
    assert result.exit_code == 0 and "left to the host" not in result.stdout
    assert "up to date" not in result.stderr
    assert json.loads((folder / "prediction.json").read_text())["asked"]["argmax"] is True
    (labels,) = Build(folder).model_graph.predict(x)
    np.testing.assert_array_equal(labels, scores.argmax(axis=1))
    np.save(folder / "data" / "labels.npy", labels)
    checked = run("check", folder, "--stages", "golden,rtl", "--json")
    assert [(r["status"], r["exact"], r["accuracy"]) for r in json.loads(checked.stdout)] == [("ok", 8, 1.0)] * 2

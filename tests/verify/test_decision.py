# SPDX-License-Identifier: Apache-2.0
"""Which class a network decides on: from scores, their softmax, labels of its own, the best few, or one number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.models import Builder, frames

from gatewright.build import compile_model, store_data
from gatewright.errors import DataError
from gatewright.frontend.importer import from_onnx
from gatewright.ir.graph import Graph
from gatewright.verify import check
from gatewright.verify.decision import Decision, decision

CLASSES = 5


def scores(b: Builder, classes: int = CLASSES) -> str:
    weight = np.random.default_rng(0).integers(-7, 8, (6, classes))
    return b.node("MatMul", b.quant("x", 0.25, 4), b.weight(weight, 0.5))


def ints(b: Builder, *values: int) -> str:
    return b.constant(np.asarray(values), np.int64)


def made(tail: Callable[[Builder], Sequence[str]]) -> Graph:
    b = Builder((6,))
    return from_onnx(b.model(*tail(b)))


def best(b: Builder, y: str, which: int) -> str:
    outputs = ["v", "i"]
    b.node("TopK", y, ints(b, 3), outputs=outputs)
    return outputs[which]


def pixels(b: Builder) -> str:
    """A map of scores: six pixels of one channel each."""
    return b.node("Reshape", scores(b, 6), ints(b, -1, 2, 3))


CASES: dict[str, tuple[Callable[[Builder], Sequence[str]], Decision | None]] = {
    "scores": (lambda b: [scores(b)], Decision(0, 5)),
    "softmax": (lambda b: [b.node("Softmax", scores(b))], Decision(0, 5)),
    "label": (lambda b: [b.node("ArgMax", scores(b), axis=1)], Decision(0, 5, True)),
    "label of a softmax": (
        lambda b: [b.node("ArgMax", b.node("Softmax", scores(b)), axis=1, keepdims=0)], Decision(0, 5, True)
    ),
    "best three": (lambda b: [best(b, scores(b), 1)], Decision(0, 5, True)),
    "values of the best, then scores": (
        lambda b: (lambda y: [best(b, y, 0), y])(scores(b)), Decision(1, 5)
    ),
    "a map, then scores": (lambda b: [pixels(b), scores(b)], Decision(1, 5)),
    "a map": (lambda b: [pixels(b)], None),
    "labels of a map": (lambda b: [b.node("ArgMax", pixels(b), axis=1, keepdims=0)], None),
    "the least": (lambda b: [b.node("ArgMin", scores(b), axis=1)], None),
    "one number": (lambda b: [scores(b, 1)], Decision(0, 2)),
    "one probability": (lambda b: [b.node("Sigmoid", scores(b, 1))], Decision(0, 2, False, 0.5)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_which_output_decides(name: str) -> None:
    tail, wanted = CASES[name]
    assert decision(made(tail)) == wanted


def test_classes_of_frames() -> None:
    assert Decision().decide(np.array([[[0.0, 3.0]], [[2.0, 1.0]]])).tolist() == [1, 0]
    assert Decision().decide(np.array([[-0.5], [0.5]])).tolist() == [0, 1]
    assert Decision(limit=0.5).decide(np.array([[0.4], [0.6]])).tolist() == [0, 1]
    assert Decision(classes=9, labels=True).decide(np.array([[7, 2], [3, 8]])).tolist() == [7, 3]
    assert Decision().accuracy(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1, 1])) == 0.5
    assert Decision().accuracy(np.zeros((2, 2)), None) is None


def test_check_of_several_inputs_and_outputs(tmp_path: Path) -> None:
    """Two inputs by name; a feature map, a label and probabilities that leave as one stream; labels met by half."""
    b = Builder((6,))
    b.input("z", (6,))
    x = b.node("Add", b.quant("x", 0.25, 4), b.quant("z", 0.25, 4))
    x = b.quant(x, 0.5, 4)
    features = b.node("Reshape", x, ints(b, -1, 2, 3))
    y = b.node("MatMul", x, b.weight(np.random.default_rng(0).integers(-7, 8, (6, CLASSES)), 0.5))
    p = b.node("Softmax", y)
    model = b.save(tmp_path / "two.onnx", features, b.node("ArgMax", p, axis=1, keepdims=0), p)
    build = compile_model(model, "pynq-z2", fps=1e5, output=tmp_path / "build")

    data = {"x": frames((6,), 40, 1)["x"], "z": frames((6,), 40, 2)["x"]}
    label = build.model_graph.predict(data["x"], data["z"])[1]
    labels = np.where(np.arange(40) % 2, label, (label + 1) % CLASSES)
    np.savez(tmp_path / "data.npz", **data)
    results = check(build.directory, data=tmp_path / "data.npz", labels=labels, stages=["golden", "rtl"])
    assert [(r.status, r.exact, r.accuracy) for r in results] == [("ok", 40, 0.5)] * 2
    outputs = build.summary()["outputs"]
    assert [o["host"] for o in outputs] == [
        [], ["softmax over axis 1", "argmax over axis 1"], ["softmax over axis 1"],
    ]  # fmt: skip
    assert outputs[1]["stream"] == outputs[2]["stream"] != outputs[0]["stream"]
    assert len(build.structure.outputs) == 2 and build.structure.leaves == (0, 1, 1)


def test_stored_labels_of_an_argmax(tmp_path: Path) -> None:
    b = Builder((6,))
    model = b.save(tmp_path / "net.onnx", b.node("ArgMax", scores(b), axis=1, keepdims=0))
    build = compile_model(model, "pynq-z2", fps=1e5, output=tmp_path / "build")
    (x,) = (np.load(build.data / "inputs.npy"),)
    (label,) = build.model_graph.predict(x)
    store_data(build.data, labels=label, qat=label)
    golden, qat = check(build.directory, stages=["golden", "qat"])
    assert (golden.accuracy, golden.max_float_error, qat.accuracy) == (1.0, None, 1.0)
    with pytest.raises(DataError, match=r"labels: classes 0..5, where the network tells 0..4 apart"):
        check(build.directory, data=x, labels=np.arange(8) % 6)


def test_labels_where_nothing_decides(tmp_path: Path) -> None:
    b = Builder((6,))
    build = compile_model(b.save(tmp_path / "map.onnx", pixels(b)), "pynq-z2", fps=1e5, output=tmp_path / "build")
    with pytest.raises(
        DataError, match=r"labels: no output of the network \(reshape_1_out\) tells classes apart: check it without"
    ):
        check(build.directory, labels=np.zeros(8, np.int64))
    assert check(build.directory, stages=["golden"])[0].accuracy is None

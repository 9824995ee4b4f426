# SPDX-License-Identifier: Apache-2.0
"""Float ONNX models as torch modules: they compute what onnxruntime computes, or are refused by name."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from tests.models import Builder
from tests.nn.networks import KINDS, made

from gatewright.errors import ModelError, UnsupportedError
from gatewright.frontend.float_import import FloatModel, float_from_onnx, import_float
from gatewright.nn import quantize
from gatewright.nn.tracing import LAYERS

Make = Callable[[Builder, np.random.Generator], str]


def runtime(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def agree(model: onnx.ModelProto, shape: tuple[int, ...], count: int = 3) -> FloatModel:
    """The module and onnxruntime give the same numbers, on several samples at once."""
    x = np.random.default_rng(1).normal(size=(count, *shape)).astype(np.float32)
    read = float_from_onnx(model)
    assert read.shape == shape
    with torch.no_grad():
        np.testing.assert_allclose(
            read.module(torch.from_numpy(read.arrange(x))), runtime(model, x), rtol=1e-4, atol=1e-5
        )
    return read


def normal(b: Builder, rng: np.random.Generator, *shape: int) -> str:
    return b.constant(rng.normal(size=shape))


def conv(b: Builder, rng: np.random.Generator, x: str, *shape: int, bias: bool = False, **attributes: object) -> str:
    operands = [normal(b, rng, *shape)] + ([normal(b, rng, shape[0])] if bias else [])
    return b.node("Conv", x, *operands, **attributes)


def ints(b: Builder, *values: int) -> str:
    return b.constant(values, np.int64)


IMAGE, LINE, VECTOR = (3, 8, 10), (3, 12), (6,)
NODES: dict[str, tuple[tuple[int, ...], Make]] = {
    "Conv": (IMAGE, lambda b, r: conv(b, r, "x", 4, 3, 3, 3, bias=True, pads=[1, 1, 1, 1])),
    "Conv strided": (IMAGE, lambda b, r: conv(b, r, "x", 4, 3, 3, 2, strides=[2, 1], dilations=[1, 2])),
    "Conv padded at one end": (IMAGE, lambda b, r: conv(b, r, "x", 4, 3, 3, 3, strides=[2, 2], pads=[0, 0, 1, 1])),
    "Conv grouped": (IMAGE, lambda b, r: conv(b, r, "x", 6, 1, 3, 3, group=3)),
    "Conv SAME_UPPER": (IMAGE, lambda b, r: conv(b, r, "x", 4, 3, 5, 4, strides=[2, 2], auto_pad="SAME_UPPER")),
    "Conv SAME_LOWER": (IMAGE, lambda b, r: conv(b, r, "x", 4, 3, 2, 4, auto_pad="SAME_LOWER")),
    "Conv VALID": (IMAGE, lambda b, r: conv(b, r, "x", 4, 3, 3, 3, auto_pad="VALID")),
    "Conv 1-D": (LINE, lambda b, r: conv(b, r, "x", 4, 3, 5, bias=True, pads=[1, 2])),
    "Conv and Add": (IMAGE, lambda b, r: b.node("Add", conv(b, r, "x", 4, 3, 3, 3), normal(b, r, 4, 1, 1))),
    "Pad and Conv": (
        IMAGE,
        lambda b, r: conv(b, r, b.node("Pad", "x", ints(b, 0, 0, 1, 0, 0, 0, 1, 2)), 4, 3, 3, 3, pads=[0, 1, 0, 1]),
    ),
    "Gemm": (VECTOR, lambda b, r: b.node("Gemm", "x", normal(b, r, 6, 4), normal(b, r, 4), alpha=0.5, beta=2.0)),
    "Gemm transposed": (VECTOR, lambda b, r: b.node("Gemm", "x", normal(b, r, 4, 6), transB=1)),
    "MatMul and Add": (
        VECTOR,
        lambda b, r: b.node("Add", normal(b, r, 1, 4), b.node("MatMul", "x", normal(b, r, 6, 4))),
    ),
    "Add to each pixel": (IMAGE, lambda b, r: b.node("Add", conv(b, r, "x", 2, 3, 1, 1), normal(b, r, 8, 10))),
    "BatchNormalization": (
        IMAGE,
        lambda b, r: b.batch_norm("x", [1, 2, -1], [0, 1, 2], [1, 0, 1], [1, 2, 0.5], epsilon=1e-3),
    ),
    "BatchNormalization 1-D": (LINE, lambda b, r: b.batch_norm("x", [1, 2, -1], [0, 1, 2], [1, 0, 1], [1, 2, 3])),
    "Relu": (IMAGE, lambda b, r: b.node("Relu", "x")),
    "Clip": (IMAGE, lambda b, r: b.node("Clip", "x", b.constant(0.0), b.constant(0.5))),
    "Clip below": (IMAGE, lambda b, r: b.node("Clip", "x", b.constant(0.0))),
    "Clip both": (IMAGE, lambda b, r: b.node("Clip", "x", b.constant(-0.5), b.constant(0.5))),
    "MaxPool": (IMAGE, lambda b, r: b.node("MaxPool", "x", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 0])),
    "MaxPool to the end": (
        (2, 7, 9),
        lambda b, r: b.node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 1, 1]),
    ),
    "MaxPool 1-D": (LINE, lambda b, r: b.node("MaxPool", "x", kernel_shape=[3], strides=[3])),
    "AveragePool": (IMAGE, lambda b, r: b.node("AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2])),
    "AveragePool padded": (
        IMAGE,
        lambda b, r: b.node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    ),
    "AveragePool without pads": (
        IMAGE,
        lambda b, r: b.node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    ),
    "GlobalAveragePool": (IMAGE, lambda b, r: b.node("GlobalAveragePool", "x")),
    "ReduceMean": (IMAGE, lambda b, r: b.node("ReduceMean", "x", axes=[-1, 2], keepdims=0)),
    "Add": (IMAGE, lambda b, r: b.node("Add", "x", b.node("Relu", "x"))),
    "Sum": (IMAGE, lambda b, r: b.node("Sum", "x", b.node("Relu", "x"), "x")),
    "Sub from": (IMAGE, lambda b, r: b.node("Sub", normal(b, r, 3, 1, 1), "x")),
    "Mul and Div": (IMAGE, lambda b, r: b.node("Div", b.node("Mul", "x", normal(b, r, 3, 1, 1)), b.constant(4.0))),
    "Concat": (IMAGE, lambda b, r: b.node("Concat", "x", b.node("Relu", "x"), axis=-3)),
    "Flatten": (IMAGE, lambda b, r: b.node("Flatten", "x")),
    "Reshape": (IMAGE, lambda b, r: b.node("Reshape", "x", ints(b, 0, -1))),
    "Reshape to an image": (IMAGE, lambda b, r: b.node("Reshape", "x", ints(b, -1, 5, 6, 8))),
    "Reshape by a computed shape": (
        IMAGE,
        lambda b, r: b.node(
            "Reshape",
            "x",
            b.node(
                "Concat",
                b.node("Unsqueeze", b.node("Gather", b.node("Shape", "x"), b.constant(0, np.int64)), ints(b, 0)),
                ints(b, -1),
                axis=0,
            ),
        ),
    ),
    "Squeeze": ((5, 1, 1), lambda b, r: b.node("Squeeze", "x", ints(b, 2, -1))),
    "Unsqueeze": (VECTOR, lambda b, r: b.node("Unsqueeze", "x", ints(b, 1, -1))),
    "Transpose": (IMAGE, lambda b, r: b.node("Transpose", b.node("Relu", "x"), perm=[0, 2, 3, 1])),
    "Resize": (
        IMAGE,
        lambda b, r: b.node("Resize", "x", "", b.constant([1, 1, 2, 3]), mode="nearest",
                            coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    ),
    "Resize by half pixels": (
        IMAGE,
        lambda b, r: b.node("Resize", "x", "", b.constant([1, 1, 4, 2]), mode="nearest"),
    ),
    "Dropout, Identity": (IMAGE, lambda b, r: b.node("Dropout", b.node("Identity", "x"))),
    "a constant of constants": (IMAGE, lambda b, r: b.node("Mul", "x", b.node("Sqrt", b.constant(2.0)))),
}  # fmt: skip


@pytest.mark.parametrize("kind", NODES)
def test_every_node_computes_what_onnxruntime_does(kind: str) -> None:
    shape, make = NODES[kind]
    b = Builder(shape, expand=True)
    agree(b.model(make(b, np.random.default_rng(0))), shape)


def random_network(seed: int) -> tuple[onnx.ModelProto, tuple[int, ...]]:
    """A few random blocks as exporters write them, then a classifier."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 4)), 12, 10)
    b = Builder(shape, expand=True)
    x, channels = "x", shape[0]
    for _ in range(int(rng.integers(2, 5))):
        filters = int(rng.choice([2, 4, 6]))
        x = conv(b, rng, x, filters, channels, 3, 3, bias=bool(rng.integers(2)), pads=[1, 1, 1, 1])
        channels = filters
        if rng.integers(2):
            x = b.batch_norm(x, *(rng.normal(size=channels) for _ in range(3)), rng.uniform(0.5, 2, channels))
        x = b.node("Relu", x) if rng.integers(2) else b.node("Clip", x, b.constant(0.0), b.constant(6.0))
        kind = int(rng.integers(4))
        if kind == 0:
            x = b.node("Relu", b.node("Add", x, conv(b, rng, x, channels, channels, 1, 1)))
        elif kind == 1:
            x, channels = b.node("Concat", x, conv(b, rng, x, 2, channels, 1, 1), axis=1), channels + 2
        elif kind == 2:
            x = conv(b, rng, x, channels, 1, 3, 3, group=channels, pads=[1, 1, 1, 1])
    if rng.integers(2):
        x = b.node("Flatten", b.node("GlobalAveragePool", x))
        features = channels
    else:
        x, features = b.node("Reshape", b.node("Transpose", x, perm=[0, 2, 3, 1]), ints(b, 0, -1)), channels * 120
    return b.model(b.node("Gemm", x, normal(b, rng, 3, features), normal(b, rng, 3), transB=1)), shape


@pytest.mark.parametrize("seed", range(8))
def test_random_networks_compute_what_onnxruntime_does(seed: int) -> None:
    model, shape = random_network(seed)
    read = agree(model, shape)
    quantize(read.module)


@pytest.mark.parametrize("kind", KINDS)
def test_what_torch_exports_comes_back(kind: str, tmp_path: Path) -> None:
    model, x = made(kind)
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (x,), tmp_path / "model.onnx", dynamic_shapes=({0: torch.export.Dim("batch")},),
                          verbose=False)  # fmt: skip
    read = import_float(tmp_path / "model.onnx")
    with torch.no_grad():
        got, want = read.module(x), model(x)
    torch.testing.assert_close(torch.softmax(got, 1) if kind == "residual" else got, want, rtol=1e-4, atol=1e-5)
    assert bool(read.notes) is (kind == "residual")
    names = {name for name, module in read.module.named_modules() if isinstance(module, LAYERS)}
    assert names == {name for name, module in model.named_modules() if isinstance(module, LAYERS)}


def test_a_trained_model_of_another_tool() -> None:
    path = Path(str(files("qonnx"))) / "data/onnx/mnist-conv/model.onnx"
    model = onnx.load(path)
    read = import_float(path)
    x = np.random.default_rng(0).integers(0, 256, (1, *read.shape)).astype(np.float32)
    with torch.no_grad():
        np.testing.assert_allclose(read.module(torch.from_numpy(x)), runtime(model, x), rtol=1e-3, atol=0.1)
    assert [type(m).__name__ for m in read.module.children()].count("Conv2d") == 2
    quantize(read.module)


def test_a_fixed_batch_in_a_reshape_becomes_any() -> None:
    b = Builder((2, 3), batch=1, expand=True)
    read = float_from_onnx(b.model(b.node("Reshape", "x", ints(b, 1, 6))))
    assert read.module(torch.zeros(5, 2, 3)).shape == (5, 6)


def test_a_transposed_input_is_left_to_the_host() -> None:
    b, rng = Builder((8, 10, 3), expand=True), np.random.default_rng(0)
    x = b.node("Relu", conv(b, rng, b.node("Transpose", "x", perm=[0, 3, 1, 2]), 4, 3, 3, 3))
    x = b.node("Flatten", b.node("Transpose", x, perm=[0, 2, 3, 1]))
    read = agree(b.model(b.node("MatMul", x, normal(b, rng, 6 * 8 * 4, 2))), (8, 10, 3))
    assert "takes frames of shape (3, 8, 10)" in read.notes[0]
    assert read.module(torch.zeros(1, 3, 8, 10)).shape == (1, 2)


@pytest.mark.parametrize("last", ["Softmax", "LogSoftmax", "Sigmoid"])
def test_scores_at_the_end_are_left_to_the_host(last: str) -> None:
    b = Builder(VECTOR, expand=True)
    scores = b.node("MatMul", "x", normal(b, np.random.default_rng(0), 6, 4))
    read = float_from_onnx(b.model(b.node(last, scores)))
    assert f"({last}): left to the host" in read.notes[0]
    assert read.module(torch.ones(1, 6)).shape == (1, 4)


REFUSED: dict[str, tuple[tuple[int, ...], Make, str]] = {
    "unknown": (IMAGE, lambda b, r: b.node("Erf", "x"), "^erf_1: Erf: no hardware: use one of Add,"),
    "softmax inside": (IMAGE, lambda b, r: b.node("Relu", b.node("Softmax", "x")), "no hardware inside a network"),
    "product": (IMAGE, lambda b, r: b.node("Mul", "x", b.node("Relu", "x")), "of two activations has no hardware"),
    "matrix product": (
        VECTOR, lambda b, r: b.node("MatMul", "x", b.node("Transpose", "x", perm=[1, 0])), "moves the batch"),
    "sequence": (LINE, lambda b, r: b.node("MatMul", "x", normal(b, r, 12, 4)), r"frames of shape \(3, 12\)"),
    "axes": (IMAGE, lambda b, r: b.node("ReduceMean", "x", axes=[1]), r"a mean over axes \[1\] has no hardware"),
    "batch": (IMAGE, lambda b, r: b.node("Reshape", "x", ints(b, -1, 10)), r"to \[-1, 10\] from .* moves the batch"),
    "flatten": (IMAGE, lambda b, r: b.node("Flatten", "x", axis=2), "axis=2 has no hardware"),
    "division": (IMAGE, lambda b, r: b.node("Div", b.constant(1.0), "x"), "division by an activation"),
    "clip": (IMAGE, lambda b, r: b.node("Clip", "x", b.constant(1.0), b.constant(2.0)), r"a clip to \[1.0, 2.0\]"),
    "pool pads": (
        IMAGE, lambda b, r: b.node("AveragePool", "x", kernel_shape=[2, 2], pads=[0, 0, 1, 1]), "the same on both"),
    "pad": (IMAGE, lambda b, r: b.node("Relu", b.node("Pad", "x", ints(b, 0, 0, 1, 1, 0, 0, 1, 1))), "move the Pad"),
    "pad value": (
        IMAGE, lambda b, r: b.node("Pad", "x", ints(b, 0, 0, 1, 1, 0, 0, 1, 1), b.constant(1.0)), "padding with zeros"),
    "pad channels": (IMAGE, lambda b, r: b.node("Pad", "x", ints(b, 0, 1, 0, 0, 0, 0, 0, 0)), "pad the image only"),
    "resize": (
        IMAGE, lambda b, r: b.node("Resize", "x", "", b.constant([1, 1, 2, 2]), mode="linear"), "mode='linear'"),
    "resize by parts": (
        IMAGE, lambda b, r: b.node("Resize", "x", "", b.constant([1, 1, 1.5, 2]), mode="nearest"), "whole factors"),
    "transposed batch": (VECTOR, lambda b, r: b.node("Transpose", "x", perm=[1, 0]), "moves the batch"),
    "transA": (VECTOR, lambda b, r: b.node("Gemm", "x", normal(b, r, 3, 4), transA=1), "transA=1"),
    "constant shape": (
        IMAGE, lambda b, r: b.node("Clip", "x", b.constant(0.0), b.node("ReduceMax", "x")), "no hardware"),
    "quantised": (
        IMAGE, lambda b, r: b.node("QuantizeLinear", "x", b.constant(1.0), b.constant(0, np.uint8)),
        "quantised already: give it to gatewright compile"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_quantised_is_named(kind: str) -> None:
    shape, make, message = REFUSED[kind]
    b = Builder(shape, expand=True)
    with pytest.raises(UnsupportedError, match=message):
        float_from_onnx(b.model(make(b, np.random.default_rng(0))))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        import_float(tmp_path / "none.onnx")
    path = tmp_path / "damaged.onnx"
    path.write_bytes(b"\x08\x07damaged")
    with pytest.raises(ModelError, match="not a readable ONNX model"):
        import_float(path)


def test_one_input_and_one_output() -> None:
    b = Builder(VECTOR, expand=True)
    other = b.input("other", VECTOR)
    with pytest.raises(ModelError, match="2 inputs .'x', 'other'.: cut it to one"):
        float_from_onnx(b.model(b.node("Add", "x", other)))
    b = Builder(VECTOR, expand=True)
    with pytest.raises(ModelError, match="2 outputs"):
        float_from_onnx(b.model(b.node("Relu", "x"), b.node("Identity", "x")))


def test_shapes_must_be_known() -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    for shape, message in (([None, 3, "height"], "dynamic in axis 2 .height."), ([3], "has 1 axes")):
        info = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
        with pytest.raises(ModelError, match=message):
            float_from_onnx(helper.make_model(helper.make_graph([node], "g", [info], [out])))


def test_a_node_that_does_not_fit_is_named() -> None:
    b = Builder(VECTOR, expand=True)
    with pytest.raises(ModelError, match="^matmul_1: MatMul does not fit its input"):
        float_from_onnx(b.model(b.node("MatMul", "x", b.constant(np.ones((5, 2))))))
    b = Builder(VECTOR, expand=True)
    with pytest.raises(ModelError, match="^relu_1: Relu reads 'nothing'"):
        float_from_onnx(b.model(b.node("Relu", "nothing")))

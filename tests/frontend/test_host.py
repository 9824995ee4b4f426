# SPDX-License-Identifier: Apache-2.0
"""What the host computes behind the hardware gives the model's own outputs: onnxruntime's, whatever the opset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from tests.models import Builder

from gatewright.errors import ModelError
from gatewright.frontend.importer import from_onnx
from gatewright.ir.graph import Graph
from gatewright.ir.serial import load_graph, save_graph
from gatewright.verify.decision import Decision, decision

Tail = Callable[[Builder, str], str | Sequence[str]]
SHAPE = (3, 4, 5)


def ints(b: Builder, *values: int) -> str:
    return b.constant(np.asarray(values), np.int64)


def model(tail: Tail, expand: bool, opset: int = 17, images: bool = True) -> onnx.ModelProto:
    """A small convolution, or without images a matrix product, and what `tail` adds; scales are powers of two."""
    rng = np.random.default_rng(0)
    b = Builder(SHAPE if images else (8,), expand=expand)
    x = b.quant("x", 0.25, 4)
    weight = rng.integers(-7, 8, (6, 3, 1, 1) if images else (8, 10))
    y = b.node("Conv" if images else "MatMul", x, b.weight(weight, 0.0625))
    found = tail(b, y)
    made = b.model(*([found] if isinstance(found, str) else found))
    kinds = {o: onnx.TensorProto.INT64 for n in made.graph.node if n.op_type.startswith("Arg") for o in n.output}
    kinds |= {n.output[1]: onnx.TensorProto.INT64 for n in made.graph.node if n.op_type == "TopK" and len(n.output) > 1}
    for info in made.graph.output:
        info.type.tensor_type.elem_type = kinds.get(info.name, onnx.TensorProto.FLOAT)
        if info.name.startswith("int_"):
            info.type.tensor_type.elem_type = onnx.TensorProto.INT64
    made.opset_import[0].version = opset
    return made


def agree(tail: Tail, opset: int = 17, images: bool = True, exact: bool = False) -> Graph:
    """Predictions equal onnxruntime's outputs; returns the graph."""
    x = np.float32(np.random.default_rng(1).integers(-40, 41, (20, *(SHAPE if images else (8,)))) / 16)
    plain = model(tail, True, opset, images)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(plain.SerializeToString(), options, providers=["CPUExecutionProvider"])
    graph = from_onnx(model(tail, False, opset, images))
    for have, want, output in zip(graph.predict(x), session.run(None, {"x": x}), graph.outputs, strict=True):
        assert have.shape == want.shape == (len(x), *output.shape)
        assert np.issubdtype(have.dtype, np.integer) == np.issubdtype(want.dtype, np.integer)
        if exact or np.issubdtype(want.dtype, np.integer):
            np.testing.assert_array_equal(have, want)
        else:
            np.testing.assert_allclose(have, want, rtol=2e-6, atol=1e-6)
    return graph


def functions(graph: Graph) -> list[list[str]]:
    return [o.host_functions() for o in graph.outputs]


SOFT = ("Softmax", "LogSoftmax", "Hardmax")


@pytest.mark.parametrize("kind", SOFT)
@pytest.mark.parametrize("axis", [None, 1, 2, 3, -1, -3])
@pytest.mark.parametrize("opset", [11, 12, 13, 17])
def test_softmax(kind: str, axis: int | None, opset: int) -> None:
    """From opset 13 on over one axis, before over all axes from it on."""
    given = {} if axis is None else {"axis": axis}
    graph = agree(lambda b, y: b.node(kind, y, **given), opset)
    assert len(functions(graph)[0]) == 1


@pytest.mark.parametrize("kind", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("axis", [1, 2, -1])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("last", [0, 1])
def test_positions(kind: str, axis: int, keepdims: int, last: int) -> None:
    """Integers with one scale tie often, so that the first and the last of equals differ."""

    def tail(b: Builder, y: str) -> str:
        y = b.node("Clip", y, b.constant(-1.0), b.constant(0.5))
        return b.node(kind, y, axis=axis, keepdims=keepdims, select_last_index=last)

    graph = agree(tail)
    assert functions(graph) == [["clip", f"{kind.lower()} over axis {axis % 4}"]]


@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("largest", [0, 1])
def test_top_k(axis: int, largest: int) -> None:
    graph = agree(
        lambda b, y: (
            b.node("TopK", y, ints(b, 3), axis=axis, largest=largest, outputs=["values", "positions"]), "positions",
        )
    )  # fmt: skip
    which = "top" if largest else "least"
    assert functions(graph) == [[f"{w} of the {which} 3 over axis {axis % 4}"] for w in ("values", "positions")]
    assert len(graph.leaving) == 1


def per_element(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 9, (6, 4, 5)) / 4


def coded(b: Builder, x: str) -> str:
    """As onnxruntime's quantiser ends a classifier: codes of 8 bits with a zero point, and back."""
    grid = b.constant(2.0**-7), b.constant(-128, np.int8)
    return b.node("DequantizeLinear", b.node("Reshape", b.node("QuantizeLinear", x, *grid), ints(b, 0, -1)), *grid)


TAILS: dict[str, tuple[Tail, list[str]]] = {
    "relu": (lambda b, y: b.node("Relu", y), ["relu"]),
    "sigmoid": (lambda b, y: b.node("Sigmoid", b.node("Mul", y, b.constant(0.5))), ["mul", "sigmoid"]),
    "swish": (lambda b, y: b.node("Mul", y, b.node("Sigmoid", y)), ["product"]),
    "multiplied": (
        lambda b, y: b.node("Mul", y, b.constant(per_element(0))), ["mul with a constant of shape (6, 4, 5)"],
    ),
    "subtracted from": (
        lambda b, y: b.node("Sub", b.constant(per_element(1)[:, :1]), y), ["sub with a constant of shape (6, 1, 5)"],
    ),
    "divided twice": (
        lambda b, y: b.node("Relu", b.node("Div", b.node("Add", y, b.constant(per_element(2)[0])), b.constant(4.0))),
        ["add with a constant of shape (1, 4, 5)", "div", "relu"],
    ),
    "slopes": (
        lambda b, y: b.node("PRelu", y, b.constant(per_element(3))), ["prelu with a constant of shape (6, 4, 5)"],
    ),
    "divisor": (
        lambda b, y: b.node("Div", b.constant(1.0), b.node("Add", b.node("Relu", y), b.constant(1.0))),
        ["relu", "add", "over"],
    ),
    "softmax, then scaled per channel": (
        lambda b, y: b.node("Mul", b.node("Softmax", y, axis=1), b.constant(per_element(4)[:, :1, :1])),
        ["softmax over axis 1", "mul"],
    ),
    "softmax, then scaled within a channel": (
        lambda b, y: b.node("Mul", b.node("Softmax", y, axis=1), b.constant(per_element(4))),
        ["softmax over axis 1", "mul with a constant of shape (6, 4, 5)"],
    ),
    "views": (
        lambda b, y: b.node(
            "Reshape", b.node("Transpose", b.node("Softmax", y, axis=1), perm=[0, 2, 3, 1]), ints(b, 0, -1, 6)
        ),
        ["softmax over axis 1"],
    ),
    "softmax of a view": (
        lambda b, y: b.node("Softmax", b.node("Reshape", b.node("Transpose", y, perm=[0, 2, 3, 1]), ints(b, -1, 120))),
        ["softmax over axis 1"],
    ),
    "softmax twice": (
        lambda b, y: b.node("LogSoftmax", b.node("Transpose", b.node("Softmax", y, axis=2), perm=[0, 3, 1, 2]), axis=1),
        ["softmax over axis 2", "log softmax over axis 1"],
    ),
    "argmax of a softmax without its axis": (
        lambda b, y: b.node("ArgMax", b.node("Softmax", b.node("Flatten", y)), axis=1, keepdims=0),
        ["softmax over axis 1", "argmax over axis 1"],
    ),
    "squeezed": (
        lambda b, y: b.node("Squeeze", b.node("ArgMax", y, axis=1), ints(b, 1), outputs=["int_y"]),
        ["argmax over axis 1"],
    ),
    "squeezed to nothing": (
        lambda b, y: b.node("Squeeze", b.node("ArgMax", b.node("Flatten", y), axis=1), ints(b, 1), outputs=["int_y"]),
        ["argmax over axis 1"],
    ),
    "positions from one on": (
        lambda b, y: b.node("Add", b.node("ArgMax", y, axis=1), b.constant(1, np.int64), outputs=["int_y"]),
        ["argmax over axis 1", "add"],
    ),
    "positions as real numbers": (
        lambda b, y: b.node("Div", b.node("Cast", b.node("ArgMax", y, axis=1), to=1), b.constant(4.0)),
        ["argmax over axis 1", "cast to float64", "div"],
    ),
    "quantised": (
        lambda b, y: b.quant(b.node("Softmax", b.node("Mul", y, b.constant(4.0)), axis=1), 2.0**-7, 6, signed=False),
        ["softmax over axis 1", "quantised to 6 bits"],
    ),
    "quantised, then transposed": (
        lambda b, y: b.node("Transpose", b.quant(b.node("Softmax", y, axis=1), 0.125, 3), perm=[0, 2, 1, 3]),
        ["softmax over axis 1", "quantised to 3 bits"],
    ),
    "multiplied within a channel and quantised": (
        lambda b, y: b.quant(b.node("Mul", y, b.constant(per_element(5))), 0.25, 5),
        ["mul with a constant of shape (6, 4, 5)", "quantised to 5 bits"],
    ),
    "codes and back": (
        lambda b, y: coded(b, b.node("Flatten", coded(b, b.node("Softmax", y, axis=1)))),
        ["softmax over axis 1", "quantised to 8 bits", "quantised to 8 bits"],
    ),
    "rounded to zero": (
        lambda b, y: b.node("Cast", b.node("Softmax", b.node("Mul", y, b.constant(4.0))), to=7, outputs=["int_y"]),
        ["softmax over axis 3", "cast to int64"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TAILS)
def test_tails(name: str) -> None:
    tail, wanted = TAILS[name]
    assert functions(agree(tail)) == [wanted]


def test_outputs_of_one_tensor_share_it() -> None:
    """Logits, their softmax, the label and the best two: one stream, four outputs and the graph's own ones."""

    def tail(b: Builder, y: str) -> list[str]:
        p = b.node("Softmax", b.node("Add", y, b.constant(np.arange(10) / 8)))
        return [y, p, b.node("ArgMax", p, axis=1, keepdims=0), b.node("TopK", p, ints(b, 2), outputs=["v", "i"])]

    graph = agree(tail, images=False)
    assert graph.leaving == {"matmul_1_out": "matmul_1_out"}
    assert [len(f) for f in functions(graph)] == [0, 1, 2, 2]


def test_nothing_is_left_where_scale_and_offset_are_enough() -> None:
    graph = agree(lambda b, y: b.node("Add", y, b.constant(np.arange(10) / 8)), images=False)
    assert functions(graph) == [[]]


def test_saved_and_loaded(tmp_path) -> None:
    """Every function and every field of it."""
    for i, (tail, _) in enumerate(TAILS.values()):
        graph = from_onnx(model(tail, False))
        save_graph(graph, tmp_path / f"{i}.json")
        loaded = load_graph(tmp_path / f"{i}.json")
        assert loaded.digest() == graph.digest()
        x = np.random.default_rng(0).normal(size=(3, *SHAPE))
        np.testing.assert_array_equal(loaded.predict(x)[0], graph.predict(x)[0])


def pooled(b: Builder, x: str) -> str:
    """A quantiser, and what needs hardware behind it."""
    return b.node("MaxPool", b.quant(x, 0.25, 4), kernel_shape=[2, 2])


REFUSED: list[tuple[str, Tail, str]] = [
    ("softmax", lambda b, y: pooled(b, b.node("Softmax", y)),
     r"softmax_1: Softmax in the middle of a model has no hardware, and maxpool_1 \(MaxPool\) reads its result, which "
     "the host cannot compute: remove one of them, or end the model before them"),
    ("view between", lambda b, y: pooled(b, b.node("Transpose", b.node("Softmax", y), perm=[0, 1, 3, 2])),
     r"softmax_1: Softmax in the middle of a model has no hardware, and maxpool_1"),
    ("layer", lambda b, y: b.node("MaxPool", b.node("LogSoftmax", y), kernel_shape=[2, 2]),
     r"logsoftmax_1: LogSoftmax in the middle of a model has no hardware, and maxpool_1 \(MaxPool\)"),
    ("with integers", lambda b, y: b.node("Add", y, b.node("Softmax", y)),
     r"softmax_1: Softmax in the middle of a model has no hardware, and add_1 \(Add\)"),
    ("of another softmax", lambda b, y: b.node("Add", b.node("Softmax", y, axis=1), b.node("Softmax", y, axis=2)),
     r"softmax_1: Softmax in the middle of a model has no hardware, and add_1 \(Add\)"),
    ("divided positions", lambda b, y: b.node("Div", b.node("ArgMax", y, axis=1), b.constant(2, np.int64)),
     r"argmax_1: ArgMax in the middle of a model has no hardware, and div_1 \(Div\)"),
    ("over the batch", lambda b, y: b.node("ArgMax", y),
     "argmax_1: ArgMax over axis 0 mixes the frames of a batch: use axis=1 or a later one"),
    ("too many", lambda b, y: b.node("TopK", y, ints(b, 6)), r"topk_1: TopK with k=\[6\] of 5 values: use 1 to 5"),
    ("no flag", lambda b, y: b.node("ArgMax", y, axis=1, keepdims=2),
     "argmax_1: keepdims=2 is neither 0 nor 1: the file is damaged"),
    ("largest or not", lambda b, y: b.node("TopK", y, ints(b, 2), largest=-1), "topk_1: largest=-1 is neither 0 nor 1"),
    ("scaled in the middle", lambda b, y: pooled(b, b.node("Mul", y, b.constant(per_element(0)))),
     r"mul_1: constant of shape \(6, 4, 5\) varies within a channel: use one value, or one per channel"),
    ("frames from a constant", lambda b, y: b.node("Mul", y, b.constant(np.ones((2, 6, 4, 5)))),
     r"mul_1: constant of shape \(2, 6, 4, 5\) varies within a channel"),
]  # fmt: skip


@pytest.mark.parametrize(("tail", "message"), [pytest.param(t, m, id=i) for i, t, m in REFUSED])
def test_refused(tail: Tail, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        from_onnx(model(tail, False))


def test_old_top_k_has_its_k_as_an_attribute() -> None:
    made = model(lambda b, y: b.node("Identity", y), False, 9, images=False)
    made.graph.node.append(helper.make_node("TopK", ["identity_1_out"], ["v", "i"], k=2))
    made.graph.output[0].name = "i"
    x = np.random.default_rng(0).normal(size=(4, 8))
    (positions,) = from_onnx(made).predict(x)
    made.graph.output[0].name = "identity_1_out"
    (scores,) = from_onnx(made).predict(x)
    assert (scores[np.arange(4), positions[:, 0]] == scores.max(axis=1)).all()


def random_tail(b: Builder, y: str, rng: np.random.Generator) -> tuple[str, list[str]]:
    """One to five functions and views of a frame of shape (6, 4, 5), and their kinds."""
    shape, kinds = (6, 4, 5), []
    for _ in range(rng.integers(1, 6)):
        axis = int(rng.integers(1, len(shape) + 1))
        kind = str(rng.choice(["Softmax", "LogSoftmax", "TopK", "Sigmoid", "Relu", "Mul", "Sub", "Transpose", "Reshape",
                               "Hardswish", "Quant"]))  # fmt: skip
        kinds.append(kind)
        if kind in ("Softmax", "LogSoftmax"):
            y = b.node(kind, y, axis=axis)
        elif kind == "TopK":
            k = int(rng.integers(1, shape[axis - 1] + 1))
            names = [b.fresh("v"), b.fresh("i")]
            y = b.node("TopK", y, ints(b, k), axis=axis, largest=int(rng.integers(2)), outputs=names)
            shape = (*shape[: axis - 1], k, *shape[axis:])
        elif kind in ("Mul", "Sub"):
            whole = [n if rng.random() < 0.5 else 1 for n in shape]
            constant = b.constant(rng.integers(-8, 9, whole) / 4 + 0.125)
            y = b.node(kind, *((y, constant) if rng.random() < 0.5 else (constant, y)))
        elif kind == "Transpose":
            order = rng.permutation(len(shape))
            y, shape = b.node("Transpose", y, perm=[0, *(order + 1).tolist()]), tuple(shape[i] for i in order)
        elif kind == "Reshape":
            shape = (shape[0] * shape[1], *shape[2:]) if len(shape) > 1 else (1, *shape)
            y = b.node("Reshape", y, ints(b, 0, *shape))
        elif kind == "Hardswish":
            y = b.node("Mul", y, b.node("HardSigmoid", y, alpha=0.25, beta=0.5))
        elif kind == "Quant":
            y = b.node("Add", b.quant(y, 0.25, 5), b.constant(1.0))
        else:
            y = b.node(kind, y)
    return y, kinds


def test_random_tails() -> None:
    """Values that lie on a rounding tie of a quantiser, or turn over in TopK, may differ by float32: seldom."""
    seen: Counter[str] = Counter()
    x = np.float32(np.random.default_rng(1).integers(-40, 41, (20, *SHAPE)) / 16)
    for seed in range(150):
        plain = model(lambda b, y, s=seed: random_tail(b, y, np.random.default_rng(s))[0], True)
        kinds: list[str] = []

        def tail(b: Builder, y: str, s: int = seed, kinds: list[str] = kinds) -> str:
            y, found = random_tail(b, y, np.random.default_rng(s))
            kinds += found
            return y

        graph = from_onnx(model(tail, False))
        session = onnxruntime.InferenceSession(plain.SerializeToString(), providers=["CPUExecutionProvider"])
        (want,), (have,) = session.run(None, {"x": x}), graph.predict(x)
        assert have.shape == want.shape, kinds
        close = np.isclose(have, want, rtol=1e-5, atol=1e-5)
        assert close.mean() > (0.995 if "Quant" in kinds else 1 - 1e-9), (seed, kinds)
        seen.update(kinds)
    assert len(seen) == 11 and min(seen.values()) >= 20


# --- labels from the hardware -----------------------------------------------------------------------------------------


def biased(b: Builder, y: str) -> str:
    return b.node("Add", y, b.constant(np.arange(10) / 8))


LABELS: dict[str, Tail] = {
    "scores": lambda b, y: y,
    "softmax": lambda b, y: b.node("Softmax", biased(b, y)),
    "argmax": lambda b, y: b.node("ArgMax", biased(b, y), axis=1, keepdims=0),
    "argmax of a softmax": lambda b, y: b.node("ArgMax", b.node("LogSoftmax", biased(b, y)), axis=-1, keepdims=1),
    "squeezed": lambda b, y: b.node("Squeeze", b.node("ArgMax", biased(b, y), axis=1), ints(b, 1)),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_from_the_hardware(name: str) -> None:
    """The same labels as without, as integers, and nothing is left to the host."""
    x = np.random.default_rng(0).normal(size=(50, 8)) * 2
    (want,) = from_onnx(model(LABELS[name], False, images=False)).predict(x)
    graph = from_onnx(model(LABELS[name], False, images=False), argmax=True)
    (have,) = graph.predict(x)
    assert have.dtype == np.int64 and functions(graph) == [[]] and graph.outputs[0].positions
    if np.issubdtype(want.dtype, np.integer):
        np.testing.assert_array_equal(have, want)
    else:
        np.testing.assert_array_equal(have, want.argmax(axis=1))
    assert decision(graph) == Decision(0, 10, True)


def test_labels_of_a_map_from_the_hardware() -> None:
    x = np.random.default_rng(0).normal(size=(20, *SHAPE)) * 2
    (want,) = from_onnx(model(lambda b, y: y, False)).predict(x)
    (have,) = from_onnx(model(lambda b, y: y, False), argmax=True).predict(x)
    np.testing.assert_array_equal(have, want.argmax(axis=1))


def test_a_softmax_over_another_axis_changes_the_order() -> None:
    """It cannot go, so the labels stand behind the host."""
    behind = "argmax=True asks for labels from the hardware, but they stand behind what the host computes"
    for axis, allowed in ((1, True), (2, False)):
        made = model(lambda b, y, a=axis: b.node("ArgMax", b.node("Softmax", y, axis=a), axis=1), False)
        if allowed:
            assert functions(from_onnx(made, argmax=True)) == [[]]
        else:
            with pytest.raises(ModelError, match=behind):
                from_onnx(made, argmax=True)


LABELS_REFUSED: list[tuple[str, Tail, str]] = [
    ("two outputs", lambda b, y: [y, b.node("Softmax", y)],
     "argmax=True for 2 outputs of which none is an ArgMax: put one into the model"),
    ("behind the host", lambda b, y: b.node("ArgMax", b.node("TopK", y, ints(b, 3), outputs=["v", "i"]), axis=1),
     "argmax=True asks for labels from the hardware, but they stand behind what the host computes"),
    ("unequal scales", lambda b, y: b.node("ArgMax", b.node("Mul", y, b.constant(np.sqrt(np.arange(1, 11)))), axis=1),
     "argmax_1: ArgMax compares channels whose scales"),
    ("float steps", lambda b, y: b.node("Relu", y),
     r"argmax of relu_1_out: ArgMax reads 'relu_1_out' after float steps \(relu\)"),
    ("one score", lambda b, y: b.node("Slice", y, ints(b, 0), ints(b, 1), ints(b, 1)),
     "has one score: compile without argmax"),
]  # fmt: skip


@pytest.mark.parametrize(("tail", "message"), [pytest.param(t, m, id=i) for i, t, m in LABELS_REFUSED])
def test_labels_from_the_hardware_refused(tail: Tail, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        from_onnx(model(tail, False, images=False), argmax=True)

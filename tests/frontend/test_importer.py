# SPDX-License-Identifier: Apache-2.0
"""Imported graphs give the integers of independent runtimes: onnxruntime, and the qonnx package."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from tests.frontend.agreement import agree, operators
from tests.models import Builder, frames, random_network, small_network

from gatewright.errors import UnsupportedError
from gatewright.frontend.importer import from_onnx, import_model
from gatewright.ir.chain import evaluate
from gatewright.ir.graph import Graph
from gatewright.ops.activation import Activation

SHAPES = [(2, 6, 5), (1, 8, 8), (3, 5, 7)]
EXACT, REAL = range(100), range(1000, 1080)
TIE = 1e-6

KINDS = {
    "Add", "BatchNormalization", "Div", "Flatten", "Gemm", "GemmT", "GlobalAveragePool", "MatMul", "Mul", "ReduceMean",
    "Relu", "Reshape", "Sub", "SubFrom", "Transpose", "conv", "dilation", "equal scales", "padded pool", "pads", "pool",
    "residual", "stride", "unequal scales",
}  # fmt: skip


def runtime(model: onnx.ModelProto, x: np.ndarray, outputs: list[str] | None = None) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(outputs, {"x": x})


def network(seed: int, exact: bool) -> tuple[Graph, Builder, list[str], set[str]]:
    """The imported graph, the same network for any runtime with its outputs, and the kinds of node in it."""
    quantised, plain = (Builder(SHAPES[seed % 3], expand=e) for e in (False, True))
    outputs, kinds = random_network(quantised, seed, exact)
    return from_onnx(quantised.model(*outputs)), plain, random_network(plain, seed, exact)[0], kinds


@pytest.mark.parametrize("seed", EXACT)
def test_equal_for_power_of_two_scales(seed: int) -> None:
    graph, plain, outputs, _ = network(seed, exact=True)
    x = frames(plain.shape, 12, seed)["x"]
    for have, want in zip(graph.predict(x), runtime(plain.model(*outputs), x), strict=True):
        assert np.array_equal(have, want)


def test_the_random_networks_hold_every_kind_of_node() -> None:
    seen = Counter(kind for seed in EXACT for kind in network(seed, exact=True)[3])
    assert set(seen) == KINDS and min(seen.values()) >= 3


def activations_of(plain: Builder, graph: Graph) -> list[str]:
    """For each quantiser of the graph that became hardware, the tensor of the plain model that holds its values.

    Both builders made the same quantisers in the same order, one as Quant, one ending in the Mul after a Clip.
    """
    clips = {n.output[0] for n in plain.nodes if n.op_type == "Clip"}
    ends = [n.output[0] for n in plain.nodes if n.op_type == "Mul" and n.input[0] in clips]
    names = [n.name for n in graph.nodes if isinstance(n.op, Activation)]
    return [ends[int(name.removeprefix("quant_")) - 1] for name in names]


def test_other_scales_differ_on_ties_only() -> None:
    """float32 may fall to the other side of a rounding boundary: only there, and seldom."""
    ties, total, compared = 0, 0, 0
    for seed in REAL:
        graph, plain, outputs, _ = network(seed, exact=False)
        nodes = [n for n in graph.nodes if isinstance(n.op, Activation)]
        tensors = activations_of(plain, graph)
        x = frames(plain.shape, 12, seed)["x"] * np.float32(0.97)
        wanted = runtime(plain.model(*outputs, *tensors), x)
        values = graph.run(*graph.quantize(x))
        same = np.ones(len(x), bool)
        for node, theirs in zip(nodes, wanted[len(outputs) :], strict=True):
            ours, (source,) = values[node.outputs[0]], (values[t] for t in node.inputs)
            theirs = np.rint(theirs.astype(np.float64) / node.op.scale).astype(np.int64)
            if theirs.ndim != ours.ndim:
                theirs = theirs.reshape(len(x), ours.shape[-1], *ours.shape[1:-1])
            theirs = np.moveaxis(theirs, 1, -1)
            if any(o.startswith("transpose") for o in node.origin):
                continue  # another layout; the outputs behind it are compared all the same
            wrong = (ours != theirs) & same.reshape(-1, *[1] * (ours.ndim - 1))
            real = evaluate(node.op.steps, source * np.asarray(node.op.source.scale)) / node.op.scale
            away = np.abs(np.abs(real - np.floor(real)) - 0.5)
            assert (away[wrong] <= TIE * np.maximum(1, np.abs(real).max())).all(), (seed, node.name)
            ties, total = ties + int(wrong.sum()), total + ours.size
            same &= ~wrong.reshape(len(x), -1).any(axis=1)
        compared += int(same.sum())
        for have, want in zip(graph.predict(x), wanted[: len(outputs)], strict=True):
            np.testing.assert_allclose(have[same], want[same], rtol=1e-4, atol=1e-4 * np.abs(want).max())
    assert compared > 0.95 * 12 * len(REAL)
    assert ties <= total * 1e-4


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(2000, 2010))
def test_equal_to_the_qonnx_package(seed: int) -> None:
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.util.cleanup import cleanup_model

    b = Builder(SHAPES[seed % 3], batch=4)
    outputs, _ = random_network(b, seed, exact=True)
    x = frames(b.shape, 4, seed)["x"]
    model = cleanup_model(ModelWrapper(b.model(*outputs)))  # renames the input
    wanted = execute_onnx(model, {model.graph.input[0].name: x})
    for have, want in zip(from_onnx(b.model(*outputs)).predict(x), wanted.values(), strict=True):
        assert np.array_equal(have, want)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("bits", [1, 2, 8])
@pytest.mark.parametrize("narrow", [False, True])
def test_weights_are_rounded_as_the_qonnx_package_does(bits: int, narrow: bool) -> None:
    """Ties, clipping, and one signed bit, which is bipolar."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    if bits == 1 and narrow:
        pytest.skip("one signed bit has no narrow range")
    b = Builder((12,), batch=3)
    x = b.quant("x", 0.25, 4)
    weight = np.linspace(-3, 3, 12 * 5).reshape(12, 5).round(2)
    y = b.node("MatMul", x, b.quant(b.constant(weight), 0.25 if bits < 8 else 0.02, bits, narrow=narrow))
    model = ModelWrapper(b.model(y))

    data = frames((12,), 3)
    (want,) = execute_onnx(model.transform(InferShapes()), dict(data)).values()
    np.testing.assert_allclose(from_onnx(b.model(y)).predict(data["x"])[0], want, rtol=1e-6, atol=1e-6)


def test_names_outputs_and_identity(tmp_path) -> None:
    b, y = small_network()
    graph = import_model(b.save(tmp_path / "my net-2.onnx", y))
    assert graph.name == "my_net_2"
    assert [o.name for o in graph.outputs] == [y]
    assert graph.digest() == import_model(tmp_path / "my net-2.onnx").digest()
    assert import_model(tmp_path / "my net-2.onnx", "other").name == "other"
    (tmp_path / "my net-2.onnx").rename(tmp_path / "2%.onnx")
    assert import_model(tmp_path / "2%.onnx").name == "n_2"
    assert import_model(tmp_path / "2%.onnx", "_my__net_-_2__").name == "my_net_2"


def test_output_named_like_its_node() -> None:
    """Node and tensor names live apart in ONNX, and together in hardware."""
    b = Builder((4,))
    x = b.quant("x", 1.0, 4)
    b.node("MatMul", x, b.weight(np.eye(4), 1.0), outputs=["matmul_1"])
    graph = from_onnx(b.model("matmul_1"))
    assert ([n.name for n in graph.nodes], [o.name for o in graph.outputs]) == (["matmul_1_2"], ["matmul_1"])


def test_one_tensor_as_two_outputs_and_as_both_addends() -> None:
    b = Builder((4,))
    x = b.quant("x", 1.0, 4)
    y = b.node("Add", x, x)
    z = b.node("Mul", y, b.constant(3.0))
    graph = from_onnx(b.model(y, z, x))
    frame = np.array([[1, -2, 3, 9]], np.float32)
    assert [o.tolist() for o in graph.predict(frame)] == [[[2, -4, 6, 14]], [[6, -12, 18, 42]], [[1, -2, 3, 7]]]
    assert [o.name for o in graph.outputs] == [y, z, x]


def test_input_read_by_two_equal_quantisers() -> None:
    b = Builder((4,))
    y = b.node("Add", b.quant("x", 1.0, 4), b.quant("x", 1.0, 4))
    assert from_onnx(b.model(y)).predict(np.array([[1, -2, 3, 9]], np.float32))[0].tolist() == [[2, -4, 6, 14]]
    b = Builder((4,))
    y = b.node("Add", b.quant("x", 1.0, 4), b.quant("x", 0.5, 4))
    with pytest.raises(UnsupportedError, match="quant_2: input 'x' is quantised in two ways.*share one quantiser"):
        from_onnx(b.model(y))


def test_two_inputs() -> None:
    b = Builder((4,))
    b.input("z", (4,))
    y = b.node("Add", b.quant("x", 1.0, 4), b.quant("z", 2.0, 4))
    graph = from_onnx(b.model(y))
    x = np.array([[1, -2, 3, 4]], np.float32)
    assert [i.name for i in graph.inputs] == ["x", "z"]
    assert graph.predict(x, x * 4)[0].tolist() == [[5, -10, 15, 18]]


def test_what_no_output_needs_is_left_out() -> None:
    b = Builder((4,))
    b.input("z", (4,))
    x = b.quant("x", 1.0, 4)
    dead = b.node("Add", x, b.quant("z", 1.0, 4))
    y = b.node("MatMul", x, b.weight(np.eye(4), 1.0))
    graph = from_onnx(b.model(y))
    assert ([n.name for n in graph.nodes], [i.name for i in graph.inputs]) == (["matmul_1"], ["x"])
    assert dead not in graph.tensors


@pytest.mark.parametrize("batch", ["batch", 1, 16])
def test_batch_does_not_matter(batch: int | str) -> None:
    b = Builder((2, 6, 5), batch=batch)
    outputs, _ = random_network(b, 7, exact=True)
    other = Builder((2, 6, 5), batch=3)
    same, _ = random_network(other, 7, exact=True)
    graph = from_onnx(b.model(*outputs))
    assert graph.digest() == from_onnx(other.model(*same)).digest()
    assert len(graph.predict(frames(b.shape, 5)["x"])[0]) == 5


def test_flatten_permutes_the_weight() -> None:
    """Channels first in the model, channels last in hardware: the matrix's columns move, the integers do not."""
    b = Builder((2, 3, 1))
    x = b.node("Flatten", b.quant("x", 1.0, 8))
    y = b.node("Gemm", x, b.weight(10 ** np.arange(6)[None] % 97, 1.0, 8), transB=1)
    graph = from_onnx(b.model(y))
    frame = np.arange(6, dtype=np.float32).reshape(1, 2, 3, 1)
    want = float((10 ** np.arange(6) % 97) @ np.arange(6))
    assert graph.predict(frame)[0].tolist() == [[want]]
    assert graph.nodes[0].op.weight.tolist() == [(10 ** np.array([0, 3, 1, 4, 2, 5]) % 97).tolist()]


def test_batch_norm_behind_a_flatten_has_the_models_channels() -> None:
    b = Builder((3, 1, 1))
    x = b.node("Conv", b.quant("x", 1.0, 4), b.weight(np.eye(3)[..., None, None], 1.0))
    x = b.batch_norm(b.node("Flatten", x), [1, 2, 4], [0, 1, 2], [0, 0, 0], [1, 1, 1], epsilon=0.0)
    assert from_onnx(b.model(x)).predict(np.ones((1, 3, 1, 1)))[0].tolist() == [[1, 3, 6]]


def test_batch_norm_over_another_axis() -> None:
    """Height equals channels here, so that counting alone would not notice."""

    def make(b: Builder) -> str:
        x = b.node("Conv", b.quant("x", 1.0, 4), b.weight(np.arange(9).reshape(3, 3, 1, 1) % 5 - 2, 1.0))
        x = b.node("Transpose", x, perm=[0, 2, 1, 3])
        return b.quant(b.batch_norm(x, [1, 2, 4], [0, 1, 2], [0, 0, 0], [1, 1, 1], epsilon=0.0), 1.0, 8)

    assert "reshape" in operators(agree(make, (3, 3, 2)))


def test_zero_padding_beyond_the_inputs_limits() -> None:
    """Zero is no value of the second layer's input, and is one of its windows."""
    b = Builder((1, 3, 3))
    x = b.node("Conv", b.quant("x", 1.0, 3), b.weight(np.ones((1, 1, 1, 1)), 1.0))
    x = b.quant(b.node("Add", x, b.constant(10.0)), 1.0, 8, signed=False)
    y = b.node("Conv", x, b.weight(np.ones((1, 1, 3, 3)), 1.0), pads=[1, 1, 1, 1])
    graph = from_onnx(b.model(y))
    assert graph.node("conv_2").op.source.lo == 6
    assert graph.predict(np.zeros((1, 1, 3, 3)))[0].ravel().tolist() == [40, 60, 40, 60, 90, 60, 40, 60, 40]


def test_residual_scales_of_a_small_ratio_are_exact() -> None:
    b = Builder((4,))
    y = b.node(
        "Add", b.quant("x", 0.75, 4), b.quant(b.node("MatMul", b.quant("x", 0.75, 4), b.weight(np.eye(4), 1.0)), 0.5, 4)
    )
    graph = from_onnx(b.model(y))
    assert math.isclose(graph.tensors[graph.outputs[0].tensor].scale, 0.25)
    x = np.array([[0.75, 1.5, -3.0, 2.25]], np.float32)
    # 0.75 lies between 0.5 and 1: a tie, to even.
    assert graph.predict(x)[0].tolist() == [[0.75 + 1.0, 3.0, -6.0, 2.25 + 2.0]]

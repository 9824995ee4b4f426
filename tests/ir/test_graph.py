# SPDX-License-Identifier: Apache-2.0
"""The graph: validation, running, the host's quantiser, views of it, identity."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.models import small_network

from gatewright.errors import ConfigError, DataError
from gatewright.frontend.importer import from_onnx
from gatewright.ir.chain import Step
from gatewright.ir.graph import Edge, Graph, GraphInput, Node, chain, flat_input, integer_output, single
from gatewright.ir.op import as_int64
from gatewright.ir.types import Tensor
from gatewright.ops.add import Add
from gatewright.ops.dense import Dense
from gatewright.ops.requant import Requant

TENSOR = Tensor((4,), 0, 15)
DENSE = Dense(TENSOR, as_int64([[1, -2, 3, 0], [0, 1, 0, -1]]))


def graph(**changes: object) -> Graph:
    """x -> double -> add(x, double) -> y."""
    double = Requant(TENSOR, as_int64([2] * 4), as_int64([0] * 4), 0, 0, 30)
    settings: dict = {
        "name": "net",
        "inputs": (flat_input("x", TENSOR),),
        "nodes": (
            Node("double", double, ("x",), ("d",)),
            Node("sum", Add(TENSOR, double.outputs[0]), ("x", "d"), ("s",)),
        ),
        "outputs": (replace(integer_output("y", Tensor((4,), 0, 45)), tensor="s"),),
    }
    return Graph(**(settings | changes))


def test_run_and_reference() -> None:
    x = np.array([[0, 1, 2, 15], [3, 3, 3, 3]])
    values = graph().run(x)
    assert list(values) == ["x", "d", "s"]
    assert values["d"].tolist() == (2 * x).tolist()
    (y,) = graph().reference(x)
    assert y.tolist() == (3 * x).tolist()
    assert graph().predict(x.astype(np.float32))[0].tolist() == (3.0 * x).tolist()


def test_no_frames() -> None:
    (y,) = graph().reference(np.zeros((0, 4), np.int64))
    assert y.shape == (0, 4)
    assert graph().dequantize(y)[0].shape == (0, 4)


def test_edges_and_nodes() -> None:
    assert list(graph().edges()) == [
        Edge("x", "double", 0),
        Edge("x", "sum", 0),
        Edge("d", "sum", 1),
        Edge("s", "y", 0),
    ]
    assert graph().node("sum").op.name() == "add"
    with pytest.raises(ConfigError, match="graph 'net' has no node 'mul'; it has double, sum"):
        graph().node("mul")
    assert graph().with_ops({"sum": replace(graph().node("sum").op, pe=2)}).node("sum").op.pe == 2
    assert str(graph()).splitlines() == [
        "node    operator  output           folding",
        "double  requant   4 uint5 [0, 30]  pe=1",
        "sum     add       4 uint6 [0, 45]  pe=1",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "my net"}, "graph name 'my net' must be an identifier: letters, digits and underscores"),
        ({"nodes": (Node("a", DENSE, ("x", "x"), ("y0",)),)}, "a: dense has 1 inputs and 1 outputs, not 2 and 1"),
        ({"nodes": (Node("a", DENSE, ("z",), ("s",)),)}, "a reads 'z', which nothing before it writes"),
        (
            {"inputs": (flat_input("x", Tensor((4,), 0, 7)),)},
            r"double expects 4 uint4 \[0, 15\] but 'x' is 4 uint3 \[0, 7\]",
        ),
        ({"nodes": (Node("a", DENSE, ("x",), ("x",)),)}, "a writes 'x', which exists already"),
        ({"nodes": ()}, "output 'y' reads 's', which nothing writes"),
        ({"inputs": (flat_input("x", TENSOR),) * 2}, "graph 'net': two inputs are named 'x': rename one"),
        (
            {"nodes": (Node("a", DENSE, ("x",), ("t",)), Node("a", DENSE, ("x",), ("s",)))},
            "graph 'net': two nodes and outputs are named 'a': rename one",
        ),
        ({"nodes": (Node("y", DENSE, ("x",), ("s",)),)}, "two nodes and outputs are named 'y'"),
        ({"outputs": (replace(integer_output("y", TENSOR), tensor="s"),) * 2}, "two nodes and outputs are named 'y'"),
    ],
)
def test_bad_graphs(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        graph(**changes)


def test_integers_are_checked() -> None:
    with pytest.raises(DataError, match=r"x: values 0\.\.16 leave the limits 0\.\.15"):
        graph().reference(np.array([[0, 16, 0, 0]]))
    with pytest.raises(DataError, match=r"2 arrays for the 1 inputs \['x'\]"):
        graph().quantize(np.zeros((1, 4)), np.zeros((1, 4)))


class TestHostQuantiser:
    # Channels first in the model, channels last in the tensor; one number a channel added before the quantiser.
    item = GraphInput(
        "x",
        Tensor((2, 1, 3), -4, 3, 0.5),
        (3, 2, 1),
        np.arange(6).reshape(3, 2, 1).transpose(1, 2, 0),
        (Step("add", (0.0, 0.5, -0.5)),),
    )

    def test_layout_steps_ties_and_clipping(self) -> None:
        frame = np.array([[[0.25], [0.75]], [[9.0], [-9.0]], [[0.5], [0.0]]])
        assert self.item.quantize(frame[None]).tolist() == [[[[0, 3, 0]], [[2, -4, -1]]]]

    def test_integers_are_numbers_too(self) -> None:
        assert self.item.quantize(np.ones((1, 3, 2, 1), np.uint8)).tolist() == [[[[2, 3, 1]], [[2, 3, 1]]]]

    @pytest.mark.parametrize(
        ("x", "message"),
        [
            (np.zeros((3, 2, 1)), r"input 'x': got shape \(3, 2, 1\), need \(frames, 3, 2, 1\)"),
            (np.zeros((1, 3, 2, 1), bool), "input 'x': got dtype bool, need floats"),
            (np.zeros((1, 3, 2, 1), np.complex64), "input 'x': got dtype complex64, need floats"),
            (np.full((1, 3, 2, 1), "a"), "input 'x': got dtype <U1, need floats"),
            (np.full((1, 3, 2, 1), np.nan), "input 'x': holds NaN or infinite values; remove them"),
            (np.full((1, 3, 2, 1), -np.inf), "input 'x': holds NaN or infinite values; remove them"),
        ],
    )
    def test_what_is_refused(self, x: np.ndarray, message: str) -> None:
        with pytest.raises(DataError, match=message):
            self.item.quantize(x)


def test_output_layout_scale_and_offset() -> None:
    base = integer_output("y", Tensor((2, 1, 3), -8, 7))
    index = np.arange(6).reshape(3, 2, 1).transpose(1, 2, 0)
    output = replace(
        base, frame=(3, 2, 1), index=index, scale=np.array([1.0, 2.0, 4.0]), offset=np.array([0.0, 0.5, 0.0])
    )
    y = np.array([[[[1, 2, 3]], [[4, 5, 6]]]])
    assert output.dequantize(y).tolist() == [[[[1.0], [4.0]], [[4.5], [10.5]], [[12.0], [24.0]]]]


def test_digest_tells_every_part() -> None:
    first = graph()
    assert first.digest() == graph().digest()
    assert len(first.digest()) == 64
    other = Requant(TENSOR, as_int64([2, 2, 2, 1]), as_int64([0] * 4), 0, 0, 30)
    edge = Edge("x", "sum", 0)
    variants = [
        graph(name="net2"),
        first.with_ops({"double": other}),
        first.with_ops({"sum": replace(first.node("sum").op, pe=2)}),
        replace(first, depths={edge: 7}),
        replace(first, depths={edge: 8}),
        replace(first, outputs=(replace(first.outputs[0], offset=np.ones(4)),)),
        replace(first, inputs=(replace(first.inputs[0], steps=(Step("relu"),)),)),
    ]
    assert len({g.digest() for g in (first, *variants)}) == 1 + len(variants)


PRINT_DIGEST = """
from gatewright.frontend.importer import from_onnx
from tests.models import small_network
b, y = small_network()
print(from_onnx(b.model(y)).digest())
"""


def test_digest_is_the_same_in_another_process() -> None:
    b, y = small_network()
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", PRINT_DIGEST]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == from_onnx(b.model(y)).digest()


def test_single_and_chain() -> None:
    lone = single(Add(TENSOR, TENSOR))
    assert [i.name for i in lone.inputs] == ["x0", "x1"] and [o.name for o in lone.outputs] == ["y0"]
    two = chain([Requant(TENSOR, as_int64([1] * 4), as_int64([0] * 4), 0, 0, 15), DENSE])
    assert [n.name for n in two.nodes] == ["u0_requant", "u1_dense"]
    assert two.reference(np.array([[1, 1, 1, 1]]))[0].tolist() == [[2, 0]]

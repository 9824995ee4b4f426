# SPDX-License-Identifier: Apache-2.0
"""Lowering: no composite operator is left, and the graph computes what it did."""

from __future__ import annotations

import numpy as np
import pytest
from tests.models import Builder, frames, random_network, small_network

from gatewright.errors import ProofError
from gatewright.frontend.importer import from_onnx
from gatewright.ir.chain import Step
from gatewright.ir.graph import Graph, Node, chain, single
from gatewright.ir.op import as_int64
from gatewright.ir.rewrite import replace_with_chain, rewrite_nodes
from gatewright.ir.types import Tensor
from gatewright.ops.activation import Activation
from gatewright.ops.conv2d import Conv2d
from gatewright.ops.dense import Dense
from gatewright.ops.reshape import Reshape
from gatewright.passes.lower import lower


@pytest.fixture(scope="module")
def network() -> Graph:
    b, y = small_network()
    return from_onnx(b.model(y))


def test_names_origins_and_values(network: Graph) -> None:
    lowered = lower(network)
    assert not any(n.op.composite for n in lowered.nodes)
    assert {n.name for n in network.nodes} <= {n.name for n in lowered.nodes}
    assert [n.name for n in lowered.nodes][:2] == ["conv_1_window", "conv_1"]
    assert lowered.node("conv_1_window").origin == lowered.node("conv_1").origin == ("conv_1",)
    assert lowered.node("quant_3").origin == ("batchnormalization_1", "relu_1", "quant_3")
    x = network.quantize(frames((2, 6, 6), 20)["x"])
    wide, low = network.run(*x), lowered.run(*x)
    for name in wide:
        assert np.array_equal(wide[name], low[name]), name


def test_nothing_to_do_changes_nothing(network: Graph) -> None:
    lowered = lower(network)
    assert lower(lowered).digest() == lowered.digest()
    assert rewrite_nodes(lowered, lambda node: None).digest() == lowered.digest()


@pytest.mark.parametrize("seed", range(12))
def test_random_networks(seed: int) -> None:
    b = Builder((2, 6, 5))
    outputs, _ = random_network(b, seed, exact=bool(seed % 2))
    network = from_onnx(b.model(*outputs))
    x = network.quantize(frames(b.shape, 10, seed)["x"])
    for have, want in zip(lower(network).reference(*x), network.reference(*x), strict=True):
        assert np.array_equal(have, want)


def test_chain_in_place_of_a_node() -> None:
    op = Conv2d.examples()[0]
    nodes = replace_with_chain(Node("c", op, ("x",), ("y",), ("m",)), op.lower())
    assert [(n.name, n.inputs, n.outputs, n.origin) for n in nodes] == [
        ("c_window", ("x",), ("y_window",), ("m",)),
        ("c", ("y_window",), ("y",), ("m",)),
    ]


def test_refusal_names_the_node() -> None:
    op = Activation(Tensor((1,), -(1 << 30), 1 << 30), (Step("relu"),), 1.0, -(1 << 31), (1 << 31) - 1)
    with pytest.raises(ProofError, match="u_activation: the quantiser to 1 uint31"):
        lower(single(op))


def test_a_reshape_leaves_no_node() -> None:
    tensor = Tensor((2, 3), 0, 7)
    graph = chain(
        [
            Reshape(tensor, (6,)),
            Dense(Tensor((6,), 0, 7), as_int64(np.eye(6)[::-1])),
            Reshape(Tensor((6,), 0, 7), (3, 2)),
        ]
    )
    lowered = lower(graph)
    assert [n.op.name() for n in lowered.nodes] == ["dense"]
    x = np.arange(12).reshape(2, 2, 3) % 8
    np.testing.assert_array_equal(lowered.reference(x)[0].ravel(), graph.reference(x)[0].ravel())

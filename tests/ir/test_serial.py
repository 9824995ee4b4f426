# SPDX-License-Identifier: Apache-2.0
"""Graphs on disk: a round trip of everything, byte-identical files, damaged ones refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.models import Builder, frames, random_network, small_network

from gatewright.errors import ModelError
from gatewright.frontend.importer import from_onnx
from gatewright.ir.graph import Edge, Graph, single
from gatewright.ir.op import Op, discover
from gatewright.ir.serial import load_graph, save_graph

EXAMPLES = [
    pytest.param(op, id=f"{name}{i}") for name, cls in discover().items() for i, op in enumerate(cls.examples())
]


@pytest.fixture(scope="module")
def network() -> Graph:
    b, y = small_network()
    return from_onnx(b.model(y))


@pytest.mark.parametrize("op", EXAMPLES)
def test_every_operator_comes_back(op: Op, tmp_path: Path) -> None:
    graph = single(op)
    save_graph(graph, tmp_path / "g.json")
    assert load_graph(tmp_path / "g.json").digest() == graph.digest()


def test_network_comes_back(network: Graph, tmp_path: Path) -> None:
    edge = next(iter(network.edges()))
    network = replace(network, depths={edge: 9})
    save_graph(network, tmp_path / "g.json")
    again = load_graph(tmp_path / "g.json")
    assert again.depths == {Edge(edge.tensor, edge.consumer, edge.port): 9}
    assert [n.origin for n in again.nodes] == [n.origin for n in network.nodes]
    x = frames((2, 6, 6), 5)["x"]
    assert np.array_equal(again.predict(x)[0], network.predict(x)[0])
    assert str(again) == str(network)


def test_equal_graphs_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        b = Builder((2, 6, 5))
        outputs, _ = random_network(b, 3, exact=False)
        save_graph(from_onnx(b.model(*outputs)), tmp_path / f"{name}.json")
    for suffix in (".json", ".npz"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def edit(path: Path, **changes: object) -> None:
    text = json.loads(path.read_text())
    path.write_text(json.dumps(text | changes))


def test_unknown_format_and_operator(network: Graph, tmp_path: Path) -> None:
    path = tmp_path / "g.json"
    save_graph(network, path)
    text = json.loads(path.read_text())
    edit(path, format=99)
    with pytest.raises(ModelError, match="graph format 99 is not 2: compile the model again"):
        load_graph(path)
    nodes = [dict(n) for n in text["nodes"]]
    nodes[0]["operator"] = "conv9d"
    edit(path, format=2, nodes=nodes)
    with pytest.raises(
        ModelError, match="operator 'conv9d' is not known here; known are activation, add, .*GATEWRIGHT"
    ):
        load_graph(path)


def test_missing_and_wrong_fields(network: Graph, tmp_path: Path) -> None:
    path = tmp_path / "g.json"
    with pytest.raises(ModelError, match=r"g.json: not a readable graph \(FileNotFoundError"):
        load_graph(path)
    save_graph(network, path)
    text = json.loads(path.read_text())
    for damage in (
        {"nodes": 3},
        {"inputs": []},
        {"fifos": [{}]},
        {"outputs": [{"record": "Path"}]},
        {"name": "a b"},
        {"name": 7},
    ):
        path.write_text(json.dumps(text | damage))
        with pytest.raises(ModelError, match="g.json: not a readable graph"):
            load_graph(path)
    for whole in ("", "[]", "null", '"x"', "{", "{}", "\udcff"):
        path.write_text(whole, errors="surrogateescape")
        with pytest.raises(ModelError):
            load_graph(path)


def test_cut_and_flipped_files(network: Graph, tmp_path: Path) -> None:
    """Never anything but a ModelError or a graph; both halves of the pair are damaged."""
    path = tmp_path / "g.json"
    save_graph(network, path)
    rng = np.random.default_rng(0)
    refused = 0
    for damaged in (path, path.with_suffix(".npz")):
        whole = damaged.read_bytes()
        variants = [whole[:n] for n in np.linspace(0, len(whole) - 2, 30).astype(int)]
        for position in rng.integers(0, len(whole), 60):
            variants.append(whole[:position] + bytes([int(rng.integers(256))]) + whole[position + 1 :])
        for variant in variants:
            damaged.write_bytes(variant)
            try:
                assert isinstance(load_graph(path), Graph)
            except ModelError as error:
                refused += "g.json" in str(error) or "graph format" in str(error) or "not known here" in str(error)
        damaged.write_bytes(whole)
    assert refused > 100
    assert load_graph(path).digest() == network.digest()

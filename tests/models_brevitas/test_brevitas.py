# SPDX-License-Identifier: Apache-2.0
"""Networks built and written by Brevitas: golden is what Brevitas computes, and the RTL is golden."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from benchmarks.real import execute
from tests.conformance.support import emit_bench

from gatewright.design.fifos import size_fifos
from gatewright.frontend.importer import from_onnx
from gatewright.ir.graph import Graph
from gatewright.passes.lower import lower
from gatewright.passes.prove import prove
from gatewright.sim.model import Traffic

from .networks import NETWORKS, exported, frames, outputs

# Brevitas says so of every sum with a zero point; the sums themselves are right.
pytestmark = pytest.mark.filterwarnings("ignore:Computing zero point of output accumulator:UserWarning")

FRAMES = 200
CLOSE = 1e-5
"""Of the largest output: what float32 arithmetic itself differs by. A step of a quantiser is far more."""
BATCHES = [list(NETWORKS)[i::3] for i in range(3)]


def agrees(name: str, model: onnx.ModelProto) -> Graph:
    """Golden equals Brevitas in float32, and the meaning of the file in float64 without a difference."""
    graph, x = from_onnx(model), frames(name, FRAMES)
    golden, wanted = graph.predict(x)[0], outputs(name, x)
    assert wanted.std(axis=0).min() > 0
    differing = np.abs(golden - wanted) > CLOSE * np.abs(wanted).max()
    assert differing.sum() == 0, f"{differing.sum()} of {differing.size} outputs differ from Brevitas"
    exact = execute.run_exactly(model, x[:20])
    np.testing.assert_allclose(golden[:20], exact, rtol=0, atol=1e-6 * np.abs(exact).max())
    return graph


@pytest.mark.parametrize("name", NETWORKS)
def test_qonnx_by_the_older_exporter(name: str, tmp_path: Path) -> None:
    agrees(name, exported(name, tmp_path))


@pytest.mark.parametrize("name", [n for n, network in NETWORKS.items() if network.qcdq])
def test_qcdq(name: str, tmp_path: Path) -> None:
    model = exported(name, tmp_path, qcdq=True)
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in model.graph.node}
    agrees(name, model)


@pytest.mark.parametrize("name", ["cnn", pytest.param("residual", marks=pytest.mark.slow)])
def test_qonnx_by_the_newer_exporter(name: str, tmp_path: Path) -> None:
    agrees(name, exported(name, tmp_path, dynamo=True))


def rtl_is_golden(names: Sequence[str], folder: Path) -> None:
    """All networks in one simulation, on Brevitas' own frames, without and with stalls."""
    models = [from_onnx(exported(name, folder)) for name in names]
    lowered = [lower(model) for model in models]
    for model, graph in zip(models, lowered, strict=True):
        prove(model, graph)
    bench = emit_bench([size_fifos(graph) for graph in lowered], folder / "rtl")
    simulation = bench.model()
    inputs = [g.quantize(frames(name, 20)) for g, name in zip(models, names, strict=True)]
    wanted = [g.reference(*xs) for g, xs in zip(models, inputs, strict=True)]
    flat = [[x.reshape(len(x), -1) for x in xs] for xs in inputs]
    for traffic in (Traffic(), Traffic(in_stall=0.3, out_stall=0.3, burst=5, seed=1)):
        results = simulation.run_groups(flat, traffic)
        for name, result, ys in zip(names, results, wanted, strict=True):
            for have, want in zip(result.outputs, ys, strict=True):
                np.testing.assert_array_equal(have, want.reshape(len(want), -1), f"{name} under {traffic}")


def test_rtl_of_some(tmp_path: Path) -> None:
    rtl_is_golden(BATCHES[0], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("names", BATCHES[1:], ids=lambda names: names[0])
def test_rtl_of_the_others(names: Sequence[str], tmp_path: Path) -> None:
    rtl_is_golden(names, tmp_path)

# SPDX-License-Identifier: Apache-2.0
"""A residual Add whose addends have any two scales: golden against the sum in float64, over every pair of integers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tests.models import Builder

from gatewright.frontend.importer import from_onnx
from gatewright.ir.op import Op
from gatewright.passes.lower import lower
from gatewright.passes.prove import prove


def operators(graph_nodes: list[Op]) -> list[str]:
    return [op.name() for op in graph_nodes]


@pytest.mark.parametrize("seed", range(12))
def test_only_rounding_ties_differ_from_the_sum_in_float64(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second, out = (float(np.float32(rng.uniform(0.01, 1))) for _ in range(3))
    out = out * 4
    b = Builder((2,))
    x = b.quant("x", 1.0, 4)
    identity = b.weight(np.eye(2)[::-1] * 1.0, 1.0)
    left = b.quant(x, first, 5)
    right = b.quant(b.node("MatMul", x, identity), second, 5)
    graph = from_onnx(b.model(b.quant(b.node("Add", left, right), out, 4)))
    pairs = np.array(list(itertools.product(range(-8, 8), repeat=2)), np.float32)
    (codes,) = graph.reference(*graph.quantize(pairs))
    a, c = (
        np.clip(np.rint(v / s), -16, 15) * s
        for v, s in ((pairs.astype(float), first), (pairs[:, ::-1].astype(float), second))
    )
    exact = (a + c) / out
    differ = codes != np.clip(np.rint(exact), -8, 7)
    tie = np.abs(np.abs(exact - np.floor(exact)) - 0.5) < 1e-6
    assert not (differ & ~tie).any()
    lowered = lower(graph)
    assert "requant" in operators([n.op for n in lowered.nodes])
    prove(graph, lowered)
    np.testing.assert_array_equal(lowered.reference(*graph.quantize(pairs))[0], codes)


def test_small_ratios_take_small_factors() -> None:
    b = Builder((4,))
    x = b.quant("x", 0.5, 4)
    graph = from_onnx(b.model(b.node("Add", x, b.quant(x, 0.75, 4))))
    factors = [int(n.op.mult[0]) for n in graph.nodes if n.op.name() == "requant"]  # type: ignore[attr-defined]
    assert sorted(factors) == [2, 3]

# SPDX-License-Identifier: Apache-2.0
"""Random legal networks: golden equals the qonnx package's own execution, and hardware equals golden."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from tests.conformance.support import check_cycles, check_values, emit_bench
from tests.frontend.legal.net import Roller
from tests.frontend.legal.networks import Drawn, execute, frames, grow, networks

from gatewright.design.fifos import size_fifos
from gatewright.frontend.importer import from_onnx
from gatewright.ir.chain import evaluate, quantize
from gatewright.ir.graph import Graph
from gatewright.ir.types import IntArray
from gatewright.ops.activation import Activation
from gatewright.passes.lower import lower
from gatewright.passes.prove import prove
from gatewright.sim.model import Traffic

FEW, MANY = 50, 500
LEAST = 10
"""How often each operator and attribute occurs among the many."""
TIE = 1e-6
"""Rounding error of float32, relative to the largest value of a tensor."""
SETTINGS: dict[str, Any] = {
    "deadline": None, "database": None, "derandomize": True, "phases": [Phase.generate, Phase.shrink],
    "suppress_health_check": list(HealthCheck),
}  # fmt: skip


def agrees(drawn: Drawn) -> int:
    """Golden equals qonnx, and the lowered graph golden; returns the rounding ties on which float32 fell elsewhere."""
    x = frames(drawn)
    graph = from_onnx(drawn.model())
    have, integers = graph.predict(x), graph.quantize(x)
    lowered = lower(graph)
    prove(graph, lowered)
    for a, b in zip(lowered.reference(*integers), graph.reference(*integers), strict=True):
        np.testing.assert_array_equal(a, b)
    same, ties = (np.ones(len(x), bool), 0) if drawn.exact else compare_quantisers(drawn, x)
    want = execute(drawn, x)
    for a, name in zip(have, drawn.outputs, strict=True):
        b = want[name].reshape(a.shape)
        if drawn.exact and not drawn.transcendental:
            np.testing.assert_array_equal(a, b, name)
        elif not np.issubdtype(b.dtype, np.integer):  # scores that differ by a rounding error may rank otherwise
            np.testing.assert_allclose(a[same], b[same], rtol=1e-4, atol=1e-4 * max(1e-9, float(np.abs(b).max())))
    return ties


def compare_quantisers(drawn: Drawn, x: np.ndarray) -> tuple[np.ndarray, int]:
    """Which frames went the same way through every quantiser, and how many values were ties that fell elsewhere.

    A difference is allowed only where the definition itself changes within the rounding error of float32.
    """
    graph = from_onnx(drawn.model(*drawn.quantisers))
    values, wanted = graph.run(*graph.quantize(x)), execute(drawn, x, *drawn.quantisers)
    outputs = dict(zip(graph.outputs, (*drawn.outputs, *drawn.quantisers), strict=True))
    same, ties = np.ones(len(x), bool), 0
    for node in graph.nodes:
        seen = [(o, n) for o, n in outputs.items() if o.tensor == node.outputs[0] and n in drawn.quantisers]
        if not isinstance(node.op, Activation) or not seen:
            continue
        output, name = seen[0]
        ours, source = values[output.tensor], values[node.inputs[0]].reshape(-1, *node.op.source.shape)
        theirs = wanted[name].reshape(len(x), -1)[:, output.index.ravel()].reshape(ours.shape)
        theirs = np.rint((theirs.astype(np.float64) - output.offset) / output.scale).astype(np.int64)
        low, high = nearby(node.op, source)
        wrong = (ours != theirs) & same.reshape(-1, *[1] * (ours.ndim - 1))
        assert ((low <= theirs) & (theirs <= high))[wrong].all(), f"{node.name}: qonnx differs, and not on a tie"
        ties += int(wrong.sum())
        same &= ~wrong.reshape(len(x), -1).any(axis=1)
    return same, ties


def nearby(op: Activation, source: IntArray) -> tuple[IntArray, IntArray]:
    """Least and greatest result when the real values in front of the steps and behind them are off by a rounding."""
    real = source * np.asarray(op.source.scale)
    results = []
    for before, behind in itertools.product((-1, 0, 1), repeat=2):
        y = evaluate(op.steps, real + before * TIE * np.abs(real).max())
        y = y + behind * TIE * max(float(np.abs(y).max()), float(np.max(op.scale)))
        results.append(quantize(y, op.scale, op.quant_lo, op.quant_hi, op.bipolar, op.rounding))
    return np.min(results, axis=0), np.max(results, axis=0)


def count(seen: Counter[str], drawn: Drawn) -> None:
    """Hold a network against qonnx, and count what is in it."""
    ties = agrees(drawn)
    seen.update(drawn.seen)
    seen.update({"(networks)": 1, "(exact networks)": int(drawn.exact), "(ties)": ties})


def run(examples: int) -> Counter[str]:
    """Draw so many networks and hold each against qonnx; how often each feature occurred."""
    seen: Counter[str] = Counter()

    @settings(max_examples=examples, **SETTINGS)
    @given(networks())
    def check(drawn: Drawn) -> None:
        count(seen, drawn)

    check()
    return seen


@pytest.mark.filterwarnings("ignore")
def test_golden_is_qonnx() -> None:
    seen = run(FEW)
    assert seen["(networks)"] >= FEW


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_golden_is_qonnx_on_many(capsys: pytest.CaptureFixture[str]) -> None:
    """Hypothesis draws unevenly: what it drew too seldom is drawn on purpose, so that everything is tried often."""
    seen, features = run(MANY), every_feature()
    for seed in itertools.count():
        rare = {name for name in features if seen[name] < LEAST}
        if not rare:
            break
        drawn = grow(Roller(seed))
        if rare & set(drawn.seen):
            count(seen, drawn)
    with capsys.disabled():
        print("\n" + ", ".join(f"{name} {n}" for name, n in sorted(seen.items())))
    assert seen["(networks)"] >= MANY


def every_feature() -> set[str]:
    """All operators and attributes that the generator knows, seen in enough of its networks."""
    return {name for seed in range(3000) for name in grow(Roller(seed)).seen}


# --- hardware ---------------------------------------------------------------------------------------------------------


def folded(graph: Graph, seed: int) -> Graph:
    """The lowered graph under a random folding, its FIFOs sized."""
    rng = np.random.default_rng(seed)
    lowered = lower(graph)
    prove(graph, lowered)
    ops = {}
    for node in lowered.nodes:
        choice = {name: int(rng.choice(values)) for name, values in node.op.foldings().items()}
        ops[node.name] = replace(node.op, **choice)  # type: ignore[type-var]  # operators are dataclasses
    return size_fifos(lowered.with_ops(ops))


def small(first: int, count: int) -> list[Graph]:
    """Designs that take few cycles."""
    found: list[Graph] = []
    for seed in itertools.count(first):
        graph = from_onnx(grow(Roller(seed)).model())
        if graph.nodes and len(found) < count:
            design = folded(graph, seed)
            if max((n.op.cycles for n in design.nodes), default=9999) < 800:
                found.append(design)
        if len(found) == count:
            return found
    raise AssertionError


def check_hardware(first: int, count: int, folder: Path) -> None:
    bench = emit_bench(small(first, count), folder)
    model = bench.model()
    counts = bench.frames(3_000, most=12)
    check_cycles(bench, check_values(bench, model, counts, Traffic()))
    for seed, (into, out) in enumerate([(0.5, 0.5), (0.1, 0.8), (0.8, 0.1)]):
        check_values(bench, model, counts, Traffic(in_stall=into, out_stall=out, burst=9, seed=seed, reset_at=(211,)))


def test_hardware_is_golden(tmp_path: Path) -> None:
    check_hardware(0, 5, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("first", [1000, 2000, 3000, 4000])
def test_more_hardware_is_golden(first: int, tmp_path: Path) -> None:
    check_hardware(first, 6, tmp_path)

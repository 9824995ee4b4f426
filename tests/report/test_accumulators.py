# SPDX-License-Identifier: Apache-2.0
"""Bounds of accumulators, and the histograms under them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from tests.models import small_network

from gatewright.build import Build, compile_model
from gatewright.ir.op import as_int64
from gatewright.ir.types import Tensor
from gatewright.ops.add import Add
from gatewright.ops.dense import Dense
from gatewright.report.accumulators import norm_bits, type_bits, widths
from gatewright.report.facts import CHUNK, collect


@pytest.mark.parametrize(
    ("terms", "bits", "signed", "want"),
    [(4608, 8, True, 28), (4608, 8, False, 29), (4608, 4, False, 21), (576, 4, False, 18), (9, 4, False, 12)],
)
def test_data_type_bound(terms: int, bits: int, signed: bool, want: int) -> None:
    assert type_bits(terms, bits, bits, signed) == want
    alpha = math.log2(terms) + 2 * bits - 1 - signed
    assert want == math.ceil(alpha + math.log2(1 + 2**-alpha) + 1)


@pytest.mark.parametrize(
    ("norm", "signed", "want"), [(127, False, 16), (128, False, 17), (255, True, 16), (256, True, 17)]
)
def test_weight_norm_bound(norm: int, signed: bool, want: int) -> None:
    assert norm_bits(norm, 8, signed) == want


@pytest.mark.parametrize("seed", range(20))
def test_each_bound_is_tighter_than_the_one_before(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bits, signed = int(rng.integers(2, 9)), bool(rng.integers(2))
    lo, hi = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    op = Dense(Tensor((12,), lo, hi), as_int64(rng.integers(-7, 8, (5, 12))))
    found = widths(op, op.acc_bits)
    assert found.by_type is not None and found.by_norm is not None
    assert found.by_type >= found.by_norm >= found.exact == op.acc_bits


def test_an_operator_without_weights_has_the_exact_bound_only() -> None:
    found = widths(Add.examples()[0], 7)
    assert (found.by_type, found.by_norm, found.exact) == (None, None, 7)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    b, y = small_network()
    folder = tmp_path_factory.mktemp("accumulators")
    built = compile_model(b.save(folder / "net.onnx", y), "pynq-z2", fps=1e5, output=folder / "build")
    # More frames than are run at once.
    inputs = np.load(built.data / "inputs.npy")
    np.save(built.data / "inputs.npy", np.concatenate([inputs] * 3)[: CHUNK + 3])
    return built


def test_histograms_count_every_value(build: Build) -> None:
    facts = collect(Build(Path(build.directory)))
    assert facts.case.frames == CHUNK + 3
    summing = [n for n in build.design_graph.nodes if n.op.bounds()[0].partial_lo is not None]
    assert [h.node for h in facts.histograms] == [n.name for n in summing] and len(summing) == 3
    values = build.design_graph.run(*facts.case.integers)
    for histogram, node in zip(facts.histograms, summing, strict=True):
        value = values[node.outputs[0]]
        assert (histogram.least, histogram.greatest) == (value.min(), value.max())
        edges = histogram.start + histogram.width * np.arange(len(histogram.counts) + 1)
        assert np.array_equal(histogram.counts, np.histogram(value, edges)[0])
        assert histogram.counts.sum() == value.size

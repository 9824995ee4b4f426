# SPDX-License-Identifier: Apache-2.0
"""Networks whose quantisers have zero points, other roundings and other limits than a power of two, in RTL."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.models import DOMAIN, Builder

from gatewright.design.fifos import size_fifos
from gatewright.frontend.importer import from_onnx
from gatewright.ir.graph import Graph
from gatewright.passes.lower import lower
from gatewright.passes.prove import prove
from gatewright.sim.model import Traffic

from .support import check_cycles, check_values, emit_bench

RNG = np.random.default_rng(0)


def proven(b: Builder, *outputs: str) -> Graph:
    graph = from_onnx(b.model(*outputs))
    lowered = lower(graph)
    prove(graph, lowered)
    return lowered


def codes_with_zero_points() -> Graph:
    """uint8 codes with zero points 3 and 128, a padded convolution, limits on codes, and a pool of codes."""
    b = Builder((2, 4, 4))
    x = b.dequantize(b.quantize("x", 0.25, 3), 0.25, 3)
    weight = b.dequantize(b.constant(RNG.integers(-128, 128, (3, 2, 3, 3)), np.int8), [0.5, 0.25, 1], None, axis=0)
    q = b.quantize(b.node("Conv", x, weight, pads=[1, 1, 1, 1]), 64.0, 128)
    q = b.node("Clip", q, b.constant(100, np.uint8), b.constant(251, np.uint8))
    q = b.node("MaxPool", q, kernel_shape=[2, 2], strides=[2, 2])
    weight = b.dequantize(b.constant(RNG.integers(0, 256, (12, 3)), np.uint8), 0.5, 120)
    return proven(b, b.node("MatMul", b.node("Flatten", b.dequantize(q, 64.0, 128)), weight))


def rounded_otherwise() -> Graph:
    """QONNX quantisers that round down, up and halves away from 0, with zero points of both parities."""
    b = Builder((6,))
    x = b.quant("x", 0.25, 5, signed=False, zero=7.0, mode="CEIL")
    y = b.node("MatMul", x, b.weight(RNG.integers(-7, 8, (6, 5)), 0.5))
    x = b.quant(y, 0.5, 8, zero=-5.0, mode="FLOOR")
    y = b.node("MatMul", x, b.weight(RNG.integers(-7, 8, (5, 4)), 0.5))
    return proven(b, b.quant(y, 2.0, 4, zero=1.0, mode="HALF_UP"))


def thresholds_and_truncation() -> Graph:
    b = Builder((6,))
    y = b.node("MatMul", b.quant("x", 0.25, 4), b.weight(RNG.integers(-7, 8, (6, 4)), 1.0))
    settings = {"out_dtype": "BIPOLAR", "out_scale": 2.0, "out_bias": -1.0}
    y = b.node("MultiThreshold", y, b.constant(RNG.integers(-5, 6, (4, 1))), domain=DOMAIN, **settings)
    y = b.node("MatMul", y, b.weight(RNG.integers(-7, 8, (4, 3)), 1.0))
    constants = (b.constant(v) for v in (1.0, 0.0, 7.0, 5.0))
    return proven(b, b.node("Trunc", y, *constants, domain=DOMAIN, rounding_mode="DOWN"))


def test_in_rtl(tmp_path: Path) -> None:
    graphs = [codes_with_zero_points(), rounded_otherwise(), thresholds_and_truncation()]
    assert [(g.inputs[0].tensor.lo, g.inputs[0].tensor.hi) for g in graphs[:2]] == [(-3, 252), (-7, 24)]
    kinds = {n.op.name() for g in graphs for n in g.nodes}
    assert {"threshold", "requant", "maxpool"} <= kinds
    bench = emit_bench([size_fifos(g) for g in graphs], tmp_path)
    model, frames = bench.model(), bench.frames(3000)
    check_cycles(bench, check_values(bench, model, frames, Traffic()))
    check_values(bench, model, frames, Traffic(in_stall=0.4, out_stall=0.4, burst=7, seed=1))

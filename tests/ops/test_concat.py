# SPDX-License-Identifier: Apache-2.0
"""Concatenation: what it refuses, its types, its turns, and a network of branches that meet again in hardware."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.models import DOMAIN, Builder

from gatewright.boards import load_board
from gatewright.design.plan import make_design
from gatewright.emit import rtl
from gatewright.errors import ConfigError
from gatewright.frontend.importer import from_onnx
from gatewright.ir.types import Tensor
from gatewright.ops.concat import Concat
from gatewright.passes.lower import lower
from gatewright.passes.prove import prove
from gatewright.sim.rtl import run_rtl

BIPOLAR = Tensor((2, 3), -1, 1, 1.0, "bipolar")


@pytest.mark.parametrize(
    ("left", "right", "axis", "pe", "message"),
    [
        (Tensor((2, 3), 0, 3), Tensor((3, 4), 0, 3), 1, 1, "differ elsewhere than in axis=1"),
        (Tensor((2, 3), 0, 3), Tensor((2, 2, 3), 0, 3), 0, 1, "differ elsewhere than in axis=0"),
        (Tensor((2, 3), 0, 3), Tensor((2, 3), 0, 3), 2, 1, "differ elsewhere than in axis=2"),
        (Tensor((2, 3), 0, 3, 0.5), Tensor((2, 3), 0, 3), 1, 1, "scales 0.5 and 1.0 must be equal: requantise"),
        (Tensor((2, 3), 0, 3, (1.0, 2.0, 3.0)), Tensor((2, 3), 0, 3), 0, 1, "must be equal: requantise"),
        (BIPOLAR, Tensor((2, 3), -1, 1), 1, 1, "have different encodings: quantise both sides alike"),
        (Tensor((2, 4), 0, 3), Tensor((2, 6), 0, 3), 1, 4, "pe=4 does not divide 2 channels .*: use 1 or 2"),
    ],
)
def test_what_does_not_fit_is_refused(left: Tensor, right: Tensor, axis: int, pe: int, message: str) -> None:
    with pytest.raises(ConfigError, match=f"concat: .*{message}"):
        Concat(left, right, axis, pe)


def test_types_of_the_output() -> None:
    assert Concat(BIPOLAR, BIPOLAR, 0).outputs == (Tensor((4, 3), -1, 1, 1.0, "bipolar"),)
    one, each = Tensor((2, 2), -8, 7, 0.5), Tensor((2, 3), 0, 255, (1.0, 2.0, 3.0))
    (out,) = Concat(one, each, 1).outputs
    assert (out.shape, out.lo, out.hi, out.scale) == ((2, 5), -8, 255, (0.5, 0.5, 1.0, 2.0, 3.0))
    rows = Concat(each, each, 0).outputs[0]
    assert (rows.shape, rows.scale) == ((4, 3), (1.0, 2.0, 3.0))


def test_a_channel_has_the_limits_of_its_side() -> None:
    (bounds,) = Concat(Tensor((2, 2), -8, 7), Tensor((2, 1), 0, 255), 1).bounds()
    assert (bounds.lo, bounds.hi) == ((-8, -8, 0), (7, 7, 255))


def test_the_sides_take_turns() -> None:
    """Along the channels every pixel, along the rows once a frame."""
    left, right = Tensor((2, 2, 4), 0, 3), Tensor((2, 2, 2), 0, 3)
    schedule = Concat(left, right, 2, 2).schedule()
    assert [n.tolist()[:6] for n in schedule.need] == [[1, 2, 2, 3, 4, 4], [0, 0, 1, 1, 1, 2]]
    once = Concat(left, Tensor((1, 2, 4), 0, 3), 0, 4).schedule()
    assert [n.tolist() for n in once.need] == [[1, 2, 3, 4, 4, 4], [0, 0, 0, 0, 1, 2]]


def bipolar(b: Builder, x: str, scale: float) -> str:
    return b.node("BipolarQuant", x, b.constant(scale), domain=DOMAIN)


def sign(x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, 1.0, -1.0)


@pytest.mark.parametrize("op_type", ["Add", "Concat"])
@pytest.mark.parametrize(("first", "second"), [(1.0, 1.0), (0.5, 0.25), (2.0, None)])
def test_bipolar_operands(op_type: str, first: float, second: float | None) -> None:
    """Two bipolar sides stay one bit where they can; else a table brings them to two's complement."""
    b = Builder((2, 3, 3))
    x = bipolar(b, "x", first)
    weight = np.random.default_rng(0).integers(-7, 8, (2, 2, 1, 1))
    y = b.node("Conv", x, b.weight(weight, 1.0))
    y = b.quant(y, 0.5, 6) if second is None else bipolar(b, y, second)
    graph = from_onnx(b.model(b.node(op_type, x, y, **({"axis": 1} if op_type == "Concat" else {}))))
    frames = np.random.default_rng(1).normal(size=(20, 2, 3, 3))
    left = sign(frames) * first
    right = np.einsum("nchw,fc->nfhw", left, weight[..., 0, 0])
    right = np.clip(np.rint(right / 0.5), -32, 31) * 0.5 if second is None else sign(right) * second
    want = left + right if op_type == "Add" else np.concatenate([left, right], axis=1)
    np.testing.assert_array_equal(graph.predict(frames)[0], want)
    lowered = lower(graph)
    prove(graph, lowered)
    tables = sum(n.op.name() == "lut" for n in lowered.nodes)
    stay = op_type == "Concat" and first == second
    assert tables == (0 if stay else 1 if second is None else 2)


def branches() -> Builder:
    """One image through a convolution, a table, an upsampling and a transposition; all parts meet again."""
    b = Builder((2, 6, 6))
    rng = np.random.default_rng(0)
    x = b.quant("x", 0.25, 4)
    y = b.quant(b.node("Conv", x, b.weight(rng.integers(-7, 8, (4, 2, 3, 3)), 0.125), pads=[1, 1, 1, 1]), 0.25, 4)
    small = b.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
    large = b.node("Resize", small, "", b.constant([1, 1, 2, 2]), mode="nearest")
    bent = b.quant(b.node("Mul", y, b.node("Sigmoid", y)), 0.25, 4)
    turned = b.node("Transpose", y, perm=[0, 1, 3, 2])
    whole = b.node("Concat", large, bent, b.node("Add", turned, y), axis=1)
    b.node("Conv", whole, b.weight(rng.integers(-7, 8, (2, 12, 1, 1)), 0.125), outputs=["y"])
    return b


def test_branches_meet_again_in_hardware(tmp_path: Path) -> None:
    """Depths of the FIFOs come from the schedules; values, latency and interval are those that were predicted."""
    graph = from_onnx(branches().model("y"))
    design = make_design(lower(graph), load_board("pynq-z2"))
    assert {"concat", "upsample", "lut", "reshape"} <= {n.op.name() for n in design.graph.nodes}
    rtl.emit(design.structure).write(tmp_path)
    (x,) = graph.quantize(np.random.default_rng(1).normal(size=(8, 2, 6, 6)))
    run = run_rtl(design.structure, tmp_path, (x,))
    np.testing.assert_array_equal(run.outputs[0].reshape(8, -1), graph.reference(x)[0].reshape(8, -1))
    assert (run.latency, run.interval) == (design.timing.latency, design.timing.interval)

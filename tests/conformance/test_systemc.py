# SPDX-License-Identifier: Apache-2.0
"""SystemC against RTL: under the same traffic every beat passes every port in the same cycle."""

from __future__ import annotations

import numpy as np
import pytest

from gatewright.design.fifos import size_fifos
from gatewright.ir.graph import Graph
from gatewright.ir.types import Tensor
from gatewright.ops.dense import Dense
from gatewright.ops.window import Window
from gatewright.sim.model import Model, Traffic

from .support import Bench, check_cycles, check_values, emit_bench, network, residual_network
from .target_rtl import STALLS
from .target_systemc import systemc_bench

pytestmark = pytest.mark.systemc


def compare(systemc: tuple[Bench, Model], rtl: tuple[Bench, Model], frames: int, traffic: Traffic) -> None:
    counts = [frames] * len(rtl[0].graphs)
    results = [check_values(bench, model, counts, traffic) for bench, model in (systemc, rtl)]
    for graph, have, want in zip(rtl[0].graphs, *results, strict=True):
        for side in ("in_ports", "out_ports"):
            for i, (a, b) in enumerate(zip(getattr(have, side), getattr(want, side), strict=True)):
                message = f"{side} {i} of {graph.name} under {traffic}"
                np.testing.assert_array_equal(a.cycles, b.cycles, message)
                assert (a.busy, a.blocked, a.idle) == (b.busy, b.blocked, b.idle), message


def networks() -> list[Graph]:
    """A skip around convolutions, with and without deep FIFOs, and a tensor that leaves and is read on."""
    rng = np.random.default_rng(0)
    image = Tensor((5, 5, 4), 0, 15)
    window = Window(image, 3, 3, 2, 2, 1, 1, 1, 1, simd=4)
    dense = Dense(window.outputs[0], rng.integers(-7, 8, (6, 36)), pe=3, simd=12)
    fork = network({"image": image}, [("window", window, "image"), ("dense", dense, "window")], ["window", "dense"])
    return [size_fifos(residual_network()), size_fifos(residual_network(9, 2)), fork]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[Bench, Model], tuple[Bench, Model]]:
    rtl = emit_bench(networks(), tmp_path_factory.mktemp("rtl"))
    return systemc_bench(networks(), tmp_path_factory.mktemp("systemc")), (rtl, rtl.model())


def test_a_network_runs_in_the_predicted_cycles(both: tuple[tuple[Bench, Model], tuple[Bench, Model]]) -> None:
    (bench, model), _ = both
    check_cycles(bench, check_values(bench, model, [6] * 3, Traffic()))


@pytest.mark.parametrize("traffic", STALLS, ids=lambda t: f"seed {t.seed}")
def test_stalls_reach_as_far_as_in_rtl(both: tuple[tuple[Bench, Model], tuple[Bench, Model]], traffic: Traffic) -> None:
    compare(*both, 8, traffic)

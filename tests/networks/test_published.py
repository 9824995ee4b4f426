# SPDX-License-Identifier: Apache-2.0
"""Published topologies, and a MobileNet and a VGG of CIFAR-10's shape: from ONNX to RTL, with and without stalls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from benchmarks.networks import NETWORKS, make

from gatewright.build import compile_model
from gatewright.sim.model import Traffic
from gatewright.sim.rtl import run_rtl

FRAMES = 7
"""Pipeline fill, then five."""

ASKED: Mapping[str, tuple[str, Mapping[str, float]]] = {
    "cnv-w1a1": ("pynq-z2", {"fps": 3000}),
    "cnv-w2a2": ("pynq-z2", {"fps": 3000}),
    "tfc-w1a1": ("pynq-z2", {"fps": 1_430_000, "latency_us": 2.4}),
    "cybersecurity-w2a2": ("pynq-z2", {"fps": 1_430_000, "latency_us": 2.1}),
    "keyword-w3a3": ("pynq-z2", {"fps": 202_500, "latency_us": 17}),
    "vgg-w2a2": ("zcu104", {"fps": 3000}),
    "mobilenet-w4a4": ("zcu104", {"fps": 1000}),
}


def test_every_network_is_asked_something() -> None:
    assert set(ASKED) == set(NETWORKS)


def run(name: str, folder: Path) -> None:
    board, asked = ASKED[name]
    model, images = make(name, folder)
    build = compile_model(model, board, output=folder / "build", **asked)  # type: ignore[arg-type]  # numbers all
    predicted = build.summary()
    assert predicted["fps"] >= asked["fps"]
    assert predicted["latency_us"] <= asked.get("latency_us", np.inf)
    integers = build.model_graph.quantize(images[:FRAMES])
    golden = build.model_graph.reference(*integers)
    assert (golden[0].std(axis=0) > 0).all()
    steps = max(u["cycles"] for u in predicted["units"])
    for stall in (0.0, 0.25):
        result = run_rtl(build.structure, build.rtl, integers, Traffic(in_stall=stall, out_stall=stall, seed=1))
        np.testing.assert_array_equal(result.outputs[0].reshape(golden[0].shape), golden[0])
        intervals = np.diff(result.result.last_output_cycle)[-5:]
        if stall and steps < 1000:
            continue  # a source that pauses is the bottleneck of a network that takes a word a cycle
        assert (steps / intervals >= 0.98).all()
        assert intervals.mean() == pytest.approx(predicted["interval_cycles"], rel=0.02)
        if not stall:
            assert result.latency == pytest.approx(predicted["latency_cycles"], rel=0.02)


def test_a_small_one(tmp_path: Path) -> None:
    run("tfc-w1a1", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in NETWORKS if n != "tfc-w1a1"])
def test_the_others(name: str, tmp_path: Path) -> None:
    run(name, tmp_path)

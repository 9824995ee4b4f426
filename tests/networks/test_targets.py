# SPDX-License-Identifier: Apache-2.0
"""Whole networks in C simulation and SystemC: golden's integers on many frames, and the cycles of the prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.networks import make

from gatewright.build import Build, compile_model
from gatewright.frontend.export import export
from gatewright.sim.csim import run_csim
from gatewright.sim.model import Traffic
from gatewright.sim.rtl import run_rtl
from gatewright.sim.systemc import run_systemc
from gatewright.train.resnet8 import untrained

from ..conformance.support import sample
from .test_published import ASKED

pytestmark = pytest.mark.systemc

TRAFFIC = (Traffic(out_stall=0.3, seed=1), Traffic(in_stall=0.1, out_stall=0.3, burst=200, seed=2))
"""A throttled sink, and a bursty one with a source that pauses."""


def build_of(name: str, folder: Path) -> Build:
    if name != "resnet8":
        model, _ = make(name, folder)
        board, asked = ASKED[name]
        return compile_model(model, board, output=folder / "build", **asked)  # type: ignore[arg-type]  # numbers all
    network, images = untrained()
    export(network, folder / "resnet8.onnx", torch.from_numpy(images[:1]))
    return compile_model(folder / "resnet8.onnx", "zcu104", fps=1000, output=folder / "build")


def run(name: str, folder: Path, frames: int, rtl_frames: int) -> None:
    build = build_of(name, folder)
    integers = tuple(sample(i.tensor, frames, np.random.default_rng(0)) for i in build.model_graph.inputs)
    golden = build.model_graph.reference(*integers)
    bus = build.bus_bits
    for have, want in zip(run_csim(build.structure, build.emitted("hls"), integers, bus), golden, strict=True):
        np.testing.assert_array_equal(have.reshape(want.shape), want)
    free = run_systemc(build.structure, build.emitted("systemc"), integers)
    for have, want in zip(free.outputs, golden, strict=True):
        np.testing.assert_array_equal(have.reshape(want.shape), want)
    predicted = build.summary()
    assert (free.interval, free.latency) == (predicted["interval_cycles"], predicted["latency_cycles"])
    few = tuple(x[:rtl_frames] for x in integers)
    for traffic in TRAFFIC if rtl_frames else ():
        ours = run_systemc(build.structure, build.emitted("systemc"), few, traffic).result
        theirs = run_rtl(build.structure, build.emitted("rtl"), few, traffic).result
        for a, b in zip(ours.in_ports + ours.out_ports, theirs.in_ports + theirs.out_ports, strict=True):
            np.testing.assert_array_equal(a.cycles, b.cycles)


def test_a_small_one(tmp_path: Path) -> None:
    run("tfc-w1a1", tmp_path, 100, 8)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "frames"), [("cnv-w1a1", 20), ("vgg-w2a2", 100), ("resnet8", 100)])
def test_the_others(name: str, frames: int, tmp_path: Path) -> None:
    run(name, tmp_path, frames, 3)


@pytest.mark.slow
def test_mobilenet(tmp_path: Path) -> None:
    """Its RTL takes minutes a frame, and is compared with its prediction elsewhere."""
    run("mobilenet-w4a4", tmp_path, 100, 0)

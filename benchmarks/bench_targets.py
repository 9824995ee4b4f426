# SPDX-License-Identifier: Apache-2.0
"""Golden, C simulation, SystemC and RTL of whole networks: exact frames, frames a second, and SystemC's cycles.

Frames of the demo are its test images, of others random. Programs are compiled first, at full optimisation each. RTL
runs few frames. Under each traffic SystemC and RTL run the same frames with the same stalls.

Usage: python bench_targets.py [NAME ...]
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from bench_networks import CASES
from common import OUT, report, timed

from gatewright.boards import load_board
from gatewright.build import Build, compile_model
from gatewright.demo import run_demo
from gatewright.ir.types import IntArray
from gatewright.sim.csim import build_csim, run_csim
from gatewright.sim.model import Traffic
from gatewright.sim.rtl import RtlRun, run_rtl
from gatewright.sim.systemc import build_systemc, run_systemc
from networks import make

STALLED_FRAMES = 4
"""Frames under each traffic."""
TRAFFIC = {
    "free": Traffic(),
    "throttled": Traffic(out_stall=0.3, seed=1),
    "bursty": Traffic(in_stall=0.1, out_stall=0.3, burst=200, seed=2),
}


@dataclass(frozen=True)
class Network:
    """How a build comes to be, and how many frames C simulation and SystemC run, and RTL."""

    make: Callable[[], Build]
    frames: int = 100
    rtl_frames: int = 4


def published(name: str) -> Callable[[], Build]:
    """A network of networks.py, compiled as in bench_networks.py."""

    def build() -> Build:
        case = CASES[name]
        path, _ = make(name, OUT / "networks")
        return compile_model(path, case.board, output=OUT / "networks" / name, **case.asked)

    return build


def resnet8() -> Build:
    """ResNet-8 for zcu104 at 1,000 frames/s, as in bench_resnet8.py."""
    import torch

    from gatewright.frontend.export import export
    from gatewright.train.resnet8 import untrained

    folder = OUT / "resnet8"
    folder.mkdir(parents=True, exist_ok=True)
    model, images = untrained()
    export(model, folder / "resnet8.onnx", torch.from_numpy(images[:1]))
    return compile_model(folder / "resnet8.onnx", "zcu104", fps=1000, output=folder / "build")


def demo() -> Build:
    """The digits of `gatewright demo`."""
    run_demo(OUT / "demo")
    return Build.open(OUT / "demo")


NETWORKS = {
    "demo": Network(demo, 360, 360),
    "cnv-w1a1": Network(published("cnv-w1a1"), 20, 20),
    "vgg-w2a2": Network(published("vgg-w2a2")),
    "mobilenet-w4a4": Network(published("mobilenet-w4a4")),
    "resnet8": Network(resnet8),
}


def integers_of(build: Build, frames: int) -> tuple[IntArray, ...]:
    """The demo's test images as its host quantises them; of other networks random integers over the inputs' ranges."""
    if (build.data / "labels.npy").is_file():
        return build.model_graph.quantize(np.load(build.data / "inputs.npy")[:frames])
    rng = np.random.default_rng(0)
    found = []
    for tensor in (i.tensor for i in build.model_graph.inputs):
        x = rng.integers(tensor.lo, tensor.hi + 1, (frames, *tensor.shape))
        found.append(np.where(x > 0, 1, -1) if tensor.encoding == "bipolar" else x)
    return tuple(found)


def exact(outputs: tuple[IntArray, ...], golden: tuple[IntArray, ...]) -> str:
    """Frames all of whose integers are golden's."""
    frames = len(golden[0])
    same = [(a.reshape(b.shape) == b).reshape(frames, -1).all(axis=1) for a, b in zip(outputs, golden, strict=True)]
    count = int(np.all(same, axis=0).sum())
    assert count == frames, f"{count} of {frames} frames exact"
    return f"{count} of {frames}"


def cycles(build: Build, integers: tuple[IntArray, ...]) -> list[dict[str, Any]]:
    """SystemC's interval and latency beside RTL's, under every traffic."""
    few = tuple(x[:STALLED_FRAMES] for x in integers)
    rows = []
    for name, traffic in TRAFFIC.items():
        ours = run_systemc(build.structure, build.emitted("systemc"), few, traffic)
        rtl = run_rtl(build.structure, build.rtl, few, traffic)
        rows.append(
            {
                "network": build.structure.name, "traffic": name,
                "interval SystemC, RTL": f"{ours.interval}, {rtl.interval}",
                "latency SystemC, RTL": f"{ours.latency}, {rtl.latency}",
                "largest difference": f"{max(_off(ours, rtl)):.2%}",
                "beats in other cycles": _moved(ours, rtl),
            }
        )  # fmt: skip
        assert max(_off(ours, rtl)) <= 0.05
    return rows


def _off(ours: RtlRun, rtl: RtlRun) -> list[float]:
    pairs = ((ours.interval, rtl.interval), (ours.latency, rtl.latency))
    return [abs(a - b) / b for a, b in pairs if a is not None and b is not None]


def _moved(ours: RtlRun, rtl: RtlRun) -> int:
    ports = zip(ours.result.in_ports + ours.result.out_ports, rtl.result.in_ports + rtl.result.out_ports, strict=True)
    return int(sum((a.cycles != b.cycles).sum() for a, b in ports))


def compile_build(directory: str) -> None:
    """Compile a build's HLS project and its SystemC model; print g++'s seconds and peak memory in GiB on each."""
    build = Build.open(Path(directory))
    for compile_it, target in ((build_csim, "hls"), (build_systemc, "systemc")):
        _, seconds = timed(partial(compile_it, build.structure, build.emitted(target)))
        print(seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (1 << 20))


def compiling(build: Build) -> list[tuple[float, float]]:
    """What `compile_build` measures, in a small process and with an empty cache.

    A process that starts another counts its own memory as the other's.
    """
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, __file__, "--compile", str(build.directory)],
            env=os.environ | {"GATEWRIGHT_CACHE": cache}, capture_output=True, text=True, check=True,
        )  # fmt: skip
    seconds, peak = zip(*(map(float, line.split()) for line in done.stdout.splitlines()), strict=True)
    return list(zip(seconds, peak, strict=True))


def measure(name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One network: its row of rates, and its rows of cycles."""
    network = NETWORKS[name]
    build = network.make()
    structure, hls, systemc = build.structure, build.emitted("hls"), build.emitted("systemc")
    bus = load_board(build.summary()["board"]).memory_bits
    integers = integers_of(build, network.frames)
    golden, golden_s = timed(lambda: build.design_graph.reference(*integers))
    (csim_gcc, csim_gib), (systemc_gcc, _) = compiling(build)
    few = tuple(x[: network.rtl_frames] for x in integers)
    # What is to be compiled is compiled before anything is timed.
    run_csim(structure, hls, few, bus)
    run_systemc(structure, systemc, few)
    run_rtl(structure, build.rtl, few)
    c, csim_s = timed(lambda: run_csim(structure, hls, integers, bus))
    s, systemc_s = timed(lambda: run_systemc(structure, systemc, integers))
    r, rtl_s = timed(lambda: run_rtl(structure, build.rtl, few))
    row = {
        "network": name, "golden 1/s": network.frames / golden_s,
        "csim exact": exact(c, golden), "csim 1/s": network.frames / csim_s,
        "SystemC exact": exact(s.outputs, golden), "SystemC 1/s": network.frames / systemc_s,
        "RTL exact": exact(r.outputs, tuple(g[: network.rtl_frames] for g in golden)),
        "RTL 1/s": network.rtl_frames / rtl_s,
        "csim g++": f"{csim_gcc:.1f} s, {csim_gib:.2f} GiB", "SystemC g++ s": systemc_gcc,
    }  # fmt: skip
    return row, cycles(build, integers)


def main() -> None:
    """Measure the networks that are named, else all; each in a process of its own, for its peak memory."""
    if sys.argv[1:2] == ["--compile"]:
        compile_build(sys.argv[2])
        return
    names = sys.argv[1:] or list(NETWORKS)
    if len(names) > 1:
        for name in names:
            subprocess.run([sys.executable, __file__, name], check=True)
        return
    row, table = measure(names[0])
    report(f"targets_{names[0]}", [row])
    report(f"targets_{names[0]}_cycles", table)


if __name__ == "__main__":
    main()

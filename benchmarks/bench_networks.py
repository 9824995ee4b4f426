# SPDX-License-Identifier: Apache-2.0
"""Published topologies from ONNX to RTL and gates: interval, latency, resources, beside FINN+'s own records.

Ours are predicted, then simulated (fill and five frames, free and with random stalls); resources are Yosys' of the
stream accelerator alone. FINN+'s are of its continuous integration of March 2026: RFSoC2x2 at 100 MHz, Vivado 2024.2,
measured on the board; its LUTs and block RAM include the board shell, DMA and instrumentation, ours do not.

Usage: python bench_networks.py [--no-synth] [NAME ...]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from common import OUT, report, timed

from gatewright.build import Build, compile_model
from gatewright.sim.model import Traffic
from gatewright.sim.rtl import run_rtl
from gatewright.synth.report import synthesise_build
from networks import NETWORKS, make

FRAMES = 7  # pipeline fill, then five


@dataclass(frozen=True)
class Case:
    """What is asked, and what FINN+ has: LUTs, frames/s, latency in us (None where it publishes none)."""

    board: str
    asked: dict[str, float]
    peer: tuple[int, int, float] | None = None


CASES = {
    "cnv-w1a1": Case("pynq-z2", {"fps": 3000}, (30_807, 2_929, 1345.0)),
    "cnv-w2a2": Case("pynq-z2", {"fps": 3000}, (36_855, 765, 3957.0)),
    "tfc-w1a1": Case("pynq-z2", {"fps": 1_430_000, "latency_us": 2.3}, (17_675, 1_428_557, 2.43)),
    "cybersecurity-w2a2": Case("pynq-z2", {"fps": 1_430_000, "latency_us": 2.0}, (17_254, 1_428_557, 2.12)),
    "keyword-w3a3": Case("pynq-z2", {"fps": 202_500, "latency_us": 16.5}, (45_449, 202_427, 16.99)),
    "vgg-w2a2": Case("zcu104", {"fps": 3000}),
    "mobilenet-w4a4": Case("zcu104", {"fps": 1000}),
}


def simulate(build: Build, frames: np.ndarray, stall: float) -> dict[str, Any]:
    """Run the RTL; every output must equal golden."""
    integers = build.model_graph.quantize(np.resize(frames, (FRAMES, *frames.shape[1:])))
    golden = build.model_graph.reference(*integers)
    traffic = Traffic(in_stall=stall, out_stall=stall, seed=1) if stall else None
    run, seconds = timed(lambda: run_rtl(build.structure, build.rtl, integers, traffic))
    exact = sum(
        (a.reshape(b.shape) == b).reshape(FRAMES, -1).all(axis=1) for a, b in zip(run.outputs, golden, strict=True)
    )
    assert isinstance(exact, np.ndarray)
    return {"exact": int(exact.sum()), "interval": run.interval, "latency": run.latency, "s": seconds}


def measure(name: str, synth: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """One network: its row of cycles, and its row of resources."""
    case = CASES[name]
    path, frames = make(name, OUT / "networks")
    build, compiled = timed(lambda: compile_model(path, case.board, output=OUT / "networks" / name, **case.asked))
    summary = build.summary()
    first, free, stalled = (simulate(build, frames, stall) for stall in (0.0, 0.0, 0.3))
    steps = max(u["cycles"] for u in summary["units"])
    peer = case.peer or ("", "", "")
    cycles = {
        "network": name, "exact, with stalls": f"{free['exact']}, {stalled['exact']} of {FRAMES}",
        "interval (predicted)": f"{free['interval']:g} ({summary['interval_cycles']:g})",
        "latency (predicted)": f"{free['latency']:g} ({summary['latency_cycles']:g})",
        "bottleneck busy": f"{steps / free['interval']:.1%}", "busy with stalls": f"{steps / stalled['interval']:.1%}",
        "frames/s": round(1e8 / free["interval"]), "FINN+ frames/s": peer[1],
        "latency us": free["latency"] / 100, "FINN+ latency us": peer[2],
        "compile s": compiled, "first simulation s": first["s"], "warm s": free["s"],
    }  # fmt: skip
    resources: dict[str, Any] = {"network": name, "board": case.board}
    if synth:
        result, seconds = timed(lambda: synthesise_build(build))
        total, predicted = result["total"], result["predicted"]
        resources |= {
            "LUT": round(total["LUT"]), "predicted LUT": round(predicted["LUT"]), "FF": round(total["FF"]),
            "BRAM36": total["BRAM36"], "predicted BRAM36": predicted["BRAM36"], "DSP": total["DSP"],
            "deepest unit, levels": max(u["levels"] for u in result["units"]), "FINN+ LUT with shell": peer[0],
            "synthesis s": seconds,
        }  # fmt: skip
    return cycles, resources


def main() -> None:
    """Measure the networks that are named, else all."""
    synth = "--no-synth" not in sys.argv
    names = [a for a in sys.argv[1:] if not a.startswith("-")] or list(NETWORKS)
    rows = [measure(name, synth) for name in names]
    report("networks_cycles", [r[0] for r in rows])
    if synth:
        report("networks_resources", [r[1] for r in rows])


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""The demonstration's design as gates: seconds of synthesis, cold and cached, of compilation, and frames a second.

Golden, RTL and netlists run the same frames; every row must be exact and have the predicted interval and latency.
Synthesis and compilation start from an empty cache of their own.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from common import OUT, report, timed

from gatewright.boards import load_board
from gatewright.build import Build, load_inputs
from gatewright.demo import run_demo
from gatewright.design.plan import PREDICTED_FRAMES
from gatewright.ir.types import IntArray
from gatewright.sim.model import Model
from gatewright.sim.netlist import SIMULATORS
from gatewright.sim.rtl import build_rtl, group_of, stream
from gatewright.synth.cell_models import cell_models
from gatewright.synth.netlist import GateDesign, gate_design, gate_parts
from gatewright.synth.plan import plan


def gates(build: Build) -> GateDesign:
    """The build's netlists."""
    family = load_board(build.summary()["board"]).family
    return gate_design(build.structure, gate_parts(plan(build.structure, build.rtl / "kernels"), family))


def run(build: Build, model: Model, inputs: tuple[IntArray, ...], golden: tuple[IntArray, ...]) -> dict[str, Any]:
    """Frames a second of a compiled model, which must be exact in every value and in its cycles."""
    result, seconds = timed(lambda: stream(build.structure, model, inputs, None, ""))
    for have, want in zip(result.outputs, golden, strict=True):
        assert (have.reshape(want.shape) == want).all()
    summary = build.summary()
    cycles = result.interval, result.latency
    assert cycles == (summary["interval_cycles"], summary["latency_cycles"])
    return {"frames/s": len(inputs[0]) / seconds, "interval": cycles[0], "latency": cycles[1]}


def main() -> None:
    """Build the demonstration, synthesise it twice, and run what came out."""
    folder = OUT / "demo"
    run_demo(folder)
    build = Build.open(folder)
    inputs = tuple(x[:PREDICTED_FRAMES] for x in build.model_graph.quantize(*load_inputs(build)))
    golden, seconds = timed(lambda: build.model_graph.reference(*inputs))
    blank = {"interval": "", "latency": ""}
    rows: list[dict[str, Any]] = [{"what": "golden", "build s": 0.0, "frames/s": len(inputs[0]) / seconds, **blank}]
    with tempfile.TemporaryDirectory() as cache:
        os.environ["GATEWRIGHT_CACHE"] = str(Path(cache))
        model, seconds = timed(lambda: build_rtl(build.structure, build.rtl, "fast_build"))
        rows.append({"what": "RTL, Verilator", "build s": seconds, **run(build, model, inputs, golden)})
        design, cold = timed(lambda: gates(build))
        _, warm = timed(lambda: gates(build))
        for name, compile_gates in SIMULATORS.items():
            cells = cell_models(design.cells, name, design.family)
            group = group_of(build.structure)
            model, seconds = timed(lambda: compile_gates(design.text, cells, design.name, group))  # noqa: B023
            rows.append({"what": f"gates, {name}", "build s": seconds, **run(build, model, inputs, golden)})
    report("netlist", rows)
    cells_total = {k: sum(p.netlist.cells.get(k, 0) for p in design.parts) for k in sorted(design.cells)}
    print(f"synthesis: {cold:.1f} s cold, {warm:.2f} s cached; {len(design.parts)} parts; cells {cells_total}")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""The demonstration's bitstream for the ULX3S with open tools: clock reached, what it takes of the chip, build time.

python benchmarks/bench_ecp5.py              # as fast as fits: 576 cycles a frame
python benchmarks/bench_ecp5.py --fps 10000  # the cheapest design for a rate
"""

from __future__ import annotations

import argparse
import sys

from common import OUT, report, timed

from gatewright.build import compile_model
from gatewright.demo import run_demo
from gatewright.synth.bitstream import make, plan

BOARD = "ulx3s-85f"
LEAST_MHZ = 60.0


def main() -> None:
    """Compile the demonstration for the board, make its bitstream, and print what came out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--fps", type=float)
    options = parser.parse_args()
    model = OUT / "demo" / "digits.onnx"
    if not model.is_file():
        run_demo(OUT / "demo")
    build = compile_model(
        model, BOARD, fps=options.fps, targets=["rtl", "kernel"], output=OUT / f"demo_{BOARD}_{options.fps or 'best'}"
    )
    result, seconds = timed(lambda: make(plan(build)))
    outcome, timing = result["outcome"], result["outcome"]["timing"]
    rows = [
        {
            "resource": name, "used": used, "predicted": result["predicted"][name]["needed"],
            "of it the design": result["predicted"][name]["design"], "board": result["capacity"][name],
            "used %": 100 * used / result["capacity"][name],
        }
        for name, used in outcome["resources"].items()
    ]  # fmt: skip
    report("ecp5_resources", rows)
    summary = build.summary()
    report("ecp5", [
        {
            "cycles a frame": summary["interval_cycles"], "asked MHz": timing["mhz"], "Fmax MHz": timing["fmax_mhz"],
            "slowest path in": timing["worst"]["unit"], "levels": timing["worst"]["levels"],
            **{f"{part} s": spent for part, spent in result["seconds"].items()}, "whole s": seconds,
        }
    ])  # fmt: skip
    sys.exit(timing["fmax_mhz"] < LEAST_MHZ)


if __name__ == "__main__":
    main()

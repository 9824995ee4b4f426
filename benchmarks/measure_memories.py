# SPDX-License-Identifier: Apache-2.0
"""Measures what Yosys makes of block RAMs of all sizes: benchmarks/data/block_memories.csv, which a test compares.

    python benchmarks/measure_memories.py            # all families
    python benchmarks/measure_memories.py ecp5       # this one, the others as they are in the file

Only the part of `synth_xilinx` or `synth_ecp5` that decides on memories is run, with the libraries and options that it
gives there; whole syntheses of a few sizes are in the tests.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import report
from pyosys import libyosys

from gatewright.ir.op import package_root
from gatewright.ir.primitives import block_ram

DATA = Path(__file__).with_name("data") / "block_memories.csv"
LIBRARIES = {
    "xc7": "-logic-cost-rom 0.015625 -lib +/xilinx/lutrams_xc5v.txt -lib +/xilinx/brams_xc4v.txt "
    "-D HAS_SIZE_36 -D HAS_CASCADE -D HAS_CONFLICT_BUG -D HAS_MIXWIDTH_SDP",
    "xcup": "-logic-cost-rom 0.015625 -lib +/xilinx/lutrams_xcu.txt -lib +/xilinx/brams_xc4v.txt "
    "-lib +/xilinx/urams.txt -D HAS_SIZE_36 -D HAS_MIXWIDTH_SDP -D HAS_ADDRCE -no-auto-huge",
    "ecp5": "-lib +/lattice/lutrams_trellis.txt -lib +/lattice/brams_16kd.txt",
}
MODULES = {"rom": ("rom", ("lib/rom",)), "ram": ("fifo", ("lib/fifo", "lib/counter"))}
SIZES = {"HALF": 0.5, "FULL": 1.0, "CASCADE": 2.0}
COUNT, LARGEST = 250, 1 << 21


def measure(family: str, kind: str, width: int, depth: int) -> float:
    """RAMB36 or DP16KD of a ROM, or of the memory of a FIFO, in block RAM."""
    module, files = MODULES[kind]
    parameters = f"-set WIDTH {width} -set DEPTH {depth} -set BLOCK 1"
    if kind == "rom":
        rng = np.random.default_rng(0)
        # No column is constant: the first word is all zeros and the second all ones.
        words = [0, (1 << width) - 1, *(int.from_bytes(rng.bytes(-(-width // 8))) for _ in range(depth - 2))]
        Path("rom.mem").write_text("\n".join(f"{w & (1 << width) - 1:x}" for w in words) + "\n")
        parameters += ' -set FILE "rom.mem"'
    design = libyosys.Design()
    for command in (
        *(f"read_verilog -sv -defer {package_root() / 'rtl' / file}.sv" for file in files),
        f"chparam {parameters} {module}",
        f"hierarchy -top {module}",
        *("proc", "flatten", "opt", "memory_dff", "opt_clean", "memory -nomap", "opt_clean"),
        f"memory_libmap {LIBRARIES[family]}",
        "write_json memory.json",
    ):
        libyosys.run_pass(f"tee -q {command}", design)
    cells = json.loads(Path("memory.json").read_text())["modules"][module]["cells"].values()
    if family == "ecp5":
        return float(sum(c["type"] in ("$__DP16KD_", "$__PDPW16KD_") for c in cells))
    return sum(SIZES[c["parameters"]["OPTION_MODE"].strip()] for c in cells if "BLOCKRAM" in c["type"])


def kept() -> list[tuple[str, str, int, int, float]]:
    """What the file holds."""
    with DATA.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [(family, kind, int(width), int(depth), float(blocks)) for family, kind, width, depth, blocks in rows]


def main() -> None:
    """Measure random sizes, compare them with the model, write them."""
    families = sys.argv[1:] or list(LIBRARIES)
    rng, rows = np.random.default_rng(0), [row for row in kept() if row[0] not in families]
    folder = tempfile.TemporaryDirectory()
    os.chdir(folder.name)
    for family in families:
        for kind in MODULES:
            while sum(r[:2] == (family, kind) for r in rows) < COUNT:
                width = int(rng.choice([rng.integers(1, 41), round(2 ** rng.uniform(0, 8.5))]))
                power = 1 << int(rng.integers(4, 16))
                depth = int(rng.choice([round(2 ** rng.uniform(1, 15)), power, power - 1, power + 1]))
                if width * depth <= LARGEST:
                    rows.append((family, kind, width, depth, measure(family, kind, width, depth)))
    with DATA.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("family", "kind", "width", "depth", "blocks"))
        writer.writerows((*r[:4], f"{r[4]:g}") for r in sorted(rows))
    wrong = [r for r in rows if block_ram(r[2], r[3], r[1], r[0]) != r[4]]  # type: ignore[arg-type]
    report("memories", [{"sizes": len(rows), "block RAM differs": len(wrong)}])
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

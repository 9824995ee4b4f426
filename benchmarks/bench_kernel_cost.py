# SPDX-License-Identifier: Apache-2.0
"""What the AXI kernel costs around a design: Yosys' cells of its own modules, by bus width.

python benchmarks/bench_kernel_cost.py         # around the demonstration
python benchmarks/bench_kernel_cost.py BUILD   # around what `gatewright compile` wrote there, at its own bus width
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from pathlib import Path

from common import OUT, report

from gatewright.boards import load_board
from gatewright.build import Build
from gatewright.demo import run_demo
from gatewright.design.structure import Structure
from gatewright.emit import kernel, kernel_text, rtl
from gatewright.synth.plan import Part, needed
from gatewright.synth.yosys import synthesise

INSTANCE = re.compile(r"^  (\w+) #\((.*)\) (i_\w+) \($", re.MULTILINE)
BUSES = (32, 64, 128, 256, 512)


def parts(build: Build, bus_bits: int) -> list[Part]:
    """The instances of the core, the design inside left out."""
    design: Structure = build.structure
    paths = [*kernel.library(), *rtl.kernel_sources(design)]
    sources = {p.stem: p for p in paths}
    text = kernel_text.core(design, kernel.kernel_map(build.design_graph, design, bus_bits))
    found = []
    for module, values, name in INSTANCE.findall(text):
        # The hash is a constant of 128 bits whose value costs nothing.
        parameters = {k: int(v) for k, v in re.findall(r"\.(\w+)\((\d+)\)", values)}
        found.append(Part(name, module, parameters, {}, needed(module, sources)))
    return found


def main() -> None:
    """Build the demonstration unless a build is given, synthesise what is around it, and add it up by module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("build", nargs="?", type=Path)
    folder, buses = parser.parse_args().build, BUSES
    if folder is None:
        folder = OUT / "demo"
        if not (folder / "manifest.json").is_file():
            run_demo(folder)
    else:
        buses = (Build.open(folder).kernel.bus_bits,)
    build = Build.open(folder)
    board = load_board(build.summary()["board"])
    rows = []
    for bus_bits in buses:
        found = parts(build, bus_bits)
        netlists = synthesise(found, board.family)
        for module in dict.fromkeys(p.module for p in found):
            total: Counter[str] = Counter()
            names = [p.name for p in found if p.module == module]
            for name in names:
                total.update(netlists[name].resources)
            cells = {r: total[r] for r in board.capacity}
            rows.append({"bus": bus_bits, "module": module, "instances": len(names), **cells})
        whole = {r: sum(row[r] for row in rows if row["bus"] == bus_bits) for r in board.capacity}
        rows.append({"bus": bus_bits, "module": "all", "instances": len(found), **whole})
    report("kernel_cost", rows)


if __name__ == "__main__":
    main()

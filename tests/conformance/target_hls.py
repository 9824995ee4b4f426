# SPDX-License-Identifier: Apache-2.0
"""The target `hls`: kernels in C simulation, exact in value, under the address and undefined-behaviour sanitizers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gatewright.design.structure import structure
from gatewright.emit import hls_project
from gatewright.emit.files import FileSet
from gatewright.ir.graph import Graph
from gatewright.ir.op import Op
from gatewright.sim.csim import compile_csim, run_program

from .support import describe, labelled, sample, singles

FRAMES = 7
"""More than a batch of the test bench below: state that survives a call would show."""
BATCH = 3
BUSES = (32, 64, 128)


def check(ops: Sequence[Op], folder: Path) -> None:
    """All operators in one program; see `check_graphs`."""
    check_graphs(singles(ops), folder)


def check_graphs(graphs: Sequence[Graph], folder: Path) -> None:
    """All designs in one program, each behind masters of another width, the first one also behind stream ports.

    Every integer must equal the reference.
    """
    graphs = [labelled(g, f"e{i}") for i, g in enumerate(graphs)]
    designs = [structure(g) for g in graphs]
    buses = [BUSES[i % len(BUSES)] for i in range(len(designs))]
    files = FileSet()
    for design, bus in zip(designs, buses, strict=True):
        for path, text in hls_project.sources(design, bus):
            files.add(path, text)
    files.add("main.cpp", _main([d.name for d in designs]))
    files.write(folder)
    program = compile_csim([folder / "main.cpp"], [folder / "include", folder], sanitize=True)
    rng = np.random.default_rng(0)
    for graph, design, bus in zip(graphs, designs, buses, strict=True):
        xs = [sample(i.tensor, FRAMES, rng) for i in graph.inputs]
        data = folder / f"{design.name}_data"
        data.mkdir()
        values = graph.run(*xs)
        message = ", ".join(describe(n.op) for n in graph.nodes)
        for top in [design.name, f"{design.name}_stream"][: 2 if design is designs[0] else 1]:
            found = run_program([str(program), top, str(data)], design, data, xs, bus)
            for have, want in zip(found, (values[t] for t in graph.leaving), strict=True):
                np.testing.assert_array_equal(have, want.reshape(FRAMES, -1), f"{top}: {message}")


def _main(names: Sequence[str]) -> str:
    """Sources of all designs, and a `main` that runs the bench of the top function that is named."""
    stream = f"{names[0]}_stream"
    includes = [f'#include "{n}{end}"' for n in (*names, stream) for end in (".cpp", "_tb.hpp")]
    calls = [f'  if (std::string("{n}") == argv[1]) return int({n}_bench(argv[2], false, {BATCH}) > 0);' for n in names]
    calls.append(f'  if (std::string("{stream}") == argv[1]) return int({stream}_bench(argv[2]) > 0);')
    return "\n".join(
        [*includes, "int main(int argc, char** argv) {", "  if (argc < 3) return 2;", *calls, "  return 2;\n}\n"]
    )

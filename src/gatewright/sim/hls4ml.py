# SPDX-License-Identifier: Apache-2.0
"""Compiles a project of hls4ml to its C simulation, once per content, and runs whole data sets through it."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gatewright.emit.files import FileSet
from gatewright.emit.hls4ml import Plan
from gatewright.errors import SimulationError
from gatewright.ir.types import IntArray
from gatewright.sim.cache import cache_folder, cached, digest
from gatewright.sim.tools import find_tool, finish_compilers, start_compiler, with_stack

CXX_FLAGS = ("-std=c++14", "-O2", "-Ifirmware/ap_types", "-I.")
"""The language of Vitis HLS; hls4ml's headers are not free of warnings."""

MAIN = """// Streams frames of doubles from one file to another through hls4ml's bridge.
#include <cstdio>
#include <vector>

extern "C" void {top}_double({signature});

int main(int, char **argv) {{
    std::FILE *given = std::fopen(argv[1], "rb"), *made = std::fopen(argv[2], "wb");
    std::vector<double> in({inputs}), out({outputs});
    while (std::fread(in.data(), sizeof(double), in.size(), given) == in.size()) {{
        {top}_double({arguments});
        std::fwrite(out.data(), sizeof(double), out.size(), made);
    }}
    return std::fclose(made);
}}
"""


@dataclass(frozen=True, eq=False)
class Hls4mlModel:
    """A compiled project.

    Attributes:
        plan: what it computes.
        program: takes a file of frames and writes one.
    """

    plan: Plan
    program: Path

    def run(self, inputs: tuple[IntArray, ...]) -> dict[str, IntArray]:
        """Outputs by tensor, int64 of shape (frames, elements).

        Args:
            inputs: integers of shape (frames, ...) for every input.

        Raises:
            SimulationError: it breaks off, or a stream runs dry or is not emptied.
        """
        frames = np.concatenate([x.reshape(len(x), -1) for x in inputs], axis=1).astype(np.float64)
        with tempfile.TemporaryDirectory(prefix="gatewright-") as name:
            given, made = Path(name) / "in", Path(name) / "out"
            given.write_bytes(frames.tobytes())
            done = subprocess.run(
                with_stack([str(self.program), str(given), str(made)]),
                capture_output=True, text=True, errors="replace", check=False,
            )  # fmt: skip
            said = (done.stdout + done.stderr).strip()
            if done.returncode or said:  # the model of a stream only warns when it is read while empty, or left full
                what = said.splitlines()[0] if said else f"it ended with status {done.returncode}"
                raise SimulationError(f"the C simulation of {self.plan.name!r}: {what}")
            sizes = self.plan.sizes(self.plan.outputs.values())
            values = np.fromfile(made, np.float64).reshape(len(frames), sum(sizes))
        parts = np.split(values.astype(np.int64), np.cumsum(sizes)[:-1], axis=1)
        return dict(zip(self.plan.outputs, parts, strict=True))


def compile_project(plan: Plan, files: FileSet, cache: Path | None = None) -> Hls4mlModel:
    """Compile a project, or find it compiled.

    Args:
        cache: where to keep programs instead of `cache_folder()`.

    Raises:
        MissingToolError: g++ is missing.
        ToolError: g++ rejects the project.
    """
    cxx = find_tool("g++")
    main = _main(plan)
    root = (cache or cache_folder()) / "hls4ml"
    key = digest(files.digest(), main, cxx.version, CXX_FLAGS)

    def make(_: Path, folder: Path) -> None:
        files.write(folder)
        (folder / "main.cpp").write_text(main)
        weights = f'-DWEIGHTS_DIR="{root / key / "firmware" / "weights"}"'
        sources = (f"firmware/{plan.name}.cpp", f"{plan.name}_bridge.cpp", "main.cpp")
        objects = [f"{Path(s).stem}.o" for s in sources]

        compilers = [
            start_compiler(cxx, [*CXX_FLAGS, weights, "-c", s, "-o", o], folder)
            for s, o in zip(sources, objects, strict=True)
        ]
        what = f"hls4ml's project {plan.name!r}"
        finish_compilers(compilers, what)
        finish_compilers([start_compiler(cxx, [*objects, "-o", "simulation"], folder)], what)

    return Hls4mlModel(plan, cached(root, key, make) / "simulation")


def _main(plan: Plan) -> str:
    """The program's text."""
    ins, outs = plan.sizes(plan.inputs), plan.sizes(plan.outputs.values())
    arguments = [
        f"&{name}[{sum(sizes[:i])}]" for name, sizes in (("in", ins), ("out", outs)) for i in range(len(sizes))
    ]
    return MAIN.format(
        top=plan.name,
        signature=", ".join(["double *"] * len(arguments)),
        arguments=", ".join(arguments),
        inputs=sum(ins),
        outputs=sum(outs),
    )

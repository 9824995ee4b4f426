# SPDX-License-Identifier: Apache-2.0
"""C simulation of an emitted HLS project: its own test bench and top function under g++, on whole data sets."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gatewright.design.structure import Structure
from gatewright.emit.hls_bench import argument_names
from gatewright.errors import SimulationError
from gatewright.ir.op import package_root
from gatewright.ir.packing import frame_images, read_images
from gatewright.ir.types import IntArray
from gatewright.progress import Progress, silent
from gatewright.sim.cache import cache_folder, cached, digest, file_digests
from gatewright.sim.tools import find_tool, finish_compilers, start_compiler, with_stack

BATCH = 8
"""Frames that the top function is called on at once: all words between its units are in memory at that time."""
UNSAID = ("unknown-pragmas", "unused-label", "uninitialized", "maybe-uninitialized")
"""Warnings that say nothing here: g++ knows no pragma of Vitis HLS and does not see that labels name loops in its
reports, and the constructor of `ap_int` masks a value before it has one."""
WARNINGS = ("-Wall", "-Wextra", "-Werror", *(f"-Wno-{name}" for name in UNSAID))
SANITIZERS = (
    "-fsanitize=address,undefined",
    "-fno-sanitize=shift",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
)
"""Shifts are left out: `ap_int` extends signs by shifting them out on purpose."""
EXACT_TERMS = "-DGATEWRIGHT_EXACT_TERMS"
"""Intermediate results have the very widths of the hardware, as in synthesis, and are not native integers."""
STAND_INS = "hls/csim"
"""Headers of Vitis HLS that hls4ml lacks, of our own; only g++ gets to see them."""


def compile_csim(sources: Sequence[Path], include: Sequence[Path], *, sanitize: bool = False) -> Path:
    """Compile C sources of an HLS project to a program, or find it compiled.

    Args:
        sources: `.cpp` files; all headers beside them and below `include` count as their contents.
        include: folders of headers.
        sanitize: with the address and undefined-behaviour sanitizers, which end a run at the first fault, and with
            every intermediate result in its exact width; slow.

    Raises:
        ToolError: g++ or the headers of hls4ml are missing, or g++ rejects the sources.
    """
    cxx, types = find_tool("g++"), find_tool("ap_types")
    headers = sorted({h for folder in (*include, *(s.parent for s in sources)) for h in folder.rglob("*.hpp")})
    stand_in = package_root() / STAND_INS
    flags = ["-std=c++14", "-O0" if sanitize else "-O2", *WARNINGS, *((EXACT_TERMS, *SANITIZERS) if sanitize else ())]

    def make(root: Path, folder: Path) -> None:
        places = [f"-I{p.resolve()}" for p in (*include, stand_in)] + [f"-isystem{types.path}"]
        jobs = []
        for i, source in enumerate(sources):
            jobs.append(start_compiler(cxx, [*flags, *places, "-c", str(source.resolve()), "-o", f"{i}.o"], folder))
        finish_compilers(jobs, f"the C simulation of {sources[0].stem!r}")
        objects = [f"{i}.o" for i in range(len(sources))]
        finish_compilers([start_compiler(cxx, [*flags, *objects, "-o", "csim"], folder)], sources[0].stem)
        for name in objects:
            (folder / name).unlink()

    key = digest(file_digests([*sources, *headers, *sorted(stand_in.glob("*.h"))]), flags, cxx.version, types.version)
    return cached(cache_folder() / "csim", key, make) / "csim"


def build_csim(design: Structure, folder: Path, *, stream: bool = False, sanitize: bool = False) -> Path:
    """Compile the project that `emit.hls_project` wrote to a folder; errors are those of `compile_csim`.

    Args:
        stream: the top function with AXI4-Stream ports, not that with AXI4 masters.
    """
    top = f"{design.name}_stream" if stream else design.name
    sources = [folder / f"{top}.cpp", folder / f"{top}_tb.cpp"]
    return compile_csim(sources, [folder / "include", folder], sanitize=sanitize)


def run_csim(
    design: Structure,
    folder: Path,
    inputs: Sequence[IntArray],
    bus_bits: int = 64,
    *,
    stream: bool = False,
    sanitize: bool = False,
    progress: Progress = silent,
) -> tuple[IntArray, ...]:
    """Compile an emitted project and run integer frames through its top function.

    Args:
        inputs: per input, int64 of shape (frames, ...) in stream order.
        bus_bits: width of the project's memory words.
        stream: through the top function with AXI4-Stream ports, not that with AXI4 masters.

    Returns:
        Per output of the graph, int64 of shape (frames, elements).

    Raises:
        ToolError: g++ or the headers of hls4ml are missing.
        SimulationError: the program breaks off.
    """
    progress("compiling the C simulation")
    program = build_csim(design, folder, stream=stream, sanitize=sanitize)
    progress("running the C simulation")
    with tempfile.TemporaryDirectory(prefix="gatewright-") as name:
        found = run_program([str(program), name], design, Path(name), inputs, bus_bits)
    return tuple(found[i] for i in design.leaves)


def run_program(
    command: Sequence[str], design: Structure, data: Path, inputs: Sequence[IntArray], bus_bits: int
) -> list[IntArray]:
    """Write a design's inputs as a test bench reads them, run it, and read what it wrote: one array a stream.

    Raises:
        SimulationError: the program breaks off.
    """
    ins, outs = argument_names(design)
    for name, stream, x in zip(ins, design.inputs, inputs, strict=True):
        (data / f"{name}.bin").write_bytes(frame_images(x, stream, bus_bits).tobytes())
    done = subprocess.run(with_stack(command), cwd=data, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        said = (done.stderr + done.stdout).strip().splitlines()
        raise SimulationError(
            f"the C simulation of {design.name!r} ends with code {done.returncode}:\n  "
            + ("\n  ".join(said[:12]) or "no message")
        )
    frames = len(inputs[0])
    return [
        read_images((data / f"{n}.bin").read_bytes(), frames, s, bus_bits)
        for n, s in zip(outs, design.outputs, strict=True)
    ]

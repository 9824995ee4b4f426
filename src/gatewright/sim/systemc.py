# SPDX-License-Identifier: Apache-2.0
"""SystemC models of emitted designs behind the harness of the RTL: the same traffic, checks and results."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gatewright.design.structure import Structure
from gatewright.emit.hls import space
from gatewright.errors import ConfigError
from gatewright.ir.types import IntArray
from gatewright.progress import Progress, silent
from gatewright.sim.cache import cache_folder, cached, digest, file_digests
from gatewright.sim.csim import WARNINGS
from gatewright.sim.model import Group, Model, Traffic, read_results
from gatewright.sim.rtl import RtlRun, group_of, patient
from gatewright.sim.tools import Tool, find_tool, finish_compilers, start_compiler

_FLAGS = ("-std=c++17", *WARNINGS)  # Debian's library is built as C++17, and says so to the linker
_HERE = Path(__file__).parent


def compile_systemc(
    designs: Sequence[Structure], groups: Sequence[Group], folder: Path, *, optimise: bool = True
) -> Model:
    """Compile models that `emit.systemc` wrote to a folder, side by side, or find them compiled.

    Args:
        groups: per design, its ports as the harness is to call them.
        optimise: for long runs; short ones are done sooner without.

    Raises:
        ToolError: g++, SystemC or the headers of hls4ml are missing, or g++ rejects the models.
    """
    cxx, systemc, types = find_tool("g++"), find_tool("systemc"), find_tool("ap_types")
    build = _Build(cxx, systemc, types, tuple(designs), tuple(groups), folder, "-O2" if optimise else "-O0")
    program = cached(cache_folder() / "systemc", build.key(), build.run) / "sim"
    return Model(program, designs[0].name, tuple(groups), folder, traced=True)


def build_systemc(design: Structure, folder: Path) -> Model:
    """Compile the model of a design; errors are those of `compile_systemc`."""
    return compile_systemc([design], [replace(group_of(design), memories=())], folder)  # its kernels have their ROMs


@dataclass(frozen=True)
class FifoUse:
    """Words that a FIFO has place for, and the most that it held."""

    depth: int
    peak: int


@dataclass(frozen=True)
class UnitUse:
    """Cycles in which a unit made a step, waited for a beat, and waited for room behind it."""

    busy: int
    starved: int
    blocked: int


@dataclass(frozen=True, eq=False)
class SystemcRun(RtlRun):
    """What a model gave, with how full its FIFOs got and what its units waited for, by their names in the design."""

    fifos: Mapping[str, FifoUse]
    units: Mapping[str, UnitUse]


def run_systemc(
    design: Structure,
    folder: Path,
    inputs: tuple[IntArray, ...],
    traffic: Traffic | None = None,
    progress: Progress = silent,
    *,
    vcd: Path | None = None,
) -> SystemcRun:
    """Compile an emitted model and stream integer frames through it; cycles are those of `sc_time`.

    Args:
        inputs: per input, int64 of shape (frames, ...) in stream order.
        traffic: stalls; full speed by default.
        vcd: file for the handshakes of all FIFOs and the steps of all units.

    Raises:
        ConfigError: resets in mid-run, which a model does not know; or no folder for the VCD file.
        ToolError: g++, SystemC or the headers of hls4ml are missing.
        SimulationError: the model stalls.
    """
    if vcd is not None and not vcd.absolute().parent.is_dir():
        raise ConfigError(f"{vcd} cannot be written: {vcd.absolute().parent} is no folder; make it, or name another")
    if traffic is not None and traffic.reset_at:
        raise ConfigError(f"reset_at={traffic.reset_at!r}: a SystemC model is not reset in mid-run; the RTL is")
    progress("compiling the SystemC model")
    model = build_systemc(design, folder)
    with tempfile.TemporaryDirectory(prefix="gatewright-") as name:
        model.run_in(
            Path(name), [[x.reshape(len(x), -1) for x in inputs]], patient(traffic or Traffic(), design),
            progress=lambda done, total: progress("running the SystemC model", done, total),
            wave=None if vcd is None else (vcd, 0, 1),
        )  # fmt: skip
        (result,) = read_results(Path(name), model.groups)
        fifos, units = _observed(Path(name) / "observed.txt")
    return SystemcRun(tuple(result.outputs[i] for i in design.leaves), result, fifos, units)


def _observed(path: Path) -> tuple[dict[str, FifoUse], dict[str, UnitUse]]:
    """FIFOs and units of one design, without what their names begin with in C++."""
    fifos, units = {}, {}
    for line in path.read_text().splitlines():
        kind, name, *counts = line.split()
        own = name.rpartition(".")[2].partition("_")[2]
        if kind == "fifo":
            fifos[own] = FifoUse(*map(int, counts))
        else:
            units[own] = UnitUse(*map(int, counts))
    return fifos, units


@dataclass(frozen=True)
class _Build:
    cxx: Tool
    systemc: Tool
    types: Tool
    designs: tuple[Structure, ...]
    groups: tuple[Group, ...]
    folder: Path
    level: str

    def key(self) -> str:
        shims = [_HERE / "systemc_model.cpp", *sorted(_HERE.glob("harness*.[ch]pp"))]
        headers = sorted(self.folder.rglob("*.hpp"))
        tools = [self.cxx.version, self.systemc.version, self.types.version, *_FLAGS, self.level]
        return digest(file_digests([*headers, *shims]), self.models(), self.pins(), tools)

    def models(self) -> str:
        """What declares the models."""
        members = [f'  {space(d)}::Network {d.name}{{"{d.name}"}};' for d in self.designs]
        first = self.designs[0].name
        return "\n".join(
            [
                *(f'#include "{d.name}_systemc.hpp"' for d in self.designs),
                "struct Designs {",
                *members,
                f"  sc_core::sc_time period() const {{ return {first}.time.period; }}",
                "  void trace(sc_core::sc_trace_file* file) {",
                *(f"    {d.name}.time.trace(file);" for d in self.designs),
                "  }",
                "  void print(std::ostream& os) const {",
                *(f"    {d.name}.time.print(os);" for d in self.designs),
                "  }",
                "};\n",
            ]
        )

    def pins(self) -> str:
        """The table of ports for systemc_model.cpp."""
        rows = []
        for i, (design, group) in enumerate(zip(self.designs, self.groups, strict=True)):
            own = group_of(design)
            for kind, ports, named in (("INPUT", own.inputs, group.inputs), ("OUTPUT", own.outputs, group.outputs)):
                for port, name in zip(ports, named, strict=True):
                    s = port.stream
                    shape = f"{s.bits}, {int(s.signed)}, {s.lanes}, {s.beats}"
                    rows.append(f'{kind}({design.name}, {port.prefix}, "{name.prefix}", {i}, {shape})\n')
        return "".join(rows)

    def run(self, root: Path, folder: Path) -> None:
        harness = cached(
            root, "runtime-" + digest(file_digests(sorted(_HERE.glob("harness*.[ch]pp"))), _FLAGS), self._harness
        )
        with tempfile.TemporaryDirectory(prefix="gatewright-") as name:
            work = Path(name)
            (work / "models.inc").write_text(self.models())
            (work / "pins.inc").write_text(self.pins())
            places = [f"-I{p}" for p in (work, _HERE, self.folder.resolve(), (self.folder / "include").resolve())]
            places += [f"-isystem{self.types.path}", *([f"-isystem{self.systemc.path}"] if self._own() else [])]
            what = f"the SystemC model of {self.designs[0].name!r}"
            source = str(_HERE / "systemc_model.cpp")
            finish_compilers([self._start([self.level, *places, "-c", source, "-o", "model.o"], work)], what)
            libraries = [f"-L{p}" for p in self._own()] + [f"-Wl,-rpath,{p}" for p in self._own()] + ["-lsystemc"]
            objects = ["model.o", str(harness / "harness.o"), *libraries, "-o", str(folder / "sim")]
            finish_compilers([self._start(objects, work)], what)

    def _own(self) -> list[Path]:
        """Folders of libraries of a SystemC that lies where no compiler looks by itself."""
        if self.systemc.path.parent.name in ("usr", "local"):
            return []
        return sorted(p for p in self.systemc.path.parent.glob("lib*") if any(p.glob("libsystemc.*")))

    def _harness(self, root: Path, folder: Path) -> None:
        finish_compilers(
            [self._start(["-O2", "-c", str(_HERE / "harness.cpp"), "-o", "harness.o"], folder)], "the harness"
        )

    def _start(self, arguments: list[str], work: Path) -> subprocess.Popen[str]:
        return start_compiler(self.cxx, [*_FLAGS, *arguments], work)

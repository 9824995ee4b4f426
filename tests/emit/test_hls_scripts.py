# SPDX-License-Identifier: Apache-2.0
"""Scripts of HLS projects, run with recorders in place of the tools: commands, order, arguments, files, and legal keys.

Vitis HLS itself is not at hand. The tables below are facts out of its user guide, UG1399, with their sections.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from tests.design.graphs import mlp, random_dag

from gatewright.boards import Board, load_board
from gatewright.design.structure import structure
from gatewright.emit import hls_project
from gatewright.emit.hls_scripts import PACKAGES, TOPS, Target
from gatewright.emit.hls_vectors import VECTOR_FRAMES, vectors
from gatewright.ir.graph import Graph
from gatewright.ir.packing import read_images

BOARDS = ("pynq-z2", "alveo-u250")
MHZ = 150.0


@dataclass(frozen=True)
class Command:
    """A Tcl command: the section of UG1399, options with a value, options without one, and how many words besides."""

    section: str
    valued: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    words: int = 0


COMMANDS = {
    "open_project": Command("open_project", flags=("-reset", "-upgrade"), words=1),
    "set_top": Command("set_top", words=1),
    "add_files": Command("add_files", ("-cflags", "-csimflags", "-blackbox"), ("-tb",), 1),
    "open_solution": Command("open_solution", ("-flow_target",), ("-reset",), 1),
    "set_part": Command("set_part", words=1),
    "create_clock": Command("create_clock", ("-period", "-name")),
    "config_interface": Command("config_interface", flags=("-m_axi_addr64=true", "-m_axi_addr64=false")),
    "csim_design": Command("csim_design", ("-argv", "-ldflags", "-mflags"), ("-O", "-clean", "-profile", "-setup")),
    "csynth_design": Command("csynth_design", flags=("-dump_cfg", "-dump_post_cfg", "-synthesis_check")),
    "cosim_design": Command("cosim_design", ("-argv", "-rtl", "-tool", "-trace_level"), ("-O", "-random_stall")),
    "export_design": Command("export_design", ("-format", "-flow", "-output", "-rtl", "-version")),
}

KEYS = {
    "part": "HLS Config File Commands: options without a header",
    "flow_target": "HLS General Options",
    "clock": "HLS General Options",
    "syn.top": "C-Synthesis Sources",
    "syn.file": "C-Synthesis Sources",
    "syn.cflags": "C-Synthesis Sources",
    "syn.interface.m_axi_addr64": "Interface Configuration",
    "tb.file": "Test Bench Sources",
    "tb.cflags": "Test Bench Sources",
    "package.output.format": "Package Options",
    "package.output.syn": "Package Options",
}
SEVERAL = ("syn.file", "tb.file")
"""Keys that may stand more than once."""


def several() -> Graph:
    return random_dag(5, 5)


def write(folder: Path, board: Board, graph: Graph) -> Path:
    """A project with its vectors."""
    design = structure(graph)
    hls_project.emit(design, board, MHZ).write(folder)
    rng = np.random.default_rng(0)
    xs = [rng.integers(i.tensor.lo, i.tensor.hi + 1, (6, *i.tensor.shape)) for i in graph.inputs]
    for path, content in vectors(design, xs, graph.reference(*xs), board.memory_bits).items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


@pytest.fixture(scope="module", params=BOARDS)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Board]:
    board = load_board(request.param)
    return write(tmp_path_factory.mktemp("hls"), board, several()), board


# --- Tcl --------------------------------------------------------------------------------------------------------------


def interpreter() -> list[str]:
    """A Tcl interpreter that runs a file."""
    if tclsh := shutil.which("tclsh"):
        return [tclsh]
    pytest.importorskip("tkinter", reason="needs tclsh or Python's tkinter")
    return [sys.executable, "-c", "import sys, tkinter; tkinter.Tcl().evalfile(sys.argv[1])"]


def run_tcl(
    script: Path, words: Sequence[str], folder: Path, fails: str = "", environment: str | None = None
) -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
    """Run a script with recorders for the commands of Vitis HLS, one of which may fail: what they were called with."""
    log = folder / "log"
    log.unlink(missing_ok=True)
    recorders = [
        f"proc {name} args {{ record {name} $args; {'error {it fails}' if name == fails else ''} }}"
        for name in COMMANDS
    ]
    prelude = [
        f"proc record {{name words}} {{ set f [open {{{log}}} a]; "
        'puts $f [join [concat [list $name] $words] "\\t"]; close $f }',
        *recorders,
        f"set argv [list {' '.join(words)}]",
        f"source {{{script}}}",
    ]
    (folder / "prelude.tcl").write_text("\n".join(prelude) + "\n")
    done = subprocess.run(
        [*interpreter(), str(folder / "prelude.tcl")], capture_output=True, text=True, check=False,
        env={k: v for k, v in os.environ.items() if k != "HLS_RUN"} | ({"HLS_RUN": environment} if environment else {}),
    )  # fmt: skip
    return done, [line.split("\t") for line in log.read_text().splitlines()] if log.exists() else []


def check_call(call: Sequence[str]) -> None:
    """Against the table."""
    command, rest = COMMANDS[call[0]], list(call[1:])
    words = 0
    while rest:
        word = rest.pop(0)
        if word in command.valued:
            assert rest, f"{call}: {word} has no value"
            rest.pop(0)
        elif word not in command.flags:
            assert not word.startswith("-"), f"{call}: {word} is not in section {command.section!r}"
            words += 1
    assert words == command.words, call


@pytest.mark.parametrize("variant", TOPS)
def test_the_script_in_tcl(variant: str, project: tuple[Path, Board], tmp_path: Path) -> None:
    folder, board = project
    done, calls = run_tcl(folder / "run_hls.tcl", [variant], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for call in calls:
        check_call(call)
    top = "dag" + TOPS[variant]
    flags = ["-cflags", "-Iinclude -std=c++14"]
    assert calls == [
        ["open_project", f"{top}_project"],
        ["set_top", top],
        ["add_files", f"{top}.cpp", *flags],
        ["add_files", "-tb", f"{top}_tb.cpp", *flags],
        ["add_files", "-tb", "data"],
        ["open_solution", board.flow, "-flow_target", board.flow],
        ["set_part", board.part],
        ["create_clock", "-period", "6.666", "-name", "default"],
        ["config_interface", "-m_axi_addr64=true"],
        ["csim_design"],
        ["csynth_design"],
        ["cosim_design"],
        ["export_design", "-format", "ip_catalog"],
        *([["export_design", "-format", "xo"]] if board.flow == "vitis" else []),
    ]
    named = [call[-1] if call[1] == "-tb" and len(call) == 3 else next(w for w in call[1:] if w.endswith(".cpp"))
             for call in calls if call[0] == "add_files"]  # fmt: skip
    assert all((folder / name).exists() for name in [*named, "include"])
    assert re.search(rf"\b{top}\(", (folder / f"{top}.cpp").read_text())


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        (["csynth"], ["csynth_design"]),
        (["cosim", "stream", "csynth"], ["csynth_design", "cosim_design"]),
        (["-f", "run_hls.tcl", "csim"], ["csim_design"]),
        (["--mode", "hls", "--tcl", "run_hls.tcl", "cosim"], ["cosim_design"]),
        (["vitis", "csynth", "xo"], ["csynth_design", "export_design"]),
    ],
)
def test_steps_are_chosen_by_words(
    words: list[str], steps: list[str], project: tuple[Path, Board], tmp_path: Path
) -> None:
    folder, board = project
    done, calls = run_tcl(folder / "run_hls.tcl", words, tmp_path)
    assert done.returncode == 0
    assert [c[0] for c in calls if c[0].endswith("_design")] == steps
    (solution,) = (c for c in calls if c[0] == "open_solution")
    assert solution[-1] == ("vitis" if "vitis" in words else board.flow)
    assert (calls[1][1] == "dag_stream") == ("stream" in words)


def test_words_of_the_environment_come_first(project: tuple[Path, Board], tmp_path: Path) -> None:
    script = project[0] / "run_hls.tcl"
    done, calls = run_tcl(script, ["-f", "run_hls.tcl", "csim"], tmp_path, environment="stream csynth")
    assert done.returncode == 0 and calls[1] == ["set_top", "dag_stream"]
    assert [c[0] for c in calls if c[0].endswith("_design")] == ["csynth_design"]


def test_a_word_that_is_unknown_and_a_step_that_fails(project: tuple[Path, Board], tmp_path: Path) -> None:
    script = project[0] / "run_hls.tcl"
    done, calls = run_tcl(script, [], tmp_path, environment="csynht")
    assert done.returncode == 2 and not calls and "csynht is unknown: use axi, stream, vivado" in done.stderr
    done, calls = run_tcl(script, [], tmp_path, fails="csim_design")
    assert done.returncode == 1 and calls[-1] == ["csim_design"] and "it fails" in done.stderr


@pytest.mark.parametrize("mhz", [50.0, 100.0, 150.0, 300.0, 333.333])
def test_the_clock_is_never_slower_than_asked(mhz: float) -> None:
    period = float(Target("part", "vivado", mhz).period)
    assert 0 <= 1000 / mhz - period < 1.1e-3


# --- config files -----------------------------------------------------------------------------------------------------


def read_config(text: str) -> dict[str, list[tuple[str, str]]]:
    """Entries of each section, those in front of the first under ""."""
    sections: dict[str, list[tuple[str, str]]] = {"": []}
    here = ""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if match := re.fullmatch(r"\[(\w+)\]", line):
            here = match.group(1)
            sections[here] = []
            continue
        key, value = line.split("=", 1)
        sections[here].append((key, value))
    return sections


@pytest.mark.parametrize("variant", TOPS)
def test_config_files(variant: str, project: tuple[Path, Board]) -> None:
    folder, board = project
    sections = read_config((folder / f"hls_config_{variant}.cfg").read_text())
    assert list(sections) == ["", "hls"]
    assert sections[""] == [("part", board.part)]
    entries = sections["hls"]
    for key, _ in entries:
        assert key in KEYS and key != "part", f"{key} is in no section of UG1399 that the table knows"
        assert key in SEVERAL or sum(k == key for k, _ in entries) == 1
    values = dict(entries)
    top = "dag" + TOPS[variant]
    assert (values["syn.top"], values["syn.file"]) == (top, f"{top}.cpp")
    assert (values["flow_target"], values["package.output.format"]) == (board.flow, PACKAGES[board.flow])
    assert values["clock"] == "6.666ns"
    files = [value for key, value in entries if key in SEVERAL]
    assert all((folder / file).is_file() for file in files)
    assert files[1] == f"{top}_tb.cpp"
    assert sorted(files[2:]) == sorted(str(p.relative_to(folder)) for p in (folder / "data").iterdir())
    for key in ("syn.cflags", "tb.cflags"):
        assert values[key] == "-Iinclude -std=c++14"


# --- the shell script -------------------------------------------------------------------------------------------------


def run_shell(
    script: Path, words: Sequence[str], tools: Sequence[str], folder: Path
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run with recorders for the tools that are named, and without any other."""
    log, there = folder / "log", folder / "bin"
    log.unlink(missing_ok=True)
    shutil.rmtree(there, ignore_errors=True)
    there.mkdir()
    for tool in tools:
        (there / tool).write_text(f'#!/bin/sh\necho "{tool} $*, HLS_RUN=${{HLS_RUN-none}} in $(pwd)" >> {log}\n')
        (there / tool).chmod(0o755)
    env = {"PATH": f"{there}:/usr/bin:/bin"}
    done = subprocess.run(["/bin/sh", str(script), *words], env=env, capture_output=True, text=True, check=False)
    return done, log.read_text().splitlines() if log.exists() else []


@pytest.mark.parametrize(
    ("tools", "command"),
    [
        (["vitis_hls", "vitis-run"], "vitis_hls -f run_hls.tcl"),
        (["vitis-run", "v++"], "vitis-run --mode hls --tcl run_hls.tcl"),
    ],
)
def test_the_shell_script_takes_the_tool_that_is_there(
    tools: list[str], command: str, project: tuple[Path, Board], tmp_path: Path
) -> None:
    folder, _ = project
    done, said = run_shell(folder / "run_hls.sh", ["stream", "csynth"], tools, tmp_path)
    assert done.returncode == 0 and said == [f"{command}, HLS_RUN=stream csynth in {folder}"]
    _, said = run_shell(folder / "run_hls.sh", [], tools, tmp_path)
    assert said == [f"{command}, HLS_RUN=none in {folder}"]


def test_the_shell_script_with_a_config_file(project: tuple[Path, Board], tmp_path: Path) -> None:
    script, tools = project[0] / "run_hls.sh", ["v++", "vitis-run"]
    done, said = run_shell(script, ["--config", "stream"], tools, tmp_path)
    config = "--config hls_config_stream.cfg --work_dir component_stream"
    assert done.returncode == 0
    assert [line.split(", HLS_RUN")[0] for line in said] == [
        f"vitis-run --mode hls --csim {config}",
        f"v++ -c --mode hls {config}",
        f"vitis-run --mode hls --cosim {config}",
        f"vitis-run --mode hls --package {config}",
    ]
    done, said = run_shell(script, ["--config", "csynth"], tools, tmp_path)
    assert len(said) == 1 and "--config hls_config_axi.cfg --work_dir component_axi" in said[0]
    done, said = run_shell(script, ["--config", "xo"], tools, tmp_path)
    assert done.returncode == 2 and not said and "xo is unknown: use axi, stream" in done.stderr


def test_the_shell_script_says_what_is_missing(project: tuple[Path, Board], tmp_path: Path) -> None:
    done, _ = run_shell(project[0] / "run_hls.sh", [], [], tmp_path)
    assert done.returncode == 127 and "neither vitis_hls nor vitis-run is on PATH" in done.stderr


# --- vectors ----------------------------------------------------------------------------------------------------------


def shared() -> Graph:
    """Three outputs, of which two leave as one stream."""
    first, second = several().outputs
    return replace(several(), outputs=(first, replace(first, name="again"), second))


@pytest.mark.parametrize("graph", [several(), mlp((16, 8, 4), 4), shared()], ids=["several", "one", "shared"])
def test_vectors_are_the_first_frames_and_what_golden_makes_of_them(graph: Graph) -> None:
    design, bus = structure(graph), 128
    rng = np.random.default_rng(0)
    xs = [rng.integers(i.tensor.lo, i.tensor.hi + 1, (9, *i.tensor.shape)) for i in graph.inputs]
    files = vectors(design, xs, graph.reference(*xs), bus)
    found = [
        read_images(c, VECTOR_FRAMES, s, bus)
        for c, s in zip(files.values(), design.inputs + design.outputs, strict=True)
    ]
    values = graph.run(*xs)
    for have, want in zip(found, [*xs, *(values[t] for t in graph.leaving)], strict=True):
        np.testing.assert_array_equal(have, want[:VECTOR_FRAMES].reshape(VECTOR_FRAMES, -1))
    assert all(name.startswith(("data/input", "data/golden_output")) for name in files)

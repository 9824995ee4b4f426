# SPDX-License-Identifier: Apache-2.0
"""Scripts of HLS projects on the model of Vitis HLS: commands, order, arguments, files, and legal keys.

Vitis HLS itself is not at hand. What the model knows is in synth/tcl_model/tables, from its user guide, UG1399.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
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
from gatewright.synth.tcl_model import Result, run, shell
from gatewright.synth.tcl_model.shell import ShellResult
from gatewright.synth.tcl_model.vitis import Link, check_config

needs_tclsh = pytest.mark.skipif(shutil.which("tclsh") is None, reason="needs tclsh: apt install tcl")

BOARDS = ("pynq-z2", "alveo-u250")
MHZ = 150.0


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


def run_tcl(
    folder: Path, words: Sequence[str], fails: str = "", environment: str | None = None
) -> tuple[Result, list[list[str]]]:
    """Run the script on the model, in which a command may fail: what came of it, and its calls."""
    variables = {"HLS_RUN": environment} if environment else {}
    done = run("run_hls.tcl", folder, tool="vitis_hls", arguments=words, environment=variables,
               fails={fails: "it fails"} if fails else {})  # fmt: skip
    return done, [list(call) for call in done.calls]


@pytest.mark.parametrize("variant", TOPS)
@needs_tclsh
def test_the_script_in_tcl(variant: str, project: tuple[Path, Board]) -> None:
    folder, board = project
    done, calls = run_tcl(folder, [variant])
    assert (done.status, done.findings, done.said) == (0, (), ())
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
@needs_tclsh
def test_steps_are_chosen_by_words(words: list[str], steps: list[str], project: tuple[Path, Board]) -> None:
    folder, board = project
    done, calls = run_tcl(folder, words)
    early = words != ["csynth"] and "csynth" not in words and steps != ["csim_design"]
    assert [f.what for f in done.findings] == (["cosim_design: csynth_design comes first"] if early else [])
    assert [c[0] for c in calls if c[0].endswith("_design")] == steps
    (solution,) = (c for c in calls if c[0] == "open_solution")
    assert solution[-1] == ("vitis" if "vitis" in words else board.flow)
    assert (calls[1][1] == "dag_stream") == ("stream" in words)


@needs_tclsh
def test_words_of_the_environment_come_first(project: tuple[Path, Board]) -> None:
    done, calls = run_tcl(project[0], ["-f", "run_hls.tcl", "csim"], environment="stream csynth")
    assert done.status == 0 and calls[1] == ["set_top", "dag_stream"]
    assert [c[0] for c in calls if c[0].endswith("_design")] == ["csynth_design"]


@needs_tclsh
def test_a_word_that_is_unknown_and_a_step_that_fails(project: tuple[Path, Board]) -> None:
    done, calls = run_tcl(project[0], [], environment="csynht")
    assert done.status == 2 and not calls and "csynht is unknown: use axi, stream, vivado" in done.said[-1]
    done, calls = run_tcl(project[0], [], fails="csim_design")
    assert done.status == 1 and calls[-1] == ["csim_design"] and "it fails" in done.said[-1]


FAULTS = {
    "misspelt command": ("csynth_design", "csyn_design", "no command 'csyn_design' .*; did you mean 'csynth_design'"),
    "misspelt option": ("-cflags", "-cflag", "no option '-cflag'; did you mean '-cflags'"),
    "unknown part": ("xc7z020clg400-1", "xc7z020clg400-7", "part 'xc7z020clg400-7' is unknown"),
    "missing file": ("$top.cpp -cflags", "$top.cc -cflags", "is not there"),
    "folder of headers": ("-Iinclude", "-Iincludes", "'includes' of '.*' is no folder"),
    "no such top": ("set_top $top", "set_top ${top}x", "'dagx' is no function of the sources"),
    "value that is no boolean": ("addr64=true", "addr64=yess", "'yess' is no boolean"),
    "format that there is not": ("-format ip_catalog", "-format ipcatalog", "did you mean 'ip_catalog'"),
    "part before the solution": ("  open_solution $flow -flow_target $flow\n", "", "open_solution comes first"),
    "no test bench": ("  add_files -tb ${top}_tb.cpp -cflags $flags\n  add_files -tb data\n", "", "no test bench"),
    "export before synthesis": ("csynth { csynth_design }", "csynth { }", "csynth_design comes first"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("project", BOARDS[:1], indirect=True)
@needs_tclsh
def test_seeded_faults_in_tcl(name: str, project: tuple[Path, Board], tmp_path: Path) -> None:
    old, new, said = FAULTS[name]
    shutil.copytree(project[0], tmp_path, dirs_exist_ok=True)
    text = (tmp_path / "run_hls.tcl").read_text()
    assert old in text
    (tmp_path / "run_hls.tcl").write_text(text.replace(old, new))
    done, _ = run_tcl(tmp_path, [])
    assert any(re.search(said, f.what) and f.line for f in done.findings), done.findings


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
    path = folder / f"hls_config_{variant}.cfg"
    assert check_config(path, Link(folder), path.name) == []
    values = dict(entries)
    top = "dag" + TOPS[variant]
    assert (values["syn.top"], values["syn.file"]) == (top, f"{top}.cpp")
    assert (values["flow_target"], values["package.output.format"]) == (board.flow, PACKAGES[board.flow])
    assert values["clock"] == "6.666ns"
    files = [value for key, value in entries if key in ("syn.file", "tb.file")]
    assert files[1] == f"{top}_tb.cpp"
    assert sorted(files[2:]) == sorted(str(p.relative_to(folder)) for p in (folder / "data").iterdir())
    for key in ("syn.cflags", "tb.cflags"):
        assert values[key] == "-Iinclude -std=c++14"


# --- the shell script -------------------------------------------------------------------------------------------------


def run_shell(folder: Path, words: Sequence[str], tools: Sequence[str]) -> tuple[ShellResult, list[str]]:
    """Run it with these tools and without any other: what came of it, and its calls."""
    done = shell.run("run_hls.sh", folder, arguments=words, programs=tools)
    return done, [f"{' '.join(c.words)}, HLS_RUN={c.exported.get('HLS_RUN', 'none')}" for c in done.calls]


@pytest.mark.parametrize(
    ("tools", "command"),
    [
        (["vitis_hls", "vitis-run"], "vitis_hls -f run_hls.tcl"),
        (["vitis-run", "v++"], "vitis-run --mode hls --tcl run_hls.tcl"),
    ],
)
@needs_tclsh
def test_the_shell_script_takes_the_tool_that_is_there(
    tools: list[str], command: str, project: tuple[Path, Board]
) -> None:
    folder, _ = project
    done, said = run_shell(folder, ["stream", "csynth"], tools)
    assert (done.status, done.findings, said) == (0, (), [f"{command}, HLS_RUN=stream csynth"])
    done, said = run_shell(folder, [], tools)
    assert (done.status, done.findings, said) == (0, (), [f"{command}, HLS_RUN=none"])


@needs_tclsh
def test_the_shell_script_with_a_config_file(project: tuple[Path, Board]) -> None:
    folder, tools = project[0], ["v++", "vitis-run"]
    done, said = run_shell(folder, ["--config", "stream"], tools)
    config = "--config hls_config_stream.cfg --work_dir component_stream"
    assert (done.status, done.findings) == (0, ())
    assert [line.split(", HLS_RUN")[0] for line in said] == [
        f"vitis-run --mode hls --csim {config}",
        f"v++ -c --mode hls {config}",
        f"vitis-run --mode hls --cosim {config}",
        f"vitis-run --mode hls --package {config}",
    ]
    done, said = run_shell(folder, ["--config", "csynth"], tools)
    assert len(said) == 1 and "--config hls_config_axi.cfg --work_dir component_axi" in said[0]
    done, said = run_shell(folder, ["--config", "xo"], tools)
    assert done.status == 2 and not said and "xo is unknown: use axi, stream" in done.errors


@needs_tclsh
def test_the_shell_script_says_what_is_missing(project: tuple[Path, Board]) -> None:
    done, _ = run_shell(project[0], [], [])
    assert done.status == 127 and "neither vitis_hls nor vitis-run is on PATH" in done.errors


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

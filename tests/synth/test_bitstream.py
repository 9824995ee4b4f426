# SPDX-License-Identifier: Apache-2.0
"""`gatewright bitstream` from the command line, with a stand-in for Vivado: what it makes, and how it fails.

No test here shows anything of Vivado itself; `stand_in` says what it stands in for.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import Result
from tests.models import two_layers
from tests.synth import stand_in
from typer.testing import CliRunner

from gatewright.board.bundle import bundle as make_bundle
from gatewright.boards import load_board
from gatewright.build import Build, compile_model
from gatewright.cli import app
from gatewright.errors import ConfigError
from gatewright.report import render
from gatewright.runtime.bundle import Bundle

PLAIN = "/usr/bin:/bin"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build, compiled once."""
    folder = tmp_path_factory.mktemp("bitstream")
    b, y = two_layers()
    model = b.save(folder / "net.onnx", y)
    return compile_model(model, "pynq-z2", fps=1e6, targets=["rtl", "kernel"], output=folder / "build").directory


@pytest.fixture
def build(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(made, tmp_path / "build"))


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Puts the stand-in for Vivado on PATH, in a folder as Vivado's installer names it."""

    def put(end: str = "ok", version: str = stand_in.VERSION, **more: str) -> Path:
        folder = tmp_path / "Vivado" / version / "bin"
        stand_in.install(folder, "vivado")
        monkeypatch.setenv("PATH", f"{folder}:{PLAIN}")
        monkeypatch.setenv("STAND_IN", end)
        monkeypatch.setenv("STAND_IN_PIDS", str(tmp_path / "pids"))
        for name, value in more.items():
            monkeypatch.setenv(name, value)
        return folder / "vivado"

    return put


def run(build: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["bitstream", str(build), *arguments])


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def text(result: Result) -> str:
    """What a user sees, in one line."""
    return " ".join((result.stdout + result.stderr).split())


def all_gone(pids: Path) -> bool:
    """Whether no process of the stand-in is left, which takes a moment."""
    numbers = [int(line) for line in pids.read_text().split()]
    assert len(numbers) >= 2
    for _ in range(250):
        left = [p for p in numbers if psutil.pid_exists(p) and psutil.Process(p).status() != psutil.STATUS_ZOMBIE]
        if not left:
            return True
        time.sleep(0.02)
    return False


# --- without the tool -------------------------------------------------------------------------------------------------


def test_without_the_tool_everything_is_written_and_told(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", PLAIN)
    result = run(build)
    assert result.exit_code == 1
    said = text(result)
    assert "not_run vivado is missing, which Gatewright needs for bitstreams for Zynq boards" in said
    assert f"Where Vivado 2020.2 or newer is installed, run this in the folder {build / 'bitstream'}" in said
    assert "vivado -mode batch" in said and "-source build.tcl" in said
    assert f"gatewright bitstream {build} --report-only" in said
    tclsh = shutil.which("tclsh") is not None
    assert f"The scripts {'ran on a model of Vivado without a finding' if tclsh else 'were not checked: tclsh'}" in said
    assert sorted(p.name for p in (build / "bitstream").iterdir()) == ["README.txt", "build.tcl", "project.json"]
    facts = json.loads(run(build, "--json").stdout)
    assert facts["status"] == "not_run" and facts["tool"] == "vivado" and facts["mhz"] == 100
    assert facts["folder"] == str(build / "bitstream") and facts["command"].startswith("vivado -mode batch")
    assert facts == {**facts, "project": json.loads((build / "bitstream" / "project.json").read_text())["project"]}


@pytest.mark.skipif(shutil.which("tclsh") is None, reason="needs tclsh: apt install tcl")
@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("xc7z030sbg485-1", "were not checked: board mine: to the models, part 'xc7z030sbg485-1' is unknown; did you "),
        ("xczu3eg-sbva484-1-e", "fail, which is an error of Gatewright, or of {record}: bitstream/build.tcl:"),
    ],
)
def test_a_board_of_the_users_that_no_model_takes(
    part: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Path(shutil.copytree(load_board("pynq-z2").folder, tmp_path / "boards" / "mine")) / "board.toml"
    record.write_text(record.read_text().replace("xc7z020clg400-1", part))
    monkeypatch.setenv("GATEWRIGHT_PATH", str(tmp_path))
    monkeypatch.setenv("PATH", PLAIN)
    b, y = two_layers()
    model = b.save(tmp_path / "net.onnx", y)
    folder = compile_model(model, "mine", fps=1e6, targets=["rtl", "kernel"], output=tmp_path / "build").directory
    assert said.format(record=record) in text(run(folder, "--write-only"))
    assert f"set part {{{part}}}" in (folder / "bitstream" / "build.tcl").read_text()


def test_what_was_written_runs_elsewhere_and_is_taken_back(
    build: Path, tmp_path: Path, install: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a user does it who has Vivado on another machine, with the command that was printed."""
    monkeypatch.setenv("PATH", PLAIN)
    facts = json.loads(run(build, "--json", "--mhz", "62.5").stdout)
    for folder in ("rtl", "kernel", "bitstream"):
        shutil.copytree(build / folder, tmp_path / "there" / folder)
    install()
    monkeypatch.delenv("STAND_IN_PIDS")
    subprocess.run(facts["command"], shell=True, cwd=tmp_path / "there" / "bitstream", check=True, capture_output=True)
    for folder in ("reports", "out"):
        shutil.copytree(tmp_path / "there" / "bitstream" / folder, build / "bitstream" / folder)
    monkeypatch.setenv("PATH", PLAIN)
    result = run(build, "--report-only")
    assert result.exit_code == 0, result.stderr
    assert Bundle(build / "bundle").mhz == pytest.approx(62.5)
    found = json.loads((build / "bitstream" / "result.json").read_text())
    assert found["mhz"] == 62.5 and found["seconds"] == {}


def test_reports_of_scripts_of_another_state_are_not_taken(build: Path, install: Callable[..., Path]) -> None:
    result = run(build, "--report-only")
    assert result.exit_code == 1 and "holds no scripts (no project.json): write them with" in text(result)
    install()
    assert run(build).exit_code == 0
    result = run(build, "--report-only", "--mhz", "50")
    assert result.exit_code == 1 and "holds scripts of another state (project.json)" in text(result)


# --- a run that goes well ---------------------------------------------------------------------------------------------


def test_a_bitstream_its_tables_and_its_bundle(build: Path, install: Callable[..., Path]) -> None:
    install()
    result = run(build)
    assert result.exit_code == 0, result.stderr
    said, stem = text(result), f"net_{Build.open(build).kernel.hash[:8]}"
    assert "Vivado 2022.2, pynq-z2, xc7z020clg400-1" in said
    assert "fastest clock as routed, MHz │ 104.0" in said and "total power, W (estimated)" in said
    for phase in stand_in.PHASES:
        assert f"Vivado: {phase}" in result.stderr and f"│ {phase} " in result.stdout
    assert f"its bitstream is {stem}.bit of Vivado 2022.2, at 100 MHz" in said
    folder = build / "bitstream"
    assert {p.name for p in folder.iterdir()} == {
        "README.txt", "build.tcl", "log", "out", "project.json", "reports", "result.json", "work",
    }  # fmt: skip
    assert "gatewright: phase 4 of 11: synthesis" in (folder / "log").read_text()
    bundle = Bundle(build / "bundle")
    assert bundle.record["bitstream"] == {"file": f"{stem}.bit", "kind": "bit", "tool": "Vivado", "version": "2022.2"}
    assert bundle.record["hwh"] == f"{stem}.hwh" and bundle.mhz == 100
    for end in (".bit", ".hwh"):
        assert (bundle.folder / f"{stem}{end}").read_bytes() == (folder / "out" / f"{stem}{end}").read_bytes()
    assert not any(p.name.startswith("bundle.") for p in build.iterdir())


def test_the_result_as_json(build: Path, install: Callable[..., Path], tmp_path: Path) -> None:
    install()
    result = run(build, "--json", "--mhz", "125", "-o", str(tmp_path / "here"))
    found = json.loads(result.stdout)
    kept = json.loads((build / "bitstream" / "result.json").read_text())
    assert found == {**kept, "bundle": str(tmp_path / "here")}
    assert (found["status"], found["tool"], found["version"], found["mhz"]) == ("ok", "vivado", "2022.2", 125)
    timing, unit = found["outcome"]["timing"], Build.open(build).structure.units[0].name
    assert timing["mhz"] == pytest.approx(125) and timing["fmax_mhz"] == pytest.approx(130, rel=1e-3)
    assert timing["wns_ns"] == pytest.approx(8 - 1000 / 130, abs=1e-3) and timing["worst"]["unit"] == unit
    assert found["outcome"]["resources"]["LUT"] == 9120 and found["capacity"]["LUT"] == 53200
    lut = found["predicted"]["LUT"]
    assert (
        lut["design"]
        == Build.open(build).summary()["resources"]["LUT"]
        < lut["needed"]
        == lut["design"] + lut["kernel"]
    )
    assert list(found["seconds"]) == list(stand_in.PHASES)
    assert Bundle(tmp_path / "here").mhz == pytest.approx(125) and not (build / "bundle").exists()


def test_the_report_shows_it(build: Path, install: Callable[..., Path]) -> None:
    assert 'id="bitstream"' not in render(build)
    install()
    assert run(build).exit_code == 0
    section = render(build).split('<section id="bitstream"')[1].split("</section>")[0]
    words = " ".join(re.sub("<[^>]*>", " ", section).split())
    assert "Vivado 2022.2, for xc7z020clg400-1, after place and route." in words
    assert "clock, MHz 100 fastest clock as routed, MHz 104.0" in words and "total power, W (estimated) 1.795" in words
    assert "LUT 9,120 " in words and " 53,200 17.1 %" in words
    assert f"slowest path in {Build.open(build).structure.units[0].name} from system_i/" in words
    assert render(build) == render(build)
    next((build / "bitstream" / "out").glob("*.bit")).unlink()
    section = render(build).split('<section id="bitstream"')[1].split("</section>")[0]
    assert "The last bitstream is of another state of the build" in section and "9,120" not in section


def test_a_damaged_result_is_named(build: Path, install: Callable[..., Path]) -> None:
    install()
    assert run(build).exit_code == 0
    path = build / "bitstream" / "result.json"
    for content in ("{", "[]", json.dumps({**json.loads(path.read_text()), "format": 9})):
        path.write_text(content)
        with pytest.raises(ConfigError, match=r"result\.json: not a (readable|whole) result: run gatewright bitstream"):
            make_bundle(build)


def test_an_archive(build: Path, install: Callable[..., Path]) -> None:
    install()
    assert run(build, "--tar").exit_code == 0
    assert Bundle(build / "bundle.tar.gz").record["bitstream"]["kind"] == "bit"


def test_a_later_bundle_takes_the_bitstream_as_long_as_it_is_of_the_build(
    build: Path, install: Callable[..., Path]
) -> None:
    install()
    assert run(build, "--mhz", "62.5").exit_code == 0
    assert make_bundle(build).record["bitstream"]["kind"] == "bit" and make_bundle(build).record["mhz"] == 62.5
    assert make_bundle(build, virtual=True).record["bitstream"]["kind"] == "virtual"
    assert make_bundle(build, virtual=True).record["mhz"] == 100
    bit = next((build / "bitstream" / "out").glob("*.bit"))
    whole = bit.read_bytes()
    bit.write_bytes(whole[:-1])
    assert make_bundle(build).record["bitstream"]["kind"] == "virtual"
    told = CliRunner().invoke(app, ["bundle", str(build), "-o", str(build / "other")])
    assert "the last bitstream is of another state of the build: gatewright bitstream" in text(told)
    bit.write_bytes(whole)
    assert make_bundle(build).record["bitstream"]["kind"] == "bit"
    b, y = two_layers()
    model = b.save(build.parent / "net.onnx", y)
    compile_model(model, "pynq-z2", fps=1e6, bus_bits=32, targets=["rtl", "kernel"], output=build)
    assert make_bundle(build).record["bitstream"]["kind"] == "virtual"


def test_the_same_build_and_clock_give_the_same_digest(build: Path, made: Path, install: Callable[..., Path]) -> None:
    def digest(folder: Path, *arguments: str) -> Any:
        return json.loads(run(folder, "--write-only", "--json", *arguments).stdout)["project"]

    copy = Path(shutil.copytree(made, build.parent / "copy"))
    first = digest(build)
    assert first == digest(copy) == digest(build, "--mhz", "100") != digest(build, "--mhz", "99")


# --- a run that does not ----------------------------------------------------------------------------------------------

FAILURES: Mapping[str, str] = {
    "licence": "Vivado fails during synthesis (exit status 1): Vivado has no licence for Synthesis on xc7z020: name "
    "one in XILINXD_LICENSE_FILE",
    "memory": "Vivado fails during placement (exit status 134): it ran out of memory: use a machine with more",
    "crash": "Vivado fails during routing (exit status 139): Vivado crashed (signal 11): run it again",
    "silent crash": "Vivado fails during routing (exit status 139): it crashed (segmentation fault): run it again",
    "disk": "Vivado fails during reports (exit status 1): the disk is full: make room where the build folder lies",
    "killed": "Vivado fails during placement (exit status 137): something killed it, most often the system for want "
    "of memory",
    "part": "Vivado fails during project (exit status 1): Vivado was installed without the board's part: add its "
    "family with the installer",
    "report missing": "reports/timing.rpt cannot be read",
    "report cut": "reports/utilization.rpt is cut or no report of Vivado: it lacks",
    "timing": "timing failed at 100 MHz: the slowest path is 1.455 ns too long, in {unit} (slack -1.455 ns, ",
}


@pytest.mark.parametrize("end", FAILURES)
def test_each_failure_says_why_and_leaves_the_old_bundle(end: str, build: Path, install: Callable[..., Path],
                                                         tmp_path: Path) -> None:  # fmt: skip
    """Another bundle before it, byte for byte; nothing half-written; nothing left running."""
    make_bundle(build).write(build / "bundle")
    before, there = contents(build / "bundle"), {p.name for p in build.iterdir()}
    install(end, STAND_IN_FMAX="90" if end == "timing" else "150")
    result = run(build)
    assert result.exit_code == 1
    assert FAILURES[end].format(unit=Build.open(build).structure.units[0].name) in text(result), text(result)
    assert contents(build / "bundle") == before
    assert {p.name for p in build.iterdir()} == there | {"bitstream"}
    assert not (build / "bitstream" / "out").exists() or end.startswith("report")
    assert (build / "bitstream" / "log").is_file()
    assert (build / "bitstream" / "result.json").is_file() == (end == "timing")
    assert all_gone(tmp_path / "pids")
    assert make_bundle(build).record["bitstream"]["kind"] == "virtual"


def test_timing_that_failed_says_where_and_what_to_do(build: Path, install: Callable[..., Path]) -> None:
    install("timing", STAND_IN_FMAX="90")
    result = run(build)
    said = text(result)
    assert "from system_i/net_kernel_1/inst/i_core/i_design/i_" in said
    assert "as routed it runs at 87.3 MHz: give --mhz 87, let --mhz max search, or compile the model for" in said
    assert "fastest clock as routed, MHz │ 87.3" in said and "worst slack, ns │ -1.455" in said
    found = json.loads((build / "bitstream" / "result.json").read_text())
    assert found["status"] == "failed" and found["reason"] in said and found["outcome"]["files"] == {}
    told = CliRunner().invoke(app, ["bundle", str(build)])
    assert "the last bitstream failed: gatewright bitstream" in text(told)


def test_timing_that_failed_is_told_by_the_reports_and_not_by_the_status(
    build: Path, install: Callable[..., Path]
) -> None:
    install("timing, status 1", STAND_IN_FMAX="90")
    result = run(build, "--json")
    assert result.exit_code == 1 and "error: timing failed at 100 MHz: the slowest path is" in text(result)
    assert json.loads(result.stdout)["status"] == "failed" and json.loads(result.stdout)["bundle"] is None


@pytest.mark.parametrize("known", [True, False], ids=["by its folder", "by itself"])
def test_an_old_release_is_not_run(build: Path, install: Callable[..., Path], tmp_path: Path, known: bool) -> None:
    path = install(version="2019.1" if known else "opt", STAND_IN_VERSION="2018.3")
    make_bundle(build).write(build / "bundle")
    before = contents(build)
    result = run(build)
    assert result.exit_code == 1
    assert f"{path} is Vivado {'2019.1' if known else '2018.3'}: the scripts need 2020.2 or newer" in text(result)
    assert contents(build) == before and not (tmp_path / "pids").exists()


def test_a_time_limit(build: Path, install: Callable[..., Path], tmp_path: Path) -> None:
    install("hang")
    result = run(build, "--time-limit", "3")
    assert result.exit_code == 1
    assert "Vivado takes more than 3 s" in text(result) and "raise --time-limit; its log is" in text(result)
    assert all_gone(tmp_path / "pids")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_whoever_stops_it_stops_vivado(build: Path, install: Callable[..., Path], tmp_path: Path, number: int) -> None:
    """Ctrl-C, the system, or somebody: in a process of its own, in the middle of placement."""
    install("hang")
    make_bundle(build).write(build / "bundle")
    before = contents(build / "bundle")
    with subprocess.Popen([sys.executable, "-m", "gatewright", "bitstream", str(build)], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as process:  # fmt: skip
        said = []
        for line in process.stderr or ():
            said.append(line)
            if "placement" in line:
                process.send_signal(number)
    assert process.returncode != 0
    assert number != signal.SIGINT or said[-1].startswith("interrupted: nothing of Vivado is left running")
    assert all_gone(tmp_path / "pids")
    assert contents(build / "bundle") == before and not (build / "bitstream" / "result.json").exists()


def test_a_failed_run_does_not_pass_for_the_one_before_it(build: Path, install: Callable[..., Path]) -> None:
    install()
    assert run(build).exit_code == 0
    before = contents(build / "bundle")
    install("crash")
    assert run(build).exit_code == 1
    assert not (build / "bitstream" / "out").exists() and not (build / "bitstream" / "result.json").exists()
    assert contents(build / "bundle") == before and Bundle(build / "bundle").record["bitstream"]["kind"] == "bit"


# --- what is refused before anything runs -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--mhz", "fast"], "--mhz 'fast': give a number of MHz, or max"),
        (["--mhz", "0"], "mhz=0.0: give a number above 0"),
        (["--write-only", "--report-only"], "--write-only and --report-only exclude each other"),
        (["--host", "a@b", "--write-only"], "--host runs the tool, and --write-only"),
        (["--setup", "x"], "--setup is about another machine: name it with --host"),
        (["--ssh-config", "x"], "--ssh-config is about another machine: name it with --host"),
        (["--runs", "3"], "--runs is an option of --mhz max"),
        (["--mhz", "max", "--report-only"], "--mhz max runs the tool"),
        (["--host", "-oProxyCommand=x"], "is none: give user@board, as ssh takes it"),
    ],
)
def test_options_that_make_no_sense(build: Path, install: Callable[..., Path], arguments: list[str], says: str,
                                    tmp_path: Path) -> None:  # fmt: skip
    install()
    before = contents(build)
    result = run(build, *arguments)
    assert result.exit_code == 1 and says in text(result)
    assert contents(build) == before and not (tmp_path / "pids").exists()


def test_folders_with_something_else_in_them(build: Path, install: Callable[..., Path], tmp_path: Path) -> None:
    install()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("x")
    result = run(build, "-o", str(tmp_path / "mine"))
    assert result.exit_code == 1 and "mine holds notes, which is of no earlier bundle" in text(result)
    result = run(build, "-o", str(tmp_path / "mine"), "--tar")
    assert result.exit_code == 1 and "mine is a folder: name a file with -o, or leave out --tar" in text(result)
    result = run(build, "-o", str(tmp_path / "mine" / "notes" / "bundle"))
    assert result.exit_code == 1 and "notes is no folder that you may write to" in text(result)
    (build / "bitstream").mkdir()
    (build / "bitstream" / "notes").write_text("x")
    result = run(build)
    assert result.exit_code == 1 and "bitstream holds notes, but no project.json of gatewright bitstream" in text(
        result
    )
    assert (build / "bitstream" / "notes").read_text() == "x" and not (tmp_path / "pids").exists()

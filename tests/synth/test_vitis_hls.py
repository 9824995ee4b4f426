# SPDX-License-Identifier: Apache-2.0
"""Synthesis with Vitis HLS: what is run, what is said where it is missing, and how its report is read.

Vitis HLS is not at hand. Shell scripts under its programs' names stand in for it, and the report is one that was
written by hand in the layout of real ones: neither shows anything of Vitis HLS itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from click.testing import Result
from tests.models import two_layers
from typer.testing import CliRunner

from gatewright.build import Build, compile_model
from gatewright.cli import app
from gatewright.errors import ConfigError, MissingToolError, ToolError
from gatewright.synth.vitis_hls import plan, read_report, result, synthesise_hls

REPORT = Path(__file__).with_name("two_layers_csynth.xml")
VERSIONS = {"vitis_hls": "2022.2", "vitis-run": "2025.1"}


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("vitis")
    b, y = two_layers()
    onnx.save(b.model(y), folder / "two_layers.onnx")
    return compile_model(folder / "two_layers.onnx", "pynq-z2", fps=10_000, targets="hls", output=folder / "build")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No Vitis on PATH, but what shell scripts need."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return tmp_path


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, bare: Path) -> Callable[[str, str], Path]:
    """Puts a script on PATH under a name of Vitis HLS; it logs how it was called, then does what it is told."""

    def put(program: str, does: str, version: str = "") -> Path:
        folder = bare / "Vitis" / (version or VERSIONS[program]) / "bin"
        folder.mkdir(parents=True)
        log = bare / "log"
        script = f'#!/bin/sh\necho "$(basename "$0") $*; $HLS_RUN; $(pwd)" >> {log}\n{does}\n'
        (folder / program).write_text(script)
        (folder / program).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return log

    return put


def leave(build: Build, ports: str = "axi") -> str:
    """Shell that leaves the report as C synthesis of this variant would."""
    run = plan(build, ports)
    text = f"sed 's/>two_layers</>{run.top}</' {REPORT} > {run.report}"
    return f"mkdir -p {run.report.parent}\n{text}"


def cli(build: Build, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["synth", str(build.directory), "--tool", "vitis-hls", *arguments])


def test_a_report_is_read() -> None:
    assert read_report(REPORT) == {
        "top": "two_layers",
        "part": "xc7z020-clg400-1",
        "version": "2022.2",
        "clock_ns": {"target": 10.0, "uncertainty": 2.7, "estimated": 7.3},
        "latency_cycles": [123, None],
        "interval_cycles": [98, 98],
        "resources": {"LUT": 3456, "FF": 2345, "BRAM36": 2.5, "DSP": 3, "URAM": 0},
    }


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("<Interval-max>98</Interval-max>", "", "lacks PerformanceEstimates/SummaryOfOverallLatency/Interval-max"),
        ("<LUT>3456</LUT>", "", "lacks AreaEstimates/Resources/LUT"),
        ("<FF>2345</FF>", "<FF>many</FF>", "could not convert string to float: 'many'"),
        ("<TopModelName>two_layers</TopModelName>", "", "lacks UserAssignments/TopModelName"),
        ("</profile>", "", "no element found"),
    ],
)
def test_what_is_no_report_is_refused(old: str, new: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "csynth.xml"
    text = REPORT.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1) if old != "</profile>" else text.replace(old, new))
    with pytest.raises(ToolError, match="is no report of Vitis HLS") as error:
        read_report(path)
    assert says in str(error.value) and str(path) in str(error.value)


def test_other_names_of_dsp_slices_and_families_without_ultraram(tmp_path: Path) -> None:
    path = tmp_path / "csynth.xml"
    path.write_text(REPORT.read_text().replace("DSP>", "DSP48E>").replace("<URAM>0</URAM>", ""))
    assert read_report(path)["resources"] == read_report(REPORT)["resources"]


@pytest.mark.parametrize("ports", ["axi", "stream"])
@pytest.mark.parametrize("program", VERSIONS)
def test_it_runs_in_the_project_and_keeps_the_result(
    program: str, ports: str, build: Build, install: Callable[..., Path]
) -> None:
    log = install(program, leave(build, ports))
    found = synthesise_hls(build, ports)
    options = {"vitis_hls": "-f run_hls.tcl", "vitis-run": "--mode hls --tcl run_hls.tcl"}[program]
    assert log.read_text() == f"{program} {options}; {ports} csynth; {build.directory / 'hls'}\n"
    assert found["version"] == VERSIONS[program] and found["status"] == "ok"
    assert found["top"] == "two_layers" + ("_stream" if ports == "stream" else "")
    summary = build.summary()
    assert found["predicted"]["interval_cycles"] == summary["interval_cycles"]
    assert found["predicted"]["resources"] == summary["resources"] and found["predicted"]["clock_ns"] == 10.0
    assert json.loads((build.directory / "synth" / f"vitis_hls_{ports}.json").read_text()) == found
    assert found["build"] == build.fingerprint(), "what the tool leaves is no part of the build"


def test_a_run_that_fails_or_leaves_nothing(build: Build, install: Callable[..., Path]) -> None:
    run = plan(build)
    (run.folder / run.report).parent.mkdir(parents=True, exist_ok=True)
    (run.folder / run.report).write_text(REPORT.read_text())
    install("vitis_hls", "true")
    with pytest.raises(ToolError, match=r"leaves no two_layers_project/vivado/syn/report/two_layers_csynth\.xml"):
        synthesise_hls(build)


def test_what_the_tool_says_is_passed_on(build: Build, install: Callable[..., Path]) -> None:
    install("vitis-run", "echo 'INFO: fine'; echo 'ERROR: [HLS 200-70] no licence'; exit 3")
    with pytest.raises(ToolError, match=r"ends with code 3 on 'two_layers' in .*\n  ERROR: \[HLS 200-70\] no licence$"):
        synthesise_hls(build)


def test_an_old_release_and_a_slow_run(build: Build, install: Callable[..., Path]) -> None:
    log = install("vitis_hls", "true", "2021.1")
    with pytest.raises(ToolError, match=r"is Vitis HLS 2021\.1: the kernels need 2022\.2 or newer"):
        synthesise_hls(build)
    assert not log.exists()
    install("vitis_hls", "sleep 600; true")  # as a process of its own, which must end too
    with pytest.raises(ToolError, match=r"takes more than 0\.2 s on 'two_layers': raise --time-limit"):
        synthesise_hls(build, seconds=0.2)


def test_without_vitis_it_says_what_to_run_and_fails(build: Build, bare: Path) -> None:
    with pytest.raises(MissingToolError, match="vitis-hls is missing, which Gatewright needs for synthesis of HLS C"):
        synthesise_hls(build)
    done = cli(build)
    assert done.exit_code == 1
    for text in (
        "not_run vitis-hls is missing",
        "The lint finds nothing in the project that Vitis HLS 2022.2 could not take.",
        str((build.directory / "hls").resolve()),
        'HLS_RUN="axi csynth" vitis_hls -f run_hls.tcl',
        'HLS_RUN="axi csynth" vitis-run --mode hls --tcl run_hls.tcl',
        "two_layers_project/vivado/syn/report/two_layers_csynth.xml",
        "2022.2 up to 2024.1",
    ):
        assert text in done.stdout, text
    shown = json.loads((cli(build, "--ports", "stream", "--json")).stdout)
    assert shown["lint"] == []
    assert shown["status"] == "not_run" and "axi" not in shown["commands"][0] and len(shown["commands"]) == 2
    assert shown["report"] == "two_layers_stream_project/vivado/syn/report/two_layers_stream_csynth.xml"


def test_the_table_has_estimates_beside_predictions(build: Build, install: Callable[..., Path]) -> None:
    install("vitis_hls", leave(build))
    done = cli(build)
    assert done.exit_code == 0
    for text in ("Vitis HLS 2022.2, two_layers", "3,456", "53,200", "6.5%", "123 to unknown", "2.5"):
        assert text in done.stdout, text
    assert json.loads(cli(build, "--json").stdout)["interval_cycles"] == [98, 98]


def test_a_report_from_elsewhere_is_read(build: Build, bare: Path) -> None:
    done = cli(build, "--report", str(REPORT), "--json")
    assert done.exit_code == 0 and json.loads(done.stdout)["version"] == "2022.2"
    done = cli(build, "--report", str(REPORT), "--ports", "stream")
    assert done.exit_code == 1 and "is of top function 'two_layers', not of 'two_layers_stream'" in done.stderr
    with pytest.raises(ConfigError, match="is of top function"):
        result(build, plan(build, "stream"), REPORT)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--tool", "vitis-hls", "--unit", "dense_1"), "--unit is an option of --tool yosys: leave it out"),
        (("--tool", "yosys", "--ports", "axi"), "--ports is an option of --tool vitis-hls: leave it out"),
        (("--tool", "vitis-hls", "--ports", "apb"), "ports 'apb' are unknown: use axi or stream"),
        (("--tool", "ise"), "--tool 'ise' is unknown: use yosys or vitis-hls"),
    ],
)
def test_options_that_do_not_fit(build: Build, arguments: tuple[str, ...], message: str) -> None:
    done = CliRunner().invoke(app, ["synth", str(build.directory), *arguments])
    assert done.exit_code == 1 and message in done.stderr


def test_a_build_without_hls_and_a_changed_one(build: Build, tmp_path: Path) -> None:
    rtl = compile_model(build.directory / "model.onnx", "pynq-z2", fps=10_000, targets="rtl", output=tmp_path / "rtl")
    with pytest.raises(ConfigError, match="has no hls/: it was compiled for rtl alone"):
        plan(rtl)
    other = compile_model(build.directory / "model.onnx", "pynq-z2", fps=10_000, targets="hls", output=tmp_path / "hls")
    (other.directory / "hls" / "run_hls.tcl").write_text("exit 0\n")
    with pytest.raises(ConfigError, match=r"run_hls\.tcl was changed since it was compiled"):
        plan(other)

# SPDX-License-Identifier: Apache-2.0
"""Vendor scripts on the model of their tools: good ones pass, and each seeded fault is told with its line."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
from tests.rtl.kernel.designs import several, small

from gatewright.emit import kernel_ip, stream_ip
from gatewright.synth.tcl_model import check, run, table

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.skipif(shutil.which("tclsh") is None, reason="needs tclsh: apt install tcl")
VENDOR = Path(__file__).parent / "vendor"
ZYNQ, ULTRA = ["xc7z020clg400-1", "net_kernel"], ["xczu7ev-ffvc1156-2-e", "net_kernel"]


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A build with a kernel for each family, and the scripts that a user would write."""
    found = {}
    for name, design, bus_bits in (("zynq", several(), 64), ("zynq_ultra", small("zcu104"), 128)):
        folder = tmp_path_factory.mktemp(name)
        stream_ip.emit(design).write(folder / "rtl")
        kernel_ip.emit(design, bus_bits).write(folder / "kernel")
        (folder / "bitstream").mkdir()
        shutil.copy(VENDOR / f"{name}.tcl", folder / "bitstream" / "build.tcl")
        found[name] = folder
    return found


@pytest.mark.parametrize("release", [(2020, 1), (2022, 1), (2023, 2)])
def test_a_script_in_memory(release: tuple[int, int], builds: dict[str, Path]) -> None:
    if release == (2020, 1):  # products lie elsewhere before 2020.2, as the script would have to know
        done = run("bitstream/build.tcl", builds["zynq"], arguments=ZYNQ, release=release)
        assert [f.what for f in done.findings] == ["Tcl: no files matched glob pattern"
                                                   ' ".gen/sources_1/bd/system/hw_handoff/*.hwh"']  # fmt: skip
        return
    done = run("bitstream/build.tcl", builds["zynq"], arguments=ZYNQ, release=release)
    assert (done.findings, done.status) == ((), 0)
    assert {"bitstream/out/system.bit", "bitstream/out/system.hwh", "bitstream/reports/timing.rpt"} <= done.files
    assert not (builds["zynq"] / "bitstream" / "out").exists()


def test_a_script_with_a_project(builds: dict[str, Path]) -> None:
    done = run("bitstream/build.tcl", builds["zynq_ultra"], arguments=ULTRA)
    assert (done.findings, done.status) == ((), 0)
    assert {"bitstream/project/kernel_project.runs/impl_1/system_wrapper.bit", "bitstream/system.xsa"} <= done.files


def test_a_script_that_ends_badly_by_itself(builds: dict[str, Path]) -> None:
    (finding,) = check("bitstream/build.tcl", builds["zynq"], arguments=ZYNQ, answers={"SLACK": "-0.5"})
    assert finding.what == "ends with status 3: timing is not met: -0.5 ns"


# --- seeded faults ----------------------------------------------------------------------------------------------------


FAULTS = tomllib.loads((VENDOR / "faults.toml").read_text())


def line_of(text: str, words: str) -> int:
    """The number of the first line that begins these words."""
    return text[: text.index(words) + len(words) - len(words.lstrip("\n"))].count("\n") + 1


@pytest.mark.parametrize("name", FAULTS)
def test_seeded_faults(name: str, builds: dict[str, Path], tmp_path: Path) -> None:
    fault = FAULTS[name]
    script = fault.get("script", "zynq")
    folder = tmp_path / "build"
    shutil.copytree(builds[script], folder)
    path = folder / "bitstream" / "build.tcl"
    text = path.read_text()
    assert fault.get("old", "") in text
    for old, new in [(fault.get("old", ""), fault.get("new", "")), *fault.get("also", ())]:
        text = text.replace(old, new, 1)
    path.write_text(text)
    if "remove" in fault:
        next(folder.glob(fault["remove"])).unlink()
    part, kernel = ZYNQ if script == "zynq" else ULTRA
    findings = check("bitstream/build.tcl", folder, arguments=[fault.get("part", part), kernel])
    told = "\n".join(map(str, findings))
    assert findings and all(f.file == "bitstream/build.tcl" and f.guide for f in findings), told
    assert any(re.search(fault["said"], f.what) and f.line == line_of(text, fault["line"]) for f in findings), told


def test_every_command_runs_or_says_what_it_is(builds: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "build"
    shutil.copytree(builds["zynq"], folder)
    shutil.copy(VENDOR / "every_command.tcl", folder / "bitstream" / "every.tcl")
    done = run("bitstream/every.tcl", folder, arguments=ZYNQ, release=(2021, 2))
    assert (done.findings, done.status) == ((), 0)
    called = {call[0] for call in done.calls}
    assert [n for n, e in table.commands("vivado").items() if (n in called) == ("refused" in e.extra)] == []


def test_what_is_refused_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.xpr").write_text("")
    (tmp_path / "it.tcl").write_text("create_project -in_memory p\nopen_project a.xpr\n")
    (finding,) = check("it.tcl", tmp_path)
    assert finding.line == 2 and finding.what.startswith("open_project: the model cannot read or copy projects")

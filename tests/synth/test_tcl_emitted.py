# SPDX-License-Identifier: Apache-2.0
"""Emitted scripts on the model of their tools: whole projects of every card, and both flows with seeded faults.

`tests/emit/test_vivado.py` runs the script of every Zynq board as it is.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.emit.test_vitis import CARDS, NETWORKS, project

from gatewright.boards import load_board
from gatewright.emit import kernel_ip, stream_ip, vitis, vivado
from gatewright.emit.files import FileSet
from gatewright.errors import ConfigError, MissingToolError
from gatewright.synth.tcl_model import Finding, check, run, shell
from gatewright.synth.tcl_model import judge as judge_project

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from tests.synth.test_tcl_model import VENDOR, line_of

pytestmark = pytest.mark.skipif(shutil.which("tclsh") is None, reason="needs tclsh: apt install tcl")
EMITTED = tomllib.loads((VENDOR / "emitted_faults.toml").read_text())
EMITTERS: Mapping[str, Any] = {"vivado": vivado, "vitis": vitis}


@pytest.fixture(scope="module")
def emitted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Makes a build with its project for a network and a board, once."""

    @cache
    def make(network: str, board: str) -> Path:
        folder = tmp_path_factory.mktemp(f"{network}-{board}")
        chosen = project(network, board)
        design = replace(NETWORKS[network](), board=chosen.board)
        stream_ip.emit(design).write(folder / "rtl")
        kernel_ip.emit(design, chosen.board.memory_bits).write(folder / "kernel")
        EMITTERS[chosen.board.flow].emit(chosen).write(folder / "bitstream")
        return folder

    return make


def judge(folder: Path, **options: Any) -> tuple[tuple[Finding, ...], int, frozenset[str]]:
    """Findings, status and files of the script that the folder has."""
    if (folder / "bitstream" / "build.tcl").exists():
        done = run("bitstream/build.tcl", folder, **options)
        return done.findings, done.status, done.files
    ran = shell.run("bitstream/build.sh", folder, **options)
    return ran.findings, ran.status, ran.files


@pytest.mark.parametrize("board", CARDS)
@pytest.mark.parametrize("network", NETWORKS)
def test_every_card_and_network(network: str, board: str, emitted: Callable[[str, str], Path]) -> None:
    folder, chosen = emitted(network, board), project(network, board)
    findings, status, files = judge(folder)
    assert (findings, status) == ((), 0)
    assert f"bitstream/out/{chosen.stem}.xclbin" in files


@pytest.mark.parametrize("release", [(2020, 2), (2021, 2), (2023, 2)])
def test_other_releases(release: tuple[int, int], emitted: Callable[[str, str], Path]) -> None:
    assert judge(emitted("small", "alveo-u50"), release=release)[:2] == ((), 0)


@pytest.mark.parametrize("command", ["synth_design", "route_design", "write_bitstream"])
def test_a_step_that_fails_leaves_nothing(command: str, emitted: Callable[[str, str], Path]) -> None:
    findings, status, files = judge(emitted("small", "zcu104"), fails={command: "ERROR: [Common 17-69] no"})
    assert status == 1 and "[Common 17-69] no" in findings[0].what
    assert not any(f.startswith("bitstream/out/") for f in files)


@pytest.mark.parametrize("program", ["vivado", "v++"])
def test_a_program_that_fails_leaves_nothing(program: str, emitted: Callable[[str, str], Path]) -> None:
    ran = shell.run("bitstream/build.sh", emitted("small", "alveo-u50"), fails=[program])
    assert ran.status == 1 and f"gatewright: failed: {program}" in ran.errors
    assert not any(f.startswith("bitstream/out/") for f in ran.files)
    ran = shell.run("bitstream/build.sh", emitted("small", "alveo-u50"), programs=["vivado"])
    assert ran.status == 127 and "no v++ on PATH" in ran.errors and not ran.calls


def test_memory_may_be_given_to_an_argument(emitted: Callable[[str, str], Path], tmp_path: Path) -> None:
    shutil.copytree(emitted("several", "alveo-u250"), tmp_path / "build")
    path = tmp_path / "build" / "bitstream" / "link.cfg"
    path.write_text(path.read_text().replace("net_kernel_1.m_axi_gmem2:", "net_kernel_1.output0:"))
    assert judge(tmp_path / "build")[:2] == ((), 0)


@pytest.mark.parametrize("name", EMITTED)
def test_seeded_faults_in_what_is_emitted(name: str, emitted: Callable[[str, str], Path], tmp_path: Path) -> None:
    fault = EMITTED[name]
    network = "small" if fault["board"] == "alveo-u50" else "several"
    folder = tmp_path / "build"
    shutil.copytree(emitted(network, fault["board"]), folder)
    path = folder / "bitstream" / fault["file"]
    text = path.read_text()
    assert text.count(fault["old"]) >= 1
    path.write_text(text.replace(fault["old"], fault["new"], 1))
    findings, status, files = judge(folder)
    told = "\n".join(map(str, findings))
    assert status and not any(f.startswith("bitstream/out/") for f in files), told
    where = fault.get("where", fault["file"])
    line = line_of((folder / "bitstream" / where).read_text(), fault["line"]) if fault["line"] else 0
    matching = [f for f in findings if re.search(fault["said"], f.what)]
    assert matching, told
    assert any((f.file, f.line) == (f"bitstream/{where}", line) for f in matching) or not line, told


@pytest.mark.parametrize("board", ["zcu104", "alveo-u50", "ulx3s-85f"])
def test_a_project_is_judged_before_it_is_written(board: str, emitted: Callable[[str, str], Path]) -> None:
    if board == "ulx3s-85f":
        assert judge_project(Path(), FileSet(), load_board(board)) is None
        return
    folder, chosen = emitted("small", board), project("small", board)
    scripts = EMITTERS[chosen.board.flow].emit(chosen)
    assert judge_project(folder, scripts, chosen.board) == ()
    name, old, new = (
        ("build.tcl", "route_design\n", "rout_design\n") if board == "zcu104" else ("link.cfg", "slr=", "srl=")
    )
    broken = FileSet({**scripts.files, name: scripts.files[name].replace(old, new)})
    found = judge_project(folder, broken, chosen.board) or ()
    assert found and found[0].file == f"bitstream/{name}" and "did you mean" in found[0].what


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("zcu104", "xczu7ev-ffvc1156-2-e", "xczu7ev-ffvc1156-4-e", "part 'xczu7ev-ffvc1156-4-e' is unknown; did you "),
        ("alveo-u50", "xilinx_u50_gen3x16_xdma_5_202210_1", "xilinx_u55", "platform 'xilinx_u55' is unknown"),
    ],
)
def test_a_board_of_the_users_with_what_no_model_knows(
    name: str, old: str, new: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may well be there: that is no fault of the scripts."""
    record = Path(shutil.copytree(load_board(name).folder, tmp_path / "boards" / "mine")) / "board.toml"
    text = record.read_text()
    assert text.count(old) == 1
    record.write_text(text.replace(old, new))
    monkeypatch.setenv("GATEWRIGHT_PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=re.escape(f"board mine: to the models, {said}")) as told:
        judge_project(Path(), FileSet(), load_board("mine"))
    assert f". Look at it in {record}; where it is right, only the tool itself can judge" in str(told.value)


def test_without_tclsh_nothing_is_said_to_be_right(
    emitted: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = emitted("small", "zcu104")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="tclsh is missing, which Gatewright needs for checks .*apt install tcl"):
        check("bitstream/build.tcl", folder)

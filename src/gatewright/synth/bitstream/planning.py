# SPDX-License-Identifier: Apache-2.0
"""From a build to what a tool is to do: a project, scripts, a command; nothing runs."""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatewright.boards import Board, load_board
from gatewright.build import Build
from gatewright.config import LARGEST_MHZ
from gatewright.emit.files import FileSet
from gatewright.emit.project import FOLDER, Project
from gatewright.errors import ConfigError
from gatewright.sim.tools import Tool
from gatewright.synth.bitstream.fit import check_fit, predicted
from gatewright.synth.flow import Flow

FLOWS: Mapping[str, str] = {"vivado": "vivado", "vitis": "vitis", "nextpnr": "ecp5"}
"""The module of this package with FLOW, by the flow of a board."""
READ = ("rtl", "kernel")
"""Folders of a build that the scripts read."""
RECORD, RESULT, LOG = "project.json", "result.json", "log"
REPORTS, OUT = "reports", "out"


def flow_of(board: Board) -> Flow:
    """The tool that makes a board's bitstreams."""
    module = importlib.import_module(f"gatewright.synth.{FLOWS[board.flow]}")
    flow: Flow = module.FLOW
    return flow


def project(build: Build, mhz: float | None = None) -> Project:
    """What the bitstream of a build is made of.

    Args:
        mhz: of the kernel's clock; that of the build by default.

    Raises:
        MissingTargetError: the build has no RTL or no kernel.
        ConfigError: the build was changed, or no such clock.
        DesignError: it does not fit its board; the message has the figures.
    """
    for target in ("rtl", "kernel"):
        build.emitted(target)
    changed = [name for name in build.changed() if not name.startswith(("hls/", "systemc/"))]
    if changed:
        raise ConfigError(
            f"{build.directory / changed[0]} is no longer what compile wrote: its bitstream would carry the hash of "
            "another design; compile the model again"
        )
    clock = build.summary()["mhz"] if mhz is None else mhz
    if not (math.isfinite(clock) and 0 < clock <= LARGEST_MHZ):
        raise ConfigError(f"mhz={mhz!r}: give a number above 0 and up to {LARGEST_MHZ}")
    board = load_board(build.summary()["board"])
    check_fit(build, board)
    memories = sorted(p.relative_to(build.directory).as_posix() for p in build.rtl.rglob("*.mem"))
    units = tuple(unit.name for unit in build.structure.units)
    return Project(build.kernel, board, float(clock), tuple(memories), units, predicted(build, board))


@dataclass(frozen=True, eq=False)
class Plan:
    """What is written and run for a bitstream.

    Attributes:
        build: whose kernel it is.
        project: what it is made of.
        flow: the tool.
        files: the scripts, by path from `folder`.
        digest: SHA-256 over the scripts and all that they read.
    """

    build: Build
    project: Project
    flow: Flow
    files: FileSet
    digest: str

    @property
    def folder(self) -> Path:
        """Where it is written and run."""
        return self.build.directory / FOLDER

    def command(self, tool: Tool | None = None) -> str:
        """For a shell in the folder."""
        return shlex.join(self.flow.command(self.project, tool))

    def to_json(self) -> dict[str, Any]:
        """What somebody needs to know to run it."""
        board = self.project.board
        return {
            "tool": self.flow.tool,
            "title": self.flow.title,
            "board": board.name,
            "part": board.part,
            "mhz": self.project.mhz,
            "project": self.digest,
            "folder": str(self.folder.resolve()),
            "command": self.command(),
        }

    def write(self, *, afresh: bool = False) -> None:
        """Write the scripts; what a run of another project left there goes.

        Args:
            afresh: what a run of this one left goes too.

        Raises:
            ConfigError: the folder holds what no project wrote, or cannot be written.
        """
        check_folder(self.folder)
        try:
            if afresh or written(self.folder).get("project") != self.digest:
                clear(self.folder)
            self.files.write(self.folder)
            record = {k: v for k, v in self.to_json().items() if k != "folder"}
            (self.folder / RECORD).write_text(json.dumps(record, indent=1) + "\n")
        except OSError as error:
            raise ConfigError(f"{self.folder} cannot be written ({error})") from error


def plan(build: Build, mhz: float | None = None) -> Plan:
    """How to make the bitstream of a build; nothing is written.

    Raises:
        ConfigError, DesignError: see `project`.
    """
    made = project(build, mhz)
    flow = flow_of(made.board)
    files = flow.emit(made)
    return Plan(build, made, flow, files, _digest(build.directory, files))


def _digest(root: Path, files: FileSet) -> str:
    """Over the scripts, and all that may be read of the build."""
    whole = hashlib.sha256(files.digest().encode())
    for path in sorted(p for folder in READ for p in (root / folder).rglob("*") if p.is_file()):
        name = path.relative_to(root).as_posix()
        whole.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def check_folder(folder: Path) -> None:
    """Refuse a folder that is none of ours, which a run would clear.

    Raises:
        ConfigError: names a file in it.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file: move it away")
    there = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    if there and not (folder / RECORD).is_file():
        raise ConfigError(f"{folder} holds {there[0]}, but no {RECORD} of gatewright bitstream: move it away")


def written(folder: Path) -> dict[str, Any]:
    """What the folder's record says of the project in it; empty where there is none."""
    try:
        record = json.loads((folder / RECORD).read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def clear(folder: Path) -> None:
    """Remove all that an earlier project or run left, but the folder itself."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

# SPDX-License-Identifier: Apache-2.0
"""The scripts of a bitstream's project, held against the models of its tools before anybody runs them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from gatewright.boards import Board
from gatewright.emit.files import FileSet
from gatewright.emit.project import FOLDER
from gatewright.errors import ConfigError
from gatewright.synth.tcl_model import runner, shell, vitis
from gatewright.synth.tcl_model.arguments import Complaint
from gatewright.synth.tcl_model.model import Finding
from gatewright.synth.tcl_model.parts import part

SCRIPTS = {"vivado": "build.tcl", "vitis": "build.sh"}
"""What is run, by the flow of a board."""
READ = ("rtl", "kernel")


def judge(
    build: Path, scripts: FileSet, board: Board, *, release: tuple[int, int] = runner.RELEASE
) -> tuple[Finding, ...] | None:
    """What the models have against a project; None for a flow whose scripts are for no vendor's tool.

    Args:
        build: folder with rtl/ and kernel/, which is left as it is.
        scripts: of the project, by path from its own folder.
        board: that the project is for.
        release: of the tools.

    Raises:
        ConfigError: the models know no such part, or no such platform, as it may be with a board of the user's.
        MissingToolError: there is no tclsh.
        ToolError: an interpreter broke down.
    """
    if board.flow not in SCRIPTS:
        return None
    _check_known(board)
    with tempfile.TemporaryDirectory(prefix="gatewright-project-") as name:
        folder = Path(name)
        runner.copy(build, folder, READ)
        scripts.write(folder / FOLDER)
        script = f"{FOLDER}/{SCRIPTS[board.flow]}"
        if board.flow == "vivado":
            return runner.run(script, folder, release=release).findings
        done = shell.run(script, folder, release=release)
    if done.status and not done.findings:
        last = (done.errors.strip() or done.output.strip()).splitlines()[-1:]
        return (Finding(script, 0, f"ends with status {done.status}: {''.join(last)}", ""),)
    return done.findings


def _check_known(board: Board) -> None:
    try:
        part(board.part)
        if board.vitis is not None:
            vitis.platform(board.vitis.platform)
    except Complaint as complaint:
        raise ConfigError(
            f"board {board.name}: to the models, {complaint}. Look at it in {board.folder / 'board.toml'}; where it is "
            "right, only the tool itself can judge the scripts"
        ) from None

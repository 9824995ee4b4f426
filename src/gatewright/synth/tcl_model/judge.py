# SPDX-License-Identifier: Apache-2.0
"""The scripts of a bitstream's project, held against the models of its tools before anybody runs them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from gatewright.emit.files import FileSet
from gatewright.emit.project import FOLDER
from gatewright.synth.tcl_model import runner, shell
from gatewright.synth.tcl_model.model import Finding

SCRIPTS = {"vivado": "build.tcl", "vitis": "build.sh"}
"""What is run, by the flow of a board."""
READ = ("rtl", "kernel")


def judge(
    build: Path, scripts: FileSet, flow: str, *, release: tuple[int, int] = runner.RELEASE
) -> tuple[Finding, ...] | None:
    """What the models have against a project; None for a flow whose scripts are for no vendor's tool.

    Args:
        build: folder with rtl/ and kernel/, which is left as it is.
        scripts: of the project, by path from its own folder.
        flow: of the board.
        release: of the tools.

    Raises:
        MissingToolError: there is no tclsh.
        ToolError: an interpreter broke down.
    """
    if flow not in SCRIPTS:
        return None
    with tempfile.TemporaryDirectory(prefix="gatewright-project-") as name:
        folder = Path(name)
        runner.copy(build, folder, READ)
        scripts.write(folder / FOLDER)
        script = f"{FOLDER}/{SCRIPTS[flow]}"
        if flow == "vivado":
            return runner.run(script, folder, release=release).findings
        done = shell.run(script, folder, release=release)
    if done.status and not done.findings:
        last = (done.errors.strip() or done.output.strip()).splitlines()[-1:]
        return (Finding(script, 0, f"ends with status {done.status}: {''.join(last)}", ""),)
    return done.findings

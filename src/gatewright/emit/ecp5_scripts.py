# SPDX-License-Identifier: Apache-2.0
"""A kernel on an ECP5 -> what the open tools make its bitstream with, beside the sources of `emit/ecp5.py`.

build.py     runs all of them; `emit/ecp5_build.py` as it stands, which needs nothing of Gatewright
build.json   what is particular to the project: top level, device, clock, pins
synth.ys     the commands of Yosys, run in the folder `rtl` of the build, where memory files lie
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from gatewright.emit import ecp5, ecp5_build, ecp5_pll
from gatewright.emit.files import FileSet
from gatewright.emit.project import FOLDER, Project
from gatewright.errors import ConfigError

PACKAGES = {"BG": "CABGA", "MG": "CSFBGA"}
"""What nextpnr calls them."""
_PART = re.compile(r"LFE5(U|UM|UM5G)-(12|25|45|85)F-([678])(BG|MG)(\d+)[CI]")


def emit(project: Project) -> FileSet:
    """All files, by path from the project's folder, for the clock of `clocked`.

    Raises:
        ConfigError: as `ecp5.emit`; or the part is no ECP5.
    """
    project = clocked(project)
    files = ecp5.emit(project)
    files.add("build.json", json.dumps(settings(project), indent=1) + "\n")
    files.add("build.py", Path(ecp5_build.__file__).read_text(encoding="utf-8"))
    files.add("synth.ys", commands(project))
    return files


def clocked(project: Project) -> Project:
    """With the fastest clock, not above what is asked for, that the PLL makes; unchanged where there is none."""
    oscillator = project.board.oscillator_mhz
    found = () if oscillator is None else ecp5_pll.reachable(oscillator)
    below = [mhz for mhz in found if mhz <= project.mhz * (1 + ecp5_pll.TOLERANCE)]
    return replace(project, mhz=below[-1]) if below else project


def settings(project: Project) -> dict[str, object]:
    """What `build.py` reads."""
    return {
        "top": f"{project.name}_top",
        "stem": project.stem,
        "part": project.board.part,
        "device": device(project.board.part),
        "mhz": project.mhz,
        "constraints": project.board.constraints.name,
    }


def device(part: str) -> list[str]:
    """A part as options of nextpnr: size, package and speed grade.

    Raises:
        ConfigError: no part of the ECP5.
    """
    match = _PART.fullmatch(part)
    if match is None:
        raise ConfigError(f"part {part!r} is no ECP5, such as LFE5U-85F-6BG381C")
    kind, size, speed, package, balls = match.groups()
    prefix = {"U": "", "UM": "um-", "UM5G": "um5g-"}[kind]
    return [f"--{prefix}{size}k", "--package", f"{PACKAGES[package]}{balls}", "--speed", speed]


def commands(project: Project) -> str:
    """The text of `synth.ys`.

    Yosys takes no notice of the attribute use_dsp: products that shall lie in LUTs become adders before it maps others.
    ROMs are mapped by themselves, as `synth/yosys.py` does it, and flattened afterwards.
    """
    top, home = f"{project.name}_top", f"../{FOLDER}"
    found = (path if path.startswith("../") else f"{home}/{path}" for path in ecp5.sources(project))
    return "\n".join(
        [
            "# Run by build.py in the folder rtl of the build.",
            *(f"read_verilog -sv -defer {path}" for path in found),
            f"hierarchy -top {top}",
            "select -set soft a:use_dsp=no %m",
            *(f"{command} @soft" for command in ("proc", "opt_expr", "wreduce", "alumacc", "maccmap")),
            "setattr -mod -set keep_hierarchy 1 *rom",
            f"synth_ecp5 -abc9 -noiopad -top {top}",
            "setattr -mod -unset keep_hierarchy *",
            "flatten",
            "opt_clean",
            f"tee -q -o {home}/reports/yosys.json stat -json",
            f"write_json {home}/out/{project.stem}.json",
            "",
        ]
    )

# SPDX-License-Identifier: Apache-2.0
"""Vitis as a tool that makes .xclbin files of Alveo cards: how `build.sh` is run, what its log says, what it left."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from gatewright.emit import vitis
from gatewright.emit.files import FileSet
from gatewright.emit.project import Project
from gatewright.emit.vitis_scripts import FAILED, PHASES
from gatewright.sim.tools import Tool
from gatewright.synth import vitis_reports, vivado_reports
from gatewright.synth.flow import Outcome, Phase, meaning
from gatewright.synth.vivado import BROKEN_OFF

_MARKED = re.compile(r"gatewright: phase (\d+) of \d+: ")
_STEPS: Mapping[str, int] = {
    r"Run vpl: Step create_project: Started": 3,
    r"Run vpl: Step synth: Started": 4,
    r"Starting logic optimization\.\.": 5,
    r"Starting logic placement\.\.": 6,
    r"Starting logic routing\.\.": 7,
    r"Starting bitstream generation\.\.": 8,
}
"""Lines of v++, and the part of the run that begins with them."""

_INSTALL = (
    "install the card's development platform, name its folder in PLATFORM_REPO_PATHS, and see what is there with "
)
_SENTENCES: Mapping[str, str] = {
    r"17-345\].*feature '([^']*)' and/or device '([^']*)'": "Vivado has no licence for {0} on {1}: name one in "
    "XILINXD_LICENSE_FILE, or see in its licence manager what there is",
    r"ERROR.*(?:[Ff]ailed to (?:check|get).*licen[cs]e|licen[cs]e.*(?:not found|expired|checkout failed))": "Vitis has "
    "no licence: name one in XILINXD_LICENSE_FILE",
    r"60-1258\] No valid platform was found that matches '?([^' ]+?)'?\.? ": f"Vitis has no platform {{0}}: {_INSTALL}"
    "platforminfo -l",
    r"60-1299\].*Platform '([^']+)'": "this release of Vitis is too new for the platform {0}: use the release that the "
    "platform was made for, or put a newer one's name into the board record",
    r"60-300\] Failed to open platform": f"Vitis cannot open the card's platform: {_INSTALL}platforminfo -l",
    r"\[Coretcl 2-106\]|[Pp]art '?([\w-]+)'? (?:is not installed|not found)|HLS 200-1023\]": "Vivado was installed "
    "without the card's part: add its family with the installer (Add Design Tools or Devices)",
    r"101-2\] design did not meet timing(?: - ([\w ]+))?": "timing failed in a clock that v++ cannot lower ({0}): give "
    "a lower --mhz, or compile the model for a lower rate",
    r"requires more (.+?) cells than .*?requires (\d+) of such cell types but only (\d+)": "the design does not fit "
    "beside the platform: it needs {1} of {0}, and {2} are free; compile it for a lower rate, or with --budget",
    r"8-4445\]|no contents of a ROM": "Vivado does not find the contents of a ROM: copy the folders rtl, kernel and "
    "bitstream of the build together",
    r"Vivado found no interface (\S+)": "Vivado does not see {0} among the kernel's pins: compile the model again",
    r"no (\S+) on PATH: source": "{0} is not on PATH: source settings64.sh of Vitis",
    r"60-777\]": "a program of Vitis crashed: run it again; if it crashes at the same place, another release may not",
    **BROKEN_OFF,
}
"""What lines of a log mean, the first that fits; numbers of messages are the same in all releases."""


class _Vitis:
    """See `synth.flow.Flow`."""

    tool = "v++"
    title = "Vitis"
    oldest: tuple[int, int] | None = (2020, 2)
    programs = ("v++",)
    asks = "--version"

    def emit(self, project: Project) -> FileSet:
        """The scripts."""
        return vitis.emit(project)

    def command(self, project: Project, tool: Tool | None) -> list[str]:
        """What to run in the project's folder; it finds vivado and v++ on PATH."""
        return ["sh", "build.sh"]

    def phase(self, line: str) -> Phase | None:
        """The part of the run that begins."""
        found = _MARKED.match(line.strip())
        number = int(found[1]) if found else next((n for p, n in _STEPS.items() if re.search(p, line)), 0)
        return Phase(number, len(PHASES), PHASES[number - 1]) if number else None

    def failure(self, line: str) -> str | None:
        """Why it failed, where the line says so."""
        if told := meaning(_SENTENCES, line):
            return told
        own = line.strip().removeprefix(FAILED)
        return own.strip() if own != line.strip() and not re.search(r", on \S+$", own) else None

    def read(self, folder: Path, project: Project) -> Outcome:
        """What a run left in the project's folder.

        Where v++ broke off because timing failed there is no .xclbin and no report on it, and the routing's own timing
        says what failed.

        Raises:
            ToolError: a report is missing, cut, or of another kernel, part or platform.
        """
        reports, part = folder / "reports", project.board.part
        summary = vivado_reports.load(reports / "timing.rpt", part)
        whole = vivado_reports.load(reports / "utilization.rpt", part)
        linked = f"out/{project.stem}.xclbin"
        there = (folder / linked).is_file()
        info = vitis_reports.info(reports / "xclbin.info", project) if there else None
        timing = vitis_reports.timing(summary, project, info.mhz if info else None)
        if info is None and timing.met:
            info = vitis_reports.info(reports / "xclbin.info", project)
        if (reports / "utilization_kernel.rpt").is_file():
            vitis_reports.kernel_resources(reports / "utilization_kernel.rpt", project)
        return Outcome(
            version=info.version if info else summary.version,
            timing=timing,
            resources=vivado_reports.resources(whole, project),
            units=_units(reports / "utilization_units.rpt", project),
            power_w=_power(reports / "power.rpt", project),
            files={"bitstream": linked} if there else {},
        )


def _units(path: Path, project: Project) -> dict[str, dict[str, float]]:
    """By unit, where the report is there that after_route.tcl asks for."""
    if not path.is_file():
        return {}
    return vivado_reports.units(vivado_reports.load(path, project.board.part), project)


def _power(path: Path, project: Project) -> dict[str, float] | None:
    if not path.is_file():
        return None
    return vivado_reports.power(vivado_reports.load(path, project.board.part))


FLOW = _Vitis()

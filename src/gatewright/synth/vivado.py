# SPDX-License-Identifier: Apache-2.0
"""Vivado as a tool that makes bitstreams of Zynq boards: how `build.tcl` is run, what its log says, what it left."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from gatewright.emit import vivado
from gatewright.emit.files import FileSet
from gatewright.emit.project import Project
from gatewright.emit.vivado_tcl import DESIGN, FAILED, MARK, MEASURED
from gatewright.emit.zynq import FAMILIES, clock
from gatewright.errors import ToolError
from gatewright.sim.tools import Tool
from gatewright.synth import vivado_reports as reports
from gatewright.synth.flow import MORE_MEMORY, SHORTAGES, Outcome, Phase, meaning

TOP = f"{DESIGN}_wrapper"
"""What Vivado calls the module around a block design."""
CLOCKS: Mapping[str, str] = {"xc7": "clk_fpga_0", "xcup": "clk_pl_0"}
"""By family, the name that a processing system gives its first clock."""
TOLERANCE = 0.002
"""Of a clock's frequency: periods are in whole picoseconds, and 33.333 MHz are a little less than a third of 100."""
_PHASE = re.compile(rf"{MARK} phase (\d+) of (\d+): (.+)")
BROKEN_OFF: Mapping[str, str] = {
    r"\bKilled +\"\$RDI_PROG\"": f"something killed it, most often the system for want of memory: {MORE_MEMORY}",
    **SHORTAGES,
    r"(?:Abnormal program termination|An unexpected error has occurred) \((\d+)\)": "Vivado crashed (signal {0}): run "
    "it again; if it crashes at the same place, another release may not",
}
"""What lines of Vivado mean that breaks off, by itself or under v++."""
_SENTENCES: Mapping[str, str] = {
    r"\[Common 17-345\].*feature '([^']*)' and/or device '([^']*)'": "Vivado has no licence for {0} on {1}: name one "
    "in XILINXD_LICENSE_FILE, or see in its licence manager what there is",
    r"\[Coretcl 2-106\]": "Vivado was installed without the board's part: add its family with the installer (Add "
    "Design Tools or Devices)",
    r"failed: part (\S+) is not installed": "this Vivado has no part {0}: add its family with the installer (Add "
    "Design Tools or Devices), or, where it is misspelt, mend it in the board's record",
    r"invalid command name \"([^\"]*)\"": "this Vivado has no command {0}: use 2020.2 or newer",
    r"failed: this Vivado has no IP (\S+)": "this Vivado has no IP {0}, which is part of it: install it again",
    r"failed: Vivado does not take the IP in kernel/": "Vivado does not take the IP in kernel/: copy the folders rtl, "
    "kernel and bitstream of the build together",
    r"\[Synth 8-4445\].*?'([^']*)'": "Vivado does not find {0}, the contents of a ROM: copy the folders rtl, kernel "
    "and bitstream of the build together",
    r"requires more (.+?) cells than .*?requires (\d+) of such cell types but only (\d+)": "the design does not fit: "
    "it needs {1} of {0}, and the part has {2}; compile it for a lower rate, or with --budget",
    **BROKEN_OFF,
    rf"^{MARK} (timing failed: .*)": "{0}",
    rf"^{FAILED} (?!timing failed|.*(?:ERROR: \[|failed due to earlier errors))(.+)": "{0}",
}  # fmt: skip
"""What lines of a log mean, the first that fits. Messages of Vivado have the same numbers in all releases."""


class _Vivado:
    """See `synth.flow.Flow`."""

    tool = "vivado"
    title = "Vivado"
    oldest: tuple[int, int] | None = (2020, 2)
    programs = ("vivado",)
    asks = "-version"

    def emit(self, project: Project) -> FileSet:
        """The scripts."""
        return vivado.emit(project)

    def command(self, project: Project, tool: Tool | None) -> list[str]:
        """What to run in the project's folder.

        Whoever reads the reports is told by them that timing failed, and not by the exit status too.
        """
        words = ["-mode", "batch", "-nojournal", "-nolog", "-notrace", "-source", "build.tcl"]
        return ["vivado", *words] if tool is None else [str(tool.path), *words, "-tclargs", MEASURED]

    def phase(self, line: str) -> Phase | None:
        """The part of the run that begins."""
        found = _PHASE.fullmatch(line.strip())
        return Phase(int(found[1]), int(found[2]), found[3]) if found else None

    def failure(self, line: str) -> str | None:
        """Why it failed, where the line says so."""
        return meaning(_SENTENCES, line)

    def read(self, folder: Path, project: Project) -> Outcome:
        """What a run left in the project's folder.

        Raises:
            ToolError: a report is missing, cut, or of another design, part, release or clock.
        """
        there = folder / "reports"
        names = ("timing", "utilization", "utilization_units", "power")
        found = {name: reports.load(there / f"{name}.rpt", project.board.part, TOP) for name in names}
        version = found["timing"].version
        for report in found.values():
            if report.version != version:
                raise ToolError(f"{report.path} is of Vivado {report.version}, the timing of {version}: run it again")
        timing = reports.timing(found["timing"], project, CLOCKS[project.board.family])
        given = clock(FAMILIES[project.board.family], project.mhz).mhz
        if abs(timing.mhz - given) > TOLERANCE * given:
            raise ToolError(
                f"{found['timing'].path}: the clock has {timing.mhz:.3f} MHz, and the board gives {given:.3f} MHz for "
                f"the {project.mhz:g} MHz asked for: the bitstream would run at another clock than it was timed for"
            )
        files = {kind: f"out/{project.stem}{end}" for kind, end in (("bitstream", ".bit"), ("hwh", ".hwh"))}
        return Outcome(
            version=version,
            timing=timing,
            resources=reports.resources(found["utilization"], project),
            units=reports.units(found["utilization_units"], project),
            power_w=reports.power(found["power"]),
            files={kind: name for kind, name in files.items() if (folder / name).is_file()},
        )


FLOW = _Vivado()

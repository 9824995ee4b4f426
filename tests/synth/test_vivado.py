# SPDX-License-Identifier: Apache-2.0
"""Vivado's reports of five releases, written from the documented formats, and what lines of its log mean."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.emit.test_vitis import project

from gatewright.emit.project import Project
from gatewright.emit.vivado_tcl import PHASES
from gatewright.errors import ToolError
from gatewright.sim.tools import Tool
from gatewright.synth import vivado_reports
from gatewright.synth.flow import Outcome, Phase
from gatewright.synth.vivado import CLOCKS, FLOW
from gatewright.synth.vivado_reports import Report, unit_of

SAMPLES = Path(__file__).parent / "vivado"
BOARDS = {
    "2019.2": "pynq-z2", "2020.2": "ultra96-v2", "2022.2": "pynq-z1", "2023.2": "zcu104", "2024.2": "kv260",
}  # fmt: skip
MHZ = {"2020.2": 200.0, "2024.2": 200.0}
"""Asked for, where it is not 100 MHz; the I/O PLL of 1,500 MHz gives 187.5."""
REPORTS = ("timing", "utilization", "utilization_units", "power")


def reports(version: str) -> dict[str, str]:
    """The text of every report of a release."""
    text = (SAMPLES / f"{version.replace('.', '_')}.txt").read_text()
    parts = re.split(r"^=== (\w+)\.rpt ===\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def written(version: str, folder: Path) -> tuple[Path, Project]:
    """A project's folder with the reports of a release, and the project."""
    (folder / "reports").mkdir()
    for name, text in reports(version).items():
        (folder / "reports" / f"{name}.rpt").write_text(text)
    return folder, project("several", BOARDS[version], MHZ.get(version, 100.0))


def test_every_release_has_all_reports() -> None:
    for version in BOARDS:
        assert tuple(reports(version)) == REPORTS


def read(version: str, folder: Path) -> Outcome:
    return FLOW.read(*written(version, folder))


# Columns: frequency of the clock, WNS, TNS, WHS, Fmax, where the slowest path ends, its levels.
TIMING = {
    "2019.2": (100.0, 1.234, 0.0, 0.021, 1000 / 8.766, "quant_3", 7),
    "2020.2": (1000 / 5.333, -0.333, -13.146, 0.010, 1000 / 5.666, "add_1", 11),
    "2022.2": (100.0, 0.482, 0.0, -0.031, 1000 / 9.518, "control", 9),
    "2023.2": (100.0, 3.911, 0.0, 0.011, 1000 / 6.089, "", 6),
    "2024.2": (1000 / 5.333, 0.017, 0.0, 0.010, 1000 / 5.316, "add_1_fifo0", 5),
}


@pytest.mark.parametrize("version", BOARDS)
def test_timing(version: str, tmp_path: Path) -> None:
    found = read(version, tmp_path)
    assert found.version == version
    timing, worst = found.timing, found.timing.worst
    assert worst is not None
    told = (timing.mhz, timing.wns_ns, timing.tns_ns, timing.whs_ns, timing.fmax_mhz, worst.unit, worst.levels)
    assert told == pytest.approx(TIMING[version])
    assert worst.slack_ns == timing.wns_ns
    assert timing.met == (version in ("2019.2", "2023.2", "2024.2"))


def test_the_slowest_path_by_its_ends(tmp_path: Path) -> None:
    worst = read("2020.2", tmp_path).timing.worst
    assert worst is not None
    core = "system_i/net_kernel_1/inst/i_core"
    assert (worst.source, worst.destination) == (f"{core}/i_read0/o_reg[0]/C", f"{core}/i_design/i_add_1/sum_reg[31]/D")


RESOURCES = {
    "2019.2": {"LUT": 9120, "FF": 11030, "BRAM36": 6.5, "DSP": 4},
    "2020.2": {"LUT": 8876, "FF": 11440, "BRAM36": 6.5, "DSP": 0},
    "2022.2": {"LUT": 9120, "FF": 11030, "BRAM36": 7, "DSP": 4},
    "2023.2": {"LUT": 8802, "FF": 11400, "BRAM36": 6.5, "DSP": 0, "URAM": 0},
    "2024.2": {"LUT": 8790, "FF": 11380, "BRAM36": 6.5, "DSP": 0, "URAM": 2},
}


@pytest.mark.parametrize("version", BOARDS)
def test_resources_of_the_chip_and_of_every_unit(version: str, tmp_path: Path) -> None:
    found = read(version, tmp_path)
    assert found.resources == RESOURCES[version]
    assert set(found.resources) == set(project("several", BOARDS[version]).board.capacity)
    uram = {"URAM": 0.0} if "URAM" in found.resources else {}
    assert found.units == {  # quant_3_adapter0_6 went into its neighbours
        "add_1": {"LUT": 211, "FF": 96, "BRAM36": 0, "DSP": found.resources["DSP"], **uram},
        "quant_3": {"LUT": 142, "FF": 77, "BRAM36": 1.5, "DSP": 0, **uram},
        "quant_3_adapter0_12": {"LUT": 20, "FF": 64, "BRAM36": 0, "DSP": 0, **uram},
    }


def test_power(tmp_path: Path) -> None:
    assert read("2024.2", tmp_path).power_w == {"total": 2.744, "dynamic": 2.401, "static": 0.343}


def test_files_that_are_there(tmp_path: Path) -> None:
    folder, chosen = written("2023.2", tmp_path)
    assert FLOW.read(folder, chosen).files == {}
    (folder / "out").mkdir()
    for end in ("bit", "hwh"):
        (folder / "out" / f"{chosen.stem}.{end}").write_text("x")
    assert FLOW.read(folder, chosen).files == {
        "bitstream": f"out/{chosen.stem}.bit", "hwh": f"out/{chosen.stem}.hwh",
    }  # fmt: skip


# --- reports that are not whole, or of something else -----------------------------------------------------------------


@pytest.mark.parametrize("name", REPORTS)
def test_a_missing_report(name: str, tmp_path: Path) -> None:
    folder, chosen = written("2022.2", tmp_path)
    (folder / "reports" / f"{name}.rpt").unlink()
    with pytest.raises(ToolError, match=rf"{name}\.rpt cannot be read \(.*\): the tool left no such report; see its"):
        FLOW.read(folder, chosen)


PARSERS: dict[str, Callable[[Report, Project], object]] = {
    "timing": lambda report, chosen: vivado_reports.timing(report, chosen, CLOCKS[chosen.board.family]),
    "utilization": vivado_reports.resources,
    "utilization_units": vivado_reports.units,
    "power": lambda report, _: vivado_reports.power(report),
}


@pytest.mark.parametrize("version", BOARDS)
@pytest.mark.parametrize("name", REPORTS)
def test_a_report_that_is_cut_is_refused_or_says_the_same(version: str, name: str, tmp_path: Path) -> None:
    """Behind and within every line: what the whole report says, or an error that names it; never another figure."""
    folder, chosen = written(version, tmp_path)
    path = folder / "reports" / f"{name}.rpt"
    text = path.read_text()

    def figures() -> object:
        return PARSERS[name](vivado_reports.load(path, chosen.board.part), chosen)

    whole, refused = figures(), 0
    ends = [m.end() for m in re.finditer("\n", text)]
    for cut in [*ends[:-1], *(end - 5 for end in ends), *(end - 20 for end in ends)]:
        path.write_text(text[: max(cut, 0)])
        try:
            assert figures() == whole
        except ToolError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > len(ends)


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_of_another_part_or_design(name: str, tmp_path: Path) -> None:
    folder, chosen = written("2023.2", tmp_path)
    other = replace(chosen, board=project("several", "kv260").board)
    with pytest.raises(ToolError, match=r"timing\.rpt is of the part 'xczu7ev-ffvc1156', not of 'xck26-sfvc784-2LV-c'"):
        FLOW.read(folder, other)
    path = folder / "reports" / f"{name}.rpt"
    path.write_text(path.read_text().replace("system_wrapper", "top", 1))
    with pytest.raises(ToolError, match=rf"{name}\.rpt is of the design 'top', not of 'system_wrapper': it is another"):
        FLOW.read(folder, chosen)


def test_reports_of_two_releases(tmp_path: Path) -> None:
    folder, chosen = written("2023.2", tmp_path)
    path = folder / "reports" / "power.rpt"
    path.write_text(path.read_text().replace("v.2023.2", "v.2024.1"))
    with pytest.raises(ToolError, match=r"power\.rpt is of Vivado 2024\.1, the timing of 2023\.2: run it again"):
        FLOW.read(folder, chosen)


def test_reports_of_another_clock(tmp_path: Path) -> None:
    folder, chosen = written("2019.2", tmp_path)
    message = r"timing\.rpt: the clock has 100\.000 MHz, and the board gives 125\.000 MHz for the 130 MHz asked for"
    with pytest.raises(ToolError, match=message):
        FLOW.read(folder, replace(chosen, mhz=130.0))


CHANGES: dict[str, tuple[str, Callable[[str], str], str]] = {
    "no text of a report": ("power", lambda text: "hello\n", r"power\.rpt is cut or no report of Vivado: it lacks"),
    "registers without a clock": (
        "timing", lambda text: text.replace("are 0 register/latch pins with no", "are 7 register/latch pins with no"),
        r"timing\.rpt: 7 register pins have no clock, so that its timing is not the design's",
    ),
    "a clock that is too fast": (
        "timing", lambda text: text.replace("3.500", "-0.105"),
        r"too fast for a block of the chip, whatever the routing \(pulse width slack -0\.105 ns at 100 MHz\): give a",
    ),
    "another clock": ("timing", lambda text: text.replace("clk_pl_0  {", "clk_pl_1  {"), "lacks the clock clk_pl_0 in"),
    "no paths at all": ("timing", lambda text: text.replace("3.911", "NA"), r"lacks a number for WNS\(ns\) in it"),
    "slack of another path": (
        "timing", lambda text: text.replace("      3.911        0.000", "      3.801        0.000"),
        r"lacks the path whose slack is 3\.801 ns; the slowest in it has 3\.911 ns",
    ),
    "a path without an end": (
        "timing", lambda text: text.replace("  Destination:            system_i/m", "  Destined:    system_i/m"),
        "lacks the Destination of its slowest path",
    ),
    "a row that is gone": (
        "utilization", lambda text: re.sub(r"\| Block RAM Tile .*\n", "", text), "lacks a whole table with Block",
    ),
    "a number that is none": (
        "utilization", lambda text: text.replace("|  8802 |", "|   n/a |"), "lacks the number of LUT that are used",
    ),
    "no kernel": ("utilization_units", lambda text: text.replace("net_kernel", "other"), "lacks the kernel net_kernel"),
    "no power": ("power", lambda text: text.replace("| 3.011 ", "|   NA  "), r"lacks Total On-Chip Power \(W\)"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_cannot_be_read_is_told(change: str, tmp_path: Path) -> None:
    folder, chosen = written("2023.2", tmp_path)
    name, edit, message = CHANGES[change]
    path = folder / "reports" / f"{name}.rpt"
    before = path.read_text()
    path.write_text(edit(before))
    assert path.read_text() != before
    with pytest.raises(ToolError, match=message):
        FLOW.read(folder, chosen)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("system_i/net_kernel_1/inst/i_core/i_design/i_add_1/g_lane[0].i_sum/r_reg[3]/D", "add_1"),
        ("level0_i/ulp/net_kernel_1/inst/i_core/i_design/i_quant_3/x/C", "quant_3"),
        ("system_i/net_kernel_1/inst/i_core/i_design/i_add_1_fifo0/full_reg/D", "add_1_fifo0"),
        ("system_i/net_kernel_1/inst/i_core/i_monitor3/words_reg[2]/CE", "monitor3"),
        ("system_i/net_kernel_1/inst/i_core/loose_reg/D", ""),
        ("system_i/memory0/inst/i_core/i_design/i_add_1/D", ""),
        ("system_i/processing_system7_0/inst/PS7_i/SAXIHP0WDATA[3]", ""),
    ],
)
def test_whose_a_pin_is(name: str, unit: str) -> None:
    assert unit_of(name, project("several", "pynq-z2")) == unit


# --- running it -------------------------------------------------------------------------------------------------------


def test_the_command() -> None:
    chosen = project("small", "pynq-z2")
    typed = ["vivado", "-mode", "batch", "-nojournal", "-nolog", "-notrace", "-source", "build.tcl"]
    assert FLOW.command(chosen, None) == typed
    tool = Tool("vivado", Path("/opt/Vivado/2023.2/bin/vivado"), "2023.2")
    assert FLOW.command(chosen, tool) == [str(tool.path), *typed[1:], "-tclargs", "measured"]


def test_phases_of_a_log() -> None:
    assert FLOW.phase("gatewright: phase 4 of 11: synthesis\n") == Phase(4, 11, "synthesis")
    for line in ("Phase 4 Routing", "gatewright: done", "# puts gatewright: phase 4 of 11: synthesis"):
        assert FLOW.phase(line) is None
    assert len(PHASES) == 11
    assert PHASES[3] == "synthesis"


LOG = {
    "ERROR: [Common 17-345] A valid license was not found for feature 'Synthesis' and/or device 'xczu7ev'. Please run":
    "Vivado has no licence for Synthesis on xczu7ev: name one in XILINXD_LICENSE_FILE, or see in its licence manager",
    "ERROR: [Coretcl 2-106] Specified part could not be found.": "Vivado was installed without the board's part: add",
    "gatewright: failed: part xck26-sfvc784-2LV-c is not installed": "this Vivado has no part xck26-sfvc784-2LV-c: add",
    'invalid command name "read_mem"': "this Vivado has no command read_mem: use 2020.2 or newer",
    "gatewright: failed: this Vivado has no IP smartconnect": "this Vivado has no IP smartconnect, which is part of it",
    "gatewright: failed: Vivado does not take the IP in kernel/": "Vivado does not take the IP in kernel/: copy",
    "ERROR: [Synth 8-4445] could not open $readmem data file 'conv_1_weight.mem'; please make sure the file is added":
    "Vivado does not find conv_1_weight.mem, the contents of a ROM: copy the folders rtl, kernel and bitstream",
    "ERROR: [DRC UTLZ-1] Resource utilization: LUT as Logic over-utilized in Top Level Design (This design requires "
    "more LUT as Logic cells than are available in the target device. This design requires 76726 of such cell types "
    "but only 63400 compatible sites are available": "the design does not fit: it needs 76726 of LUT as Logic, and the "
    "part has 63400; compile it for a lower rate, or with --budget",
    "ERROR: [Place 30-640] Place Check : This design requires more RAMB36/FIFO cells than are available in the target "
    "device. This design requires 324 of such cell types but only 140 compatible sites": "the design does not fit: it "
    "needs 324 of RAMB36/FIFO, and the part has 140",
    '/opt/Vivado/2020.2/bin/rdiArgs.sh: line 309: 3801495 Killed                  "$RDI_PROG" "$@"': "something killed",
    "terminate called after throwing an instance of 'std::bad_alloc'": "it ran out of memory: use a machine with more",
    "ERROR: [Common 17-49] Internal Data Exception: write failed: No space left on device": "the disk is full",
    "Abnormal program termination (11)": "Vivado crashed (signal 11): run it again; if it crashes at the same",
    "# An unexpected error has occurred (6)": "Vivado crashed (signal 6): run it again;",
    "gatewright: timing failed: the least slack is -0.333 ns for setup and 0.01 ns for hold": "timing failed: the "
    "least slack is -0.333 ns for setup and 0.01 ns for hold",
    "gatewright: failed: the slack of a path is inf": "the slack of a path is inf",
}  # fmt: skip


@pytest.mark.parametrize("line", LOG)
def test_why_a_run_failed(line: str) -> None:
    found = FLOW.failure(line)
    assert found is not None
    assert found.startswith(LOG[line])


@pytest.mark.parametrize(
    "line",
    [
        "INFO: [Synth 8-3876] $readmem data file 'conv_1_weight.mem' is read successfully",
        "WARNING: [Device 21-436] No parts matched 'xck26'",
        "Memory (MB): peak = 2724.598 ; gain = 1841.562 ; free physical = 80 ; free virtual = 264",
        "gatewright: phase 11 of 11: bitstream",
        "gatewright: done",
        "gatewright: failed: ERROR: [Common 17-39] 'place_design' failed due to earlier errors.",
        "gatewright: failed: timing failed",
    ],
)
def test_lines_that_say_nothing(line: str) -> None:
    assert FLOW.failure(line) is None

# SPDX-License-Identifier: Apache-2.0
"""Vitis: its log, its reports of four releases, and `build.sh` with programs in the place of Vivado and v++.

The sample reports are written for these tests, after the formats that UG906, UG1393 and xclbinutil's source describe.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.emit.test_vitis import project
from tests.models import small_network

from gatewright.boards import Vitis, load_board
from gatewright.build import compile_model
from gatewright.emit import vitis as emitter
from gatewright.emit.project import Project
from gatewright.emit.vitis_scripts import PHASES
from gatewright.errors import ToolError
from gatewright.synth.bitstream import load, make, plan
from gatewright.synth.flow import Flow, Phase
from gatewright.synth.vitis import FLOW
from gatewright.synth.vitis_reports import kernel_resources

SAMPLES = Path(__file__).parent / "vitis"
BOARDS = {"2020_2": "alveo-u250", "2022_1": "alveo-u50", "2023_2": "alveo-u250", "2024_1": "alveo-u280"}
OLD = "xilinx_u250_xdma_201830_2"
"""The platform of the oldest sample, which another board record could name."""


def sample_project(release: str) -> Project:
    found = project("small", BOARDS[release])
    if release == "2020_2":
        card = found.board.vitis
        assert card is not None
        return replace(found, board=replace(found.board, vitis=Vitis(OLD, card.regions, card.slr)))
    return found


def sample(release: str) -> dict[str, str]:
    """The reports of a release by file name."""
    parts = re.split(r"^=== (\S+) ===\n", (SAMPLES / f"{release}.txt").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def place(folder: Path, project: Project, reports: dict[str, str], linked: bool = True) -> Path:
    """A project's folder after a run."""
    (folder / "reports").mkdir()
    (folder / "out").mkdir()
    for name, text in reports.items():
        (folder / "reports" / name).write_text(text)
    if linked:
        (folder / "out" / f"{project.stem}.xclbin").write_bytes(b"xclbin2")
    return folder


def test_it_is_a_flow() -> None:
    flow: Flow = FLOW
    assert (flow.tool, flow.title, flow.oldest) == ("v++", "Vitis", (2020, 2))
    assert flow.command(project("small", "alveo-u50"), None) == ["sh", "build.sh"]
    assert flow.emit(project("small", "alveo-u50")).digest() == emitter.emit(project("small", "alveo-u50")).digest()


# --- reports ----------------------------------------------------------------------------------------------------------

KERNEL = {"LUT": 5123, "FF": 6321, "BRAM36": 15, "DSP": 3, "URAM": 0}


@pytest.mark.parametrize(
    ("release", "wns", "whs", "fmax", "levels", "luts"),
    [
        ("2020_2", 0.286, 0.012, 1000 / 4.714, 6, 123456),
        ("2022_1", 0.031, 0.010, 1000 / 4.969, 8, 98765),
        ("2024_1", 0.417, 0.009, 1000 / 4.583, 5, 143210),
    ],
)
def test_reports_are_read(
    release: str, wns: float, whs: float, fmax: float, levels: int, luts: int, tmp_path: Path
) -> None:
    """The slack is that of the kernel's clock, though a clock of the platform may have less."""
    chosen = sample_project(release)
    found = FLOW.read(place(tmp_path, chosen, sample(release)), chosen)
    assert found.version == release.replace("_", ".")
    timing = found.timing
    assert (timing.met, timing.mhz, timing.wns_ns, timing.tns_ns, timing.whs_ns) == (True, 200.0, wns, 0.0, whs)
    assert timing.fmax_mhz == pytest.approx(fmax)
    assert timing.worst is not None
    assert (timing.worst.unit, timing.worst.slack_ns, timing.worst.levels) == ("conv_1", wns, levels)
    assert timing.worst.source.endswith("/i_core/i_design/i_conv_1/u_first/level_q_reg[3]/C")
    assert timing.worst.destination.endswith("/i_core/i_design/i_conv_1/u_first/sum_q_reg[17]/D")
    assert found.resources["LUT"] == luts
    assert set(found.resources) == {"LUT", "FF", "BRAM36", "DSP", "URAM"}
    assert found.files == {"bitstream": f"out/{chosen.stem}.xclbin"}


def test_the_shell_of_a_card_may_have_a_name_of_its_own(tmp_path: Path) -> None:
    chosen, reports = sample_project("2022_1"), sample("2022_1")
    reports["xclbin.info"] = reports["xclbin.info"].replace("xdma_5_202210_1", "xdma_base_5")
    assert FLOW.read(place(tmp_path, chosen, reports), chosen).timing.met


def test_a_clock_that_was_lowered_is_timing_that_failed(tmp_path: Path) -> None:
    chosen = sample_project("2023_2")
    timing = FLOW.read(place(tmp_path, chosen, sample("2023_2")), chosen).timing
    assert not timing.met
    assert timing.wns_ns == pytest.approx(-0.688, abs=0.001)
    assert timing.fmax_mhz == pytest.approx(175.8, abs=0.1)
    assert timing.worst is not None
    assert (timing.worst.unit, timing.worst.levels) == ("conv_1", 17)


@pytest.mark.parametrize("release", ["2020_2", "2022_1", "2024_1"])
def test_also_when_only_the_xclbin_says_so(release: str, tmp_path: Path) -> None:
    """XRT takes fewer steps of frequency than a router could reach."""
    chosen, reports = sample_project(release), sample(release)
    lowered = reports["xclbin.info"].replace("Achieved Freq:  200 MHz", "Achieved Freq:  180 MHz")
    reports["xclbin.info"] = re.sub(r"(Type: +DATA\n +Frequency: +)200", r"\g<1>180", lowered)
    timing = FLOW.read(place(tmp_path, chosen, reports), chosen).timing
    assert (timing.met, timing.fmax_mhz) == (False, 180)
    assert timing.wns_ns == round(5 - 1000 / 180, 3)


def test_the_clock_may_be_what_a_search_asked_for(tmp_path: Path) -> None:
    """The same routing, for a project that asks for what v++ came to."""
    chosen = replace(sample_project("2023_2"), mhz=175.0)
    timing = FLOW.read(place(tmp_path, chosen, sample("2023_2")), chosen).timing
    assert timing.met
    assert timing.wns_ns == pytest.approx(1000 / 175 - 5.688, abs=0.001)


def test_the_period_may_be_another_than_the_one_asked_for(tmp_path: Path) -> None:
    """Platforms were seen that are analysed at 10 ns whatever v++ was asked for."""
    chosen, reports = sample_project("2024_1"), sample("2024_1")
    row = re.compile(r"^(clk_kernel_00_unbuffered_net +)\{0.000 2.500\}( +)5.000( +)200.000", re.MULTILINE)
    text, count = row.subn(r"\g<1>{0.000 5.000}\g<2>10.000\g<3>100.000", reports["timing.rpt"])
    assert count == 1
    reports["timing.rpt"] = text.replace("0.417", "4.800").replace("0.521", "4.904")
    timing = FLOW.read(place(tmp_path, chosen, reports), chosen).timing
    assert (timing.met, timing.wns_ns, round(timing.fmax_mhz, 2)) == (False, -0.2, 192.31)


def test_a_clock_of_the_platform_that_fails_is_named(tmp_path: Path) -> None:
    """v++ breaks off then, and leaves no .xclbin."""
    chosen, reports = sample_project("2022_1"), sample("2022_1")
    reports.pop("xclbin.info")
    reports["timing.rpt"] = reports["timing.rpt"].replace(" 0.003 ", "-0.307 ").replace(" 0.003ns", "-0.307ns")
    found = FLOW.read(place(tmp_path, chosen, reports, linked=False), chosen)
    assert (found.timing.met, found.timing.wns_ns, found.files, found.version) == (False, -0.307, {}, "2022.1")
    assert found.timing.worst is not None
    assert (found.timing.worst.unit, found.timing.worst.slack_ns) == ("", -0.307)


def test_also_a_reset_of_the_platform(tmp_path: Path) -> None:
    """Paths of recovery belong to no clock's own table, and count for the whole card."""
    chosen, reports = sample_project("2022_1"), sample("2022_1")
    text = reports["timing.rpt"].replace("      0.003        0.000", "     -0.101       -0.101", 1)
    assert text.count(" 0.001ns") == 1
    reports["timing.rpt"] = text.replace(" 0.001ns", "-0.101ns")
    timing = FLOW.read(place(tmp_path, chosen, reports), chosen).timing
    assert timing.worst is not None
    assert (timing.met, timing.wns_ns, timing.worst.slack_ns) == (False, -0.101, -0.101)
    assert timing.worst.destination.endswith("/q_reg/CLR")
    assert timing.fmax_mhz == pytest.approx(1000 / 5.101)


def test_hold_that_fails_is_timing_that_failed(tmp_path: Path) -> None:
    chosen, reports = sample_project("2022_1"), sample("2022_1")
    reports["timing.rpt"] = reports["timing.rpt"].replace("      0.010 ", "     -0.020 ", 1)
    timing = FLOW.read(place(tmp_path, chosen, reports), chosen).timing
    assert (timing.met, timing.whs_ns) == (False, -0.020)


def test_units_and_power_are_there_when_the_hook_ran(tmp_path: Path) -> None:
    chosen = sample_project("2024_1")
    found = FLOW.read(place(tmp_path, chosen, sample("2024_1")), chosen)
    assert found.units["conv_1"] == {"LUT": 900, "FF": 800, "BRAM36": 1.5, "DSP": 3, "URAM": 0}
    assert set(found.units) == {"conv_1", "conv_1_window"}
    assert found.power_w == {"total": 21.345, "dynamic": 17.012, "static": 4.333}


def test_and_are_no_loss_when_it_did_not(tmp_path: Path) -> None:
    chosen = sample_project("2020_2")
    found = FLOW.read(place(tmp_path, chosen, sample("2020_2")), chosen)
    assert (found.units, found.power_w) == ({}, None)


@pytest.mark.parametrize("release", ["2020_2", "2022_1", "2023_2"])
def test_the_kernel_without_its_platform(release: str, tmp_path: Path) -> None:
    path = tmp_path / "kernel.rpt"
    path.write_text(sample(release)["utilization_kernel.rpt"])
    assert kernel_resources(path, sample_project(release)) == KERNEL


FOREIGN = {
    "timing of another part": ("timing.rpt", "xcu50-fsvh2104", "xcu280-fsvh2892", "of the part 'xcu280-fsvh2892', not"),
    "use of another part": ("utilization.rpt", "xcu50-fsvh2104", "xcvu9p-flga2104", "of the part 'xcvu9p-flga2104', n"),
    "another kernel": (
        "xclbin.info",
        "Kernels:                net_kernel",
        "Kernels: vadd",
        "of the kernels vadd, not",
    ),
    "two kernels": (
        "xclbin.info",
        "   net_kernel\n",
        "   net_kernel vadd\n",
        "of the kernels net_kernel, vadd, not of",
    ),
    "another platform": (
        "xclbin.info",
        "u50_gen3x16_xdma_5_202210_1",
        "u55c_gen3x16_xdma_3",
        "not of 'xilinx_u50_gen3x",
    ),
    "another kernel's table": (
        "utilization_kernel.rpt",
        "net_kernel",
        "vadd",
        "has no kernel net_kernel: it is another",
    ),
    "another kernel's units": ("utilization_units.rpt", "net_kernel", "vadd", "lacks the kernel net_kernel"),
    "no report": ("timing.rpt", "| Tool Version", "| Version", "lacks a line `| Tool Version : ...`"),
    "no slack": ("timing.rpt", "      0.003        0.000  ", "         NA           NA  ", "row of its Design Timing"),
    "no kernel clock": ("timing.rpt", "clk_kernel_00_unbuffered_net", "clk_other", "lacks a clock of the kernel"),
    "another slack in the path": ("timing.rpt", ":            0.031ns", ":            0.030ns", "the path whose slack"),
    "no path of the kernel": (
        "timing.rpt",
        "Path Group:             clk_kernel_00",
        "Path Group: x",
        "of the clock clk_kernel_00",
    ),
    "a path without an end": ("timing.rpt", "  Destination: ", "  End: ", "lacks the Destination of a path"),
    "no LUTs": ("utilization.rpt", "CLB LUTs", "LUTs", "lacks a whole table with Slice LUTs or CLB LUTs"),
    "no frequency": ("xclbin.info", " MHz", "", "lacks the kernel's clock"),
    "no power": ("power.rpt", "Device Static (W)", "Static", "lacks Device Static"),
}


@pytest.mark.parametrize("fault", FOREIGN)
def test_foreign_reports_are_refused(fault: str, tmp_path: Path) -> None:
    name, old, new, message = FOREIGN[fault]
    chosen, reports = sample_project("2022_1"), sample("2022_1")
    assert old in reports[name]
    reports[name] = reports[name].replace(old, new)
    with pytest.raises(ToolError, match=re.escape(message)):
        FLOW.read(place(tmp_path, chosen, reports), chosen)


CUTS = [(name, share) for name in ("timing.rpt", "utilization.rpt", "xclbin.info", "utilization_kernel.rpt")
        for share in (0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8) if name != "timing.rpt" or share < 0.6]  # fmt: skip
"""In timing.rpt the kernel's paths come before the last third, and nothing behind them is asked for."""


@pytest.mark.parametrize(("name", "share"), CUTS)
def test_reports_that_are_cut_are_refused(name: str, share: float, tmp_path: Path) -> None:
    chosen, reports = sample_project("2022_1"), sample("2022_1")
    reports[name] = reports[name][: int(len(reports[name]) * share)]
    with pytest.raises(ToolError, match=r"is cut|lacks|no report"):
        FLOW.read(place(tmp_path, chosen, reports), chosen)


@pytest.mark.parametrize("name", ["timing.rpt", "utilization.rpt", "xclbin.info"])
def test_reports_that_are_missing_are_named(name: str, tmp_path: Path) -> None:
    chosen, reports = sample_project("2022_1"), sample("2022_1")
    reports.pop(name)
    with pytest.raises(ToolError, match=rf"{re.escape(name)} cannot be read .* see its log"):
        FLOW.read(place(tmp_path, chosen, reports), chosen)


def test_timing_met_and_no_xclbin_is_no_success(tmp_path: Path) -> None:
    chosen, reports = sample_project("2022_1"), sample("2022_1")
    reports.pop("xclbin.info")
    with pytest.raises(ToolError, match=r"xclbin\.info cannot be read"):
        FLOW.read(place(tmp_path, chosen, reports, linked=False), chosen)


# --- the log ----------------------------------------------------------------------------------------------------------

LOG = """\
gatewright: phase 1 of 9: packaging the kernel
INFO: [IP_Flow 19-5654] Module 'net_kernel' uses SystemVerilog sources
gatewright: phase 2 of 9: linking the system
INFO: [v++ 60-1443] [02:01:17] Run run_link: Step system_link: Started
INFO: [v++ 60-1443] [02:01:40] Run run_link: Step vpl: Started
[02:02:01] Run vpl: Step create_project: Started
[02:02:20] Run vpl: Step create_bd: Started
[02:05:00] Run vpl: Step synth: Started
[02:05:30] Block-level synthesis in progress, 0 of 30 jobs complete, 3 jobs running.
[02:25:00] Run vpl: Step impl: Started
[02:35:55] Finished 2nd of 6 tasks (FPGA linking synthesized kernels to platform). Elapsed time: 00h 19m 11s
[02:35:55] Starting logic optimization..
[02:36:25] Starting logic placement..
[03:06:25] Starting logic routing..
[03:56:25] Starting bitstream generation..
gatewright: phase 9 of 9: collecting reports
"""


def test_every_phase_is_seen_once_and_in_order() -> None:
    found = [phase for line in LOG.splitlines() if (phase := FLOW.phase(line)) is not None]
    assert found == [Phase(i + 1, len(PHASES), name) for i, name in enumerate(PHASES)]


FAILURES = {
    "ERROR: [VPL 17-345] A valid license was not found for feature 'Synthesis' and/or device 'xcu280'.":
        "no licence for Synthesis on xcu280",
    "ERROR: [Common 17-345] A valid license was not found for feature 'Implementation' and/or device 'xcu50'. Please":
        "no licence for Implementation on xcu50",
    "ERROR: [v++ 60-1228] License checkout: license for ap_v++ not found": "Vitis has no licence",
    "ERROR: [v++ 60-1258] No valid platform was found that matches 'xilinx_u50_gen3x16_xdma_5_202210_1'. Please make":
        "no platform xilinx_u50_gen3x16_xdma_5_202210_1: install",
    "ERROR: [v++ 60-1299] The specified platform is not supported. Platform 'xilinx_u250_xdma_201830_2.xpfm' (version":
        "too new for the platform xilinx_u250_xdma_201830_2.xpfm",
    "ERROR: [HLS 200-1023] Part 'xcu280-fsvh2892-2L-e' is not installed.": "without the card's part",
    "ERROR: [Coretcl 2-106] Specified part could not be found.": "without the card's part",
    "ERROR: [VPL 101-2] design did not meet timing - hold violation": "a clock that v++ cannot lower (hold violation)",
    "ERROR: [VPL 30-640] Place Check : This design requires more LUT as Logic cells than are available in Pblock "
    "'pblock_dynamic_SLR0'. This design requires 412345 of such cell types but only 354690 compatible sites are":
        "it needs 412345 of LUT as Logic, and 354690 are free",
    "ERROR: [VPL 60-777] Sorry, but it appears that a Xilinx program has terminated unexpectedly.": "crashed",
    "/tools/Xilinx/Vivado/2022.1/bin/rdiArgs.sh: line 312: 4711 Killed                  \"$RDI_PROG\" \"$@\"":
        "killed it, most often the system for want of memory",
    "terminate called after throwing an instance of 'std::bad_alloc'": "ran out of memory",
    "write_checkpoint: No space left on device": "the disk is full",
    "Abnormal program termination (11)": "crashed (signal 11)",
    "gatewright: failed: no v++ on PATH: source settings64.sh of Vitis": "v++ is not on PATH",
    "gatewright: failed: no contents of a ROM: see runme.log in vitis": "does not find the contents of a ROM",
    "gatewright: failed: v++ left no report of timing or of utilisation": "v++ left no report of timing",
    "Vivado found no interface m_axi_gmem0 among the ports of net_kernel": "does not see m_axi_gmem0",
}  # fmt: skip


@pytest.mark.parametrize("line", FAILURES)
def test_a_line_that_says_why_is_understood(line: str) -> None:
    reason = FLOW.failure(line)
    assert reason is not None
    assert FAILURES[line] in reason


@pytest.mark.parametrize(
    "line",
    [
        *LOG.splitlines(),
        "",
        "WARNING: [VPL 60-732] Link warning: One or more timing paths failed timing targeting 200 MHz for kernel clock "
        "'clk_kernel_00_unbuffered_net'. The frequency is being automatically changed to 175.8 MHz",
        "INFO: [Common 17-349] Got license for feature 'Synthesis' and/or device 'xcu280'",
        "gatewright: failed: v++, on link.cfg",
        "gatewright: wrote out/net_bc6a03bb.xclbin",
    ],
)
def test_other_lines_are_no_reason(line: str) -> None:
    """That the clock was lowered is no failure of the run: the reports tell it."""
    assert FLOW.failure(line) is None


# --- build.sh ---------------------------------------------------------------------------------------------------------

VIVADO = """\
#!/bin/sh
echo "vivado $*" >> calls
{fails}
mkdir -p vitis
echo xo > vitis/{stem}.xo
"""
VPP = """\
#!/bin/sh
for word in "$@"; do printf '%s\\n' "$word"; done > vpp_words
impl=vitis/link/link/vivado/vpl/prj/prj.runs/impl_1
mkdir -p "$impl" vitis/reports/link/imp "$impl/../ulp_net_kernel_1_0_synth_1"
echo "{synth}" > "$impl/../ulp_net_kernel_1_0_synth_1/runme.log"
{reports}
{fails}
echo xclbin > vitis/{stem}.xclbin
echo info > vitis/{stem}.xclbin.info
"""
REPORTS = """\
echo routed > vitis/reports/link/imp/impl_1_hw_bb_locked_timing_summary_routed.rpt
echo placed > vitis/reports/link/imp/impl_1_full_util_placed.rpt
echo full > vitis/reports/link/imp/impl_1_full_util_routed.rpt
echo units > "$impl/gatewright_units.rpt"
"""


def run(
    folder: Path, *, vivado: str = "", vpp: str = "", synth: str = "ok", reports: str = REPORTS, programs: str = "both"
) -> tuple[int, list[str]]:
    """The script with programs of ours in the place of the vendor's: status and lines."""
    chosen = project("small", "alveo-u50")
    emitter.emit(chosen).write(folder)
    binaries = folder / "bin"
    binaries.mkdir()
    scripts = {"vivado": VIVADO.format(fails=vivado, stem=chosen.stem)}
    scripts["v++"] = VPP.format(fails=vpp, synth=synth, reports=reports, stem=chosen.stem)
    for name, text in scripts.items():
        if programs in ("both", name):
            (binaries / name).write_text(text)
            (binaries / name).chmod(0o755)
    done = subprocess.run(
        FLOW.command(chosen, None), cwd=folder, env={**os.environ, "PATH": f"{binaries}:{os.defpath}"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.splitlines()


def test_the_script_makes_an_xclbin_and_its_reports(tmp_path: Path) -> None:
    chosen = project("small", "alveo-u50")
    status, lines = run(tmp_path)
    assert status == 0
    assert (tmp_path / "calls").read_text() == (
        "vivado -mode batch -nojournal -log vitis/package_xo.log -source package_xo.tcl\n"
    )
    assert (tmp_path / "vpp_words").read_text().splitlines() == [
        "--link", "--target", "hw", "--config", "link.cfg", "--vivado.prop",
        f"run.impl_1.STEPS.ROUTE_DESIGN.TCL.POST={tmp_path}/after_route.tcl",
        "--output", f"vitis/{chosen.stem}.xclbin", f"vitis/{chosen.stem}.xo",
    ]  # fmt: skip
    assert [p.name for p in (tmp_path / "out").iterdir()] == [f"{chosen.stem}.xclbin"]
    kept = {p.name: p.read_text().strip() for p in (tmp_path / "reports").iterdir()}
    assert kept == {
        "timing.rpt": "routed", "utilization.rpt": "full", "utilization_units.rpt": "units", "xclbin.info": "info",
    }  # fmt: skip
    assert [p.number for line in lines if (p := FLOW.phase(line))] == [1, 2, 9]
    assert [reason for line in lines if (reason := FLOW.failure(line))] == []


def test_the_last_step_of_the_implementation_counts(tmp_path: Path) -> None:
    later = "echo later > vitis/reports/link/imp/impl_1_hw_bb_locked_timing_summary_postroute_physopted.rpt\n"
    assert run(tmp_path, reports=REPORTS + later)[0] == 0
    assert (tmp_path / "reports" / "timing.rpt").read_text() == "later\n"


BROKEN = {
    "vivado fails": ({"vivado": "exit 3"}, "gatewright: failed: vivado, on package_xo.tcl"),
    "vivado leaves nothing": ({"vivado": "exit 0"}, "gatewright: failed: package_xo.tcl left no vitis/"),
    "v++ fails": ({"vpp": "exit 1"}, "gatewright: failed: v++, on link.cfg"),
    "v++ is killed": ({"vpp": "kill -9 $$"}, "gatewright: failed: v++, on link.cfg"),
    "v++ leaves nothing": ({"vpp": "exit 0"}, "gatewright: failed: v++ left no vitis/"),
    "no reports": ({"reports": ""}, "gatewright: failed: v++ left no report of timing or of utilisation"),
    "a ROM of zeros": (
        {"synth": "CRITICAL WARNING: [Synth 8-4445] could not open $readmem data file 'conv_1_weight.mem'"},
        "gatewright: failed: no contents of a ROM: see runme.log in vitis",
    ),
    "no v++": ({"programs": "vivado"}, "gatewright: failed: no v++ on PATH: source settings64.sh of Vitis"),
    "no vivado": ({"programs": "v++"}, "gatewright: failed: no vivado on PATH: source settings64.sh of Vitis"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_whatever_fails_leaves_no_xclbin(fault: str, tmp_path: Path) -> None:
    how, message = BROKEN[fault]
    status, lines = run(tmp_path, **how)
    assert status != 0
    assert any(line.startswith(message) for line in lines), lines
    assert list(tmp_path.glob("out/*")) == []


def test_reports_of_a_link_that_failed_are_kept(tmp_path: Path) -> None:
    """So that the path that was too slow can be named."""
    assert run(tmp_path, vpp="exit 1")[0] == 1
    assert (tmp_path / "reports" / "timing.rpt").read_text() == "routed\n"


def test_nothing_of_an_earlier_run_is_left(tmp_path: Path) -> None:
    for name in ("out", "reports", "vitis"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "old").touch()
    run(tmp_path, vpp="exit 1")
    assert list(tmp_path.rglob("old")) == []


def test_the_platform_of_the_record_is_that_of_the_samples() -> None:
    for release in ("2022_1", "2023_2", "2024_1"):
        card = load_board(BOARDS[release]).vitis
        assert card is not None
        assert f"Platform VBNV:          {card.platform}" in sample(release)["xclbin.info"]


# --- the whole way ----------------------------------------------------------------------------------------------------


def test_a_build_becomes_an_xclbin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a model to result.json, with programs of ours in the place of Vivado and v++."""
    b, y = small_network()
    build = compile_model(b.save(tmp_path / "net.onnx", y), "alveo-u280", targets=["rtl", "kernel"],
                          output=tmp_path / "build")  # fmt: skip
    planned = plan(build)
    assert planned.project.needs["LUT"] > build.summary()["resources"]["LUT"]  # the kernel around it, too
    stem, texts = planned.project.stem, sample("2024_1")
    routed = {"timing.rpt": "impl_1_hw_bb_locked_timing_summary_routed.rpt", "utilization_units.rpt":
              "gatewright_units.rpt", "utilization.rpt": "impl_1_full_util_routed.rpt"}  # fmt: skip
    (tmp_path / "samples").mkdir()
    for name, text in texts.items():
        (tmp_path / "samples" / routed.get(name, name)).write_text(text)
    programs = tmp_path / "Vitis" / "2024.1" / "bin"
    programs.mkdir(parents=True)
    reports = f"cp {tmp_path}/samples/*.rpt vitis/reports/link/imp"
    info = f"cp {tmp_path}/samples/xclbin.info vitis/{stem}.xclbin.info"
    vpp = VPP.format(fails="", synth="ok", reports=reports, stem=stem) + info
    for name, text in {"vivado": VIVADO.format(fails="", stem=stem), "v++": vpp}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    steps: list[str] = []
    found = make(planned, progress=lambda what, *_: steps.append(what))
    assert (found["status"], found["reason"], found["version"]) == ("ok", "", "2024.1")
    assert found["outcome"]["files"] == {"bitstream": f"out/{stem}.xclbin"}
    assert found["outcome"]["timing"]["worst"]["unit"] == "conv_1"
    assert [s for s in steps if s in {f"Vitis: {name}" for name in PHASES}] == [
        f"Vitis: {PHASES[0]}", f"Vitis: {PHASES[1]}", f"Vitis: {PHASES[8]}",
    ]  # fmt: skip
    assert load(build) == (found, True)

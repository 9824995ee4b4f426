# SPDX-License-Identifier: Apache-2.0
"""The open flow: a small network's real bitstream, and what is said of reports and logs that are not as expected."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from tests.models import two_layers

from gatewright.board.bundle import bundle as make_bundle
from gatewright.build import Build, compile_model
from gatewright.emit import ecp5_scripts
from gatewright.errors import ConfigError, ToolError
from gatewright.sim.tools import Tool, find_tool
from gatewright.synth import bitstream
from gatewright.synth.ecp5 import FLOW, check_bitstream, unit_of
from gatewright.synth.flow import Phase

LEAST_MHZ = 60
UNPACK = ("ecpunpack", "yowasp-ecpunpack")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("ecp5")
    b, y = two_layers()
    onnx.save(b.model(y), folder / "two.onnx")
    return compile_model(
        folder / "two.onnx", "ulx3s-85f", fps=10_000, targets=["rtl", "kernel"], output=folder / "build"
    )


@pytest.fixture(scope="module")
def made(build: Build) -> dict[str, Any]:
    """A real bitstream; some 40 s of Yosys and nextpnr."""
    find_tool("nextpnr-ecp5")
    return bitstream.make(bitstream.plan(build))


@pytest.fixture
def copy(build: Build, made: dict[str, Any], tmp_path: Path) -> Path:
    """What the run left, for a test to spoil."""
    shutil.copytree(build.directory / "bitstream", tmp_path / "bitstream")
    return tmp_path / "bitstream"


def test_a_bitstream_is_made_and_fast_enough(build: Build, made: dict[str, Any]) -> None:
    outcome = made["outcome"]
    assert made["status"] == "ok" and made["reason"] == ""
    assert outcome["timing"]["fmax_mhz"] >= LEAST_MHZ == made["mhz"]
    assert outcome["timing"]["wns_ns"] == pytest.approx(1000 / LEAST_MHZ - 1000 / outcome["timing"]["fmax_mhz"])
    worst = outcome["timing"]["worst"]
    assert worst["levels"] >= 1 and worst["slack_ns"] == outcome["timing"]["wns_ns"]
    assert set(outcome["resources"]) == set(made["capacity"]) == {"LUT", "FF", "EBR", "DSP"}
    assert all(outcome["resources"][n] <= made["capacity"][n] for n in made["capacity"])
    predicted = {name: figure["needed"] for name, figure in made["predicted"].items()}
    assert outcome["resources"]["LUT"] == pytest.approx(predicted["LUT"], rel=0.3)
    assert outcome["resources"]["FF"] == pytest.approx(predicted["FF"], rel=0.1)
    # Both banks of 8192 bytes are 4 block RAMs each, and each master of the kernel has a buffer in one or more.
    assert 10 <= outcome["resources"]["EBR"] <= 14
    assert list(made["seconds"]) == ["synthesis", "packing", "placement", "routing", "bitstream"]
    assert re.fullmatch(r"0\.\d+ and 0\.\d+(\.\d+)?", made["version"])


def test_a_bundle_carries_it(build: Build, made: dict[str, Any]) -> None:
    bundle = make_bundle(build.directory)
    file = f"two_{build.kernel.hash[:8]}.bit"
    told = {"file": file, "kind": "ecp5", "tool": "Yosys and nextpnr", "version": made["version"]}
    assert bundle.record["bitstream"] == told and bundle.record["hwh"] is None and bundle.record["mhz"] == LEAST_MHZ
    assert bundle.files[file] == (build.directory / "bitstream" / "out" / file).read_bytes()


def test_what_yosys_counts_is_what_nextpnr_places(build: Build, made: dict[str, Any]) -> None:
    cells = json.loads((build.directory / "bitstream/reports/yosys.json").read_text())["design"]["num_cells_by_type"]
    used = made["outcome"]["resources"]
    assert used["FF"] == cells["TRELLIS_FF"] and used["EBR"] == cells["DP16KD"]
    luts = cells["LUT4"] + 2 * cells["CCU2C"] + 6 * cells["TRELLIS_DPR16X4"]
    assert luts <= used["LUT"] <= 1.15 * luts  # constants and ends of carry chains take some more
    report = json.loads((build.directory / "bitstream/reports/nextpnr.json").read_text())["utilization"]
    assert used["LUT"] == report["TRELLIS_COMB"]["used"] + 2 * cells["TRELLIS_DPR16X4"]


def contents(config: str) -> dict[str, set[str]]:
    """What LUTs and block RAMs of a chip's configuration hold; a LUT of ones only is as one that is not used."""
    found = {}
    for block in re.split(r"\n\n+", config):
        head, *lines = block.strip().splitlines() or [""]
        if head.startswith(".bram_init"):
            found[head] = set(lines)
        elif head.endswith(":PLC2"):
            found[head] = {x for x in lines if re.match(r"word: \S+\.INIT .*0", x)}
    return {head: lines for head, lines in found.items() if lines}


def test_the_bitstream_holds_for_the_part_what_nextpnr_placed(build: Build, made: dict[str, Any]) -> None:
    folder = build.directory / "bitstream"
    path = folder / made["outcome"]["files"]["bitstream"]
    unpack = next(p for name in UNPACK if (p := shutil.which(name)))
    subprocess.run([unpack, path.name, "unpacked.config"], cwd=path.parent, check=True, capture_output=True)
    text = (path.parent / "unpacked.config").read_text()
    (path.parent / "unpacked.config").unlink()
    assert text.startswith(".device LFE5U-85F\n")
    wanted = contents(path.with_suffix(".config").read_text())
    assert contents(text) == wanted and len(wanted) > 500
    assert sum(head.startswith(".bram_init") for head in wanted) == made["outcome"]["resources"]["EBR"]
    assert path.with_suffix(".svf").stat().st_size > 2 * path.stat().st_size  # as hexadecimal digits


@pytest.mark.slow
def test_the_same_build_gives_the_same_bytes(build: Build, made: dict[str, Any], tmp_path: Path) -> None:
    for name in ("rtl", "kernel"):
        shutil.copytree(build.directory / name, tmp_path / name)
    first, again = build.directory / "bitstream", tmp_path / "bitstream"
    shutil.copytree(first, again, ignore=shutil.ignore_patterns("out", "reports"))
    subprocess.run([sys.executable, "build.py"], cwd=again, check=True, capture_output=True)
    stem = Path(made["outcome"]["files"]["bitstream"]).stem
    for end in ("bit", "svf", "config"):
        assert (again / "out" / f"{stem}.{end}").read_bytes() == (first / "out" / f"{stem}.{end}").read_bytes()


def test_the_script_needs_nothing_of_gatewright(build: Build, made: dict[str, Any], tmp_path: Path) -> None:
    """A copy of the three folders elsewhere, and a Python that finds no package but the tools' own."""
    for name in ("rtl", "kernel"):
        shutil.copytree(build.directory / name, tmp_path / name)
    target = tmp_path / "bitstream"
    shutil.copytree(build.directory / "bitstream", target, ignore=shutil.ignore_patterns("out", "reports"))
    text = (target / "build.py").read_text()
    assert not re.search(r"^\s*(from|import) (gatewright|numpy)", text, re.MULTILINE)
    fake = tmp_path / "yosys"
    fake.write_text(f"#!{sys.executable}\nimport sys\nprint(sys.argv[1:])\nraise SystemExit(3)\n")
    fake.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-S", "build.py"], cwd=target, env={"YOSYS": str(fake), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and done.stderr == "ERROR: synthesis ended with status 3\n"
    assert done.stdout.splitlines()[-1] == "['-p', 'script ../bitstream/synth.ys']"


def test_every_file_that_yosys_reads_is_there(build: Build) -> None:
    planned = bitstream.plan(build)
    planned.write()
    found = re.findall(r"^read_verilog -sv -defer (\S+)$", planned.files.files["synth.ys"], re.MULTILINE)
    assert len(found) > 20 and all((build.directory / "rtl" / path).is_file() for path in found)
    assert json.loads(planned.files.files["build.json"])["constraints"] == "ulx3s_85f.lpf"
    assert (planned.folder / "ulx3s_85f.lpf").is_file()
    assert planned.command() == "python3 build.py"


def test_a_clock_becomes_the_next_slower_one_of_the_pll(build: Build) -> None:
    plans = [bitstream.plan(build, mhz) for mhz in (77.6, 75.0, 78.125)]
    settings = [json.loads(p.files.files["build.json"]) for p in plans]
    assert [s["mhz"] for s in settings] == [75.0, 75.0, 78.125]
    assert plans[0].files.digest() == plans[1].files.digest() != plans[2].files.digest()
    assert "CLOCK_HZ(75000000)" in plans[0].files.files["two_top.sv"]


def test_a_clock_that_is_too_slow_is_refused(build: Build) -> None:
    with pytest.raises(
        ConfigError, match="1 MHz make a bit of 1 clocks at a baud of 1000000.*: use a clock of at least 8"
    ):
        bitstream.plan(build, 1.0)


@pytest.mark.parametrize(
    ("part", "options"),
    [
        ("LFE5U-85F-6BG381C", "--85k --package CABGA381 --speed 6"),
        ("LFE5U-12F-8BG256I", "--12k --package CABGA256 --speed 8"),
        ("LFE5UM5G-45F-8MG285C", "--um5g-45k --package CSFBGA285 --speed 8"),
    ],
)
def test_parts_as_nextpnr_calls_them(part: str, options: str) -> None:
    assert ecp5_scripts.device(part) == options.split()


def test_a_part_of_another_maker_is_refused() -> None:
    with pytest.raises(ConfigError, match="part 'xc7z020clg400-1' is no ECP5, such as LFE5U-85F-6BG381C"):
        ecp5_scripts.device("xc7z020clg400-1")


# --- reports ----------------------------------------------------------------------------------------------------------


def _edit(name: str, change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        content = json.loads((folder / "reports" / name).read_text())
        change(content)
        (folder / "reports" / name).write_text(json.dumps(content))

    return edit


def _clock(report: dict[str, Any]) -> dict[str, Any]:
    (clock,) = report["fmax"].values()
    return clock


def _cut(name: str) -> Callable[[Path], None]:
    def cut(folder: Path) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return cut


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "reports/nextpnr.json").unlink(), r"nextpnr.json is missing or cut .*run build.py again"),
        (_cut("reports/nextpnr.json"), r"nextpnr.json is missing or cut"),
        (_cut("reports/run.json"), r"run.json is missing or cut"),
        (lambda f: (f / "reports/run.json").write_text("[]"), r"run.json is not what build.py writes"),
        (_edit("run.json", lambda r: r.update(part="LFE5U-25F-6BG381C")), r"run.json: part is 'LFE5U-25F-6BG381C'"),
        (_edit("run.json", lambda r: r.update(mhz=50.0)), r"run.json: mhz is 50.0 where this project has 60.0:"),
        (_edit("run.json", lambda r: r.update(stem="two_0")), r"run.json: stem is 'two_0' where this project has"),
        (_edit("nextpnr.json", lambda r: r.pop("utilization")), r"is not a whole report of nextpnr \(KeyError\('util"),
        (_edit("nextpnr.json", lambda r: r.update(fmax={})), r"is not a whole report of nextpnr"),
        (_edit("nextpnr.json", lambda r: r["fmax"].update(x={"achieved": 9, "constraint": 25})), r"x at 25 MHz, where"),
        (_edit("nextpnr.json", lambda r: _clock(r).update(constraint=12.0)), r"at 12 MHz, where one clock of 60 MHz"),
    ],
)  # fmt: skip
def test_reports_that_are_not_whole_or_of_another_run(
    build: Build, copy: Path, spoil: Callable[[Path], None], message: str
) -> None:
    project = bitstream.project(build)
    FLOW.read(copy, project)
    spoil(copy)
    with pytest.raises(ToolError, match=message):
        FLOW.read(copy, project)


def test_a_bitstream_that_is_none_or_of_another_part(build: Build, copy: Path) -> None:
    project = bitstream.project(build)
    path = copy / "out" / f"{project.stem}.bit"
    whole = path.read_bytes()
    check_bitstream(path, "LFE5U-85F-6BG381C")
    with pytest.raises(ToolError, match=r"for a chip with identifier 0x41113043, where LFE5U-45F-\S+ has 0x41112043"):
        check_bitstream(path, "LFE5U-45F-6BG381C")
    path.write_bytes(whole[:40])
    with pytest.raises(ToolError, match=r"two_\w+.bit: its 40 bytes are no bitstream: run build.py again"):
        FLOW.read(copy, project)
    path.unlink()
    with pytest.raises(ToolError, match=r"two_\w+.bit cannot be read .*: run build.py again"):
        FLOW.read(copy, project)


def test_a_clock_that_is_too_fast_is_told_with_its_path_and_leaves_no_bitstream(build: Build, copy: Path) -> None:
    """The same placement, as a report would tell it of a faster clock."""
    project = replace(bitstream.project(build), mhz=150.0)
    (copy / "out" / f"{project.stem}.bit").unlink()
    _edit("run.json", lambda r: r.update(mhz=150.0))(copy)
    _edit("nextpnr.json", lambda r: _clock(r).update(constraint=150.0))(copy)
    outcome = FLOW.read(copy, project)
    assert not outcome.timing.met and outcome.files == {}
    assert outcome.timing.worst is not None and outcome.timing.worst.slack_ns == outcome.timing.wns_ns < 0
    assert outcome.timing.worst.unit


def test_a_carry_chain_is_one_level_of_a_path(build: Build, copy: Path) -> None:
    def chained(report: dict[str, Any]) -> None:
        """A path of a LUT, a carry chain through nine slices, a LUT with a wide multiplexer behind, and another."""
        (clock,) = report["fmax"]
        found = next(p for p in report["critical_paths"] if p["from"] == p["to"] == f"posedge {clock}")
        ends = ("A", "F"), ("A", "FCO"), *[("FCI", "FCO")] * 8, ("FCI", "F"), ("B", "OFX"), ("FXB", "OFX"), ("M", "OFX")
        cells = [{"cell": f"c{i}", "loc": [0, 0]} for i in range(len(ends))]
        steps = [
            {"type": "logic", "delay": 0.1, "from": cell | {"port": a}, "to": cell | {"port": b}}
            for cell, (a, b) in zip(cells, ends, strict=True)
        ]
        found["path"] = [found["path"][0], *steps, found["path"][-1]]

    _edit("nextpnr.json", chained)(copy)
    worst = FLOW.read(copy, bitstream.project(build)).timing.worst
    assert worst is not None and worst.levels == 3


def test_paths_are_told_by_unit(build: Build) -> None:
    project = bitstream.project(build)
    unit, edge = project.units[0], project.kernel.edges[0].name
    inside = "i_kernel.i_core.i_design"
    assert unit_of(f"{inside}.i_{unit}.acc_q_TRELLIS_FF_Q_3", project) == unit
    assert unit_of(f"{inside}.i_{edge}.count_q_TRELLIS_FF_Q", project) == edge
    assert unit_of("i_kernel.i_core.i_write1.u_buffer.count_q_TRELLIS_FF_Q_4", project) == "write1"
    assert unit_of("i_kernel.s_axi_control_rdata_TRELLIS_FF_Q_30", project) == "two_kernel"
    assert unit_of("i_bridge.u_rx.m_tuser_LUT4_A", project) == "bridge"
    assert unit_of("led_TRELLIS_FF_Q_1", project) == ""


# --- the log ----------------------------------------------------------------------------------------------------------


def test_phases_of_a_run(build: Build, made: dict[str, Any]) -> None:
    lines = (build.directory / "bitstream/log").read_text().splitlines()
    found = [phase for line in lines if (phase := FLOW.phase(line))]
    names = ["synthesis", "packing", "placement", "routing", "bitstream"]
    assert found == [Phase(i + 1, 5, name) for i, name in enumerate(names)]
    assert not [line for line in lines if FLOW.failure(line)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        # As nextpnr 0.11.1 says it: the demonstration on an LFE5U-12F, and a pin that is not in the constraints.
        ("ERROR: Unable to place cell 'i_kernel.x_LUT4_Z_1', no BELs remaining to implement cell type 'TRELLIS_COMB'",
         "the design does not fit: it takes more of TRELLIS_COMB than the chip has: compile the model for a low"),
        ("ERROR: IO 'led[3]' is unconstrained in LPF (override this error with --lpf-allow-unconstrained)",
         r"the pin 'led\[3\]' has no place in the board's constraints"),
        # As its source and that of its WebAssembly runtime have it.
        ("ERROR: Unable to find legal placement for all cells, design is probably at utilisation limit.",
         "the design does not fit: no legal placement was found"),
        ("ERROR: Routing design failed.", "the design cannot be routed: try other placements"),
        ("terminate called after throwing an instance of 'std::bad_alloc'", "it ran out of memory: .* 4 GiB"),
        ("wasmtime._trap.Trap: error while executing: wasm trap: out of bounds memory access", "it ran out of memory"),
        ("ERROR: place and route ended with status -9", "something killed it during place and route, most often"),
        ("ERROR: no ecppack on PATH: install it, or name it in ECPPACK", "^no ecppack on PATH: install it, or name"),
        ("ERROR: ../rtl/x.sv:3: syntax error", "it stops with '../rtl/x.sv:3: syntax error'"),
    ],
)  # fmt: skip
def test_lines_of_a_log_that_say_why_it_failed(line: str, message: str) -> None:
    found = FLOW.failure(line)
    assert found is not None and re.search(message, found), found


def test_a_tool_that_ends_without_a_word_leaves_it_to_its_last_lines() -> None:
    assert FLOW.failure("ERROR: synthesis ended with status 1") is None
    assert FLOW.failure("Info: Program finished normally.") is None


def test_the_command_is_the_same_with_and_without_a_tool(build: Build) -> None:
    project = bitstream.project(build)
    assert FLOW.command(project, Tool("nextpnr-ecp5", Path("/x"), "1")) == FLOW.command(project, None)

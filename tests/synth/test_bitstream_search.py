# SPDX-License-Identifier: Apache-2.0
"""The search for the fastest clock: which clocks it tries against a model of a tool, and what it keeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.synth.test_bitstream import all_gone, build, contents, install, made, run, text

from gatewright.runtime.bundle import Bundle
from gatewright.synth.bitstream.search import CLOSE, RUNS, Try, next_clock

__all__ = ["build", "install", "made"]


def search(start: float, route: Callable[[float], tuple[float, float]], runs: int = 100) -> list[Try]:
    """Tries against a tool that says for a clock which one it makes of it, and how fast its routing is."""
    tries: list[Try] = []
    clock: float | None = start
    while clock is not None and len(tries) < runs:
        mhz, fmax = route(clock)
        tries.append(Try(clock, mhz, fmax, fmax >= mhz, ""))
        clock = next_clock(tries)
    return tries


def lazy(limit: float) -> Callable[[float], tuple[float, float]]:
    """A tool that stops where the clock is met, and gets worse where too much is asked of it."""
    return lambda mhz: (mhz, min(limit, mhz * 1.02) if mhz <= limit else limit * max(0.6, 1 - (mhz / limit - 1) / 4))


@pytest.mark.parametrize("limit", [13.0, 71.3, 99.0, 100.0, 118.0, 244.0, 399.0, 700.0])
def test_it_comes_close_to_what_a_tool_can_do(limit: float) -> None:
    tries = search(100.0, lazy(limit))
    best = max((t.mhz for t in tries if t.met), default=0.0)
    assert limit / CLOSE**2 - 0.5 <= best <= limit
    assert len({t.asked for t in tries}) == len(tries) <= 25
    if 70 < limit < 130:
        few = search(100.0, lazy(limit), RUNS)
        assert max((t.mhz for t in few if t.met), default=0.0) > limit * 0.93


@pytest.mark.parametrize("limit", [60.0, 112.0, 334.0])
def test_clocks_that_a_board_rounds(limit: float) -> None:
    """A processing system divides its PLL: the same clock is never made twice in a row, and the search ends."""
    tries = search(100.0, lambda mhz: (made := 1000 / max(1, round(1000 / mhz)), lazy(limit)(made)[1]))
    assert len(tries) <= 25
    assert max(t.mhz for t in tries if t.met) >= limit * 0.85


def test_a_design_that_meets_no_clock_ends_too() -> None:
    tries = search(100.0, lambda mhz: (mhz, mhz * 0.5))
    assert not any(t.met for t in tries) and len(tries) < 10 and tries[-1].asked >= 1


def test_no_clock_beyond_what_any_fabric_runs_at() -> None:
    tries = search(900.0, lambda mhz: (mhz, 5000.0))
    assert [t.asked for t in tries] == [900.0, 1000.0]


def test_the_best_one_is_kept_and_bundled(build: Path, install: Callable[..., Path], tmp_path: Path) -> None:
    """The board divides 1,000 MHz: 100, 111.1, 125 and 142.9 MHz are its clocks, each of which is run once."""
    install(STAND_IN_FMAX="132")
    result = run(build, "--mhz", "max", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    tries = found["tries"]
    assert [round(t["mhz"], 1) for t in tries] == [100, 111.1, 125, 142.9]
    assert [t["met"] for t in tries] == [True, True, True, False]
    assert found["status"] == "ok" and found["mhz"] == tries[2]["asked"]
    assert Bundle(build / "bundle").mhz == pytest.approx(125)
    kept = contents(build / "bitstream")
    assert json.loads(kept["result.json"])["tries"] == tries
    assert b"PCW_FPGA0_PERIPHERAL_FREQMHZ {125}" in kept["build.tcl"]
    assert {p.name for p in build.iterdir() if p.name.startswith("b")} == {"bitstream", "bundle"}
    assert all_gone(tmp_path / "pids")


def test_the_table_of_tries(build: Path, install: Callable[..., Path]) -> None:
    install(STAND_IN_FMAX="112")
    result = run(build, "--mhz", "max", "--runs", "2")
    assert result.exit_code == 0 and "run 2 of 2 at most: 121 MHz" in result.stderr
    assert "│ 100 │ 100 │ 104.0 │ met │" in text(result) and "│ 121 │ 111.111 │ 112.0 │ met │" in text(result)


def test_a_search_that_meets_nothing_fails_with_the_last_one(build: Path, install: Callable[..., Path]) -> None:
    install(STAND_IN_FMAX="70")
    result = run(build, "--mhz", "max", "--runs", "1")
    assert result.exit_code == 1 and "timing failed at 100 MHz" in text(result) and not (build / "bundle").exists()
    result = run(build, "--mhz", "max", "--runs", "2")
    assert result.exit_code == 0 and Bundle(build / "bundle").mhz == pytest.approx(1000 / 15)


def test_a_run_that_breaks_off_keeps_the_best_one_before(
    build: Path, install: Callable[..., Path], tmp_path: Path
) -> None:
    """The third run crashes, because the first two leave a note."""
    install()
    path = tmp_path / "Vivado" / "2022.2" / "bin" / "vivado"
    real = path.read_text().splitlines()[1]
    path.write_text(f'#!/bin/sh\necho x >>{tmp_path}/runs\n[ $(wc -l <{tmp_path}/runs) -gt 2 ] && STAND_IN=crash\n'
                    f"export STAND_IN\n{real}\n")  # fmt: skip
    result = run(build, "--mhz", "max")
    assert result.exit_code == 1
    assert "Vivado crashed (signal 11)" in text(result)
    assert "the bitstream of an earlier run, at 111.111 MHz, is kept: gatewright bundle takes it" in text(result)
    assert json.loads((build / "bitstream" / "result.json").read_text())["mhz"] == 121
    assert {p.name for p in build.iterdir() if p.name.startswith("b")} == {"bitstream"}

# SPDX-License-Identifier: Apache-2.0
"""The compiled kernel driver: words through a small kernel of its own, and what it says of kernels that misbehave."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewright.boards import load_board
from gatewright.errors import ConfigError, SimulationError
from gatewright.sim.kernel_build import compile_kernel
from gatewright.sim.kernel_memory import Channel, Fault, MemoryModel
from gatewright.sim.kernel_process import KernelModel, KernelProcess

SOURCE = Path(__file__).with_name("kernel_designs.sv")
CONTROL, FROM, TO, WORDS, ERRORS, MISCHIEF = 0x00, 0x10, 0x1C, 0x28, 0x2C, 0x40
START, DONE, IDLE = 1, 2, 4
MISCHIEFS = (
    "none", "crosses", "narrow", "fixed", "unaligned", "ar_falls", "ar_changes", "w_falls", "last_missing",
    "last_early", "orphan", "early_done", "in_reset", "combinational", "b_falls", "r_unasked", "b_early", "fatal",
    "finish", "slverr", "mute", "strobes", "surplus",
)  # fmt: skip
"""As the design numbers them."""
BASE = 0x12_3456_7000
MEMORY = MemoryModel(base=BASE, bytes=1 << 20, latency_cycles=20)
STALLED: dict[Channel, float] = {"ar": 0.4, "r": 0.5, "aw": 0.3, "w": 0.6, "b": 0.7, "control": 0.5}


def compiled(width: int) -> KernelModel:
    return compile_kernel(
        [SOURCE], "copy_kernel", width, ["gmem0"], ["gmem1"], parameters={"WIDTH": width}, control_bytes=128
    )


@pytest.fixture(scope="module")
def model() -> KernelModel:
    """The kernel with words of 64 bits; every way to misbehave is in it."""
    return compiled(64)


@pytest.fixture
def process(model: KernelModel) -> Iterator[KernelProcess]:
    with model.start(MEMORY) as process:
        yield process


def begin(process: KernelProcess, source: int, sink: int, words: int) -> None:
    for register, address in ((FROM, source), (TO, sink)):
        process.write(register, address & 0xFFFFFFFF)
        process.write(register + 4, address >> 32)
    process.write(WORDS, words)
    process.write(CONTROL, START)


def copied(process: KernelProcess, words: int = 700, word: int = 8, seed: int = 0, base: int = BASE) -> bool:
    """Whether random words come out inverted where they should, and nothing else changes."""
    rng = np.random.default_rng(seed)
    size = words * word
    process.memory[:] = 0
    process.memory[: 4 * size] = rng.integers(0, 256, 4 * size, np.uint8)
    expected = process.memory[: 4 * size].copy()
    expected[2 * size : 3 * size] = ~expected[word : word + size]
    begin(process, base + word, base + 2 * size, words)
    assert process.wait(1_000_000)
    return np.array_equal(process.memory[: 4 * size], expected) and not process.memory[4 * size :].any()


def misbehave(process: KernelProcess, what: str) -> None:
    process.write(MISCHIEF, MISCHIEFS.index(what))


# --- what passes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [32, 128, 512])
def test_words_of_every_width_pass_with_random_stalls(width: int) -> None:
    for seed in range(3):
        memory = replace(MEMORY, stalls=STALLED, seed=seed, burst=[None, 4.0, 20.0][seed])
        with compiled(width).start(memory) as process:
            assert copied(process, 400, width // 8, seed)
            assert copied(process, 300, width // 8, seed + 10)
            counts = process.counts()
        assert counts["m_axi_gmem0"].beats == counts["m_axi_gmem1"].beats == 700
        assert counts["m_axi_gmem0"].bursts >= 700 / 16


def test_memory_of_gigabytes_costs_what_is_touched(model: KernelModel) -> None:
    """Addresses above 4 GiB, and up to the last byte of 2^64."""
    size = 16 << 30
    with model.start(MemoryModel(base=(1 << 64) - size, bytes=size)) as process:
        process.memory[-4096:-4088] = np.arange(8)
        begin(process, (1 << 64) - 4096, (1 << 64) - 8, 1)
        assert process.wait(1000)
        np.testing.assert_array_equal(process.memory[-8:], 255 - np.arange(8))


def test_control_bits_are_seen_once_whoever_looked(process: KernelProcess) -> None:
    assert process.read(CONTROL) == IDLE
    assert process.wait(0)
    begin(process, BASE, BASE + 4096, 100)
    assert not process.wait(10)
    assert process.read(CONTROL) == 0
    assert process.wait(10_000)
    assert process.read(CONTROL) == DONE | IDLE
    assert process.read(CONTROL) == IDLE


def test_wait_runs_so_many_cycles_and_ends_soon_after_done(process: KernelProcess) -> None:
    begin(process, BASE, BASE + 65536, 5000)
    start = process.cycles
    assert not process.wait(1000)
    assert 1000 <= process.cycles - start < 1040
    assert process.wait(10**9)
    assert process.cycles < 5000 * 10


def test_interrupt(process: KernelProcess) -> None:
    process.write(0x04, 1)
    process.write(0x08, 1)
    assert not process.interrupt
    begin(process, BASE, BASE + 4096, 10)
    process.wait(1000)
    assert process.interrupt
    process.write(0x0C, 1)
    assert not process.interrupt


def test_reset_in_mid_run(process: KernelProcess) -> None:
    for cycles in (3, 50, 211, 777):
        begin(process, BASE, BASE + 65536, 3000)
        assert not process.wait(cycles)
        process.reset()
        assert process.cycles == 0
        process.memory[:] = 0
        assert copied(process, seed=cycles)


def test_the_same_seed_gives_the_same_cycles(model: KernelModel) -> None:
    cycles = []
    for seed in (5, 5, 6):
        with model.start(replace(MEMORY, stalls=STALLED, seed=seed)) as process:
            assert copied(process)
            cycles.append(process.cycles)
    assert cycles[0] == cycles[1] != cycles[2]


def cycles_of_copy(model: KernelModel, memory: MemoryModel, words: int = 1600) -> int:
    with model.start(memory) as process:
        assert copied(process, words, base=memory.base)
        return process.cycles


def test_latency_is_waited_for_once_a_burst_and_direction(model: KernelModel) -> None:
    """The kernel has one burst under way: each of 101 costs both latencies, the first and last being parts of one."""
    base = replace(MEMORY, latency_cycles=10)
    difference = cycles_of_copy(model, replace(base, latency_cycles=110)) - cycles_of_copy(model, base)
    assert 2 * 100 * 101 <= difference <= 2 * 100 * 115


def test_bandwidth_limits_each_direction(model: KernelModel) -> None:
    """A word takes 8 / rate cycles, but for the first of the 101 to 115 bursts: each comes after a pause."""
    full = cycles_of_copy(model, replace(MEMORY, latency_cycles=1))
    for rate in (8.0, 5.0, 3.0, 0.5):
        found = cycles_of_copy(model, replace(MEMORY, latency_cycles=1, bytes_per_cycle=rate)) - full
        most = 2 * 1600 * (8 / rate - 1)
        assert most - 2 * 115 * 8 / rate <= found <= most


def test_model_of_a_board() -> None:
    memory = MemoryModel.of_board(load_board("pynq-z2"), 100)
    assert (memory.base, memory.bytes, memory.latency_cycles, memory.bytes_per_cycle) == (0x18000000, 128 << 20, 30, 12)


# --- errors of memory ----------------------------------------------------------------------------------------------


def errors_of(process: KernelProcess, source: int, sink: int, words: int = 64) -> int:
    begin(process, source, sink, words)
    assert process.wait(100_000)
    return process.read(ERRORS)


def test_outside_of_memory_is_decerr_and_touches_nothing(process: KernelProcess) -> None:
    end = BASE + MEMORY.bytes
    assert errors_of(process, end, BASE) == 1
    assert errors_of(process, BASE - 4096, BASE) == 1
    before = process.memory.copy()
    assert errors_of(process, BASE, end) == 2
    assert errors_of(process, BASE, end - 256, 64) == 2
    assert process.counts()["m_axi_gmem0"].errors == 128
    np.testing.assert_array_equal(process.memory[:-256], before[:-256])
    assert process.memory[-256:].all()  # the part that lies inside


def test_faults_meet_the_bursts_that_they_name(process: KernelProcess) -> None:
    process.inject(Fault("slverr", first=BASE + 1024, bytes=1, writes=False))
    assert errors_of(process, BASE, BASE + 8192, 128) == 0
    assert errors_of(process, BASE, BASE + 8192, 129) == 1
    assert process.counts()["m_axi_gmem0"].errors == 1  # of its burst's beats, only that one fails
    process.mend()
    process.inject(Fault("decerr", reads=False, skip=3, count=1))
    assert [errors_of(process, BASE, BASE + 8192, 16) for _ in range(6)] == [0, 0, 0, 2, 0, 0]
    process.inject(Fault("slverr", port=1, count=1))
    assert [errors_of(process, BASE, BASE + 8192, 16) for _ in range(2)] == [2, 0]
    assert copied(process)


def test_what_failed_is_not_written(process: KernelProcess) -> None:
    process.inject(Fault("slverr", first=BASE + 8192 + 128, bytes=128, reads=False))
    errors_of(process, BASE, BASE + 8192, 64)
    expected = np.full(512, 255, np.uint8)
    expected[128:256] = 0
    np.testing.assert_array_equal(process.memory[8192 : 8192 + 512], expected)


@pytest.mark.parametrize("reads", [True, False])
def test_silent_memory_hangs_until_it_is_mended(process: KernelProcess, reads: bool) -> None:
    process.memory[:800] = np.arange(800) % 251
    process.inject(Fault("silence", skip=2, reads=reads, writes=not reads))
    begin(process, BASE, BASE + 8192, 100)
    assert not process.wait(20_000)
    process.mend()
    assert process.wait(20_000)
    assert process.read(ERRORS) == 0
    np.testing.assert_array_equal(process.memory[8192 : 8192 + 800], ~process.memory[:800])


# --- kernels that break a rule -------------------------------------------------------------------------------------

READ = "m_axi_gmem0_ar: a burst of 16 beats of 8 bytes from "
BREACHES = {
    "crosses": READ + r"0x1234567fc0 crosses the 4 KiB boundary at 0x1234568000",
    "narrow": READ + r"0x1234567000 has beats of 4 bytes",
    "fixed": READ + r"0x1234567000 has burst type 0, not INCR \(1\)",
    "unaligned": READ + r"0x1234567001, which is no multiple of them",
    "ar_falls": "m_axi_gmem0_arvalid fell before it was taken, offered since cycle ",
    "ar_changes": "m_axi_gmem0_araddr changed before it was taken, offered since cycle ",
    "w_falls": "m_axi_gmem1_wvalid fell before it was taken, offered since cycle ",
    "last_missing": "m_axi_gmem1_wlast is 0 at beat 15 of a burst of 16 beats of 8 bytes from 0x1234569000",
    "last_early": "m_axi_gmem1_wlast is 1 at beat 1 of a burst of 16 beats",
    "orphan": "m_axi_gmem1_w: data was offered 1000 cycles ago, and all bursts that were asked for have theirs",
    "surplus": "m_axi_gmem1_w: data was offered 1000 cycles ago, and all bursts that were asked for have theirs",
    "early_done": "the kernel is done, and m_axi_gmem1 still has writes under way",
    "combinational": "m_axi_gmem0_arvalid follows an input within the cycle: AXI wants a register between them",
    "fatal": "an assertion of the design failed(?s:.*)on purpose",
    "finish": r"the design called \$finish",
}


@pytest.mark.parametrize("what", BREACHES)
def test_a_breach_ends_the_run_and_is_named(model: KernelModel, what: str) -> None:
    start = BASE + 4096 - 64 if what == "crosses" else BASE
    with model.start(replace(MEMORY, stalls={"ar": 0.9, "w": 0.9})) as process:
        misbehave(process, what)
        with pytest.raises(SimulationError, match=rf"^copy_kernel: cycle \d+: {BREACHES[what]}"):
            begin(process, start, BASE + 8192, 64)
            process.wait(100_000)
        with pytest.raises(SimulationError, match="copy_kernel: this simulation has ended; start another"):
            process.read(CONTROL)


def test_valid_in_reset_is_a_breach(process: KernelProcess) -> None:
    misbehave(process, "in_reset")
    with pytest.raises(SimulationError, match="m_axi_gmem0_arvalid is high while the kernel is reset"):
        process.reset()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("b_falls", "s_axi_control_bvalid fell before it was taken, offered since cycle "),
        ("b_early", "s_axi_control_bvalid is high, and no write waits for an answer"),
        ("r_unasked", "s_axi_control_rvalid is high, and no read waits for an answer"),
        ("mute", "no answer to a write to 0x10 for 10000 cycles"),
    ],
)
def test_a_breach_of_the_control_port_is_named(model: KernelModel, what: str, message: str) -> None:
    error = pytest.raises(SimulationError, match=rf"^copy_kernel: cycle \d+: {message}")
    with model.start(replace(MEMORY, stalls={"control": 0.8})) as process, error:
        misbehave(process, what)
        for value in range(100):
            process.write(FROM, value)


def test_a_register_that_answers_with_an_error_does_not_end_the_run(process: KernelProcess) -> None:
    with pytest.raises(SimulationError, match="SLVERR"):
        misbehave(process, "slverr")
    with pytest.raises(SimulationError, match="^copy_kernel: a write to 0x10 is answered with SLVERR$"):
        process.write(FROM, 1)
    with pytest.raises(SimulationError, match="^copy_kernel: a read of 0x28 is answered with DECERR$"):
        process.read(WORDS)
    misbehave(process, "none")
    assert copied(process)


def test_bytes_without_their_strobe_stay(process: KernelProcess) -> None:
    misbehave(process, "strobes")
    begin(process, BASE, BASE + 8192, 4)
    assert process.wait(1000)
    np.testing.assert_array_equal(process.memory[8192 : 8192 + 32], np.tile(np.array([255, 0], np.uint8), 16))


# --- the process ---------------------------------------------------------------------------------------------------


def test_a_killed_process_is_an_error(process: KernelProcess) -> None:
    os.kill(process._process.pid, signal.SIGKILL)
    with pytest.raises(SimulationError, match="copy_kernel: the simulation broke off with exit status -9"):
        process.read(CONTROL)
    with pytest.raises(SimulationError, match="has ended"):
        process.wait(1)


def exists(pid: int) -> bool:
    """Also of a process that has ended, and nobody took note."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_nothing_is_left_behind(model: KernelModel) -> None:
    process = model.start(MEMORY)
    memory, pid = process.memory, process._process.pid
    begin(process, BASE, BASE + 8192, 100)
    process.wait(10_000)
    process.close()
    process.close()
    assert not exists(pid)
    assert memory[8192] == 255  # still readable
    forgotten = model.start(MEMORY)
    pid = forgotten._process.pid
    assert exists(pid)
    del forgotten
    gc.collect()
    assert not exists(pid)


def test_the_program_ends_when_nobody_listens_any_more(process: KernelProcess) -> None:
    """As when Python is killed: in the midst of a long wait, its pipe is closed."""
    assert process._process.stdin is not None
    process._process.stdin.write("wait 1000000000000\n")
    begin_hang = Fault("silence").line()
    process._process.stdin.write(begin_hang + "\n")
    process._process.stdin.close()
    assert process._process.wait() == 0


def test_a_missing_memory_file_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "copy_kernel.sv"
    text = SOURCE.read_text().replace("endmodule", 'reg [7:0] rom [0:3];\ninitial $readmemh("no.mem", rom);\nendmodule')
    source.write_text(text)
    model = compile_kernel([source], "copy_kernel", 64, ["gmem0"], ["gmem1"], control_bytes=128)
    with pytest.raises(SimulationError, match=r"copy_kernel, run in .*:\n  %Warning.*no.mem"):
        model.start()


# --- wrong arguments -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "reads", "control", "message"),
    [
        (
            32,
            ["gmem0"],
            128,
            "m_axi_gmem0_rdata must be an input of 32 bits, and it is an input of 64 bits",
        ),
        (
            64,
            ["gmem0", "gmem2"],
            128,
            "m_axi_gmem2_araddr must be an output of 64 bits, and it is missing",
        ),
        (64, ["gmem0"], 4096, "s_axi_control_araddr must be an input of 12 bits, and it is an input of 7 bits"),
        (64, [], 128, "copy_kernel: no kernel has the inputs m_axi_gmem0_arready, "),
    ],
)
def test_other_pins_are_refused(width: int, reads: list[str], control: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compile_kernel([SOURCE], "copy_kernel", width, reads, ["gmem1"], control_bytes=control)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"base": 100}, "base=100 and bytes=1048576 must be multiples of 4096"),
        ({"bytes": 0}, "bytes=0 must be multiples of 4096"),
        ({"base": (1 << 64) - 4096}, "end above 2.64"),
        ({"latency_cycles": 0}, "latency_cycles and outstanding must be 1 or more"),
        ({"bytes_per_cycle": 0.0}, "bytes_per_cycle=0.0 must be above 0"),
        ({"seed": -1}, "seed=-1 must not be negative"),
        ({"stalls": {"x": 0.5}}, "stalls of 'x': the channels are ar, r, aw, w, b, control"),
        ({"stalls": {"r": 1.0}}, "stalls of 'r': 1.0 must be at least 0 and below 1"),
        ({"stalls": {"r": 0.8}, "burst": 2.0}, "burst=2.0 is too short for 0.8 of 'r'"),
    ],
)
def test_wrong_memories_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MemoryModel(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"answer": "oops"}, "answer='oops': use slverr, decerr, silence"),
        ({"answer": "slverr", "reads": False, "writes": False}, "meets neither reads nor writes"),
        ({"answer": "slverr", "count": 0}, "first and skip must be 0 or more, bytes and count 1 or more"),
        ({"answer": "slverr", "port": -1}, "port=-1: give the number of a master, 0 for gmem0, or None for all"),
    ],
)
def test_wrong_faults_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Fault(**arguments)


def test_wrong_accesses_are_refused(process: KernelProcess) -> None:
    for offset in (2, -4, 128):
        with pytest.raises(ConfigError, match=f"offset={offset}: registers of copy_kernel lie at multiples of 4"):
            process.read(offset)
    with pytest.raises(ConfigError, match="value=-1 for the register 0x10 must have 32 bits"):
        process.write(FROM, -1)
    with pytest.raises(ConfigError, match="cycles=-1 must not be negative"):
        process.wait(-1)
    assert copied(process)

# SPDX-License-Identifier: Apache-2.0
"""The compiled harness: frames through FIFOs of every kind of width, and what it says of designs that misbehave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gatewright.errors import ConfigError, DataError, SimulationError, ToolError
from gatewright.ir.op import package_root
from gatewright.ir.types import IntArray, Stream
from gatewright.sim.model import Group, Model, Port, Traffic
from gatewright.sim.verilator import compile_model

LIB = [package_root() / "rtl" / "lib" / f"{name}.sv" for name in ("counter", "fifo")]
DESIGNS = Path(__file__).with_name("designs.sv")
BYTE = Stream(8, 1, 4, False)
FAULTS = ("none", "deaf", "mute", "data", "valid", "last", "surplus", "fatal", "finish")
FIFOS = (
    Stream(5, 4, 10, True),
    Stream(1, 8, 3, False),
    Stream(9, 11, 2, True),
    Stream(7, 80, 5, False),
    Stream(64, 1, 4, True),
    Stream(3, 1, 1, True),
    Stream(33, 40, 2, True),
)
STALLS = [
    Traffic(),
    Traffic(in_stall=0.5, out_stall=0.2, seed=1),
    Traffic(in_stall=0.1, out_stall=0.7, burst=30, seed=2),
    Traffic(in_stall=0.3, out_stall=0.3, seed=3, reset_at=(1, 777, 90)),
]


def pair(stream: Stream, prefix: str = "") -> Group:
    return Group((Port(f"{prefix}s_axis", stream),), (Port(f"{prefix}m_axis", stream),))


def side_by_side(instances: list[tuple[str, str]], groups: list[Group]) -> str:
    """A top level with one instance per group; each is a module with its parameters, and the prefix of its ports."""
    ports, bodies = [], []
    for (module, prefix), group in zip(instances, groups, strict=True):
        pins = []
        for port in group.ports:
            forth, back = ("input wire", "output wire") if port in group.inputs else ("output wire", "input wire")
            ports += [
                f"{forth} [{port.stream.padded_width - 1}:0] {port.prefix}_tdata",
                f"{forth} {port.prefix}_tvalid",
            ]
            ports += [f"{back} {port.prefix}_tready", f"{forth} {port.prefix}_tlast"]
            pins += [f".{port.prefix.removeprefix(prefix)}_{p}({port.prefix}_{p})" for p in SIGNALS]
        bodies.append(f"{module} u_{prefix} (.clk(clk), .rst_n(rst_n), {', '.join(pins)});")
    header = f"module side_by_side (input wire clk, input wire rst_n, {', '.join(ports)});"
    return "\n".join([header, *bodies, "endmodule\n"])


SIGNALS = ("tdata", "tvalid", "tready", "tlast")


@pytest.fixture(scope="module")
def fifos(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """All FIFOs and the butterfly in one binary."""
    groups = [pair(s, f"e{i}_") for i, s in enumerate(FIFOS)]
    instances = [
        (f"fifo_stage #(.WIDTH({s.padded_width}), .DEPTH({2 + i}), .BLOCK({i % 2}))", f"e{i}_")
        for i, s in enumerate(FIFOS)
    ]
    byte, short = Stream(8, 1, 6, True), Stream(9, 1, 6, True)
    groups.append(
        Group(
            (Port("b_s0_axis", byte), Port("b_s1_axis", byte)),
            (Port("b_m0_axis", short), Port("b_m1_axis", short)),
        )
    )
    top = tmp_path_factory.mktemp("rtl") / "side_by_side.sv"
    top.write_text(side_by_side([*instances, ("butterfly", "b_")], groups))
    return compile_model([*LIB, DESIGNS, top], "side_by_side", groups)


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Every way to misbehave in one binary; each waits for its first frames."""
    groups = [pair(BYTE, f"{kind}_") for kind in FAULTS]
    top = tmp_path_factory.mktemp("rtl") / "side_by_side.sv"
    top.write_text(side_by_side([(f'faulty #(.KIND("{kind}"))', f"{kind}_") for kind in FAULTS], groups))
    return compile_model([*LIB, DESIGNS, top], "side_by_side", groups)


def random_frames(stream: Stream, frames: int, seed: int = 0) -> IntArray:
    half = 2 ** (stream.bits - 1)
    lo, hi = (-half, half - 1) if stream.signed else (0, 2 * half - 1)
    shape = (frames, stream.beats * stream.lanes)
    return np.random.default_rng(seed).integers(lo, hi, shape, np.int64, endpoint=True)


def run_fault(model: Model, kind: str, traffic: Traffic) -> IntArray:
    nothing = np.zeros((0, 4), np.int64)
    frames = np.arange(40).reshape(10, 4)
    results = model.run_groups([[frames if k == kind else nothing] for k in FAULTS], traffic)
    return results[FAULTS.index(kind)].outputs[0]


@pytest.mark.parametrize("traffic", STALLS)
def test_thousands_of_frames_pass_unchanged_in_every_group(fifos: Model, traffic: Traffic) -> None:
    inputs = [[random_frames(p.stream, 2000 + 100 * i) for p in g.inputs] for i, g in enumerate(fifos.groups)]
    results = fifos.run_groups(inputs, traffic)
    for (x,), result in zip(inputs[:-1], results[:-1], strict=True):
        np.testing.assert_array_equal(result.outputs[0], x)
    a, b = inputs[-1]
    np.testing.assert_array_equal(results[-1].outputs[0], a + b)
    np.testing.assert_array_equal(results[-1].outputs[1], a - b)


def test_cycles_of_every_beat_at_full_speed(fifos: Model) -> None:
    inputs = [[random_frames(p.stream, 3) for p in g.inputs] for g in fifos.groups]
    results = fifos.run_groups(inputs)
    for i, (stream, result) in enumerate(zip(FIFOS, results[:-1], strict=True)):
        latency = 1 + i % 2
        taken = np.arange(3 * stream.beats).reshape(3, -1)
        np.testing.assert_array_equal(result.in_ports[0].cycles, taken)
        np.testing.assert_array_equal(result.out_ports[0].cycles, taken + latency)
        np.testing.assert_array_equal(result.first_input_cycle, taken[:, 0])
        np.testing.assert_array_equal(result.last_output_cycle, taken[:, -1] + latency)
        assert result.cycles == 3 * stream.beats + latency
        port = result.out_ports[0]
        assert (port.busy, port.blocked, port.idle) == (3 * stream.beats, 0, latency)


def test_stalls_have_the_share_and_length_asked_for(fifos: Model) -> None:
    frames = 4000
    inputs = [[random_frames(p.stream, frames) for p in g.inputs] for g in fifos.groups]
    for burst in (None, 20.0):
        slow = fifos.run_groups(inputs, Traffic(in_stall=0.6, burst=burst, seed=5))[0]
        port = slow.in_ports[0]
        assert port.blocked == 0
        assert port.idle / (port.idle + port.busy) == pytest.approx(0.6, abs=0.03)
        gaps = np.diff(port.cycles.ravel()) - 1
        assert gaps[gaps > 0].mean() == pytest.approx(burst or 2.5, rel=0.15)


def test_the_same_seed_gives_the_same_run(fifos: Model) -> None:
    inputs = [[random_frames(p.stream, 50) for p in g.inputs] for g in fifos.groups]

    def cycles(seed: int) -> list[int]:
        results = fifos.run_groups(inputs, Traffic(in_stall=0.4, out_stall=0.4, seed=seed))
        return [c for r in results for c in r.out_ports[0].cycles.ravel().tolist()]

    assert cycles(1) == cycles(1)
    assert cycles(1) != cycles(2)


def test_progress_counts_frames(fifos: Model) -> None:
    inputs = [[random_frames(p.stream, 4000) for p in g.inputs] for g in fifos.groups]
    calls: list[tuple[int, int]] = []
    fifos.run_groups(inputs, progress=lambda done, total: calls.append((done, total)))
    assert calls
    assert {total for _, total in calls} == {4000 * (len(FIFOS) + 2)}
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_a_progress_callback_that_raises_ends_the_run(fifos: Model) -> None:
    inputs = [[random_frames(p.stream, 4000) for p in g.inputs] for g in fifos.groups]

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fifos.run_groups(inputs, progress=stop)


def test_a_sound_stage_passes_beside_the_faulty_ones(faults: Model) -> None:
    out = run_fault(faults, "none", Traffic(in_stall=0.2, out_stall=0.5, seed=1))
    np.testing.assert_array_equal(out, np.arange(40).reshape(10, 4))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "deaf",
            r"^side_by_side: cycle 10\d\d: no beat for 1000 cycles; .*\n"
            r"  deaf_s_axis: frame 1 beat [12] is offered, and deaf_s_axis_tready is low, since cycle \d+\n"
            r"  deaf_m_axis: frame 1 beat [12] is awaited, and deaf_m_axis_tvalid is low, since cycle \d+$",
        ),
        (
            "mute",
            r"cycle 10\d\d: no beat for 1000 cycles; .*\n"
            r"  mute_s_axis: frame 1 beat 2 is offered, and mute_s_axis_tready is low, since cycle \d+\n"
            r"  mute_m_axis: frame 1 beat 1 is awaited, and mute_m_axis_tvalid is low, since cycle \d+$",
        ),
        ("data", r"cycle \d+: data_m_axis_tdata changed before frame \d+ beat \d was taken"),
        ("valid", r"cycle \d+: valid_m_axis_tvalid fell before frame \d+ beat \d was taken"),
        ("last", r"cycle \d+: last_m_axis_tlast is 1 at frame 1 beat 1, where frames have 4 beats"),
        ("fatal", r"cycle \d+: an assertion of the design failed\n.*beat 5 is one too many"),
        ("finish", r"cycle \d+: the design called \$finish"),
    ],
)
def test_misbehaviour_is_named_with_port_frame_beat_and_cycle(faults: Model, kind: str, message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        run_fault(faults, kind, Traffic(out_stall=0.5, seed=1, timeout_cycles=1000))


def test_surplus_beats_are_an_error(faults: Model) -> None:
    nothing = np.zeros((0, 4), np.int64)
    inputs = [[np.zeros((2, 4), np.int64) if k == "surplus" else nothing] for k in FAULTS]
    with pytest.raises(SimulationError, match="surplus_m_axis gives a beat after the last of its 2 frames"):
        faults.run_groups(inputs, Traffic(in_stall=0.0))


def test_missing_frames_and_groups_are_refused(fifos: Model) -> None:
    with pytest.raises(DataError, match="inputs for 1 groups, where side_by_side has 8"):
        fifos.run([np.zeros((1, 40), np.int64)])
    inputs = [[random_frames(p.stream, 1) for p in g.inputs] for g in fifos.groups]
    inputs[-1][0] = random_frames(fifos.groups[-1].inputs[0].stream, 2)
    with pytest.raises(DataError, match=r"b_s0_axis, b_s1_axis: \[2, 1\] frames, where all inputs take equally many"):
        fifos.run_groups(inputs)
    with pytest.raises(DataError, match="1 arrays for the 2 inputs b_s0_axis, b_s1_axis"):
        fifos.run_groups([*inputs[:-1], inputs[-1][:1]])


def test_memory_files_are_read_at_run_time(tmp_path: Path) -> None:
    model = compile_model([*LIB, DESIGNS], "rom_adder", pair(BYTE), folder=tmp_path)
    x = np.arange(8).reshape(2, 4)
    with pytest.raises(SimulationError, match=rf"rom_adder, run in {tmp_path}:\n.*adder\.mem.* not found"):
        model.run([x])
    for step in (1, 2):
        folder = tmp_path / str(step)
        folder.mkdir()
        (folder / "adder.mem").write_text("".join(f"{step * i:02x}\n" for i in range(4)))
        again = compile_model([*LIB, DESIGNS], "rom_adder", pair(BYTE), folder=folder)
        assert again.program == model.program
        np.testing.assert_array_equal(again.run([x]).outputs[0], x + step * np.arange(4))
        np.testing.assert_array_equal(replace(model, folder=folder).run([x]).outputs[0], again.run([x]).outputs[0])


def test_registers_start_at_random() -> None:
    model = compile_model([DESIGNS], "rom_adder", pair(BYTE), parameters={"WAKE": 1}, optimise="fast_run")
    x = np.zeros((1, 4), np.int64)
    values = {int(model.run([x], Traffic(seed=seed)).outputs[0][0, 0]) for seed in range(8)}
    assert len(values) > 3


@pytest.mark.parametrize(
    ("top", "parameters", "error", "message"),
    [
        ("fifo", {}, ConfigError, "fifo: s_axis_tdata must be an input of 8 bits, and it is missing"),
        (
            "fifo_stage",
            {"WIDTH": 12},
            ConfigError,
            "fifo_stage: s_axis_tdata must be an input of 8 bits, and it is an input of 12 bits",
        ),
        ("fifo_stage", {"DEPTH": 1}, ToolError, "Verilator rejects the top level 'fifo_stage':\n.*DEPTH=1 must be"),
        ("absent", {}, ToolError, "Verilator rejects the top level 'absent':\n.*not found"),
    ],
)
def test_tops_that_do_not_fit_are_refused(
    top: str, parameters: Mapping[str, int], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        compile_model([*LIB, DESIGNS], top, pair(BYTE), parameters=parameters)


def test_an_input_that_no_group_drives_is_refused() -> None:
    lone = Group((Port("s0_axis", BYTE),), (Port("m0_axis", Stream(9, 1, 4, True)),))
    with pytest.raises(ConfigError, match="butterfly: no group drives the inputs s1_axis_tdata, .*m1_axis_tready"):
        compile_model([DESIGNS], "butterfly", lone)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"in_stall": 1.0}, r"in_stall=1\.0 must be at least 0 and below 1"),
        ({"out_stall": -0.1}, r"out_stall=-0\.1 must be"),
        ({"out_stall": 0.9, "burst": 2.0}, r"burst=2\.0 is too short for out_stall=0\.9"),
        ({"reset_at": (0,)}, r"reset_at=\(0,\)"),
        ({"timeout_cycles": 0}, "timeout_cycles=0"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_traffic_is_checked(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Traffic(**settings)  # type: ignore[arg-type]  # wrong on purpose


def test_waveforms_hold_the_cycles_asked_for(tmp_path: Path) -> None:
    model = compile_model([*LIB, DESIGNS], "fifo_stage", pair(BYTE), trace=True)
    x = np.arange(400).reshape(100, 4) % 256
    wave = tmp_path / "wave.vcd"
    np.testing.assert_array_equal(model.run([x], wave=(wave, 50, 60)).outputs[0], x)
    text = wave.read_text()
    assert "s_axis_tdata" in text
    times = [int(line[1:]) for line in text.splitlines() if line.startswith("#")]
    assert times[-1] - times[0] == 2 * 10 - 1
    plain = compile_model([*LIB, DESIGNS], "fifo_stage", pair(BYTE))
    with pytest.raises(ConfigError, match="fifo_stage was compiled without waveforms: compile it with trace=True"):
        plain.run([x], wave=(wave, 0, 1))


CARRY = """
module carry (input [3:0] s, output [3:0] co);
  assign co[0] = s[0] ? co[3] : s[1];
  assign co[3:1] = co[2:0] ^ s[3:1];
endmodule
module top (input clk, input rst_n, input [7:0] s_axis_tdata, input s_axis_tvalid, output s_axis_tready,
  input s_axis_tlast, output [7:0] m_axis_tdata, output m_axis_tvalid, input m_axis_tready, output m_axis_tlast);
  assign m_axis_tdata[7:4] = 0, m_axis_tvalid = s_axis_tvalid, m_axis_tlast = s_axis_tlast;
  assign s_axis_tready = m_axis_tready;
  carry _097_ (.s(s_axis_tdata[3:0]), .co(m_axis_tdata[3:0]));
endmodule
"""


def test_names_that_verilator_prints_as_other_bytes(tmp_path: Path) -> None:
    """It takes `__097` in a warning, of which names in netlists are full, for a character that it once wrote so."""
    top = tmp_path / "top.sv"
    top.write_text(CARRY)
    assert compile_model([top], "top", pair(BYTE), cache=tmp_path / "cache").program.is_file()

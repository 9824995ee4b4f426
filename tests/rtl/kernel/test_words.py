# SPDX-License-Identifier: Apache-2.0
"""Memory words to beats and back, and the register slice: every bit, under stalls, and without bubbles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gatewright.ir.op import package_root
from gatewright.ir.types import IntArray, Stream
from gatewright.sim.model import Group, Model, Port, Traffic
from gatewright.sim.verilator import compile_model

RTL = package_root() / "rtl"
Shapes = tuple[tuple[int, int, int], ...]
EVERY: Shapes = tuple(
    (bus, width, beats)
    for bus, widths in (
        (32, (1, 3, 8, 20, 24, 31, 32, 33, 40, 48, 64, 100)),
        (64, (1, 7, 24, 48, 63, 96, 160, 784)),
        (128, (10, 112, 128)),
        (512, (3, 24, 160, 513)),
    )
    for width in widths
    for beats in (1, 3, 8)
)
"""Bus, width and beats: widths that divide the bus, that it divides, that share a factor with it or none."""
FEW: Shapes = tuple(s for s in EVERY if s[:2] in {(32, 20), (32, 24), (32, 33), (32, 64), (64, 1), (64, 48), (64, 160)})
FRAMES = 8


def streams(bus: int, width: int, beats: int) -> tuple[Stream, Stream]:
    """Words and beats of a frame, as single bits."""
    return Stream(1, bus, -(-width * beats // bus), False), Stream(1, width, beats, False)


def pins(prefix: str, stream: Stream, into: bool) -> list[str]:
    forth, back = ("input", "output") if into else ("output", "input")
    data = f"{forth} wire [{stream.padded_width - 1}:0] {prefix}_tdata"
    return [data, *(f"{forth} wire {prefix}_{p}" for p in ("tvalid", "tlast")), f"{back} wire {prefix}_tready"]


def converter(index: int, bus: int, width: int, beats: int, packs: bool) -> tuple[list[str], str, Group]:
    """Ports, body and group of one instance; words have no tlast on their way in, beats none to be made up."""
    words, frame = streams(bus, width, beats)
    s, m = (frame, words) if packs else (words, frame)
    module, name = ("pack_words", f"p{index}") if packs else ("unpack_words", f"u{index}")
    a, b = ("s_axis", "m") if packs else ("s", "m_axis")
    wires = [f".{a}_{p}({name}_s_{p})" for p in ("tvalid", "tready")]
    wires += [f".{b}_{p}({name}_m_{p})" for p in ("tvalid", "tready", "tlast")]
    wires += [f".{a}_tdata({name}_s_tdata[{s.width - 1}:0])", f".{b}_tdata({name}_m_tdata[{m.width - 1}:0])"]
    wires.append(f".s_axis_tlast({name}_s_tlast)" if packs else ".idle()")
    body = f"  {module} #({bus}, {width}, {beats}) i_{name} (.clk(clk), .rst_n(rst_n), {', '.join(wires)});"
    if m.padded_width > m.width:
        body += f"\n  assign {name}_m_tdata[{m.padded_width - 1}:{m.width}] = '0;"
    ports = [*pins(f"{name}_s", s, into=True), *pins(f"{name}_m", m, into=False)]
    return ports, body, Group((Port(f"{name}_s", s),), (Port(f"{name}_m", m),))


def build(shapes: Shapes, folder: Path) -> Model:
    """Every shape both ways, side by side."""
    parts = [converter(i, *shape, packs) for i, shape in enumerate(shapes) for packs in (False, True)]
    ports = ["input wire clk", "input wire rst_n", *(p for part in parts for p in part[0])]
    text = "module words (\n  " + ",\n  ".join(ports) + ");\n" + "\n".join(part[1] for part in parts) + "\nendmodule\n"
    (folder / "words.sv").write_text(text)
    names = ("lib/counter", "lib/frame_check", "kernel/pack_words", "kernel/unpack_words")
    sources = [*(RTL / f"{n}.sv" for n in names), folder / "words.sv"]
    return compile_model(sources, "words", [part[2] for part in parts], folder=folder)


@pytest.fixture(scope="module", params=[FEW, pytest.param(EVERY, marks=pytest.mark.slow)], ids=["few", "every"])
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Shapes, Model]:
    return request.param, build(request.param, tmp_path_factory.mktemp("words"))


def check(bench: tuple[Shapes, Model], traffic: Traffic) -> None:
    shapes, model = bench
    rng = np.random.default_rng(traffic.seed)
    inputs: list[list[IntArray]] = []
    for shape in shapes:
        words, frame = streams(*shape)
        inputs += [[rng.integers(0, 2, (FRAMES, s.lanes * s.beats))] for s in (words, frame)]
    results = model.run_groups(inputs, traffic)
    free = not (traffic.in_stall or traffic.out_stall)
    for i, shape in enumerate(shapes):
        words, frame = streams(*shape)
        bits, room = frame.lanes * frame.beats, words.lanes * words.beats
        np.testing.assert_array_equal(results[2 * i].outputs[0], inputs[2 * i][0][:, :bits], f"unpack {shape}")
        padded = np.pad(inputs[2 * i + 1][0], ((0, 0), (0, room - bits)))
        np.testing.assert_array_equal(results[2 * i + 1].outputs[0], padded, f"pack {shape}")
        for what, result in zip(("unpack", "pack"), results[2 * i : 2 * i + 2], strict=True):
            ends = result.last_output_cycle
            if free:
                assert set(np.diff(ends)[2:]) == {max(words.beats, frame.beats)}, f"{what} {shape}: {ends}"


def test_frames_pass_whole_and_without_bubbles(bench: tuple[Shapes, Model]) -> None:
    check(bench, Traffic())


@pytest.mark.parametrize(
    "traffic",
    [
        Traffic(in_stall=0.4, out_stall=0.1, seed=1),
        Traffic(in_stall=0.1, out_stall=0.5, burst=4, seed=2),
        Traffic(in_stall=0.3, out_stall=0.3, seed=3, reset_at=(9, 23)),
    ],
    ids=["slow in", "slow out", "resets"],
)
def test_frames_pass_under_stalls(traffic: Traffic, bench: tuple[Shapes, Model]) -> None:
    check(bench, traffic)


def test_a_register_slice_passes_a_word_a_cycle(tmp_path: Path) -> None:
    stream = Stream(9, 1, 16, False)
    ports = ["input wire clk", "input wire rst_n", *pins("s", stream, into=True), *pins("m", stream, into=False)]
    (tmp_path / "slice.sv").write_text(
        "module slice (\n  " + ",\n  ".join(ports) + ");\n"
        "  skid_buffer #(10) i (.clk(clk), .rst_n(rst_n), .s_tdata({s_tlast, s_tdata[8:0]}), .s_tvalid(s_tvalid),\n"
        "    .s_tready(s_tready), .m_tdata({m_tlast, m_tdata[8:0]}), .m_tvalid(m_tvalid), .m_tready(m_tready));\n"
        "  assign m_tdata[15:9] = '0;\nendmodule\n"
    )
    group = Group((Port("s", stream),), (Port("m", stream),))
    model = compile_model([RTL / "kernel" / "skid_buffer.sv", tmp_path / "slice.sv"], "slice", group, folder=tmp_path)
    x = np.random.default_rng(0).integers(0, 512, (20, 16))
    for traffic in (Traffic(), Traffic(in_stall=0.5, out_stall=0.5, seed=1), Traffic(out_stall=0.7, burst=3, seed=2)):
        np.testing.assert_array_equal(model.run([x], traffic).outputs[0], x)
    result = model.run([x])
    assert result.last_output_cycle[-1] - result.first_input_cycle[0] == x.size

# SPDX-License-Identifier: Apache-2.0
"""What stands around a part that is placed, what is read of nextpnr's report, and real runs on tiny parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gatewright.errors import ToolError
from gatewright.synth import nextpnr
from gatewright.synth.nextpnr import Port, place, read_ports, read_report, surround
from gatewright.synth.plan import Part

SLOW = """module slow #(parameter int BITS = 8) (
  input wire clk, input wire [BITS-1:0] a, input wire [BITS-1:0] b, output logic [BITS-1:0] y
);
  logic [BITS-1:0] late_q;
  always_ff @(posedge clk) late_q <= a % (b | 1'b1);
  assign y = late_q;
endmodule
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("GATEWRIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "placed"


def slow(folder: Path, bits: int, text: str = SLOW) -> Part:
    """A remainder in one cycle, which takes longer the wider it is."""
    path = folder / "slow.sv"
    path.write_text(text)
    return Part(f"slow{bits}", "slow", {"BITS": bits}, {}, (path,))


def test_the_wider_remainder_is_slower_and_its_path_is_named(tmp_path: Path, cache: Path) -> None:
    narrow, wide = (place(slow(tmp_path, bits)) for bits in (2, 8))
    assert wide.mhz < narrow.mhz / 2
    assert wide.end == "late_q" and wide.start == "a"
    assert wide.place == "slow.sv:4"
    # The period is what the path takes.
    assert 1000 / wide.mhz == pytest.approx(wide.logic_ns + wide.routing_ns, rel=0.01)
    # Both are kept, and a damaged entry is made anew.
    entries = {nextpnr._load(path): path for path in cache.glob("*.json")}
    assert set(entries) == {narrow, wide}
    entries[narrow].write_text(entries[narrow].read_text().replace('"late_q"', '"kept"'))
    assert place(slow(tmp_path, 2)).end == "kept"
    entries[narrow].write_text('{"mhz": 3}')
    assert place(slow(tmp_path, 2)) == narrow


def test_a_part_that_is_no_verilog_says_which_program_refused_it(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(ToolError, match=r"slow2 \(slow\): Yosys fails with status \d+: .*ERROR"):
        place(slow(tmp_path, 2, SLOW.replace("late_q;", "late_q")))
    assert not cache.exists()


def test_a_part_without_registers_is_timed_between_those_around_it(tmp_path: Path, cache: Path) -> None:
    text = (
        "module slow #(parameter int BITS = 8) (input wire [BITS-1:0] a, output wire y);\n  assign y = ^a;\nendmodule\n"
    )
    found = place(slow(tmp_path, 4, text))
    assert (found.start, found.end) == ("a", "y") and found.mhz > 200


def test_ports_are_those_that_yosys_lists() -> None:
    text = "module m:\n  input clk\n  input [7:0] s_tdata\n  output [0:0] m_tvalid\n  output \\a.b \n"
    assert read_ports(text)[:3] == [Port("clk", 1, False), Port("s_tdata", 8, False), Port("m_tvalid", 1, True)]


def test_streams_get_fifos_and_all_else_registers(tmp_path: Path) -> None:
    ports = [
        *(Port(f"s_{n}", w, o) for n, w, o in (("tdata", 8, False), ("tvalid", 1, False), ("tready", 1, True))),
        *(Port(f"m_{n}", w, o) for n, w, o in (("tdata", 8, True), ("tvalid", 3, True), ("tready", 3, False))),
        Port("clk", 1, False),
    ]
    text = surround(slow(tmp_path, 2), ports)
    assert text.count("fifo #(.WIDTH(8), .DEPTH(2))") == 1 and "s_fifo" in text  # three readers are no stream
    assert "always @(posedge clk) m_tvalid <= i_m_tvalid;" in text
    assert "slow #(.BITS(2)) part (.s_tdata(i_s_tdata)" in text


def test_a_report_without_a_path_between_registers_is_refused() -> None:
    report: dict[str, Any] = {"fmax": {}, "critical_paths": [{"from": "<async>", "to": "posedge clk", "path": []}]}
    with pytest.raises(ToolError, match="no path between two registers"):
        read_report(report, {})


def test_the_longest_path_of_a_report_is_read() -> None:
    def step(kind: str, delay: float, source: str, sink: str) -> dict[str, Any]:
        return {"type": kind, "delay": delay, "from": {"cell": source}, "to": {"cell": sink}}

    steps = [
        step("clk-to-q", 0.5, "part.u_a.count_q_TRELLIS_FF_Q_3", "part.u_a.count_q_TRELLIS_FF_Q_3"),
        step("routing", 1.0, "part.u_a.count_q_TRELLIS_FF_Q_3", "part.x_LUT4_Z"),
        step("logic", 0.25, "part.x_LUT4_Z", "part.x_LUT4_Z"),
        step("routing", 0.25, "part.x_LUT4_Z", "s_axis_fifo.mem.0.1$RAMW_SLICE"),
        step("setup", 0.0, "s_axis_fifo.mem.0.1$RAMW_SLICE", "s_axis_fifo.mem.0.1$RAMW_SLICE"),
    ]
    report = {
        "fmax": {"clk": {"achieved": 500.0}},
        "critical_paths": [{"from": "posedge clk", "to": "posedge clk", "path": steps}],
    }
    found = read_report(report, {"s_axis_fifo.mem.0.1": {"attributes": {"src": "fifo.sv:70.3-70.9|x.sv:1.1"}}})
    assert found == nextpnr.Placed(500.0, "u_a.count_q", "s_axis_fifo.mem.0.1", "fifo.sv:70", 0.75, 1.25, 1)

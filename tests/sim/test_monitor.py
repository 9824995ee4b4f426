# SPDX-License-Identifier: Apache-2.0
"""Monitors: every handshake inside a design with its cycle, what is left of a run that fails, breaches of protocol."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.conformance.support import residual_network, sample

from gatewright.design.fifos import size_fifos
from gatewright.design.structure import structure
from gatewright.emit import rtl
from gatewright.emit.taps import taps, watched_top
from gatewright.errors import ConfigError
from gatewright.ir.op import package_root
from gatewright.ir.types import Stream
from gatewright.sim.model import Group, Model, Port, Traffic
from gatewright.sim.monitor import watch
from gatewright.sim.rtl import build_watched, run_rtl
from gatewright.sim.verilator import compile_model

LIB = [package_root() / "rtl" / "lib" / f"{name}.sv" for name in ("counter", "fifo")]
DESIGNS = Path(__file__).with_name("designs.sv")
BYTE = Stream(8, 1, 4, False)
FAULTS = ("data", "valid", "last", "fatal", "deaf")
TOP = """
module top (input wire clk, input wire rst_n, input wire [7:0] s_axis_tdata, input wire s_axis_tvalid,
  output wire s_axis_tready, input wire s_axis_tlast, output wire [7:0] m_axis_tdata, output wire m_axis_tvalid,
  input wire m_axis_tready, output wire m_axis_tlast,
  output wire [7:0] in_tdata, output wire in_tvalid, output wire in_tready, output wire in_tlast,
  output wire [7:0] out_tdata, output wire out_tvalid, output wire out_tready, output wire out_tlast);
  faulty #(.KIND("KIND_HERE")) u (.clk(clk), .rst_n(rst_n), .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid),
    .s_axis_tready(s_axis_tready), .s_axis_tlast(s_axis_tlast), .m_axis_tdata(out_tdata), .m_axis_tvalid(out_tvalid),
    .m_axis_tready(out_tready), .m_axis_tlast(out_tlast));
  assign {in_tdata, in_tvalid, in_tready, in_tlast} = {s_axis_tdata, s_axis_tvalid, s_axis_tready, s_axis_tlast};
  fifo #(.WIDTH(9), .DEPTH(2), .BLOCK(0)) i_out (.clk(clk), .rst_n(rst_n), .s_tdata({out_tlast, out_tdata}),
    .s_tvalid(out_tvalid), .s_tready(out_tready), .m_tdata({m_axis_tlast, m_axis_tdata}), .m_tvalid(m_axis_tvalid),
    .m_tready(m_axis_tready));
endmodule
"""


def inner(kind: str, folder: Path) -> Model:
    """A stage that misbehaves in front of a FIFO, which hides some of it from the port."""
    top = folder / "top.sv"
    top.write_text(TOP.replace("KIND_HERE", kind))
    group = Group((Port("s_axis", BYTE),), (Port("m_axis", BYTE),))
    monitors = (Port("in", BYTE), Port("out", BYTE))
    return compile_model([*LIB, DESIGNS, top], "top", group, monitors=monitors)


@pytest.mark.parametrize("traffic", [Traffic(), Traffic(in_stall=0.4, out_stall=0.6, seed=1, reset_at=(40,))])
def test_every_handshake_inside_a_design(traffic: Traffic, tmp_path: Path) -> None:
    graph = residual_network(6, 1)
    # As torch's exporter names nodes; Verilator writes two underscores in a row in a way of its own.
    graph = size_fifos(replace(graph, nodes=tuple(replace(n, name=f"node__{n.name}") for n in graph.nodes)))
    design = structure(graph)
    rtl.emit(design).write(tmp_path)
    model, watched = build_watched(graph, design, tmp_path)
    x = sample(graph.inputs[0].tensor, 5, np.random.default_rng(0))
    seen, values = watch(model, [x.reshape(5, -1)], traffic), graph.run(x)
    assert seen.error == "" and {t.part for t in watched} == {"input", "fork", "fifo", "unit"}
    assert {t.net for t in watched if t.part == "fifo"} == {k.name for k in design.links if k.depth}
    for tap in watched:
        trace = seen.monitors[tap.prefix]
        np.testing.assert_array_equal(trace.elements().ravel(), values[tap.tensor].ravel(), tap.net)
        np.testing.assert_array_equal(np.flatnonzero(trace.last) % tap.stream.beats, tap.stream.beats - 1)
        assert trace.last.sum() == 5 and trace.breach is None and not trace.valid
        assert (np.diff(trace.cycles) > 0).all() and (trace.offered <= trace.cycles).all()
        assert (trace.offered[1:] > trace.cycles[:-1]).all()
    plain = run_rtl(design, tmp_path, (x,), traffic).result
    ports = [
        (watched[0], plain.in_ports[0]),
        (next(t for t in watched if t.net == "node__join_o0"), plain.out_ports[0]),
    ]
    for tap, port in ports:
        np.testing.assert_array_equal(seen.monitors[tap.prefix].cycles, port.cycles.ravel())


@pytest.mark.parametrize(
    ("kind", "breach", "error"),
    [
        ("data", "tdata changed", ""),
        ("valid", "tvalid fell", ""),
        ("fatal", None, r"an assertion of the design failed"),
        ("deaf", None, r"no beat for 1000 cycles"),
    ],
)
def test_what_a_failing_run_leaves(kind: str, breach: str | None, error: str, tmp_path: Path) -> None:
    x = np.arange(40).reshape(10, 4)
    seen = watch(inner(kind, tmp_path), [x], Traffic(out_stall=0.5, seed=1, timeout_cycles=1000))
    into, out = seen.monitors["in"], seen.monitors["out"]
    assert into.breach is None and len(into.cycles) > 0
    assert (error in seen.error) if error else True
    np.testing.assert_array_equal(into.elements().ravel(), np.arange(len(into.cycles)))
    if breach is not None:
        assert out.breach is not None and out.breach[1] == breach
        assert out.breach[0] not in out.cycles[:1]
    if kind == "deaf":  # it takes no more, and the stream in front of it says since when
        assert (into.valid, into.ready) == (True, False)
        assert into.since == into.cycles[-1] + 1


def test_a_top_level_of_another_form_is_refused() -> None:
    graph = residual_network(6, 1)
    watched = taps(graph, structure(graph))
    for text in (
        "",
        "module other (\n  input wire clk\n);\nendmodule\n",
        "module network (input wire clk); endmodule\n",
    ):
        with pytest.raises(ConfigError, match="network.sv is no longer a module network with one port a line"):
            watched_top(text, "network", watched)


def test_pins_of_different_nets_differ() -> None:
    graph = residual_network(6, 1)
    names = dict(zip((n.name for n in graph.nodes), ("a_b", "a__b", "a___b"), strict=False))
    graph = replace(graph, nodes=tuple(replace(n, name=names.get(n.name, n.name)) for n in graph.nodes))
    watched = taps(graph, structure(graph))
    assert len({t.prefix for t in watched}) == len(watched)


def test_watching_adds_pins_and_nothing_else() -> None:
    graph = residual_network(6, 1)
    design = structure(graph)
    text = dict(rtl.emit(design))["network.sv"]
    watched = watched_top(text, "network", taps(graph, design))
    kept = [line for line in watched.splitlines() if "monitor_" not in line]
    assert [line.rstrip(",") for line in kept] == [line.rstrip(",") for line in text.splitlines()]

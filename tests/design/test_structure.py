# SPDX-License-Identifier: Apache-2.0
"""Units and FIFOs of a folded graph: width adapters, forks, outputs, names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.models import small_network

from gatewright.design.structure import LEAST_DEPTH, End, adapter_lanes, structure, width_adapter
from gatewright.errors import ConfigError
from gatewright.frontend.importer import from_onnx
from gatewright.ir.graph import Edge, Graph, Node, chain, flat_input, integer_output
from gatewright.ir.op import as_int64
from gatewright.ir.types import Stream, Tensor
from gatewright.ops.add import Add
from gatewright.ops.requant import Requant
from gatewright.passes.lower import lower

TENSOR = Tensor((24,), 0, 15)


def scale(pe: int, source: Tensor = TENSOR) -> Requant:
    n = source.channels
    return Requant(source, as_int64([1] * n), as_int64([0] * n), 0, 0, 15, pe=pe)


@pytest.mark.parametrize(
    ("have", "want", "lanes"), [(4, 4, []), (2, 6, [6]), (6, 2, [2]), (4, 6, [12, 6]), (8, 3, [24, 3]), (1, 24, [24])]
)
def test_adapters_between_lanes(have: int, want: int, lanes: list[int]) -> None:
    assert adapter_lanes(have, want) == lanes
    design = structure(chain([scale(have), scale(want)]))
    adapters = [u for u in design.units if not u.operator]
    assert [u.outs[0].lanes for u in adapters] == lanes
    # Every beat that one side gives, the other takes, at every joint.
    for link in design.links:
        if link.sink.unit:
            unit = next(u for u in design.units if u.name == link.sink.unit)
            assert unit.ins[link.sink.port] == link.stream
        if link.source.unit:
            unit = next(u for u in design.units if u.name == link.source.unit)
            assert unit.outs[link.source.port] == link.stream
    assert all(k.depth >= LEAST_DEPTH for k in design.links if k.sink.unit)


@pytest.mark.parametrize(("lanes_in", "lanes_out"), [(1, 4), (4, 1), (6, 12), (12, 3), (5, 5)])
def test_schedule_of_an_adapter(lanes_in: int, lanes_out: int) -> None:
    unit = width_adapter("a", Stream(3, lanes_in, 60 // lanes_in, True), lanes_out)
    need, produce = unit.schedule.need[0], unit.schedule.produce[0]
    assert unit.schedule.steps == max(unit.ins[0].beats, unit.outs[0].beats)
    assert (need[0], need[-1]) == (1, unit.ins[0].beats) and (np.diff(need) <= 1).all()
    assert produce.sum() == unit.outs[0].beats and produce[-1]
    # A beat leaves when all of its elements are there.
    assert (np.cumsum(produce) * lanes_out <= need * lanes_in).all()


def residual() -> Graph:
    nodes = (
        Node("left", scale(4), ("x",), ("l",)),
        Node("sum", Add(TENSOR, TENSOR, pe=6), ("l", "x"), ("s",)),
        Node("last", scale(6, Tensor((24,), 0, 30)), ("s",), ("y",)),
    )
    outputs = tuple(replace(integer_output(n, TENSOR), tensor=t) for n, t in (("a", "y"), ("b", "s"), ("c", "x")))
    return Graph("residual", (flat_input("x", TENSOR),), nodes, outputs)


def test_forks_outputs_and_the_first_readers_lanes() -> None:
    design = structure(residual())
    assert (design.inputs[0].lanes, [s.lanes for s in design.outputs]) == (4, [6, 6, 4])
    top, total = design.links_from(End("", 0)), design.links_from(End("sum", 0))
    assert sorted(k.sink.unit for k in top) == ["", "left", "sum_adapter1_12"]
    assert sorted(k.sink.unit for k in total) == ["", "last"]
    # An output of its own leaves the unit as it is; a branch of a fork, or of an input, waits in a FIFO.
    depths = {k.name: k.depth for k in design.links if not k.sink.unit}
    assert depths == {"a_out_fifo": 0, "b_out_fifo": LEAST_DEPTH, "c_out_fifo": LEAST_DEPTH}


def test_designed_depth_lies_where_words_are_widest() -> None:
    edge = Edge("x", "sum", 1)
    design = structure(replace(residual(), depths={edge: 200}))
    links = [k for k in design.links if k.edge == edge]
    assert [(k.stream.lanes, k.depth, k.main, k.block) for k in links] == [
        (4, LEAST_DEPTH, False, False), (12, 200, True, True), (6, LEAST_DEPTH, False, False)
    ]  # fmt: skip
    assert links[1].bits == 200 * (12 * 4 + 1)


def test_composite_operators_are_refused() -> None:
    b, y = small_network()
    graph = from_onnx(b.model(y))
    with pytest.raises(ConfigError, match="conv_1: conv2d is composite: lower the graph before designing it"):
        structure(graph)
    names = [u.name for u in structure(lower(graph)).units]
    assert len(set(names)) == len(names)


def test_names_that_would_collide() -> None:
    def named(first: str, second: str) -> Graph:
        nodes = (Node(first, scale(4), ("x",), ("l",)), Node(second, scale(6), ("l",), ("y",)))
        return Graph("g", (flat_input("x", TENSOR),), nodes, (replace(integer_output("out", TENSOR), tensor="y"),))

    assert structure(named("a", "b")).units
    with pytest.raises(
        ConfigError, match="a FIFO and another part of the design are both called 'b_fifo0': rename that node"
    ):
        structure(named("b_fifo0", "b"))
    with pytest.raises(
        ConfigError, match="a width adapter and a node are both called 'b_adapter0_12': rename that node"
    ):
        structure(named("b_adapter0_12", "b"))

# SPDX-License-Identifier: Apache-2.0
"""Weights from memory: what can be streamed, how wide its words may be, and when a design does so unasked."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from gatewright.boards import Board, load_board
from gatewright.design.feeds import feeds
from gatewright.design.folding import Solver, apply_folding, folding_of
from gatewright.design.plan import make_design
from gatewright.design.resources import add_up
from gatewright.design.streaming import largest_first, stream_memories, word_limit
from gatewright.errors import ConfigError, DesignError
from gatewright.ir.graph import Graph, chain
from gatewright.ir.op import Op, as_int64, discover
from gatewright.ir.types import Tensor
from gatewright.ops.dense import Dense
from gatewright.ops.depthwise import Depthwise
from gatewright.ops.window import Window

BOARD = load_board("pynq-z2")
RNG = np.random.default_rng(6)


def weights(rows: int, cols: int) -> Dense:
    """4-bit weights on unsigned 2-bit inputs."""
    return Dense(Tensor((cols,), 0, 3), as_int64(RNG.integers(-8, 8, (rows, cols))))


def large() -> Graph:
    """A layer of 8.4 Mbit of weights, where the board has 5 Mbit of block RAM; the sums go out."""
    return chain([weights(1024, 2048)])


def mixed() -> Graph:
    """A convolution of 144 weights read at 16 places, a depthwise one, and layers of 8192 and of 512 weights."""
    window = Window(Tensor((4, 4, 2), 0, 3), 3, 3, 1, 1, 1, 1, 1, 1)
    conv = Dense(window.outputs[0], as_int64(RNG.integers(-1, 2, (8, 18))))
    sums = conv.outputs[0]
    depthwise = Depthwise(sums, as_int64(RNG.integers(-1, 2, (8, 1))))
    flat = Tensor((128,), depthwise.outputs[0].lo, depthwise.outputs[0].hi)
    first = Dense(flat, as_int64(RNG.integers(-1, 2, (64, 128))))
    return chain([window, conv, depthwise, first, Dense(first.outputs[0], as_int64(RNG.integers(-1, 2, (8, 64))))])


def test_a_port_gives_its_width_or_what_the_board_carries() -> None:
    assert (BOARD.memory_bits, word_limit(BOARD, 100.0)) == (64, min(64, int(BOARD.memory_gbytes_per_s * 80)))
    assert word_limit(replace(BOARD, memory_bits=32), 50.0) == 32
    slow = replace(BOARD, memory_gbytes_per_s=0.5)
    for mhz in (37.0, 100.0, 250.0):
        assert word_limit(slow, mhz) == min(64, int(Fraction(4 * 10**9) / Fraction(mhz) / 10**6))


@pytest.mark.parametrize("op", [op for cls in discover().values() if cls.streamable for op in cls.examples()])
def test_shapes_of_memories_are_those_of_the_contents(op: Op) -> None:
    for name, memory in op.memories().items():
        assert op.memory_shape(name) == (len(memory.words), memory.stream.width)


def test_a_streamed_unit_needs_no_rom_and_its_words_fit_the_port() -> None:
    graph = large()
    (node,) = graph.nodes
    plain = Solver(graph, BOARD)
    streamed = Solver(stream_memories(graph, [node.name]), BOARD, word_bits=24)
    words = {(o.op.pe * o.op.simd) for o in streamed.options[node.name]}
    assert max(words) == 4 and words == {w for o in plain.options[node.name] if (w := o.op.pe * o.op.simd) * 4 <= 24}
    assert all(o.op.resources()["BRAM36"] == 0 for o in streamed.options[node.name])
    assert not plain.fits() and streamed.fits()


def test_a_design_too_large_for_the_chip_streams_only_where_it_may() -> None:
    graph = large()
    with pytest.raises(DesignError, match=r"even the smallest design is too large for pynq-z2: .*BRAM36"):
        make_design(graph, BOARD)
    design = make_design(graph, BOARD, may_stream=True)
    (feed,) = feeds(design.structure)
    assert (feed.unit, feed.memory, feed.passes) == (graph.nodes[0].name, "weight", 1)
    assert feed.stream.width <= word_limit(BOARD, BOARD.mhz)
    (row,) = design.summary()["streamed"]
    assert row["bytes"] == 1024 * 2048 // 2 and row["words"] * row["word_bits"] == 1024 * 2048 * 4
    assert row["bytes_per_second"] == pytest.approx(1024 * 2048 / 2 * design.fps)
    assert row["peak_bytes_per_second"] == row["word_bits"] / 8 * BOARD.mhz * 1e6
    assert design.summary()["resources"]["BRAM36"] <= 1
    # As fast as memory lets it: a vector takes as long as its weights.
    assert design.timing.interval == pytest.approx(row["words"], rel=0.01)


def test_what_fits_stays_on_the_chip() -> None:
    graph = mixed()
    design = make_design(graph, BOARD, may_stream=True)
    assert not feeds(design.structure) and design.summary()["streamed"] == []
    assert folding_of(design.graph) == folding_of(make_design(graph, BOARD).graph)


def test_weights_read_least_often_go_first_and_of_these_the_largest() -> None:
    graph = mixed()
    names = [n.name for n in graph.nodes if isinstance(n.op, Dense)]
    assert largest_first(graph) == [names[1], names[2], names[0]]


def test_as_few_weights_as_needed_leave_the_chip() -> None:
    first = weights(64, 512)
    graph = chain([first, Dense(first.outputs[0], as_int64(RNG.integers(-8, 8, (64, 64))))])
    needs = Solver(graph, BOARD)
    full = needs.total(needs.for_interval(1 << 20))
    room = {"BRAM36": int(full["BRAM36"]) - 1, "LUT": int(full["LUT"] * 1.1)}
    tight = replace(BOARD, capacity={**BOARD.capacity, **room})
    assert not Solver(graph, tight).fits()
    design = make_design(graph, tight, may_stream=True)
    assert [f.unit for f in feeds(design.structure)] == ["u0_dense"]
    assert add_up(design.units.values())["BRAM36"] <= room["BRAM36"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["u1_dens"], r"no node 'u1_dens'; did you mean 'u1_dense'\?"),
        (["nothing"], r"no node 'nothing'; nodes that can be are u1_dense, u3_dense, u4_dense"),
        (["u2_depthwise"], r"u2_depthwise \(depthwise\) has no weights that can be streamed; nodes that can be are u1"),
        (["u0_window"], r"u0_window \(window\) has no weights that can be streamed"),
    ],
)
def test_what_cannot_be_streamed_is_refused(names: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_design(mixed(), BOARD, stream=names)


def test_a_model_without_such_nodes_says_so() -> None:
    depthwise = chain([Depthwise(Tensor((2, 4), 0, 3), as_int64(np.ones((4, 1))))])
    with pytest.raises(ConfigError, match=r"u0_depthwise .* no node of this model can be"):
        stream_memories(depthwise, ["u0_depthwise"])


def test_words_wider_than_the_port_are_refused_with_the_remedy() -> None:
    graph = chain([weights(8, 16)])
    folding = {"u0_dense": {"pe": 4, "simd": 8}}
    design = make_design(graph, replace(BOARD, memory_bits=128), folding=folding, stream=["u0_dense"], mhz=20.0)
    assert feeds(design.structure)[0].stream.width == 128
    message = r"u0_dense \(pe=4, simd=8\) takes 128 bits of weights .* gives 64: fold it more, use a wider port"
    with pytest.raises(DesignError, match=message):
        make_design(graph, BOARD, folding=folding, stream=["u0_dense"], mhz=20.0)
    with pytest.raises(DesignError, match=r"gives 3 bits a cycle, fewer than one weight has"):
        Solver(stream_memories(graph, ["u0_dense"]), BOARD, word_bits=3)


def test_a_folding_file_says_what_is_streamed() -> None:
    graph = mixed()
    design = make_design(graph, BOARD, stream=["u3_dense"])
    folding = folding_of(design.graph)
    assert folding["u3_dense"]["streamed"] == ["weight"] and "streamed" not in folding["u1_dense"]
    again = make_design(graph, BOARD, folding=folding)
    assert again.graph.digest() == design.graph.digest()
    folding["u3_dense"]["streamed"] = []
    assert not feeds(make_design(graph, BOARD, folding=folding).structure)


@pytest.mark.parametrize(
    ("node", "value", "message"),
    [
        ("u3_dense", ["start"], r"mine: u3_dense \(dense\): streamed=\['start'\]: use a list out of \['weight'\]"),
        ("u3_dense", "weight", r"streamed='weight': use a list out of \['weight'\]"),
        ("u3_dense", True, r"streamed=True: use a list"),
        ("u3_dense", ["weight", "weight"], r"streamed=\['weight', 'weight'\]: use a list out of \['weight'\]"),
        ("u2_depthwise", ["weight"], r"u2_depthwise \(depthwise\): streamed=\['weight'\]: its kernel has no port"),
    ],
)
def test_a_folding_file_that_streams_what_cannot_be_is_refused(node: str, value: object, message: str) -> None:
    graph = mixed()
    folding = folding_of(graph)
    folding[node]["streamed"] = value
    with pytest.raises(ConfigError, match=message):
        apply_folding(graph, folding, "mine")


def test_the_solver_says_that_memory_holds_a_rate_back() -> None:
    graph = large()
    board: Board = BOARD
    with pytest.raises(DesignError, match=r"takes at least \d+ cycles a frame however it is folded"):
        make_design(graph, board, fps=2000, stream=[graph.nodes[0].name])

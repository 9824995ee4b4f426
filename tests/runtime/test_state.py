# SPDX-License-Identifier: Apache-2.0
"""Registers in words, and the FIFO that is found guilty of a run that stands still."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from gatewright.runtime import kernel_map as k
from gatewright.runtime.kernel_map import Argument, KernelEdge, KernelMap
from gatewright.runtime.state import EdgeState, KernelState, fault_names, find_culprit, read_long, read_state


def kernel(edges: list[tuple[str, str]]) -> KernelMap:
    """A kernel of two inputs, whose FIFOs join these units."""
    return KernelMap(
        kernel="net_kernel", name="net", bus_bits=64, hash="0" * 32, control_bytes=4096,
        inputs=(Argument("x", "gmem0", 0x10, 8, 4, True, False, 8), Argument("z", "gmem1", 0x1C, 8, 4, True, False, 8)),
        outputs=(Argument("y", "gmem2", 0x28, 8, 4, True, False, 8, ("y",)),),
        frames_register=0x34, status=0x100,
        edges=tuple(KernelEdge(f"f{i}", f"t{i}", a, b, 4, 8) for i, (a, b) in enumerate(edges)),
    )  # fmt: skip


def test_every_register_is_decoded() -> None:
    net = kernel([("x", "a"), ("a", "y")])
    at = net.status
    words = {
        0: k.IDLE | k.READY, net.frames_register: 9, at + k.FRAMES: 7, at + k.CYCLES: 0x89ABCDEF, at + k.CYCLES + 4: 1,
        at + k.FIRST_FRAME: 11, at + k.LAST_FRAME: 22, at + k.FAULTS: k.WRITE_DECERR | k.ABORTED, at + k.READ_FAULTS: 3,
        at + k.WRITE_FAULTS: 4, at + k.FAULT_ADDRESS: 0x1000, at + k.FAULT_ADDRESS + 4: 0x2, at + k.FAULT_MASTER: 2,
        at + k.ABORT: 1, at + 0x90: 0x5000_0003, at + 0x94: 100, at + 0x98: 200, at + 0x9C: 300,
    }  # fmt: skip
    state = read_state(net, lambda offset: words.get(offset, 0))
    assert state.control == ("idle", "ready") and state.frames == 9 and state.frames_done == 7 and state.aborting
    assert (state.cycles, state.first_frame, state.last_frame) == (0x1_89AB_CDEF, 11, 22)
    assert state.faults == ("write DECERR", "aborted") and (state.read_faults, state.write_faults) == (3, 4)
    assert (state.fault_address, state.fault_port) == (0x2_0000_1000, "gmem2")
    edge = state.edges[1]
    assert (edge.fill, edge.stalled, edge.starved, edge.words) == (3, 100, 200, 300)
    assert (edge.offered, edge.accepts, edge.filled, edge.taken) == (False, True, False, True)
    assert str(state).startswith("7 of 9 frames after 6604705263 cycles; first at 11, newest at 22; control: idle")
    assert "f1 (a -> y): empty, 3 of 4 words, 300 have left" in str(state)
    assert json.loads(json.dumps(state.to_json()))["edges"][1]["edge"]["depth"] == 4


def test_the_control_register_is_not_read_where_it_is_known() -> None:
    read = []
    read_state(kernel([]), lambda offset: read.append(offset) or 0, control=0)
    assert 0 not in read and len(read) == len(set(read)) + 4  # the high halves are read twice


def test_halves_of_a_counter_that_goes_on() -> None:
    """Reads take time, in which the low half overflows; whatever the moment, the value is one that the counter had."""
    rng = random.Random(0)
    for _ in range(200):
        now = (rng.randrange(4) << 32) + 0xFFFF_FFFF - rng.randrange(4)
        begin, value = now, [now]

        def read(offset: int, value: list[int] = value) -> int:
            value[0] += 1
            return value[0] >> 32 if offset else value[0] & 0xFFFF_FFFF

        found = read_long(lambda offset: read(offset), 0)
        assert begin < found <= value[0]


def test_fault_names() -> None:
    assert fault_names(0) == ()
    assert fault_names(0x7F)[0] == "read SLVERR" and len(fault_names(0x7F)) == 7


FULL, EMPTY, WAITS, QUIET = 0b1010, 0b0101, 0b0110, 0b0100
"""Something offered and no room; consumer ready and no word; a word that the consumer does not take; no word, and the
consumer does not say that it waits."""


def state(joins: list[tuple[str, str]], moods: list[int]) -> KernelState:
    edges = kernel(joins).edges
    fills = {FULL: 4, EMPTY: 0, WAITS: 2, QUIET: 0}
    return KernelState(
        (), 9, 1, 100, 10, 10, (), 0, 0, 0, "?", False,
        tuple(EdgeState(e, fills[m], *(bool(m >> b & 1) for b in (3, 2, 1, 0)), 5, 6, 7)
              for e, m in zip(edges, moods, strict=True)),
    )  # fmt: skip


RESIDUAL = [("x", "a"), ("a", "conv"), ("a", "add"), ("conv", "add"), ("add", "y")]


@pytest.mark.parametrize(
    ("joins", "moods", "guilty", "text"),
    [
        # The skip FIFO is full, so the fork cannot feed the convolution that the addition waits for.
        (RESIDUAL, [FULL, EMPTY, FULL, QUIET, EMPTY], "f2",
         "a is held up by a FIFO that is full, while another that it feeds is empty. Full is f2 (a -> add): full"),
        (RESIDUAL, [EMPTY] * 5, "f0", "memory gives no more of input 'x': f0 (x -> a): empty, 0 of 4 words"),
        (RESIDUAL, [FULL] * 5, "f4", "memory takes no results of y: f4 (add -> y): full, 4 of 4 words"),
        (RESIDUAL, [FULL, WAITS, WAITS, EMPTY, EMPTY], "f1", "conv takes nothing more and gives nothing, though"),
        ([], [], None, "no FIFO of this design says why"),
        # All of the input has come, and the one output is blocked: what is empty upstream is not to blame.
        ([("x", "a"), ("a", "b")], [EMPTY, FULL], "f1", "memory takes no results of b: f1 (a -> b): full"),
        # Of two outputs one is blocked, and starves the other by way of the fork.
        ([("x", "a"), ("a", "b"), ("a", "c")], [FULL, EMPTY, FULL], "f2", "memory takes no results of c: f2"),
        ([("x", "a"), ("z", "a"), ("a", "y")], [FULL, EMPTY, EMPTY], "f1", "memory gives no more of input 'z'"),
        ([("b", "a"), ("a", "b"), ("a", "y")], [EMPTY, EMPTY, EMPTY], "f0", "units wait for each other in a circle"),
        ([("u", "y")], [EMPTY], "f0", "u gives nothing"),
        # Words stand at the end and nothing is starved: the write side is to blame, not the last FIFO that is full.
        (RESIDUAL, [FULL, FULL, FULL, WAITS, WAITS], "f4", "memory takes no results of y: f4 (add -> y): waits"),
    ],
)  # fmt: skip
def test_who_is_to_blame(joins: list[tuple[str, str]], moods: list[int], guilty: str | None, text: str) -> None:
    culprit = find_culprit(state(joins, moods), ["x", "z"])
    assert (culprit.edge.edge.name if culprit.edge else None) == guilty
    assert text in culprit.text


def test_it_always_ends() -> None:
    """Whatever the registers say."""
    rng, units, moods = random.Random(1), ["x", "z", "a", "b", "c", "y"], [FULL, EMPTY, WAITS, QUIET]
    for _ in range(2000):
        joins = [(rng.choice(units), rng.choice(units)) for _ in range(rng.randrange(8))]
        assert find_culprit(state(joins, [rng.choice(moods) for _ in joins]), ["x"]).text


def test_all_frames_are_out_but_not_written() -> None:
    done = replace(state(RESIDUAL, [EMPTY] * 5), frames_done=9)
    assert find_culprit(done, ["x"]).text == "all frames have left the design, but memory has not taken all results"

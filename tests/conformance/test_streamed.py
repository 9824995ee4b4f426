# SPDX-License-Identifier: Apache-2.0
"""Kernels whose words come through a port: the integers and the very cycles of those that have them in a ROM."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gatewright.design.feeds import feeds
from gatewright.design.structure import structure
from gatewright.emit import hls, rtl
from gatewright.errors import ConfigError, SimulationError
from gatewright.ir.graph import Graph, chain
from gatewright.ir.op import Memory, Op, as_int64, discover
from gatewright.ir.types import Tensor
from gatewright.ops.dense import Dense
from gatewright.ops.window import Window
from gatewright.sim.model import Traffic
from gatewright.sim.netlist import SIMULATORS

from . import target_rtl
from .gates import gate_model, gates_of
from .held_out import HELD_OUT
from .support import Bench, check_cycles, check_values, emit_bench
from .test_operators import drawn_foldings

STREAMABLE = {name: cls for name, cls in discover().items() if cls.streamable}


def streamed(op: Op) -> Op:
    return replace(op, streamed=op.streamable)  # type: ignore[type-var, call-arg]  # a dataclass with this field


@pytest.mark.parametrize("name", STREAMABLE)
def test_streamed_examples_are_exact(name: str, tmp_path: Path) -> None:
    """At full speed in the cycles of the ROM; under stalls of all ports, those of words too; after resets."""
    target_rtl.check([streamed(op) for op in STREAMABLE[name].examples()], tmp_path)


@pytest.mark.parametrize("name", STREAMABLE)
def test_streamed_held_out_shapes_and_foldings_are_exact(name: str, tmp_path: Path) -> None:
    target_rtl.check([streamed(op) for op in [*HELD_OUT[name](), *drawn_foldings(name)]], tmp_path)


def layers() -> Graph:
    """A convolution and a product behind it whose weights come through ports, and one between them that has its own."""
    rng = np.random.default_rng(4)
    window = Window(Tensor((5, 5, 2), -8, 7), 3, 3, 2, 2, 1, 1, 1, 1, simd=2)
    conv = Dense(window.outputs[0], as_int64(rng.integers(-3, 4, (4, 18))), pe=2, simd=6, streamed=("weight",))
    point = Dense(conv.outputs[0], as_int64(rng.integers(-1, 2, (6, 4))), pe=2, simd=2)
    flat = Tensor((9 * 6,), point.outputs[0].lo, point.outputs[0].hi)
    last = Dense(flat, as_int64(rng.integers(-7, 8, (5, 54))), pe=1, simd=9, streamed=("weight",))
    return chain([window, conv, point, last])


def test_a_network_with_streamed_layers_is_exact(tmp_path: Path) -> None:
    bench = emit_bench([layers()], tmp_path)
    assert [(f.prefix, f.passes) for f in feeds(bench.designs[0])] == [
        ("e0_u1_dense_weight_axis", 9),
        ("e0_u3_dense_weight_axis", 1),
    ]
    model = bench.model()
    check_cycles(bench, check_values(bench, model, [40], Traffic()))
    for traffic in target_rtl.STALLS:
        check_values(bench, model, [40], traffic)


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_streamed_layers_as_gates_are_exact_in_every_cycle(simulator: str, tmp_path: Path) -> None:
    bench = emit_bench([layers()], tmp_path)
    model = gate_model(bench, gates_of(bench, "xc7"), simulator)
    check_cycles(bench, check_values(bench, model, [8], Traffic()))
    check_values(bench, model, [8], target_rtl.RESETS[1])


def test_other_targets_keep_their_rom() -> None:
    graph = layers()
    plain = graph.with_ops({n.name: replace(n.op, streamed=()) for n in graph.nodes if n.op.streamed})  # type: ignore[type-var, call-arg]  # dataclasses with this field
    assert dict(hls.emit(structure(graph))) == dict(hls.emit(structure(plain)))
    assert dict(rtl.emit(structure(graph))) != dict(rtl.emit(structure(plain)))


def test_streamed_words_are_in_no_file(tmp_path: Path) -> None:
    bench = emit_bench([layers()], tmp_path)
    files = sorted(p.name for p in bench.folder.glob("*_weight.mem"))
    assert files == ["e0_u2_dense_weight.mem"]


def with_memory(bench: Bench, index: int, **changes: object) -> Bench:
    """A bench that feeds one of its memories otherwise."""
    (group,) = bench.groups
    memories = list(group.memories)
    memories[index] = replace(memories[index], **changes)  # type: ignore[arg-type]  # fields of the port
    return replace(bench, groups=(replace(group, memories=tuple(memories)),))


def test_words_in_another_order_are_noticed(tmp_path: Path) -> None:
    bench = emit_bench([layers()], tmp_path)
    content = bench.groups[0].memories[1].content
    swapped = with_memory(bench, 1, content=Memory(np.roll(content.words, 1, axis=0), content.bits))
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        check_values(swapped, swapped.model(), [4], Traffic())


@pytest.mark.parametrize(
    ("passes", "message"), [(8, "is awaited"), (10, "dense_weight_axis: frame 36 beat 0 is offered")]
)
def test_another_number_of_passes_is_noticed(passes: int, message: str, tmp_path: Path) -> None:
    bench = with_memory(emit_bench([layers()], tmp_path), 0, passes=passes)
    with pytest.raises(SimulationError, match=message):
        check_values(bench, bench.model(), [4], Traffic(timeout_cycles=2000))


def test_a_pass_of_another_length_is_noticed(tmp_path: Path) -> None:
    bench = emit_bench([layers()], tmp_path)
    port = bench.groups[0].memories[1]
    short = Memory(port.content.words[:-1], port.content.bits)
    bench = with_memory(bench, 1, content=short, stream=short.stream)
    with pytest.raises(SimulationError, match=r"tlast=1 on beat 28 of a frame of 30 beats"):
        check_values(bench, bench.model(), [4], Traffic())


def test_only_what_the_kernel_has_a_port_for_can_be_streamed() -> None:
    weight = as_int64(np.eye(4))
    with pytest.raises(ConfigError, match=r"dense: streamed=\('start',\): choose from \('weight',\)"):
        Dense(Tensor((4,), 0, 3), weight, streamed=("start",))

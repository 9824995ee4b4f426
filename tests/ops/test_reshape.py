# SPDX-License-Identifier: Apache-2.0
"""Reshapes: what stays together, which loops make an order, and that nothing is left where nothing moves."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewright.errors import ConfigError
from gatewright.ir.graph import chain
from gatewright.ir.op import as_int64
from gatewright.ir.types import Tensor
from gatewright.ops.maxpool import Maxpool
from gatewright.ops.reshape import LOOPS, Reshape, loops
from gatewright.passes.lower import lower

ORDER = as_int64([2, 3, 0, 1, 4, 5])


def walked(nest: list[tuple[int, int]], start: int) -> list[int]:
    """What nested loops count, innermost first, as the kernel does."""
    turns = itertools.product(*(range(n) for n, _ in reversed(nest)))
    strides = [s for _, s in reversed(nest)]
    return [start + sum(i * s for i, s in zip(turn, strides, strict=True)) for turn in turns]


@pytest.mark.parametrize(
    ("source", "shape", "order", "pe", "message"),
    [
        (Tensor((6,), 0, 3), (5,), None, 1, r"6 uint2 .* has 6 elements, \(5,\) has another number"),
        (Tensor((6,), 0, 3), (6,), as_int64([0, 1, 2, 3, 4, 4]), 1, "must name each of the 6 elements once"),
        (Tensor((6,), 0, 3), (6,), as_int64([0, 1]), 1, "must name each of the 6 elements once"),
        (Tensor((2,), 0, 3, (1.0, 2.0)), (2, 1), None, 1, "one scale per channel, .*: quantise to one scale"),
        (Tensor((6,), 0, 3), (6,), ORDER, 3, "pe=3 does not divide 2 elements that stay together: use 1 or 2"),
    ],
)
def test_what_does_not_fit_is_refused(source: Tensor, shape: tuple, order: np.ndarray, pe: int, message: str) -> None:
    with pytest.raises(ConfigError, match=f"reshape: .*{message}"):
        Reshape(source, shape, order, pe)


def test_scales_per_channel_move_along() -> None:
    source = Tensor((2, 6), 0, 3, (1.0, 2.0, 4.0) * 2)
    assert Reshape(source, (4, 3)).outputs[0].scale == (1.0, 2.0, 4.0)
    assert Reshape(source, (4, 3), as_int64(np.arange(12).reshape(4, 3)[:, ::-1].ravel())).outputs[0].scale == (4, 2, 1)
    (op,) = lower(chain([Reshape(source, (4, 3)), Maxpool(Tensor((4, 3), 0, 3, (1.0, 2.0, 4.0)), 1)])).nodes
    assert op.inputs == ("x0",)


@pytest.mark.parametrize(
    ("order", "pe", "block"),
    [
        (np.arange(24), 1, 1),
        (np.arange(24), 4, 1),
        (np.arange(24).reshape(2, 3, 2, 2).transpose(0, 2, 1, 3), 2, 6),
        (np.arange(24).reshape(2, 2, 3, 2).transpose(0, 1, 3, 2), 1, 6),
        (np.arange(24).reshape(2, 12)[::-1], 12, 2),
        ([*range(12), *range(23, 11, -1)], 1, 24),
        ([1, 0, 3, 2, 4, 5, *range(6, 24)], 1, 24),
    ],
)
def test_the_least_block_that_no_element_leaves(order: np.ndarray, pe: int, block: int) -> None:
    assert Reshape(Tensor((24,), 0, 3), (24,), as_int64(np.ravel(order)), pe).block == block


def test_a_pixel_shuffle_takes_two_rows_of_memory() -> None:
    height, width, channels = 16, 16, 8
    order = np.arange(height * width * channels * 4).reshape(height, width, 2, 2, channels).transpose(0, 2, 1, 3, 4)
    op = Reshape(Tensor((order.size,), 0, 255), (order.size,), as_int64(order.ravel()), 16)
    (memory,) = op.features().memories
    assert (memory.width, memory.depth) == (8 * 16, 2 * width * channels * 4 // 16)


def test_runs_that_stay_together() -> None:
    assert Reshape(Tensor((6,), 0, 3), (6,), ORDER).foldings() == {"pe": (1, 2)}
    assert Reshape(Tensor((6,), 0, 3), (2, 3)).foldings() == {"pe": (1, 2, 3, 6)}
    # Aligned in the output but not in the input.
    assert Reshape(Tensor((6,), 0, 3), (6,), as_int64([1, 2, 3, 0, 4, 5])).foldings() == {"pe": (1,)}


@settings(max_examples=200, deadline=None)
@given(st.permutations(range(6)), st.lists(st.integers(1, 4), min_size=6, max_size=6))
def test_loops_make_every_transposition_of_few_axes(axes: list[int], shape: list[int]) -> None:
    order = np.arange(np.prod(shape)).reshape(shape).transpose(axes).ravel()
    nest = loops(order)
    if nest is None:
        # Only more axes than loops need a ROM: neighbours that stay neighbours are one.
        axes = [a for a in axes if shape[a] > 1]
        kept = [a for a in range(6) if shape[a] > 1]
        joined = sum(kept.index(b) != kept.index(a) + 1 for a, b in itertools.pairwise(axes)) + 1
        assert joined > LOOPS
    else:
        assert len(nest) <= LOOPS and walked(nest, int(order[0])) == order.tolist()


@settings(max_examples=200, deadline=None)
@given(st.permutations(range(12)))
def test_loops_never_make_another_order(order: list[int]) -> None:
    nest = loops(np.array(order))
    assert nest is None or walked(nest, order[0]) == order


def test_where_nothing_moves_nothing_is_left() -> None:
    source = Tensor((2, 3, 4), 0, 7)
    view = Reshape(source, (24,))
    moved = Reshape(view.outputs[0], (4, 6), as_int64(np.arange(24).reshape(6, 4).T.ravel()))
    graph = chain([view, moved, Reshape(moved.outputs[0], (24,), as_int64(np.arange(24)))])
    lowered = lower(graph)
    assert [n.op for n in lowered.nodes] == [moved]
    x = np.random.default_rng(0).integers(0, 8, (5, 2, 3, 4))
    np.testing.assert_array_equal(lowered.reference(x)[0].ravel(), graph.reference(x)[0].ravel())


def test_a_beat_waits_for_those_before_its_turn() -> None:
    schedule = Reshape(Tensor((6,), 0, 3), (6,), ORDER, 2).schedule()
    assert schedule.need[0].tolist() == [2, 2, 3]
    assert schedule.after[0] is not None and schedule.after[0].tolist() == [-3, -3, -3]

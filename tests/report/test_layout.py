# SPDX-License-Identifier: Apache-2.0
"""Layers and lanes: chains stay straight, branches get lanes of their own, no two boxes share a place."""

from __future__ import annotations

import numpy as np
import pytest

from gatewright.report.layout import place


def test_a_chain_is_straight() -> None:
    placed = place(4, [(0, 1), (1, 2), (2, 3)])
    assert placed.layer == (0, 1, 2, 3)
    assert placed.lane == (0,) * 4 and placed.lanes == (0,) * 3


def test_a_shortcut_runs_beside_the_longer_path() -> None:
    placed = place(6, [(0, 1), (1, 2), (2, 4), (0, 3), (3, 4), (4, 5)])
    assert placed.layer == (0, 1, 2, 1, 3, 4)
    assert placed.lane == (0, 0, 0, 1, 0, 0)
    assert placed.lanes == (0, 0, 0, 1, 1, 0)


def test_shortcuts_one_after_another_share_a_lane_and_nested_ones_do_not() -> None:
    chain = [(i, i + 1) for i in range(6)]
    assert place(7, [*chain, (0, 3), (3, 6)]).lanes[6:] == (1, 1)
    assert sorted(place(7, [*chain, (0, 6), (1, 5)]).lanes[6:]) == [1, 2]


def test_inputs_and_outputs_without_a_path_between_them() -> None:
    placed = place(3, [(0, 2), (1, 2)])
    assert placed.layer == (0, 0, 1) and sorted(placed.lane[:2]) == [0, 1]


@pytest.mark.parametrize("seed", range(30))
def test_random_graphs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 25))
    # A node's number says nothing of where it stands.
    names = rng.permutation(count)
    edges = [
        (int(names[rng.integers(0, i)]), int(names[i])) for i in range(1, count) for _ in range(rng.integers(1, 3))
    ]
    edges = list(dict.fromkeys(edges))
    placed = place(count, edges)
    assert all(placed.layer[a] < placed.layer[b] for a, b in edges)
    places = list(zip(placed.layer, placed.lane, strict=True))
    assert len(set(places)) == count
    for (a, b), lane in zip(edges, placed.lanes, strict=True):
        # A line passes no box of its lane but those at its ends.
        passed = {(layer, lane) for layer in range(placed.layer[a] + 1, placed.layer[b])}
        assert passed.isdisjoint(places)

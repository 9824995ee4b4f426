# SPDX-License-Identifier: Apache-2.0
"""The record of a unit's timing. What operators say in it is checked with the operators."""

from __future__ import annotations

from gatewright.ir.schedule import streaming


def test_streaming_takes_and_gives_one_beat_a_step() -> None:
    schedule = streaming(5, 3, inputs=2)
    assert (schedule.steps, schedule.depth) == (5, 3)
    assert [n.tolist() for n in schedule.need] == [[1, 2, 3, 4, 5]] * 2
    assert [p.tolist() for p in schedule.produce] == [[True] * 5]
    assert schedule.after == (None, None)

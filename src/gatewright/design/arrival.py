# SPDX-License-Identifier: Apache-2.0
"""When each beat of a lone frame comes, if no FIFO is ever full: the latency of a design, unit by unit.

The same rules as in the cycle model, without waiting for room: a step happens one cycle after the step before it and
one cycle after the last beat that it needs was pushed, whichever is later. Times only grow with the times that they
come from (max-plus algebra), so that an earlier arrival never makes anything later. What the cycle model shows with
finite FIFOs is never less.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numba
import numpy as np

from gatewright.design.structure import adapter_lanes, width_adapter
from gatewright.ir.schedule import Schedule
from gatewright.ir.types import IntArray, Stream


def departures(schedule: Schedule, arrivals: Sequence[IntArray]) -> tuple[IntArray, ...]:
    """Cycles in which a unit pushes each beat of a frame into the FIFO behind it, per output.

    Args:
        arrivals: per input, int64 of shape (beats,): the cycle in which each beat is pushed into the FIFO before it.
    """
    ready = np.zeros(schedule.steps, np.int64)
    buffered = []
    for port, (need, after) in enumerate(zip(schedule.need, schedule.after, strict=True)):
        if after is None:
            np.maximum(ready, np.concatenate([[0], arrivals[port] + 1])[need], out=ready)
        else:
            buffered.append((need, after, arrivals[port]))
    if buffered:
        need, after, pushed = (np.concatenate(rows) for rows in zip(*buffered, strict=True))
        starts = np.cumsum([0, *(len(a) for _, a, _ in buffered)])
        steps = _buffered_steps(ready, need, after, pushed, starts)
    else:
        index = np.arange(schedule.steps)
        steps = index + np.maximum.accumulate(ready - index)
    return tuple(steps[produce] + schedule.depth for produce in schedule.produce)


@numba.njit(cache=True)
def _buffered_steps(ready: IntArray, need: IntArray, after: IntArray, pushed: IntArray, starts: IntArray) -> IntArray:
    """Cycle of each step of a unit whose writers fill buffers beside the steps; tables of the inputs end to end."""
    count, inputs = len(ready), len(starts) - 1
    steps = np.empty(count, np.int64)
    taken, last = np.zeros(inputs, np.int64), np.full(inputs, -1, np.int64)
    cycle = -1
    for s in range(count):
        cycle = max(cycle + 1, ready[s])
        for p in range(inputs):
            while taken[p] < need[p * count + s]:
                beat = starts[p] + taken[p]
                room = steps[after[beat] - 1] + 1 if 0 < after[beat] <= s else 0
                last[p] = max(last[p] + 1, pushed[beat] + 1, room)
                taken[p] += 1
            cycle = max(cycle, last[p] + 1)
        steps[s] = cycle
    return steps


def adapted(arrivals: IntArray, have: int, want: int) -> IntArray:
    """Cycles in which the beats of an edge are pushed into its last FIFO, behind the width adapters between its lanes.

    Args:
        arrivals: int64 of shape (beats,), of words of `have` lanes.
    """
    for lanes in adapter_lanes(have, want):
        (arrivals,) = departures(_adapter(len(arrivals), have, lanes), (arrivals,))
        have = lanes
    return arrivals


@lru_cache(maxsize=1024)
def _adapter(beats: int, have: int, lanes: int) -> Schedule:
    return width_adapter("adapter", Stream(1, have, beats, False), lanes).schedule

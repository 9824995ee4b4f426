# SPDX-License-Identifier: Apache-2.0
"""The cycle model: runs the schedules of all units and the handshakes of all FIFOs, one cycle at a time.

It knows nothing of data and everything of time: a unit steps when its inputs are there and its pipeline moves, a FIFO
takes a word when it is not full. Each rule is that of the RTL, so that interval and latency are exact predictions, and
FIFO depths can be computed before any RTL exists. Compiled by numba: some ten nanoseconds a unit and cycle.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from gatewright.design.structure import End, Structure, Unit
from gatewright.errors import DesignError
from gatewright.ir.types import IntArray


@dataclass(frozen=True, eq=False)
class Trace:
    """When each unit worked; cycles count as in `Timing`, units stand in the order of the design's.

    Attributes:
        spans: int64 of shape (units, frames, 4): cycle of the first beat taken, of the first step, of the last step and
            of the last beat given.
        busy: int64 of shape (units, bins): steps made in each bin of time.
        width: cycles of a bin.
    """

    spans: IntArray
    busy: IntArray
    width: int


@dataclass(frozen=True, eq=False)
class Timing:
    """What the model saw; cycles count from the first in which the input could be taken.

    Attributes:
        first_in: per input and frame, cycle of the first input handshake.
        last_out: per output and frame, cycle of the last output handshake.
        peak: per link name, most words held.
        cycles: length of the run.
        trace: what every unit did, where it was asked for.
    """

    first_in: IntArray
    last_out: IntArray
    peak: dict[str, int]
    cycles: int
    trace: Trace | None = None

    @property
    def latency(self) -> int:
        """First input handshake to last output handshake of the first frame, in cycles."""
        return int(self.last_out[:, 0].max() - self.first_in[:, 0].min())

    @property
    def interval(self) -> int:
        """Distance of the last two frames' last output handshakes; for one frame, the latency."""
        ends = self.last_out.max(axis=0)
        return int(ends[-1] - ends[-2]) if len(ends) > 1 else self.latency


def simulate(design: Structure, frames: int = 4, limit: int | None = None, trace_bins: int = 0) -> Timing:
    """Run `frames` frames with a source that always offers and a sink that always takes.

    Args:
        limit: give up beyond so many cycles; by default far more than any design needs.
        trace_bins: record what every unit does, in about so many bins of time; 0 records nothing.

    Raises:
        DesignError: the design stops before all frames are out (a deadlock), or runs beyond `limit` cycles.
    """
    tables = _tables(design)
    first_in, last_out = (np.zeros((len(beats), frames), np.int64) for beats in (tables.top_in, tables.top_out))
    peak = np.zeros(len(design.links), np.int64)
    total = sum(u.schedule.steps for u in design.units)
    limit = limit or (frames + 4) * (total + 200 * len(design.units) + 1000)
    cycles = int(_run(frames, limit, tables, first_in, last_out, peak, *_no_trace(), *_no_marks()))
    if cycles < 0:
        what = "stops" if cycles == -1 else f"does not finish in {limit} cycles"
        raise DesignError(
            f"the design {what} before {frames} frames are out: it deadlocks with the FIFO depths {_depths(design)}"
        )
    trace = None
    if trace_bins > 0:
        # A second run, because the length of the first decides how wide a bin is.
        width = -(-cycles // trace_bins)
        spans = np.full((len(design.units), frames, 4), -1, np.int64)
        trace = Trace(spans, np.zeros((len(design.units), -(-cycles // width)), np.int64), width)
        _run(frames, limit, tables, first_in, last_out, peak, trace.spans, trace.busy, width, *_no_marks())
    held = dict(zip([link.name for link in design.links], peak.tolist(), strict=True))
    return Timing(first_in, last_out, held, cycles, trace)


@dataclass(frozen=True, eq=False)
class Passage:
    """When words passed a link, -1 for those that did not: int64 of shape (words,) each.

    Attributes:
        entered: cycle in which each was taken from the link's source.
        left: cycle in which each was taken by the link's reader; of no meaning where the link has no FIFO.
    """

    entered: IntArray
    left: IntArray


def passages(design: Structure, frames: int) -> dict[str, Passage]:
    """Cycle of every handshake in front of and behind every FIFO, by the name of the link; a deadlock ends them early.

    Source and sink are those of `simulate`.
    """
    tables = _tables(design)
    first_in, last_out = (np.zeros((len(beats), frames), np.int64) for beats in (tables.top_in, tables.top_out))
    starts = np.cumsum([0, *(frames * link.stream.beats for link in design.links)]).astype(np.int64)
    entered, left = np.full(starts[-1], -1, np.int64), np.full(starts[-1], -1, np.int64)
    limit = (frames + 4) * (sum(u.schedule.steps for u in design.units) + 200 * len(design.units) + 1000)
    peak = np.zeros(len(design.links), np.int64)
    _run(frames, limit, tables, first_in, last_out, peak, *_no_trace(), entered, left, starts)
    pieces = (slice(*starts[i : i + 2]) for i in range(len(design.links)))
    return {k.name: Passage(entered[s], left[s]) for k, s in zip(design.links, pieces, strict=True)}


def _no_marks() -> tuple[IntArray, IntArray, IntArray]:
    return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)


def _no_trace() -> tuple[IntArray, IntArray, int]:
    return np.zeros((0, 0, 4), np.int64), np.zeros((0, 0), np.int64), 1


def _depths(design: Structure) -> str:
    return ", ".join(f"{link.name}={link.depth}" for link in design.links)


class _Tables(NamedTuple):
    """A structure as arrays.

    Ports are numbered unit by unit; the top level's inputs are output ports behind the last unit's. A ragged table is
    its rows end to end, and `*_at`: where each begins. Links of a port are in `branch`.
    """

    steps: IntArray
    stages: IntArray
    in_at: IntArray
    in_link: IntArray
    in_beats: IntArray
    need: IntArray
    need_at: IntArray
    after: IntArray
    after_at: IntArray
    out_at: IntArray
    produce: IntArray
    produce_at: IntArray
    branch: IntArray
    branch_at: IntArray
    depth: IntArray
    block: IntArray
    sink: IntArray  # output of the top level, or -1
    ends: IntArray  # unit at either end; the top level counts as the unit after the last
    reader: IntArray  # input port that reads a link, or -1
    top_in: IntArray
    top_out: IntArray


def _ragged(rows: list[npt.NDArray[np.generic]]) -> tuple[IntArray, IntArray]:
    """Rows end to end, and where each begins (one entry more than rows)."""
    starts = np.cumsum([0, *(len(r) for r in rows)]).astype(np.int64)
    return (np.concatenate(rows).astype(np.int64) if rows else np.zeros(0, np.int64)), starts


@lru_cache(maxsize=2)
def _schedules(units: tuple[Unit, ...]) -> tuple[tuple[IntArray, IntArray], ...]:
    """Need, after and produce of all units as ragged tables: kept, because FIFO sizing runs the same units often."""
    return (
        _ragged([n for u in units for n in u.schedule.need]),
        _ragged([np.zeros(0) if a is None else a for u in units for a in u.schedule.after]),
        _ragged([p for u in units for p in u.schedule.produce]),
    )


def _tables(design: Structure) -> _Tables:
    units, links = design.units, design.links
    need, after, produce = _schedules(units)
    index = {u.name: i for i, u in enumerate(units)}
    into = {link.sink: i for i, link in enumerate(links)}
    in_at = np.cumsum([0, *(len(u.ins) for u in units)])
    sources = [End(u.name, p) for u in units for p in range(len(u.outs))]
    sources += [End("", p) for p in range(len(design.inputs))]

    def array(values: Iterable[int]) -> IntArray:
        return np.array(list(values), np.int64)

    return _Tables(
        array(u.schedule.steps for u in units),
        array(u.schedule.depth for u in units),
        in_at,
        array(into[End(u.name, p)] for u in units for p in range(len(u.ins))),
        array(s.beats for u in units for s in u.ins),
        *need,
        *after,
        np.cumsum([0, *(len(u.outs) for u in units)]),
        *produce,
        *_ragged([array(i for i, k in enumerate(links) if k.source == s) for s in sources]),
        array(link.depth for link in links),
        array(link.block for link in links),
        array(-1 if link.sink.unit else link.sink.port for link in links),
        array(index.get(e.unit, len(units)) for k in links for e in (k.source, k.sink)).reshape(-1, 2),
        array(in_at[index[k.sink.unit]] + k.sink.port if k.sink.unit else -1 for k in links),
        array(s.beats for s in design.inputs),
        array(s.beats for s in design.outputs),
    )


@numba.njit(inline="always")
def _list(k: int, listed: IntArray, changed: IntArray) -> None:
    """Note that a link changes in this cycle; the last entry of `changed` counts them."""
    if not listed[k]:
        listed[k] = 1
        changed[changed[-1]] = k
        changed[-1] += 1


# One long function on purpose: numba counts references whenever an array passes between functions or out of a record,
# and split up this took twenty times as long.
@numba.njit(cache=True)
def _run(
    frames: int,
    limit: int,
    t: _Tables,
    first_in: IntArray,
    last_out: IntArray,
    peak: IntArray,
    spans: IntArray,
    busy: IntArray,
    width: int,
    entered: IntArray,
    gone: IntArray,
    mark_at: IntArray,
) -> int:
    """Cycles until all outputs gave `frames` frames; -1 for a standstill, -2 beyond `limit`.

    Fills the arrays; `spans` and `busy` (of a `Trace`), `entered` and `gone` (of a `Passage` each) only where they have
    rows; a link's part of the latter begins at `mark_at`.
    """
    all_steps, stages, in_at, in_link, in_beats, need, need_at, after, after_at = t[:9]
    out_at, produce, produce_at, branch, branch_at, depth, block, sink, ends, reader, top_in, top_out = t[9:]
    units, links, ports = len(all_steps), len(depth), out_at[-1]
    step, frame = np.zeros(units, np.int64), np.zeros(units, np.int64)
    awake = np.ones(units + 1, np.int64)
    taken, pipe = np.zeros(len(in_link), np.int64), np.zeros(ports, np.int64)
    count, front = np.zeros(links, np.int64), np.zeros(links, np.int64)  # words held, and seen by the reader
    push, pop, listed = np.zeros(links, np.int64), np.zeros(links, np.int64), np.zeros(links, np.int64)
    changed = np.zeros(links + 1, np.int64)
    sent, got = np.zeros(len(top_in), np.int64), np.zeros(len(top_out), np.int64)
    into, out_of = np.zeros(links, np.int64), np.zeros(links, np.int64)
    traced, given, beats = len(spans) > 0, np.zeros(ports, np.int64), np.zeros(ports, np.int64)
    if traced:
        for o in range(ports):
            beats[o] = produce[produce_at[o] : produce_at[o + 1]].sum()
    cycle, done = 0, 0
    while done < len(top_out):
        # The sources of the top level offer a beat in every cycle.
        for i in range(len(top_in)):
            room = sent[i] < frames * top_in[i]
            for b in range(branch_at[ports + i], branch_at[ports + i + 1]):
                room = room and count[branch[b]] < depth[branch[b]]
            if room:
                if sent[i] % top_in[i] == 0:
                    first_in[i, sent[i] // top_in[i]] = cycle
                sent[i] += 1
                for b in range(branch_at[ports + i], branch_at[ports + i + 1]):
                    push[branch[b]] = 1
                    _list(branch[b], listed, changed)
        moved = False
        for u in range(units):
            # A unit that could do nothing sleeps until one of its FIFOs changes.
            if not awake[u]:
                continue
            awake[u] = 0
            now, steps = step[u], all_steps[u]
            # Writers of buffered inputs look at the state before this cycle's step.
            for p in range(in_at[u], in_at[u + 1]):
                if after_at[p + 1] > after_at[p] and front[in_link[p]] > 0:
                    whole = taken[p] // in_beats[p]
                    if frame[u] * steps + now >= whole * steps + after[after_at[p] + taken[p] % in_beats[p]]:
                        pop[in_link[p]] = 1
                        _list(in_link[p], listed, changed)
            # The pipeline moves unless a beat at its end is not taken.
            last = np.int64(1) << (stages[u] - 1)
            blocked = False
            for o in range(out_at[u], out_at[u + 1]):
                if pipe[o] & last:
                    for b in range(branch_at[o], branch_at[o + 1]):
                        blocked = blocked or 0 < depth[branch[b]] <= count[branch[b]]
            if blocked:
                continue
            for o in range(out_at[u], out_at[u + 1]):
                if pipe[o]:
                    if pipe[o] & last:
                        for b in range(branch_at[o], branch_at[o + 1]):
                            push[branch[b]] = 1
                            _list(branch[b], listed, changed)
                        pipe[o] ^= last
                        if traced:
                            whole = given[o] // beats[o]
                            given[o] += 1
                            if whole < frames:
                                spans[u, whole, 3] = cycle
                    pipe[o] <<= 1
                    awake[u] = 1
                    moved = True
            # A step happens if its inputs are there.
            ready = True
            for p in range(in_at[u], in_at[u + 1]):
                before = frame[u] * in_beats[p]
                if before + need[need_at[p] + now] > taken[p]:
                    ready = ready and after_at[p + 1] == after_at[p] and front[in_link[p]] > 0
                elif before > taken[p]:
                    ready = False
            if not ready:
                continue
            awake[u] = 1
            moved = True
            if traced:
                busy[u, cycle // width] += 1
                if frame[u] < frames:
                    spans[u, frame[u], 2] = cycle
                    if now == 0:
                        spans[u, frame[u], 1] = cycle
            for p in range(in_at[u], in_at[u + 1]):
                if frame[u] * in_beats[p] + need[need_at[p] + now] > taken[p]:
                    pop[in_link[p]] = 1
                    _list(in_link[p], listed, changed)
            for o in range(out_at[u], out_at[u + 1]):
                pipe[o] |= produce[produce_at[o] + now]
            step[u] = now + 1
            if step[u] == steps:
                step[u] = 0
                frame[u] += 1
        if not moved and changed[-1] == 0:
            return -1
        # Everything above saw the registers of the links; now they change.
        left = 0
        for c in range(changed[-1]):
            k = changed[c]
            if sink[k] >= 0 and (push[k] if depth[k] == 0 else front[k]) > 0:
                o = sink[k]
                got[o] += 1
                pop[k] = depth[k] > 0
                if got[o] % top_out[o] == 0 and got[o] // top_out[o] <= frames:
                    last_out[o, got[o] // top_out[o] - 1] = cycle
                    done += got[o] // top_out[o] == frames
            if len(entered) > 0:
                if push[k] and mark_at[k] + into[k] < mark_at[k + 1]:
                    entered[mark_at[k] + into[k]] = cycle
                    into[k] += 1
                if pop[k] and mark_at[k] + out_of[k] < mark_at[k + 1]:
                    gone[mark_at[k] + out_of[k]] = cycle
                    out_of[k] += 1
            if depth[k] > 0:
                stored = count[k] - front[k]
                count[k] += push[k] - pop[k]
                front[k] -= pop[k]
                if pop[k] and reader[k] >= 0:
                    if traced:
                        u, whole = ends[k, 1], taken[reader[k]] // in_beats[reader[k]]
                        if whole < frames and spans[u, whole, 0] < 0:
                            spans[u, whole, 0] = cycle
                    taken[reader[k]] += 1
                if not block[k]:
                    front[k] = count[k]
                elif front[k] == 0 and stored > 0:
                    # One word in the output register, filled from the memory of before this cycle.
                    front[k] = 1
                peak[k] = max(peak[k], count[k])
            awake[ends[k, 0]] = 1
            awake[ends[k, 1]] = 1
            push[k] = 0
            pop[k] = 0
            # A link stays listed while it holds words for the top level or for its own output register.
            listed[k] = count[k] > 0 and (sink[k] >= 0 or front[k] == 0)
            if listed[k]:
                changed[left] = k
                left += 1
        changed[-1] = left
        cycle += 1
        if cycle >= limit:
            return -2
    return cycle

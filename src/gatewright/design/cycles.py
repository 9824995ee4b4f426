# SPDX-License-Identifier: Apache-2.0
"""The cycle model: runs the schedules of all units and the handshakes of all FIFOs, one cycle at a time.

It knows nothing of data and everything of time: a unit steps when its inputs are there and its pipeline moves, a FIFO
takes a word when it is not full. Each rule is that of the RTL, so that interval and latency are exact predictions, and
FIFO depths can be computed before any RTL exists. Compiled by numba: some ten nanoseconds a unit and cycle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from gatewright.design.structure import End, Structure
from gatewright.errors import DesignError
from gatewright.ir.types import IntArray


@dataclass(frozen=True, eq=False)
class Timing:
    """What the model saw; cycles count from the first in which the input could be taken.

    Attributes:
        first_in: per input and frame, cycle of the first input handshake.
        last_out: per output and frame, cycle of the last output handshake.
        steps: per unit name, steps made up to the end.
        peak: per link name, most words held.
        cycles: length of the run.
        window: per unit name, steps made between the ends of the first and the last frame.
    """

    first_in: IntArray
    last_out: IntArray
    peak: dict[str, int]
    window: dict[str, int]
    cycles: int

    @property
    def latency(self) -> int:
        """First input handshake to last output handshake of the first frame, in cycles."""
        return int(self.last_out[:, 0].max() - self.first_in[:, 0].min())

    @property
    def interval(self) -> int:
        """Distance of the last two frames' last output handshakes; for one frame, the latency."""
        ends = self.last_out.max(axis=0)
        return int(ends[-1] - ends[-2]) if len(ends) > 1 else self.latency


def simulate(design: Structure, frames: int = 4, limit: int | None = None) -> Timing:
    """Run `frames` frames with a source that always offers and a sink that always takes.

    Raises:
        DesignError: the design stops before all frames are out (a deadlock), or runs beyond `limit` cycles.
    """
    tables = _tables(design)
    total = sum(u.schedule.steps for u in design.units)
    limit = limit or (frames + 4) * (total + 200 * len(design.units) + 1000)
    first_in, last_out, peak, window, cycles = _run(frames, limit, *tables)
    if cycles < 0:
        raise DesignError(f"the design does not finish {frames} frames in {limit} cycles: FIFOs {_depths(design)} deadlock")
    names = [link.name for link in design.links]
    return Timing(first_in, last_out, dict(zip(names, peak.tolist(), strict=True)),
                  dict(zip([u.name for u in design.units], window.tolist(), strict=True)), int(cycles))


def _depths(design: Structure) -> str:
    return ", ".join(f"{link.name}={link.depth}" for link in design.links)


def _ragged(rows: list[npt.NDArray[np.generic]]) -> tuple[IntArray, IntArray]:
    """Rows end to end, and where each begins (one entry more than rows)."""
    starts = np.cumsum([0, *(len(r) for r in rows)]).astype(np.int64)
    return (np.concatenate(rows).astype(np.int64) if rows else np.zeros(0, np.int64)), starts


def _tables(design: Structure) -> tuple[IntArray, ...]:
    """The structure as arrays. Ports are numbered unit by unit; top-level inputs are extra output ports at the end."""
    index = {u.name: i for i, u in enumerate(design.units)}
    into = {link.sink: i for i, link in enumerate(design.links)}
    need, need_at = _ragged([n for u in design.units for n in u.schedule.need])
    after, after_at = _ragged([np.zeros(0) if a is None else a for u in design.units for a in u.schedule.after])
    produce, produce_at = _ragged([p for u in design.units for p in u.schedule.produce])
    in_at = np.cumsum([0, *(len(u.ins) for u in design.units)])
    out_at = np.cumsum([0, *(len(u.outs) for u in design.units)])
    in_link = np.array([into[End(u.name, p)] for u in design.units for p in range(len(u.ins))], np.int64)
    in_beats = np.array([s.beats for u in design.units for s in u.ins], np.int64)
    sources = [End(u.name, p) for u in design.units for p in range(len(u.outs))]
    sources += [End("", p) for p in range(len(design.inputs))]
    branch, branch_at = _ragged([np.array([i for i, k in enumerate(design.links) if k.source == s]) for s in sources])
    depth = np.array([link.depth for link in design.links], np.int64)
    block = np.array([link.block for link in design.links], np.int64)
    sink = np.array([-1 if link.sink.unit else link.sink.port for link in design.links], np.int64)
    units = np.array([[u.schedule.steps, u.schedule.depth] for u in design.units], np.int64).reshape(len(index), 2)
    top_in = np.array([s.beats for s in design.inputs], np.int64)
    top_out = np.array([s.beats for s in design.outputs], np.int64)
    return (units, in_at, in_link, in_beats, need, need_at, after, after_at, out_at, produce, produce_at, branch, branch_at,
            depth, block, sink, top_in, top_out)


@numba.njit(cache=True)
def _run(frames, limit, units, in_at, in_link, in_beats, need, need_at, after, after_at, out_at, produce, produce_at,  # type: ignore[no-untyped-def]  # numba infers the types; see _tables
         branch, branch_at, depth, block, sink, top_in, top_out):
    n_units, n_links, n_in, n_out = len(units), len(depth), len(top_in), len(top_out)
    n_ports = out_at[-1]
    step = np.zeros(n_units, np.int64)
    frame = np.zeros(n_units, np.int64)
    taken = np.zeros(len(in_link), np.int64)
    pipe = np.zeros(n_ports, np.int64)
    count = np.zeros(n_links, np.int64)
    front = np.zeros(n_links, np.int64)
    push = np.zeros(n_links, np.bool_)
    pop = np.zeros(n_links, np.bool_)
    sent = np.zeros(n_in, np.int64)
    got = np.zeros(n_out, np.int64)
    first_in = np.zeros((n_in, frames), np.int64)
    last_out = np.zeros((n_out, frames), np.int64)
    peak = np.zeros(n_links, np.int64)
    window = np.zeros(n_units, np.int64)
    done = 0
    cycle = 0
    while done < n_out:
        if cycle >= limit:
            return first_in, last_out, peak, window, -1
        push[:] = False
        pop[:] = False
        # The sources of the top level.
        for i in range(n_in):
            if sent[i] < frames * top_in[i]:
                room = True
                for b in range(branch_at[n_ports + i], branch_at[n_ports + i + 1]):
                    room = room and count[branch[b]] < depth[branch[b]]
                if room:
                    if sent[i] % top_in[i] == 0:
                        first_in[i, sent[i] // top_in[i]] = cycle
                    sent[i] += 1
                    for b in range(branch_at[n_ports + i], branch_at[n_ports + i + 1]):
                        push[branch[b]] = True
        for u in range(n_units):
            steps, stages = units[u, 0], units[u, 1]
            s, f = step[u], frame[u]
            # Writers of buffered inputs look at the state before this cycle's step.
            for p in range(in_at[u], in_at[u + 1]):
                if after_at[p + 1] > after_at[p] and front[in_link[p]] > 0:
                    whole = taken[p] // in_beats[p]
                    if f * steps + s >= whole * steps + after[after_at[p] + taken[p] % in_beats[p]]:
                        pop[in_link[p]] = True
            # The pipeline moves unless a beat at its end is not taken.
            top = np.int64(1) << (stages - 1)
            moves = True
            for o in range(out_at[u], out_at[u + 1]):
                if pipe[o] & top:
                    for b in range(branch_at[o], branch_at[o + 1]):
                        k = branch[b]
                        if depth[k] > 0 and count[k] >= depth[k]:
                            moves = False
            if not moves:
                continue
            for o in range(out_at[u], out_at[u + 1]):
                if pipe[o] & top:
                    for b in range(branch_at[o], branch_at[o + 1]):
                        push[branch[b]] = True
                    pipe[o] ^= top
                pipe[o] <<= 1
            ready = True
            for p in range(in_at[u], in_at[u + 1]):
                wanted = f * in_beats[p] + need[need_at[p] + s]
                if wanted > taken[p]:
                    direct = after_at[p + 1] == after_at[p]
                    ready = ready and direct and front[in_link[p]] > 0
                elif f * in_beats[p] > taken[p]:
                    ready = False
            if not ready:
                continue
            for p in range(in_at[u], in_at[u + 1]):
                if after_at[p + 1] == after_at[p] and f * in_beats[p] + need[need_at[p] + s] > taken[p]:
                    pop[in_link[p]] = True
            for o in range(out_at[u], out_at[u + 1]):
                if produce[produce_at[o] + s]:
                    pipe[o] |= 1
            step[u] = s + 1
            if 0 < got[0] // top_out[0] and got[0] // top_out[0] < frames:
                window[u] += 1
            if step[u] == steps:
                step[u] = 0
                frame[u] += 1
        # Everything above saw the registers; now they change.
        for p in range(len(in_link)):
            if pop[in_link[p]]:
                taken[p] += 1
        for k in range(n_links):
            if sink[k] >= 0:
                o = sink[k]
                word = push[k] if depth[k] == 0 else front[k] > 0
                if word:
                    got[o] += 1
                    pop[k] = depth[k] > 0
                    if got[o] % top_out[o] == 0 and got[o] // top_out[o] <= frames:
                        last_out[o, got[o] // top_out[o] - 1] = cycle
                        if got[o] // top_out[o] == frames:
                            done += 1
            if depth[k] == 0:
                continue
            stored = count[k] - front[k] if block[k] else 0
            if pop[k]:
                count[k] -= 1
                front[k] -= 1
            if block[k]:
                # One word in the output register, filled from the memory of before this cycle.
                if front[k] == 0 and stored > 0:
                    front[k] = 1
            if push[k]:
                count[k] += 1
            if not block[k]:
                front[k] = count[k]
            peak[k] = max(peak[k], count[k])
        cycle += 1
    return first_in, last_out, peak, window, cycle

# SPDX-License-Identifier: Apache-2.0
"""What the monitors of one run saw, against what must pass: values, order, protocol, stalls, cycles."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gatewright.design.cycles import Passage, passages
from gatewright.design.structure import Link
from gatewright.emit.taps import Tap
from gatewright.ir.types import IntArray
from gatewright.sim.monitor import MonitorTrace, Watched
from gatewright.verify.check import Case
from gatewright.verify.divergence import Divergence, Kind, Place, element_place

STAGES = ("design", "rtl")
TIMED_FRAMES = 8
RUN, MOST_WORDS = 8, 16
"""Words that must agree, shifted by at most so many, for a stream to be called shifted."""


@dataclass
class Look:
    """One run, looked through; each method gives the first thing of its kind in the order in which data passes.

    Attributes:
        want: the design's integers for the frames of the run, by tensor.
        frames, start: how many, and the number of the first.
    """

    case: Case
    taps: tuple[Tap, ...]
    want: Mapping[str, IntArray]
    watched: Watched
    frames: int
    start: int

    def trace(self, tap: Tap) -> MonitorTrace:
        return self.watched.monitors[tap.prefix]

    def expected(self, tap: Tap) -> IntArray:
        """What must pass a tap: int64 of shape (beats, lanes)."""
        return self.want[tap.tensor].reshape(-1, tap.stream.lanes)

    def outputs_equal(self) -> bool | None:
        """Whether what left the design is right; None where the run ended early."""
        if self.watched.error:
            return None
        leaving = {o.tensor for o in self.case.build.design_graph.outputs}
        last = {t.tensor: t for t in self.taps if t.tensor in leaving and (t.part == "unit" or not t.link.sink.unit)}
        return all(np.array_equal(self.trace(t).elements(), self.expected(t)) for t in last.values())

    def found(self, tap: Tap, kind: Kind, text: str, cycle: int | None, place: Place | None = None) -> Divergence:
        """A difference at a tap; the node is the one that drives it or, for a FIFO or adapter, that it leads to."""
        graph = self.case.build.design_graph
        node = tap.name if any(n.name == tap.name for n in graph.nodes) else tap.link.edge.consumer
        return Divergence(STAGES, kind, node, "", tap.name, tap.tensor, text, place, cycle)

    # --- values -----------------------------------------------------------------------------------------------------

    def values(self) -> Divergence | None:
        """The first tap whose elements, order, tlast or protocol are wrong."""
        for tap in self.taps:
            found = self._elements(tap) or self._last(tap) or self._breach(tap)
            if found is not None:
                return found
        return None

    def _elements(self, tap: Tap) -> Divergence | None:
        want, have, trace = self.expected(tap), self.trace(tap).elements(), self.trace(tap)
        count = min(len(want), len(have))
        wrong = np.argwhere(want[:count] != have[:count])
        if not len(wrong):
            if len(have) > len(want):
                text = f"{tap.name} gives {len(have) - len(want)} beats after its last frame"
                return self.found(tap, "beats", text, int(trace.cycles[len(want)]))
            return None
        beat, lane = (int(i) for i in wrong[0])
        frame, element = divmod(beat * tap.stream.lanes + lane, tap.stream.beats * tap.stream.lanes)
        tensor = self.case.build.design_graph.tensors[tap.tensor]
        first, second = int(want[beat, lane]), int(have[beat, lane])
        place = element_place(self.start + frame, element, first, second, tensor)
        kind, text = self._pattern(tap, want, have, beat)
        return self.found(tap, kind, text, int(trace.cycles[beat]), place)

    def _pattern(self, tap: Tap, want: IntArray, have: IntArray, beat: int) -> tuple[Kind, str]:
        """Whether words were dropped or came twice; else that values differ."""
        at = f"beat {beat % tap.stream.beats} of frame {self.start + beat // tap.stream.beats}"
        run = have[beat : beat + RUN]
        telling = len(run) == RUN and (run != run[0]).any()
        for words in range(1, MOST_WORDS + 1) if telling and tap.part in ("fifo", "fork") else ():
            if np.array_equal(run, want[beat + words : beat + words + RUN]):
                return "beats", f"{tap.name} drops {words} of the words that it takes, from {at} on"
            if beat >= words and np.array_equal(run, want[beat - words : beat - words + RUN]):
                return "beats", f"{tap.name} gives {words} of the words before {at} twice"
        count = min(len(want), len(have))
        wrong = int((want[:count] != have[:count]).sum())
        text = f"{wrong} of {have.size} elements that pass differ, first in {at}"
        return "value", text if tap.part == "unit" else f"{tap.name} does not give what it took: {text}"

    def _last(self, tap: Tap) -> Divergence | None:
        trace = self.trace(tap)
        place = np.arange(len(trace.last)) % tap.stream.beats == tap.stream.beats - 1
        wrong = np.flatnonzero(trace.last != place)
        if not len(wrong):
            return None
        beat = int(wrong[0])
        frame, at = divmod(beat, tap.stream.beats)
        text = f"{tap.name} gives tlast={int(trace.last[beat])} on beat {at} of the {tap.stream.beats} of frame {frame}"
        return self.found(tap, "last", text, int(trace.cycles[beat]))

    def _breach(self, tap: Tap) -> Divergence | None:
        breach = self.trace(tap).breach
        if breach is None:
            return None
        text = f"{tap.name} breaks the AXI4-Stream protocol: {breach[1]} before its beat was taken"
        return self.found(tap, "protocol", text, breach[0])

    def lost(self) -> Divergence | None:
        """A FIFO that took more words than it gave, and has none to give."""
        for tap in (t for t in self.taps if t.part == "fifo"):
            entry, leave = self.trace(self._entry(tap.link)), self.trace(tap)
            missing = len(entry.cycles) - len(leave.cycles)
            if missing > 0 and not leave.valid:
                text = f"{tap.name} took {len(entry.cycles)} words and gave {len(leave.cycles)}, and offers none"
                return self.found(tap, "beats", text, int(entry.cycles[len(leave.cycles)]))
        return None

    def _entry(self, link: Link) -> Tap:
        """The tap in front of a link's FIFO."""
        fork = (t for t in self.taps if t.link == link and t.part == "fork")
        return next(fork, None) or next(t for t in self.taps if t.link == link and t.part in ("unit", "input"))

    # --- stalls -----------------------------------------------------------------------------------------------------

    def failure(self) -> Divergence | None:
        """Where a run that ended early stands still, or which kernel ended it.

        A design stands still in a unit that has all it needs, or at a full FIFO whose reader waits for another.
        """
        error = self.watched.error
        if not error:
            return None
        if "no beat for" in error:
            found = self._stuck() or self._full()
            if found is not None:
                return found
        named = {t.name: t for t in self.taps}
        parts = (named[name] for name in re.findall(r"\bi_(\w+)", error) if name in named)
        tap = next(parts, max(self.taps, key=lambda t: len(self.trace(t).cycles)))
        cycle = re.search(r"cycle (\d+):", error)
        kind: Kind = "stall" if "no beat for" in error else "assertion"
        return self.found(tap, kind, error, int(cycle[1]) if cycle else None)

    def _stuck(self) -> Divergence | None:
        """A unit whose inputs are all offered, whose outputs are all free, and that gives nothing."""
        stuck = []
        for unit in self.case.build.structure.units:
            ins = self._inputs(unit.name)
            outs = [t for t in self.taps if t.part == "unit" and t.name == unit.name]
            offered = all(self.trace(t).valid and not self.trace(t).ready for t in ins)
            if ins and outs and offered and all(not self.trace(t).valid and self.trace(t).ready for t in outs):
                stuck.append((max(self.trace(t).since for t in ins), outs[0], ins))
        if not stuck:
            return None
        since, tap, ins = min(stuck, key=lambda s: s[0])
        names = " and ".join(t.net for t in ins)
        text = f"{tap.name} stalls: {names} offered since cycle {since}, its output is free, and it gives no beat"
        return self.found(tap, "stall", text, since)

    def _full(self) -> Divergence | None:
        """A full FIFO whose reader waits for another of its inputs; else the one that has been full for longest."""
        fifos = [t for t in self.taps if t.part == "fifo"]
        blocked = [t for t in fifos if (e := self.trace(self._entry(t.link))).valid and not e.ready]
        waits = {t.name: [o for o in self._inputs(t.link.sink.unit) if not self.trace(o).valid] for t in blocked}
        joins = [t for t in blocked if waits[t.name] and self.trace(t).valid]
        if not blocked:
            return None
        tap = min(joins or blocked, key=lambda t: self.trace(self._entry(t.link)).since)
        entry = self.trace(self._entry(tap.link))
        held = len(entry.cycles) - len(self.trace(tap).cycles)
        text = f"the design stalls: {tap.name} is full since cycle {entry.since} ({held} words)"
        for other in waits[tap.name]:
            cycles = self.trace(other).cycles
            since = int(cycles[-1]) + 1 if len(cycles) else 0
            text += f", while {tap.link.sink.unit} waits for {other.name}, empty since cycle {since}"
        return self.found(tap, "stall", text, entry.since)

    def _inputs(self, unit: str) -> list[Tap]:
        """The FIFOs in front of a unit."""
        return [t for t in self.taps if t.part == "fifo" and t.link.sink.unit == unit]

    # --- cycles -----------------------------------------------------------------------------------------------------

    def timing(self) -> Divergence | None:
        """The first handshake that is not in the cycle of the cycle model."""
        frames = min(self.frames, TIMED_FRAMES)
        plan = passages(self.case.build.structure, frames)
        late = [m for t in self.taps if (m := self._first_off(t, plan[t.link.name], frames)) is not None]
        if not late:
            return None
        cycle = min(m.cycle for m in late)
        first = [m for m in late if m.cycle == cycle]
        forked = {k.source for links in self.case.build.structure.forks().values() for k in links}
        entries = [m for m in first if m.refused and m.tap.part != "fifo" and m.tap.link.source not in forked]
        entries += [m for m in first if m.refused and m.tap.part == "fork"]
        if entries:
            return self._slow_link(entries[0])
        move = next((m for m in first if not m.refused), first[0])
        text = f"{move.tap.name} gives beat {move.beat} in cycle {move.have}, where cycle {move.want} was predicted"
        if move.refused and move.tap.part == "fifo":
            reader = next((t for t in self.taps if t.part == "unit" and t.name == move.tap.link.sink.unit), move.tap)
            text = (
                f"{reader.name} takes beat {move.beat} of {move.tap.name} in cycle {move.have}, predicted {move.want}"
            )
            return self.found(reader, "timing", text, cycle)
        return self.found(move.tap, "timing", text, cycle)

    def _slow_link(self, move: _Move) -> Divergence:
        link = move.tap.link
        tap = next((t for t in self.taps if t.part == "fifo" and t.link == link), move.tap)
        taken = int((self.trace(tap).cycles < move.want).sum()) if tap.part == "fifo" else 0
        text = (
            f"{link.name} refuses a word in cycle {move.want}, holding {move.beat - taken}; it was to take it then "
            f"(depth {link.depth}), and takes it in cycle {move.have}"
        )
        return self.found(tap, "timing", text, move.cycle)

    def _first_off(self, tap: Tap, plan: Passage, frames: int) -> _Move | None:
        trace = self.trace(tap)
        want = (plan.left if tap.part == "fifo" else plan.entered)[: frames * tap.stream.beats]
        want = want[want >= 0]
        count = min(len(want), len(trace.cycles))
        wrong = np.flatnonzero(want[:count] != trace.cycles[:count])
        if not len(wrong):
            return None
        beat = int(wrong[0])
        expected, have, offered = int(want[beat]), int(trace.cycles[beat]), int(trace.offered[beat])
        return _Move(tap, beat, expected, have, offered <= expected < have)


@dataclass(frozen=True)
class _Move:
    """A handshake that is not where it was predicted: in which cycles, and whether it was offered in time."""

    tap: Tap
    beat: int
    want: int
    have: int
    refused: bool

    @property
    def cycle(self) -> int:
        return min(self.want, self.have)

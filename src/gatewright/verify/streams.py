# SPDX-License-Identifier: Apache-2.0
"""The design's integers against what passes between the units of its RTL: the first stream that differs, or stalls."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gatewright.errors import SimulationError
from gatewright.sim.model import Traffic
from gatewright.verify.check import Case
from gatewright.verify.divergence import Divergence, Step
from gatewright.verify.edits import edited_hardware, edited_memories
from gatewright.verify.hardware import Hardware
from gatewright.verify.look import STAGES, Look
from gatewright.verify.trace import Provenance

WAVE = "bisect.vcd"
BEFORE, AFTER = 64, 16
"""Cycles of the waveform before and after what is looked at."""
STALLED_CYCLES = 2_000_000
"""Cycles at full speed of the frames that run with stalls, of which there are at least two; at most eight."""


def compare_rtl(case: Case, provenance: Provenance) -> Step:
    """Every stream inside the emitted design against the design's integers: values, order, tlast, protocol, cycles."""
    run = _Run(case, provenance, Hardware.of(case.build, case.progress))
    for start in range(0, case.frames, run.hardware.frames):
        case.progress("RTL against the design", start, case.frames)
        found = run.compare(start, Traffic(timeout_cycles=run.patience))
        if found is not None:
            frames = start if found.place is None else found.place.frame
            return Step(STAGES, "differ", frames, len(run.hardware.taps), divergence=found)
    for traffic in run.pressure():
        case.progress("RTL against the design, with stalls")
        found = run.compare(0, traffic, min(8, max(2, STALLED_CYCLES // run.interval)))
        if found is not None:
            found = replace(found, hints=(*found.hints, f"only when source and sink stall: {traffic}"))
            return Step(STAGES, "differ", 0, len(run.hardware.taps), divergence=found)
    return Step(STAGES, "agree", case.frames, len(run.hardware.taps))


@dataclass
class _Run:
    """The comparison of one build."""

    case: Case
    provenance: Provenance
    hardware: Hardware

    @property
    def interval(self) -> int:
        """Cycles of a frame in the slowest unit."""
        return max(u.schedule.steps for u in self.case.build.structure.units)

    @property
    def patience(self) -> int:
        """Cycles without a beat at the ports after which the design has stalled: more than all units one by one."""
        return sum(u.schedule.steps for u in self.case.build.structure.units) + 1000

    def pressure(self) -> tuple[Traffic, ...]:
        """Stalls under which streams are compared once they agree at full speed: short ones, and long enough to fill
        every FIFO from the last to the first, or to empty them."""
        long, patience = 3.0 * self.interval, self.patience + 100 * self.interval
        return (
            Traffic(in_stall=0.3, out_stall=0.5, burst=12, seed=1, timeout_cycles=patience),
            Traffic(out_stall=0.7, burst=long, seed=2, timeout_cycles=patience),
            Traffic(in_stall=0.7, burst=long, seed=3, timeout_cycles=patience),
        )

    def compare(self, start: int, traffic: Traffic, most: int | None = None) -> Divergence | None:
        """The first difference in the frames of one run, with a waveform around it.

        Args:
            most: run so many frames, and look at no cycles.
        """
        frames = min(most or self.hardware.frames, self.hardware.frames)
        part = tuple(x[start : start + frames] for x in self.case.integers)
        want = self.case.build.design_graph.run(*part)
        try:
            watched = self.hardware.run(part, traffic)
        except SimulationError as error:  # the simulator broke off before the first cycle
            return self._broken(str(error))
        look = Look(self.case, self.hardware.taps, want, watched, len(part[0]), start)
        found = look.values() or look.lost() or look.failure() or (None if most or start else look.timing())
        if found is None:
            return None
        found = self._blamed(found)
        if found.cycle is not None:
            path = self.case.build.directory / WAVE
            cut = (path, max(0, found.cycle - BEFORE), found.cycle + AFTER)
            self.hardware.run(part, traffic, wave=cut)
            found = replace(found, wave=str(path))
        return replace(found, outputs_equal=look.outputs_equal())

    def _broken(self, error: str) -> Divergence:
        """A design that does not even start: the unit whose memories cannot be read."""
        units = self.case.build.structure.units
        edits = {u.name: edited_memories(self.case.build, u.name) for u in units}
        unit = next((name for name, rows in edits.items() if rows), "")
        return self._blamed(Divergence(STAGES, "damage", unit, "", unit or "rtl", "", error))

    def _blamed(self, found: Divergence) -> Divergence:
        """With what its node is and comes from, and what was edited of the part."""
        graph, build = self.case.build.design_graph, self.case.build
        unit = next((u for u in build.structure.units if u.name == found.part), None)
        module = unit.module if unit is not None else "stream_fork" if found.part.endswith("_fork") else "fifo"
        node = next((n for n in graph.nodes if n.name == found.node), None)
        tensor = found.tensor if node is None else node.outputs[0]
        if unit is None and found.kind == "damage":
            return found
        return replace(
            found,
            node="" if node is None else node.name,
            operator=module,
            origin=self.provenance.where(graph, tensor),
            hints=(*found.hints, *edited_hardware(build, found.part, module)),
        )

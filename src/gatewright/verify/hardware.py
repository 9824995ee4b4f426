# SPDX-License-Identifier: Apache-2.0
"""The emitted design of a build with all its inner streams watched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gatewright.build import Build
from gatewright.emit.taps import Tap, taps
from gatewright.errors import SimulationError
from gatewright.ir.types import IntArray
from gatewright.progress import Progress, silent
from gatewright.sim.model import Model, Traffic
from gatewright.sim.monitor import Watched, watch
from gatewright.sim.rtl import build_watched
from gatewright.verify.check import Case

RECORDED = 20_000_000
"""Elements that monitors record in one run."""
SMALL = 64
"""Streams up to which a design is compiled with waveforms from the start; else when one is asked for."""


@dataclass(frozen=True, eq=False)
class Hardware:
    """A compiled design: its kernels, memories and top level are those that lie in the build folder.

    Attributes:
        taps: the watched streams, in the order in which data passes.
    """

    build: Build
    model: Model
    taps: tuple[Tap, ...]

    @classmethod
    def of(cls, build: Build, progress: Progress = silent) -> Hardware:
        """Compile that of a build.

        Raises:
            ConfigError: its top level is no longer what the emitter writes.
            ToolError: Verilator or g++ is missing, or rejects the design.
        """
        progress("compiling the RTL with monitors")
        graph, design = build.design_graph, build.structure
        trace = len(taps(graph, design)) <= SMALL
        return cls(build, *build_watched(graph, design, build.rtl, trace=trace))

    @property
    def frames(self) -> int:
        """Frames that one run records."""
        return max(1, RECORDED // sum(t.stream.beats * t.stream.lanes for t in self.taps))

    def run(
        self, integers: tuple[IntArray, ...], traffic: Traffic | None = None, wave: tuple[Path, int, int] | None = None
    ) -> Watched:
        """Stream integer frames through it.

        Args:
            wave: VCD file to write, from which cycle and up to which.
        """
        model = self.model
        if wave is not None and not model.traced:
            model = build_watched(self.build.design_graph, self.build.structure, self.build.rtl, trace=True)[0]
        return watch(model, [x.reshape(len(x), -1) for x in integers], traffic, wave=wave)


def passed(case: Case) -> Iterator[Mapping[str, IntArray]]:
    """The integers that units give to one another, some frames at a time.

    Raises:
        SimulationError: the design stalls, or a stream is not whole frames.
    """
    hardware = Hardware.of(case.build, case.progress)
    types = case.build.design_graph.tensors
    for start in range(0, case.frames, hardware.frames):
        case.progress("RTL", start, case.frames)
        part = tuple(x[start : start + hardware.frames] for x in case.integers)
        watched = hardware.run(part)
        if watched.error:
            raise SimulationError(
                f"{watched.error}\nfind where it begins with gatewright bisect {case.build.directory}"
            )
        values = {}
        for tap in (t for t in hardware.taps if t.part in ("input", "unit") and t.module != "width_adapter"):
            elements, tensor = watched.monitors[tap.prefix].elements(), types[tap.tensor]
            if elements.size != len(part[0]) * tensor.size:
                raise SimulationError(
                    f"{tap.name} gives {elements.size} elements of {tap.tensor} for {len(part[0])} frames of "
                    f"{tensor.size}; see gatewright bisect {case.build.directory}"
                )
            values[tap.tensor] = elements.reshape(-1, *tensor.shape)
        yield values

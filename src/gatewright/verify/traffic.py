# SPDX-License-Identifier: Apache-2.0
"""`gatewright traffic`: a design under a slow source or sink, in SystemC: what units wait for, how full FIFOs get."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gatewright.build import Build
from gatewright.errors import DataError
from gatewright.progress import Progress, silent
from gatewright.sim.model import Traffic
from gatewright.sim.systemc import SystemcRun, run_systemc
from gatewright.verify.check import compare, load_case

FRAMES = 8
"""Frames run unless told otherwise: the pipeline fills, and some more."""


@dataclass(frozen=True, eq=False)
class Observation:
    """A run of the SystemC model.

    Attributes:
        predicted_interval, predicted_latency: in cycles, with a source and a sink that never wait.
    """

    traffic: Traffic
    frames: int
    run: SystemcRun
    predicted_interval: int
    predicted_latency: int

    def to_json(self) -> dict[str, Any]:
        """Numbers by name."""
        traffic = {k: getattr(self.traffic, k) for k in ("in_stall", "out_stall", "burst", "seed")}
        return {
            "frames": self.frames,
            "traffic": traffic,
            "interval_cycles": self.run.interval,
            "latency_cycles": self.run.latency,
            "predicted_interval_cycles": self.predicted_interval,
            "predicted_latency_cycles": self.predicted_latency,
            "units": {name: asdict(use) for name, use in self.run.units.items()},
            "fifos": {name: asdict(use) for name, use in self.run.fifos.items()},
        }


def observe(
    directory: str | Path,
    traffic: Traffic,
    *,
    data: str | Path | None = None,
    frames: int = FRAMES,
    vcd: Path | None = None,
    progress: Progress = silent,
) -> Observation:
    """Run a build's SystemC model on its stored frames, or on `data`; its integers must equal golden's.

    Args:
        vcd: file for all handshakes.

    Raises:
        DataError: its integers differ from golden's.
        MissingToolError: the build has no SystemC model; or g++ or SystemC is missing.
    """
    build = Build.open(Path(directory))
    folder = build.emitted("systemc")
    case = load_case(build, data, None, frames, progress)
    run = run_systemc(build.structure, folder, case.integers, traffic, progress, vcd=vcd)
    result = compare(case, "systemc", run.outputs)
    if result.status != "ok":
        raise DataError(f"{directory}: the SystemC model is not the design: {result.reason}; run gatewright check")
    predicted = build.summary()
    return Observation(traffic, case.frames, run, predicted["interval_cycles"], predicted["latency_cycles"])

# SPDX-License-Identifier: Apache-2.0
"""Settings, checked when they are made and never changed after."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from gatewright.errors import ConfigError

LARGEST_MHZ = 1000

Objective = Literal["throughput", "latency"]
"""What the best design that fits is best at."""

Target = Literal["rtl", "kernel", "hls", "systemc"]
"""What a design is written as."""

ALL_TARGETS: tuple[Target, ...] = get_args(Target)
"""What `compile` writes unless asked otherwise."""

BUS_BITS = (32, 64, 128, 256, 512)
"""Widths that a port to memory can have."""


def check_bus_bits(what: str, bits: int) -> None:
    """Refuse a width that no port to memory has.

    Raises:
        ConfigError: another width than those of `BUS_BITS`.
    """
    if bits not in BUS_BITS:
        raise ConfigError(f"{what}={bits!r}: use {', '.join(map(str, BUS_BITS[:-1]))} or {BUS_BITS[-1]}")


@dataclass(frozen=True)
class CompileConfig:
    """What a design is to be.

    Attributes:
        board: name of a board record.
        output: the build folder.
        fps: least rate in frames a second. With this or `latency_us` the design is the cheapest that keeps both;
            without them it is the best that fits.
        latency_us: longest latency in microseconds: first input handshake to last output handshake of a lone frame.
        budget: fraction of the board's resources that the best design may take, above 0 and at most 1.
        objective: what the best design that fits is best at: "throughput", or "latency" (at no less than `fps`).
        mhz: clock; None takes the board's.
        folding: JSON file with the folding of every unit, instead of a solved one.
        argmax: the hardware gives the top-1 label instead of scores.
        targets: what the design is written as, each once, in the order of `Target`; "kernel" stands on "rtl".
        bus_bits: width of the ports to memory; None takes the board's.
        stream_weights: nodes whose weights the kernel reads from memory.

    Raises:
        ConfigError: a value out of range; settings that each decide the folding.
    """

    board: str
    output: Path
    fps: float | None = None
    latency_us: float | None = None
    budget: float | None = None
    objective: Objective = "throughput"
    mhz: float | None = None
    folding: Path | None = None
    argmax: bool = False
    targets: Sequence[Target] = ALL_TARGETS
    bus_bits: int | None = None
    stream_weights: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", _ordered(self.targets))
        for name in ("fps", "latency_us", "mhz"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and math.isfinite(value) and value > 0):
                raise ConfigError(f"{name}={value!r} must be a number above 0")
        if self.mhz is not None and self.mhz > LARGEST_MHZ:
            raise ConfigError(f"mhz={self.mhz!r}: no FPGA fabric runs at more than {LARGEST_MHZ} MHz")
        if self.budget is not None and not (_is_number(self.budget) and 0 < self.budget <= 1):
            raise ConfigError(f"budget={self.budget!r} is a fraction of the board: use a value above 0 and at most 1")
        if self.objective not in get_args(Objective):
            raise ConfigError(f"objective={self.objective!r}: use {' or '.join(get_args(Objective))}")
        if self.bus_bits is not None:
            check_bus_bits("bus_bits", self.bus_bits)
        if self.stream_weights and "kernel" not in self.targets:
            raise ConfigError(
                f"stream_weights={list(self.stream_weights)!r}: the kernel reads them from memory, and it is not among "
                f"the targets {', '.join(self.targets)}: add kernel"
            )
        self._check_goals()
        if self.output.exists() and not self.output.is_dir():
            raise ConfigError(f"output={str(self.output)!r} is a file: name a folder")

    def _check_goals(self) -> None:
        """Refuse settings that each decide the folding."""
        shortest = self.objective == "latency"
        if shortest and self.latency_us is not None:
            raise ConfigError(
                f"latency_us={self.latency_us!r} asks for the smallest design within a latency, "
                "objective='latency' for the shortest latency that fits: give one of them"
            )
        goals = [n for n in ("fps", "latency_us", "budget") if getattr(self, n) is not None]
        goals += ["objective"] if shortest else []
        clash = goals if self.budget is not None and not shortest else []
        if self.folding is not None:
            clash = ["folding", *goals]
        if len(clash) > 1:
            raise ConfigError(
                f"{' and '.join(clash)} each decide the folding: give one of them (fps and latency_us: smallest design "
                "that reaches both; budget: best design within a fraction of the board)"
            )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _ordered(targets: Sequence[str]) -> tuple[Target, ...]:
    """Each target once, in the order of `Target`.

    Raises:
        ConfigError: none, one that there is not, or one without what it stands on.
    """
    names = [targets] if isinstance(targets, str) else list(targets)
    unknown = [n for n in names if n not in ALL_TARGETS]
    if unknown or not names:
        raise ConfigError(f"targets {unknown or names!r}: choose from {', '.join(ALL_TARGETS)}")
    if "kernel" in names and "rtl" not in names:
        raise ConfigError("target kernel is registers and memory ports around the RTL: give rtl,kernel")
    return tuple(t for t in ALL_TARGETS if t in names)

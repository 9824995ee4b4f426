# SPDX-License-Identifier: Apache-2.0
"""Device memory behind a kernel's masters: where it lies, how long it takes, and where it is told to fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from gatewright.boards import PAGE, Board
from gatewright.errors import ConfigError
from gatewright.runtime.kernel_map import KernelMap

Channel = Literal["ar", "r", "aw", "w", "b", "control"]
"""Of a master's memory, or all those of the host's own accesses."""
Answer = Literal["slverr", "decerr", "silence"]

ANSWERS: Mapping[Answer, int] = {"slverr": 2, "decerr": 3, "silence": 4}
"""As the program numbers them."""
_FOREVER = 1 << 62


@dataclass(frozen=True)
class Fault:
    """Bursts that go wrong.

    Attributes:
        answer: an error response, or "silence": memory takes the burst and never answers, nor anything behind it.
        first, bytes: addresses, of which a burst must touch one; of a read those beats fail, of a write all. All by
            default.
        reads, writes: which directions.
        skip: so many such bursts pass first.
        count: so many fail then; None for all.
        port: index of the master (`gmem0` is 0); None for all.
    """

    answer: Answer
    first: int = 0
    bytes: int | None = None
    reads: bool = True
    writes: bool = True
    skip: int = 0
    count: int | None = None
    port: int | None = None

    def __post_init__(self) -> None:
        if self.answer not in ANSWERS:
            raise ConfigError(f"answer={self.answer!r}: use {', '.join(ANSWERS)}")
        if not (self.reads or self.writes):
            raise ConfigError(f"{self!r} meets neither reads nor writes")
        size = 1 if self.bytes is None else self.bytes
        if not 0 <= self.first < 1 << 64 or size < 1 or self.skip < 0 or (self.count is not None and self.count < 1):
            raise ConfigError(f"{self!r}: first and skip must be 0 or more, bytes and count 1 or more")
        if self.port is not None and self.port < 0:
            raise ConfigError(f"port={self.port!r}: give the number of a master, 0 for gmem0, or None for all")

    def line(self) -> str:
        """The command that sets it."""
        top = (1 << 64) - 1
        last = top if self.bytes is None else min(top, self.first + self.bytes - 1)
        count = _FOREVER if self.count is None else self.count
        port = -1 if self.port is None else self.port
        directions = int(self.reads) | int(self.writes) << 1
        return f"fault {ANSWERS[self.answer]} {directions} {self.first} {last} {self.skip} {count} {port}"


@dataclass(frozen=True)
class MemoryModel:
    """Device memory and the way to it.

    Attributes:
        base: lowest address, a multiple of 4096.
        bytes: a multiple of 4096; outside of it, masters are answered with DECERR. Untouched memory takes no room.
        latency_cycles: from the address of a read to its first word, and from the last word of a write to its answer.
        bytes_per_cycle: that a port carries in either direction; None for a word a cycle.
        outstanding: bursts that a port takes before the first is answered.
        stalls: per channel, the share of cycles in which the memory or the host holds it up.
        burst: mean cycles of one stall; None draws every cycle anew.
        seed: of the stalls, and of the contents of every register at power-up.
        faults: from the start; see `KernelProcess.inject`.
    """

    base: int = 0
    bytes: int = 1 << 20
    latency_cycles: int = 1
    bytes_per_cycle: float | None = None
    outstanding: int = 16
    stalls: Mapping[Channel, float] = field(default_factory=dict)
    burst: float | None = None
    seed: int = 0
    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        if self.base < 0 or self.base % PAGE or self.bytes < PAGE or self.bytes % PAGE:
            raise ConfigError(f"base={self.base!r} and bytes={self.bytes!r} must be multiples of {PAGE}")
        if self.base + self.bytes > 1 << 64:
            raise ConfigError(f"{self.bytes} bytes from {self.base:#x} end above 2^64")
        if self.latency_cycles < 1 or self.outstanding < 1:
            raise ConfigError(f"{self!r}: latency_cycles and outstanding must be 1 or more")
        if self.bytes_per_cycle is not None and not self.bytes_per_cycle > 0:
            raise ConfigError(f"bytes_per_cycle={self.bytes_per_cycle!r} must be above 0")
        if self.seed < 0:
            raise ConfigError(f"seed={self.seed!r} must not be negative")
        for channel, share in self.stalls.items():
            if channel not in get_args(Channel):
                raise ConfigError(f"stalls of {channel!r}: the channels are {', '.join(get_args(Channel))}")
            if not 0 <= share < 1:
                raise ConfigError(f"stalls of {channel!r}: {share!r} must be at least 0 and below 1")
            if self.burst is not None and self.burst < max(1, share / (1 - share)):
                raise ConfigError(
                    f"burst={self.burst!r} is too short for {share!r} of {channel!r}: use p/(1-p) or more"
                )

    @classmethod
    def of_board(cls, board: Board, mhz: float | None = None, seed: int = 0) -> MemoryModel:
        """What a board's record says, for a kernel at a clock in MHz; by default the board's."""
        mhz = board.mhz if mhz is None else mhz
        return cls(
            base=board.memory_base,
            bytes=board.memory_bytes,
            latency_cycles=max(1, round(board.memory_latency_ns * mhz / 1000)),
            bytes_per_cycle=board.memory_gbytes_per_s * 1000 / mhz,
            seed=seed,
        )

    def pace(self, kernel: KernelMap, weights: Sequence[int] = ()) -> tuple[float, float]:
        """Cycles that a frame takes to pass the slowest port that reads, and the slowest that writes.

        Args:
            weights: bytes that a port reads for every frame, one number a port.
        """
        word = kernel.bus_bits // 8
        rate = min(word, self.bytes_per_cycle or word)
        inputs = max(*(a.frame_bytes for a in kernel.inputs), *weights, 0)
        return inputs / rate, max(a.frame_bytes for a in kernel.outputs) / rate

    def lines(self) -> list[str]:
        """The commands that set it up."""
        lines = [
            f"seed {self.seed % (2**31 - 2) + 1}",
            f"memory {self.base} {self.latency_cycles} {self.bytes_per_cycle or 0:.17g} {self.outstanding}",
        ]
        for channel, share in self.stalls.items():
            lines.append(f"stall {channel} {share:.17g} {self.burst or 1 / (1 - share):.17g}")
        return [*lines, *(f.line() for f in self.faults), "reset"]

# SPDX-License-Identifier: Apache-2.0
"""A compiled simulation of a top level with AXI4-Stream ports, and what a run of it gives.

One model may hold several independent designs side by side: each is a `Group` of ports with its own frames.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gatewright.errors import ConfigError, DataError, SimulationError
from gatewright.ir.op import Memory, Op, port_prefixes
from gatewright.ir.packing import pack_stream, unpack_stream
from gatewright.ir.types import IntArray, Stream

Array = npt.NDArray[np.integer[Any]]
Progress = Callable[[int, int], None]
"""Called now and then with the output frames received so far and those expected."""


@dataclass(frozen=True)
class Port:
    """An AXI4-Stream port of a top level: pins `PREFIX_tdata`, `_tvalid`, `_tready` and `_tlast`."""

    prefix: str
    stream: Stream


@dataclass(frozen=True)
class MemoryPort(Port):
    """An input that the harness feeds with the words of a memory, `passes` times all of them for every frame."""

    content: Memory
    passes: int


@dataclass(frozen=True)
class Group:
    """Ports that belong to one design: every frame in gives one frame on each output."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    memories: tuple[MemoryPort, ...] = ()

    def __post_init__(self) -> None:
        if not self.inputs or not self.outputs:
            raise ConfigError(f"{self!r} must have at least one input and one output")

    @classmethod
    def of(cls, op: Op, prefix: str = "") -> Group:
        """The ports of an operator's kernel, their names led by `prefix`."""
        ins, outs = port_prefixes(op)
        return cls(
            tuple(Port(prefix + n, s) for n, s in zip(ins, op.in_streams, strict=True)),
            tuple(Port(prefix + n, s) for n, s in zip(outs, op.out_streams, strict=True)),
        )

    @property
    def ports(self) -> tuple[Port, ...]:
        """Inputs, those of memories, then outputs."""
        return self.driven + self.outputs

    @property
    def driven(self) -> tuple[Port, ...]:
        """Inputs, then those of memories."""
        return self.inputs + self.memories


DEFAULT_TIMEOUT = 100_000
"""Cycles; a whole design is given more where its own prediction is longer."""


@dataclass(frozen=True)
class Traffic:
    """How the harness behaves at the ports.

    Attributes:
        in_stall: share of cycles in which an input does not offer a new beat; what is offered stays until it is taken.
        out_stall: share of cycles in which an output is not ready.
        burst: mean cycles of one stall; None draws every cycle anew.
        seed: of the stalls and of the contents of every register at power-up.
        reset_at: after each of these numbers of cycles, counted from the end of the reset before, the design is reset
            and the frames begin again; only what follows the last reset is returned.
        timeout_cycles: a group that moves no beat for so long has stalled.
    """

    in_stall: float = 0.0
    out_stall: float = 0.0
    burst: float | None = None
    seed: int = 0
    reset_at: tuple[int, ...] = ()
    timeout_cycles: int = DEFAULT_TIMEOUT

    def __post_init__(self) -> None:
        for name in ("in_stall", "out_stall"):
            share = getattr(self, name)
            if not 0 <= share < 1:
                raise ConfigError(f"{name}={share!r} must be at least 0 and below 1")
            if self.burst is not None and self.burst < max(1, share / (1 - share)):
                raise ConfigError(f"burst={self.burst!r} is too short for {name}={share!r}: use at least 1 and p/(1-p)")
        if any(n < 1 for n in self.reset_at):
            raise ConfigError(f"reset_at={self.reset_at!r}: each must be at least 1 cycle")
        if self.timeout_cycles < 1:
            raise ConfigError(f"timeout_cycles={self.timeout_cycles!r} must be at least 1 cycle")
        if self.seed < 0:
            raise ConfigError(f"seed={self.seed!r} must not be negative")

    def lines(self) -> list[str]:
        """The lines of run.txt that the harness reads."""
        chances = [f"{p:.17g}" for share in (self.in_stall, self.out_stall) for p in self._chain(share)]
        return [
            f"seed {self.seed % (2**31 - 2) + 1}",
            f"stall {' '.join(chances)}",
            f"timeout {self.timeout_cycles}",
            *(f"reset {n}" for n in self.reset_at),
        ]

    def _chain(self, share: float) -> tuple[float, float]:
        """Chances a cycle that a stall begins and that one ends."""
        burst = 1 / (1 - share) if self.burst is None else self.burst
        return share / (1 - share) / burst, 1 / burst


@dataclass(frozen=True, eq=False)
class PortTrace:
    """What passed a port.

    Attributes:
        cycles: int64 of shape (frames, beats): the cycle of each handshake, counted from the end of the reset.
        busy, blocked, idle: cycles until the last beat with a handshake, with valid and not ready, and not valid.
    """

    cycles: IntArray
    busy: int
    blocked: int
    idle: int


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a group gave.

    Attributes:
        outputs: per output, int64 of shape (frames, elements).
        in_ports, out_ports: what passed each port.
    """

    outputs: tuple[IntArray, ...]
    in_ports: tuple[PortTrace, ...]
    out_ports: tuple[PortTrace, ...]

    @property
    def first_input_cycle(self) -> IntArray:
        """Cycle of the first input handshake of each frame."""
        return np.asarray(np.min([p.cycles[:, 0] for p in self.in_ports], axis=0), np.int64)

    @property
    def last_output_cycle(self) -> IntArray:
        """Cycle of the last output handshake of each frame."""
        return np.asarray(np.max([p.cycles[:, -1] for p in self.out_ports], axis=0), np.int64)

    @property
    def cycles(self) -> int:
        """Cycles from the end of the reset to the last output handshake, both counted."""
        return int(self.last_output_cycle[-1]) + 1 if len(self.last_output_cycle) else 0


@dataclass(frozen=True)
class Model:
    """A compiled simulation.

    Attributes:
        program: the binary.
        top: name of the top level, for messages.
        groups: its ports.
        folder: where it runs: relative paths of `$readmemh` start here.
        traced: whether it can write waveforms.
        monitors: streams inside it that are watched; see `gatewright.sim.monitor`.
    """

    program: Path
    top: str
    groups: tuple[Group, ...]
    folder: Path
    traced: bool = False
    monitors: tuple[Port, ...] = ()

    def run(
        self,
        inputs: Sequence[Array],
        traffic: Traffic | None = None,
        *,
        progress: Progress | None = None,
        wave: tuple[Path, int, int] | None = None,
    ) -> RunResult:
        """Stream frames through a model with one group; see `run_groups`.

        Args:
            inputs: per input, integers of shape (frames, ...).
        """
        return self.run_groups([inputs], traffic, progress=progress, wave=wave)[0]

    def run_groups(
        self,
        inputs: Sequence[Sequence[Array]],
        traffic: Traffic | None = None,
        *,
        progress: Progress | None = None,
        wave: tuple[Path, int, int] | None = None,
    ) -> list[RunResult]:
        """Stream frames through every group at the same time.

        Args:
            inputs: per group and input, integers of shape (frames, ...) in stream order, the frames of a group equally
                many, those of two groups not necessarily.
            traffic: stalls, resets and patience; by default full speed.
            progress: called about every 16,000 cycles.
            wave: VCD file to write, from which cycle (after the last reset too) and up to which.

        Raises:
            DataError: the arrays do not match the groups.
            SimulationError: the design stalled, broke the AXI4-Stream protocol, misplaced tlast or failed an assertion.
        """
        if len(inputs) != len(self.groups):
            raise DataError(f"inputs for {len(inputs)} groups, where {self.top} has {len(self.groups)}")
        with tempfile.TemporaryDirectory(prefix="gatewright-") as name:
            self.run_in(Path(name), inputs, traffic, progress=progress, wave=wave)
            return read_results(Path(name), self.groups)

    def run_in(
        self,
        folder: Path,
        inputs: Sequence[Sequence[Array]],
        traffic: Traffic | None = None,
        *,
        progress: Progress | None = None,
        wave: tuple[Path, int, int] | None = None,
    ) -> None:
        """As `run_groups`, but leave what the harness wrote in a folder: the monitors' files after an error too."""
        counts = [_count_frames(g, arrays) for g, arrays in zip(self.groups, inputs, strict=True)]
        lines = (traffic or Traffic()).lines()
        if wave is not None:
            lines.append(self._wave_line(wave))
        for group, arrays, frames in zip(self.groups, inputs, counts, strict=True):
            lines += [f"port {p.prefix} {p.stream.beats} {frames} {frames}" for p in group.inputs + group.outputs]
            for port, array in zip(group.inputs, arrays, strict=True):
                pack_stream(array, port.stream).tofile(folder / f"{port.prefix}.in")
            for port in group.memories:
                lines.append(f"port {port.prefix} {port.stream.beats} {frames * port.passes} 1")
                pack_stream(port.content.words[None], port.stream).tofile(folder / f"{port.prefix}.in")
        (folder / "run.txt").write_text("\n".join(lines) + "\n")
        total = sum(len(g.outputs) * n for g, n in zip(self.groups, counts, strict=True))
        try:
            self._execute(folder, total, progress)
        finally:
            if wave is not None and (folder / "wave.vcd").is_file():
                wave[0].write_bytes((folder / "wave.vcd").read_bytes())

    def _wave_line(self, wave: tuple[Path, int, int]) -> str:
        if not self.traced:
            raise ConfigError(f"{self.top} was compiled without waveforms: compile it with trace=True")
        return f"trace {wave[1]} {wave[2]}"

    def _execute(self, folder: Path, total: int, progress: Progress | None) -> None:
        command = [str(self.program), str(folder)]
        messages: list[str] = []
        with subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None  # noqa: S101  # given by PIPE
            try:
                for line in process.stdout:
                    if not line.startswith("@frames "):
                        messages.append(line.rstrip())
                    elif progress is not None:
                        progress(int(line.split()[1]), total)
            except BaseException:
                process.kill()
                raise
        error = folder / "error.txt"
        if error.is_file():
            raise SimulationError(f"{self.top}: {error.read_text()}" + "".join(f"\n  {m}" for m in messages[-10:]))
        text = "\n  ".join(messages[:10]) or "no message"
        if process.returncode:
            raise SimulationError(f"{self.top} broke off with exit status {process.returncode}:\n  {text}")
        if any(m.startswith("%Warning") for m in messages):
            raise SimulationError(f"{self.top}, run in {self.folder}:\n  {text}")


def _count_frames(group: Group, arrays: Sequence[Array]) -> int:
    """Frames of a group, the same on every input."""
    names = ", ".join(p.prefix for p in group.inputs)
    if len(arrays) != len(group.inputs):
        raise DataError(f"{len(arrays)} arrays for the {len(group.inputs)} inputs {names}")
    counts = {len(a) for a in arrays}
    if len(counts) != 1:
        raise DataError(f"{names}: {[len(a) for a in arrays]!r} frames, where all inputs take equally many")
    return counts.pop()


def read_results(folder: Path, groups: Sequence[Group]) -> list[RunResult]:
    """What the harness left in a folder, per group."""
    counters = {}
    for line in (folder / "result.txt").read_text().splitlines():
        prefix, *counts = line.split()
        counters[prefix] = tuple(map(int, counts))

    def trace(port: Port) -> PortTrace:
        cycles = np.fromfile(folder / f"{port.prefix}.cycles", "<i8").astype(np.int64)
        return PortTrace(cycles.reshape(-1, port.stream.beats), *counters[port.prefix])

    def output(port: Port) -> IntArray:
        return unpack_stream(np.fromfile(folder / f"{port.prefix}.out", np.uint8), port.stream)

    return [
        RunResult(tuple(map(output, g.outputs)), tuple(map(trace, g.inputs)), tuple(map(trace, g.outputs)))
        for g in groups
    ]

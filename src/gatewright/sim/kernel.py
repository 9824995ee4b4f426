# SPDX-License-Identifier: Apache-2.0
"""A kernel as a compiled program: its AXI4-Lite port driven as a host does, memory behind its AXI4 masters.

Device memory is a file that both sides map, so that no byte of it passes a pipe. The program watches that the kernel
keeps the rules of AXI4; a breach ends it with what was wrong, where and when.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import subprocess
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, get_args

import numpy as np
import numpy.typing as npt

from gatewright.boards import PAGE, Board
from gatewright.errors import ConfigError, SimulationError
from gatewright.sim.cache import cache_folder, cached
from gatewright.sim.tools import find_tool, find_verilator
from gatewright.sim.verilator import Build, Optimise, Pin, compare_pins

Channel = Literal["ar", "r", "aw", "w", "b", "control"]
"""Of a master's memory, or all those of the host's own accesses."""
Answer = Literal["slverr", "decerr", "silence"]

_ANSWERS: Mapping[str, int] = {"slverr": 2, "decerr": 3, "silence": 4}
_FOREVER = 1 << 62


@dataclass(frozen=True)
class Fault:
    """Bursts that go wrong.

    Attributes:
        answer: an error response, or "silence": memory takes the burst and never answers, nor anything behind it.
        first, bytes: addresses, of which a burst must touch one; of a read only those beats fail. All by default.
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
        if self.answer not in _ANSWERS:
            raise ConfigError(f"answer={self.answer!r}: use {', '.join(_ANSWERS)}")
        if not (self.reads or self.writes):
            raise ConfigError(f"{self!r} meets neither reads nor writes")
        size = 1 if self.bytes is None else self.bytes
        if not 0 <= self.first < 1 << 64 or size < 1 or self.skip < 0 or (self.count is not None and self.count < 1):
            raise ConfigError(f"{self!r}: first and skip must be 0 or more, bytes and count 1 or more")

    def line(self) -> str:
        """The command that sets it."""
        top = (1 << 64) - 1
        last = top if self.bytes is None else min(top, self.first + self.bytes - 1)
        count = _FOREVER if self.count is None else self.count
        port = -1 if self.port is None else self.port
        directions = int(self.reads) | int(self.writes) << 1
        return f"fault {_ANSWERS[self.answer]} {directions} {self.first} {last} {self.skip} {count} {port}"


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

    def lines(self) -> list[str]:
        """The commands that set it up."""
        lines = [
            f"seed {self.seed % (2**31 - 2) + 1}",
            f"memory {self.base} {self.latency_cycles} {self.bytes_per_cycle or 0:.17g} {self.outstanding}",
        ]
        for channel, share in self.stalls.items():
            lines.append(f"stall {channel} {share:.17g} {self.burst or 1 / (1 - share):.17g}")
        return [*lines, *(f.line() for f in self.faults), "reset"]


@dataclass(frozen=True)
class KernelModel:
    """A compiled kernel.

    Attributes:
        program: the binary.
        top: name of its top level, for messages.
        folder: where it runs: relative paths of `$readmemh` start here.
        control_bytes: of the window of its registers.
    """

    program: Path
    top: str
    folder: Path
    control_bytes: int

    def start(self, memory: MemoryModel | None = None) -> KernelProcess:
        """A board with this kernel, reset and waiting for the host.

        Raises:
            SimulationError: it breaks off at once, or cannot have so much memory.
        """
        return KernelProcess(self, memory or MemoryModel())


@dataclass(frozen=True)
class Counts:
    """What passed a master since the reset: bursts, beats, and beats (of writes, bursts) answered with an error."""

    bursts: int
    beats: int
    errors: int


class KernelProcess:
    """A running kernel; for one thread at a time. Leaving it as a context, or `close`, ends it.

    Attributes:
        memory: uint8 of all device memory; element 0 lies at the model's `base`.
        cycles: of the board's clock since the reset.
    """

    def __init__(self, model: KernelModel, memory: MemoryModel) -> None:
        self.model = model
        self.cycles = 0
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process
        with tempfile.TemporaryFile() as file:
            try:
                file.truncate(memory.bytes)
                mapped = mmap.mmap(file.fileno(), memory.bytes)
            except (OSError, ValueError) as error:
                raise SimulationError(f"cannot have {memory.bytes} bytes of device memory: {error}") from error
            self.memory: npt.NDArray[np.uint8] = np.frombuffer(mapped, np.uint8)
            # A session of its own: the terminal's Ctrl-C is for this process, which then ends that one.
            self._process = subprocess.Popen(
                [str(model.program), str(file.fileno()), str(memory.bytes)], cwd=model.folder, text=True, bufsize=1,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, pass_fds=[file.fileno()],
                start_new_session=True,
            )  # fmt: skip
        self._finish = weakref.finalize(self, _end, self._process, self._log)
        for line in memory.lines():
            self._command(line)
        warnings = [m for m in self._messages() if m.startswith("%Warning")]
        if warnings:
            self.close()
            raise SimulationError(f"{model.top}, run in {model.folder}:\n  " + "\n  ".join(warnings[:10]))

    def read(self, offset: int) -> int:
        """A 32-bit register.

        Raises:
            ConfigError: no offset of a register.
            SimulationError: an error response, no answer, or a breach of the protocol; only after the first, the kernel
                goes on.
        """
        return int(self._command(f"r {self._offset(offset)}")[0])

    def write(self, offset: int, value: int) -> None:
        """Write a 32-bit register; errors are those of `read`."""
        if not 0 <= value < 1 << 32:
            raise ConfigError(f"value={value!r} for the register {offset:#x} must have 32 bits, without a sign")
        self._command(f"w {self._offset(offset)} {value}")

    def wait(self, cycles: int) -> bool:
        """Let the board run until the kernel is done or idle, or so many cycles have passed.

        Looking takes accesses to the control register, every 32 cycles; bits that these clear are there for the next
        `read`.

        Returns:
            Whether it is done.

        Raises:
            SimulationError: a breach of the protocol; also a kernel that says it is done while bursts are under way.
        """
        if cycles < 0:
            raise ConfigError(f"cycles={cycles!r} must not be negative")
        return self._command(f"wait {cycles}")[0] == "1"

    def inject(self, fault: Fault) -> None:
        """Let bursts go wrong from now on; of several faults that meet a burst, the first spoils it."""
        self._command(fault.line())

    def mend(self) -> None:
        """No more faults; what memory has not answered, it answers now."""
        self._command("mend")

    def reset(self) -> None:
        """Reset the board: all bursts under way are forgotten, memory stays."""
        self._command("reset")

    def counts(self) -> dict[str, Counts]:
        """What passed each master, by its name (`m_axi_gmem0`)."""
        words = self._command("counts")[:-1]
        return {words[i]: Counts(*map(int, words[i + 1 : i + 4])) for i in range(0, len(words), 4)}

    @property
    def interrupt(self) -> bool:
        """The level of the interrupt."""
        return self._command("counts")[-1] == "1"

    def close(self) -> None:
        """End the process; `memory` stays readable."""
        self._finish()

    def __enter__(self) -> KernelProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _offset(self, offset: int) -> int:
        if not 0 <= offset < self.model.control_bytes or offset % 4:
            raise ConfigError(
                f"offset={offset!r}: registers of {self.model.top} lie at multiples of 4 below "
                f"{self.model.control_bytes}"
            )
        return offset

    def _command(self, line: str) -> list[str]:
        """Send a line and give the words of the answer behind the cycle."""
        if not self._finish.alive:
            raise SimulationError(f"{self.model.top}: this simulation has ended; start another")
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101  # given by PIPE
        answer = ""
        try:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(line + "\n")
                answer = self._process.stdout.readline()
        except BaseException:  # a KeyboardInterrupt: an answer is under way that nobody would read
            self.close()
            raise
        kind, _, rest = answer.rstrip("\n").partition(" ")
        if kind == "ok":
            cycle, *words = rest.split()
            self.cycles = int(cycle)
            return words
        if kind == "refused":
            cycle, _, text = rest.partition(" ")
            self.cycles = int(cycle)
            raise SimulationError(f"{self.model.top}: {text}")
        raise self._broken_off(rest)

    def _broken_off(self, text: str) -> SimulationError:
        messages = "".join(f"\n  {m}" for m in self._messages()[-10:])
        self.close()
        what = text or f"the simulation broke off with exit status {self._process.returncode}"
        return SimulationError(f"{self.model.top}: {what}{messages}")

    def _messages(self) -> list[str]:
        """What the design printed so far."""
        size = os.fstat(self._log.fileno()).st_size
        start = max(0, size - 10_000)
        return os.pread(self._log.fileno(), size - start, start).decode(errors="replace").splitlines()


def _end(process: subprocess.Popen[str], log: IO[bytes]) -> None:
    """End a process and take note of it, so that none is left behind."""
    process.kill()
    for file in (process.stdin, process.stdout, log):
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()
    process.wait()


def compile_kernel(
    sources: Sequence[Path],
    top: str,
    bus_bits: int,
    reads: Sequence[str],
    writes: Sequence[str],
    *,
    folder: Path | None = None,
    parameters: Mapping[str, int] | None = None,
    optimise: Optimise = "fast_build",
    control_bytes: int = 4096,
    cache: Path | None = None,
) -> KernelModel:
    """Compile a kernel's wrapper, or find it compiled.

    Args:
        sources: SystemVerilog and Verilog files in order of compilation.
        top: module with `ap_clk`, `ap_rst_n`, `interrupt`, `s_axi_control_*` and the masters, pins in lower case.
        bus_bits: of the masters' words.
        reads, writes: names of the masters with the channels AR and R, and of those with AW, W and B (`gmem0`).
        folder: where the kernel runs; by default that of the last source.
        parameters: of the top level.
        optimise: "fast_build" for tests, "fast_run" for long simulations.
        control_bytes: of the window of the registers, a power of two.
        cache: where to keep programs instead of `cache_folder()`.

    Raises:
        ConfigError: the top level's ports are others.
        ToolError: Verilator or g++ is missing, or rejects the kernel.
    """
    sources = [Path(s).resolve() for s in sources]
    build = _KernelBuild(
        find_verilator(), find_tool("g++"), sources, top, dict(parameters or {}), optimise, False,
        bus_bits, tuple(reads), tuple(writes), control_bytes.bit_length() - 1,
    )  # fmt: skip
    program = cached(cache or cache_folder() / "verilator", build.key(), build.run)
    return KernelModel(program / "sim", top, (folder or sources[-1].parent).resolve(), control_bytes)


@dataclass(frozen=True)
class _KernelBuild(Build):
    FILES = "kernel_*.[ch]pp"
    DRIVER = "kernel_main.cpp"
    SHIM = "kernel_model.cpp"

    bus_bits: int
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    control_bits: int

    def pins(self) -> str:
        return "".join(f"{name} {kind} {bits}\n" for name, (kind, bits) in self._expected().items())

    def check_pins(self, found: Mapping[str, Pin]) -> str:
        # Verilator leads a name that some C++ compilers keep for themselves, as `interrupt`, with __SYM__.
        members = {name.removeprefix("__SYM__"): name for name in found}
        found, expected = {name: found[member] for name, member in members.items()}, self._expected()
        compare_pins(self.top, expected, found)
        # What masters without IDs and hosts without privileges leave at 0.
        undriven = [n for n, (kind, _) in found.items() if kind == "IN" and n not in expected and n[-4:] not in _ZERO]
        if undriven:
            raise ConfigError(f"{self.top}: no kernel has the inputs {', '.join(undriven)}")
        return "".join(
            f"PIN({name}, {members[name]}, {str(kind == 'IN').lower()}, {bits})\n"
            for name, (kind, bits) in found.items()
        )

    def _expected(self) -> dict[str, Pin]:
        """All pins that the driver uses; others, such as a hint for caches, may be there."""
        pins: dict[str, Pin] = {"ap_clk": ("IN", 1), "ap_rst_n": ("IN", 1), "interrupt": ("OUT", 1)}
        for reads in (True, False):
            pins |= _channels("s_axi_control", reads, "IN", "OUT", self.control_bits, 32)
        for names, reads in ((self.reads, True), (self.writes, False)):
            for name in names:
                pins |= _channels(f"m_axi_{name}", reads, "OUT", "IN", 64, self.bus_bits)
                pins |= _burst_pins(f"m_axi_{name}", reads)
        return pins


_ZERO = ("_rid", "_bid", "prot")


def _channels(prefix: str, reads: bool, forth: str, back: str, address_bits: int, bits: int) -> dict[str, Pin]:
    """The pins that AXI4-Lite has too; `forth` is the direction of addresses."""
    letter = "r" if reads else "w"
    pins: dict[str, Pin] = {
        f"a{letter}addr": (forth, address_bits),
        f"a{letter}valid": (forth, 1),
        f"a{letter}ready": (back, 1),
    }
    if reads:
        pins |= {"rdata": (back, bits), "rresp": (back, 2), "rvalid": (back, 1), "rready": (forth, 1)}
    else:
        pins |= {"wdata": (forth, bits), "wstrb": (forth, bits // 8), "wvalid": (forth, 1), "wready": (back, 1)}
        pins |= {"bresp": (back, 2), "bvalid": (back, 1), "bready": (forth, 1)}
    return {f"{prefix}_{name}": pin for name, pin in pins.items()}


def _burst_pins(prefix: str, reads: bool) -> dict[str, Pin]:
    """What AXI4 adds to them."""
    address, last = ("ar", ("rlast", "IN")) if reads else ("aw", ("wlast", "OUT"))
    pins: dict[str, Pin] = {f"{prefix}_{address}{n}": ("OUT", b) for n, b in (("len", 8), ("size", 3), ("burst", 2))}
    return pins | {f"{prefix}_{last[0]}": (last[1], 1)}

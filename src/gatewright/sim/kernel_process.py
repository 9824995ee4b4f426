# SPDX-License-Identifier: Apache-2.0
"""A compiled kernel and a running one: its AXI4-Lite port driven as a host does, memory behind its AXI4 masters.

Device memory is a file that both sides map, so that no byte of it passes a pipe. The program watches that the kernel
keeps the rules of AXI4; a breach ends it with what was wrong, where and when.
"""

from __future__ import annotations

import mmap
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gatewright.errors import ConfigError, SimulationError
from gatewright.sim.interactive import Interactive
from gatewright.sim.kernel_memory import ANSWERS, Answer, Fault, MemoryModel


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


@dataclass(frozen=True)
class Spoilt:
    """A burst that a fault met.

    Attributes:
        port: index of the master.
        reads: whether it read.
        answer: with which it was to fail.
        address, bytes: what it touched.
    """

    port: int
    reads: bool
    answer: Answer
    address: int
    bytes: int


class KernelProcess(Interactive):
    """A running kernel; for one thread at a time. Leaving it as a context, or `close`, ends it, and leaves `memory`.

    Attributes:
        memory: uint8 of all device memory.
        base: address of its first byte.
    """

    def __init__(self, model: KernelModel, memory: MemoryModel) -> None:
        self.model = model
        self.base = memory.base
        with tempfile.TemporaryFile() as file:
            try:
                file.truncate(memory.bytes)
                mapped = mmap.mmap(file.fileno(), memory.bytes)
            except (OSError, ValueError) as error:
                raise SimulationError(f"cannot have {memory.bytes} bytes of device memory: {error}") from error
            self.memory: npt.NDArray[np.uint8] = np.frombuffer(mapped, np.uint8)
            command = [str(model.program), str(file.fileno()), str(memory.bytes)]
            super().__init__(model.top, command, model.folder, file.fileno())
        self._begin(memory.lines())

    @property
    def cycles(self) -> int:
        """Of the board's clock since the reset."""
        return self._cycle

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

    def spoilt(self) -> list[Spoilt]:
        """The first 1,000 bursts that faults met since the reset, in the order in which masters asked for them."""
        words = list(map(int, self._command("spoilt")))
        names: dict[int, Answer] = {code: name for name, code in ANSWERS.items()}
        rows = (words[i : i + 5] for i in range(0, len(words), 5))
        return [Spoilt(port, bool(reads), names[code], at, end - at + 1) for port, reads, code, at, end in rows]

    def counts(self) -> dict[str, Counts]:
        """What passed each master, by its name (`m_axi_gmem0`)."""
        words = self._command("counts")[:-1]
        return {words[i]: Counts(*map(int, words[i + 1 : i + 4])) for i in range(0, len(words), 4)}

    @property
    def interrupt(self) -> bool:
        """The level of the interrupt."""
        return self._command("counts")[-1] == "1"

    def _offset(self, offset: int) -> int:
        if not 0 <= offset < self.model.control_bytes or offset % 4:
            raise ConfigError(
                f"offset={offset!r}: registers of {self.model.top} lie at multiples of 4 below "
                f"{self.model.control_bytes}"
            )
        return offset

# SPDX-License-Identifier: Apache-2.0
"""The programmable logic of the virtual board: empty after power-up, then a simulated kernel.

The kernel's time stands still but for the few cycles of each access to its registers, and while its control register
is read during a run: such a read goes on until the run has ended, or to the end of its share of cycles.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc

from gatewright.board.memory import DeviceMemory
from gatewright.board.refusal import Refusal
from gatewright.errors import ConfigError, GatewrightError, SimulationError
from gatewright.runtime.kernel_map import CYCLES
from gatewright.sim.kernel import Fault, KernelProcess

_START, _AUTO_RESTART = 0x01, 0x80
_SHARE, _SLACK = 4, 100_000
"""A poll goes on for this many times the predicted length of the run, and this many cycles more."""
_SLICE_SECONDS = 0.2
"""Between two looks at whether the client still waits."""


@dataclass(frozen=True)
class Design:
    """What the board can be programmed with.

    Attributes:
        name: of the design.
        file: name of its bitstream.
        bitstream: the bytes that are uploaded.
        base_address: of the control registers.
        control_bytes: that they take.
        frames_register, status: offsets of the number of frames and of the status block.
        mhz: clock that the kernel was built for.
        interval: predicted cycles between frames.
        latency: predicted cycles of the first frame.
        start: starts its simulation.
    """

    name: str
    file: str
    bitstream: bytes
    base_address: int
    control_bytes: int
    frames_register: int
    status: int
    mhz: float
    interval: int
    latency: int
    start: Callable[[], KernelProcess]


class Fabric:
    """What is programmed, and its simulation.

    Args:
        memory: device memory; its contents move to each new simulation's.
        log: told of runs.
        poll_ms: of the board's time, for which a poll goes on; None for what the prediction says.
    """

    def __init__(self, memory: DeviceMemory, log: Callable[[str], None], poll_ms: float | None = None) -> None:
        self._memory, self._log, self._poll_ms = memory, log, poll_ms
        self._design: Design | None = None
        self._process: KernelProcess | None = None
        self._frames = 1
        self._running = self._restarts = False
        self._begun = 0.0

    @property
    def design(self) -> Design | None:
        """What is programmed."""
        return self._design

    def holds(self, address: int) -> bool:
        """Whether an address is one of the kernel's registers."""
        d = self._design
        return d is not None and d.base_address <= address < d.base_address + d.control_bytes

    def program(self, design: Design) -> None:
        """Put a design in, reset and idle.

        Raises:
            Refusal: its simulation does not start.
        """
        self.close()
        try:
            self._process = design.start()
        except GatewrightError as error:
            raise Refusal(
                grpc.StatusCode.INTERNAL, f"the simulation of {design.name} does not start: {error}"
            ) from error
        self._memory.move_to(self._process.memory)
        self._design = design

    def close(self) -> None:
        """Take the design out; device memory stays as it is."""
        if self._process is not None:
            self._process.close()
        self._design = self._process = None
        self._running, self._frames = False, 1

    def reset(self) -> None:
        """Reset the kernel, as after programming."""
        if self._design is None or self._process is None:
            return
        if self._running:
            self._log(f"{self._design.name}: the run that was going on is dropped")
        self._running, self._frames = False, 1
        try:
            self._process.reset()
        except SimulationError:  # it had broken off
            self.program(self._design)

    def inject(self, fault: Fault) -> None:
        """Let bursts of the kernel go wrong from now on, until it is programmed again.

        Raises:
            ConfigError: nothing is programmed.
        """
        self._simulated().inject(fault)

    def mend(self) -> None:
        """No more faults.

        Raises:
            ConfigError: nothing is programmed.
        """
        self._simulated().mend()

    def read(self, address: int, waited_for: Callable[[], bool]) -> int:
        """A register of the kernel; `waited_for` says whether somebody still wants the answer.

        Raises:
            Refusal: an error response, a simulation that broke off, or nobody waits.
        """
        design, process = self._ready()
        offset = address - design.base_address
        with self._guarded(design, offset):
            if offset == 0 and self._running:
                self._advance(design, process, waited_for)
            return process.read(offset)

    def write(self, address: int, value: int) -> None:
        """Write a register of the kernel.

        Raises:
            Refusal: an error response, or a simulation that broke off.
        """
        design, process = self._ready()
        offset = address - design.base_address
        with self._guarded(design, offset):
            process.write(offset, value)
            if offset == design.frames_register:
                self._frames = value
            if offset == 0 and value & _START:
                self._running, self._restarts = True, bool(value & _AUTO_RESTART)
                self._begun = time.monotonic()

    def _simulated(self) -> KernelProcess:
        if self._process is None:
            raise ConfigError("the virtual board is not programmed: faults need a kernel to meet")
        return self._process

    def _ready(self) -> tuple[Design, KernelProcess]:
        if self._design is None or self._process is None:
            raise Refusal(grpc.StatusCode.FAILED_PRECONDITION, "no bitstream is loaded: download one first")
        return self._design, self._process

    @contextmanager
    def _guarded(self, design: Design, offset: int) -> Iterator[None]:
        try:
            yield
        except GatewrightError as error:
            text = f"register 0x{offset:x} of {design.name}: {error}; to go on, download its bitstream again"
            raise Refusal(grpc.StatusCode.INTERNAL, text) from error

    def _share(self, design: Design) -> int:
        if self._poll_ms is not None:
            return max(1, round(self._poll_ms * design.mhz * 1e3))
        return _SHARE * (design.latency + self._frames * design.interval) + _SLACK

    def _advance(self, design: Design, process: KernelProcess, waited_for: Callable[[], bool]) -> None:
        left, step = self._share(design), 10_000
        while left > 0:
            if not waited_for():
                raise Refusal(grpc.StatusCode.CANCELLED, "the client gave up waiting")
            began = time.monotonic()
            if process.wait(min(step, left)):
                self._finished(design, process)
                return
            left -= step
            took = time.monotonic() - began
            step = step * 2 if took < _SLICE_SECONDS / 2 else max(step // 2, 1) if took > _SLICE_SECONDS else step

    def _finished(self, design: Design, process: KernelProcess) -> None:
        # The kernel's own count: that of the simulation depends on how often this looked.
        low, high = (process.read(design.status + CYCLES + 4 * i) for i in range(2))
        cycles, seconds = low | high << 32, time.monotonic() - self._begun
        self._log(
            f"{design.name}: {self._frames:,} frames in {cycles:,} cycles, {cycles / design.mhz / 1e3:,.3f} ms at "
            f"{design.mhz:g} MHz (simulated in {seconds:.1f} s)"
        )
        self._running = self._restarts

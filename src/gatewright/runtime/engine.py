# SPDX-License-Identifier: Apache-2.0
"""A batch through the kernel: buffers, runs, waiting, and what follows when a run does not end well."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Sequence

import numpy as np
import numpy.typing as npt

from . import kernel_map as k
from .bundle import Bundle
from .codec import Decoder, Encoder
from .errors import BusError, DeviceError, HashError, RunTimeout
from .pool import Pool, Slot
from .state import KernelState, fault_names, find_culprit, read_long, read_state
from .transport import Transport
from .types import IntArray

PIECES = 4
"""A batch is cut into so many at most, so that one is transferred while another is computed."""
FACTOR, SLACK_SECONDS = 20, 0.02
"""By default a run may take so many times what is predicted, and so much longer."""
_FIRST_PAUSE, _LONGEST_PAUSE, _SHORTEST_SLEEP = 1e-4, 0.1, 5e-5
_ABORT_POLLS = 8


@dataclass
class Running:
    """A piece of a batch that the kernel works on."""

    slot: Slot
    part: slice
    began: float
    active: bool = True

    @property
    def frames(self) -> int:
        """Of the piece."""
        return int(self.part.stop - self.part.start)


class Engine:
    """Runs batches on a device that holds the bundle's kernel.

    Args:
        bundle, device: the two.
        timeout: seconds of the kernel's own clock that a piece of a batch may take; None for what is predicted.
        buffer_bytes: of device memory that one set of buffers may take; there are two for batches in pieces.

    Attributes:
        waited: seconds asleep so far, while the kernel worked.

    Raises:
        HashError: the device holds another design.
        DeviceMemoryError: its memory holds not even a single frame, or not the weights.
    """

    def __init__(self, bundle: Bundle, device: Transport, timeout: float | None, buffer_bytes: int) -> None:
        self.bundle, self.device, self.kernel = bundle, device, bundle.kernel
        self.timeout, self.buffer_bytes = timeout, buffer_bytes
        self.waited = 0.0
        self.check_hash()
        device.room(self.kernel)
        sources = {i.name: i for i in bundle.inputs}
        by_name = {o.name: o for o in bundle.outputs}
        self.encoders = [Encoder(sources[a.name], a, self.kernel.bus_bits) for a in self.kernel.inputs]
        self.decoders = [Decoder(a, tuple(by_name[n] for n in a.outputs)) for a in self.kernel.outputs]
        self._pool = Pool(self.kernel, device)
        self._written: dict[int, int] = {}
        if not device.read(k.CONTROL) & k.IDLE and not self._abort():
            raise DeviceError(f"{device.label}: the kernel is busy and does not stop: {device.reload}")
        try:
            self._weights = self._pool.load_weights(bundle.folder)
        except BaseException:
            if not device.lost:
                self._pool.close()
            raise

    def check_hash(self) -> None:
        """Compare the design in the device with the bundle's.

        Raises:
            HashError: they differ, or there is no kernel of ours.
        """
        at, want = self.kernel.status, self.kernel.hash
        where = f"0x{self.bundle.base_address:x} of {self.device.label}"
        magic = self.device.read(at + k.MAGIC)
        if magic != k.MAGIC_WORD:
            raise HashError(
                f"no kernel of Gatewright's at {where}: its magic word is 0x{magic:08x}, not 0x{k.MAGIC_WORD:08x}; "
                f"{self.device.reload}"
            )
        words = [self.device.read(at + k.HASH + 4 * i) for i in range(4)]
        found = b"".join(word.to_bytes(4, "little") for word in words).hex()
        if found != want:
            raise HashError(
                f"the kernel at {where} is another design: its hash is {found}, and that of bundle "
                f"{self.bundle.name!r} is {want}; {self.device.reload}, or open the other bundle"
            )

    def close(self) -> None:
        """Free all buffers."""
        self._pool.close()

    # --- a batch ----------------------------------------------------------------------------------------------------

    def run(self, xs: Sequence[npt.NDArray[Any]], integers: bool) -> list[IntArray]:
        """Integers of every output argument, (frames, elements), from checked inputs (frames, elements).

        While the kernel works on one piece, the next one is quantised, packed and written, and the last one read.
        """
        frames = len(xs[0])
        results = [np.empty((frames, a.elements), np.int64) for a in self.kernel.outputs]
        running: Running | None = None
        try:
            for number, part in enumerate(self._pieces(frames)):
                busy = None if running is None else running.slot
                slots = self._pool.room.slots
                if running is not None and slots == 1:
                    self._finish(running)
                    self._collect(running, results)
                    running = busy = None
                slot = self._pool.slot(part.stop - part.start, number % slots, busy)
                self._fill(slot, part, xs, integers)
                if running is not None:
                    self._finish(running)
                before, running = running, self._start(slot, part)
                if before is not None:
                    self._collect(before, results)
            if running is not None:
                self._finish(running)
                self._collect(running, results)
        except BaseException:
            if running is not None and running.active and not self.device.lost:
                self._abandon()
            raise
        return results

    def _pieces(self, frames: int) -> list[slice]:
        """Nearly equal parts of a batch."""
        frame = sum(a.frame_bytes for a in self.kernel.arguments)
        room = self._pool.room
        pieces = min(PIECES, frames, -(-frames * frame // room.piece_bytes))
        longest = max(1, min(self.buffer_bytes // frame, room.frames or (1 << 32) - 1))
        size = min(-(-frames // max(pieces, 1)), longest)
        return [slice(i, min(i + size, frames)) for i in range(0, frames, size)] if frames else []

    def _fill(self, slot: Slot, part: slice, xs: Sequence[npt.NDArray[Any]], integers: bool) -> None:
        for encoder, x, buffer in zip(self.encoders, xs, slot.inputs):
            encoder.encode(x[part], integers, buffer.array[: part.stop - part.start])
        for buffer in slot.inputs:
            buffer.flush(part.stop - part.start)

    def _start(self, slot: Slot, part: slice) -> Running:
        wanted = {**self._weights, **slot.arguments, self.kernel.frames_register: part.stop - part.start}
        for register, value in wanted.items():
            if self._written.get(register) != value:  # one word a call is all that PYNQ.remote takes
                self.device.write(register, value)
                self._written[register] = value
        self.device.write(k.CONTROL, k.START)
        return Running(slot, part, time.perf_counter())

    def _collect(self, piece: Running, results: Sequence[IntArray]) -> None:
        for decoder, buffer, result in zip(self.decoders, piece.slot.outputs, results):
            buffer.invalidate(piece.frames)
            result[piece.part] = decoder.integers(buffer.array[: piece.frames])

    # --- waiting ----------------------------------------------------------------------------------------------------

    def predicted_seconds(self, frames: int) -> float:
        """Of a run, by the cycle model and the clock."""
        cycles = self.bundle.latency_cycles + (frames - 1) * self.bundle.interval_cycles
        return cycles / (self.bundle.mhz * 1e6)

    def _finish(self, piece: Running) -> None:
        """Wait for the end of a run, and see whether it went well.

        Raises:
            RunTimeout: it does not end; it was aborted then.
            BusError: memory answered with an error.
        """
        predicted = self.predicted_seconds(piece.frames)
        limit = FACTOR * predicted + SLACK_SECONDS if self.timeout is None else self.timeout
        self._sleep(predicted - (time.perf_counter() - piece.began))
        pause, cycles = max(_FIRST_PAUSE, predicted / 8), -1
        while True:
            control = self.device.read(k.CONTROL)
            if control & (k.DONE | k.IDLE):
                piece.active = False
                break
            # The kernel's own clock decides: that of a simulated board stands still in between.
            before, cycles = cycles, read_long(self.device.read, self.kernel.status + k.CYCLES)
            stopped = cycles == before and time.perf_counter() - piece.began > limit
            if stopped or cycles > limit * self.bundle.mhz * 1e6:
                self._timed_out(piece, limit, control)
            self._sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        flags = self.device.read(self.kernel.status + k.FAULTS)
        if flags:
            self._faulty(flags)
        # A kernel that was reset is idle too, and what lies where its results should be is of another run.
        if self.device.resettable and self.device.read(self.kernel.status + k.FRAMES) != piece.frames:
            self.device.broken = True
            raise DeviceError(
                f"{self.device.label} was reset in mid-run, or given its bitstream again; the results of this run are "
                "thrown away, the next one starts afresh"
            )

    def _sleep(self, seconds: float) -> None:
        if seconds > _SHORTEST_SLEEP:
            began = time.perf_counter()
            time.sleep(seconds)
            self.waited += time.perf_counter() - began

    def _timed_out(self, piece: Running, limit: float, control: int) -> None:
        state = read_state(self.kernel, self.device.snapshot(self.kernel), control)
        later = read_state(self.kernel, self.device.snapshot(self.kernel), control)
        moving = [e.words for e in state.edges] != [e.words for e in later.edges]
        if moving or later.frames_done != state.frames_done:
            why = "words still move: it is slower than predicted; give a longer timeout"
        else:
            why = find_culprit(later, [i.name for i in self.bundle.inputs]).text
        piece.active = False
        rest, predicted = self._abandon(), self.predicted_seconds(piece.frames)
        raise RunTimeout(
            f"{self.bundle.name}: {later.frames_done} of {piece.frames} frames were done in {later.cycles:,} cycles: "
            f"more than the {limit:.3g} s that are allowed, {predicted:.3g} s are predicted. {why}. {rest}",
            later,
        )

    def _abandon(self) -> str:
        """Stop a run that nobody waits for any more, and say what became of it."""
        try:
            if self._abort():
                return "The run was aborted; the next one starts afresh"
        except DeviceError as error:
            if self.device.lost:
                return str(error)
        self.device.broken = True
        return "The kernel could not be stopped; the next run loads the bitstream again"

    def _abort(self) -> bool:
        """Whether the kernel came to rest."""
        self.device.write(self.kernel.status + k.ABORT, 1)
        for attempt in range(_ABORT_POLLS):
            if self.device.read(k.CONTROL) & k.IDLE and not self.device.read(self.kernel.status + k.ABORT) & 1:
                return True
            self._sleep(_FIRST_PAUSE * 4**attempt)
        return False

    def _faulty(self, flags: int) -> None:
        read, at = self.device.read, self.kernel.status
        self.device.broken = self.device.broken or self.device.resettable  # its registers may have been reset
        names = ", ".join(fault_names(flags))
        if not flags & (k.READ_SLVERR | k.READ_DECERR | k.WRITE_SLVERR | k.WRITE_DECERR):
            raise DeviceError(f"{self.bundle.name}: the kernel refused the run: {names}")
        address, index = read_long(read, at + k.FAULT_ADDRESS), read(at + k.FAULT_MASTER)
        behind = [*(a.name for a in self.kernel.arguments), *(w.name for w in self.kernel.weights)]
        what = f"{self.kernel.ports[index]} ({behind[index]!r})" if index < len(behind) else "an unknown port"
        raise BusError(
            f"{self.bundle.name}: memory answered with an error ({names}): first on {what} at 0x{address:x}; "
            f"{read(at + k.READ_FAULTS)} bursts of reads and {read(at + k.WRITE_FAULTS)} of writes. The results of "
            "this run are thrown away; the next starts afresh. If it comes again, the port does not reach that memory"
        )

    def state(self) -> KernelState:
        """All registers."""
        return read_state(self.kernel, self.device.snapshot(self.kernel), link=self.device.counters())

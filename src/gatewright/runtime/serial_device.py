# SPDX-License-Identifier: Apache-2.0
"""A board behind a serial port: registers, memory banks, and a line that loses and damages bytes.

Every request is repeated with its sequence number until a good answer comes, which is safe: the board does a write that
it did already once only. What stopped in the middle is dropped by the board after `DROP_BITS` bit times, so the driver
waits for as long before it repeats what got no answer.
"""

from __future__ import annotations

import random
import time
from typing import Callable, Mapping

import numpy as np

from . import kernel_map as k
from . import serial_protocol as p
from .bundle import Bundle
from .errors import DeviceError, DeviceMemoryError
from .kernel_map import Argument, KernelMap, Weights
from .packing import Bytes
from .serial_port import Port, PortLost, port_name
from .transport import Room

ATTEMPTS = 8
"""Of a request, before the board is given up."""
PIECE_BYTES = 1 << 11
"""Less than that is not worth a piece of its own: it takes 20 ms at a megabaud, the registers of a piece one."""
FIRST_SECONDS = 0.25
"""For the first answer; every further attempt waits twice as long, since nobody knows how quick the other side is."""
PATIENCE, SIMULATED_PATIENCE = 4, 9
"""Attempts until somebody must have answered: four seconds in all; two minutes where a program simulates the board."""
SLACK_SECONDS = 0.05
"""Of the operating systems and USB between here and there."""
CLOCK_TOLERANCE = 0.01
COUNTERS = ("bad_crc", "bad_frame", "dropped")


class SerialBuffer:
    """Frames in a memory bank, as `transport.Buffer` has them; only what is asked for goes over the line."""

    def __init__(self, device: SerialDevice, argument: Argument | Weights, frames: int) -> None:
        self._device, self._name = device, argument.name
        self.array: Bytes = np.zeros((frames, argument.frame_bytes), np.uint8)
        self.address = device.take(argument, self.array.nbytes)

    def flush(self, frames: int) -> None:
        """Host to device."""
        self._device.write_memory(f"writing {self._name!r}", self.address, self.array[:frames].tobytes())

    def invalidate(self, frames: int) -> None:
        """Device to host."""
        part = self.array[:frames]
        data = self._device.read_memory(f"reading {self._name!r}", self.address, part.nbytes)
        part[...] = np.frombuffer(data, np.uint8).reshape(part.shape)

    def free(self) -> None:
        """Give the memory back."""
        self.array = np.zeros((0, 0), np.uint8)
        self._device.give(self.address)


class SerialDevice:
    """A board whose bitstream is loaded; a `transport.Transport`.

    Args:
        bundle: what runs there.
        where: the port, or None for the only one of FTDI's.

    Attributes:
        calls, seconds: requests so far, and time until their answers had come.
        identity: what the board said of itself; see `serial_protocol.identity`.
        retries: requests that went out again, by reason.
        wire_bytes: that went over the line, both ways.

    Raises:
        DeviceError: no port, nothing that answers, or another board than the bundle's.
    """

    def __init__(self, bundle: Bundle, where: object) -> None:
        self.calls, self.seconds, self.wire_bytes = 0, 0.0, 0
        self.lost, self.broken, self.resettable = False, False, True
        self.retries: dict[str, int] = {"answer": 0, "damaged": 0}
        self._bundle, self._baud = bundle, int(bundle.record["uart"]["baud"])
        self._memory = bundle.record["memory"]
        self.label = port_name(where)
        self.reload = _reload(bundle)
        self._answers, self._pace = p.Answers(), 1 / self._baud
        self._sequence = random.randrange(256)
        self._taken: dict[int, int] = {}
        self._port = Port(self.label, self._baud)
        try:
            self.identity = self._identify()
            self._check_identity()
        except BaseException:
            self.close()
            raise

    # --- what a device does -----------------------------------------------------------------------------------------

    def read(self, offset: int) -> int:
        """A register of 32 bits."""
        return self._registers(offset, 1)[0]

    def write(self, offset: int, value: int) -> None:
        """A register of 32 bits."""
        data = int(value).to_bytes(p.WORD, "little")
        self._exchange(f"writing register 0x{offset:x}", p.WRITE, self._bundle.base_address + offset, 1, data)

    def snapshot(self, kernel: KernelMap) -> Callable[[int], int]:
        """Status and FIFOs in a few requests. A high half that is the same before and after fits the low half between
        them, as `state.read_long` has it for single reads."""
        at, count = kernel.status, (k.EDGE + k.EDGE_BYTES * len(kernel.edges)) // p.WORD
        words = dict(zip(range(at, at + p.WORD * count, p.WORD), self._registers(at, count)))
        first, last = at + k.CYCLES, at + k.FRAMES
        high = range(first + p.WORD, last, 2 * p.WORD)
        while True:
            before = [words[offset] for offset in high]
            words.update(zip(range(first, last, p.WORD), self._registers(first, (last - first) // p.WORD)))
            if [words[offset] for offset in high] == before:
                return lambda offset: words[offset] if offset in words else self.read(offset)

    def room(self, kernel: KernelMap) -> Room:
        """Two sets of buffers where a bank holds two frames of its port, else one.

        Raises:
            DeviceMemoryError: a bank does not hold a frame, or the weights.
        """
        size = int(self._memory["bytes"])
        behind: tuple[Argument | Weights, ...] = (*kernel.arguments, *kernel.weights)
        for what in behind:
            if what.frame_bytes > size:
                raise DeviceMemoryError(
                    f"a frame of {what.name!r} takes {what.frame_bytes:,} bytes, and a bank of {self.label} has "
                    f"{size:,}: the network does not fit this board's memory; a board record of your own may give it "
                    "larger banks"
                )
        frames = min(size // a.frame_bytes for a in kernel.arguments)
        return Room(2 if frames > 1 else 1, max(1, frames // 2), PIECE_BYTES)

    def buffer(self, argument: Argument | Weights, frames: int) -> SerialBuffer:
        """Memory in the bank of the argument's port.

        Raises:
            DeviceMemoryError: there is no room.
        """
        return SerialBuffer(self, argument, frames)

    def counters(self) -> Mapping[str, int]:
        """Requests, bytes and what was repeated so far, here and as the board counts it since it was configured."""
        there = p.identity(self._exchange("asking what it is", p.IDENTIFY, 0, len(p.IDENTITY)))
        return {
            "requests": self.calls,
            "bytes": self.wire_bytes,
            "repeated for want of an answer": self.retries["answer"],
            "repeated because they came damaged": self.retries["damaged"],
            "stray bytes": self._answers.skipped,
            **{f"{what} at the board": there[key] for key, what in zip(COUNTERS, _COUNTED)},
        }

    def close(self) -> None:
        """Let go of the port; never fails."""
        self._port.close()

    # --- memory -----------------------------------------------------------------------------------------------------

    def take(self, argument: Argument | Weights, size: int) -> int:
        """The lowest address in the bank of an argument's port that so many bytes are free at.

        Raises:
            DeviceMemoryError: there is none.
        """
        bank = int(argument.port[len("gmem") :])
        base = int(self._memory["base"]) + bank * int(self._memory["bytes"])
        end, at = base + int(self._memory["bytes"]), base
        for start in sorted(a for a in self._taken if base <= a < end):
            if start - at >= size:
                break
            at = start + self._taken[start]
        if end - at < size:
            raise DeviceMemoryError(
                f"{self.label} has no room for {size:,} bytes for {argument.name!r}: its bank has "
                f"{end - base:,} bytes, and {sum(n for a, n in self._taken.items() if base <= a < end):,} are taken"
            )
        self._taken[at] = size
        return at

    def give(self, address: int) -> None:
        """Take back what `take` gave."""
        self._taken.pop(address, None)

    def write_memory(self, what: str, address: int, data: bytes) -> None:
        """Whole words, in bursts."""
        step = p.WORD * p.BURST
        for start in range(0, len(data), step):
            part = data[start : start + step]
            self._exchange(what, p.WRITE, address + start, len(part) // p.WORD, part)

    def read_memory(self, what: str, address: int, size: int) -> bytes:
        """Whole words, in bursts."""
        return np.array(self._words(what, address, size // p.WORD), "<u4").tobytes()

    def _registers(self, offset: int, count: int) -> list[int]:
        return self._words(f"reading register 0x{offset:x}", self._bundle.base_address + offset, count)

    def _words(self, what: str, address: int, count: int) -> list[int]:
        words: list[int] = []
        while len(words) < count:
            part = min(p.BURST, count - len(words))
            words += self._exchange(what, p.READ, address + p.WORD * len(words), part)
        return words

    # --- the line ---------------------------------------------------------------------------------------------------

    def _exchange(self, what: str, operation: int, address: int, words: int, data: bytes = b"") -> tuple[int, ...]:
        """A request and its answer, however often it takes.

        Raises:
            DeviceError: nothing answers, the port is gone, or the board refuses the request.
        """
        began = time.perf_counter()
        self._sequence = (self._sequence + 1) & 0xFF
        frame = p.request(self._sequence, operation, address, words, data)
        try:
            return self._repeated(what, frame, 0 if operation == p.WRITE else words, address)
        except PortLost as error:
            self.lost = True
            raise DeviceError(
                f"{self.label} went away while {what} ({error}): plug the board in again, or start the simulated one "
                "again; the next run connects anew"
            ) from error
        finally:
            self.calls, self.seconds = self.calls + 1, self.seconds + time.perf_counter() - began

    def _repeated(self, what: str, frame: bytes, words: int, address: int) -> tuple[int, ...]:
        damaged = 0
        for attempt in range(ATTEMPTS):
            answer = self._attempt(frame, words, self._limit(len(frame), words, attempt), clean=not attempt)
            if answer is not None and answer.status == p.OK:
                return answer.words
            if answer is not None and answer.status not in p.DAMAGED:
                raise DeviceError(self._refused(what, answer.status, address))
            self.retries["answer" if answer is None else "damaged"] += 1
            damaged += answer is not None
            if damaged > 1 and answer is not None:  # the rest of the last one may pass for the head of another
                self._settle()
        self.lost = True
        raise DeviceError(
            f"{self.label} gave no good answer to {ATTEMPTS} requests while {what} ({damaged} of them came damaged): "
            f"see to the cable, or {self.reload}; the next run connects anew"
        )

    def _attempt(self, frame: bytes, words: int, limit: float, clean: bool) -> p.Answer | None:
        """Send a request and wait so many seconds for its answer."""
        began = time.perf_counter()
        self._send(frame)
        wanted = p.ANSWER_BYTES + p.WORD * words
        while True:
            answer = self._answers.take(frame[1], words)
            now = time.perf_counter() - began
            if answer is not None:
                if clean and self._port.simulated:
                    measured = now / (p.BITS * (len(frame) + wanted))
                    self._pace = max(measured, 0.5 * self._pace, 1 / self._baud)
                return answer
            if now > limit:
                return None
            self._receive(wanted - len(self._answers))

    def _limit(self, sent: int, words: int, attempt: int) -> float:
        """Seconds after which no answer will come, and the board has dropped whatever part of the request it has."""
        bits = p.DROP_BITS + p.BITS * (sent + p.ANSWER_BYTES + p.WORD * words)
        return (2 + attempt) * bits * self._pace + SLACK_SECONDS

    def _settle(self) -> None:
        """Wait until the board has dropped what it has of a request."""
        until = time.perf_counter() + p.DROP_BITS * self._pace + SLACK_SECONDS
        while time.perf_counter() < until:
            self._receive(p.WORD * p.BURST)
        self._answers.clear()

    def _send(self, frame: bytes) -> None:
        self._port.write(frame)
        self.wire_bytes += len(frame)

    def _receive(self, most: int) -> None:
        data = self._port.read(most)
        self.wire_bytes += len(data)
        self._answers.feed(data)

    # --- opening ----------------------------------------------------------------------------------------------------

    def _identify(self) -> dict[str, int]:
        """Who is there. The first request of a session: never a write, which might have the number of the last one that
        was done.

        Raises:
            DeviceError: nobody, or noise.
        """
        self._port.discard()
        count = len(p.IDENTITY)
        try:
            for attempt in range(SIMULATED_PATIENCE if self._port.simulated else PATIENCE):
                self._sequence = (self._sequence + 1) & 0xFF
                frame = p.request(self._sequence, p.IDENTIFY, 0, count)
                answer = self._attempt(frame, count, FIRST_SECONDS * 2**attempt, clean=True)
                if answer is not None and answer.status == p.OK:
                    return p.identity(answer.words)
        except PortLost as error:
            raise DeviceError(f"{self.label} went away while looking who is there ({error})") from error
        raise DeviceError(self._nobody())

    def _nobody(self) -> str:
        noise = self._answers.skipped
        if noise:
            return (
                f"what comes from {self.label} at {self._baud:,} baud is none of our answers ({noise} bytes of noise): "
                f"another baud rate, another program on the board, or another board; {self.reload}"
            )
        return f"nothing answers at {self.label} at {self._baud:,} baud: is the bitstream loaded? {self.reload}"

    def _check_identity(self) -> None:
        """Refuse another bridge than the bundle's bitstream has.

        Raises:
            DeviceError: says what differs.
        """
        own, ports = self.identity, len(self._bundle.kernel.ports)
        if own["magic"] != p.MAGIC:
            raise DeviceError(
                f"{self.label} answers, but says it is 0x{own['magic']:08x} and not 0x{p.MAGIC:08x}: {self.reload}"
            )
        hz, size = self._bundle.mhz * 1e6, int(self._memory["bytes"])
        wrong = [
            f"{what} {found}, not {want}"
            for what, found, want, same in (
                ("its clock is, in Hz,", own["hz"], round(hz), abs(own["hz"] - hz) <= CLOCK_TOLERANCE * hz),
                ("its memory banks are", own["banks"], ports, own["banks"] == ports),
                ("bytes of each are", own["bank_bytes"], size, own["bank_bytes"] == size),
            )
            if not same
        ]
        if wrong:
            raise DeviceError(
                f"{self.label} holds another design than bundle {self._bundle.name!r}: {'; '.join(wrong)}: "
                f"{self.reload}"
            )

    def _refused(self, what: str, status: int, address: int) -> str:
        why = {
            p.UNKNOWN: "it does not know the request: is its bitstream older than this driver?",
            p.NO_ADDRESS: f"nothing is at 0x{address:x}, or the kernel answered there with an error",
        }
        return f"{self.label} refused a request while {what}: {why.get(status, f'status {status}')}"


_COUNTED = ("requests with a wrong CRC", "bytes that were none", "requests that stopped")


def _reload(bundle: Bundle) -> str:
    """How the bitstream gets onto the board."""
    record = bundle.record["bitstream"] or {}
    if record.get("kind") == "virtual":
        return "its bitstream is a virtual one: `gatewright board serve` this bundle and give the port that it names"
    return (
        f"load its bitstream: `{bundle.record['uart'].get('load', 'openFPGALoader')} {bundle.folder / record['file']}`"
    )

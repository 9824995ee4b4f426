# SPDX-License-Identifier: Apache-2.0
"""The other end of a serial line, written from the protocol's description and not from the driver: a pseudo-terminal
behind which a thread takes requests byte by byte, on memory of its own or on a compiled kernel, and spoils what it is
told to."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
import tty
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from gatewright.sim.kernel import KernelProcess

BASE = 0x8000_0000
DROP_BITS = 65536
COUNTED = {1: "bad_crc", 4: "bad_frame"}


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE, bit by bit."""
    register = 0xFFFF
    for byte in data:
        for bit in range(7, -1, -1):
            feedback = (register >> 15 ^ byte >> bit) & 1
            register = register << 1 & 0xFFFF ^ (0x1021 if feedback else 0)
    return register


class Target(Protocol):
    """What lies behind the bridge; None or False is an address error."""

    def read(self, address: int) -> int | None: ...
    def write(self, address: int, value: int) -> bool: ...


class Words:
    """Banks of memory and nothing else, and how often each word was written."""

    def __init__(self, size: int) -> None:
        self.memory = [0] * (size // 4)
        self.writes = [0] * (size // 4)

    def read(self, address: int) -> int | None:
        index, rest = divmod(address, 4)
        return None if rest or index >= len(self.memory) else self.memory[index]

    def write(self, address: int, value: int) -> bool:
        index, rest = divmod(address, 4)
        if rest or index >= len(self.memory):
            return False
        self.memory[index] = value
        self.writes[index] += 1
        return True


class Simulated:
    """A compiled kernel with its memory; reading the control register lets it run on, for time passes between polls."""

    def __init__(self, process: KernelProcess, cycles: int = 20_000) -> None:
        self.process, self.cycles = process, cycles

    def read(self, address: int) -> int | None:
        if address >= BASE:
            if address == BASE:
                self.process.wait(self.cycles)
            return self.process.read(address - BASE)
        if address % 4 or address + 4 > len(self.process.memory):
            return None
        return int.from_bytes(self.process.memory[address : address + 4].tobytes(), "little")

    def write(self, address: int, value: int) -> bool:
        if address >= BASE:
            self.process.write(address - BASE, value)
            return True
        if address % 4 or address + 4 > len(self.process.memory):
            return False
        self.process.memory[address : address + 4] = list(value.to_bytes(4, "little"))
        return True


def whole(frame: bytes) -> list[bytes]:
    """A line without faults."""
    return [frame]


@dataclass
class Peer:
    """A board behind a pseudo-terminal. A context manager.

    Attributes:
        target: what requests read and write.
        hz, baud, banks, bank_bytes, magic: what it says of itself.
        requests: what becomes of a request on its way: the bytes that arrive.
        answers: what becomes of an answer: pieces that are sent one by one; a float among them is a pause in seconds.
        silent: answer nothing.
        path: of the pseudo-terminal.
        heard: operations that were executed.
    """

    target: Target
    hz: int = 100_000_000
    baud: int = 4_000_000
    banks: int = 2
    bank_bytes: int = 8192
    magic: int = 0x31555747
    requests: Callable[[bytes], bytes] = bytes
    answers: Callable[[bytes], Iterable[bytes | float]] = whole
    silent: bool = False
    path: str = ""
    heard: list[int] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: {"bad_crc": 0, "bad_frame": 0, "dropped": 0})

    def __enter__(self) -> Peer:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._frame, self._last, self._touched, self._stop = bytearray(), (-1, 0), 0.0, threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.unplug()

    def unplug(self) -> None:
        """Close the line, as if the cable were pulled."""
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join()
            os.close(self._slave)
            os.close(self._master)

    def say(self, data: bytes) -> None:
        """Bytes that nobody asked for."""
        os.write(self._master, data)

    def _serve(self) -> None:
        while not self._stop.is_set():
            ready, _, _ = select.select([self._master], [], [], 0.005)
            if self._frame and time.monotonic() - self._touched > DROP_BITS / self.baud:
                self._frame.clear()
                self.counts["dropped"] += 1
            if ready:
                with contextlib.suppress(OSError):
                    data = self.requests(os.read(self._master, 4096))
                    for byte in data:
                        self._byte(byte)
                self._touched = time.monotonic()

    def _byte(self, byte: int) -> None:
        if not self._frame and byte != 0xA5:
            return
        self._frame.append(byte)
        frame = self._frame
        size = 10 + (4 * (frame[3] + 1) if len(frame) > 3 and frame[2] == 2 else 0)
        if len(frame) < 10 or len(frame) < size:
            return
        self._frame = bytearray()
        self._request(bytes(frame))

    def _request(self, frame: bytes) -> None:
        number, operation, count = frame[1], frame[2], frame[3] + 1
        words: list[int] = []
        if crc16(frame[1:-2]) != int.from_bytes(frame[-2:], "little"):
            status = 1
        else:
            status, words = self._execute(number, operation, count, frame)
        if status in COUNTED:
            self.counts[COUNTED[status]] += 1
        body = bytes([number, status, max(len(words) - 1, 0)]) + b"".join(w.to_bytes(4, "little") for w in words)
        answer = b"\x5a" + body + crc16(body).to_bytes(2, "little")
        if not self.silent:
            self._send(self.answers(answer))

    def _execute(self, number: int, operation: int, count: int, frame: bytes) -> tuple[int, list[int]]:
        if operation == 2 and self._last[0] == number:
            return self._last[1], []
        status, words = 0, []
        address = int.from_bytes(frame[4:8], "little")
        if operation not in (1, 2, 3) or count > 64:
            status = 2
        elif operation == 3:
            words = [self.magic, self.hz, self.baud, self.banks, self.bank_bytes, *self.counts.values()]
        elif operation == 1:
            found = [self.target.read(address + 4 * i) for i in range(count)]
            words = [w for w in found if w is not None]
            if len(words) < count:
                status, words = 3, []
        else:
            for i in range(count):
                if not self.target.write(address + 4 * i, int.from_bytes(frame[8 + 4 * i : 12 + 4 * i], "little")):
                    status = 3
        self.heard.append(operation)
        self._last = (number, status)
        return status, words

    def _send(self, pieces: Iterable[bytes | float]) -> None:
        for piece in pieces:
            if isinstance(piece, float):
                time.sleep(piece)
            else:
                os.write(self._master, piece)

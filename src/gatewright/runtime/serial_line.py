# SPDX-License-Identifier: Apache-2.0
"""Requests and answers over a serial line that loses and damages bytes.

Every request is repeated with its number until a good answer comes, which is safe: the board does a write that it did
already once only. What stopped in the middle is dropped by the board after `DROP_BITS` bit times, so the line waits for
as long before it repeats what got no answer.
"""

from __future__ import annotations

import random
import time

from . import serial_protocol as p
from .errors import DeviceError
from .serial_port import Port, PortLost

ATTEMPTS = 8
"""Of a request, before the board is given up."""
FIRST_SECONDS = 0.25
"""For the first answer; every further attempt waits twice as long, since nobody knows how quick the other side is."""
PATIENCE, SIMULATED_PATIENCE = 4, 9
"""Attempts until somebody must have answered: four seconds in all; two minutes where a program simulates the board."""
SLACK_SECONDS = 0.05
"""Of the operating systems and USB between here and there."""


class Line:
    """The line to a board.

    Args:
        port: open.
        baud: at which it runs; a pseudo-terminal takes the time that the program behind it takes.
        remedy: what to do where the board does not answer as it should.

    Attributes:
        calls, seconds: requests so far, and time until their answers had come.
        bytes: that went over the line, both ways.
        unanswered, damaged: requests that went out again, for want of an answer or because they did not arrive whole.
        lost: the port is gone, or nothing answers any more.
    """

    def __init__(self, port: Port, baud: int, remedy: str) -> None:
        self.calls, self.seconds, self.bytes, self.unanswered, self.damaged = 0, 0.0, 0, 0, 0
        self.lost = False
        self._port, self._baud, self._remedy = port, baud, remedy
        self._answers, self._pace = p.Answers(), 1 / baud
        self._sequence = random.randrange(256)

    @property
    def skipped(self) -> int:
        """Bytes that belonged to no answer that was asked for."""
        return self._answers.skipped

    def identify(self) -> dict[str, int]:
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
            raise DeviceError(f"{self._port.name} went away while looking who is there ({error})") from error
        raise DeviceError(self._nobody())

    def _nobody(self) -> str:
        noise = self._answers.skipped
        if noise:
            return (
                f"what comes from {self._port.name} at {self._baud:,} baud is none of our answers ({noise} bytes of "
                f"noise): another baud rate, another program on the board, or another board; {self._remedy}"
            )
        return f"nothing answers at {self._port.name} at {self._baud:,} baud: is the bitstream loaded? {self._remedy}"

    def exchange(self, what: str, operation: int, address: int, words: int, data: bytes = b"") -> tuple[int, ...]:
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
                f"{self._port.name} went away while {what} ({error}): plug the board in again, or start the simulated "
                "one again; the next run connects anew"
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
            self.unanswered, self.damaged = self.unanswered + (answer is None), self.damaged + (answer is not None)
            damaged += answer is not None
            if damaged > 1 and answer is not None:  # the rest of the last one may pass for the head of another
                self._settle()
        self.lost = True
        raise DeviceError(
            f"{self._port.name} gave no good answer to {ATTEMPTS} requests while {what} ({damaged} of them came "
            f"damaged): see to the cable, or {self._remedy}; the next run connects anew"
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
        self.bytes += len(frame)

    def _receive(self, most: int) -> None:
        data = self._port.read(most)
        self.bytes += len(data)
        self._answers.feed(data)

    def _refused(self, what: str, status: int, address: int) -> str:
        why = {
            p.UNKNOWN: "it does not know the request: is its bitstream older than this driver?",
            p.NO_ADDRESS: f"nothing is at 0x{address:x}, or the kernel answered there with an error",
        }
        return f"{self._port.name} refused a request while {what}: {why.get(status, f'status {status}')}"

# SPDX-License-Identifier: Apache-2.0
"""The frames that pass a serial line between this driver and the bridge in front of a kernel.

Little-endian, 8 data bits, no parity, one stop bit. The host asks, the board answers, one at a time:

    request   0xA5, sequence, operation, words - 1, address (4 bytes), data (4 bytes a word; writes alone), CRC (2)
    answer    0x5A, sequence, status, words - 1 (0 without data), data (of a read or identify that went well), CRC (2)

The CRC is CRC-16/CCITT-FALSE (polynomial 0x1021, from 0xFFFF on, nothing reflected) of all between the first byte and
itself, low byte first. A request that stops for `DROP_BITS` bit times is dropped without an answer. A write with the
sequence number of the request executed last is answered again and not done again, so whatever got no good answer may
be repeated.
"""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass

REQUEST, ANSWER = 0xA5, 0x5A
"""The first byte of either."""
READ, WRITE, IDENTIFY = 1, 2, 3
OK, BAD_CRC, UNKNOWN, NO_ADDRESS, BAD_FRAME = range(5)
DAMAGED = (BAD_CRC, BAD_FRAME)
"""Answers of which nothing was done, because the request was not what the host sent."""
BURST = 64
"""Words of a request at most."""
WORD = 4
MAGIC = 0x31555747
"""GWU1"""
IDENTITY = ("magic", "hz", "baud", "banks", "bank_bytes", "bad_crc", "bad_frame", "dropped")
DROP_BITS = 65_536
BITS = 10
"""Of a byte on the line."""
REQUEST_BYTES, ANSWER_BYTES = 10, 6
"""Without data."""


def crc(data: bytes) -> int:
    """CRC-16/CCITT-FALSE."""
    return binascii.crc_hqx(data, 0xFFFF)


def request(sequence: int, operation: int, address: int, words: int, data: bytes = b"") -> bytes:
    """A request as it goes out; `data` only of a write, four bytes a word."""
    body = struct.pack("<BBBI", sequence, operation, words - 1, address) + data
    return bytes([REQUEST]) + body + struct.pack("<H", crc(body))


@dataclass(frozen=True)
class Answer:
    """What the board answered.

    Attributes:
        status: `OK` or what went wrong.
        words: that it brought.
    """

    status: int
    words: tuple[int, ...] = ()


def identity(words: tuple[int, ...]) -> dict[str, int]:
    """What the words of an answer to `IDENTIFY` say: magic, clock in Hz, baud, banks, bytes of each, and counters of
    requests with a wrong CRC, with a byte that was none, and that stopped in the middle."""
    return dict(zip(IDENTITY, words))


class Answers:
    """Finds answers in what comes in, whatever lies between them.

    Attributes:
        skipped: bytes so far that belonged to no answer that was asked for.
    """

    def __init__(self) -> None:
        self.skipped = 0
        self._bytes = bytearray()

    def __len__(self) -> int:
        return len(self._bytes)

    def feed(self, data: bytes) -> None:
        """More bytes."""
        self._bytes += data

    def clear(self) -> None:
        """Forget what has come."""
        self.skipped += len(self._bytes)
        self._bytes.clear()

    def take(self, sequence: int, words: int) -> Answer | None:
        """The answer to a request, once it is there whole; None before.

        A byte like the first of an answer may be noise, and what follows it an answer: so every place is looked at, and
        nothing is thrown away that may still become one. An answer to an older request is stepped over as a whole. One
        that says that a request came damaged counts whatever its number is, which may be damaged too.

        Args:
            sequence: of the request.
            words: that it brings where it went well.
        """
        keep: int | None = None
        at = self._bytes.find(ANSWER)
        while at >= 0:
            size, whole = self._look(at, sequence, words)
            if size and self._matters(at, sequence):
                answer = self._read(at, size)
                self.skipped += at
                del self._bytes[: at + size]
                return answer
            if not size and not whole and keep is None:
                keep = at
            at = self._bytes.find(ANSWER, at + max(size, 1))
        gone = len(self._bytes) if keep is None else keep
        self.skipped += gone
        del self._bytes[:gone]
        return None

    def _look(self, at: int, sequence: int, words: int) -> tuple[int, bool]:
        """Bytes of the answer that begins here, 0 for none; and whether enough has come to know that."""
        data, whole = self._bytes, True
        if len(data) - at < ANSWER_BYTES:
            return 0, False
        _, number, status, last = data[at : at + 4]
        if status > BAD_FRAME:
            return 0, True
        sizes = [ANSWER_BYTES] if not last else []
        if status == OK:
            if number != sequence:  # of a request that is long over: with data or without
                sizes.append(ANSWER_BYTES + WORD * (last + 1))
            elif words:
                sizes = [ANSWER_BYTES + WORD * words] if last == words - 1 else []
        for size in sizes:
            if len(data) - at < size:
                whole = False
            elif crc(bytes(data[at + 1 : at + size - 2])) == struct.unpack_from("<H", data, at + size - 2)[0]:
                return size, True
        return 0, whole

    def _matters(self, at: int, sequence: int) -> bool:
        return self._bytes[at + 1] == sequence or self._bytes[at + 2] in DAMAGED

    def _read(self, at: int, size: int) -> Answer:
        count = (size - ANSWER_BYTES) // WORD
        return Answer(self._bytes[at + 2], struct.unpack_from(f"<{count}I", self._bytes, at + 4))

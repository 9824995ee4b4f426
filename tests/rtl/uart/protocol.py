# SPDX-License-Identifier: Apache-2.0
"""The bridge's protocol as a host speaks it, from docs/uart.md; the CRC is that of the standard library."""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from dataclasses import dataclass

READ, WRITE, IDENTIFY = 1, 2, 3
OK, BAD_CRC, BAD_REQUEST, BAD_ADDRESS, BAD_FRAMING = range(5)
CONTROL = 0x8000_0000
MAGIC = 0x31555747


def words_to_bytes(words: Sequence[int]) -> bytes:
    return b"".join(w.to_bytes(4, "little") for w in words)


def request(
    op: int, seq: int, address: int = 0, words: Sequence[int] = (), count: int | None = None, crc_xor: int = 0
) -> bytes:
    """A request; `count` of words where it has none, or another than it has."""
    length = (len(words) if count is None else count) - 1
    body = bytes([seq, op, length & 0xFF]) + address.to_bytes(4, "little") + words_to_bytes(words)
    return b"\xa5" + body + (binascii.crc_hqx(body, 0xFFFF) ^ crc_xor).to_bytes(2, "little")


@dataclass(frozen=True)
class Response:
    """What came back."""

    seq: int
    status: int
    words: tuple[int, ...]


def response(data: bytes) -> Response:
    """A whole response, with nothing in front of it or behind."""
    assert data[0] == 0x5A, data.hex()
    body, crc = data[1:-2], int.from_bytes(data[-2:], "little")
    assert binascii.crc_hqx(body, 0xFFFF) == crc, data.hex()
    content = body[3:]
    assert len(content) == (4 * (body[2] + 1) if content else 0), data.hex()
    words = tuple(int.from_bytes(content[i : i + 4], "little") for i in range(0, len(content), 4))
    return Response(body[0], body[1], words)

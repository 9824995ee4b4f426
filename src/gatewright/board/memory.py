# SPDX-License-Identifier: Apache-2.0
"""Device memory of the virtual board, and the buffers in it.

A buffer is twice there: the copy that a client reads and writes, and the bytes in device memory that the kernel reads
and writes. Only `flush` and `invalidate` carry one to the other, as with a processor's cache that nobody snoops.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

import grpc
import numpy as np
from numpy.typing import NDArray

from gatewright.board.refusal import Refusal, malformed, quoted, unknown
from gatewright.boards import PAGE

Bytes = NDArray[np.uint8]


class Allocator:
    """Hands out whole pages of a range of addresses, each time the first gap that is large enough.

    Args:
        base: lowest address, a multiple of `PAGE`.
        size: bytes, a multiple of `PAGE`.
    """

    def __init__(self, base: int, size: int) -> None:
        self.base, self.size = base, size
        self._taken: list[tuple[int, int]] = []

    @property
    def free(self) -> int:
        """Bytes that nobody has."""
        return self.size - sum(size for _, size in self._taken)

    def allocate(self, size: int) -> int:
        """The address of `size` bytes, at the start of a page.

        Raises:
            Refusal: no gap is large enough; the text names all sizes.
        """
        pages = -(-size // PAGE) * PAGE
        start, largest = self.base, 0
        for address, taken in [*self._taken, (self.base + self.size, 0)]:
            if address - start >= pages:
                bisect.insort(self._taken, (start, pages))
                return start
            largest = max(largest, address - start)
            start = address + taken
        raise Refusal(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            f"out of memory: a buffer of {size:,} bytes takes {pages:,} in pages, and the largest gap in the "
            f"{self.size:,} bytes of device memory is {largest:,} bytes ({self.free:,} are free): free buffers, or "
            "run smaller batches",
        )

    def release(self, address: int) -> None:
        """Take back what `allocate` gave."""
        index = bisect.bisect_left(self._taken, (address, 0))
        del self._taken[index]


@dataclass
class Buffer:
    """A client's buffer.

    Attributes:
        address: in device memory.
        copy: (bytes,) what the client wrote, or what it read at last.
        cacheable: as it was asked for; it changes nothing.
    """

    address: int
    copy: Bytes
    cacheable: bool


@dataclass
class DeviceMemory:
    """Device memory with its buffers by their identifiers.

    Attributes:
        base: lowest address.
        data: (bytes,) its contents; a kernel that starts brings a memory of its own, see `move_to`.
    """

    base: int
    data: Bytes
    buffers: dict[str, Buffer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._allocator = Allocator(self.base, len(self.data))
        self._count = 0

    def allocate(self, size: int, cacheable: bool) -> str:
        """A buffer of zeros; its identifier.

        Raises:
            Refusal: no size, or too large.
        """
        if size < 1:
            malformed(f"a buffer of {size} bytes: give at least 1")
        address = self._allocator.allocate(size)
        self.data[address - self.base :][:size] = 0
        self._count += 1
        name = f"buffer{self._count}"
        self.buffers[name] = Buffer(address, np.zeros(size, np.uint8), cacheable)
        return name

    def __getitem__(self, name: str) -> Buffer:
        """The buffer of an identifier.

        Raises:
            Refusal: there is none.
        """
        if name not in self.buffers:
            unknown(f"there is no buffer {quoted(name)}: it was freed, or its client's connection had ended")
        return self.buffers[name]

    def write(self, name: str, start: int, data: bytes) -> None:
        """Change the client's copy from byte `start` on.

        Raises:
            Refusal: no such buffer, or beyond its end.
        """
        copy = self[name].copy
        if start + len(data) > len(copy):
            malformed(f"{len(data):,} bytes from byte {start:,} of {name} on, which has {len(copy):,} bytes")
        copy[start : start + len(data)] = np.frombuffer(data, np.uint8)

    def flush(self, name: str) -> None:
        """Carry the client's copy to device memory."""
        buffer = self[name]
        self._inside(buffer)[:] = buffer.copy

    def invalidate(self, name: str) -> None:
        """Carry device memory to the client's copy."""
        buffer = self[name]
        buffer.copy[:] = self._inside(buffer)

    def release(self, name: str) -> None:
        """Give a buffer back."""
        self._allocator.release(self[name].address)
        del self.buffers[name]

    def release_all(self) -> int:
        """Give all buffers back; how many there were."""
        count = len(self.buffers)
        for name in list(self.buffers):
            self.release(name)
        return count

    def move_to(self, data: Bytes) -> None:
        """Go on in another memory of the same size, which gets what the buffers hold; the old one is left alone."""
        old, self.data = self.data, data
        for buffer in self.buffers.values():
            inside = slice(buffer.address - self.base, buffer.address - self.base + len(buffer.copy))
            data[inside] = old[inside]

    def _inside(self, buffer: Buffer) -> Bytes:
        return self.data[buffer.address - self.base :][: len(buffer.copy)]

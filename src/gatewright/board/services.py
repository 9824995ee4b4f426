# SPDX-License-Identifier: Apache-2.0
"""The calls of PYNQ.remote, each by its own name: messages in, what the machine does, messages out.

A call runs while no other does. One whose request is a stream takes the machine for each message anew, so that a slow
client keeps nobody waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import grpc

from gatewright.board.files import FIRMWARE, MANAGER, file_name
from gatewright.board.machine import Machine
from gatewright.board.protocol import Message, messages
from gatewright.board.refusal import Refusal, malformed

_CHUNK = (4 << 20) - 4096
"""Bytes in a message of a stream: all that a client takes, because it appends each to all before."""
Exclusive = Callable[[], AbstractContextManager[None]]


class DeviceService:
    """Files, programming and clocks.

    Args:
        machine: the board.
        shut_down: ends the turn of a client, by its peer.
    """

    def __init__(self, machine: Machine, shut_down: Callable[[str], None]) -> None:
        self._machine, self._shut_down = machine, shut_down
        self._m = messages()["remote_device"]

    def existsfile(self, request: Message, context: Any) -> Message:
        """Whether a file is there."""
        return self._m.ExistsFileResponse(exists=self._machine.files.exists(request.file_path))

    def readfile(self, request: Message, context: Any) -> Iterator[Message]:
        """A file in pieces."""
        return (self._m.ReadFileResponse(data=piece) for piece in _pieces(self._machine.files.read(request.file_path)))

    def writefile(self, requests: Iterator[Message], context: Any, exclusive: Exclusive) -> Message:
        """Write a file; written to the FPGA manager, program the board."""
        first = _first(requests, "a file to write")
        with exclusive():
            room = self._machine.files.room(first.file_path)
        data = _joined(first.data, (request.data for request in requests), room)
        with exclusive():
            self._machine.files.write(first.file_path, data)
        return self._m.WriteFileResponse()

    def set_bitstream_attrs(self, request: Message, context: Any) -> Message:
        """Name the bitstream that `download` brings."""
        name = file_name(request.binfile_name)
        if request.partial:
            raise Refusal(grpc.StatusCode.UNIMPLEMENTED, f"{name}: partial bitstreams are not simulated")
        self._machine.attributes = name
        return self._m.SetBitstreamAttrsResponse(status=True)

    def download(self, requests: Iterator[Message], context: Any, exclusive: Exclusive) -> Message:
        """Program the board with what is sent."""
        with exclusive():
            name = self._machine.attributes
            if name is None:
                raise Refusal(grpc.StatusCode.FAILED_PRECONDITION, "name the bitstream first, by set_bitstream_attrs")
            room = self._machine.files.room(FIRMWARE + name)
        data = _joined(b"", (request.buffer for request in requests), room)
        with exclusive():
            self._machine.files.write(FIRMWARE + name, data)
            self._machine.files.write(MANAGER + "firmware", name.encode())
        return self._m.DownloadResponse(status=True)

    def set_pl_clk(self, request: Message, context: Any) -> Message:
        """Set a clock of the programmable logic."""
        self._machine.set_clock(request.i, request.div0, request.div1, request.clk_mhz)
        return self._m.SetPlClkResponse(status=True)

    def shutdown(self, request: Message, context: Any) -> Message:
        """Free all that the client has, and let the next one in."""
        self._shut_down(context.peer())
        return self._m.ShutdownResponse(status=True)


class MmioService:
    """Registers."""

    def __init__(self, machine: Machine, stopping: Callable[[], bool]) -> None:
        self._machine, self._stopping, self._m = machine, stopping, messages()["mmio"]

    def get_mmio(self, request: Message, context: Any) -> Message:
        """Open a window of addresses."""
        return self._m.GetMmioResponse(status=True, mmio_id=self._machine.window(request.base_addr, request.length))

    def read(self, request: Message, context: Any) -> Message:
        """Read a word."""
        if request.word_order not in ("", "little", "big"):
            malformed(f"word order {request.word_order[:80]!r}: use little or big")
        waited_for = lambda: context.is_active() and not self._stopping()  # noqa: E731
        data = self._machine.read(request.mmio_id, request.offset, request.length, waited_for)
        return self._m.ReadResponse(status=True, data=data)

    def write(self, request: Message, context: Any) -> Message:
        """Write words."""
        self._machine.write(request.mmio_id, request.offset, request.data)
        return self._m.WriteResponse(status=True)


class BufferService:
    """Buffers in device memory."""

    def __init__(self, machine: Machine) -> None:
        self._memory, self._m = machine.memory, messages()["buffer"]

    def allocate(self, request: Message, context: Any) -> Message:
        """A new buffer."""
        return self._m.AllocateResponse(buffer_id=self._memory.allocate(request.size, request.cacheable))

    def write(self, requests: Iterator[Message], context: Any, exclusive: Exclusive) -> Message:
        """Change the client's copy; pieces follow each other unless they say where they belong."""
        at, name = 0, None
        for request in requests:
            name = request.buffer_id if name is None else name
            if request.buffer_id not in ("", name):
                malformed("the pieces of one write name several buffers")
            if request.start or request.end:
                at = request.start
                if at < 0 or (request.end and request.end != at + len(request.data)):
                    malformed(f"{len(request.data):,} bytes for bytes {at:,} to {request.end:,}")
            with exclusive():
                self._memory.write(name, at, request.data)
            at += len(request.data)
        if name is None:
            malformed("a write without a piece: say which buffer")
        return self._m.BufferWriteResponse()

    def read(self, request: Message, context: Any) -> Iterator[Message]:
        """The client's copy, in pieces."""
        copy = self._memory[request.buffer_id].copy
        start, end = request.start, request.end or len(copy)
        if not 0 <= start <= end <= len(copy):
            malformed(f"bytes {start:,} to {end:,} of {request.buffer_id}, which has {len(copy):,}")
        return (self._m.BufferReadResponse(data=piece) for piece in _pieces(copy[start:end].tobytes()))

    def freebuffer(self, request: Message, context: Any) -> Message:
        """Give a buffer back."""
        self._memory.release(request.buffer_id)
        return self._m.FreeBufferResponse()

    def flush(self, request: Message, context: Any) -> Message:
        """Client's copy to device memory."""
        self._memory.flush(request.buffer_id)
        return self._m.FlushResponse()

    def invalidate(self, request: Message, context: Any) -> Message:
        """Device memory to the client's copy."""
        self._memory.invalidate(request.buffer_id)
        return self._m.InvalidateResponse()

    def physical_address(self, request: Message, context: Any) -> Message:
        """Where the kernel finds a buffer."""
        return self._m.AddressResponse(address=self._memory[request.buffer_id].address)

    def virtual_address(self, request: Message, context: Any) -> Message:
        """The same: there is no other address space here."""
        return self.physical_address(request, context)

    def cacheable(self, request: Message, context: Any) -> Message:
        """As it was asked for."""
        return self._m.CacheableResponse(cacheable=self._memory[request.buffer_id].cacheable)


class GpioService:
    """Pins of the processing system."""

    def __init__(self, machine: Machine) -> None:
        self._pins, self._m = machine.pins, messages()["gpio"]

    def get_gpio(self, request: Message, context: Any) -> Message:
        """Take a pin."""
        return self._m.GetGpioResponse(gpio_id=self._pins.export(request.index, request.direction))

    def read(self, request: Message, context: Any) -> Message:
        """What a pin holds."""
        return self._m.GpioReadResponse(value=self._pins.read(request.gpio_id))

    def write(self, request: Message, context: Any) -> Message:
        """Drive a pin."""
        self._pins.write(request.gpio_id, request.value)
        return self._m.GpioWriteResponse()

    def unexport(self, request: Message, context: Any) -> Message:
        """Give a pin back."""
        self._pins.release(request.gpio_id)
        return self._m.GpioUnexportResponse()

    def is_exported(self, request: Message, context: Any) -> Message:
        """Whether a pin is taken."""
        return self._m.GpioIsExportedResponse(is_exported=request.gpio_id in self._pins.exported)

    def get_gpio_base_path(self, request: Message, context: Any) -> Message:
        """Where the driver of the pins lies."""
        return self._m.GetGpioBasePathResponse(base_path=self._pins.base_path(request.target_label))

    def get_gpio_npins(self, request: Message, context: Any) -> Message:
        """How many pins it has."""
        return self._m.GetGpioNPinsResponse(npins=self._pins.pins(request.target_label))


def _first(requests: Iterator[Message], what: str) -> Message:
    for request in requests:
        return request
    malformed(f"{what}: the stream of requests is empty")


def _joined(data: bytes, more: Iterator[bytes], room: int) -> bytes:
    whole = bytearray(data)
    for piece in more:
        whole += piece
        if len(whole) > room:
            raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, f"more than the {room:,} bytes that there is room for")
    return bytes(whole)


def _pieces(data: bytes) -> Iterator[bytes]:
    return (data[i : i + _CHUNK] for i in range(0, len(data), _CHUNK))

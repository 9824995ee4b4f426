# SPDX-License-Identifier: Apache-2.0
"""A board behind a serial port: the registers of its kernel, and a memory bank for every port."""

from __future__ import annotations

from typing import Callable, Mapping

import numpy as np

from . import kernel_map as k
from . import serial_protocol as p
from .bundle import Bundle
from .errors import DeviceError, DeviceMemoryError
from .kernel_map import Argument, KernelMap, Weights
from .packing import Bytes
from .serial_line import Line
from .serial_port import Port, port_name
from .transport import Room, load_command

PIECE_BYTES = 1 << 11
"""Less than that is not worth a piece of its own: it takes 20 ms at a megabaud, the registers of a piece one."""
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
        line: the way to it.
        identity: what the board said of itself; see `serial_protocol.identity`.

    Raises:
        DeviceError: no port, nothing that answers, or another board than the bundle's.
    """

    def __init__(self, bundle: Bundle, where: object) -> None:
        self.broken, self.resettable = False, True
        self._bundle, self._memory = bundle, bundle.record["memory"]
        self.label, self.reload = port_name(where), _reload(bundle)
        self._taken: dict[int, int] = {}
        baud = int(bundle.record["uart"]["baud"])
        self._port = Port(self.label, baud)
        try:
            self.line = Line(self._port, baud, self.reload)
            self.identity = self.line.identify()
            self._check_identity()
        except BaseException:
            self.close()
            raise

    @property
    def calls(self) -> int:
        """Requests so far."""
        return self.line.calls

    @property
    def seconds(self) -> float:
        """Until their answers had come."""
        return self.line.seconds

    @property
    def lost(self) -> bool:
        """The port is gone, or nothing answers any more."""
        return self.line.lost

    # --- what a device does -----------------------------------------------------------------------------------------

    def read(self, offset: int) -> int:
        """A register of 32 bits."""
        return self._registers(offset, 1)[0]

    def write(self, offset: int, value: int) -> None:
        """A register of 32 bits."""
        data = int(value).to_bytes(p.WORD, "little")
        self.line.exchange(f"writing register 0x{offset:x}", p.WRITE, self._bundle.base_address + offset, 1, data)

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
        there = p.identity(self.line.exchange("asking what it is", p.IDENTIFY, 0, len(p.IDENTITY)))
        return {
            "requests": self.calls,
            "bytes": self.line.bytes,
            "repeated for want of an answer": self.line.unanswered,
            "repeated because they came damaged": self.line.damaged,
            "stray bytes": self.line.skipped,
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
            self.line.exchange(what, p.WRITE, address + start, len(part) // p.WORD, part)

    def read_memory(self, what: str, address: int, size: int) -> bytes:
        """Whole words, in bursts."""
        return np.array(self._words(what, address, size // p.WORD), "<u4").tobytes()

    def _registers(self, offset: int, count: int) -> list[int]:
        return self._words(f"reading register 0x{offset:x}", self._bundle.base_address + offset, count)

    def _words(self, what: str, address: int, count: int) -> list[int]:
        words: list[int] = []
        while len(words) < count:
            part = min(p.BURST, count - len(words))
            words += self.line.exchange(what, p.READ, address + p.WORD * len(words), part)
        return words

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


_COUNTED = ("requests with a wrong CRC", "bytes that were none", "requests that stopped")


def _reload(bundle: Bundle) -> str:
    """How the bitstream gets onto the board."""
    record = bundle.record["bitstream"] or {}
    if record.get("kind") == "virtual":
        return "its bitstream is a virtual one: `gatewright board serve` this bundle and give the port that it names"
    file = str(bundle.folder / str(record["file"]))
    return f"load its bitstream: `{load_command(str(bundle.record['board']), file)}`"

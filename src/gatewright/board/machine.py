# SPDX-License-Identifier: Apache-2.0
"""The virtual board without its network: processing system, files, memory, pins and programmable logic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

import grpc
import numpy as np

from gatewright.board.fabric import Design, Fabric
from gatewright.board.files import VirtualFiles
from gatewright.board.memory import DeviceMemory
from gatewright.board.pins import Pins
from gatewright.board.ps import CLOCKS, processing_system
from gatewright.board.refusal import Refusal, malformed, quoted, unknown
from gatewright.boards import Board

_MOST_WINDOWS = 4096
_WORD = 4
Log = Callable[[str], None]


class Machine:
    """All that a client changes, in one place; calls come one at a time.

    Args:
        board: its record.
        designs: what it can be programmed with.
        log: told of what happens.
        poll_ms: see `Fabric`.

    Raises:
        ConfigError: the board has no processing system.
    """

    def __init__(self, board: Board, designs: Sequence[Design], log: Log, poll_ms: float | None = None) -> None:
        self.ps = processing_system(board)
        self.memory = DeviceMemory(board.memory_base, np.zeros(board.memory_bytes, np.uint8))
        self.fabric = Fabric(self.memory, log, poll_ms)
        self.pins = Pins(*self.ps.pins, labels=("zynqmp_gpio" if board.family == "xcup" else "zynq_gpio",))
        self.files = VirtualFiles(_fixed_files(board, self.ps.architecture, self.ps.compatible), self._program)
        self.registers = dict(self.ps.registers)
        for clock in self.ps.clocks:
            self.registers[clock] = self.ps.divided(self.registers[clock], self.ps.nearest(designs[0].mhz))
        self.attributes: str | None = None
        self._designs, self._log = tuple(designs), log
        self._windows: dict[str, tuple[int, int]] = {}

    def forget_client(self) -> None:
        """Take back all that a client had; what is programmed stays, idle."""
        buffers = self.memory.release_all()
        if buffers:
            self._log(f"{buffers} buffers freed that the client left behind")
        self._windows.clear()
        self.pins.release_all()
        self.attributes = None
        self.fabric.reset()

    def window(self, base: int, length: int) -> str:
        """The identifier of a range of addresses; nothing is accessed yet.

        Raises:
            Refusal: no range of whole words.
        """
        if base % _WORD or not _WORD <= length <= 1 << 32 or base + length > 1 << 64:
            malformed(f"a window of {length:,} bytes at 0x{base:x}: give 4 to 2^32 bytes from a multiple of 4 on")
        name = f"0x{base:x}+0x{length:x}"
        if name not in self._windows and len(self._windows) >= _MOST_WINDOWS:
            raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{_MOST_WINDOWS:,} windows are open: use fewer")
        self._windows[name] = (base, length)
        return name

    def read(self, window: str, offset: int, length: int, waited_for: Callable[[], bool]) -> int:
        """The low `length` bytes (1, 2 or 4) of the word at an offset.

        Raises:
            Refusal: outside the window, or nothing answers there.
        """
        if length not in (1, 2, 4):
            malformed(f"{length:,} bytes at once: the protocol carries one word, so read 1, 2 or 4 bytes")
        address = self._address(window, offset, length)
        return self._read(address, waited_for) & (1 << 8 * length) - 1

    def write(self, window: str, offset: int, data: bytes) -> None:
        """Write a word at an offset.

        Raises:
            Refusal: outside the window, not one word, or nothing answers there.
        """
        if len(data) != _WORD:
            malformed(
                f"{len(data):,} bytes to write: the server on a board writes the first word and drops the others, so "
                "write 4 bytes at a time"
            )
        self._write(self._address(window, offset, _WORD), int.from_bytes(data, "little"))

    def set_clock(self, index: int, first: int, second: int, mhz: int) -> None:
        """Set a clock of the programmable logic: to both dividers, or where these are 0 to a frequency.

        Raises:
            Refusal: no such clock, divider or frequency.
        """
        if not 0 <= index < CLOCKS:
            malformed(f"clock {index} of the programmable logic: there are 0 to {CLOCKS - 1}")
        source = self.ps.source_mhz(self.registers)
        if not first or not second:
            if mhz <= 0:
                malformed(f"clock {index}: dividers {first} and {second}, {mhz} MHz: give both dividers or a frequency")
            if first or second:
                other = max(1, round(source / mhz / (first or second)))
                first, second = first or other, second or other
            else:
                first, second = self.ps.nearest(mhz)
        if not (1 <= first < 64 and 1 <= second < 64):
            malformed(f"clock {index}: dividers {first} and {second}: give 1 to 63")
        address = self.ps.clocks[index]
        self._write(address, self.ps.divided(self.registers[address], (first, second)))

    def _address(self, window: str, offset: int, length: int) -> int:
        if window not in self._windows:
            unknown(f"there is no window {quoted(window)}: its client's connection had ended; map the range again")
        base, size = self._windows[window]
        if offset % _WORD:
            malformed(f"offset 0x{offset:x}: give a multiple of 4")
        if offset + length > size:
            raise Refusal(
                grpc.StatusCode.OUT_OF_RANGE, f"{length:,} bytes at offset 0x{offset:x} of a window of {size:,} bytes"
            )
        return base + offset

    def _read(self, address: int, waited_for: Callable[[], bool]) -> int:
        if address in self.registers:
            return self.registers[address]
        if (at := self._in_memory(address)) is not None:
            return int.from_bytes(self.memory.data[at : at + _WORD].tobytes(), "little")
        if self.fabric.holds(address):
            return self.fabric.read(address, waited_for)
        self._nothing(address)

    def _write(self, address: int, value: int) -> None:
        if address in self.registers:
            before = self._clocks()
            self.registers[address] = value
            for i, (old, new) in enumerate(zip(before, self._clocks(), strict=True)):
                if old != new:
                    self._log(f"clock {i} of the programmable logic: {new:.6g} MHz")
        elif (at := self._in_memory(address)) is not None:
            self.memory.data[at : at + _WORD] = np.frombuffer(value.to_bytes(_WORD, "little"), np.uint8)
        elif self.fabric.holds(address):
            self.fabric.write(address, value)
        else:
            self._nothing(address)

    def _nothing(self, address: int) -> NoReturn:
        """Refuse an access that no part of the board answers; a real one hangs, or takes a bus error."""
        for design in self._designs:
            if design.base_address <= address < design.base_address + design.control_bytes:
                code, text = grpc.StatusCode.FAILED_PRECONDITION, f"{design.name} is not loaded: download its bitstream"
                raise Refusal(code, f"nothing answers at address 0x{address:x}, because {text}")
        unknown(
            f"nothing answers at address 0x{address:x}: the virtual board has device memory, the registers of clocks "
            "and port widths, and those of the kernel that is loaded"
        )

    def _in_memory(self, address: int) -> int | None:
        at = address - self.memory.base
        return at if 0 <= at <= len(self.memory.data) - _WORD else None

    def _clocks(self) -> list[float]:
        return [self.ps.clock_mhz(self.registers, i) for i in range(CLOCKS)]

    def _program(self, name: str, data: bytes) -> None:
        design = next((d for d in self._designs if d.bitstream == data), None)
        if design is None:
            raise Refusal(
                grpc.StatusCode.FAILED_PRECONDITION, f"{name} is refused, and removed: {self._fault(name, data)}"
            )
        self.fabric.program(design)
        mhz = self.ps.clock_mhz(self.registers, 0)
        self._log(f"programmed with {design.name}, {design.file}; clock 0 of the programmable logic: {mhz:.6g} MHz")
        if abs(mhz / design.mhz - 1) > 0.01:
            self._log(f"{design.name} is built for {design.mhz:g} MHz, and simulated at that")

    def _fault(self, name: str, data: bytes) -> str:
        meant = next((d for d in self._designs if d.file == name), None)
        if meant is None:
            served = ", ".join(d.file for d in self._designs)
            return f"its {len(data):,} bytes are no bitstream of a bundle that is served; those are {served}"
        there = len(meant.bitstream)
        if len(data) != there and data == meant.bitstream[: len(data)]:
            return f"only {len(data):,} of {there:,} bytes arrived: upload it again"
        first = next((i for i, (a, b) in enumerate(zip(data, meant.bitstream, strict=False)) if a != b), there)
        return f"from byte {first:,} on it is not the bitstream of the bundle that is served: serve the newer bundle"


def _fixed_files(board: Board, architecture: str, compatible: str) -> dict[str, bytes]:
    return {
        "/proc/version": f"Linux version 6.6.0-gatewright-virtual (virtual board, {architecture}) #1 SMP\n".encode(),
        "/proc/device-tree/chosen/pynq_board": board.name.encode() + b"\0",
        "/proc/device-tree/compatible": compatible.encode() + b"\0",
        "/proc/device-tree/model": board.title.encode() + b"\0",
        "/sys/class/fpga_manager/fpga0/name": b"Gatewright virtual FPGA manager\n",
        "xrt_device": b"edge",
    }

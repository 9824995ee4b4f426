# SPDX-License-Identifier: Apache-2.0
"""What the driver asks of a device, whatever lies between the two: pynq, or a serial line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Mapping, Protocol

from .bundle import Bundle
from .kernel_map import Argument, KernelMap, Weights
from .packing import Bytes

PYNQ, UART = "pynq", "uart"


class Buffer(Protocol):
    """Frames of an argument in device memory.

    Attributes:
        array: uint8 of shape (frames, frame_bytes), the host's side.
        address: on the device's bus.
    """

    array: Bytes
    address: int

    def flush(self, frames: int) -> None:
        """Host to device, at least the first so many frames."""

    def invalidate(self, frames: int) -> None:
        """Device to host, likewise."""

    def free(self) -> None:
        """Give the memory back; the array must not be used any more."""


@dataclass(frozen=True)
class Room:
    """What device memory holds at once.

    Attributes:
        slots: sets of buffers, 1 or 2; with two, one is filled while the kernel works on the other.
        frames: of every set, where its size is fixed; None where buffers are made for each size of batch.
        piece_bytes: of frames that are worth a run of their own, so that moving them and computing overlap.
    """

    slots: int
    frames: int | None
    piece_bytes: int


class Transport(Protocol):
    """A device that holds a bundle's kernel, or is given it.

    Attributes:
        calls, seconds: exchanges with it so far, and time in them.
        lost: it went away.
        broken: the kernel hangs until its bitstream is loaded again, or is no longer what it was.
        resettable: a button or another program may reset it, or give it another design, while the driver has it.
        label: how messages name it.
        reload: what to do where it holds another design, or hangs.
    """

    broken: bool
    resettable: bool
    label: str
    reload: str

    @property
    def calls(self) -> int: ...

    @property
    def seconds(self) -> float: ...

    @property
    def lost(self) -> bool: ...

    def read(self, offset: int) -> int:
        """A register of 32 bits."""

    def write(self, offset: int, value: int) -> None:
        """A register of 32 bits."""

    def snapshot(self, kernel: KernelMap) -> Callable[[int], int]:
        """Reads registers for `state.read_state`; in one go where that is quicker."""

    def room(self, kernel: KernelMap) -> Room:
        """What its memory holds.

        Raises:
            DeviceMemoryError: not even a single frame, or not the weights.
        """

    def buffer(self, argument: Argument | Weights, frames: int) -> Buffer:
        """Memory where the argument's port reaches it, cleared on the host's side.

        Raises:
            DeviceMemoryError: there is no room.
        """

    def counters(self) -> Mapping[str, int]:
        """What went wrong on the way and was done again, by name; empty where there is nothing to count."""

    def close(self) -> None:
        """Let go of the device; never fails."""


def load_command(board: str, file: str) -> str:
    """What puts a bitstream onto a board on a serial port; openFPGALoader finds most cables without a board's name."""
    name = " -b ulx3s" if board.startswith("ulx3s") else ""
    return f"openFPGALoader{name} {file}"


def connect(bundle: Bundle, where: object, download: bool) -> Transport:
    """The device of a bundle.

    Args:
        bundle: what runs there; it says how the device is reached.
        where: as for `Accelerator`.
        download: whether to load the bitstream where the driver can.

    Raises:
        ConfigError: a device of the other kind.
        DeviceError: no device, or nothing that answers there.
    """
    if bundle.transport == UART:
        from .serial_device import SerialDevice

        return SerialDevice(bundle, where)
    from .device import Device

    return Device(bundle, where, download)

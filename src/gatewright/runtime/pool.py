# SPDX-License-Identifier: Apache-2.0
"""Buffers in device memory, kept from one batch to the next."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import DeviceError, DeviceMemoryError
from .kernel_map import Argument, KernelMap, Weights
from .transport import Buffer, Room, Transport

KEPT = 4
"""Batch sizes whose buffers are kept."""


@dataclass
class Slot:
    """A buffer for every argument of the kernel.

    Attributes:
        inputs, outputs: the buffers.
        arguments: what the kernel's registers must hold, by offset: the buffers' addresses.
    """

    inputs: list[Buffer]
    outputs: list[Buffer]
    arguments: dict[int, int]

    def free(self) -> None:
        """Give all buffers back."""
        for buffer in self.inputs + self.outputs:
            buffer.free()


class Pool:
    """Two slots for every size of batch that was run lately, so that one is filled while the kernel works on the other.

    pynq reads a buffer back whole, therefore a small batch does not use the buffers of a large one: sizes are rounded
    up to an eighth of a power of two, and a few of them are kept. Where memory says how many frames a slot has
    (`Room.frames`), two slots serve all sizes.
    """

    def __init__(self, kernel: KernelMap, device: Transport) -> None:
        self._kernel, self._device = kernel, device
        self._slots: OrderedDict[tuple[int, int], Slot] = OrderedDict()
        self._weights: list[Buffer] = []

    @property
    def room(self) -> Room:
        """What the device's memory holds."""
        return self._device.room(self._kernel)

    def load_weights(self, folder: Path) -> dict[int, int]:
        """Put what the kernel reads again and again into memory, for as long as the device is open.

        Args:
            folder: of the bundle, whose files were checked.

        Returns:
            What the kernel's registers must hold, by offset.

        Raises:
            DeviceMemoryError: no room for it.
        """
        registers: dict[int, int] = {}
        for weights in self._kernel.weights:
            buffer = self._device.buffer(weights, 1)
            self._weights.append(buffer)
            buffer.array[0] = np.frombuffer((folder / weights.file).read_bytes(), np.uint8)
            buffer.flush(1)
            registers.update(self._registers(buffer, weights))
        return registers

    def slot(self, frames: int, which: int, busy: Slot | None) -> Slot:
        """A slot with room for so many frames.

        Args:
            which: 0 or 1, of the two of that size.
            busy: the slot that the kernel works on, if any, which is not given back.

        Raises:
            DeviceMemoryError: no room for it, even without those of other sizes.
        """
        grain = max(1, 1 << max(0, frames.bit_length() - 4))
        key = (self.room.frames or -(-frames // grain) * grain, which)
        if key not in self._slots:
            if len(self._slots) >= 2 * KEPT:
                self._slots.popitem(last=False)[1].free()
            try:
                slot = self._allocated(key[0])
            except DeviceMemoryError:
                if not self._drop_all_but(busy):
                    raise
                slot = self._allocated(key[0])
            self._slots[key] = slot
        self._slots.move_to_end(key)
        return self._slots[key]

    def close(self) -> None:
        """Free everything; what a device that went away does not take back is left to it."""
        while self._slots or self._weights:
            try:
                if self._weights:
                    self._weights.pop().free()
                else:
                    self._slots.popitem()[1].free()
            except DeviceError:
                continue

    def _drop_all_but(self, busy: Slot | None) -> bool:
        """Whether anything was given back."""
        idle = [key for key, slot in self._slots.items() if slot is not busy]
        for key in idle:
            self._slots.pop(key).free()
        return bool(idle)

    def _allocated(self, frames: int) -> Slot:
        slot = Slot([], [], {})
        try:
            for i, argument in enumerate(self._kernel.arguments):
                buffer = self._device.buffer(argument, frames)
                (slot.inputs if i < len(self._kernel.inputs) else slot.outputs).append(buffer)
                slot.arguments.update(self._registers(buffer, argument))
        except BaseException:
            if not self._device.lost:
                slot.free()
            raise
        return slot

    def _registers(self, buffer: Buffer, argument: Argument | Weights) -> dict[int, int]:
        """What the two registers of an address must hold."""
        if buffer.address % (self._kernel.bus_bits // 8):
            raise DeviceError(
                f"the buffer of {argument.name!r} lies at 0x{buffer.address:x}, which is no multiple of the "
                f"{self._kernel.bus_bits // 8} bytes of a bus word: use another memory"
            )
        return {argument.register: buffer.address & 0xFFFFFFFF, argument.register + 4: buffer.address >> 32}

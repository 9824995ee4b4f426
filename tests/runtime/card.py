# SPDX-License-Identifier: Apache-2.0
"""A device of pynq in this process, as an Alveo card is one: registers through the driver, memory in banks.

Alveo cards have no PYNQ.remote and no virtual board. This is a device by pynq's own rules (a subclass of its `Device`,
its `PynqBuffer`, its `MMIO` on registers that are read and written one by one), on the compiled kernel.
"""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np

from gatewright.runtime.device import quiet
from gatewright.runtime.kernel_map import KernelMap
from gatewright.sim.kernel import KernelModel, KernelProcess, MemoryModel

with quiet():
    from pynq.buffer import PynqBuffer
    from pynq.pl_server.device import Device

PHYSICAL = 0x1A0_0000
BANK_BYTES = 1 << 20


class Bank:
    """A memory bank, of which buffers take pages from the front.

    Attributes:
        allocated: addresses so far.
    """

    def __init__(self, card: Card, name: str, base: int) -> None:
        self.card, self.name, self.base = card, name, base
        self.next = base
        self.allocated: list[int] = []

    def allocate(self, shape: Any, dtype: Any, **_: Any) -> PynqBuffer:
        """A buffer whose host side is memory of its own, as XRT's are."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        address = self.next
        if address + size > self.base + BANK_BYTES:
            raise RuntimeError("BO allocation failed: Cannot allocate memory")
        self.next += -(-size // 4096) * 4096
        self.allocated.append(address)
        return PynqBuffer(
            shape, dtype, device=self.card, device_address=address, bo=address, buffer=bytearray(size), coherent=False
        )


class Card(Device):
    """A card with two banks, on a kernel that is simulated here."""

    def __init__(self, model: KernelModel, kernel: KernelMap) -> None:
        super().__init__("card")
        self.capabilities = {"REGISTER_RW": True, "CALLABLE": True}
        self.name = "card"
        self.kernel = kernel
        self.process: KernelProcess = model.start(MemoryModel(base=1 << 33, bytes=2 * BANK_BYTES))
        self.banks = {n: Bank(self, n, (1 << 33) + i * BANK_BYTES) for i, n in enumerate(("DDR[0]", "DDR[1]"))}
        self.downloads = 0

    def get_bitfile_metadata(self, name: str, partial: bool = False) -> Any:
        """What pynq finds in a .xclbin: the kernel's address, and the bank that each argument was linked to."""
        banks = list(self.banks)
        registers = {
            a.name: {"address_offset": a.register, "memory": banks[i % 2]} for i, a in enumerate(self.kernel.arguments)
        }
        instance = {"phys_addr": PHYSICAL, "addr_range": 4096, "type": f"xilinx.com:hls:{self.kernel.kernel}:1.0",
                    "registers": registers, "fullpath": f"{self.kernel.kernel}_1"}  # fmt: skip
        return SimpleNamespace(
            ip_dict={f"{self.kernel.kernel}_1": instance}, mem_dict={}, gpio_dict={}, interrupt_pins={},
            interrupt_controllers={}, hierarchy_dict={}, clock_dict={}, systemgraph=None,
        )  # fmt: skip

    def download(self, bitstream: Any, parser: Any = None) -> None:
        """Program the card: the kernel is reset, memory stays."""
        self.downloads += 1
        self.process.mend()
        self.process.reset()

    def get_memory_by_name(self, name: str) -> Bank:
        """A bank."""
        return self.banks[name]

    def read_registers(self, address: int, length: int) -> bytes:
        """A register; reading the control register of a running kernel lets it go on, for time passes between polls."""
        if address == PHYSICAL:
            self.process.wait(20_000)
        return self.process.read(address - PHYSICAL).to_bytes(4, "little")

    def write_registers(self, address: int, data: bytes) -> None:
        """Write a register."""
        self.process.write(address - PHYSICAL, int.from_bytes(data, "little"))

    def flush(self, bo: int, offset: int, pointer: int, size: int) -> None:
        """Host to card."""
        self._device_side(bo, size)[:] = self._host_side(pointer, size)

    def invalidate(self, bo: int, offset: int, pointer: int, size: int) -> None:
        """Card to host."""
        self._host_side(pointer, size)[:] = self._device_side(bo, size)

    def _device_side(self, address: int, size: int) -> Any:
        at = address - (1 << 33)
        return self.process.memory[at : at + size]

    @staticmethod
    def _host_side(pointer: int, size: int) -> Any:
        return np.ctypeslib.as_array((ctypes.c_ubyte * size).from_address(pointer))

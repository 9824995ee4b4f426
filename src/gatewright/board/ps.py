# SPDX-License-Identifier: Apache-2.0
"""The processing system of a Zynq, as far as software meets it: clocks that divide PLLs, and registers that hold.

`pynq.Clocks` reads PLLs and dividers and writes dividers; `Overlay` of an UltraScale+ also sets widths of AXI ports.
Registers hold what was written; nothing else follows from them: a kernel's time is its cycles over its bundle's clock.

Sources: UG585 (Zynq-7000, appendix B: slcr) and UG1087 (UltraScale+: CRL_APB, CRF_APB, FPD_SLCR, LPD_SLCR, AFIFM).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gatewright.boards import Board
from gatewright.errors import ConfigError

CLOCKS = 4
"""Clocks that a processing system gives to the programmable logic."""
_DIVIDER_BITS = 6


@dataclass(frozen=True)
class ProcessingSystem:
    """One family's registers and what they say after boot.

    Attributes:
        architecture: as `uname -m` says it.
        compatible: what the device tree's root says.
        metadata: name of its IP in a hardware handoff.
        reference_mhz: of the oscillator that all PLLs multiply; what `pynq.Clocks` assumes.
        pins: first number and count of pins that the kernel's GPIO driver has.
        clocks: address of each clock's control register.
        dividers: lowest bit of both dividers in it.
        source: the PLL that clocks come from after boot, by the address of its control register.
        feedback: lowest bit and width of a PLL's multiplier.
        halving: the bit of a PLL that halves its frequency; None where there is none.
        registers: value after boot by address.
    """

    architecture: str
    compatible: str
    metadata: str
    reference_mhz: float
    pins: tuple[int, int]
    clocks: tuple[int, ...]
    dividers: tuple[int, int]
    source: int
    feedback: tuple[int, int]
    halving: int | None
    registers: Mapping[int, int]

    def source_mhz(self, registers: Mapping[int, int]) -> float:
        """Frequency of the PLL that the clocks come from."""
        (low, bits), value = self.feedback, registers[self.source]
        halved = self.halving is not None and value >> self.halving & 1
        return self.reference_mhz * (value >> low & (1 << bits) - 1) / (2 if halved else 1)

    def clock_mhz(self, registers: Mapping[int, int], index: int) -> float:
        """Frequency of clock `index`, 0 where it is divided by nothing."""
        product = 1
        for low in self.dividers:
            product *= registers[self.clocks[index]] >> low & (1 << _DIVIDER_BITS) - 1
        return self.source_mhz(registers) / product if product else 0.0

    def divided(self, value: int, dividers: tuple[int, int]) -> int:
        """A clock's control register with other dividers."""
        for low, divider in zip(self.dividers, dividers, strict=True):
            value = value & ~((1 << _DIVIDER_BITS) - 1 << low) | divider << low
        return value

    def nearest(self, mhz: float) -> tuple[int, int]:
        """Both dividers of the frequency nearest to `mhz` that the PLL after boot can give."""
        source, limit = self.source_mhz(self.registers), 1 << _DIVIDER_BITS
        pairs = ((first, second) for first in range(1, limit) for second in range(1, first + 1))
        return min(pairs, key=lambda p: (abs(source / (p[0] * p[1]) - mhz), p[1]))


def _zynq() -> ProcessingSystem:
    slcr = 0xF800_0000
    clocks = tuple(slcr + 0x170 + 0x10 * i for i in range(CLOCKS))
    registers = {
        slcr + 0x100: 26 << 12,  # ARM PLL: 1,300 MHz
        slcr + 0x104: 21 << 12,  # DDR PLL: 1,050 MHz
        slcr + 0x108: 20 << 12,  # I/O PLL: 1,000 MHz
        slcr + 0x120: 0x1F00_0200,  # both cores at half the ARM PLL
        **dict.fromkeys(clocks, 1 << 20 | 10 << 8),
    }
    return ProcessingSystem(
        architecture="armv7l", compatible="xlnx,zynq-7000", metadata="processing_system7", reference_mhz=50.0,
        pins=(906, 118), clocks=clocks, dividers=(8, 20), source=slcr + 0x108,
        feedback=(12, 7), halving=None, registers=MappingProxyType(registers),
    )  # fmt: skip


def _ultrascale() -> ProcessingSystem:
    crl, crf = 0xFF5E_0000, 0xFD1A_0000
    clocks = tuple(crl + 0xC0 + 4 * i for i in range(CLOCKS))
    registers = {
        crl + 0x20: 45 << 8,  # I/O PLL: 1,500 MHz
        crl + 0x30: 1 << 16 | 48 << 8,  # RPU PLL: 800 MHz
        crf + 0x20: 1 << 16 | 72 << 8,  # APU PLL: 1,200 MHz
        crf + 0x2C: 1 << 16 | 64 << 8,  # DDR PLL: 1,067 MHz
        crf + 0x38: 1 << 16 | 64 << 8,  # video PLL
        crf + 0x60: 0x0300_0100,  # all cores at the APU PLL
        **dict.fromkeys(clocks, 1 << 24 | 1 << 16 | 15 << 8),
        0xFD61_5000: 0,  # widths of the masters into the programmable logic (FPD)
        0xFF41_9000: 0,  # likewise (LPD)
        **{base + offset: 0 for base in _AFIFM for offset in (0x0, 0x14)},
    }
    return ProcessingSystem(
        architecture="aarch64", compatible="xlnx,zynqmp", metadata="zynq_ultra_ps_e", reference_mhz=33.333,
        pins=(338, 174), clocks=clocks, dividers=(8, 16), source=crl + 0x20,
        feedback=(8, 7), halving=16, registers=MappingProxyType(registers),
    )  # fmt: skip


_AFIFM = (*(0xFD36_0000 + 0x1_0000 * i for i in range(6)), 0xFF9B_0000)
"""The AXI FIFO interfaces, one a slave port: widths to read and to write with."""
_FAMILIES = {"xc7": _zynq(), "xcup": _ultrascale()}


def processing_system(board: Board) -> ProcessingSystem:
    """The processing system of a Zynq board.

    Raises:
        ConfigError: the board has none.
    """
    if board.flow == "nextpnr":
        raise ConfigError(
            f"board {board.name} has no processing system, which PYNQ would run on: a host reaches its kernel over a "
            "serial port"
        )
    if board.flow != "vivado":
        raise ConfigError(
            f"board {board.name} is a card without a processing system, which PYNQ reaches by XRT and not over the "
            "network: build for a Zynq board, such as pynq-z2 or zcu104, to simulate it"
        )
    return _FAMILIES[board.family]

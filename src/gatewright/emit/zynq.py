# SPDX-License-Identifier: Apache-2.0
"""The processing systems of Zynqs, as far as programmable logic meets them: ports, pins, clocks.

Sources: PG082 (Processing System 7), PG201 (Zynq UltraScale+ MPSoC Processing System), UG585 and UG1085 (clocks).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from gatewright.errors import ConfigError

DIVIDER_BITS = 6
"""Of both dividers of a clock for the programmable logic (UG585 FPGA_CLK_CTRL, UG1087 PL_REF_CTRL)."""


def port_number(port: str) -> int:
    """Of a memory port of either family."""
    return int(port.removeprefix("S_AXI_HP").removesuffix("_FPD"))


@dataclass(frozen=True)
class Zynq:
    """A family's processing system, as a block design sees it.

    Attributes:
        ip: its name in the IP catalog.
        control: the port from which the kernel's registers are reached.
        control_clock, clock, reset, interrupt: pins.
        ports, widths: for memory: their names, and how many bits each may have.
        segment: of the memory behind a port, as a pattern.
        automation: what its automation is told besides the preset: to make pins of the chip of some interfaces.
        oscillator_mhz, multiplier: in front of the I/O PLL, and its own, as PYNQ's images leave it.
        reached: the parameter that says which frequency it will have.
    """

    ip: str
    control: str
    control_clock: str
    clock: str
    reset: str
    interrupt: str
    ports: tuple[str, ...]
    widths: tuple[int, ...]
    segment: str
    automation: str
    oscillator_mhz: float
    multiplier: int
    reached: str

    @property
    def cell(self) -> str:
        """Its instance."""
        return f"{self.ip}_0"

    def clock_of(self, port: str) -> str:
        """The clock of a memory port."""
        return f"{port}_ACLK" if self.ip == "processing_system7" else f"saxihp{port_number(port)}_fpd_aclk"


FAMILIES: Mapping[str, Zynq] = {
    "xc7": Zynq(
        ip="processing_system7", control="M_AXI_GP0", control_clock="M_AXI_GP0_ACLK", clock="FCLK_CLK0",
        reset="FCLK_RESET0_N", interrupt="IRQ_F2P",
        ports=tuple(f"S_AXI_HP{i}" for i in range(4)), widths=(32, 64), segment="DDR_LOWOCM",
        automation='make_external "FIXED_IO, DDR" Master "Disable" Slave "Disable"',
        oscillator_mhz=50.0, multiplier=20, reached="PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ",
    ),
    "xcup": Zynq(
        ip="zynq_ultra_ps_e", control="M_AXI_HPM0_FPD", control_clock="maxihpm0_fpd_aclk", clock="pl_clk0",
        reset="pl_resetn0", interrupt="pl_ps_irq0",
        ports=tuple(f"S_AXI_HP{i}_FPD" for i in range(4)), widths=(32, 64, 128), segment="DDR_LOW", automation="",
        oscillator_mhz=33.333, multiplier=45, reached="PSU__CRL_APB__PL0_REF_CTRL__ACT_FREQMHZ",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Clock:
    """A clock that a processing system can give: its dividers, and what they make of the I/O PLL."""

    dividers: tuple[int, int]
    mhz: float


def clock(zynq: Zynq, mhz: float) -> Clock:
    """The fastest clock that is not faster than what is asked for.

    Raises:
        ConfigError: it is slower than all that there are.
    """
    pll, limit = zynq.oscillator_mhz * zynq.multiplier, 1 << DIVIDER_BITS
    pairs = [(first, second) for first in range(1, limit) for second in range(1, first + 1)]
    # A thousandth more, because whoever writes 142.857 means a seventh of 1,000.
    fit = [p for p in pairs if pll / (p[0] * p[1]) <= mhz * 1.001]
    if not fit:
        least = pll / (limit - 1) ** 2
        raise ConfigError(f"mhz={mhz!r}: the processing system gives no clock below {math.ceil(least * 10) / 10} MHz")
    best = min(fit, key=lambda p: (p[0] * p[1], p[1]))
    return Clock(best, pll / (best[0] * best[1]))

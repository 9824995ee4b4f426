# SPDX-License-Identifier: Apache-2.0
"""The clock that a processing system gives for the one that is asked for (UG585 "Clocks", UG1085 "Clock Subsystem")."""

from __future__ import annotations

import re
from collections.abc import Mapping

ULTRA_PLL_MHZ = 33.333 * 45
"""Of the I/O PLL as PG201 begins with it: 33.333 MHz times 90, halved."""
_ZYNQ = re.compile(r"PCW_ACT_FPGA(\d)_PERIPHERAL_FREQMHZ")
_ULTRA = re.compile(r"PSU__CRL_APB__PL(\d)_REF_CTRL__ACT_FREQMHZ")


def reached(values: Mapping[str, str], name: str) -> str:
    """What a parameter of this name says under the others; nothing where it is no clock that was reached.

    A Zynq-7000 whose PLL is not set by hand is taken to reach what is asked for: which PLL the tool chooses then is not
    known here.
    """
    if match := _ZYNQ.fullmatch(name):
        number = match.group(1)
        wanted = float(values.get(f"PCW_FPGA{number}_PERIPHERAL_FREQMHZ") or 50)
        if values.get("PCW_OVERRIDE_BASIC_CLOCK", "0") != "1":
            return f"{wanted:.6f}"
        pll = float(values["PCW_CRYSTAL_PERIPHERAL_FREQMHZ"]) * float(values["PCW_IOPLL_CTRL_FBDIV"])
        divisors = (float(values[f"PCW_FCLK{number}_PERIPHERAL_DIVISOR{i}"]) for i in (0, 1))
        for divisor in divisors:
            pll /= divisor
        return f"{pll:.6f}"
    if match := _ULTRA.fullmatch(name):
        wanted = float(values.get(f"PSU__CRL_APB__PL{match.group(1)}_REF_CTRL__FREQMHZ") or 100)
        pairs = {a * b for a in range(1, 64) for b in range(1, 64)}
        return f"{min((ULTRA_PLL_MHZ / p for p in pairs), key=lambda f: abs(f - wanted)):.6f}"
    return ""

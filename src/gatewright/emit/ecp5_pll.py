# SPDX-License-Identifier: Apache-2.0
"""The clock of a design on an ECP5: settings of its PLL (EHXPLLL), and the text of an instance.

An oscillator of f MHz gives f * feedback / reference, by way of a VCO of that times output. Limits: FPGA-DS-02012 (ECP5
and ECP5-5G family data sheet), "sysCLOCK PLL Timing"; FPGA-TN-02200 (sysCLOCK usage guide) has the ports and dividers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from gatewright.errors import ConfigError

LEAST_IN_MHZ, MOST_IN_MHZ = 8.0, 400.0
LEAST_PHASE_MHZ, MOST_PHASE_MHZ = 3.125, 400.0
"""At the phase detector, behind the divider of the reference."""
LEAST_VCO_MHZ, MOST_VCO_MHZ = 400.0, 800.0
LEAST_OUT_MHZ, MOST_OUT_MHZ = 3.125, 400.0
MOST_REFERENCE, MOST_FEEDBACK, MOST_OUTPUT = 128, 80, 128
MIDDLE_VCO_MHZ = 600.0
TOLERANCE = 1e-6
"""Of the clock that is asked for, so that a figure with six digits may stand for a fraction."""


@dataclass(frozen=True)
class Pll:
    """A setting.

    Attributes:
        oscillator_mhz: what comes in.
        reference, feedback, output: dividers: CLKI_DIV, CLKFB_DIV, CLKOP_DIV.
    """

    oscillator_mhz: float
    reference: int
    feedback: int
    output: int

    @property
    def mhz(self) -> float:
        """What comes out."""
        return self.oscillator_mhz * self.feedback / self.reference

    @property
    def vco_mhz(self) -> float:
        """Of the oscillator inside."""
        return self.mhz * self.output


@lru_cache
def settings(oscillator_mhz: float) -> tuple[Pll, ...]:
    """One setting for every clock that the PLL makes, from the slowest on.

    Of several for one clock the one that compares phases most often, and whose VCO runs in the middle of its range.

    Raises:
        ConfigError: the PLL takes no such oscillator.
    """
    if not LEAST_IN_MHZ <= oscillator_mhz <= MOST_IN_MHZ:
        raise ConfigError(
            f"an oscillator of {oscillator_mhz:g} MHz: the PLL takes {LEAST_IN_MHZ:g} to {MOST_IN_MHZ:g} MHz"
        )
    found: dict[float, Pll] = {}
    for reference in range(1, MOST_REFERENCE + 1):
        if not LEAST_PHASE_MHZ <= oscillator_mhz / reference <= MOST_PHASE_MHZ:
            continue
        for feedback in range(1, MOST_FEEDBACK + 1):
            mhz = oscillator_mhz * feedback / reference
            if LEAST_OUT_MHZ <= mhz <= MOST_OUT_MHZ and (output := _output(mhz)):
                found.setdefault(round(mhz, 9), Pll(oscillator_mhz, reference, feedback, output))
    return tuple(found[mhz] for mhz in sorted(found))


def _output(mhz: float) -> int:
    """The divider that has the VCO nearest to the middle; 0 where none has it in its range."""
    legal = [n for n in range(1, MOST_OUTPUT + 1) if LEAST_VCO_MHZ <= mhz * n <= MOST_VCO_MHZ]
    return min(legal, key=lambda n: abs(mhz * n - MIDDLE_VCO_MHZ), default=0)


def reachable(oscillator_mhz: float) -> tuple[float, ...]:
    """All clocks in MHz, from the slowest on."""
    return tuple(pll.mhz for pll in settings(oscillator_mhz))


def choose(oscillator_mhz: float, mhz: float) -> Pll:
    """The setting for a clock.

    Raises:
        ConfigError: there is none; names the nearest clocks that there are.
    """
    found = settings(oscillator_mhz)
    nearest = min(found, key=lambda pll: abs(pll.mhz - mhz))
    if abs(nearest.mhz - mhz) <= TOLERANCE * mhz:
        return nearest
    below = [f"{pll.mhz:.6g}" for pll in found if pll.mhz < mhz][-1:]
    above = [f"{pll.mhz:.6g}" for pll in found if pll.mhz > mhz][:1]
    raise ConfigError(
        f"mhz={mhz!r}: the PLL makes no such clock of {oscillator_mhz:g} MHz: use {' or '.join(below + above)}"
    )


def instance(pll: Pll, clock_in: str, clock_out: str, locked: str) -> list[str]:
    """The lines of an instance.

    The attributes are what Lattice's own tools write for a loop filter, and those of Project Trellis take them over.
    """
    parameters = {
        "PLLRST_ENA": '"DISABLED"', "INTFB_WAKE": '"DISABLED"', "STDBY_ENABLE": '"DISABLED"',
        "DPHASE_SOURCE": '"DISABLED"', "OUTDIVIDER_MUXA": '"DIVA"', "OUTDIVIDER_MUXB": '"DIVB"',
        "OUTDIVIDER_MUXC": '"DIVC"', "OUTDIVIDER_MUXD": '"DIVD"', "CLKI_DIV": pll.reference,
        "CLKOP_ENABLE": '"ENABLED"', "CLKOP_DIV": pll.output, "CLKOP_CPHASE": max(0, pll.output // 2 - 1),
        "CLKOP_FPHASE": 0, "FEEDBK_PATH": '"CLKOP"', "CLKFB_DIV": pll.feedback,
    }  # fmt: skip
    # No phase is moved and nothing is reset or put to sleep.
    pins = {
        "RST": "1'b0", "STDBY": "1'b0", "CLKI": clock_in, "CLKOP": clock_out, "CLKFB": clock_out,
        "PHASESEL0": "1'b0", "PHASESEL1": "1'b0", "PHASEDIR": "1'b1", "PHASESTEP": "1'b1", "PHASELOADREG": "1'b1",
        "PLLWAKESYNC": "1'b0", "ENCLKOP": "1'b0", "LOCK": locked,
    }  # fmt: skip
    return [
        f'(* FREQUENCY_PIN_CLKI="{pll.oscillator_mhz:g}", FREQUENCY_PIN_CLKOP="{pll.mhz:g}", ICP_CURRENT="12", '
        'LPF_RESISTOR="8", MFG_ENABLE_FILTEROPAMP="1", MFG_GMCREF_SEL="2" *)',
        "EHXPLLL #(",
        "  " + ",\n      ".join(f".{name}({value})" for name, value in parameters.items()),
        ") i_pll (",
        "  " + ",\n      ".join(f".{name}({net})" for name, net in pins.items()) + ");",
    ]

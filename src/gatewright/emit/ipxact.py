# SPDX-License-Identifier: Apache-2.0
"""What an IP-XACT component says of a packaged top level: its buses, their pins, registers, and the sources.

`ipxact_xml` writes it; `stream_ip` and `kernel_ip` are the two that there are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gatewright.boards import Family
from gatewright.emit.files import FileSet

Bus = Literal["axis", "aximm", "clock", "reset", "interrupt"]
FAMILIES: Mapping[Family, tuple[str, ...]] = {
    "xc7": ("artix7", "kintex7", "spartan7", "virtex7", "zynq"),
    "xcup": ("kintexuplus", "virtexuplus", "virtexuplusHBM", "zynquplus"),
}
"""What Vivado calls the families that share a family's primitives; a family that is not here has no packaged IPs."""


@dataclass(frozen=True)
class Pin:
    """A port of the top level; `width` None is a scalar."""

    name: str
    direction: Literal["in", "out"]
    width: int | None = None


@dataclass(frozen=True)
class Field:
    """A bit of a register; `effect` is what an access does beside it, as in IP-XACT: ("readAction", "clear")."""

    name: str
    offset: int
    access: str
    description: str
    effect: tuple[str, str] | None = None


@dataclass(frozen=True)
class Register:
    """A register that can be read and written, of 32 bits, or of 64 that two accesses reach."""

    name: str
    offset: int
    description: str
    bits: int = 32
    fields: tuple[Field, ...] = ()
    parameters: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True)
class Interface:
    """Pins that make one bus.

    Attributes:
        mode: on which side of the bus the component is.
        pins: by their names in the bus' definition, in the order of the top level's ports.
        parameters: of the bus.
        registers: behind an AXI4-Lite slave.
        range_bytes: that an AXI4-Lite slave answers, or that an AXI4 master reaches.
    """

    name: str
    bus: Bus
    mode: Literal["slave", "master"]
    pins: Mapping[str, Pin]
    parameters: Mapping[str, str | int]
    description: str = ""
    registers: tuple[Register, ...] = ()
    range_bytes: int = 0


@dataclass(frozen=True)
class Component:
    """A packaged top level.

    Attributes:
        library: what kind of core it is, in the IP catalog.
        top: module, of the last Verilog source, whose ports are the interfaces' pins in their order.
        title, description: for people.
        sources: paths from the component's folder: Verilog in order of compilation, then memory files.
        revision: a number that differs where the sources do.
    """

    library: Literal["network", "kernel"]
    top: str
    title: str
    description: str
    interfaces: tuple[Interface, ...]
    sources: tuple[str, ...]
    family: Family
    revision: int

    @property
    def name(self) -> str:
        """In the IP catalog, whose names have no two underscores in a row."""
        return re.sub("_+", "_", self.top).strip("_")


def revision(sources: FileSet) -> int:
    """A number for the sources, so that a project which holds an older IP sees that it changed."""
    return int(sources.digest()[:7], 16) + 1


def clock_and_reset(clock: str, reset: str, buses: tuple[str, ...], mhz: float) -> tuple[Interface, Interface]:
    """A clock for all buses, and its reset, which is synchronous and active low.

    The frequency is what the design was made for; any other is allowed (FREQ_TOLERANCE_HZ -1).
    """
    parameters: dict[str, str | int] = {
        "ASSOCIATED_BUSIF": ":".join(buses),
        "ASSOCIATED_RESET": reset,
        "FREQ_HZ": round(mhz * 1e6),
        "FREQ_TOLERANCE_HZ": -1,
    }
    return (
        Interface(clock, "clock", "slave", {"CLK": Pin(clock, "in")}, parameters),
        Interface(reset, "reset", "slave", {"RST": Pin(reset, "in")}, {"POLARITY": "ACTIVE_LOW"}),
    )

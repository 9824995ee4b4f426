# SPDX-License-Identifier: Apache-2.0
"""Board records: `boards/<name_with_underscores>/board.toml` of every resource root. A new folder is a new board."""

from __future__ import annotations

import difflib
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from gatewright.config import check_bus_bits
from gatewright.errors import ConfigError
from gatewright.ir.op import resource_roots

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Family = Literal["xc7", "xcup", "ecp5"]
Flow = Literal["vivado", "vitis", "nextpnr"]

_KEYS: dict[str, type] = {
    "title": str, "part": str, "family": str, "flow": str, "mhz": float, "capacity": dict, "memory": dict,
}  # fmt: skip
_MEMORY_KEYS: dict[str, type] = {
    "bits": int, "ports": list, "base": int, "bytes": int, "latency_ns": float, "gbytes_per_s": float,
}  # fmt: skip
_MAY: dict[str, dict[str, type]] = {
    "clock": {"mhz": float}, "uart": {"baud": int}, "vitis": {"platform": str, "regions": int, "slr": list},
}  # fmt: skip
"""Tables that only some boards have."""
_MEMORY_MAY: dict[str, type] = {"banked": bool}
_NONE: Mapping[str, type] = MappingProxyType({})
_CONTROL_BASES: Mapping[tuple[str, str], int] = {
    ("vivado", "xc7"): 0x43C0_0000,
    ("vivado", "xcup"): 0xA000_0000,
    ("nextpnr", "ecp5"): 0x8000_0000,
}
"""By flow and family: of a Zynq where Vivado puts the first slave that its processor sees of the logic."""
PAGE = 4096
"""Bytes that no burst of AXI4 crosses the end of; memory is dealt in pages of them."""


@dataclass(frozen=True)
class Vitis:
    """A card as Vitis knows it.

    Attributes:
        platform: what v++ links for, by the name that it is installed under.
        regions: super logic regions of the part.
        slr: of every memory port of the board, the region (super logic region) that the memory's controller lies in.
    """

    platform: str
    regions: int
    slr: tuple[int, ...]


@dataclass(frozen=True)
class Board:
    """A board, as its record says.

    Attributes:
        name: on the command line, with hyphens.
        title: what the maker calls it.
        part: of the FPGA, with package and speed grade.
        family: "xc7" (7 series), "xcup" (UltraScale+) or "ecp5" (Lattice ECP5); decides which primitives there are.
        flow: what makes the bitstream: "vivado" (Zynq), "vitis" (Alveo) or "nextpnr" (open tools, a serial port).
        mhz: clock of the kernel unless another is asked for.
        capacity: how many of each resource the part has, by name: LUT, FF, BRAM36, DSP, URAM (ECP5: LUT, FF, EBR, DSP).
        memory_bits: the widest word that a memory port takes.
        memory_ports: what the kernel's memory masters connect to.
        memory_base: lowest address, as a master sees it, of the memory that buffers are taken from.
        memory_bytes: how much of it buffers can take; a board may have more. Where it is banked, of one bank.
        memory_latency_ns: from the address of a read to its first word, in an idle system.
        memory_gbytes_per_s: what one port carries in either direction, in 10^9 bytes a second.
        folder: where the record lies, and what its flow needs beside it.
        memory_banked: every port of the kernel has a bank of its own, `memory_bytes` long, one behind the other.
        oscillator_mhz: what the clock's pin is given, where no processing system makes clocks.
        uart_baud: of the serial port through which a host reaches the kernel, where there is one.
        vitis: of an Alveo card.

    Raises:
        ConfigError: a value that no board has.
    """

    name: str
    title: str
    part: str
    family: Family
    flow: Flow
    mhz: float
    capacity: Mapping[str, int]
    memory_bits: int
    memory_ports: tuple[str, ...]
    memory_base: int
    memory_bytes: int
    memory_latency_ns: float
    memory_gbytes_per_s: float
    folder: Path
    memory_banked: bool = False
    oscillator_mhz: float | None = None
    uart_baud: int | None = None
    vitis: Vitis | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "capacity", MappingProxyType(dict(self.capacity)))
        for key, legal in (("family", get_args(Family)), ("flow", get_args(Flow))):
            if getattr(self, key) not in legal:
                *most, last = legal
                raise ConfigError(f"board {self.name}: {key}={getattr(self, key)!r}: use {', '.join(most)} or {last}")
        if not self.mhz > 0:
            raise ConfigError(f"board {self.name}: mhz={self.mhz!r} must be above 0")
        for resource in ("LUT", "FF"):
            if resource not in self.capacity:
                raise ConfigError(f"board {self.name}: capacity has no {resource}; it has {', '.join(self.capacity)}")
        for resource, count in self.capacity.items():
            if type(count) is not int or count < 1:
                raise ConfigError(
                    f"board {self.name}: capacity {resource}={count!r} must be an integer of at least 1; "
                    "leave out a resource that the part lacks"
                )
        check_bus_bits(f"board {self.name}: memory bits", self.memory_bits)
        if not self.memory_ports or not all(isinstance(p, str) for p in self.memory_ports):
            raise ConfigError(f"board {self.name}: memory ports={self.memory_ports!r} must be a list of names")
        self._check_memory()
        self._check_vitis()
        self._check_open_flow()

    def _check_vitis(self) -> None:
        if self.vitis is None:
            return
        if self.flow != "vitis":
            raise ConfigError(f"board {self.name}: [vitis] is of no use to flow {self.flow!r}: leave it out")
        if not re.fullmatch(r"\w+", self.vitis.platform):
            raise ConfigError(
                f"board {self.name}: [vitis] platform={self.vitis.platform!r} must be the name that a platform is "
                "installed under, such as xilinx_u50_gen3x16_xdma_5_202210_1"
            )
        slr, regions = self.vitis.slr, self.vitis.regions
        if len(slr) != len(self.memory_ports) or not all(type(n) is int and 0 <= n < regions for n in slr):
            raise ConfigError(
                f"board {self.name}: [vitis] slr={list(slr)!r} must be a number from 0 on and below regions={regions} "
                f"for each of the memory ports {', '.join(self.memory_ports)}"
            )

    @property
    def constraints(self) -> Path:
        """Pins and their voltages, for a flow that has no description of the board of its own."""
        return self.folder / f"{self.folder.name}.lpf"

    def _check_open_flow(self) -> None:
        """What "nextpnr" needs, and what is of no use to others."""
        opened = self.flow == "nextpnr"
        if opened != (self.family == "ecp5"):
            raise ConfigError(
                f"board {self.name}: flow={self.flow!r} with family={self.family!r}: the flow nextpnr is that of the "
                "family ecp5, and of no other"
            )
        numbers = {"[clock] mhz": self.oscillator_mhz, "[uart] baud": self.uart_baud}
        for key, value in {**numbers, "[memory] banked": self.memory_banked or None}.items():
            if opened and value is None:
                raise ConfigError(
                    f"board {self.name}: {key} is missing: the flow nextpnr needs [clock] mhz, [uart] baud and "
                    "[memory] banked = true"
                )
            if value is not None and not opened:
                raise ConfigError(f"board {self.name}: {key} is of no use to flow {self.flow!r}: leave it out")
        for key, value in numbers.items():
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"board {self.name}: {key}={value!r} must be above 0")

    @property
    def control_base(self) -> int:
        """Where whoever starts the kernel finds its registers; 0 on a card, where its shell says so."""
        return _CONTROL_BASES.get((self.flow, self.family), 0)

    def _check_memory(self) -> None:
        base, size = self.memory_base, self.memory_bytes
        if base < 0 or base % PAGE:
            raise ConfigError(f"board {self.name}: memory base={base!r} must be a multiple of {PAGE} from 0 on")
        if size < PAGE or size % PAGE or base + size > 1 << 64:
            raise ConfigError(
                f"board {self.name}: memory bytes={size!r} must be a multiple of {PAGE} from {PAGE} on, "
                "and end below 2^64"
            )
        if not 0 <= self.memory_latency_ns < math.inf:
            raise ConfigError(f"board {self.name}: memory latency_ns={self.memory_latency_ns!r} must be 0 or more")
        if not 0 < self.memory_gbytes_per_s < math.inf:
            raise ConfigError(f"board {self.name}: memory gbytes_per_s={self.memory_gbytes_per_s!r} must be above 0")


def list_boards() -> tuple[str, ...]:
    """Names of all boards, sorted."""
    return tuple(sorted(_records()))


def load_board(name: str) -> Board:
    """The record of a board.

    Args:
        name: as on the command line, such as "pynq-z2".

    Raises:
        ConfigError: no such board, or its record is malformed.
    """
    records = _records()
    if name not in records:
        close = difflib.get_close_matches(re.sub(r"[_\s]+", "-", name.lower()), records, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigError(
            f"board {name!r} is unknown: {hint}known are {', '.join(sorted(records))} "
            "(GATEWRIGHT_PATH names folders with further ones)"
        )
    return _read(name, records[name])


def _records() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for root in resource_roots():
        for path in root.glob("boards/*/board.toml"):
            found.setdefault(path.parent.name.replace("_", "-"), path)
    return found


def _read(name: str, path: Path) -> Board:
    try:
        record = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is not a readable board record: {error}") from error
    _check_keys(str(path), record, _KEYS, dict.fromkeys(_MAY, dict))
    _check_keys(f"{path}: [memory]", record["memory"], _MEMORY_KEYS, _MEMORY_MAY)
    memory = {f"memory_{key}": value for key, value in record.pop("memory").items()}
    memory["memory_ports"] = tuple(memory["memory_ports"])
    found = {key: record.pop(key, None) for key in _MAY}
    for key, table in found.items():
        if table is not None:
            _check_keys(f"{path}: [{key}]", table, _MAY[key])
    clock, uart, vitis = (found[key] for key in ("clock", "uart", "vitis"))
    return Board(
        **record, **memory, name=name, folder=path.parent,
        oscillator_mhz=clock and clock["mhz"], uart_baud=uart and uart["baud"],
        vitis=vitis and Vitis(vitis["platform"], vitis["regions"], tuple(vitis["slr"])),
    )  # fmt: skip


def _check_keys(where: str, table: dict[str, Any], types: dict[str, type], may: Mapping[str, type] = _NONE) -> None:
    known = {**types, **may}
    if unknown := sorted(set(table) - set(known)):
        raise ConfigError(f"{where}: unknown key {unknown[0]!r}: the keys are {', '.join(known)}")
    if missing := [key for key in types if key not in table]:
        raise ConfigError(f"{where}: key {missing[0]!r} is missing: the keys are {', '.join(types)}")
    for key, value in table.items():
        kind = known[key]
        right = isinstance(value, (int, float) if kind is float else kind) and isinstance(value, bool) == (kind is bool)
        if not right:
            raise ConfigError(f"{where}: {key}={value!r} must be of type {kind.__name__}")

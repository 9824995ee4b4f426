# SPDX-License-Identifier: Apache-2.0
"""IPs: what the table says of AMD's, and what a component.xml says of others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from gatewright.synth.tcl_model.table import read

WHOLE = ((0, 1 << 64),)
"""The addresses of a master that says nothing else: base and range."""


@dataclass(frozen=True)
class Pin:
    """A pin of a cell.

    Attributes:
        name: of the pin.
        direction: "I" or "O".
        kind: "clk", "rst", "intr" or "data".
        width: in bits; 0 where it follows what is connected, of which there are `most` at most.
        required: an input that something must drive.
        high: of a reset: active high, low, or None for either.
        clock: of a reset: the pin it is synchronous to; "" for none.
    """

    name: str
    direction: str
    kind: str
    width: int = 1
    most: int = 0
    required: bool = False
    high: bool | None = None
    clock: str = ""


@dataclass(frozen=True)
class Segment:
    """What a slave answers: at an offset of its own, or at any (None)."""

    name: str
    offset: int | None
    size: int


@dataclass(frozen=True)
class Bus:
    """An interface of a cell.

    Attributes:
        name: of the interface.
        bus: "aximm", "axis", ...
        mode: "master" or "slave".
        protocol: "AXI4", "AXI3", "AXI4LITE", or "*" for any.
        width: of its data in bits; 0 is any.
        clock: pin; "*" for any clock of the cell; "" for none.
        space: of a master: the name of its addresses.
        apertures: those it reaches, base and range.
        map: of a slave: the name in front of its segments.
        segments: behind a slave.
        bridge: what comes in leaves by every master of the cell.
        external: it must be joined to a port.
    """

    name: str
    bus: str
    mode: str
    protocol: str = ""
    width: int = 0
    clock: str = ""
    space: str = ""
    apertures: tuple[tuple[int, int], ...] = WHOLE
    map: str = ""
    segments: tuple[Segment, ...] = ()
    bridge: bool = False
    external: bool = False


@dataclass(frozen=True)
class Core:
    """An IP of the catalog.

    Attributes:
        vlnv: without the version.
        versions: that are known.
        families: of parts that it is for.
        guide: who says so.
        parameters: beginning and type by name, or by pattern of names.
        buses, pins: under given values of the parameters.
        names: of further parameters, whose values the model does not judge.
        missing: files that the description names and that are not there.
    """

    vlnv: str
    versions: tuple[str, ...]
    families: tuple[str, ...]
    guide: str
    parameters: Mapping[str, tuple[str, str]]
    buses: Callable[[Mapping[str, str]], tuple[Bus, ...]]
    pins: Callable[[Mapping[str, str]], tuple[Pin, ...]]
    names: frozenset[str] = frozenset()
    missing: tuple[str, ...] = ()
    kernel: bool = False
    entry: Mapping[str, Any] = field(default_factory=dict)

    def kind(self, name: str) -> tuple[str, str] | None:
        """What a parameter begins with, and its type; None where there is none of that name."""
        for pattern, found in self.parameters.items():
            if re.fullmatch(pattern, name):
                return found
        return ("", "text") if name in self.names else None

    def beginning(self) -> dict[str, str]:
        """All parameters that the model judges, as they begin."""
        return {name: value for name, (value, _) in self.parameters.items() if re.fullmatch(r"\w+", name)}


# --- the table --------------------------------------------------------------------------------------------------------


@cache
def catalog() -> Mapping[str, Core]:
    """AMD's, by vlnv without the version."""
    extra = read("ps_parameters")
    return {entry["vlnv"]: _core(entry, extra) for entry in read("ip").values()}


def _core(entry: dict[str, Any], extra: Mapping[str, str]) -> Core:
    parameters = {name: (str(begin), str(kind)) for name, (begin, kind) in entry["parameters"].items()}
    return Core(
        entry["vlnv"],
        tuple(entry["versions"]),
        tuple(entry["families"]),
        entry["guide"],
        parameters,
        lambda values: tuple(_bus(e, v, values) for e, v in _unrolled(entry.get("interfaces", ()), values)),
        lambda values: tuple(_pin(e, v, values) for e, v in _unrolled(entry.get("pins", ()), values)),
        frozenset(extra.get(entry.get("names", ""), "").split()),
        entry=entry,
    )


def _true(value: str) -> bool:
    return value.lower() in ("1", "true", "yes", "on", "?")


def _unrolled(
    entries: Sequence[dict[str, Any]], values: Mapping[str, str]
) -> Iterator[tuple[dict[str, Any], dict[str, int]]]:
    """Each entry as often as it stands, with its numbers, where its conditions hold."""
    for entry in entries:
        count = entry.get("for", 1)
        count = int(values.get(count, "1")) if isinstance(count, str) else count
        first = entry.get("from", 0)
        for index in range(first, count + (1 if entry.get("through") else 0)):
            numbers = {"i": index, "n": index + entry.get("count_from", 0)}
            wanted = entry.get("when", "").format(**numbers).split()
            if all(_true(values.get(name, "0")) for name in wanted):
                yield entry, numbers


def _number(value: int | str, numbers: Mapping[str, int], values: Mapping[str, str]) -> int:
    """A number, or that of a parameter."""
    if isinstance(value, int):
        return value
    return int(values.get(value.format(**numbers), "0") or "0", 0)


def _bus(entry: dict[str, Any], numbers: dict[str, int], values: Mapping[str, str]) -> Bus:
    name = entry["name"].format(**numbers)
    apertures = entry.get("apertures")
    segments = []
    for label, offset, size, *when in entry.get("segments", ()):
        if all(_true(values.get(w, "0")) for w in when):
            # A parameter that gives a size is an address: the last one.
            length = size if isinstance(size, int) else _number(size, numbers, values) + 1
            segments.append(Segment(label.format(**numbers), offset, length))
    return Bus(
        name,
        entry["bus"],
        entry["mode"],
        entry.get("protocol", ""),
        _number(entry.get("width", 0), numbers, values),
        entry.get("clock", "").format(**numbers),
        entry.get("space", ""),
        WHOLE if apertures is None else tuple((a, b) for a, b in apertures[numbers["i"]]),
        entry.get("map", name).format(**numbers),
        tuple(segments),
        entry.get("bridge", False),
        entry.get("external", False),
    )


def _pin(entry: dict[str, Any], numbers: dict[str, int], values: Mapping[str, str]) -> Pin:
    high = entry.get("high", 1)
    return Pin(
        entry["name"].format(**numbers),
        entry["dir"],
        entry["type"],
        0 if "most" in entry else _number(entry.get("width", 1), numbers, values) or 1,
        entry.get("most", 0),
        entry.get("required", False),
        None if high == "?" else bool(high),
        entry.get("clock", "").format(**numbers),
    )

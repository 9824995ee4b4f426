# SPDX-License-Identifier: Apache-2.0
"""IPs: what the table says of AMD's, and what a component.xml says of others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from gatewright.synth.tcl_model.arguments import Complaint
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


# --- component.xml ----------------------------------------------------------------------------------------------------

_S = "{http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009}"
_X = "{http://www.xilinx.com}"


def component(path: Path) -> Core:
    """An IP by its description.

    Raises:
        Complaint: it cannot be read.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise Complaint(f"{path} cannot be read: {error}") from error
    vendor, library, name, version = (root.findtext(f"{_S}{k}", "") for k in ("vendor", "library", "name", "version"))
    buses = tuple(_component_buses(root))
    pins = tuple(_component_pins(root))
    files = [f.text or "" for f in root.iter(f"{_S}name") if f.text and _is_file(root, f)]
    settable = {
        n.findtext(f"{_S}name", ""): (n.findtext(f"{_S}value", "") or "", "text")
        for n in root.findall(f"{_S}parameters/{_S}parameter")
    }
    kernel = root.findtext(f".//{_X}sdxKernelAttributes/{_X}sdx_kernel", "false") == "true"
    return Core(
        f"{vendor}:{library}:{name}",
        (version,),
        tuple(f.text or "" for f in root.iter(f"{_X}family")),
        f"{path.name} of {vendor}:{library}:{name}:{version}",
        settable,
        lambda values: buses,
        lambda values: pins,
        missing=tuple(f for f in dict.fromkeys(files) if not (path.parent / f).is_file()),
        kernel=kernel,
    )


def _is_file(root: ElementTree.Element, name: ElementTree.Element) -> bool:
    return any(name is f.find(f"{_S}name") for f in root.iter(f"{_S}file"))


def _kind_of(bus: ElementTree.Element) -> tuple[str, dict[str, str]]:
    kind = bus.find(f"{_S}busType")
    label = kind.get(f"{_S}name", "") if kind is not None else ""
    parameters = {p.findtext(f"{_S}name", ""): p.findtext(f"{_S}value", "") or "" for p in bus.iter(f"{_S}parameter")}
    return label, parameters


def _component_buses(root: ElementTree.Element) -> Iterator[Bus]:
    clocks: dict[str, str] = {}
    for bus in root.iter(f"{_S}busInterface"):
        label, parameters = _kind_of(bus)
        if label == "clock":
            pin = bus.findtext(f".//{_S}physicalPort/{_S}name", "")
            clocks |= dict.fromkeys(parameters.get("ASSOCIATED_BUSIF", "").split(":"), pin)
    for bus in root.iter(f"{_S}busInterface"):
        label, parameters = _kind_of(bus)
        if label in ("clock", "reset", "interrupt"):
            continue
        name = bus.findtext(f"{_S}name", "")
        mode = "master" if bus.find(f"{_S}master") is not None else "slave"
        reference = bus.find(f"{_S}slave/{_S}memoryMapRef")
        map_name = reference.get(f"{_S}memoryMapRef", "") if reference is not None else ""
        yield Bus(
            name, label, mode, parameters.get("PROTOCOL", ""), int(parameters.get("DATA_WIDTH", "0") or "0"),
            clocks.get(name, ""), name if mode == "master" and label == "aximm" else "",
            map=map_name or name, segments=tuple(_blocks(root, map_name)),
        )  # fmt: skip


def _blocks(root: ElementTree.Element, map_name: str) -> Iterator[Segment]:
    for memory_map in root.iter(f"{_S}memoryMap"):
        if memory_map.findtext(f"{_S}name") == map_name:
            for block in memory_map.iter(f"{_S}addressBlock"):
                size = int(block.findtext(f"{_S}range", "0") or "0", 0)
                yield Segment(block.findtext(f"{_S}name", ""), None, size)


def _component_pins(root: ElementTree.Element) -> Iterator[Pin]:
    """Pins that are in no bus, or make one by themselves."""
    of_bus: dict[str, tuple[str, dict[str, str]]] = {}
    reset_clock: dict[str, str] = {}
    for bus in root.iter(f"{_S}busInterface"):
        label, parameters = _kind_of(bus)
        for port in bus.iter(f"{_S}physicalPort"):
            of_bus[port.findtext(f"{_S}name", "")] = label, parameters
        if label == "clock":
            for reset in parameters.get("ASSOCIATED_RESET", "").split(":"):
                reset_clock[reset] = bus.findtext(f".//{_S}physicalPort/{_S}name", "")
    kinds = {"clock": "clk", "reset": "rst", "interrupt": "intr"}
    for port in root.iter(f"{_S}port"):
        name = port.findtext(f"{_S}name", "")
        label, parameters = of_bus.get(name, ("", {}))
        if label not in ("", *kinds):
            continue
        direction = "O" if port.findtext(f"{_S}wire/{_S}direction") == "out" else "I"
        left = port.findtext(f"{_S}wire/{_S}vector/{_S}left", "0") or "0"
        driven = port.find(f"{_S}wire/{_S}driver") is not None
        yield Pin(
            name, direction, kinds.get(label, "data"), int(left, 0) + 1,
            required=direction == "I" and not driven,
            high=parameters.get("POLARITY", "ACTIVE_HIGH") == "ACTIVE_HIGH", clock=reset_clock.get(name, ""),
        )  # fmt: skip

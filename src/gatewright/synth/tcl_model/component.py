# SPDX-License-Identifier: Apache-2.0
"""An IP as its component.xml describes it (IP-XACT with the extensions of AMD)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from gatewright.synth.tcl_model.arguments import Complaint
from gatewright.synth.tcl_model.ip import Bus, Core, Pin, Segment

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
    files = dict.fromkeys(f.findtext(f"{_S}name", "") for f in root.iter(f"{_S}file"))
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
        missing=tuple(f for f in files if f and not (path.parent / f).is_file()),
        kernel=kernel,
    )


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

# SPDX-License-Identifier: Apache-2.0
"""What validation asks of the connections of a block design (UG994, "Validating a Block Design")."""

from __future__ import annotations

from collections.abc import Iterator

from gatewright.synth.tcl_model import ip, words
from gatewright.synth.tcl_model.blocks import Cell, Design
from gatewright.synth.tcl_model.wiring import drives


def faults(design: Design) -> Iterator[str]:
    """What is wrong with the connections."""
    for path, cell in design.cells.items():
        for pin in cell.pins:
            yield from _pin_faults(design, f"{path}/{pin.name}", cell, pin)
        for bus in cell.buses:
            yield from _bus_faults(design, f"{path}/{bus.name}", cell, bus)
    for net in (*design.nets.values(), *design.intf_nets.values()):
        for end in net:
            if not (end in design.ports or end in design.intf_ports or design.pin(end) or design.bus(end)):
                yield f"{end} is joined, and its cell has no such pin any more: its parameters changed"


def driver_of(design: Design, path: str) -> str | None:
    """What drives a pin; the pin itself where it is an output."""
    return next((e for e in design.nets.get(design.net_of(path) or "", ()) if drives(design, e)), None)


def _pin_faults(design: Design, path: str, cell: Cell, pin: ip.Pin) -> Iterator[str]:
    if pin.direction == "O":
        return
    driver = driver_of(design, path)
    if driver is None:
        if pin.required:
            what = {"clk": "clock ", "rst": "reset "}.get(pin.kind, "")
            yield f"{what}input {path} is not driven ({cell.core.guide})"
        return
    source = design.pin(driver)
    kind = source[1].kind if source else design.ports[driver].values["TYPE"]
    wrong = {"clk": kind not in ("clk",), "rst": kind in ("clk", "intr"), "intr": kind in ("clk", "rst")}
    if wrong.get(pin.kind, False):
        yield f"{path} ({pin.kind}) is driven by {driver} ({kind})"
    elif pin.kind == "rst" and source is not None and source[1].kind == "rst":
        yield from _reset_faults(design, path, cell, pin, driver, source[0], source[1])


def _reset_faults(
    design: Design, path: str, cell: Cell, pin: ip.Pin, driver: str, source: Cell, out: ip.Pin
) -> Iterator[str]:
    if pin.high is not None and out.high is not None and pin.high != out.high:
        level = {True: "high", False: "low"}
        yield f"reset {path} is active {level[pin.high]}, and {driver} is active {level[out.high]}"
    if not pin.clock:
        return
    mine = driver_of(design, f"{cell.name}/{pin.clock}")
    theirs = driver_of(design, f"{source.name}/{out.clock}") if out.clock else None
    if mine is not None and mine != theirs:
        yield (
            f"reset {path} must be synchronous to {mine}, and {driver} is "
            + (f"synchronous to {theirs}" if theirs else "asynchronous: put a proc_sys_reset between them")
            + " [BD 41-1347]"
        )


def clocks_of(design: Design, cell: Cell, bus: ip.Bus) -> set[str]:
    """What drives the clock of an interface; for "*" that of any clock of the cell."""
    names = [p.name for p in cell.pins if p.kind == "clk" and p.direction == "I"] if bus.clock == "*" else [bus.clock]
    return {d for n in names if (d := driver_of(design, f"{cell.name}/{n}"))}


def _bus_faults(design: Design, path: str, cell: Cell, bus: ip.Bus) -> Iterator[str]:
    end = design.other_end(path)
    if end is None:
        if bus.external:
            yield f"{path} must be joined to a port of the design, which the board's pins need ({cell.core.guide})"
        elif bus.bridge:
            yield f"{path} is joined to nothing: take NUM_SI and NUM_MI as they are needed ({cell.core.guide})"
        elif not cell.core.entry:
            yield f"{path} is joined to nothing"
        return
    other = design.bus(end)
    if other is None or bus.mode != "master":
        return
    far = other[1]
    if bus.bus in ("aximm", "axis"):
        if not bus.clock:
            yield f"{path} has no clock: ASSOCIATED_BUSIF of no clock names it"
        mine, theirs = clocks_of(design, cell, bus), clocks_of(design, *other)
        if mine and theirs and not mine & theirs:
            yield f"{path} is clocked by {words.several(sorted(mine))}, and {end} by {words.several(sorted(theirs))}"
    if "*" not in (bus.protocol, far.protocol) and bus.protocol != far.protocol:
        yield f"{path} speaks {bus.protocol}, and {end} {far.protocol}: put a SmartConnect between them [BD 41-237]"
    if bus.width and far.width and bus.width != far.width:
        yield f"{path} has {bus.width} bits, and {end} {far.width}: put a SmartConnect between them [BD 41-237]"

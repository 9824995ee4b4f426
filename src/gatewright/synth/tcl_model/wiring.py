# SPDX-License-Identifier: Apache-2.0
"""Connections of a block design, and what validation asks of them (UG994, "Making Connections", "Validating")."""

from __future__ import annotations

from gatewright.synth.tcl_model import words
from gatewright.synth.tcl_model.arguments import Call, Complaint
from gatewright.synth.tcl_model.blocks import Design, current
from gatewright.synth.tcl_model.model import Model, does
from gatewright.synth.tcl_model.objects import Thing

_AUTOMATION = {
    "xilinx.com:bd_rule:processing_system7": ("make_external", "apply_board_preset", "Master", "Slave"),
    "xilinx.com:bd_rule:zynq_ultra_ps_e": ("apply_board_preset",),
}
"""Rules of block automation and the keys of their -config (UG994, "Block Automation")."""


# --- nets of pins -----------------------------------------------------------------------------------------------------


@does("connect_bd_net")
def connect_bd_net(model: Model, call: Call) -> list[Thing]:
    """One driver, and any number of inputs; what is joined already brings its net along."""
    design = current(model)
    ends = [t.name for t in model.objects("bd_pin,bd_port", " ".join(call.several["objects"]))]
    if len(set(ends)) != len(ends):
        raise Complaint(f"connect_bd_net: {max(ends, key=ends.count)} stands twice")
    chosen = call.get("-net").lstrip("/")
    nets = list(dict.fromkeys(n for n in [chosen, *map(design.net_of, ends)] if n and n in design.nets))
    members = [e for n in nets for e in design.nets[n]]
    fresh = [e for e in ends if e not in members]
    if not fresh and len(nets) < 2 and members:
        raise Complaint(f"connect_bd_net: {' and '.join(ends)} are joined already")
    members += fresh
    if len(members) < 2 and not call.has("-net"):
        raise Complaint(f"connect_bd_net: {ends[0]} is joined to nothing")
    drivers = [e for e in members if drives(design, e)]
    if len(drivers) > 1:
        raise Complaint(f"connect_bd_net: {' and '.join(drivers)} would both drive one net")
    if not drivers and len(members) > 1:
        raise Complaint(f"connect_bd_net: {words.several(members)} are all inputs: nothing drives them")
    for end in members:
        if drivers and end != drivers[0]:
            _check_width(design, drivers[0], end)
    for net in nets:
        del design.nets[net]
    name = chosen or (nets[0] if nets else (drivers or members)[0].strip("/").replace("/", "_"))
    design.nets[name] = members
    design.valid = False
    return [Thing("bd_net", f"/{name}")]


def drives(design: Design, path: str) -> bool:
    """A cell's output, or the design's input."""
    if path in design.ports:
        return design.ports[path].values["DIR"] == "I"
    found = design.pin(path)
    return found is not None and found[1].direction == "O"


def _width(design: Design, path: str) -> tuple[int, int]:
    if path in design.ports:
        return int(design.ports[path].values["WIDTH"]), 0
    found = design.pin(path)
    return (found[1].width, found[1].most) if found else (1, 0)


def _check_width(design: Design, driver: str, load: str) -> None:
    out, _ = _width(design, driver)
    into, most = _width(design, load)
    if (into and into != out) or (most and out > most):
        raise Complaint(f"connect_bd_net: {driver} has {out} bits, and {load} has {into or f'{most} at most'}")


@does("disconnect_bd_net")
def disconnect_bd_net(model: Model, call: Call) -> str:
    """Take pins off a net."""
    design = current(model)
    name = model.objects("bd_net", call.get("net"))[0].name[1:]
    for thing in model.objects("bd_pin,bd_port", " ".join(call.several["objects"])):
        if thing.name not in design.nets[name]:
            raise Complaint(f"disconnect_bd_net: {thing.name} is not on {name}")
        design.nets[name].remove(thing.name)
    design.valid = False
    return ""


@does("create_bd_net", "create_bd_intf_net")
def create_bd_net(model: Model, call: Call) -> list[Thing]:
    """A net without ends."""
    design, interface = current(model), call.command.name == "create_bd_intf_net"
    nets, name = design.intf_nets if interface else design.nets, call.get("name")
    if name in nets:
        raise Complaint(f"{call.command.name}: there is a net {name!r} already")
    nets[name] = []
    return [Thing("bd_intf_net" if interface else "bd_net", f"/{name}")]


# --- interfaces -------------------------------------------------------------------------------------------------------


@does("connect_bd_intf_net")
def connect_bd_intf_net(model: Model, call: Call) -> list[Thing]:
    """A master and a slave, or an interface and a port of the design."""
    design = current(model)
    names = [call.get(n) for n in ("object1", "object2") if call.has(n)]
    if len(names) < 2:
        raise Complaint("connect_bd_intf_net: two interfaces are needed")
    ends = [t.name for name in names for t in model.objects("bd_intf_pin,bd_intf_port", name)]
    if len(ends) != 2:
        raise Complaint(f"connect_bd_intf_net: {len(ends)} interfaces are named, and two are needed")
    for end in ends:
        other = design.other_end(end)
        if other is not None:
            raise Complaint(f"connect_bd_intf_net: {end} is joined to {other} already")
    _check_pair(design, *ends)
    name = call.get("-intf_net").lstrip("/") or ends[0].strip("/").replace("/", "_")
    if design.intf_nets.get(name):
        raise Complaint(f"connect_bd_intf_net: net {name!r} is there already")
    design.intf_nets[name] = ends
    design.valid = False
    return [Thing("bd_intf_net", f"/{name}")]


def _check_pair(design: Design, first: str, second: str) -> None:
    found = [design.bus(first), design.bus(second)]
    if first in design.intf_ports or second in design.intf_ports:
        port = design.intf_ports.get(first) or design.intf_ports[second]
        bus = next((f[1] for f in found if f), None)
        if bus is None:
            raise Complaint(f"connect_bd_intf_net: {first} and {second} are both ports")
        if port.values["MODE"].lower() != bus.mode:
            raise Complaint(
                f"connect_bd_intf_net: port {port.name} is {port.values['MODE']}, and {bus.name} is {bus.mode}"
            )
        if bus.bus.split(":")[-1] not in port.values["VLNV"]:
            raise Complaint(
                f"connect_bd_intf_net: port {port.name} is a {port.values['VLNV']}, and {bus.name} a {bus.bus}"
            )
        return
    buses = [f[1] for f in found if f]
    if len(buses) < 2:
        raise Complaint(f"connect_bd_intf_net: {first if not found[0] else second} is no longer there")
    if buses[0].bus != buses[1].bus:
        raise Complaint(f"connect_bd_intf_net: {first} is {buses[0].bus}, and {second} is {buses[1].bus}")
    if buses[0].mode == buses[1].mode:
        raise Complaint(f"connect_bd_intf_net: {first} and {second} are both {buses[0].mode}")


@does("disconnect_bd_intf_net")
def disconnect_bd_intf_net(model: Model, call: Call) -> str:
    """Both ends are free again."""
    current(model).intf_nets.pop(model.objects("bd_intf_net", call.get("intf_net"))[0].name[1:], None)
    return ""


@does("make_bd_intf_pins_external")
def make_external(model: Model, call: Call) -> list[Thing]:
    """A port for an interface, named after it."""
    made = [
        _external(model, t.name, call.get("-name") or f"{t.name.rpartition('/')[2]}_0")
        for t in model.objects("bd_intf_pin", " ".join(call.several["objects"]))
    ]
    return made


def _external(model: Model, path: str, name: str) -> Thing:
    design = current(model)
    found = design.bus(path)
    if found is None or design.other_end(path):
        raise Complaint(f"{path} cannot be made external: it is joined to {design.other_end(path)}")
    port = Thing("bd_intf_port", f"/{name}", {"MODE": found[1].mode.capitalize(),
                                             "VLNV": f"xilinx.com:interface:{found[1].bus}_rtl:1.0"})  # fmt: skip
    if port.name in design.intf_ports:
        raise Complaint(f"there is a port {port.name!r} already")
    design.intf_ports[port.name] = port
    design.intf_nets[path.strip("/").replace("/", "_")] = [path, port.name]
    return port


@does("make_bd_pins_external")
def make_pins_external(model: Model, call: Call) -> list[Thing]:
    """A port for a pin, named after it."""
    design, made = current(model), []
    for thing in model.objects("bd_pin", " ".join(call.several["objects"])):
        found = design.pin(thing.name)
        if found is None or design.net_of(thing.name):
            raise Complaint(f"{thing.name} cannot be made external: it is joined already")
        name = f"/{call.get('-name') or thing.name.rpartition('/')[2] + '_0'}"
        port = Thing("bd_port", name, {"DIR": found[1].direction, "TYPE": found[1].kind, "WIDTH": str(found[1].width)})
        design.ports[name] = port
        design.nets[name[1:]] = [thing.name, name]
        made.append(port)
    return made


@does("apply_bd_automation")
def apply_bd_automation(model: Model, call: Call) -> str:
    """Block automation of the processing systems."""
    rule, design = call.get("-rule"), current(model)
    if rule not in _AUTOMATION:
        raise Complaint(f"apply_bd_automation: rule {rule!r} is not known here{words.meant(rule, _AUTOMATION)}")
    pairs = words.split(call.get("-config") or call.get("-dict"))
    config = dict(zip(pairs[::2], pairs[1::2], strict=True))
    for key in config:
        if key not in _AUTOMATION[rule]:
            raise Complaint(f"apply_bd_automation: {rule} has no {key!r}{words.meant(key, _AUTOMATION[rule])}")
    for thing in model.objects("bd_cell", " ".join(call.several.get("objects", ()))):
        if thing.data.core.vlnv.rpartition(":")[2] != rule.rpartition(":")[2]:
            raise Complaint(f"apply_bd_automation: {thing.name} is no {rule.rpartition(':')[2]}")
        if config.get("apply_board_preset", "0") not in ("0", ""):
            raise Complaint("apply_bd_automation: apply_board_preset needs a board file, which may not be there")
        for name in config.get("make_external", "").replace(",", " ").split():
            _external(model, f"{thing.name}/{name}", name)
    design.valid = False
    return ""

# SPDX-License-Identifier: Apache-2.0
"""Lookups of what is in a block design, and taking it out (UG835, get_bd_cells and the like)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gatewright.synth.tcl_model.arguments import Call
from gatewright.synth.tcl_model.blocks import Design, current
from gatewright.synth.tcl_model.model import Model, does
from gatewright.synth.tcl_model.objects import Thing


def cells(design: Design) -> list[Thing]:
    """All cells as objects."""
    return [
        Thing("bd_cell", path, {"VLNV": f"{c.core.vlnv}:{c.core.versions[-1]}", "TYPE": "ip",
                                **{f"CONFIG.{k}": v for k, v in c.values.items()}}, c)
        for path, c in design.cells.items()
    ]  # fmt: skip


def pins(design: Design) -> list[Thing]:
    """All pins of cells as objects."""
    return [
        Thing("bd_pin", f"{path}/{p.name}", {"DIR": p.direction, "TYPE": p.kind, "INTF": "FALSE"})
        for path, c in design.cells.items()
        for p in c.pins
    ]


def intf_pins(design: Design) -> list[Thing]:
    """All interfaces of cells as objects."""
    return [
        Thing("bd_intf_pin", f"{path}/{b.name}",
              {"MODE": b.mode.capitalize(), "VLNV": f"xilinx.com:interface:{b.bus}_rtl:1.0", "TYPE": "ip"})
        for path, c in design.cells.items()
        for b in c.buses
    ]  # fmt: skip


def _all(design: Design, what: str) -> Iterable[Thing]:
    if what == "bd_cell":
        return cells(design)
    if what == "bd_pin":
        return pins(design)
    if what == "bd_intf_pin":
        return intf_pins(design)
    if what == "bd_port":
        return design.ports.values()
    if what == "bd_intf_port":
        return design.intf_ports.values()
    nets = design.nets if what == "bd_net" else design.intf_nets
    return [Thing(what, f"/{name}") for name in nets]


def related(design: Design, things: Iterable[Thing], owners: list[Thing]) -> Iterator[Thing]:
    """Objects that belong to others: pins of cells, cells of pins, nets of pins, pins of nets."""
    for thing in things:
        for owner in owners:
            ends = (*design.nets.get(owner.name[1:], ()), *design.intf_nets.get(owner.name[1:], ()))
            mine = (*design.nets.get(thing.name[1:], ()), *design.intf_nets.get(thing.name[1:], ()))
            inside = (thing.name.startswith(f"{owner.name}/"), owner.name.startswith(f"{thing.name}/"))
            if any(inside) or thing.name in ends or owner.name in mine:
                yield thing
                break


@does("get_bd_cells", "get_bd_pins", "get_bd_intf_pins", "get_bd_ports", "get_bd_intf_ports", "get_bd_nets",
      "get_bd_intf_nets")  # fmt: skip
def get_bd_objects(model: Model, call: Call) -> list[Thing]:
    """By name, filter, or what they belong to."""
    kind = call.command.name.removeprefix("get_").removesuffix("s")
    design = current(model)
    things = list(_all(design, kind))
    if call.has("-of_objects"):
        things = list(related(design, things, model.objects("any", call.get("-of_objects"))))
    return model.look_up(call, things, kind)


@does("delete_bd_objs")
def delete_bd_objs(model: Model, call: Call) -> str:
    """Cells with all that is joined to them, nets, ports, segments."""
    design = current(model)
    for thing in model.objects("any", " ".join(call.several["objects"])):
        for table in (design.cells, design.ports, design.intf_ports, design.masters):
            table.pop(thing.name, None)
        for nets in (design.nets, design.intf_nets):
            nets.pop(thing.name[1:], None)
            for name in [n for n, ends in nets.items() if any(_below(e, thing.name) for e in ends)]:
                nets[name] = [e for e in nets[name] if not _below(e, thing.name)]
                if len(nets[name]) < 2:
                    del nets[name]
        model.issued.pop((thing.kind, thing.name), None)
    design.valid = False
    return ""


def _below(path: str, name: str) -> bool:
    return path == name or path.startswith(f"{name}/")

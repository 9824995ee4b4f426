# SPDX-License-Identifier: Apache-2.0
"""Address spaces and segments of a block design (UG994, "Creating a Memory Map")."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gatewright.synth.tcl_model import ip, words
from gatewright.synth.tcl_model.arguments import Call, Complaint
from gatewright.synth.tcl_model.blocks import Design, Master, current
from gatewright.synth.tcl_model.lookups import related
from gatewright.synth.tcl_model.model import Model, does
from gatewright.synth.tcl_model.objects import Thing
from gatewright.synth.tcl_model.session import SETTERS

_SCALE = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40, "P": 50, "E": 60}
LEAST = 128
"""Bytes of the smallest segment."""


def size(text: str) -> int:
    """A size or an address: 4096, 4K, 0x1000.

    Raises:
        Complaint: it is none.
    """
    match = re.fullmatch(r"(\d+|0[xX][0-9a-fA-F_]+)([KMGTPE]?)", text)
    if match is None:
        raise Complaint(f"{text!r} is no size such as 4096, 64K or 0x1000")
    return int(match.group(1).replace("_", ""), 0) << _SCALE[match.group(2)]


def masters(design: Design) -> Iterator[tuple[str, str, ip.Bus]]:
    """Address spaces, the interfaces that reach them, and the paths of those."""
    for path, cell in design.cells.items():
        for bus in cell.buses:
            if bus.mode == "master" and bus.space:
                yield f"{path}/{bus.space}", f"{path}/{bus.name}", bus


def slaves(design: Design) -> dict[str, ip.Segment]:
    """All segments of slaves by path."""
    return {
        f"{path}/{bus.map}/{s.name}": s
        for path, cell in design.cells.items()
        for bus in cell.buses
        if bus.mode == "slave"
        for s in bus.segments
    }


def reached(design: Design, path: str, seen: tuple[str, ...] = ()) -> Iterator[str]:
    """Segments behind a master's interface."""
    end = design.other_end(path)
    found = design.bus(end) if end else None
    if found is None or end in seen:
        return
    cell, bus = found
    if not bus.bridge:
        yield from (f"{cell.name}/{bus.map}/{s.name}" for s in bus.segments)
        return
    for out in cell.buses:
        if out.mode == "master":
            yield from reached(design, f"{cell.name}/{out.name}", (*seen, str(end)))


def _route(design: Design, space: str, slave: str) -> ip.Bus | None:
    """The interface by which a space reaches a segment."""
    return next((b for s, path, b in masters(design) if s == space and slave in reached(design, path)), None)


def place(design: Design, space: str, slave: str, offset: int | None, length: int | None, name: str) -> Master:
    """Put a segment into a space; where no offset is said, at the first that is free.

    Raises:
        Complaint: it does not lie in what the master reaches, is no power of two, not aligned, or clashes.
    """
    bus, segment = _route(design, space, slave), slaves(design)[slave]
    if bus is None:
        raise Complaint(f"no way leads from address space {space} to {slave}")
    length = segment.size if length is None else length
    if offset is None:
        offset = segment.offset if segment.offset is not None else _free(design, space, bus, length, slave)
    _check(design, space, slave, segment, bus, offset, length, name)
    return Master(space, slave, offset, length)


def _free(design: Design, space: str, bus: ip.Bus, length: int, slave: str) -> int:
    for base, reach in bus.apertures:
        for offset in range(base, base + reach - length + 1, max(length, 1 << 16)):
            if not _clash(design, space, slave, offset, length):
                return offset
    raise Complaint(f"address space {space} has no room for {length:#x} bytes")


def _clash(design: Design, space: str, slave: str, offset: int, length: int) -> Master | None:
    return next(
        (m for m in design.masters.values() if m.space == space and m.slave != slave and not m.excluded
         and m.offset < offset + length and offset < m.offset + m.size),
        None,
    )  # fmt: skip


def _check(
    design: Design, space: str, slave: str, segment: ip.Segment, bus: ip.Bus, offset: int, length: int, name: str
) -> None:
    where = f"{name or slave} at {offset:#x} of {length:#x} bytes"
    if length < LEAST or length & (length - 1):
        raise Complaint(f"{where}: the range must be a power of two of at least {LEAST}")
    if offset % length:
        raise Complaint(f"{where}: the offset must be a multiple of the range")
    if not any(base <= offset and offset + length <= base + reach for base, reach in bus.apertures):
        legal = ", ".join(f"{b:#x} to {b + r - 1:#x}" for b, r in bus.apertures)
        raise Complaint(f"{where} is out of reach of {bus.name}, which has {legal}")
    if segment.offset is not None and not (
        segment.offset <= offset and offset + length <= segment.offset + segment.size
    ):
        end = segment.offset + segment.size - 1
        raise Complaint(f"{where}: {slave} lies at {segment.offset:#x} to {end:#x} and nowhere else")
    if segment.offset is None and length < segment.size:
        raise Complaint(f"{where}: {slave} has {segment.size:#x} bytes, of which not all can be reached")
    clash = _clash(design, space, slave, offset, length)
    if clash is not None:
        raise Complaint(f"{where} clashes with {clash.slave} at {clash.offset:#x} of {clash.size:#x} bytes")


def _label(slave: str) -> str:
    cell, _, rest = slave.strip("/").partition("/")
    return f"SEG_{cell}_{rest.rpartition('/')[2]}"


# --- commands ---------------------------------------------------------------------------------------------------------


def _segment_thing(path: str, master: Master | None) -> Thing:
    values = {} if master is None else {"OFFSET": f"{master.offset:#010x}", "RANGE": f"{master.size:#x}",
                                        "EXCLUDED": str(int(master.excluded))}  # fmt: skip
    return Thing("bd_addr_seg", path, values, master)


@does("get_bd_addr_spaces")
def get_bd_addr_spaces(model: Model, call: Call) -> list[Thing]:
    """Of masters."""
    design = current(model)
    found = [Thing("bd_addr_space", name) for name in dict.fromkeys(s for s, _, _ in masters(design))]
    if call.has("-of_objects"):
        owners = [t.name for t in model.objects("any", call.get("-of_objects"))]
        spaces = {s for s, path, _ in masters(design) for o in owners if path == o or s.startswith(f"{o}/")}
        found = [t for t in found if t.name in spaces]
    return model.look_up(call, found, "address space")


@does("get_bd_addr_segs")
def get_bd_addr_segs(model: Model, call: Call) -> list[Thing]:
    """Of slaves, and those assigned to masters; of an interface or a space, those in its addresses."""
    design = current(model)
    things = [_segment_thing(p, None) for p in slaves(design)]
    things += [_segment_thing(p, m) for p, m in design.masters.items()]
    if call.has("-of_objects"):
        owners = model.objects("any", call.get("-of_objects"))
        maps = {f"{path}/{b.name}": f"{path}/{b.map}" for path, c in design.cells.items() for b in c.buses}
        spaces = {path: space for space, path, _ in masters(design)}
        names = [maps.get(o.name, o.name) for o in owners if o.name not in spaces]
        names += [spaces[o.name] for o in owners if o.name in spaces]
        things = list(related(design, things, [Thing("any", n) for n in names]))
    return model.look_up(call, things, "address segment")


@does("create_bd_addr_seg")
def create_bd_addr_seg(model: Model, call: Call) -> list[Thing]:
    """One segment at one place."""
    design = current(model)
    space = model.objects("bd_addr_space", call.get("parent_addr_space"))[0].name
    slave = model.objects("bd_addr_seg", call.get("slave_segment"))[0].name
    path = f"{space}/{call.get('name')}"
    if path in design.masters:
        raise Complaint(f"create_bd_addr_seg: there is a segment {path} already")
    return [_assign(design, space, slave, size(call.get("-offset")), size(call.get("-range")), path)]


def _assign(design: Design, space: str, slave: str, offset: int | None, length: int | None, path: str) -> Thing:
    design.masters[path] = place(design, space, slave, offset, length, path)
    design.valid = False
    return _segment_thing(path, design.masters[path])


@does("assign_bd_address")
def assign_bd_address(model: Model, call: Call) -> list[Thing]:
    """Segments into the spaces that reach them: those named, or all that have no place yet."""
    design = current(model)
    named = " ".join(call.several.get("objects", ()))
    if call.has("objects") and not words.split(named):
        raise Complaint(f"assign_bd_address: there is no segment{model.nothing}")
    chosen = [t.name for t in model.objects("bd_addr_seg", named)] if named else list(slaves(design))
    for name in chosen:
        if name not in slaves(design):
            raise Complaint(f"assign_bd_address: {name} is no segment of a slave")
    if (call.has("-offset") or call.has("-range")) and len(chosen) != 1:
        raise Complaint(f"assign_bd_address: -offset and -range are for one segment, and {len(chosen)} are named")
    wanted = ""
    if call.has("-target_address_space"):
        wanted = _space(model, design, call.get("-target_address_space"))
    offset = size(call.get("-offset")) if call.has("-offset") else None
    length = size(call.get("-range")) if call.has("-range") else None
    made = []
    for slave in chosen:
        spaces = [s for s, path, _ in masters(design) if slave in reached(design, path) and (not wanted or s == wanted)]
        if not spaces and named:
            raise Complaint(f"assign_bd_address: no master {f'of {wanted} ' if wanted else ''}reaches {slave}")
        for space in dict.fromkeys(spaces):
            path = f"{space}/{_label(slave)}"
            if path not in design.masters or named:
                made.append(_assign(design, space, slave, offset, length, path))
    return made


def _space(model: Model, design: Design, text: str) -> str:
    """-target_address_space takes an object or its path (UG835)."""
    names = [s for s, _, _ in masters(design)]
    if not words.split(text):
        raise Complaint(f"assign_bd_address: there is no address space{model.nothing}")
    name = f"/{text.strip().lstrip('/')}"
    if name not in names:
        raise Complaint(f"assign_bd_address: {text!r} is no address space{words.meant(name, names)}")
    return name


@does("exclude_bd_addr_seg")
def exclude_bd_addr_seg(model: Model, call: Call) -> list[Thing]:
    """A segment that a master shall not reach."""
    design = current(model)
    found = []
    for thing in model.objects("bd_addr_seg", call.get("segment_to_exclude")):
        if thing.name in design.masters:
            paths = [thing.name]
        else:
            wanted = ""
            if call.has("-target_address_space"):
                wanted = model.objects("bd_addr_space", call.get("-target_address_space"))[0].name
            spaces = [s for s, p, _ in masters(design) if thing.name in reached(design, p) and wanted in ("", s)]
            if not spaces:
                raise Complaint(f"exclude_bd_addr_seg: no master reaches {thing.name}")
            paths = [f"{s}/{_label(thing.name)}" for s in spaces]
            for space, path in zip(spaces, paths, strict=True):
                if path not in design.masters:
                    design.masters[path] = Master(space, thing.name, 0, slaves(design)[thing.name].size)
        for path in paths:
            design.masters[path].excluded = True
            found.append(_segment_thing(path, design.masters[path]))
    return found


@does("include_bd_addr_seg")
def include_bd_addr_seg(model: Model, call: Call) -> list[Thing]:
    """What was excluded, again."""
    things = model.objects("bd_addr_seg", call.get("segment_to_include"))
    for thing in things:
        current(model).masters[thing.name].excluded = False
    return things


def _set_segment(model: Model, thing: Thing, key: str, value: str) -> None:
    design = current(model)
    master = design.masters.get(thing.name)
    if master is None:
        raise Complaint(f"{thing.name} is a slave's segment: only one that is assigned to a master can be moved")
    offset = size(value) if key.upper() == "OFFSET" else master.offset
    length = size(value) if key.upper() == "RANGE" else master.size
    if key.upper() == "RANGE" and master.offset % length:
        # The tool moves a segment that no longer fits where it lies; so the order of the two does not matter.
        offset = master.offset // length * length
    design.masters[thing.name] = place(design, master.space, master.slave, offset, length, thing.name)
    design.valid = False


SETTERS["bd_addr_seg"] = _set_segment


def faults(design: Design) -> Iterator[str]:
    """Segments without a place, and places that nothing leads to any more."""
    for space, path, _ in masters(design):
        for slave in reached(design, path):
            if not any(m.space == space and m.slave == slave for m in design.masters.values()):
                yield f"{slave} has no place in address space {space}: assign or exclude it [BD 41-1356]"
    for path, master in design.masters.items():
        if master.slave not in slaves(design) or _route(design, master.space, master.slave) is None:
            yield f"{path}: nothing leads from {master.space} to {master.slave} any more"

# SPDX-License-Identifier: Apache-2.0
"""Block designs: cells, their pins and interfaces, ports, and lookups of all of them (UG994)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gatewright.synth.tcl_model import ip, ps_clock, words
from gatewright.synth.tcl_model.arguments import Call, Complaint, check_value
from gatewright.synth.tcl_model.component import component
from gatewright.synth.tcl_model.model import Model, does
from gatewright.synth.tcl_model.objects import Thing
from gatewright.synth.tcl_model.project import opened
from gatewright.synth.tcl_model.session import GETTERS, SETTERS, real
from gatewright.synth.tcl_model.table import Slot

PIN_SETTINGS = ("FREQ_HZ", "POLARITY", "ASSOCIATED_BUSIF", "ASSOCIATED_RESET", "ASSOCIATED_CLKEN", "CLK_DOMAIN",
                "PHASE", "SENSITIVITY", "PORTWIDTH", "FREQ_TOLERANCE_HZ", "INSERT_VIP")  # fmt: skip
"""What a pin or port can be told (UG994, "Setting Parameters on Ports")."""


@dataclass(eq=False)
class Cell:
    """An IP in a block design; `values` are its parameters."""

    name: str
    core: ip.Core
    values: dict[str, str]

    @property
    def buses(self) -> tuple[ip.Bus, ...]:
        """Its interfaces under its parameters."""
        return self.core.buses(self.values)

    @property
    def pins(self) -> tuple[ip.Pin, ...]:
        """Its pins under its parameters."""
        return self.core.pins(self.values)


@dataclass(eq=False)
class Master:
    """A segment of a slave in a master's addresses."""

    space: str
    slave: str
    offset: int
    size: int
    excluded: bool = False


@dataclass(eq=False)
class Design:
    """A block design.

    Attributes:
        thing, path: as an object, and its file.
        cells: by path.
        ports, intf_ports: by path, as objects.
        nets, intf_nets: paths of pins and ports by the net's name.
        masters: assigned segments by path.
        valid: it was validated and has not changed since.
        generated: its products were.
    """

    thing: Thing
    path: Path
    cells: dict[str, Cell] = field(default_factory=dict)
    ports: dict[str, Thing] = field(default_factory=dict)
    intf_ports: dict[str, Thing] = field(default_factory=dict)
    nets: dict[str, list[str]] = field(default_factory=dict)
    intf_nets: dict[str, list[str]] = field(default_factory=dict)
    masters: dict[str, Master] = field(default_factory=dict)
    valid: bool = False
    generated: bool = False

    def bus(self, path: str) -> tuple[Cell, ip.Bus] | None:
        """A cell's interface by its path."""
        cell = self.cells.get(path.rpartition("/")[0])
        found = next((b for b in cell.buses if b.name == path.rpartition("/")[2]), None) if cell else None
        return (cell, found) if cell and found else None

    def pin(self, path: str) -> tuple[Cell, ip.Pin] | None:
        """A cell's pin by its path."""
        cell = self.cells.get(path.rpartition("/")[0])
        found = next((p for p in cell.pins if p.name == path.rpartition("/")[2]), None) if cell else None
        return (cell, found) if cell and found else None

    def net_of(self, path: str) -> str | None:
        """The net of a pin or port."""
        return next((n for n, ends in self.nets.items() if path in ends), None)

    def other_end(self, path: str) -> str | None:
        """What an interface is joined to."""
        ends = next((e for e in self.intf_nets.values() if path in e), [])
        return next((e for e in ends if e != path), None)


def current(model: Model) -> Design:
    """The block design that is open."""
    design: Design = model.state["bd"]
    return design


# --- designs ----------------------------------------------------------------------------------------------------------


@does("create_bd_design")
def create_bd_design(model: Model, call: Call) -> list[Thing]:
    """An empty one, whose file the project knows."""
    project, name = opened(model), call.get("name")
    folder = Path(real(model, call.get("-dir"))) if call.has("-dir") else project.area("srcs") / "sources_1" / "bd"
    path = folder / name / f"{name}.bd"
    if str(path) in project.files:
        raise Complaint(f"create_bd_design: there is a design {name!r} already")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("written by the model of the tool\n")
    values = {"FILE_TYPE": "Block Designs", "SYNTH_CHECKPOINT_MODE": "Hierarchical", "IS_ENABLED": "1"}
    project.files[str(path)] = Thing("file", str(path), values)
    design = Design(Thing("bd_design", name, {"FILE_NAME": str(path), "NAME": name}), path)
    model.state["bd"] = design
    model.state.setdefault("designs", {})[str(path)] = design
    return [design.thing]


@does("open_bd_design")
def open_bd_design(model: Model, call: Call) -> str:
    """One that this script made."""
    for word in call.several["name"]:
        path = real(model, word)
        if path not in model.state.get("designs", {}):
            raise Complaint(f"open_bd_design: {word!r} is no design that this script made")
        model.state["bd"] = model.state["designs"][path]
    return str(current(model).thing.name)


@does("close_bd_design")
def close_bd_design(model: Model, call: Call) -> str:
    """None is open then."""
    model.objects("bd_design", call.get("name"))
    del model.state["bd"]
    return ""


@does("current_bd_design", "get_bd_designs")
def current_bd_design(model: Model, call: Call) -> list[Thing]:
    """The one that is open."""
    return [current(model).thing] if model.state.get("bd") else []


@does("current_bd_instance")
def current_bd_instance(model: Model, call: Call) -> str:
    """Always the top level."""
    if call.get("instance", "/") not in ("/", ""):
        raise Complaint("current_bd_instance: the model knows no hierarchies in block designs")
    return "/"


@does("save_bd_design", "regenerate_bd_layout", "write_bd_tcl")
def save_bd_design(model: Model, call: Call) -> str:
    """Nothing that a later step needs changes."""
    if call.has("tcl_filename"):
        (model.cwd / call.get("tcl_filename")).write_text("# written by the model of the tool\n")
    return ""


# --- cells ------------------------------------------------------------------------------------------------------------


@does("update_ip_catalog")
def update_ip_catalog(model: Model, call: Call) -> str:
    """Reads what lies below ip_repo_paths."""
    project = opened(model)
    things = [project.thing, *project.sets.values()]
    paths = [p for t in things for p in words.split(t.get("IP_REPO_PATHS") or "")]
    cores: dict[str, ip.Core] = {}
    for path in paths:
        for file in sorted(Path(real(model, path)).rglob("component.xml")):
            core = component(file)
            cores[core.vlnv] = core
    model.state["cores"] = cores
    return ""


def _cores(model: Model) -> dict[str, ip.Core]:
    return {**ip.catalog(), **model.state.get("cores", {})}


@does("get_ipdefs")
def get_ipdefs(model: Model, call: Call) -> list[Thing]:
    """The catalog."""
    names = [f"{core.vlnv}:{version}" for core in _cores(model).values() for version in core.versions]
    things = [Thing("ipdef", n, {"VLNV": n, "VERSION": n.rpartition(":")[2], "NAME": n.split(":")[2]}) for n in names]
    return model.look_up(call, things, "IP")


def find_core(model: Model, vlnv: str) -> ip.Core:
    """An IP of the catalog, for the part of the project.

    Raises:
        Complaint: there is none, in this version, or for this part.
    """
    cores = _cores(model)
    name, version = (":".join(vlnv.split(":")[:3]), (vlnv.split(":") + [""])[3])
    core = cores.get(name)
    if core is None:
        raise Complaint(f"IP {name!r} is in no catalog{words.meant(name, cores)}")
    if version and version not in core.versions:
        raise Complaint(f"IP {name} has no version {version!r}: {', '.join(core.versions)} are known ({core.guide})")
    family = opened(model).part.values["FAMILY"]
    if family not in core.families:
        raise Complaint(
            f"IP {name} is not for {opened(model).part.name}, of family {family}, but for {', '.join(core.families)}"
            f" ({core.guide})"
        )
    if core.missing:
        raise Complaint(f"IP {name}: its description names {core.missing[0]!r}, which is no file ({core.guide})")
    return core


@does("create_bd_cell")
def create_bd_cell(model: Model, call: Call) -> list[Thing]:
    """An IP in the design."""
    if call.get("-type", "ip") != "ip" or not call.has("-vlnv"):
        raise Complaint("create_bd_cell: the model knows cells of IPs only: -type ip -vlnv ...")
    core, design, path = find_core(model, call.get("-vlnv")), current(model), f"/{call.get('name').lstrip('/')}"
    if path in design.cells:
        raise Complaint(f"create_bd_cell: there is a cell {path!r} already")
    vlnv = call.get("-vlnv")
    values = {"VLNV": vlnv if vlnv.count(":") == 3 else f"{vlnv}:{core.versions[-1]}", "TYPE": "ip"}
    design.cells[path] = Cell(path, core, core.beginning())
    design.valid = False
    return [Thing("bd_cell", path, values, design.cells[path])]


def _set_cell(model: Model, thing: Thing, key: str, value: str) -> None:
    cell: Cell = thing.data
    if not key.upper().startswith("CONFIG."):
        return
    name = key[7:]
    found = cell.core.kind(name)
    if found is None:
        known = [*cell.core.beginning(), *cell.core.names]
        raise Complaint(f"{cell.core.vlnv} has no parameter {name!r}{words.meant(name, known)} ({cell.core.guide})")
    if found[1] != "text":
        try:
            check_value(Slot(f"CONFIG.{name}", found[1], True), value, model.cwd, model.objects)
        except Complaint as complaint:
            raise Complaint(f"{complaint} ({cell.core.guide})") from None
    cell.values[name] = value
    current(model).valid = False


def _get_cell(thing: Thing, key: str) -> str | None:
    """A parameter as it is now; what the tool would work out where that is known here."""
    if not key.upper().startswith("CONFIG."):
        return None
    cell: Cell = thing.data
    name = key[7:]
    if cell.core.kind(name) is None:
        known = [*cell.core.beginning(), *cell.core.names]
        raise Complaint(f"{cell.core.vlnv} has no parameter {name!r}{words.meant(name, known)} ({cell.core.guide})")
    return ps_clock.reached(cell.values, name) or cell.values.get(name, "")


def _set_pin(model: Model, thing: Thing, key: str, value: str) -> None:
    name = key.upper().removeprefix("CONFIG.")
    if key.upper().startswith("CONFIG.") and name not in PIN_SETTINGS and thing.kind in ("bd_pin", "bd_port"):
        raise Complaint(f"{thing.name} has no {key}{words.meant(name, PIN_SETTINGS)}")
    current(model).valid = False


SETTERS["bd_cell"], GETTERS["bd_cell"] = _set_cell, _get_cell
SETTERS["bd_pin"] = SETTERS["bd_port"] = SETTERS["bd_intf_pin"] = SETTERS["bd_intf_port"] = _set_pin


# --- ports ------------------------------------------------------------------------------------------------------------


def _new_port(model: Model, name: str, thing: Thing, table: dict[str, Thing]) -> list[Thing]:
    design = current(model)
    if name in design.ports or name in design.intf_ports:
        raise Complaint(f"there is a port {name!r} already")
    table[name] = thing
    design.valid = False
    return [thing]


@does("create_bd_port")
def create_bd_port(model: Model, call: Call) -> list[Thing]:
    """A pin of the design."""
    name = f"/{call.get('name')}"
    values = {"DIR": call.get("-dir"), "TYPE": call.get("-type", "undef"),
              "WIDTH": str(abs(int(call.get("-from", "0")) - int(call.get("-to", "0"))) + 1)}  # fmt: skip
    return _new_port(model, name, Thing("bd_port", name, values), current(model).ports)


@does("create_bd_intf_port")
def create_bd_intf_port(model: Model, call: Call) -> list[Thing]:
    """An interface of the design."""
    name = f"/{call.get('name')}"
    values = {"MODE": call.get("-mode"), "VLNV": call.get("-vlnv")}
    return _new_port(model, name, Thing("bd_intf_port", name, values), current(model).intf_ports)

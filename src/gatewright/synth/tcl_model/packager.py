# SPDX-License-Identifier: Apache-2.0
"""The IP packager, and package_xo (UG1118, UG1393 "Packaging RTL Kernels")."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

from gatewright.synth.tcl_model import ip, words
from gatewright.synth.tcl_model.arguments import Call, Complaint
from gatewright.synth.tcl_model.component import component
from gatewright.synth.tcl_model.model import Model, does, write_file
from gatewright.synth.tcl_model.objects import Thing
from gatewright.synth.tcl_model.project import check_top, opened
from gatewright.synth.tcl_model.session import real


class Core:
    """What is being packaged: interfaces, clocks they belong to, registers."""

    def __init__(self, path: Path, described: ip.Core | None, ports: list[str]) -> None:
        self.path, self.described, self.ports = path, described, ports
        self.buses: dict[str, Thing] = {}
        self.clocks: dict[str, str] = {}
        self.registers: dict[str, Thing] = {}
        self.parameters: dict[tuple[str, str], Thing] = {}
        self.thing = Thing("core", path.parent.name, {"XML_FILE_NAME": str(path), "ROOT_DIRECTORY": str(path.parent)})
        self.saved = False


def _core(model: Model) -> Core:
    core: Core = model.state["core"]
    return core


@does("ipx::package_project")
def package_project(model: Model, call: Call) -> list[Thing]:
    """A core of the project's sources; interfaces are inferred from the names of the top level's ports."""
    project = opened(model)
    top = call.get("-module") or project.sets["sources_1"].values["TOP"]
    if not top:
        raise Complaint("ipx::package_project: no top level: set the property top of the sources")
    check_top(model, top)
    folder = Path(real(model, call.get("-root_dir", ".")))
    folder.mkdir(parents=True, exist_ok=True)
    core = Core(folder / "component.xml", None, _ports(model, top))
    for name in dict.fromkeys(p.rsplit("_", 1)[0] for p in core.ports if re.match(r"[sm]\d*_axi\w*_", p)):
        values = {"INTERFACE_MODE": "slave" if name.startswith("s") else "master", "NAME": name}
        core.buses[name] = Thing("core_bus", name, values)
    values = {"VENDOR": call.get("-vendor"), "LIBRARY": call.get("-library"), "NAME": top}
    core.thing.values |= values
    model.state["core"] = core
    return [core.thing]


def _ports(model: Model, top: str) -> list[str]:
    for path, thing in opened(model).files.items():
        if thing.values["FILE_TYPE"] not in ("Verilog", "SystemVerilog"):
            continue
        text = re.sub(r"/\*.*?\*/|//[^\n]*", "", Path(path).read_text(), flags=re.DOTALL)
        match = re.search(rf"^\s*module\s+{top}\b(.*?);", text, re.MULTILINE | re.DOTALL)
        if match:
            return re.findall(r"\b(?:input|output|inout)\b[^,)]*?(\w+)\s*(?=[,)]|$)", match.group(1), re.MULTILINE)
    return []


@does("ipx::open_core", "ipx::open_ipxact_file")
def open_core(model: Model, call: Call) -> list[Thing]:
    """A core by its description."""
    core = _described(Path(real(model, call.get("file"))))
    model.state["core"] = core
    return [core.thing]


def _described(path: Path) -> Core:
    """A core as its component.xml says.

    Raises:
        Complaint: it cannot be read, or names a file that is not there.
    """
    described = component(path)
    if described.missing:
        raise Complaint(f"{path.name} names {described.missing[0]!r}, which is no file")
    core = Core(path, described, [p.name for p in described.pins({})])
    for bus in described.buses({}):
        core.buses[bus.name] = Thing("core_bus", bus.name, {"INTERFACE_MODE": bus.mode})
        if bus.clock:
            core.clocks[bus.name] = bus.clock
    vendor, library, name = described.vlnv.split(":")
    core.thing.values |= {"VENDOR": vendor, "LIBRARY": library, "NAME": name, "VERSION": described.versions[0],
                          "SDX_KERNEL": str(described.kernel).lower()}  # fmt: skip
    return core


@does("ipx::current_core")
def current_core(model: Model, call: Call) -> list[Thing]:
    """What is open."""
    return [_core(model).thing]


@does("ipx::get_bus_interfaces")
def get_bus_interfaces(model: Model, call: Call) -> list[Thing]:
    """Of the core."""
    return model.look_up(call, list(_core(model).buses.values()), "bus interface of the core")


@does("ipx::get_ports")
def get_ports(model: Model, call: Call) -> list[Thing]:
    """Of the core."""
    return model.look_up(call, [Thing("core_port", p) for p in _core(model).ports], "port of the core")


@does("ipx::get_file_groups")
def get_file_groups(model: Model, call: Call) -> list[Thing]:
    """What package_project makes (UG1118, "File Groups")."""
    names = ("xilinx_anylanguagesynthesis", "xilinx_anylanguagebehavioralsimulation", "xilinx_xpgui")
    return model.look_up(call, [Thing("core_files", n) for n in names], "file group")


@does("ipx::add_file")
def add_file(model: Model, call: Call) -> list[Thing]:
    """A file of the core's folder in a group."""
    path = _core(model).path.parent / call.get("file")
    if not path.is_file():
        raise Complaint(f"ipx::add_file: {call.get('file')!r} is no file of the core's folder")
    return [Thing("core_file", call.get("file"), {"TYPE": ""})]


@does("ipx::associate_bus_interfaces")
def associate(model: Model, call: Call) -> str:
    """A bus, or a reset, with its clock."""
    core = _core(model)
    bus, clock, reset = call.get("-busif"), call.get("-clock"), call.get("-reset")
    if bus and bus not in core.buses:
        raise Complaint(
            f"ipx::associate_bus_interfaces: {bus!r} is no interface of the core{words.meant(bus, core.buses)}"
        )
    for name in (clock, reset):
        if name and name not in core.ports:
            hint = words.meant(name, core.ports)
            raise Complaint(f"ipx::associate_bus_interfaces: {name!r} is no port of the core{hint}")
    if bus and clock:
        core.clocks[bus] = clock
    return ""


@does("ipx::infer_bus_interface")
def infer(model: Model, call: Call) -> str:
    """An interface of ports that are there."""
    core = _core(model)
    for port in words.split(call.get("ports")):
        if port not in core.ports:
            raise Complaint(f"ipx::infer_bus_interface: {port!r} is no port{words.meant(port, core.ports)}")
        core.buses.setdefault(port, Thing("core_bus", port, {"INTERFACE_MODE": "slave"}))
    return ""


@does("ipx::add_bus_parameter", "ipx::add_register_parameter")
def add_parameter(model: Model, call: Call) -> list[Thing]:
    """A parameter without a value."""
    owner = model.objects("core_bus,core_register", call.get("bus") or call.get("register"))[0]
    thing = Thing("core_parameter", call.get("name"), {"VALUE": ""})
    _core(model).parameters[owner.name, thing.name] = thing
    return [thing]


@does("ipx::get_bus_parameters", "ipx::get_register_parameters")
def get_parameters(model: Model, call: Call) -> list[Thing]:
    """Of a bus or a register."""
    owner = model.objects("core_bus,core_register", call.get("-of_objects"))[0]
    found = [t for (o, _), t in _core(model).parameters.items() if o == owner.name]
    return model.look_up(call, found, "parameter")


@does("ipx::get_memory_maps")
def get_memory_maps(model: Model, call: Call) -> list[Thing]:
    """One for each slave."""
    slaves = [n for n, b in _core(model).buses.items() if b.values["INTERFACE_MODE"] == "slave" and "axi" in n]
    return model.look_up(call, [Thing("core_map", n) for n in slaves], "memory map")


@does("ipx::get_address_blocks")
def get_address_blocks(model: Model, call: Call) -> list[Thing]:
    """reg0, as the packager calls it."""
    return model.look_up(call, [Thing("core_block", "reg0")], "address block")


@does("ipx::get_registers")
def get_registers(model: Model, call: Call) -> list[Thing]:
    """Those added."""
    return model.look_up(call, list(_core(model).registers.values()), "register")


@does("ipx::add_register")
def add_register(model: Model, call: Call) -> list[Thing]:
    """One more."""
    core, name = _core(model), call.get("name")
    if name in core.registers:
        raise Complaint(f"ipx::add_register: there is a register {name!r} already")
    core.registers[name] = Thing("core_register", name, {"SIZE": "32"})
    return [core.registers[name]]


def _integrity(core: Core) -> None:
    for name, bus in core.buses.items():
        if "axi" in name and name not in core.clocks:
            raise Complaint(
                f"interface {name} is associated with no clock: ipx::associate_bus_interfaces -busif {name}"
            )
        if bus.values["INTERFACE_MODE"] not in ("slave", "master"):
            raise Complaint(f"interface {name} is neither slave nor master")


@does(
    "ipx::check_integrity", "ipx::update_checksums", "ipx::create_xgui_files", "ipx::unload_core", "ipx::archive_core"
)
def check_integrity(model: Model, call: Call) -> str:
    """Every bus of AXI has its clock (UG1393, "Requirements of an RTL Kernel")."""
    core = model.state.get("core")
    if core is not None and call.command.name in ("ipx::check_integrity", "ipx::archive_core"):
        _integrity(core)
    if call.has("file"):
        write_file(model, call.get("file"))
    return ""


@does("ipx::save_core")
def save_core(model: Model, call: Call) -> str:
    """The description in its folder; one that was there is left as it is."""
    core = _core(model)
    _integrity(core)
    if not core.path.exists():
        core.path.write_text("<component/>\n")
    core.saved = True
    model.saved[str(core.path.resolve())] = core
    return ""


@does("package_xo")
def package_xo(model: Model, call: Call) -> str:
    """A kernel out of a packaged IP and kernel.xml (UG1393)."""
    path, name = call.get("-xo_path"), call.get("-kernel_name")
    if not path.endswith(".xo"):
        raise Complaint(f"package_xo: {path!r} must end in .xo")
    if (model.cwd / path).exists() and "-force" not in call.flags:
        raise Complaint(f"package_xo: {path!r} is there already, and -force is not given")
    if not (call.has("-ip_directory") or call.has("-parent_ip_directory")):
        raise Complaint("package_xo: -ip_directory is missing")
    folder = model.cwd / (call.get("-ip_directory") or call.get("-parent_ip_directory"))
    if not (folder / "component.xml").is_file():
        raise Complaint(f"package_xo: there is no component.xml in {str(folder.name)!r}")
    file = (folder / "component.xml").resolve()
    core = model.state.get("core")
    if core is not None and not core.saved and core.path.resolve() == file:
        raise Complaint("package_xo: the core was changed and not saved: ipx::save_core first")
    core = model.saved.get(str(file)) or _described(file)
    if core.thing.values["NAME"] != name:
        raise Complaint(f"package_xo: -kernel_name {name!r}, and the IP is called {core.thing.values['NAME']!r}")
    if core.thing.get("SDX_KERNEL") not in ("true", "1"):
        raise Complaint("package_xo: the IP is no kernel: its property sdx_kernel is not true")
    arguments = _kernel_xml(model, call.get("-kernel_xml"), name, core) if call.has("-kernel_xml") else []
    masters = [n for n, bus in core.buses.items() if "axi" in n and bus.values["INTERFACE_MODE"] == "master"]
    # So that the model of v++ knows what it links, and what it can give memory to.
    write_file(model, path, json.dumps({"kernel": name, "ports": [*masters, *arguments]}))
    if call.has("-output_kernel_xml"):
        write_file(model, call.get("-output_kernel_xml"))
    return ""


def _kernel_xml(model: Model, path: str, name: str, core: Core) -> list[str]:
    """kernel.xml against the IP (UG1393, "RTL Kernel XML File"): names of the arguments that are addresses."""
    try:
        kernel = ElementTree.parse(model.cwd / path).getroot().find("kernel")
    except ElementTree.ParseError as error:
        raise Complaint(f"package_xo: {path!r} is no XML: {error}") from error
    if kernel is None or kernel.get("name") != name:
        found = None if kernel is None else kernel.get("name")
        raise Complaint(f"package_xo: {path!r} is of kernel {found!r}, and not of {name!r}")
    ports = {p.get("name", "").lower(): p for p in kernel.iter("port")}
    buses = {name.lower() for name in core.buses if "axi" in name}
    for port in ports:
        if port not in buses:
            raise Complaint(f"package_xo: {path!r} has port {port!r}, and the IP has not{words.meant(port, buses)}")
    for bus in sorted(buses - set(ports)):
        raise Complaint(f"package_xo: the IP has interface {bus!r}, and {path!r} has not")
    offsets = {int(at, 0): n for n, t in core.registers.items() if (at := t.get("ADDRESS_OFFSET"))}
    for argument in kernel.iter("arg"):
        port = argument.get("port", "").lower()
        if port not in ports:
            raise Complaint(
                f"package_xo: argument {argument.get('name')!r} of {path!r} is of port {port!r}, which is none"
            )
        offset = int(argument.get("offset", "0"), 0)
        if offsets and offsets.get(offset) != argument.get("name"):
            there = f"lies at {offset:#x}, and the IP has {offsets.get(offset)!r} there"
            raise Complaint(f"package_xo: argument {argument.get('name')!r} of {path!r} {there}")
    return [a.get("name", "") for a in kernel.iter("arg") if a.get("addressQualifier") == "1"]

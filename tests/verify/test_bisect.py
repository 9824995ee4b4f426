# SPDX-License-Identifier: Apache-2.0
"""`bisect`: faults planted in a build are found, and the operator, channel, pixel, bit, node and line are named."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from tests.models import Builder, frames, small_network
from torch import nn
from typer.testing import CliRunner

from gatewright.build import Build, compile_model, load_inputs, store_data
from gatewright.cli import app
from gatewright.errors import ConfigError
from gatewright.frontend.export import export
from gatewright.ir.types import Tensor
from gatewright.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU, WeightQuant
from gatewright.verify.bisect import bisect
from gatewright.verify.divergence import Divergence, Place, differing_bits
from gatewright.verify.onnx_values import execute
from gatewright.verify.trace import trace

FRAMES = 8


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A residual convolutional network with a flatten, its nodes with source lines."""
    b, y = small_network()
    folder = tmp_path_factory.mktemp("bisect")
    model = b.model(y)
    for i, node in enumerate(model.graph.node):
        node.metadata_props.add(key="gatewright.source", value=f"models/net.py:{10 + i}: {node.name}")
    onnx.save(model, folder / "net.onnx")
    store_data(folder / "build" / "data", inputs=frames((2, 6, 6), FRAMES, seed=1)["x"])
    return compile_model(folder / "net.onnx", "pynq-z2", fps=1e5, output=folder / "build")


@pytest.fixture
def copy(build: Build, tmp_path: Path) -> Build:
    shutil.copytree(build.directory, tmp_path / "build")
    return Build(tmp_path / "build")


def replace_text(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{path.name} has {text.count(old)} times {old!r}: the fault must be written anew"
    path.write_text(text.replace(old, new))


def edit_arrays(path: Path, key: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    with np.load(path) as held:
        arrays = dict(held)
    arrays[key] = change(arrays[key].copy())
    np.savez_compressed(path, **arrays)


def edit_node(path: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    text = json.loads(path.read_text())
    change(next(n["fields"] for n in text["nodes"] if n["name"] == name))
    path.write_text(json.dumps(text))


def found_in(copy: Build, pair: tuple[str, str], *changed: str) -> Divergence:
    """What bisect finds: in the pair that it must be found in, all before agreeing, the edited files named."""
    result = bisect(copy.directory)
    assert [s.status for s in result.steps] == ["agree"] * (len(result.steps) - 1) + ["differ"]
    assert result.steps[-1].stages == pair and result.changed == changed
    found = result.divergence
    assert found is not None and found.stages == pair
    return found


def line(name: str) -> str:
    """The source line of a node of the network."""
    names = [n.name for n in small_network()[0].nodes]
    return f"models/net.py:{10 + names.index(name)}: {name}"


def test_a_sound_build_agrees(build: Build) -> None:
    result = bisect(build.directory)
    assert [s.stages for s in result.steps] == [("onnx", "golden"), ("golden", "design"), ("design", "rtl")]
    assert {(s.status, s.frames, s.ties) for s in result.steps} == {("agree", FRAMES, 0)}
    assert result.divergence is None and result.changed == ()
    tensors = [s.tensors for s in result.steps]
    # The model has no tensor for what a pool is made of, but one for every other.
    assert tensors[:2] == [len(build.model_graph.tensors) - 1, len(build.model_graph.tensors)]
    assert tensors[2] > len(build.structure.links)
    assert not (build.directory / "bisect.vcd").exists()
    done = CliRunner().invoke(app, ["bisect", str(build.directory), "--frames", "2"])
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith("all stages agree\n")


# --- five kinds of fault ----------------------------------------------------------------------------------------------


def first_difference(want: np.ndarray, have: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(want != have)[0])


def test_a_fault_in_a_kernel(copy: Build) -> None:
    """The comparison of `maxpool` the wrong way round: it gives the least of each window."""
    replace_text(copy.rtl / "kernels" / "maxpool.sv", "(x ^ FLIP) > (b ^ FLIP)", "(x ^ FLIP) < (b ^ FLIP)")
    found = found_in(copy, ("design", "rtl"), "rtl/kernels/maxpool.sv")
    values = trace(copy.directory).values
    windows = values["quant_6_out"].reshape(FRAMES, 3, 2, 3, 2, 4)
    want, least = windows.max(axis=(2, 4)), windows.min(axis=(2, 4))
    at = first_difference(want, least)
    assert (found.kind, found.node, found.operator, found.part) == ("value", "maxpool_1_2", "maxpool", "maxpool_1_2")
    assert found.place is not None
    assert (found.place.frame, found.place.pixel, found.place.channel) == (at[0], at[1:3], at[3])
    assert (found.place.first, found.place.second) == (want[at], least[at])
    assert [o.node for o in found.origin] == ["maxpool_1"] and found.origin[0].source == line("maxpool_1")
    assert found.hints == ("rtl/kernels/maxpool.sv, its kernel, was changed since it was compiled",)
    assert found.outputs_equal is False
    check_wave(copy, found)


def check_wave(copy: Build, found: Divergence) -> None:
    """The waveform holds the cycles around the difference, and the streams inside the design."""
    assert found.wave == str(copy.directory / "bisect.vcd") and found.cycle is not None
    text = (copy.directory / "bisect.vcd").read_text()
    assert f"{found.part}_o0" in text or found.part in text
    times = [int(t[1:]) for t in text.splitlines() if t.startswith("#")]
    assert len(times) == 2 * (min(found.cycle, 64) + 16)


def test_a_fault_in_a_weight(copy: Build) -> None:
    """One bit of one word of a ROM."""
    memory = copy.rtl / "conv_2_weight.mem"
    words = memory.read_text().split()
    words[3] = f"{int(words[3], 16) ^ 4:0{len(words[3])}x}"
    memory.write_text("\n".join(words) + "\n")
    found = found_in(copy, ("design", "rtl"), "rtl/conv_2_weight.mem")
    assert (found.kind, found.node, found.operator, found.tensor) == ("value", "conv_2", "dense", "conv_2_out")
    assert found.place is not None and found.place.channel == 0
    assert [o.source for o in found.origin] == [line("conv_2")]
    assert found.hints == ("rtl/conv_2_weight.mem: word 3 differs from the design's in bit 2; 1 of 24 words differ",)
    values = copy.design_graph.run(*copy.design_graph.quantize(*load_inputs(copy)))
    at, first, second = (found.place.frame, *found.place.index), int(found.place.first), int(found.place.second)
    assert first == values["conv_2_out"][at]
    # Words hold six columns; bit 2 is the least of the third weight: its product is off by the operand.
    assert abs(first - second) == values["conv_2_out_window"][(*at[:-1], 3 * 6 + 2)]
    assert found.place.bits == differing_bits(first, second, copy.design_graph.tensors["conv_2_out"])


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (lambda words: words[:-3], "holds 21 words, where the design has 24"),
        (lambda words: [*words[:4], "oops", *words[5:]], "holds 'oops', which is no hexadecimal word"),
    ],
)
def test_a_damaged_memory_file(change: Callable[[list[str]], list[str]], hint: str, copy: Build) -> None:
    memory = copy.rtl / "conv_2_weight.mem"
    memory.write_text("\n".join(change(memory.read_text().split())) + "\n")
    found = found_in(copy, ("design", "rtl"), "rtl/conv_2_weight.mem")
    assert (found.node, found.operator) == ("conv_2", "dense") and found.hints == (f"rtl/conv_2_weight.mem {hint}",)
    assert (found.kind, found.place is None) == (("damage", True) if "oops" in hint else ("value", False))


def test_a_fault_in_a_scale(copy: Build) -> None:
    """The factor of a batch norm in the imported graph, 2 % off in channel 2; qonnx executes the model."""

    def change(fields: dict[str, Any]) -> None:
        fields["steps"][0]["values"][2] *= 1.02

    edit_node(copy.directory / "graph.json", "quant_3", change)
    found = found_in(copy, ("onnx", "golden"), "graph.json")
    assert (found.kind, found.node, found.operator) == ("value", "quant_3", "activation")
    assert found.place is not None and found.place.channel == 2
    assert abs(int(found.place.first) - int(found.place.second)) == 1
    assert [o.source for o in found.origin] == [line(n) for n in ("batchnormalization_1", "relu_1", "quant_3")]
    assert found.hints == ("graph.json: quant_3.steps.0.values.2 is 2.04, where model.onnx gives 2.0",)


def test_a_fault_in_a_threshold(copy: Build) -> None:
    def raise_one(levels: np.ndarray) -> np.ndarray:
        levels[1, 4] = levels[1, 5]
        return levels

    edit_arrays(copy.directory / "design.npz", "quant_5.thresholds", raise_one)
    found = found_in(copy, ("golden", "design"), "design.npz")
    assert (found.kind, found.node, found.operator) == ("value", "quant_5", "threshold")
    assert found.place is not None and found.place.channel == 1 and found.outputs_equal is not None
    assert found.hints[0].startswith("design.json: quant_5.thresholds: 1 of 60 elements, first [1, 4]: ")


def test_a_fault_in_a_layout(copy: Build) -> None:
    """The columns of the matrix behind the flatten in the order of the model (channels first), not of the stream."""
    edit_arrays(
        copy.directory / "design.npz", "gemm_1.weight", lambda w: w.reshape(3, 9, 4).transpose(0, 2, 1).reshape(3, 36)
    )
    found = found_in(copy, ("golden", "design"), "design.npz")
    assert (found.kind, found.node, found.operator) == ("value", "gemm_1", "dense")
    assert found.place is not None and (found.place.frame, found.place.pixel, found.place.channel) == (0, (), 0)
    assert [o.source for o in found.origin] == [line("flatten_1"), line("gemm_1")]
    assert len(found.hints) == 1
    assert found.hints[0].startswith("design.json: gemm_1.weight: ")
    assert found.hints[0].endswith("; its columns are in another order")
    assert found.outputs_equal is False


def skip(copy: Build) -> tuple[str, int]:
    """The FIFO of the residual edge, and its depth."""
    (link,) = (k for k in copy.structure.links if k.sink.unit == "add_1" and k.depth > 2)
    return link.name, link.depth


def set_depth(copy: Build, depth: int) -> tuple[str, int]:
    name, designed = skip(copy)
    replace_text(
        copy.rtl / "net.sv", f".DEPTH({designed}), .BLOCK(0)) i_{name} (", f".DEPTH({depth}), .BLOCK(0)) i_{name} ("
    )
    return name, designed


def test_a_fifo_one_word_too_short(copy: Build) -> None:
    """All values are right; only cycles are not as predicted."""
    name, designed = skip(copy)
    set_depth(copy, designed - 1)
    found = found_in(copy, ("design", "rtl"), "rtl/net.sv")
    assert (found.kind, found.node, found.operator, found.part) == ("timing", "add_1", "fifo", name)
    assert f"{name} refuses a word in cycle {found.cycle}, holding {designed - 1}" in found.text
    assert f"(depth {designed})" in found.text
    assert found.hints == (f"rtl/net.sv gives {name} a depth of {designed - 1}, where the design has {designed}",)
    assert found.outputs_equal is True and [o.source for o in found.origin] == [line("add_1")]


def test_a_fifo_that_stalls_the_design(copy: Build) -> None:
    name, designed = set_depth(copy, 12)
    found = found_in(copy, ("design", "rtl"), "rtl/net.sv")
    assert (found.kind, found.node, found.part) == ("stall", "add_1", name)
    assert (
        f"{name} is full since cycle {found.cycle} (12 words), while add_1 waits for add_1_fifo1, empty" in found.text
    )
    assert found.hints == (f"rtl/net.sv gives {name} a depth of 12, where the design has {designed}",)
    assert found.outputs_equal is None
    done = CliRunner().invoke(app, ["bisect", str(copy.directory), "--stages", "design,rtl", "--json"])
    assert done.exit_code == 1
    said = json.loads(done.stdout)
    assert said["changed"] == ["rtl/net.sv"] and len(said["steps"]) == 1
    assert said["steps"][0]["divergence"]["part"] == name


# --- further faults ---------------------------------------------------------------------------------------------------


def test_a_graph_that_cannot_be_read_any_more(copy: Build) -> None:
    """A scale that no longer fits its reader: nothing runs, and the field is named all the same."""

    def change(fields: dict[str, Any]) -> None:
        fields["scale"] *= 1.5

    edit_node(copy.directory / "graph.json", "quant_5", change)
    found = found_in(copy, ("onnx", "golden"), "graph.json")
    assert (found.kind, found.node, found.part) == ("damage", "quant_5", "graph.json")
    assert found.hints == ("graph.json: quant_5.scale is 0.75, where model.onnx gives 0.5",)
    assert "add_1 expects" in found.text


def test_a_design_that_cannot_be_read_any_more(copy: Build) -> None:
    edit_arrays(copy.directory / "design.npz", "conv_2.weight", lambda w: w * 2)
    found = found_in(copy, ("golden", "design"), "design.npz")
    assert (found.kind, found.node, found.part) == ("damage", "conv_2", "design.json")
    assert found.hints[0].startswith("design.json: conv_2.weight: ")


def test_an_output_in_another_order(copy: Build) -> None:
    edit_arrays(copy.directory / "graph.npz", "out.gemm_1_out.index", lambda index: index[[1, 0, 2]])
    found = found_in(copy, ("onnx", "golden"), "graph.npz")
    assert (found.kind, found.node, found.operator, found.part) == ("output", "gemm_1", "output", "gemm_1_out")
    assert "channels 0, 1 of the output 'gemm_1_out': its scale, offset or layout" in found.text
    assert "its elements are in another order" in found.hints[0]


def test_a_depth_that_was_not_predicted(copy: Build) -> None:
    path = copy.directory / "design.json"
    text = json.loads(path.read_text())
    (fifo,) = (f for f in text["fifos"] if f["consumer"] == "add_1" and f["depth"] > 2)
    depth = fifo["depth"]
    for wrong, said in ((depth - 1, "interval and latency are "), (12, "deadlocks")):
        fifo["depth"] = wrong
        path.write_text(json.dumps(text))
        found = found_in(Build(copy.directory), ("golden", "design"), "design.json")
        assert (found.kind, found.node, found.part) == ("timing", "add_1", skip(copy)[0]) and said in found.text
        hint = f"design.json gives the FIFO from quant_3_out to add_1 a depth of {wrong}, where {depth} is computed"
        assert found.hints == (hint,)


TOGGLE = "assign m_tvalid = valid_q[DEPTH-1];\n  assign en = !m_tvalid || m_tready;"
TOGGLED = """logic t;
  always_ff @(posedge clk) t <= rst_n && !t;
  assign m_tvalid = valid_q[DEPTH-1] && (t || m_tready);
  assign en = !valid_q[DEPTH-1] || m_tready;"""
TWICE = """logic twice;
  always_ff @(posedge clk) if (!rst_n || m_tvalid && m_tready) twice <= rst_n && !twice && read_addr == 3;
  assign pop  = m_tvalid && m_tready && (twice || read_addr != 3 || DEPTH != 35);"""
READY = "assign s_axis_tready = en;\n  assign step = en && s_axis_tvalid;"
STUCK = """logic [5:0] taken;
  always_ff @(posedge clk) taken <= !rst_n ? 6'd0 : taken + 6'(step && taken != 6'd50);
  assign s_axis_tready = en && taken != 6'd50;
  assign step = s_axis_tready && s_axis_tvalid;"""
FATAL = """assign first = k == '0;
  always_ff @(posedge clk) if (rst_n && step && group == 2'd3) $fatal(1, "maxpool %m: planted");"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "old", "new", "kind", "part", "text"),
    [
        ("fifo.sv", "assign pop  = m_tvalid && m_tready;", TWICE, "beats", "add_1_fifo0", "gives 1 of the words"),
        ("threshold.sv", ".m_tlast(m_axis_tlast)", ".m_tlast()", "last", "quant_3", "quant_3 gives tlast="),
        ("pipeline.sv", TOGGLE, TOGGLED, "protocol", "conv_1_window", "breaks the AXI4-Stream protocol: tvalid fell"),
        ("maxpool.sv", READY, STUCK, "stall", "maxpool_1_2", "maxpool_1_2_fifo0 offered since cycle"),
        ("maxpool.sv", "assign first = k == '0;", FATAL, "assertion", "maxpool_1_2", "planted"),
        ("maxpool.sv", "m_axis_tdata <= best_d", "m_axis_tdata <= '0", "value", "maxpool_1_2", "elements that pass"),
    ],
    ids=["twice", "last", "protocol", "stuck", "assertion", "value"],
)  # fmt: skip
def test_hardware_that_misbehaves(file: str, old: str, new: str, kind: str, part: str, text: str, copy: Build) -> None:
    replace_text(copy.rtl / "kernels" / file, old, new)
    if kind == "last":
        replace_text(
            copy.rtl / "kernels" / file,
            "assign s_axis_tready = en;",
            "assign {s_axis_tready, m_axis_tlast} = {en, 1'b0};",
        )
    found = found_in(copy, ("design", "rtl"), f"rtl/kernels/{file}")
    assert (found.kind, found.part) == (kind, part) and text in found.text
    assert found.hints and f"rtl/kernels/{file}" in found.hints[0]
    assert found.origin and found.cycle is not None and found.wave is not None


@pytest.mark.slow
def test_a_fault_that_only_stalls_bring_out(copy: Build) -> None:
    """A FIFO in front of the first unit that says it has room when it has none: at full speed it always has."""
    replace_text(copy.rtl / "kernels" / "fifo.sv", "assign s_tready = count_q != COUNT_BITS'(DEPTH);",
                 "assign s_tready = count_q != COUNT_BITS'(DEPTH) || WIDTH == 7;")  # fmt: skip
    replace_text(copy.rtl / "kernels" / "fifo.sv", "assign push = s_tvalid && s_tready;",
                 "assign push = s_tvalid && count_q != COUNT_BITS'(DEPTH);")  # fmt: skip
    found = found_in(copy, ("design", "rtl"), "rtl/kernels/fifo.sv")
    assert found.part == "quant_6_fifo0" and found.node == "quant_6"
    assert any(h.startswith("only when source and sink stall: Traffic(") for h in found.hints)


@pytest.mark.slow
def test_a_slower_fifo(copy: Build) -> None:
    """Block RAM takes a cycle more."""
    name = "quant_3_fifo0"
    replace_text(copy.rtl / "net.sv", f".BLOCK(0)) i_{name} (", f".BLOCK(1)) i_{name} (")
    found = found_in(copy, ("design", "rtl"), "rtl/net.sv")
    assert (found.kind, found.part, found.outputs_equal) == ("timing", name, True)
    assert f"{name} gives beat 0 in cycle" in found.text


# --- ties, tools, requests --------------------------------------------------------------------------------------------


def tied(tmp_path: Path) -> Build:
    """Inputs on the boundary of a quantiser whose scale is no power of two: float32 and float64 part there."""
    b = Builder((4,))
    x = b.quant("x", 0.1, 8)
    y = b.node("MatMul", x, b.weight(np.eye(4) * 3, 0.25))
    path = b.save(tmp_path / "net.onnx", b.node("MatMul", b.quant(y, 0.25, 8), b.weight(np.eye(4), 1.0)))
    rows = [[0.35, 0.1, 0.2, 0.3], [0.1, 0.15, 0.2, -0.35], [0.0, 0.4, 0.1, 0.2]]
    store_data(tmp_path / "build" / "data", inputs=np.float32(rows))
    return compile_model(path, "pynq-z2", fps=1e4, output=tmp_path / "build")


def test_ties_are_counted_and_left_out(tmp_path: Path) -> None:
    build = tied(tmp_path)
    result = bisect(build.directory, stages=["onnx", "design"])
    assert [s.status for s in result.steps] == ["agree", "agree"] and 1 <= result.steps[0].ties <= 3
    # A whole step away is no tie, in the very frames that have ties at other elements.
    edit_arrays(build.directory / "graph.npz", "in.x.index", lambda index: index[[0, 2, 1, 3]])
    found = bisect(build.directory, stages=["onnx", "golden"]).divergence
    assert found is not None and (found.kind, found.operator, found.tensor) == ("value", "input", "x")
    assert found.hints[-1].startswith("graph.json: x.index: 2 of 4 elements, first [1]: 2, where model.onnx gives 1")


def test_a_model_of_standard_operators_runs_in_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qonnx", None)
    rng = np.random.default_rng(0)
    b = Builder((6,))

    def dequantised(x: str, scale: float) -> str:
        operands = (b.constant(scale), b.constant(0, np.int8))
        return b.node("DequantizeLinear", x, *operands)

    def quantised(x: str, scale: float) -> str:
        return dequantised(b.node("QuantizeLinear", x, b.constant(scale), b.constant(0, np.int8)), scale)

    x = b.node("MatMul", quantised("x", 0.25), dequantised(b.constant(rng.integers(-9, 9, (6, 5)), np.int8), 0.125))
    y = b.node(
        "MatMul", quantised(b.node("Relu", x), 0.5), dequantised(b.constant(rng.integers(-9, 9, (5, 3)), np.int8), 0.25)
    )
    model = b.model(y)
    model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info(y, onnx.TensorProto.FLOAT, ["batch", 3]))
    del model.opset_import[1:]
    onnx.save(model, tmp_path / "net.onnx")
    build = compile_model(tmp_path / "net.onnx", "pynq-z2", fps=1e4, output=tmp_path / "build")
    step = bisect(build.directory, stages=["onnx", "golden"]).steps[0]
    assert (step.status, step.ties) == ("agree", 0) and step.tensors == len(build.model_graph.tensors)
    edit_arrays(build.directory / "graph.npz", f"{build.model_graph.nodes[0].name}.weight", lambda w: w[::-1])
    found = bisect(build.directory, stages=["onnx", "golden"]).divergence
    assert found is not None and found.node == build.model_graph.nodes[0].name
    assert "its rows are in another order" in found.hints[-1]


def test_a_missing_tool_is_said_and_the_rest_compared(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qonnx.core.modelwrapper", None)
    result = bisect(build.directory, stages=["onnx", "design"], frames=2)
    assert [s.status for s in result.steps] == ["not_run", "agree"]
    assert "executing the model needs qonnx" in result.steps[0].reason
    done = CliRunner().invoke(app, ["bisect", str(build.directory), "--stages", "onnx,design"])
    assert done.exit_code == 1 and "all stages that ran agree" in done.stdout
    assert "golden against onnx: not_run: executing the model needs" in done.stdout


def test_a_tool_that_fails_is_said_and_the_rest_compared(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no shapes")

    monkeypatch.setattr("qonnx.core.onnx_exec.execute_onnx", fail)
    result = bisect(build.directory, stages=["onnx", "design"], frames=2)
    assert [s.status for s in result.steps] == ["not_run", "agree"]
    assert result.steps[0].reason == "qonnx cannot execute the model (RuntimeError: no shapes)"


def test_operators_of_onnxruntime_run_in_it() -> None:
    b = Builder((3,))
    x = np.linspace(-2, 2, 12).reshape(4, 3)
    y = b.node("Gelu", "x", domain="com.microsoft")
    want = [0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in x.ravel()]
    np.testing.assert_allclose(execute(b.model(y), [x])[y].ravel(), want, atol=1e-6)


def test_own_frames(build: Build, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", frames((2, 6, 6), 3, seed=5)["x"])
    steps = bisect(build.directory, data=tmp_path / "x.npy", stages=["golden", "design"]).steps
    assert [(s.status, s.frames) for s in steps] == [("agree", 3)]


@pytest.mark.parametrize(
    "stages", [["golden"], ["rtl", "golden"], ["golden", "hls"], ["onnx", "onnx"], ["a", "b", "c"]]
)
def test_wrong_stages(build: Build, stages: list[str]) -> None:
    with pytest.raises(ConfigError, match="give two of onnx, golden, design, rtl, in this order"):
        bisect(build.directory, stages=stages)


def test_a_top_level_of_another_form(copy: Build) -> None:
    (copy.rtl / "net.sv").write_text("module net (input wire clk); endmodule\n")
    with pytest.raises(ConfigError, match="net.sv is no longer a module net with one port a line"):
        bisect(copy.directory, stages=["design", "rtl"])


@pytest.mark.parametrize(
    ("first", "second", "bits"),
    [(3, 2, (0,)), (-1, 0, (0, 1, 2, 3)), (-8, 7, (0, 1, 2, 3)), (5, -3, (3,)), (7, 8, (0, 1, 2, 3)), (0, 17, (0, 4))],
)
def test_bits_that_differ(first: int, second: int, bits: tuple[int, ...]) -> None:
    assert differing_bits(first, second, Tensor((1,), -8, 7)) == bits


def test_places_have_names() -> None:
    assert str(Place(3, (1, 2, 0), 5, 6)) == "frame 3, row 1, column 2, channel 0"
    assert str(Place(0, (4, 2), 5, 6)) == "frame 0, column 4, channel 2"
    assert str(Place(0, (4,), 5, 6)) == "frame 0, channel 4"


# --- from a torch program ---------------------------------------------------------------------------------------------


class Network(nn.Module):
    """A convolution, and a matrix product that reads it flattened."""

    def __init__(self) -> None:
        super().__init__()
        quant = WeightQuant(bits=4)
        self.first = QuantIdentity(4, True, max_value=1.0)
        self.conv = QuantConv2d(2, 3, 3, weight_quant=quant, input_bits=4, input_signed=True)
        self.act = QuantReLU(4, max_value=2.0)
        self.scores = QuantLinear(12, 3, weight_quant=quant, input_bits=4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.act(self.conv(self.first(x)))  # the line of the convolution
        return self.scores(y.flatten(1))  # the line of the scores


def test_the_line_of_the_users_program_is_named(tmp_path: Path) -> None:
    torch.manual_seed(0)
    export(Network(), tmp_path / "net.onnx", torch.zeros(1, 2, 4, 4))
    build = compile_model(tmp_path / "net.onnx", "pynq-z2", fps=1e4, output=tmp_path / "build")
    names = [n.name for n in build.design_graph.nodes]
    lines = Path(__file__).read_text().splitlines()
    for name, said in (("scores_Gemm", "the line of the scores"), ("conv_Conv", "the line of the convolution")):
        assert name in names
        edit_arrays(build.directory / "design.npz", f"{name}.weight", lambda w: w[:, ::-1])
        found = bisect(build.directory, stages=["golden", "design"]).divergence
        number = next(i for i, text in enumerate(lines, 1) if text.endswith(said))
        assert found is not None and (found.kind, found.node) == ("value", name)
        assert found.origin[-1].source == f"tests/verify/test_bisect.py:{number}: {lines[number - 1].strip()}"
        assert [r.origin[-1].source for r in trace(build.directory, frames=1).ranges if r.node == name] == [
            found.origin[-1].source
        ]

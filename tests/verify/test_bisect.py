# SPDX-License-Identifier: Apache-2.0
"""`bisect`: faults planted in a build are found, and the operator, channel, pixel, bit, node and line are named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tests.models import frames, small_network
from typer.testing import CliRunner

from gatewright.build import Build, compile_model, load_inputs, store_data
from gatewright.cli import app
from gatewright.verify.bisect import bisect
from gatewright.verify.divergence import Divergence, differing_bits
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
    """One bit of one word of a ROM: plane 1 of the third weight of the first of twelve words of filter 0."""
    memory = copy.rtl / "conv_2_weight.mem"
    words = memory.read_text().split()
    words[3] = f"{int(words[3], 16) ^ 4:0{len(words[3])}x}"
    memory.write_text("\n".join(words) + "\n")
    found = found_in(copy, ("design", "rtl"), "rtl/conv_2_weight.mem")
    assert (found.kind, found.node, found.operator, found.tensor) == ("value", "conv_2", "dense", "conv_2_out")
    assert found.place is not None and found.place.channel == 0
    assert [o.source for o in found.origin] == [line("conv_2")]
    assert found.hints == ("rtl/conv_2_weight.mem: word 3 differs from the design's in bit 2; 1 of 24 words differ",)
    mine = copy.design_graph.run(*copy.design_graph.quantize(*load_inputs(copy)))["conv_2_out"]
    assert found.place.first == mine[(found.place.frame, *found.place.index)]
    difference = abs(int(found.place.first) - int(found.place.second))
    assert difference & 1 == 0 or difference > 0
    assert found.place.bits == differing_bits(
        int(found.place.first), int(found.place.second), copy.design_graph.tensors["conv_2_out"]
    )


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

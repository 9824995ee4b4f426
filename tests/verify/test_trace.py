# SPDX-License-Identifier: Apache-2.0
"""`trace`: the integers are those of onnxruntime in either layout, ranges are counted right, dead and clipped named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from tests.models import frames, small_network
from typer.testing import CliRunner

from gatewright.build import Build, compile_model, store_data
from gatewright.cli import app
from gatewright.errors import ConfigError
from gatewright.frontend.origin import Origin
from gatewright.ir.types import Tensor
from gatewright.verify.trace import Range, Trace, _Meter, trace, where

FRAMES = 40
SCALES = {"conv_1_out": 1 / 32, "conv_2_out": 1 / 32, "add_1_out": 0.5, "maxpool_1_out": 1.0}
"""Real values of one step, for tensors of the model that have the same name with and without Quant nodes."""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    b, y = small_network()
    folder = tmp_path_factory.mktemp("trace")
    store_data(folder / "build" / "data", inputs=frames((2, 6, 6), FRAMES, seed=1)["x"])
    return compile_model(b.save(folder / "net.onnx", y), "pynq-z2", fps=1e5, output=folder / "build")


@pytest.fixture(scope="module")
def golden(build: Build) -> Trace:
    return trace(build.directory)


def test_the_integers_are_those_of_onnxruntime_in_both_layouts(build: Build, golden: Trace, tmp_path: Path) -> None:
    b, y = small_network(expand=True)
    session = onnxruntime.InferenceSession(b.model(*SCALES, y).SerializeToString())
    x = np.load(build.data / "inputs.npy")
    golden.save(tmp_path / "t.npz")
    with np.load(tmp_path / "t.npz") as held:
        arrays = dict(held)
    for (name, scale), real in zip(SCALES.items(), session.run(list(SCALES), {"x": x}), strict=True):
        np.testing.assert_array_equal(arrays[f"{name}.model"] * scale, real, name)
        np.testing.assert_array_equal(arrays[name] * scale, np.moveaxis(real, 1, -1), name)
    (classes,) = session.run([y], {"x": x})
    (output,) = build.model_graph.outputs
    np.testing.assert_array_equal(output.dequantize(arrays[output.tensor].astype(np.int64)), classes)


def test_arrays_are_as_narrow_as_their_limits(golden: Trace) -> None:
    kinds = {n: v.dtype.name for n, v in golden.values.items()}
    assert kinds["quant_3_out"] == "uint8" and kinds["quant_5_out"] == "int8" and kinds["conv_1_out"] == "int16"


def test_the_design_has_the_same_integers_and_more(build: Build, golden: Trace) -> None:
    design = trace(build.directory, stage="design", frames=20)
    assert design.frames == 20 and set(design.values) > set(golden.values)
    for name, value in golden.values.items():
        np.testing.assert_array_equal(design.values[name].ravel(), value[:20].ravel(), name)


def test_the_hardware_has_the_integers_of_the_design(build: Build) -> None:
    """Every tensor between its units, from monitors inside the emitted RTL."""
    design, rtl = (trace(build.directory, stage=s) for s in ("design", "rtl"))
    assert list(rtl.values) == list(design.values)
    for name, value in design.values.items():
        np.testing.assert_array_equal(rtl.values[name], value, name)


def test_ranges_are_counted(golden: Trace) -> None:
    ranges = {r.name: r for r in golden.ranges}
    assert list(ranges) == list(golden.values)
    for name, r in ranges.items():
        x, t, h = golden.values[name].astype(np.int64), r.tensor, r.histogram
        assert (h.least, h.greatest, h.counts.sum()) == (x.min(), x.max(), x.size)
        want = np.bincount((x.ravel() - t.lo) // h.width, minlength=len(h.counts))
        np.testing.assert_array_equal(h.counts, want)
        assert r.at_lo == (x == t.lo).mean() and r.at_hi == (x == t.hi).mean()
        assert r.used == (x.max() - x.min() + 1) / (t.hi - t.lo + 1)
        assert r.constant == ()


def meter(tensor: Tensor, *parts: np.ndarray) -> Range:
    m = _Meter("t", tensor)
    for part in parts:
        m.add(np.asarray(part, np.int64))
    return m.result("node", ())


def test_dead_and_saturated_tensors_are_named() -> None:
    t = Tensor((3,), -8, 7)
    assert meter(t, [[2, 2, 2]], [[2, 2, 2]]).warnings == ("dead: always 2",)
    assert meter(t, [[2, 0, 1]], [[2, 1, 1]]).warnings == ("2 of 3 channels never change: 0, 2",)
    x = np.zeros((20, 3)) + np.arange(20)[:, None] % 5
    x[:6, 1] = 7
    x[6:12, 2] = -8
    assert meter(t, x).warnings == ("saturated: 10% at -8", "saturated: 10% at 7")
    x[6, 2] = 0
    assert meter(t, x).warnings == ("saturated: 10% at 7",)
    relu = Tensor((1,), 0, 15)
    assert meter(relu, np.arange(20)[:, None] % 15 * (np.arange(20)[:, None] > 12)).warnings == ()
    two = Tensor((1,), -2, 1)  # of four codes two are always at the limits
    assert meter(two, [[-2], [1], [1]]).warnings == ()
    bipolar = meter(Tensor((2,), -1, 1, encoding="bipolar"), [[-1, 1], [1, 1]])
    assert bipolar.used == 1.0 and bipolar.warnings == ("1 of 2 channels never change: 1",)


def test_values_beyond_the_limits_are_seen() -> None:
    r = meter(Tensor((1,), 0, 3), [[9], [1], [-4]])
    assert (r.histogram.least, r.histogram.greatest, r.histogram.counts.tolist()) == (-4, 9, [1, 1, 0, 1])


def test_tensors_know_their_nodes(build: Build, golden: Trace) -> None:
    origins = {r.name: [o.node for o in r.origin] for r in golden.ranges}
    assert origins["x"] == ["quant_1"]
    assert origins["quant_3_out"] == ["batchnormalization_1", "relu_1", "quant_3"]
    assert origins["gemm_1_out"] == ["flatten_1", "gemm_1"]
    assert where(build, "conv_2_window") == (Origin("conv_2", "Conv", ("conv_2_out",)),)
    with pytest.raises(ConfigError, match="has no node 'nothing'; it has conv_1_window, "):
        where(build, "nothing")


def test_source_lines_come_along(tmp_path: Path) -> None:
    b, y = small_network()
    model = b.model(y)
    for i, node in enumerate(model.graph.node):
        node.metadata_props.add(key="gatewright.source", value=f"net.py:{i}: x = f{i}(x)")
        node.name = f"net.{node.op_type}/{i}"  # names as others write them
    onnx.save(model, tmp_path / "net.onnx")
    built = compile_model(tmp_path / "net.onnx", "pynq-z2", fps=1e5, output=tmp_path / "build")
    (conv, *_), ranges = built.model_graph.nodes, trace(built.directory, frames=1).ranges
    assert where(built, conv.name) == (Origin("net.Conv/2", "Conv", ("conv_1_out",), "net.py:2: x = f2(x)"),)
    assert {r.name: r.origin[-1].source for r in ranges}["conv_1_out"] == "net.py:2: x = f2(x)"
    assert str(where(built, conv.name)[0]) == "Conv 'net.Conv/2' (net.py:2: x = f2(x))"


def test_command_writes_the_file_and_the_page(build: Build, golden: Trace, tmp_path: Path) -> None:
    out = tmp_path / "t.npz"
    arguments = ["trace", str(build.directory), "-o", str(out)]
    done = CliRunner().invoke(app, [*arguments, "--json", "--frames", "3"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["stage"], said["frames"], said["file"]) == ("golden", 3, str(out))
    assert [t["tensor"] for t in said["tensors"]] == list(golden.values)
    assert said["tensors"][0]["onnx"] == ["quant_1"]
    first = out.read_bytes(), out.with_suffix(".html").read_bytes()
    page = first[1].decode()
    assert page.count("<svg") == len(golden.values)
    for name in golden.values:
        assert f"values of {name}: " in page
    done = CliRunner().invoke(app, [*arguments, "--frames", "3"])
    assert done.exit_code == 0 and "batchnormalization_1, relu_1, quant_3" in done.stdout
    assert (out.read_bytes(), out.with_suffix(".html").read_bytes()) == first


def test_wrong_requests(build: Build, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="stage 'hls': choose from golden, design, rtl"):
        trace(build.directory, stage="hls")
    done = CliRunner().invoke(app, ["trace", str(build.directory), "-o", str(tmp_path / "t.npy")])
    assert done.exit_code == 1 and "must end in .npz" in done.stderr
    with pytest.raises(ConfigError, match=r"none/t\.npz cannot be written"):
        trace(build.directory, frames=1).save(tmp_path / "none" / "t.npz")

# SPDX-License-Identifier: Apache-2.0
"""An operator from a folder of its own goes from an ONNX node to every target, and nothing in the package knows it."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from gatewright.boards import load_board
from gatewright.build import compile_model
from gatewright.cli import app
from gatewright.design.plan import make_design
from gatewright.emit import rtl
from gatewright.errors import ConfigError, UnsupportedError
from gatewright.frontend.importer import import_model
from gatewright.ir.op import discover, kernel_path
from gatewright.ir.types import FloatArray
from gatewright.passes.lower import lower
from gatewright.sim.rtl import run_rtl
from gatewright.verify import check

from . import target_hls, target_rtl, target_systemc

FEATURES, CLASSES = 12, 5
INPUT_SCALE, MIDDLE_SCALE, WEIGHT_SCALE = 0.25, 0.5, 0.125


@pytest.fixture
def extension(tmp_path: Path) -> Path:
    """A copy of the extension's folder: ops/absolute.py, rtl/absolute.sv and hls/gatewright/absolute.hpp."""
    return Path(shutil.copytree(Path(__file__).with_name("extension"), tmp_path / "extension"))


def weights() -> FloatArray:
    return np.random.default_rng(0).integers(-7, 8, (FEATURES, CLASSES)) * WEIGHT_SCALE


def quant(source: str, output: str, scale: str, bits: str, signed: int) -> onnx.NodeProto:
    return helper.make_node(
        "Quant",
        [source, scale, "zero", bits],
        [output],
        f"quant_{output}",
        domain="qonnx.custom_op.general",
        signed=signed,
        narrow=0,
        rounding_mode="ROUND",
    )


def write_model(path: Path) -> Path:
    """Quant (6 bits) -> an Abs of its own domain -> Quant (4 bits, unsigned) -> MatMul."""
    constants: dict[str, float | FloatArray] = {
        "zero": 0.0, "bits4": 4.0, "bits6": 6.0,
        "scale_x": INPUT_SCALE, "scale_m": MIDDLE_SCALE, "scale_w": WEIGHT_SCALE, "w": weights(),
    }  # fmt: skip
    nodes = [
        quant("x", "xq", "scale_x", "bits6", 1),
        helper.make_node("Abs", ["xq"], ["magnitude"], "magnitude", domain="my.ops"),
        quant("magnitude", "mq", "scale_m", "bits4", 0),
        quant("w", "wq", "scale_w", "bits4", 1),
        helper.make_node("MatMul", ["mq", "wq"], ["y"], "matmul"),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, c]) for n, c in (("x", FEATURES), ("y", CLASSES))]
    tensors = [numpy_helper.from_array(np.asarray(v, np.float32), n) for n, v in constants.items()]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("qonnx.custom_op.general", 1)]
    model = helper.make_model(helper.make_graph(nodes, "magnitudes", ends[:1], ends[1:], tensors), opset_imports=opsets)
    onnx.save(model, str(path))
    return path


def float_model(x: FloatArray) -> FloatArray:
    """What the nodes of the model say, in float64."""
    xq = np.clip(np.rint(x / INPUT_SCALE), -32, 31) * INPUT_SCALE
    mq = np.clip(np.rint(np.abs(xq) / MIDDLE_SCALE), 0, 15) * MIDDLE_SCALE
    return np.asarray(mq @ weights())


def test_it_is_there_while_its_folder_is_on_the_path(extension: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "absolute" not in discover()
    assert kernel_path("absolute", "rtl") is None
    with monkeypatch.context() as patch:
        patch.setenv("GATEWRIGHT_PATH", str(extension))
        assert discover()["absolute"].name() == "absolute"
        assert kernel_path("absolute", "rtl") == extension / "rtl" / "absolute.sv"
    assert "absolute" not in discover()
    assert kernel_path("absolute", "rtl") is None


def test_without_it_the_node_is_refused(tmp_path: Path) -> None:
    message = r"magnitude: operator my.ops.Abs on frames of shape \(12,\) has no hardware"
    with pytest.raises(UnsupportedError, match=message):
        import_model(write_model(tmp_path / "model.onnx"))


@pytest.mark.parametrize(
    "target",
    [target_rtl, target_hls, pytest.param(target_systemc, marks=pytest.mark.systemc)],
    ids=["rtl", "hls", "systemc"],
)
def test_it_conforms(target: ModuleType, extension: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWRIGHT_PATH", str(extension))
    target.check(discover()["absolute"].examples(), tmp_path / "files")


def test_a_model_runs_through_it(extension: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWRIGHT_PATH", str(extension))
    graph = import_model(write_model(tmp_path / "model.onnx"))
    design = make_design(lower(graph), load_board("pynq-z2"))
    assert [n.op.name() for n in design.graph.nodes] == ["absolute", "threshold", "dense"]
    rtl.emit(design.structure).write(tmp_path / "rtl")
    x = np.random.default_rng(1).uniform(-9, 9, (50, FEATURES))
    run = run_rtl(design.structure, tmp_path / "rtl", graph.quantize(x))
    np.testing.assert_array_equal(run.outputs, graph.reference(*graph.quantize(x)))
    np.testing.assert_array_equal(graph.dequantize(*run.outputs)[0], float_model(x))
    assert (run.latency, run.interval) == (design.timing.latency, design.timing.interval)


@pytest.mark.systemc
def test_a_build_of_it_passes_every_stage(extension: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWRIGHT_PATH", str(extension))
    build = compile_model(write_model(tmp_path / "model.onnx"), "pynq-z2", output=tmp_path / "build")
    stages = ["golden", "csim", "systemc", "rtl", "kernel", "board"]
    assert [(s.name, s.status) for s in check(build.directory, stages=stages)] == [(n, "ok") for n in stages]


def test_without_an_hls_kernel_it_is_refused_by_name(
    extension: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(extension / "hls")
    monkeypatch.setenv("GATEWRIGHT_PATH", str(extension))
    model, folder = write_model(tmp_path / "model.onnx"), tmp_path / "build"
    arguments = ["compile", str(model), "--board", "pynq-z2", "-o", str(folder), "--target"]
    result = CliRunner().invoke(app, [*arguments, "rtl,hls"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert (
        "error: operator 'absolute' has no HLS kernel: write hls/gatewright/absolute.hpp beside its ops/absolute.py, "
        "or compile with --target rtl\n" in result.stderr
    )
    assert not folder.exists()
    assert CliRunner().invoke(app, [*arguments, "rtl"]).exit_code == 0


def test_a_built_in_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    discover()
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops" / "dense.py").write_text("")
    monkeypatch.setenv("GATEWRIGHT_PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"dense\.py: an operator called 'dense' is built in: rename the file"):
        discover()

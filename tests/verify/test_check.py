# SPDX-License-Identifier: Apache-2.0
"""The check chain: what passes, what a planted fault shows, and which inputs and labels are refused."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.models import frames, small_network, two_layers

from gatewright.build import Build, compile_model, load_inputs, store_data
from gatewright.errors import ConfigError, DataError, GatewrightError
from gatewright.verify import STAGES, StageResult, check, netlist

CLASSES = 3


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Forty frames with labels, and the outputs of a reference model for them."""
    b, y = small_network()
    folder = tmp_path_factory.mktemp("check")
    x = frames((2, 6, 6), 40, seed=1)["x"]
    store_data(folder / "build" / "data", inputs=x)
    built = compile_model(b.save(folder / "net.onnx", y), "pynq-z2", fps=1e5, output=folder / "build")
    outputs = built.model_graph.predict(x)[0]
    labels = outputs.argmax(1)
    labels[:4] = (labels[:4] + 1) % CLASSES
    store_data(built.data, labels=labels, qat=outputs.astype(np.float32), float=outputs[::-1].astype(np.float32))
    return built


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Two layers, for a board with wide memories."""
    b, y = two_layers()
    folder = tmp_path_factory.mktemp("layers")
    store_data(folder / "build" / "data", inputs=frames((8,), 30, seed=2)["x"])
    model = b.save(folder / "layers.onnx", y)
    return compile_model(model, "zcu104", fps=1e5, output=folder / "build")


@pytest.fixture
def copy(build: Build, tmp_path: Path) -> Build:
    shutil.copytree(build.directory, tmp_path / "build")
    return Build(tmp_path / "build")


@pytest.mark.systemc
def test_every_stage(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netlist, "AFFORDABLE_LUTS", 100)  # gates have tests of their own
    results = {r.name: r for r in check(build.directory)}
    assert list(results) == list(STAGES)
    ran = ("float", "qat", "golden", "csim", "systemc", "rtl", "kernel")
    assert [results[n].status for n in ran] == ["ok"] * len(ran)
    assert {results[n].frames for n in ran} == {40}
    for name in ("netlist", "netlist_cxxrtl"):
        left_out = results[name]
        assert left_out.status == "not_run" and left_out.frames == 0
        assert re.search(rf"[\d,]+ predicted LUTs .* up to 100: .*build --stages {name} does it", left_out.reason)
    assert results["qat"].exact is None and {results[n].exact for n in ran[2:]} == {40}
    assert {results[n].accuracy for n in ran[1:]} == {0.9}
    assert {results[n].max_float_error for n in ran[2:]} == {0}
    for timed in (results["systemc"], results["rtl"]):
        cycles = (timed.interval_cycles, timed.latency_cycles)
        assert cycles == (timed.predicted_interval_cycles, timed.predicted_latency_cycles)
        assert timed.interval_cycles == build.summary()["interval_cycles"]
    record = json.loads(json.dumps([r.to_json() for r in results.values()]))
    assert [r["name"] for r in record] == list(STAGES)
    assert set(record[0]) == set(StageResult.__dataclass_fields__)


def test_frames_and_stages(build: Build) -> None:
    said: list[str] = []
    golden, qat = check(
        build.directory, frames=7, stages=["golden", "qat"], progress=lambda s, done=0, total=0: said.append(s)
    )
    assert (golden.name, qat.name, golden.frames, qat.frames) == ("golden", "qat", 7, 7)
    assert golden.accuracy == pytest.approx(3 / 7)
    assert {"golden", "qat"} <= set(said)


def test_own_data_brings_no_stored_labels_or_references(build: Build, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", frames((2, 6, 6), 5, seed=9)["x"])
    results = {r.name: r for r in check(build.directory, data=tmp_path / "x.npy", stages=["float", "qat", "golden"])}
    assert results["golden"].status == "ok" and results["golden"].frames == 5
    assert results["golden"].accuracy is None and results["golden"].max_float_error is None
    for name in ("float", "qat"):
        assert results[name].status == "not_run"
        assert results[name].reason == f"no outputs of the {name} model are stored for these inputs"
    np.save(tmp_path / "y.npy", np.zeros(5, np.uint8))
    (golden,) = check(build.directory, data=tmp_path / "x.npy", labels=tmp_path / "y.npy", stages=["golden"])
    want = build.model_graph.predict(np.load(tmp_path / "x.npy"))[0].argmax(1) == 0
    assert golden.accuracy == want.mean()


def test_a_wrong_weight_in_the_hardware_is_found(copy: Build) -> None:
    memory = copy.rtl / "gemm_1_weight.mem"
    lines = memory.read_text().split()
    lines[0] = f"{int(lines[0], 16) ^ 1:0{len(lines[0])}x}"
    memory.write_text("\n".join(lines) + "\n")
    (rtl,) = check(copy.directory, stages=["rtl"])
    assert rtl.status == "failed" and rtl.exact < 40
    first = rtl.first_mismatch
    golden = copy.model_graph.reference(*copy.model_graph.quantize(*load_inputs(copy)))[0]
    assert first["golden"] == golden[(first["frame"], *first["index"])] != first["rtl"]
    # The frames before it are exact, and the reason says how many are not.
    assert rtl.exact >= first["frame"]
    assert re.match(rf"{40 - rtl.exact} of 40 frames differ from golden; first: ", rtl.reason)


def test_c_simulation(layers: Build) -> None:
    (csim,) = check(layers.directory, stages=["csim"])
    assert (csim.status, csim.frames, csim.exact, csim.reason) == ("ok", 30, 30, "")
    assert csim.interval_cycles is csim.latency_cycles is None


@pytest.mark.systemc
def test_a_wrong_weight_in_the_c_sources_is_found(layers: Build, tmp_path: Path) -> None:
    spoilt = Build(Path(shutil.copytree(layers.directory, tmp_path / "build")))
    memories = spoilt.emitted("hls") / "layers_memories.hpp"
    text = memories.read_text()
    at = text.index("0x", text.index("matmul_2_weight")) + 2
    memories.write_text(text[:at] + format(int(text[at], 16) ^ 1, "x") + text[at + 1 :])
    said: list[str] = []
    golden, csim, systemc = check(spoilt.directory, stages=["golden", "csim", "systemc"],
                              progress=lambda step, done=0, total=0: said.append(step))  # fmt: skip
    assert [s.status for s in (golden, csim, systemc)] == ["ok", "failed", "ok"]
    assert "changed since it was compiled: hls/layers_memories.hpp" in said
    assert csim.first_mismatch["golden"] != csim.first_mismatch["csim"]


def test_c_simulation_without_its_tools(layers: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        golden, csim = check(layers.directory, stages=["golden", "csim"])
        assert (golden.status, csim.status, csim.exact, csim.frames) == ("ok", "not_run", None, 0)
        assert "g++ is missing, which Gatewright needs for C simulation" in csim.reason
        assert "apt install g++" in csim.reason
        (systemc,) = check(layers.directory, stages=["systemc"])
        assert (systemc.status, systemc.exact) == ("not_run", None) and "apt install g++" in systemc.reason
    with monkeypatch.context() as patch:
        patch.setenv("SYSTEMC_HOME", str(tmp_path))
        csim, systemc = check(layers.directory, stages=["csim", "systemc"])
        assert (csim.status, systemc.status) == ("ok", "not_run")
        assert "systemc is missing" in systemc.reason and "apt install libsystemc-dev" in systemc.reason
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "hls4ml" else real(name, *a))
    (csim,) = check(layers.directory, stages=["csim"])
    assert csim.status == "not_run"
    assert "ap_types is missing" in csim.reason and "pip install 'gatewright[hls4ml]'" in csim.reason


def test_stages_of_a_target_that_was_not_compiled(layers: Build, tmp_path: Path) -> None:
    model = layers.directory / "model.onnx"
    built = compile_model(model, "zcu104", fps=1e5, targets="hls", output=tmp_path)
    results = {r.name: r for r in check(built.directory, stages=["golden", "csim", "rtl", "netlist", "netlist_cxxrtl"])}
    assert [results[n].status for n in ("golden", "csim")] == ["ok", "ok"]
    for name in ("rtl", "netlist", "netlist_cxxrtl"):
        assert results[name].status == "not_run"
        assert "has no rtl/: it was compiled for hls alone" in results[name].reason


def test_a_design_that_computes_something_else_is_found(copy: Build) -> None:
    path = copy.directory / "design.npz"
    with np.load(path) as data:
        arrays = {k: data[k] for k in data.files}
    arrays["gemm_1.weight"] = arrays["gemm_1.weight"][::-1]
    np.savez_compressed(path, **arrays)
    (golden,) = check(copy.directory, stages=["golden"])
    assert golden.status == "failed" and golden.first_mismatch["output"] == copy.model_graph.outputs[0].name


def test_a_broken_build_fails_its_stage_only(copy: Build) -> None:
    (copy.directory / "design.json").write_text("{")
    results = {r.name: r for r in check(copy.directory, stages=["qat", "golden", "rtl"])}
    assert [r.status for r in results.values()] == ["ok", "failed", "failed"]
    assert "design.json: not a readable graph" in results["golden"].reason


def test_missing_tool_is_not_passed(copy: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from gatewright.sim import verilator

    monkeypatch.setenv("GATEWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    try:
        verilator.find_tool("g++")
    except GatewrightError:
        (rtl,) = check(copy.directory, stages=["rtl"])
        assert rtl.status == "not_run" and rtl.exact is None and rtl.reason
        return
    pytest.skip("g++ is found without PATH here")


def save(folder: Path, name: str, array: object) -> Path:
    np.save(folder / name, array)
    return folder / name


GOOD = np.zeros((4, 2, 6, 6), np.float32)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 2, 6), np.float32), r"input 'x': got shape \(4, 2, 6\), need \(frames, 2, 6, 6\)"),
        (np.zeros((2, 6, 6), np.float32), r"input 'x': got shape \(2, 6, 6\), need"),
        (np.float32(1.0), r"input 'x': got shape \(1,\), need"),
        (np.zeros((4, 2, 6, 6), bool), "input 'x': got dtype bool, need floats"),
        (np.zeros((4, 2, 6, 6), np.complex64), "input 'x': got dtype complex64"),
        (np.full((4, 2, 6, 6), "a"), "input 'x': got dtype <U1"),
        (np.where(GOOD == 0, np.nan, 1), "input 'x': holds NaN or infinite values; remove them"),
        (np.zeros((0, 2, 6, 6), np.float32), r"inputs hold \[0\] frames: need at least one"),
    ],
)  # fmt: skip
def test_wrong_inputs(build: Build, tmp_path: Path, array: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        check(build.directory, data=save(tmp_path, "x.npy", array), stages=["golden"])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3, np.int64), r"y\.npy: 3 labels for 4 frames: give one label a frame"),
        (np.zeros(4), r"y\.npy: .*shape \(4,\) and dtype float64: need"),
        (np.zeros((4, 3), np.int64), r"y\.npy: .*shape \(4, 3\) and dtype int64: need"),
    ],
)  # fmt: skip
def test_wrong_labels(build: Build, tmp_path: Path, array: np.ndarray, message: str) -> None:
    data, labels = save(tmp_path, "x.npy", GOOD), save(tmp_path, "y.npy", array)
    with pytest.raises(DataError, match=message):
        check(build.directory, data=data, labels=labels, stages=["golden"])


def test_files_that_are_no_arrays(build: Build, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x01")
    for arguments in ({"data": tmp_path / "x.npy"}, {"labels": tmp_path / "x.npy"}, {"data": tmp_path / "none.npy"}):
        with pytest.raises(GatewrightError, match=r"(x|none)\.npy: not a readable array file"):
            check(build.directory, **arguments, stages=["golden"])


def test_wrong_requests(build: Build, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"stages \['hls9'\]: choose from {', '.join(STAGES)}"):
        check(build.directory, stages=["golden", "hls9"])
    with pytest.raises(ConfigError, match=r"stages \[\]: choose from"):
        check(build.directory, stages=[])
    with pytest.raises(ConfigError, match="frames=0 must be an integer of at least 1"):
        check(build.directory, frames=0)
    with pytest.raises(ConfigError, match="is no build folder"):
        check(tmp_path)


def rtl_of(build: Build) -> StageResult:
    return check(build.directory, stages=["rtl"])[0]


def test_rtl_that_verilator_rejects_has_failed(copy: Build) -> None:
    top = copy.rtl / "net.sv"
    top.write_text(top.read_text() + "garbage\n")
    said: list[str] = []
    (result,) = check(copy.directory, stages=["rtl"], progress=lambda step, done=0, total=0: said.append(step))
    assert result.status == "failed"
    assert "Verilator rejects the top level 'net'" in result.reason
    assert "changed since it was compiled: rtl/net.sv" in said


def test_cycles_that_were_not_predicted_fail(copy: Build) -> None:
    path = copy.directory / "prediction.json"
    prediction = json.loads(path.read_text())
    interval, latency = prediction["interval_cycles"], prediction["latency_cycles"]
    path.write_text(json.dumps(prediction | {"interval_cycles": 2 * interval}))
    result = rtl_of(copy)
    assert (result.status, result.exact) == ("failed", result.frames)
    assert f"interval of {interval} cycles, where {2 * interval} were predicted" in result.reason
    path.write_text(json.dumps(prediction | {"latency_cycles": 2 * latency}))
    assert f"latency of {latency} cycles, where {2 * latency} were predicted" in rtl_of(copy).reason


def test_a_slower_fifo_shows_in_the_cycles(copy: Build) -> None:
    top = copy.rtl / "net.sv"
    top.write_text(re.sub(r"\.BLOCK\(0\)", ".BLOCK(1)", top.read_text()))
    result = rtl_of(copy)
    assert (result.status, result.exact) == ("failed", result.frames)
    assert "were predicted" in result.reason


def test_labels_and_inputs_in_memory(build: Build) -> None:
    x = np.load(build.data / "inputs.npy")
    (result,) = check(str(build.directory), data=x.tolist(), labels=[0] * len(x), stages="golden")
    assert result.status == "ok"
    with pytest.raises(DataError, match=r"labels: classes 0\.\.3, where the network tells 0\.\.2 apart"):
        check(build.directory, data=x[:2], labels=np.array([0, 3]))
    with pytest.raises(DataError, match="labels: 40 labels for 2 frames"):
        check(build.directory, data=x[:2], labels=np.zeros(40, int))


def test_reference_outputs_that_do_not_fit(copy: Build) -> None:
    for damaged in (np.zeros((3, CLASSES)), np.zeros(40), np.full((40, CLASSES), "x")):
        store_data(copy.data, qat=damaged)
        with pytest.raises(DataError, match=r"qat\.npy: need numbers of shape \(40, 3\); remove or replace it"):
            check(copy.directory, stages=["golden"])

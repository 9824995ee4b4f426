# SPDX-License-Identifier: Apache-2.0
"""The stage `kernel`: what it runs and predicts, what planted faults show, and when it does not run."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.models import frames, small_network, two_layers

from gatewright.boards import load_board
from gatewright.build import Build, compile_model, store_data
from gatewright.runtime.kernel_map import KernelMap
from gatewright.runtime.types import Stream
from gatewright.sim.kernel import MemoryModel
from gatewright.verify import StageResult, check, kernel


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A residual network and forty frames."""
    b, y = small_network()
    folder = tmp_path_factory.mktemp("kernel")
    store_data(folder / "build" / "data", inputs=frames((2, 6, 6), 40, seed=1)["x"])
    return compile_model(
        b.save(folder / "net.onnx", y), "pynq-z2", fps=1e5, output=folder / "build", targets=("rtl", "kernel")
    )


@pytest.fixture
def copy(build: Build, tmp_path: Path) -> Build:
    shutil.copytree(build.directory, tmp_path / "build")
    return Build(tmp_path / "build")


def run(build: Build, frames: int | None = None) -> StageResult:
    (result,) = check(build.directory, stages=["kernel"], frames=frames)
    return result


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_all_frames_are_exact_and_all_cycles_as_predicted(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, int]] = []
    monkeypatch.setattr(kernel, "BATCH", 15)
    (result,) = check(build.directory, stages=["kernel"], progress=lambda s, done=0, total=0: said.append((s, done)))
    assert (result.status, result.frames, result.exact) == ("ok", 40, 40)
    assert [done for what, done in said if what == "running the kernel"] == [0, 1, 16, 31]
    summary = build.summary()
    assert result.interval_cycles == result.predicted_interval_cycles == summary["interval_cycles"]
    memory = MemoryModel.of_board(load_board("pynq-z2"))
    assert result.latency_cycles == result.predicted_latency_cycles == summary["latency_cycles"] + 30 + 6
    assert memory.latency_cycles == 30


def test_few_frames_have_no_interval(build: Build) -> None:
    assert [run(build, n).interval_cycles for n in (1, 5)] == [None, None]
    assert run(build, 6).interval_cycles == build.summary()["interval_cycles"]


def test_memory_that_is_slower_than_the_design(tmp_path: Path) -> None:
    """A frame is a word of 32 bits, for a design that takes one a cycle; a port that gives 3 bytes a cycle."""
    b, y = two_layers()
    store_data(tmp_path / "build" / "data", inputs=frames((8,), 1000, seed=2)["x"])
    model = b.save(tmp_path / "net.onnx", y)
    built = compile_model(model, "pynq-z2", output=tmp_path / "build", targets=("rtl", "kernel"), bus_bits=32, mhz=400)
    record = KernelMap.load(built.directory / "kernel" / "kernel.json")
    assert built.summary()["interval_cycles"] == 1 and [a.frame_bytes for a in record.inputs] == [4]
    result = run(built)
    assert (result.status, result.exact) == ("ok", 1000), result
    assert result.interval_cycles == result.predicted_interval_cycles == 1  # 1.33, in whole cycles
    assert result.predicted_latency_cycles is None and result.latency_cycles is not None


def test_weights_that_come_from_memory(tmp_path: Path) -> None:
    b, y = two_layers()
    store_data(tmp_path / "build" / "data", inputs=frames((8,), 50, seed=2)["x"])
    model = b.save(tmp_path / "net.onnx", y)
    plain = compile_model(model, "pynq-z2", fps=1e6, output=tmp_path / "plain", targets="rtl")
    first = next(u["name"] for u in plain.summary()["units"] if u["operator"] == "dense")
    built = compile_model(
        model, "pynq-z2", fps=1e6, output=tmp_path / "build", targets=("rtl", "kernel"), stream_weights=[first]
    )
    result = run(built)
    assert (result.status, result.exact) == ("ok", 50), result
    assert result.interval_cycles == built.summary()["interval_cycles"]
    assert result.latency_cycles == result.predicted_latency_cycles == built.summary()["latency_cycles"] + 36
    (weights,) = KernelMap.load(built.directory / "kernel" / "kernel.json").weights
    path = built.directory / weights.file
    path.write_bytes(bytes(x ^ 1 for x in path.read_bytes()))
    assert "frames differ from golden" in run(built).reason
    path.write_bytes(path.read_bytes()[:-1])
    assert re.search(r"\d+ bytes for memory of \d+, where .*_weight has \d+: compile", run(built).reason)


def test_predictions_where_memory_decides(build: Build) -> None:
    found = KernelMap.load(build.directory / "kernel" / "kernel.json")
    source, sink = replace(found.inputs[0], frame_bytes=8000), replace(found.outputs[0], frame_bytes=16)
    wide, memory = replace(found, inputs=(source,), outputs=(sink,)), MemoryModel(latency_cycles=9)
    assert kernel.predicted_interval(wide, memory, 500, 10) == 1000
    assert kernel.predicted_interval(wide, replace(memory, bytes_per_cycle=3.2), 500, 10) == 2500
    assert kernel.predicted_interval(wide, replace(memory, bytes_per_cycle=300.0), 1001, 10) == 1001
    assert kernel.predicted_interval(wide, memory, 500, 10, [7992, 9000]) == 1125
    turned = replace(found, inputs=(sink,), outputs=(source,))
    assert kernel.predicted_interval(turned, memory, 500, 20) is None
    assert kernel.predicted_interval(turned, memory, 500, 100) == 1000
    assert kernel.predicted_interval(turned, memory, 1000, 20) == 1000
    assert kernel.predicted_latency(found, memory, [Stream(8, 8, 1, True)], 100) == 115
    assert kernel.predicted_latency(found, memory, [Stream(8, 9, 1, True)], 100) is None
    assert kernel.predicted_latency(found, replace(memory, bytes_per_cycle=7.9), [Stream(8, 8, 1, True)], 100) is None


def test_a_wrong_weight_is_found(copy: Build) -> None:
    memory = sorted(copy.rtl.glob("*weight*.mem"))[0]
    first, rest = memory.read_text().split(maxsplit=1)
    memory.write_text(f"{int(first, 16) ^ 1:0{len(first)}x}\n{rest}")
    result = run(copy)
    assert result.status == "failed" and "frames differ from golden" in result.reason


FAULTS = {
    "a word is lost": (
        "axi_read_master.sv", ".s_tvalid(m_axi_rvalid), .s_tready(m_axi_rready)",
        ".s_tvalid(m_axi_rvalid && !m_axi_rlast), .s_tready(m_axi_rready)",
        r"net_kernel is not done after \d+ cycles: ",
    ),
    "a burst ends early": (
        "axi_write_master.sv", "final_beat = beats_q == 9'd1", "final_beat = beats_q == 9'd2",
        r"m_axi_gmem1_wlast is \d at beat \d+ of a burst of \d+ beats",
    ),
    "done before the last answer": (
        "axi_write_master.sv", "idle = quiet && last", "idle = last",
        "the kernel is done, and m_axi_gmem1 still has writes under way",
    ),
    "frames are not padded": ("pack_words.sv", "s_axis_tlast ? rounded : sum", "sum", "."),
    "a word late": (
        "axi_read_master.sv", "m_axi_araddr <= burst_address;", "m_axi_araddr <= burst_address + 64'd8;",
        "frames differ from golden",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "fault", [pytest.param(name, marks=pytest.mark.slow if i else ()) for i, name in enumerate(FAULTS)]
)
def test_a_fault_in_the_kernel_is_found(copy: Build, fault: str) -> None:
    file, old, new, message = FAULTS[fault]
    edit(copy.directory / "kernel" / "lib" / file, old, new)
    result = run(copy)
    assert result.status == "failed" and re.search(message, result.reason), result


def test_a_kernel_of_another_design_is_refused(copy: Build) -> None:
    record = copy.directory / "kernel" / "kernel.json"
    content = json.loads(record.read_text())
    record.write_text(json.dumps(content | {"hash": "00" * 16}))
    result = run(copy)
    assert result.status == "failed" and re.search(
        r"build/kernel is of the design 00+, and design.json is ", result.reason
    )


def test_a_kernel_that_says_it_is_another_is_found(copy: Build) -> None:
    core = next((copy.directory / "kernel").glob("*_core.sv"))
    found = re.search(r"128'h([0-9a-f]+)", core.read_text())
    assert found
    edit(core, found.group(1), "12" * 16)
    result = run(copy)
    assert result.status == "failed"
    assert re.search(r"net_kernel says that it is (12)+ \(0x314b5747\), where [0-9a-f]{32} is expected", result.reason)


def test_a_build_without_a_kernel(build: Build, tmp_path: Path) -> None:
    built = compile_model(build.directory / "model.onnx", "pynq-z2", fps=1e5, targets="rtl", output=tmp_path / "b")
    result = run(built)
    assert result.status == "not_run" and "has no kernel/: it was compiled for rtl alone" in result.reason
    assert "--target rtl,kernel" in result.reason


def test_a_large_batch_is_cut_to_the_memory(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[int] = []
    small = MemoryModel(bytes=3 * 8192, latency_cycles=30)
    monkeypatch.setattr(kernel.MemoryModel, "of_board", lambda *a: small)
    (result,) = check(build.directory, stages=["kernel"], progress=lambda s, done=0, total=0: said.append(done))
    assert result.exact == 40 and sorted(set(said)) == [0, 1, *range(4, 40, 3)]
    assert np.diff(sorted(set(said))).max() == 3

# SPDX-License-Identifier: Apache-2.0
"""What a bitstream is made of, and what is refused before anything is written."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest
from tests.models import two_layers

from gatewright.boards import load_board
from gatewright.build import Build, compile_model
from gatewright.errors import ConfigError, DesignError, MissingTargetError
from gatewright.ir.op import package_root
from gatewright.runtime.kernel_map import Argument, KernelEdge, KernelMap
from gatewright.synth.bitstream import figures, project
from gatewright.synth.bitstream.fit import around, kernel_resources
from gatewright.synth.report import synthesise_build

MEASURED = {
    32: {"LUT": 3631, "FF": 3908, "BRAM36": 1},
    64: {"LUT": 3783, "FF": 4037, "BRAM36": 2},
    128: {"LUT": 3994, "FF": 4294, "BRAM36": 4},
    256: {"LUT": 4536, "FF": 4804, "BRAM36": 8},
    512: {"LUT": 5245, "FF": 5827, "BRAM36": 15},
}
"""What `benchmarks/bench_kernel_cost.py` counted around the demonstration: 24 FIFOs, one input, one output."""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return compiled(tmp_path_factory.mktemp("bitstream"))


def compiled(folder: Path, board: str = "pynq-z2", targets: str = "rtl,kernel") -> Build:
    b, y = two_layers()
    onnx.save(b.model(y), folder / "two.onnx")
    return compile_model(folder / "two.onnx", board, fps=10_000, targets=targets.split(","), output=folder / "build")


def test_a_project_names_what_is_there(build: Build) -> None:
    made = project(build)
    assert made.kernel.hash == build.kernel.hash and made.board == load_board("pynq-z2")
    assert made.mhz == build.summary()["mhz"] and project(build, 62.5).mhz == 62.5
    files = [*made.sources, *made.memory_files]
    assert len(set(files)) == len(files) and all((build.directory / name).is_file() for name in files)
    read = {p.name for p in build.rtl.glob("*.mem")}
    assert read and {Path(name).name for name in made.memory_files} == read
    text = (build.rtl / f"{made.name}.sv").read_text()
    assert made.units and all(f" i_{unit} (" in text for unit in made.units)


@pytest.mark.parametrize("mhz", [0, -1, float("nan"), float("inf"), 1001])
def test_no_clock(build: Build, mhz: float) -> None:
    with pytest.raises(ConfigError, match=r"mhz=.*: give a number above 0 and up to 1000"):
        project(build, mhz)


def test_a_build_without_kernel(tmp_path: Path) -> None:
    with pytest.raises(
        MissingTargetError, match=r"has no kernel/: .* compile the model again with --target rtl,kernel"
    ):
        project(compiled(tmp_path, targets="rtl"))


def test_a_build_that_was_changed(build: Build, tmp_path: Path) -> None:
    shutil.copytree(build.directory, tmp_path / "build")
    source = tmp_path / "build" / "rtl" / f"{build.structure.name}.sv"
    source.write_text(source.read_text() + "\n")
    with pytest.raises(ConfigError, match=r"\.sv is no longer what compile wrote: its bitstream would carry the hash"):
        project(Build.open(tmp_path / "build"))


@pytest.mark.parametrize("bits", MEASURED)
def test_the_kernel_around_a_design_is_estimated_to_3_percent(bits: int) -> None:
    stream = Argument("x", "gmem0", 0x10, 64, 4, False, False, 64)
    edges = tuple(KernelEdge(f"e{i}", "t", "a", "b", 2, 4) for i in range(24))
    kernel = KernelMap("k", "n", bits, "0" * 32, 4096, (stream,), (stream,), 0x30, 0x100, edges)
    found = kernel_resources(kernel, "xc7")
    assert found == {name: pytest.approx(count, rel=0.07 if name == "BRAM36" else 0.03)
                     for name, count in MEASURED[bits].items()}  # fmt: skip
    assert kernel_resources(kernel, "xcup") == found


@pytest.mark.parametrize(("fifos", "counted"), [(24, (10538, 4058)), (3, (4467, 1892))])
def test_the_kernel_and_the_bridge_on_an_ecp5_are_estimated_to_3_percent(fifos: int, counted: tuple[int, int]) -> None:
    """Counted by bench_kernel_cost.py around the demonstration and two small layers; bridge and banks: 923 and 843."""
    stream = Argument("x", "gmem0", 0x10, 64, 4, False, False, 64)
    edges = tuple(KernelEdge(f"e{i}", "t", "a", "b", 2, 4) for i in range(fifos))
    kernel = KernelMap("k", "n", 32, "0" * 32, 4096, (stream,), (stream,), 0x30, 0x100, edges)
    found = kernel_resources(kernel, "ecp5")
    assert (found["LUT"], found["FF"]) == pytest.approx(counted, rel=0.03) and found["EBR"] == 2
    whole = around(kernel, load_board("ulx3s-85f"))
    assert (whole["LUT"] - found["LUT"], whole["FF"] - found["FF"]) == (926, 845)
    assert whole["EBR"] == 2 + 1 + 2 * 4
    assert around(kernel, load_board("pynq-z2")) == kernel_resources(kernel, "xc7")


def test_a_design_that_does_not_fit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile looks at the design alone; here the kernel around it is too much."""
    record = tmp_path / "boards" / "tiny" / "board.toml"
    record.parent.mkdir(parents=True)
    text = (package_root() / "boards" / "pynq_z2" / "board.toml").read_text()
    record.write_text(text.replace("LUT = 53200", "LUT = 1900").replace("TUL PYNQ-Z2", "Tiny"))
    monkeypatch.setenv("GATEWRIGHT_PATH", str(tmp_path))
    build = compiled(tmp_path, "tiny")
    lut = next(f for f in figures(build, load_board("tiny")) if f.name == "LUT")
    assert lut.design == build.summary()["resources"]["LUT"] < 1900 < lut.needed == lut.design + lut.kernel
    with pytest.raises(DesignError, match="the design does not fit Tiny: too much LUT:") as error:
        project(build)
    lines = str(error.value).splitlines()
    assert lines[2].split() == ["LUT", *(f"{n:,.0f}" for n in (lut.design, lut.kernel, lut.needed, 1900))]
    assert [line.split()[0] for line in lines[3:-1]] == ["FF", "BRAM36", "DSP"]
    assert "compile it for a lower rate (--fps)" in lines[-1]
    assert not (build.directory / "bitstream").exists()


def test_what_yosys_counted_is_taken_in_place_of_the_prediction(build: Build, tmp_path: Path) -> None:
    shutil.copytree(build.directory, tmp_path / "build")
    copy = Build.open(tmp_path / "build")
    total = synthesise_build(copy)["total"]
    counted, predicted = ({f.name: f.design for f in figures(b, load_board("pynq-z2"))} for b in (copy, build))
    assert counted == {name: total[name] for name in counted}
    assert counted != predicted

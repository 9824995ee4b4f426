# SPDX-License-Identifier: Apache-2.0
"""`gatewright bitstream` for an Alveo card, with programs of ours in the place of Vivado and v++."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.models import small_network
from tests.synth.test_bitstream import PLAIN, all_gone, contents, run, text
from tests.synth.test_vitis import VIVADO, VPP, sample

from gatewright.board.bundle import bundle as make_bundle
from gatewright.board.designs import read_sources
from gatewright.build import Build, compile_model
from gatewright.errors import ConfigError
from gatewright.runtime.bundle import Bundle
from gatewright.synth.bitstream import plan

NOTE = 'sleep 1000 & echo "$$ $!" >>"$PIDS"'
LICENCE = (
    "echo \"ERROR: [Common 17-345] A valid license was not found for feature 'Implementation' and/or device 'xcu280'\""
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vitis")
    b, y = small_network()
    model = b.save(folder / "net.onnx", y)
    return compile_model(model, "alveo-u280", targets=["rtl", "kernel"], output=folder / "build").directory


@pytest.fixture
def build(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "build"))


@pytest.fixture
def install(build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts both programs on PATH; each does what it is told before it makes anything."""

    def put(vivado: str = "", vpp: str = "", version: str = "2024.1", cut: str = "", missing: str = "") -> None:
        routed = {"timing.rpt": "impl_1_hw_bb_locked_timing_summary_routed.rpt", "utilization_units.rpt":
                  "gatewright_units.rpt", "utilization.rpt": "impl_1_full_util_routed.rpt"}  # fmt: skip
        samples = tmp_path / "samples"
        samples.mkdir()
        for name, content in sample("2024_1").items():
            whole = content[: len(content) // 2] if name == cut else content
            (samples / routed.get(name, name)).write_text(whole)
        programs, stem = tmp_path / "Vitis" / version / "bin", plan(Build.open(build)).project.stem
        programs.mkdir(parents=True)
        if missing:
            (samples / routed[missing]).unlink()
        reports = f"cp {samples}/*.rpt vitis/reports/link/imp"
        linker = VPP.format(fails=f"{NOTE}\n{vpp}", synth="ok", reports=reports, stem=stem)
        linker += f"cp {samples}/xclbin.info vitis/{stem}.xclbin.info\n"
        packager = VIVADO.format(fails=f"{NOTE}\n{vivado}", stem=stem)
        for name, content in {"vivado": packager, "v++": linker}.items():
            (programs / name).write_text(content)
            (programs / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:{PLAIN}")
        monkeypatch.setenv("PIDS", str(tmp_path / "pids"))

    return put


def test_an_xclbin_goes_into_the_bundle(build: Path, install: Callable[..., None], tmp_path: Path) -> None:
    install()
    result = run(build)
    assert result.exit_code == 0, result.stderr
    stem, bundle = plan(Build.open(build)).project.stem, Bundle(build / "bundle")
    assert bundle.record["bitstream"] == {
        "file": f"{stem}.xclbin", "kind": "xclbin", "tool": "Vitis", "version": "2024.1",
    }  # fmt: skip
    assert bundle.record["hwh"] is None and bundle.bitstream.read_text() == "xclbin\n"
    assert f"its bitstream is {stem}.xclbin of Vitis 2024.1" in text(result)
    readme = (build / "bundle" / "README.md").read_text()
    assert "source /opt/xilinx/xrt/setup.sh" in readme and "no bitstream in this folder" not in readme
    with pytest.raises(ConfigError, match="holds a bitstream of kind 'xclbin': a virtual board takes"):
        read_sources([build / "bundle"])
    assert all_gone(tmp_path / "pids")


def test_without_vitis_everything_is_written_and_told(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", PLAIN)
    result = run(build)
    said = text(result)
    assert result.exit_code == 1 and "not_run v++ is missing, which Gatewright needs for bitstreams for Alveo" in said
    assert f"Where Vitis 2020.2 or newer is installed, run this in the folder {build / 'bitstream'}" in said
    assert " sh build.sh " in said


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"vivado": f"{LICENCE}; exit 1"}, "Vitis fails during packaging the kernel (exit status 1): Vivado has no "
         "licence for Implementation on xcu280"),
        ({"vpp": f"{LICENCE}; exit 1"}, "Vitis fails during collecting reports (exit status 1): Vivado has no licence"),
        ({"vpp": "echo '[v++ 60-777] a program has terminated unexpectedly' >&2; kill -SEGV $$"}, "a program of Vitis "
         "crashed: run it again"),
        ({"vpp": "kill -KILL $PPID"}, "Vitis fails during linking the system (exit status 137): something killed it"),
        ({"vpp": "echo 'write_checkpoint: No space left on device'; exit 1"}, "the disk is full: make room"),
        ({"vpp": "echo \"terminate called after throwing an instance of 'std::bad_alloc'\"; kill -ABRT $$"}, "it ran "
         "out of memory: use a machine with more"),
        ({"vpp": "echo 'ERROR: [VPL 101-2] design did not meet timing - hold violation'; exit 1"}, "timing failed in a "
         "clock that v++ cannot lower (hold violation): give a lower --mhz"),
        ({"vpp": "echo \"ERROR: [v++ 60-1258] No valid platform was found that matches 'xilinx_u280_gen3x16_xdma_1'. "
          "Please make sure\"; exit 1"}, "Vitis has no platform xilinx_u280_gen3x16_xdma_1: install the card's "
         "development platform"),
        ({"version": "2019.2"}, "v++ is Vitis 2019.2: the scripts need 2020.2 or newer"),
        ({"missing": "timing.rpt"}, "v++ left no report of timing or of utilisation"),
        ({"cut": "xclbin.info"}, "xclbin.info"),
        ({"cut": "utilization.rpt"}, "reports/utilization.rpt is cut"),
    ],
)  # fmt: skip
def test_failures_say_why_and_leave_the_old_bundle(
    build: Path, install: Callable[..., None], tmp_path: Path, fault: dict[str, str], says: str
) -> None:
    make_bundle(build).write(build / "bundle")
    before = contents(build / "bundle")
    install(**fault)
    result = run(build)
    assert result.exit_code == 1 and says in text(result), text(result)
    assert contents(build / "bundle") == before and not (build / "bitstream" / "result.json").exists()
    assert "version" in fault or all_gone(tmp_path / "pids")

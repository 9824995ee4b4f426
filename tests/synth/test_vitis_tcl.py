# SPDX-License-Identifier: Apache-2.0
"""The Tcl of a Vitis project on the model of Vivado's commands: the packaged IP, the hook, and seeded faults.

`test_tcl_emitted.py` runs the whole project of every card and network, with v++.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.emit.test_vitis import NETWORKS, project

from gatewright.emit import kernel_ip, stream_ip, vitis
from gatewright.synth.tcl_model import run

pytestmark = pytest.mark.skipif(shutil.which("tclsh") is None, reason="needs tclsh: apt install tcl")
SCRIPT = "bitstream/package_xo.tcl"


@pytest.fixture(scope="module", params=NETWORKS)
def build(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A network's build folder, as `compile` leaves it for a card."""
    folder = tmp_path_factory.mktemp(request.param)
    design = NETWORKS[request.param]()
    stream_ip.emit(design).write(folder / "rtl")
    kernel_ip.emit(design, 512).write(folder / "kernel")
    return request.param, folder


def test_the_ip_has_all_files_of_its_own(build: tuple[str, Path], tmp_path: Path) -> None:
    """Contents of ROMs too, and nothing lies outside of the script's working folder."""
    network, folder = build
    chosen = project(network, "alveo-u250")
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    vitis.emit(chosen).write(tmp_path / "bitstream")
    done = run(SCRIPT, tmp_path)
    assert (done.findings, done.status) == ((), 0)
    assert f"bitstream/vitis/{chosen.stem}.xo" in done.files
    contents = {f"bitstream/vitis/ip/src/{Path(path).name}" for path in chosen.memory_files}
    assert contents and contents <= done.files
    assert {path.split("/")[1] for path in done.files if path.startswith("bitstream/")} == {"vitis"}


ROUTE = """\
create_project -in_memory -part xcu50-fsvh2104-2-e
read_verilog -sv [glob ../rtl/kernels/*.sv ../kernel/lib/*.sv ../kernel/*.sv ../kernel/*.v]
synth_design -top net_kernel -mode out_of_context
opt_design
place_design
route_design
source after_route.tcl
"""


@pytest.mark.parametrize("build", ["small"], indirect=True)
def test_the_hook_reports_on_a_routed_design(build: tuple[str, Path], tmp_path: Path) -> None:
    shutil.copytree(build[1], tmp_path, dirs_exist_ok=True)
    vitis.emit(project("small", "alveo-u50")).write(tmp_path / "bitstream")
    (tmp_path / "bitstream" / "route.tcl").write_text(ROUTE)
    done = run("bitstream/route.tcl", tmp_path)
    assert (done.findings, done.status) == ((), 0)
    assert {"bitstream/gatewright_units.rpt", "bitstream/gatewright_power.rpt"} <= done.files


@pytest.mark.parametrize("build", ["small"], indirect=True)
def test_the_hook_ends_no_link(build: tuple[str, Path], tmp_path: Path) -> None:
    """Where nothing is routed, its commands fail, and it says so and goes on."""
    vitis.emit(project("small", "alveo-u50")).write(tmp_path / "bitstream")
    (tmp_path / "bitstream" / "early.tcl").write_text("source after_route.tcl\nputs reached\n")
    done = run("bitstream/early.tcl", tmp_path)
    assert done.status == 0
    assert done.said[-1] == "reached"
    assert [line.split()[1] for line in done.said[:-1]] == ["report_utilization", "report_power"]


# What is replaced in which file, by what, and what is said of it; more of them in vendor/emitted_faults.toml.
FAULTS: Mapping[str, tuple[str, str, str, str]] = {
    "misspelt option": ("package_xo.tcl", "-root_dir", "-rootdir", "-rootdir"),
    "misspelt command": ("package_xo.tcl", "ipx::save_core", "ipx::save_cor", "no command 'ipx::save_cor'"),
    "unknown part": ("package_xo.tcl", "xcu50-fsvh2104-2-e", "xcu50-fsvh2104-9-e", "xcu50-fsvh2104-9-e"),
    "missing source": ("package_xo.tcl", "lib/fault_log.sv", "lib/faults_log.sv", "faults_log.sv"),
    "missing memory": ("package_xo.tcl", "conv_1_weight.mem", "conv_1_weights.mem", "conv_1_weights.mem"),
    "no such top level": ("package_xo.tcl", "set top {net_kernel}", "set top {net_kernal}", "net_kernal"),
    "kernel of no type": ("package_xo.tcl", "sdx_kernel_type rtl", "sdx_kernel_type verilog", "verilog"),
    "IP called otherwise": ("package_xo.tcl", "set_property name $top", "set_property name x$top", "is called 'xnet_"),
    "unknown property": ("package_xo.tcl", "supported_families", "supported_family", "supported_family"),
    "no such map": ("package_xo.tcl", "get_memory_maps $control", "get_memory_maps control", "control"),
    "register twice": ("package_xo.tcl", "{GIER}", "{CTRL}", "there is a register 'CTRL' already"),
    "register elsewhere": ("package_xo.tcl", "{output} {0x1c}", "{output} {0x18}", "lies at 0x1c, and the IP has"),
    "object elsewhere": ("package_xo.tcl", "-ip_directory vitis/ip ", "-ip_directory ip ", "ip"),
    "object of no kind": ("package_xo.tcl", ".xo}", ".xclbin}", "must end in .xo"),
    "port of no interface": ("kernel.xml", '<port name="m_axi_gmem1"', '<port name="m_axi_gmem2"', "m_axi_gmem2"),
    "no XML": ("kernel.xml", "</root>", "", "is no XML"),
    "Tcl that is none": ("package_xo.tcl", "foreach bus [list", "foreach bus list", "Tcl: "),
}


@pytest.mark.parametrize("build", ["small"], indirect=True)
@pytest.mark.parametrize("fault", FAULTS)
def test_seeded_faults_are_found(fault: str, build: tuple[str, Path], tmp_path: Path) -> None:
    name, old, new, message = FAULTS[fault]
    shutil.copytree(build[1], tmp_path, dirs_exist_ok=True)
    vitis.emit(project("small", "alveo-u50")).write(tmp_path / "bitstream")
    path = tmp_path / "bitstream" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    done = run(SCRIPT, tmp_path)
    said = " ".join([*(f.what for f in done.findings), *done.said])
    assert done.findings
    assert re.search(re.escape(message), said), said
    assert not any(path.endswith(".xo") for path in done.files)

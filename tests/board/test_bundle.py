# SPDX-License-Identifier: Apache-2.0
"""What a bundle holds: all that it says of itself, the same bytes every time, and golden frames that are golden's."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.models import Builder, two_layers
from typer.testing import CliRunner

from gatewright.board.archive import MANIFEST, npz, read_files
from gatewright.board.bitstream import VirtualBitstream
from gatewright.board.bundle import bundle
from gatewright.build import Build, compile_model, load_inputs
from gatewright.cli import app
from gatewright.errors import ConfigError, DataError, MissingTargetError
from gatewright.runtime.kernel_map import KernelMap

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Two matrix products with a ReLU between."""
    folder = tmp_path_factory.mktemp("bundle")
    b, y = two_layers()
    return compile_model(b.save(folder / "net.onnx", y), "pynq-z2", fps=1e6, targets=["rtl", "kernel"],
                         output=folder / "build")  # fmt: skip


@pytest.fixture
def copy(build: Build, tmp_path: Path) -> Build:
    shutil.copytree(build.directory, tmp_path / "build")
    return Build.open(tmp_path / "build")


def arrays(data: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(data), allow_pickle=False) as content:
        return {name: content[name] for name in content.files}


def test_the_record_says_what_the_build_says(build: Build) -> None:
    files = bundle(build.directory).files
    record, summary = json.loads(files[MANIFEST]), build.summary()
    kernel = KernelMap.load(build.directory / "kernel" / "kernel.json")
    assert record["format"] == 1 and record["name"] == "net" and record["mhz"] == 100
    assert (record["board"], record["title"]) == ("pynq-z2", "TUL PYNQ-Z2")
    assert (record["part"], record["family"], record["flow"]) == ("xc7z020clg400-1", "xc7", "vivado")
    assert KernelMap.from_json(record["kernel"]) == kernel
    assert record["base_address"] == 0x43C0_0000  # where Vivado puts the first kernel behind GP0
    assert record["predicted"] == {k: summary[k] for k in ("interval_cycles", "latency_cycles")}
    assert record["memory"]["base"] == 0x1800_0000 and record["memory"]["bits"] == 64
    assert record["bitstream"] == {"file": f"net_{kernel.hash[:8]}.bin", "kind": "virtual"}
    assert record["hwh"] == f"net_{kernel.hash[:8]}.hwh"


def test_every_file_has_its_digest_and_nothing_is_beside_them(build: Build) -> None:
    files = bundle(build.directory).files
    digests = json.loads(files[MANIFEST])["files"]
    assert set(digests) == set(files) - {MANIFEST}
    assert digests == {name: hashlib.sha256(files[name]).hexdigest() for name in digests}
    assert set(digests) >= {
        "host.json", "host.npz", "design.json", "design.npz", "prediction.json", "run.py", "README.md",
        "golden/inputs.npz", "golden/integers_in.npz", "golden/integers_out.npz", "golden/float_out.npz",
        "gatewright_runtime/__init__.py", "gatewright_runtime/kernel_map.py", "rtl/net.sv", "kernel/kernel.json",
    }  # fmt: skip


def test_what_is_simulated_is_what_lies_in_the_build(build: Build) -> None:
    files = bundle(build.directory).files
    kernel = KernelMap.load(build.directory / "kernel" / "kernel.json")
    assert set(kernel.sources) <= set(files)
    for folder in ("rtl", "kernel"):
        there = {p.relative_to(build.directory).as_posix(): p.read_bytes()
                 for p in (build.directory / folder).rglob("*") if p.is_file()}  # fmt: skip
        assert {n: d for n, d in files.items() if n.split("/")[0] == folder} == there
    bitstream = VirtualBitstream.from_bytes(files[f"net_{kernel.hash[:8]}.bin"])
    assert (bitstream.hash, bitstream.name, bitstream.board) == (kernel.hash, "net", "pynq-z2")


def test_golden_frames_are_the_stored_ones_in_all_four_forms(build: Build) -> None:
    files, graph = bundle(build.directory).files, build.model_graph
    (x,), (i,), (o,) = load_inputs(build), graph.inputs, graph.outputs
    golden = {n: arrays(files[f"golden/{n}.npz"]) for n in ("inputs", "integers_in", "integers_out", "float_out")}
    assert golden["inputs"][i.name].dtype == x.dtype
    np.testing.assert_array_equal(golden["inputs"][i.name], x)
    for n in range(len(x)):  # frame by frame, as nobody computes them here
        (q,) = graph.quantize(x[n : n + 1])
        (y,) = graph.reference(q)
        np.testing.assert_array_equal(golden["integers_in"][i.name][n], q[0])
        np.testing.assert_array_equal(golden["integers_out"][o.name][n], y[0])
        np.testing.assert_array_equal(golden["float_out"][o.name][n], graph.dequantize(y)[0][0])


def test_the_same_build_gives_the_same_bytes(build: Build, copy: Build, tmp_path: Path) -> None:
    for i, folder in enumerate((build.directory, copy.directory)):
        made = bundle(folder)
        made.write(tmp_path / f"folder{i}")
        made.archive(tmp_path / f"{i}.tar.gz")
    assert (tmp_path / "0.tar.gz").read_bytes() == (tmp_path / "1.tar.gz").read_bytes()
    assert read_files(tmp_path / "folder0") == read_files(tmp_path / "1.tar.gz") == dict(made.files)
    text = b"".join(made.files.values())
    assert str(tmp_path).encode() not in text and str(ROOT).encode() not in text


def test_the_runtime_is_this_packages(build: Build) -> None:
    files = bundle(build.directory).files
    home = ROOT / "src" / "gatewright" / "runtime"
    own = {p.relative_to(home).as_posix(): p.read_bytes() for p in home.rglob("*.py")}
    there = {n.partition("/")[2]: d for n, d in files.items() if n.startswith("gatewright_runtime/")}
    assert there == own


def test_frames_and_data(build: Build, tmp_path: Path) -> None:
    (x,) = load_inputs(build)
    few = bundle(build.directory, frames=3)
    assert few.frames == 3
    np.testing.assert_array_equal(arrays(few.files["golden/inputs.npz"])["x"], x[:3])
    np.save(tmp_path / "other.npy", -x[4:6])
    other = bundle(build.directory, data=tmp_path / "other.npy")
    np.testing.assert_array_equal(arrays(other.files["golden/inputs.npz"])["x"], -x[4:6])
    again = bundle(build.directory, data=_stored(other.files["golden/inputs.npz"], tmp_path / "again.npz"))
    assert again.files == other.files
    with pytest.raises(DataError, match=r"frames=9: there are 8; give more with --data"):
        bundle(build.directory, frames=9)
    with pytest.raises(ConfigError, match="frames=0 must be an integer of at least 1"):
        bundle(build.directory, frames=0)


def _stored(data: bytes, path: Path) -> Path:
    path.write_bytes(data)
    return path


def test_frames_of_two_inputs_must_be_equally_many(tmp_path: Path) -> None:
    b = Builder((4,))
    other = b.input("file", (4,))
    total = b.node("Add", b.quant("x", 0.5, 4), b.quant(other, 0.5, 4))
    build = compile_model(b.save(tmp_path / "sum.onnx", total), "pynq-z2", targets=["rtl", "kernel"],
                          output=tmp_path / "build")  # fmt: skip
    made = bundle(build.directory)
    assert set(arrays(made.files["golden/inputs.npz"])) == {"x", "file"}
    uneven = tmp_path / "uneven.npz"
    uneven.write_bytes(npz({"x": np.zeros((3, 4)), "file": np.zeros((2, 4))}))
    with pytest.raises(DataError, match=r"inputs hold \[3, 2\] frames"):
        bundle(build.directory, data=uneven)


def test_a_card_has_no_bitstream_and_says_so(tmp_path: Path) -> None:
    b, y = two_layers()
    build = compile_model(b.save(tmp_path / "net.onnx", y), "alveo-u50", fps=1e6, targets=["rtl", "kernel"],
                          output=tmp_path / "build")  # fmt: skip
    made = bundle(build.directory)
    assert made.record["bitstream"] is None and made.record["hwh"] is None and made.record["base_address"] == 0
    assert not [n for n in made.files if n.endswith((".bin", ".hwh"))]
    assert b"There is no bitstream in this folder yet" in made.files["README.md"]
    result = CliRunner().invoke(app, ["bundle", str(build.directory)])
    assert result.exit_code == 0 and "no bitstream: AMD Alveo U50 takes an .xclbin" in result.stdout


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_build_without_the_kernel_is_refused(tmp_path: Path) -> None:
    b, y = two_layers()
    build = compile_model(b.save(tmp_path / "net.onnx", y), "pynq-z2", fps=1e6, targets=["rtl"], output=tmp_path / "b")
    with pytest.raises(MissingTargetError, match=r"b has no kernel/: .*again with --target rtl,kernel"):
        bundle(build.directory)


@pytest.mark.parametrize("name", ["rtl/net.sv", "kernel/kernel.json", "design.json", "prediction.json", "graph.npz"])
def test_a_build_that_was_edited_is_refused(copy: Build, name: str) -> None:
    path = copy.directory / name
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(ConfigError, match=rf"{name} is no longer what compile wrote: .*the hash of another design"):
        bundle(copy.directory)


def test_what_is_no_build_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no build folder"):
        bundle(tmp_path)


# --- the command line -------------------------------------------------------------------------------------------------


def test_the_command_writes_a_folder_beside_the_build(copy: Build) -> None:
    result = CliRunner().invoke(app, ["bundle", str(copy.directory), "--frames", "2"])
    assert result.exit_code == 0, result.output
    assert "net for TUL PYNQ-Z2, 2 golden frames" in result.stdout
    assert "its bitstream is a virtual one: gatewright board serve simulates the board" in result.stdout
    assert MANIFEST in read_files(copy.directory / "bundle")
    assert copy.changed() == []


def test_the_command_writes_an_archive_where_it_is_told(copy: Build, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["bundle", str(copy.directory), "--tar", "-o", str(tmp_path / "x.tgz"), "--json"])
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["path"] == str(tmp_path / "x.tgz") and said["golden_frames"] == 8
    assert json.loads(read_files(tmp_path / "x.tgz")[MANIFEST])["kernel"] == said["kernel"]


def test_a_new_compilation_leaves_the_bundle_out_of_its_manifest(copy: Build) -> None:
    for tar in ([], ["--tar"]):
        assert CliRunner().invoke(app, ["bundle", str(copy.directory), *tar]).exit_code == 0
    compile_model(copy.directory / "model.onnx", "pynq-z2", fps=2e6, targets=["rtl", "kernel"], output=copy.directory)
    manifest = json.loads((copy.directory / "manifest.json").read_text())["files"]
    assert not [name for name in manifest if name.startswith("bundle")]


def test_the_readmes_commands_are_those_of_run_py(build: Build, tmp_path: Path) -> None:
    bundle(build.directory).write(tmp_path / "b")
    text = (tmp_path / "b" / "README.md").read_text()
    assert "python3 run.py verify" in text and "python3 run.py benchmark" in text
    done = subprocess.run([sys.executable, str(tmp_path / "b" / "run.py"), "--help"], capture_output=True, text=True,
                          cwd=tmp_path, check=True)  # fmt: skip
    assert "verify" in done.stdout and "benchmark" in done.stdout

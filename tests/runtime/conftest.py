# SPDX-License-Identifier: Apache-2.0
"""Bundles that tests of the driver share; made once a process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tests.models import Builder, small_network, two_layers

from gatewright.board.archive import MANIFEST, write_archive, write_folder
from gatewright.board.bitstream import VirtualBitstream, sources_digest
from gatewright.board.bundle import bundle
from gatewright.build import Build, compile_model
from gatewright.runtime.device import import_pynq
from gatewright.runtime.kernel_map import KernelMap


@dataclass(frozen=True)
class Made:
    """A build and its bundle.

    Attributes:
        build: the build folder.
        files: of the bundle.
        folder: the bundle, written.
        x: frames of its input.
    """

    build: Build
    files: Mapping[str, bytes]
    folder: Path
    x: np.ndarray


def make(home: Path, name: str, onnx: Path, fps: float, shape: tuple[int, ...]) -> Made:
    """Compile and bundle a model with one input."""
    build = compile_model(onnx, "pynq-z2", fps=fps, targets=["rtl", "kernel"], output=home / f"{name}_build")
    x = np.float32(np.random.default_rng(0).integers(-40, 41, (300, *shape)) / 16)
    files = bundle(build.directory, data=x[:20]).files
    write_folder(files, home / name)
    return Made(build, files, home / name, x)


@pytest.fixture(scope="session", autouse=True)
def state_of_pynq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keeps what pynq remembers of bitstreams, in files that all processes share, in a folder of this process."""
    import_pynq()
    from pynq.pl_server import embedded_device, global_state, remote_device

    folder = tmp_path_factory.mktemp("pynq")
    global_state.STATE_DIR = str(folder)
    for module in (embedded_device, remote_device):
        module.__file__ = str(folder / "module.py")
    return folder


@pytest.fixture(scope="session")
def mlp(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Two matrix products with a ReLU between."""
    home = tmp_path_factory.mktemp("mlp")
    b, y = two_layers()
    return make(home, "mlp", b.save(home / "mlp.onnx", y), 1e6, (8,))


@pytest.fixture(scope="session")
def residual(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A small network with a residual addition, whose branch holds two rows of pixels."""
    home = tmp_path_factory.mktemp("residual")
    b, y = small_network()
    return make(home, "residual", b.save(home / "residual.onnx", y), 1e5, (2, 6, 6))


@pytest.fixture(scope="session")
def several(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Two inputs and three outputs, of which two leave the hardware as one stream and one is a softmax on the host."""
    home = tmp_path_factory.mktemp("several")
    b = Builder((8,))
    left, right = b.quant("x", 0.125, 4), b.quant(b.input("other in", (6,)), 1 / 12, 6)
    left = b.node("MatMul", left, b.weight(np.random.default_rng(2).integers(-7, 8, (8, 5)), 0.25))
    right = b.node("MatMul", right, b.weight(np.random.default_rng(3).integers(-7, 8, (6, 5)), 0.25))
    sums = b.node("Add", b.quant(left, 0.5, 5), b.quant(right, 0.5, 5))
    path = b.save(home / "several.onnx", right, sums, b.node("Softmax", sums))
    build = compile_model(path, "zcu104", fps=1e6, targets=["rtl", "kernel"], output=home / "several_build")
    rng = np.random.default_rng(0)
    np.savez(home / "x.npz", **{"x": np.float32(rng.normal(size=(40, 8))), "other in": rng.normal(size=(40, 6))})
    files = bundle(build.directory, data=home / "x.npz").files
    write_folder(files, home / "several")
    return Made(build, files, home / "several", np.zeros(0))


def rebundled(files: Mapping[str, bytes], changes: Mapping[str, bytes], bitstream: bool = True) -> dict[str, bytes]:
    """A bundle with other files, whose digests, and with `bitstream` its bitstream, are those of the changed files."""
    changed = {**files, **changes}
    record = json.loads(changed[MANIFEST])
    if bitstream:
        kernel = KernelMap.from_json(record["kernel"])
        simulated = {k: v for k, v in changed.items() if k.startswith(("rtl/", "kernel/"))}
        virtual = VirtualBitstream(record["name"], kernel.hash, record["board"], sources_digest(simulated))
        changed[record["bitstream"]["file"]] = virtual.to_bytes()
    record["files"] = {n: hashlib.sha256(changed[n]).hexdigest() for n in record["files"]}
    changed[MANIFEST] = json.dumps(record).encode()
    return changed


@pytest.fixture
def copy(mlp: Made, tmp_path: Path) -> Path:
    """A bundle's folder that a test may damage."""
    write_folder(mlp.files, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture(scope="session")
def archive(mlp: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as an archive."""
    path = tmp_path_factory.mktemp("archive") / "mlp.tar.gz"
    write_archive(mlp.files, "mlp", path)
    return path

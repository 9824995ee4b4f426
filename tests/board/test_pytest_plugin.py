# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin in a project of its own, as its users have it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.models import two_layers

from gatewright.board.archive import npz
from gatewright.board.bundle import bundle
from gatewright.build import compile_model

ROOT = Path(__file__).parents[2]
PLUGIN = "gatewright.pytest_plugin"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a build of it, and its bundle as a folder and as an archive."""
    folder = tmp_path_factory.mktemp("files")
    b, y = two_layers()
    model = b.save(folder / "model.onnx", y)
    build = compile_model(model, "pynq-z2", fps=1e6, targets=["rtl", "kernel"], output=folder / "build")
    made = bundle(build.directory)
    made.write(folder / "bundle")
    made.archive(folder / "bundle.tar.gz")
    x = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", build.model_graph.predict(x)[0])
    return folder


@pytest.fixture
def project(files: Path, tmp_path: Path) -> Path:
    """A user's project: those files, and nothing of Gatewright's sources."""
    shutil.copytree(files, tmp_path / "project")
    (tmp_path / "project" / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return tmp_path / "project"


def run(project: Path, code: str, *options: str) -> subprocess.CompletedProcess[str]:
    """pytest there, with warnings as errors; the package is that of this checkout."""
    (project / "test_it.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", PLUGIN, "-q", *options]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, env=environment())


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.environ.get("PYTHONPATH") or str(ROOT / "src")}


def test_a_build_a_bundle_an_archive_and_a_model(project: Path) -> None:
    done = run(
        project,
        """
import numpy as np
import pytest

SOURCES = {"build": {}, "bundle": {}, "bundle.tar.gz": {}, "model.onnx": {"board": "pynq-z2", "fps": 1e6}}


@pytest.mark.parametrize("source", SOURCES)
def test_accelerator(virtual_board, source):
    with virtual_board(source, **SOURCES[source]) as accelerator:
        report = accelerator.verify()
        assert report.ok and report.frames == 8
        np.testing.assert_array_equal(accelerator.run(np.load("x.npy")), np.load("y.npy"))
""",
    )
    assert done.returncode == 0 and "4 passed" in done.stdout, done.stdout + done.stderr


def test_a_model_is_compiled_once_in_a_session_and_nothing_is_left_in_the_project(project: Path) -> None:
    before = sorted(p.relative_to(project) for p in project.rglob("*"))
    done = run(
        project,
        """
import gatewright.board.serving as serving

count = 0
compile_model = serving.compile_model


def counted(*args, **options):
    global count
    count += 1
    return compile_model(*args, **options)


def test_first(virtual_board, monkeypatch):
    monkeypatch.setattr(serving, "compile_model", counted)
    with virtual_board("model.onnx", board="pynq-z2", fps=1e6) as accelerator:
        assert accelerator.verify(2).ok


def test_second(virtual_board, monkeypatch):
    monkeypatch.setattr(serving, "compile_model", counted)
    with virtual_board("model.onnx", "pynq-z2", fps=1e6) as accelerator:
        assert accelerator.verify(2).ok
    assert count == 1
""",
    )
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout + done.stderr
    after = {p.relative_to(project) for p in project.rglob("*") if "__pycache__" not in p.parts}
    assert after == {*before, Path("test_it.py")}


def test_a_wrong_accelerator_fails_the_test(project: Path) -> None:
    """Golden of the bundle is changed by one in one place, digests included, so only the comparison can tell."""
    path = project / "bundle" / "golden" / "integers_out.npz"
    with np.load(path) as content:
        arrays = {n: content[n].copy() for n in content.files}
    arrays[next(iter(arrays))][3, 1] += 1
    path.write_bytes(npz(arrays))
    record = json.loads((project / "bundle" / "bundle.json").read_text())
    record["files"]["golden/integers_out.npz"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (project / "bundle" / "bundle.json").write_text(json.dumps(record))
    done = run(
        project,
        "def test_it(virtual_board):\n"
        '    with virtual_board("bundle") as accelerator:\n'
        "        report = accelerator.verify()\n"
        "        assert report.ok, str(report)\n",
    )
    assert done.returncode == 1, done.stdout
    assert "7 of 8 frames exact; first mismatch in frame 3, element 1" in done.stdout


REFUSED = {
    '"model.onnx"': "name the board to compile it for, such as board=",
    '"build", board="pynq-z2"': "board belong to a model, and this is no .onnx file",
    '"nothing"': "nothing is no build folder, no bundle and no model",
    '"model.onnx", board="pynq-z3"': "did you mean 'pynq-z2'",
    '"x.npy", board="pynq-z2"': "x.npy",
}


def test_what_cannot_be_served_is_an_error_with_a_remedy(project: Path) -> None:
    tests = [
        f"def test_{i}(virtual_board):\n    with virtual_board({call}):\n        pass\n"
        for i, call in enumerate(REFUSED)
    ]
    done = run(project, "\n".join(tests))
    assert done.returncode == 1 and f"{len(REFUSED)} failed" in done.stdout, done.stdout
    for said in REFUSED.values():
        assert said in done.stdout


def test_a_real_board_is_used_where_one_is_named(project: Path) -> None:
    code = 'def test_it(virtual_board):\n    with virtual_board("bundle"):\n        pass\n'
    done = run(project, code, "--accelerator-device", "127.0.0.1:1")
    assert done.returncode == 1 and "no PYNQ.remote server answers at 127.0.0.1:1" in done.stdout, done.stdout


def test_loading_the_plugin_imports_nothing_that_takes_time(project: Path) -> None:
    done = run(
        project,
        """
import sys


def test_it():
    heavy = {"torch", "onnx", "grpc", "pynq", "numba", "numpy", "gatewright.build", "gatewright.board", "gatewright.ir"}
    assert not heavy & set(sys.modules)
""",
    )
    assert done.returncode == 0, done.stdout


def test_the_fixture_and_the_option_are_documented(project: Path) -> None:
    assert "virtual_board [session scope]" in run(project, "", "--fixtures").stdout
    assert "--accelerator-device=HOST[:PORT]" in run(project, "", "--help").stdout

